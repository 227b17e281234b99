"""COOKBOOK.md: each of its pieces is executed as it stands there. That of uvicorn is in guests/test_uvicorn.py."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from qtpy import QtWidgets

import asyncslot
from readme_reader import blocks

pytestmark = pytest.mark.usefixtures("windows")

Button = QtWidgets.QMessageBox.StandardButton


def cook(title, **names):
    """Return what a recipe defines, for a plug-in that is this module."""
    namespace = {"__name__": __name__, "asyncslot": asyncslot, "asyncio": asyncio, **names}
    for code in blocks(title, "python"):
        exec(code, namespace)
    return namespace


def test_serve_in_the_gui_thread(app, attach_as, spin):
    """Two clients at once are answered from a widget; after detach() the port is free, and so it is for a reload."""
    window = QtWidgets.QWidget()
    window.setWindowTitle("the host")
    remote = cook("Serve in the GUI thread", window=window, json=json)["Remote"]()
    lease = attach_as(__name__, "test")
    remote.start()
    spin(lambda: hasattr(remote, "port"))

    async def ask(*methods):
        reader, writer = await asyncio.open_connection("127.0.0.1", remote.port)
        answers = []
        for method in methods:
            writer.write(json.dumps({"method": method}).encode() + b"\n")
            answers.append(json.loads(await reader.readline()))
        writer.close()
        return answers

    async def both():
        return await asyncio.gather(ask("title", "fail"), ask("title"))

    task = lease.create_task(both())
    spin(task.done)
    titles, others = task.result()
    assert titles == [{"result": "the host"}, {"error": "KeyError('fail')"}]
    assert others == [{"result": "the host"}]
    assert lease.detach().abandoned == []
    attach_as(__name__, "test")

    async def serve_again():
        await asyncio.start_server(remote.talk, "127.0.0.1", remote.port)

    again = asyncslot.create_task(serve_again())
    spin(again.done)
    again.result()
    asyncslot.detach()


def write_wheel(path, name):
    """Make a wheel of one module that tells where it lies."""
    with zipfile.ZipFile(str(path / f"{name}-1.0-py3-none-any.whl"), "w") as wheel:
        info = f"{name}-1.0.dist-info"
        wheel.writestr(f"{name}.py", "where = __file__\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path / f"{name}-1.0-py3-none-any.whl"


@pytest.mark.once
def test_bring_dependencies(tmp_path, monkeypatch):
    """Installed into the plug-in by the command, they are imported; what the host has already stays the host's."""
    (command,) = blocks("Bring dependencies")
    (tmp_path / "my_plugin").mkdir()
    wheels = [write_wheel(tmp_path, name) for name in ("brought_along", "json")]
    (tmp_path / "my_plugin" / "requirements.txt").write_text("".join(f"{wheel}\n" for wheel in wheels))
    python, *arguments = command.split()
    assert python == "python3"
    subprocess.run([sys.executable, *arguments, "--quiet", "--no-index"], cwd=str(tmp_path), check=True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    use_dependencies = cook("Bring dependencies", sys=sys)["use_dependencies"]
    directory = str(tmp_path / "my_plugin" / "_deps")
    for _ in range(2):
        use_dependencies(directory)
    assert sys.path.count(directory) == 1
    assert os.path.isfile(os.path.join(directory, "json.py"))
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:] = {sys.path!r}\nimport brought_along, json\n"
            "print(brought_along.where)\nprint(json.__file__)",
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split("\n")
    assert [line.startswith(directory) for line in found[:2]] == [True, False]


def test_import_what_is_heavy(lease, spin, tmp_path, monkeypatch):
    """In a thread that is not the GUI's."""
    import importlib
    import threading

    (tmp_path / "heavy_sdk.py").write_text("import threading\nthread = threading.current_thread()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    load_sdk = cook("Import what is heavy", lease=lease, importlib=importlib)["load_sdk"]
    task = lease.create_task(load_sdk("heavy_sdk"))
    spin(task.done)
    assert task.result().thread is not threading.main_thread()
    del sys.modules["heavy_sdk"]


def test_show_a_stream_without_losing_frames(lease, spin):
    """Other code has its turn between two pieces that are there at once, and none is lost."""
    view, turns = QtWidgets.QPlainTextEdit(), []

    async def pieces():
        for number in range(100):
            yield f"{number} "

    async def beside():
        while True:
            turns.append(view.toPlainText())
            await asyncio.sleep(0)

    show = cook("Show a stream without losing frames")["show"]
    other = lease.create_task(beside())
    task = lease.create_task(show(pieces(), view))
    spin(task.done)
    task.result()
    other.cancel()
    assert view.toPlainText() == "".join(f"{number} " for number in range(100))
    assert len(turns) >= 100


@pytest.fixture
def may():
    return cook("Ask the user, and be cancelled meanwhile", QMessageBox=QtWidgets.QMessageBox)["may"]


def boxes(window):
    return [box for box in window.findChildren(QtWidgets.QMessageBox) if box.isVisible()]


@pytest.mark.parametrize("button", ["Yes", "No"])
def test_ask_the_user(lease, spin, may, button):
    """The answer is a bool."""
    window = QtWidgets.QWidget()
    task = lease.create_task(may(window, "Delete the layer?"))
    spin(lambda: boxes(window))
    boxes(window)[0].button(getattr(Button, button)).click()
    spin(task.done)
    assert task.result() is (button == "Yes")


@pytest.mark.parametrize("how", ["cancelled", "unloaded", "time limit"])
def test_be_cancelled_meanwhile(app, attach_as, spin, may, how):
    """Nothing stays on the screen."""
    window = QtWidgets.QWidget()
    lease = attach_as(__name__, "test")
    asked = may(window, "Delete the layer?")
    task = lease.create_task(asyncio.wait_for(asked, 0.2) if how == "time limit" else asked)
    spin(lambda: boxes(window))
    if how == "cancelled":
        task.cancel()
    elif how == "unloaded":
        lease.detach()
    spin(task.done)
    assert boxes(window) == []
    lease.detach()
    with pytest.raises((asyncio.CancelledError, asyncio.TimeoutError)):
        task.result()


def test_a_window_that_asks_before_it_closes(lease, spin, may):
    """It is asked twice to close, asks once, saves, and is closed."""
    saved = []
    editor_class = cook("A window that asks before it closes", QWidget=QtWidgets.QWidget, may=may)["Editor"]

    async def save(self):
        saved.append(self.isVisible())

    editor_class.save = save
    editor = editor_class()
    editor.show()
    for _ in range(2):
        editor.close()
    spin(lambda: boxes(editor))
    assert editor.isVisible()
    (box,) = boxes(editor)
    box.button(Button.Yes).click()
    spin(lambda: not editor.isVisible())
    assert saved == [True]


@pytest.fixture
def python_recipe():
    return cook("Start another Python", sys=sys, re=re, shutil=shutil, Path=Path)


def test_start_another_python(lease, spin, monkeypatch, tmp_path, python_recipe):
    """Also where sys.executable is the host; what is started has the host's version."""
    for executable in (sys.executable, str(tmp_path / "freecad"), ""):
        monkeypatch.setattr(sys, "executable", executable)
        task = lease.create_task(python_recipe["ask_python"]("import sys; print(sys.version_info[:2])"))
        spin(task.done)
        assert task.result().strip() == str(sys.version_info[:2]), executable
    monkeypatch.setattr(sys, "exec_prefix", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "qgis-bin.exe"))
    assert python_recipe["find_python"]() is None


POOL = """
import os, sys, time
sys.path.insert(0, {directory!r})
from pathlib import Path
import asyncio, multiprocessing, re, shutil, threading
from concurrent.futures import ProcessPoolExecutor
from qtpy import QtCore, QtWidgets
import asyncslot, pool_work
app = QtWidgets.QApplication([])
{recipe}
lease = asyncslot.attach("test")
def run_until(is_so):
    loop, timer = QtCore.QEventLoop(), QtCore.QTimer()
    timer.timeout.connect(lambda: is_so() and loop.quit())
    timer.start(1)
    (getattr(loop, "exec", None) or loop.exec_)()
task = lease.create_task(compute(pool_work.square, [2, 3]))
run_until(task.done)
print(task.result())
lock = Path({directory!r}) / "busy"
task = lease.create_task(compute(pool_work.wait_for, [str(lock)]))
run_until(lock.exists)
print(lease.detach().abandoned, task.cancelled(), lock.exists())
lock.unlink()
"""

POOL_WORK = """
import os, time

def square(number):
    return number * number

def wait_for(lock):
    open(lock, "w").close()
    while os.path.exists(lock):
        time.sleep(0.01)
"""


@pytest.mark.slow
def test_several_cores(run_python, tmp_path):
    """Results come from other processes; detach() does not wait for a job that is not over."""
    (tmp_path / "pool_work.py").write_text(POOL_WORK)
    recipe = "\n".join(code for title in ("Start another Python", "Several cores") for code in blocks(title, "python"))
    done = run_python(POOL.format(directory=str(tmp_path), recipe=recipe))
    assert done.stdout.splitlines() == ["[4, 9]", "[] True True"]

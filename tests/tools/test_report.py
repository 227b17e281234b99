"""report(): one text for a bug report, from wherever it is asked for; and the doctor, at a terminal."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import asyncslot
import copies
from asyncslot import _meeting
from copies import PRELUDE

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hunter2-not-for-anybody"

make_plugin = pytest.fixture(copies.make_plugin)


def section(text, title):
    """Return the lines below a title, or fail with the whole text."""
    parts = [part for part in text.split("\n\n") if part.splitlines()[0].startswith(title)]
    assert parts, f"no section {title!r} in:\n{text}"
    return [line.strip() for line in parts[0].splitlines()[1:]]


def value(text, title, label):
    """Return what stands behind a label in a section."""
    [line] = [line for line in section(text, title) if line.startswith(f"{label}: ")]
    return line[len(label) + 2 :]


async def inner():
    await asyncio.sleep(3600)


async def work(password):
    local = password * 2
    await inner()
    return local


# --- When it may be asked for


def test_without_qt_it_says_so_and_loads_none(run_python):
    """In a process that has no binding, report() finds none, and there is none afterwards."""
    out = run_python(
        "import asyncslot, sys\nprint(asyncslot.report())\n"
        "print([name for name in sys.modules if name.startswith(('PyQt', 'PySide', 'qtpy'))])"
    ).stdout
    assert "binding: none is loaded" in out
    assert "state: nobody is attached" in out
    assert "cannot be read" not in out
    assert out.splitlines()[-1] == "[]"


def test_without_an_application_it_says_so_and_makes_none(run_python):
    """With a binding loaded but no application, each of its lines can still be read."""
    out = run_python(
        "from qtpy import QtCore\nimport asyncslot\nprint(asyncslot.report())\n"
        "assert QtCore.QCoreApplication.instance() is None"
    ).stdout
    assert value(out, "Qt", "application") == "none"
    assert "runs with Qt" in out
    assert "cannot be read" not in out


def test_it_makes_no_policy_and_no_loop(run_python):
    """A policy is told of only where somebody has set one."""
    source = """
import asyncio, asyncslot
text = asyncslot.report()
assert "policy: none has been made" in text, text
assert asyncio.events._event_loop_policy is None
class Policy(asyncio.DefaultEventLoopPolicy):
    pass
asyncio.set_event_loop_policy(Policy())
print(asyncslot.report())
"""
    out = run_python("import warnings; warnings.simplefilter('ignore')\n" + source).stdout
    assert "event-loop policy: __main__.Policy" in out


def test_attached_every_line_of_it_can_be_read(lease):
    """Qt, dispatcher, way of waiting, budget and owner are all there."""
    from qtpy import QtCore

    lease.loop.step_budget = 0.003
    text = asyncslot.report()
    assert "cannot be read" not in text
    assert f"runs with Qt {QtCore.qVersion()}" in text
    assert value(text, "Qt", "event dispatcher").endswith(("with GLib", "without GLib"))
    assert "Application" in value(text, "Qt", "application")
    assert value(text, "Loop of thread", "step budget") == "3 ms"
    assert value(text, "Loop of thread", "waits by").startswith(("a notifier", "a thread"))
    assert "test: attached" in section(text, "Loop of thread")
    assert value(text, "Owner 'test'", "host").startswith("Qt (adapter asyncslot._hosts.PlainQt")
    assert value(text, "Owner 'test'", "tasks") == "none"


def test_after_detach_it_tells_what_became_of_the_lease(app):
    """Where a plug-in was unloaded, the first line of its report is what matters."""
    asyncslot.attach("somebody who left").detach()
    text = asyncslot.report()
    assert value(text, "Loop", "state") == "nobody is attached"
    assert any(line.startswith("somebody who left: detached in") for line in section(text, "Leases of this copy"))


def test_inside_a_task_it_names_that_task_as_on_the_stack(lease, run_coro):
    """Our loop is then the running one, and in a step."""

    async def ask():
        return asyncslot.report()

    text = run_coro(ask())
    assert value(text, "Loop of thread", "state") == "in a step"
    assert value(text, "Neighbours", "running loop") == "asyncslot._loop.AsyncSlotEventLoop"
    assert "ask() at test_report.py:" in text
    assert "on the stack now" in text
    assert "cannot be read" not in text


def test_in_another_thread_it_says_what_cannot_be_looked_at(lease):
    """Tasks can be told from anywhere; Qt's objects are for the GUI thread."""
    lease.create_task(work(SECRET))
    found = []
    thread = threading.Thread(target=lambda: found.append(asyncslot.report()), name="worker-1")
    thread.start()
    thread.join()
    [text] = found
    assert value(text, "Process", "this thread") == "worker-1, not the GUI's"
    assert value(text, "Qt", "event dispatcher") == "can only be looked at from the GUI thread"
    assert "work() at test_report.py:" in text
    assert "cannot be read" not in text


def test_a_program_with_a_loop_of_its_own_is_told_of(app):
    """AsyncSlotRunner and `with AsyncSlotEventLoop()` have no lease, and their tasks no owner."""
    with asyncslot.AsyncSlotEventLoop() as loop:
        task = loop.create_task(inner())
        text = asyncslot.report()
        task.cancel()
        loop._as_run_alone(task.done, None)
    loop.close()
    assert value(text, "Loop that is running", "made by").endswith("in a program that owns its application")
    assert any("inner() at test_report.py:" in line for line in section(text, "Nobody's"))


# --- What it tells of an owner


def test_a_task_is_told_by_name_and_place_and_not_by_its_arguments(lease, spin):
    """Neither arguments, locals, nor the directories that lead to a file are anybody else's business."""
    task = lease.create_task(work(SECRET), name="the download")
    lease.loop.call_soon(lambda password: None, SECRET)
    spin(lambda: asyncslot._tasks.where(task).startswith("sleep()"))
    text = asyncslot.report()
    [line] = [line for line in section(text, "Owner 'test'") if "work()" in line]
    name = "the download" if sys.version_info >= (3, 8) else "task"
    assert line.startswith(f"{name}: work() at test_report.py:")
    assert ", in inner() at test_report.py:" in line
    assert ", in sleep() at asyncio/tasks.py:" in line
    assert SECRET not in text
    own = str(Path(asyncslot.__file__).parent)
    assert str(ROOT) not in text.replace(own, "")


def test_of_a_thousand_tasks_twenty_are_listed(lease):
    """A text to paste stays one."""
    for _ in range(1000):
        lease.create_task(inner())
    lines = section(asyncslot.report(), "Owner 'test'")
    assert "tasks: 1,000" in lines
    assert sum("inner()" in line for line in lines) == 20
    assert "and 980 more" in lines
    assert sum("not begun" in line for line in lines) == 20


def test_what_is_open_is_told_without_addresses_and_arguments(app, lease, spin):
    """A server by its port, a subprocess by its number, a signal in the binding's words, a job by its function."""
    go_on = threading.Event()
    begun = []

    def job(password):
        begun.append(password)
        go_on.wait(20)

    async def open_all():
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        child = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", "input()", SECRET, stdin=-1)
        done = lease.to_thread(job, SECRET)
        awaited = asyncslot.asyncSignal(app.aboutToQuit)
        ready.append((server, child))
        await done
        awaited.cancel()

    ready = []
    lease.create_task(open_all())
    spin(lambda: ready and begun)
    text = asyncslot.report()
    go_on.set()
    server, child = ready[0]
    lines = section(text, "Owner 'test'")
    assert f"server on port {server.sockets[0].getsockname()[1]}" in lines
    assert any(line.startswith(f"subprocess {child.pid} (") for line in lines)
    assert any(line.startswith("asyncSignal() on ") for line in lines)  # PySide2 does not know the name
    assert any(line.startswith("runs: ") and "job()" in line for line in lines)
    assert SECRET not in text
    assert "127.0.0.1" not in text


def test_it_names_who_caused_the_longest_step(lease):
    """Without the directories in which the plug-in is installed."""
    lease.loop._as_longest = (0.25, "fn=<slow() running at /home/me/plug ins/net/get.py:12>")
    text = asyncslot.report()
    assert value(text, "Loop of thread", "longest step") == (
        "went over its budget by a callback of 250.0 ms: fn=<slow() running at get.py:12>"
    )


# --- What is not ours, or broken


class Foreign:
    """A lease and a loop of a version that nobody knows yet."""

    def __getattr__(self, name):
        raise ValueError(SECRET)


def test_what_cannot_be_read_says_so_and_hides_nothing_else(lease):
    """Whatever a lease or loop of another version raises; with no word of what it raised."""
    places = _meeting._all_places()
    _meeting.here().leases["stranger"] = Foreign()
    places[-1] = {"protocol": 99, "version": "9.9", "path": "nowhere", "loop": Foreign(), "leases": {"a": None}}
    places[-2] = "of a form that is not known"
    try:
        text = asyncslot.report()
        del places[-2]
        without = asyncslot.report()
    finally:
        places.pop(-1)
        places.pop(-2, None)
        del _meeting.here().leases["stranger"]
    assert "cannot be read (ValueError)" in without
    assert value(without, "Owner 'stranger'", "tasks") == "cannot be read (ValueError)"
    assert value(without, "Owner 'test'", "lease") == "attached"
    assert "version 9.9, protocol 99, in nowhere" in without
    for one in (text, without):
        assert section(one, "Neighbours")
        assert SECRET not in one


@pytest.mark.parametrize("pretend", ["0.3.9", "9.9.9"], ids=["an older copy", "a newer copy"])
def test_copies_in_the_process_are_all_named(run_python, tmp_path, make_plugin, pretend):
    """With version and path each; the lease of one that was purged is still told of, and so is a namesake."""
    make_plugin("one", pretend=pretend)
    make_plugin("two", "another_name")
    prelude = PRELUDE.replace("{plugins!r}", repr(str(tmp_path)))
    source = """
import types
one, two = load("one"), load("two", "another_name")
for name in [name for name in sys.modules if name.split(".")[0] == "asyncslot"]:
    del sys.modules[name]  # the one under test, which --wait thread has loaded
sys.modules["asyncslot"] = types.ModuleType("asyncslot")
sys.modules["asyncslot"].__version__ = "1.2.3"
first, second = one.attach("one"), two.attach("two")
first.create_task(forever(), name="of the other copy")
print(two.report())
print("@")
del one
purge("one")
print(two.report())
second.detach(), first.detach()
purge("two")
print("@")
print(two.report())
"""
    before, after, alone = run_python(prelude + source).stdout.split("@\n")
    lines = section(before, "Copies of asyncslot")
    assert any(line.startswith(f"one._vendor.asyncslot: version {pretend}, protocol") for line in lines)
    assert any(line.startswith("two._vendor.another_name, which writes this: version") for line in lines)
    assert any(line.endswith(str(tmp_path / "two" / "_vendor" / "another_name")) for line in lines)
    assert "asyncslot (another project's): version 1.2.3, in unknown" in lines
    assert value(before, "Loop of thread", "made by").startswith(f"version {pretend}, ")
    for text in (before, after):
        assert "cannot be read" not in text
        assert value(text, "Owner 'one'", "copy") == f"one._vendor.asyncslot, version {pretend}"
        assert any("forever() at " in line for line in section(text, "Owner 'one'"))
    assert not any(line.startswith("one.") for line in section(after, "Copies of asyncslot"))
    lines = section(alone, "Copies of asyncslot")
    assert any(line.startswith("this one, which is not in sys.modules any more: version") for line in lines)


def test_neighbours_and_patches_are_named(run_python):
    """Modules by name and version, and what is not asyncio's own any more."""
    out = run_python(
        """
import asyncio, sys, types, asyncslot
sys.modules["qasync"] = types.ModuleType("qasync")
sys.modules["qasync"].__version__ = "0.27.1"
def run(main): pass
asyncio.run = run
asyncio._nest_patched = True
async def main():
    print(asyncslot.report())
asyncio.SelectorEventLoop().run_until_complete(main())
"""
    ).stdout
    lines = section(out, "Neighbours")
    assert "qasync 0.27.1" in lines
    assert "nest_asyncio was applied" in lines
    assert "asyncio.run is of __main__" in lines
    assert any(line.startswith("running loop: asyncio.") for line in lines)


# --- At a terminal


def doctor(package="asyncslot", directory=ROOT / "tests", *options):
    """Do in a process of its own as `python -m PACKAGE doctor` does, and print which Qt is loaded after it."""
    source = f"""
import sys
from {package}.__main__ import main
code = main(["doctor"])
print([name for name in sys.modules if name.startswith(("PyQt", "PySide", "qtpy"))])
sys.exit(code)
"""
    line = [sys.executable, *options, "-c", source]
    return subprocess.run(line, capture_output=True, text=True, cwd=str(directory))


def test_the_doctor_names_the_binding_and_loads_none(app):
    """With the version that is installed; and it tells how to get at the rest."""
    binding = type(app).__module__.partition(".")[0]
    done = doctor()
    assert done.returncode == 0, done.stderr
    assert re.match(r"version [56]\.[0-9.]+$", value(done.stdout, "Qt", binding))
    assert value(done.stdout, "Qt", "missing") == "none"
    assert "print(asyncslot.report())" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_doctor_tells_an_edited_copy(tmp_path, make_plugin):
    """By the list that came with it."""
    make_plugin("one")
    package = "one._vendor.asyncslot"
    fine = doctor(package, tmp_path)
    assert fine.returncode == 0, fine.stderr
    assert value(fine.stdout, "This Python", "this copy") == "is as it was made"
    with (tmp_path / "one" / "_vendor" / "asyncslot" / "tools" / "_facts.py").open("a") as file:
        file.write("# mine\n")
    os.remove(str(tmp_path / "one" / "_vendor" / "asyncslot" / "LICENSE"))
    edited = doctor(package, tmp_path)
    assert edited.returncode == 1
    assert value(edited.stdout, "This Python", "this copy") == "was edited since it was made: LICENSE, tools/_facts.py"


def test_the_doctor_says_what_is_missing(tmp_path, make_plugin):
    """Without site-packages there is no binding, which is no fault inside a host."""
    make_plugin("one")
    done = doctor("one._vendor.asyncslot", tmp_path, "-S")
    assert done.returncode == 1, done.stderr
    assert value(done.stdout, "Qt", "PyQt5") == "cannot be imported"
    assert any(line.startswith("a binding, which every host brings") for line in section(done.stdout, "Qt"))

"""asyncslot.testing: a toy host for plug-ins' own tests: it loads, unloads, reloads, quits, and tells what is left.

Each plug-in here is a package written for the test, with its name on sys.path, as a plug-in author has one.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from asyncslot import testing

ROOT = Path(__file__).resolve().parents[2]

# What QGIS plug-ins look like; {init}, {initGui} and {unload} are what a test puts in.
PLUGIN = """
import asyncio, io, socket, subprocess, sys, threading, time
from qtpy import QtCore, QtWidgets
import asyncslot

kept = []

class Plugin:
    text = ""
    timer = None

    def __init__(self, window):
        self.window = window
        {init}

    def initGui(self):
        self.lease = asyncslot.attach()
        {initGui}

    def unload(self):
        {unload}
        asyncslot.detach()

    async def work(self):
        await asyncio.sleep(0.01)
        self.text = "done"
        await asyncio.sleep(3600)

    async def show(self):
        async with self.lease.progress("Toiling", total=2) as progress:
            progress.advance()
            await asyncio.sleep(3600)

    def fail(self):
        raise ZeroDivisionError

async def cling():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

def hook(*_):
    pass

def classFactory(window):
    return Plugin(window)
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a plug-in's package: write(init=..., initGui=..., unload=..., name=...)."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(init="pass", initGui="pass", unload="pass", name="toy_plugin"):
        package = tmp_path / name
        package.mkdir(exist_ok=True)
        source = PLUGIN.format(init=init, initGui=initGui, unload=unload)
        (package / "__init__.py").write_text(source, encoding="utf-8")
        return name

    return write


@pytest.fixture
def host(app):
    with testing.Host() as host:
        yield host


def load(host, name="toy_plugin"):
    return host.load(name, lambda package: package.classFactory(host.window))


# --- A plug-in that behaves


def test_plugin_that_cleans_up_passes(host, write):
    """Tasks, a widget on the host's window, a timer, a thread job: all of it gone, and nothing is complained about."""
    begin = [
        "self.lease.create_task(self.work())",
        "self.dock = QtWidgets.QDockWidget('Toy', self.window)",
        "self.window.addDockWidget(QtCore.Qt.DockWidgetArea.RightDockWidgetArea, self.dock)",
        "self.timer = QtCore.QTimer(self.dock)",
        "self.timer.start(1000)",
        "self.lease.to_thread(time.sleep, 0)",
    ]
    end = ["self.window.removeDockWidget(self.dock)", "self.dock.deleteLater()"]
    plugin = load(host, write(initGui="; ".join(begin), unload="; ".join(end)))
    host.run_until(lambda: plugin.text == "done")
    host.assert_clean_unload(plugin)
    assert host.errors == []


def test_module_can_be_the_plugin(host, write, tmp_path):
    """As in hosts that call functions of the module, with names of their own."""
    (tmp_path / "toy_module.py").write_text(
        "said = []\ndef start(): said.append('start')\ndef stop(): said.append('stop')"
    )
    plugin = host.load("toy_module", load="start", unload="stop")
    host.unload(plugin)
    assert plugin.said == ["start", "stop"]


# --- What is left

LEFT = {
    "lease": ({"unload": "return"}, "lease of 'toy_plugin', not detached"),
    "thread": (
        {
            "initGui": "self.stop = threading.Event(); "
            "self.thread = threading.Thread(target=self.stop.wait, name='toiler', daemon=True); self.thread.start()"
        },
        r"thread toiler, which runs Event\.wait\(\)",
    ),
    "abandoned task": (
        {"initGui": "self.lease.run_task(cling())", "unload": "return asyncslot.detach(timeout=0.05)"},
        r"(?s)task .* of 'toy_plugin', abandoned in:.* in cling",
    ),
    "job": (
        {
            "initGui": "self.stop = threading.Event(); self.lease.to_thread(self.stop.wait)",
            "unload": "return asyncslot.detach(timeout=0.05)",
        },
        r"thread of 'toy_plugin', in which .*wait.* still runs",
    ),
    "timer": (
        {"initGui": "self.timer = QtCore.QTimer(); self.timer.start(1000)"},
        "QTimer, active, every 1000 ms, held by toy_plugin.Plugin",
    ),
    "widget": (
        {"initGui": "self.dock = QtWidgets.QDockWidget('Toy', self.window); self.dock.setObjectName('ToyDock')"},
        "QDockWidget 'ToyDock', child of a QMainWindow, held by toy_plugin.Plugin",
    ),
    "notifier": (
        {
            "initGui": "self.pair = socket.socketpair(); self.notifier = QtCore.QSocketNotifier("
            "self.pair[0].fileno(), getattr(QtCore.QSocketNotifier, 'Type', QtCore.QSocketNotifier).Read)"
        },
        r"QSocketNotifier, on descriptor \d+, held by toy_plugin.Plugin",
    ),
    "socket": (
        {
            "initGui": "self.socket = socket.create_server(('127.0.0.1', 0)) "
            "if hasattr(socket, 'create_server') else socket.socket()"
        },
        r"open socket \('.*', \d+\), held by toy_plugin.Plugin",
    ),
    "file": (
        {"initGui": "self.file = io.FileIO(__file__)"},
        r"open file '.*toy_plugin\W+__init__.py', held by toy_plugin.Plugin",
    ),
    "process": (
        {"initGui": "self.process = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)"},
        r"child process \d+: \[.*'input\(\)'\], held by toy_plugin.Plugin",
    ),
    "hook": ({"initGui": "sys.excepthook = hook"}, "sys.excepthook: <function hook .*>, of toy_plugin"),
    "path": ({"init": "sys.path.append(__file__[:-len('/__init__.py')])"}, "entry of sys.path: .*toy_plugin"),
}


@pytest.fixture
def tidy(monkeypatch):
    """Return a function that ends what the leaking plug-ins leave."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def tidy(plugin):
        getattr(plugin, "stop", None) and plugin.stop.set()
        for name in ("timer", "dock", "notifier"):
            thing = vars(plugin).pop(name, None)
            if thing is not None:
                name == "notifier" and thing.setEnabled(False)
                name == "timer" and thing.stop()
                thing.deleteLater()
        for thing in [*getattr(plugin, "pair", ()), getattr(plugin, "socket", None), getattr(plugin, "file", None)]:
            thing and thing.close()
        process = getattr(plugin, "process", None)
        if process is not None:
            process.communicate(b"\n")

    return tidy


@pytest.mark.parametrize("what", LEFT)
def test_what_is_left_is_told_with_whose_it_is(host, write, tidy, what):
    """One line, which the author of the plug-in understands."""
    parts, told = LEFT[what]
    plugin = load(host, write(**parts))
    host.run_until(lambda: True)
    try:
        with pytest.raises(AssertionError, match=told) as caught:
            host.assert_clean_unload(plugin, timeout=0.0)
    finally:
        tidy(plugin)
    text = str(caught.value)
    if what == "lease":
        assert len(text.splitlines()) == 2, "the loop's own timers and descriptors are no news"
    assert text.startswith("unloading 'toy_plugin' has left behind, after 0.0 s of waiting for it:\n  ")


def test_module_under_a_name_of_its_own_is_left(host, write, tmp_path):
    """No host forgets it, and after a reload the old one is still in use."""
    name = write(init="sys.path.insert(0, __file__[:-len('/__init__.py')]); import toy_helper; sys.path.pop(0)")
    (tmp_path / name / "toy_helper.py").write_text("")
    plugin = load(host, name)
    try:
        with pytest.raises(AssertionError, match=r"module toy_helper from .*, which is outside of"):
            host.assert_clean_unload(plugin, timeout=0.0)
    finally:
        del sys.modules["toy_helper"]


def test_what_the_test_itself_began_can_be_ignored(host, write, tidy):
    """A server of the test's own, say, whose threads nobody can tell from the plug-in's."""
    plugin = load(host, write(**LEFT["thread"][0]))
    host.assert_clean_unload(plugin, ignore=["thread toiler"])
    tidy(plugin)


def test_later_plugin_must_be_unloaded_earlier(host, write):
    """What two plug-ins leave cannot be told apart."""
    first, second = (load(host, write(name=name)) for name in ("toy_one", "toy_two"))
    with pytest.raises(ValueError, match="'toy_one' was to be unloaded while 'toy_two'"):
        host.assert_clean_unload(first)
    host.assert_clean_unload(second)
    host.assert_clean_unload(first)


def test_plugin_of_no_host_is_refused(host):
    """With what the host has."""
    with pytest.raises(ValueError, match=r"is not loaded in this host, which has \[\]"):
        host.unload(object())


# --- Reload, quit


def test_reload_imports_the_plugin_anew(host, write):
    """The new one is made of new modules and works; nothing of the old one is left."""
    old = load(host, write(initGui="self.lease.create_task(self.work())"))
    new = host.reload(old)
    assert type(new) is not type(old)
    assert not old.lease.is_attached
    host.run_until(lambda: new.text == "done")
    host.assert_clean_unload(new)


def test_reload_tells_what_the_old_one_has_left(host, write):
    """A leak in unload shows, whichever of the two leaks."""
    old = load(host, write(initGui="kept.append(self.window.findChild(QtCore.QTimer) or QtCore.QTimer(self.window))"))
    new = host.reload(old)
    with pytest.raises(AssertionError, match="QTimer, child of a QMainWindow"):
        host.assert_clean_unload(new, timeout=0.0)


def test_quit_while_busy_ends_leases_first(host, write):
    """As in a host that is closed: the lease is gone when unload is called."""
    plugin = load(
        host,
        write(
            initGui="self.task = self.lease.create_task(self.work())",
            unload="self.text = 'attached' if self.lease.is_attached else 'ended before'",
        ),
    )
    host.assert_clean_quit()
    assert plugin.text == "ended before"
    assert plugin.task.cancelled()


# --- What the host shows


def test_errors_are_recorded(host, write):
    """The adapter's report, with the owner in front."""
    plugin = load(host, write(initGui="self.lease.loop.call_soon(self.fail)"))
    host.run_until(lambda: host.errors)
    [error] = host.errors
    assert error.message.startswith("toy_plugin: ")
    assert isinstance(error.exc, ZeroDivisionError)
    host.assert_clean_unload(plugin)


def test_timeout_tells_where_tasks_stand_and_what_was_reported(host, write):
    """Whoever waited in vain wants to know what for."""
    load(host, write(initGui="self.lease.create_task(self.work()); self.lease.loop.call_soon(self.fail)"))
    with pytest.raises(AssertionError) as caught:
        host.run_until(lambda: False, timeout=0.05)
    told = str(caught.value)
    assert "the predicate in " + __file__ in told
    assert "of 'toy_plugin' stands in:" in told
    assert "in work\n" in told
    assert "reported: toy_plugin: " in told


def test_what_a_predicate_raises_is_raised(host):
    """And does not end in Qt."""
    with pytest.raises(ZeroDivisionError):
        host.run_until(lambda: 1 / 0)


def test_progress_can_be_looked_at_and_cancelled(host, write):
    """As the user would with the host's Cancel button."""
    plugin = load(host, write(initGui="self.task = self.lease.create_task(self.show())"))
    host.run_until(lambda: host.displays and host.displays[-1].updates[-1] == (0.5, ""))
    host.displays[-1].cancel()
    host.run_until(plugin.task.cancelled)
    assert (host.displays[-1].title, host.displays[-1].is_closed) == ("Toiling", True)
    host.assert_clean_unload(plugin)


# --- The host itself


def test_hosts_follow_each_other(app, write):
    """What one has loaded, the next one imports anew; what the test had imported is there again."""
    name = write()
    __import__(name)
    imported = sys.modules[name]
    try:
        for _ in range(3):
            with testing.Host() as host:
                plugin = host.reload(load(host, name))
                assert sys.modules[name] is not imported
                host.assert_clean_unload(plugin)
            assert sys.modules[name] is imported
    finally:
        del sys.modules[name]


def test_end_of_the_host_ends_its_plugins(app, write):
    """A test that fails midway leaves nothing to the next one."""
    with testing.Host() as host:
        plugin = load(host, write())
    assert not plugin.lease.is_attached
    assert "toy_plugin" not in sys.modules


def test_failing_load_forgets_the_modules(host, write):
    """And the author sees the error."""
    with pytest.raises(ZeroDivisionError):
        load(host, write(init="1 / 0"))
    assert "toy_plugin" not in sys.modules


WITHOUT_DISPLAY = """
import os
for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
    os.environ.pop(name, None)
from asyncslot import NoApplicationError, testing
try:
    testing.Host().__enter__()
except NoApplicationError as exc:
    print(exc)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have a display")
def test_no_display_is_an_error_that_tells_what_to_do(run_python):
    """Qt would abort the whole process."""
    assert "Set QT_QPA_PLATFORM=offscreen" in run_python(WITHOUT_DISPLAY).stdout


# As the docstring and the README have it, with unittest in the second.
PROJECT = {
    "my_plugin/__init__.py": """
def classFactory(iface):
    from .plugin import Plugin
    return Plugin(iface)
""",
    "my_plugin/_vendor/__init__.py": "",
    "my_plugin/plugin.py": """
import asyncio
from ._vendor import asyncslot

class Plugin:
    def __init__(self, iface):
        self.bar = iface.messageBar()

    def initGui(self):
        asyncslot.attach().create_task(self.greet())

    def unload(self):
        asyncslot.detach()

    async def greet(self):
        await asyncio.sleep(0.1)
        self.bar.pushMessage("Hello")
""",
    "conftest.py": 'pytest_plugins = ["my_plugin._vendor.asyncslot.testing"]\n',
    "test_plugin.py": """
from unittest import mock

def load(host, iface):
    return host.load("my_plugin", lambda package: package.classFactory(iface))

def test_greets_and_leaves_nothing(asyncslot_host):
    iface = mock.Mock()
    plugin = load(asyncslot_host, iface)
    asyncslot_host.run_until(lambda: iface.messageBar().pushMessage.called, timeout=5)
    asyncslot_host.assert_clean_unload(plugin)

def test_survives_reload(asyncslot_host):
    plugin = asyncslot_host.reload(load(asyncslot_host, mock.Mock()))
    asyncslot_host.assert_clean_unload(plugin)

def test_quit_while_busy(asyncslot_host):
    load(asyncslot_host, mock.Mock())
    asyncslot_host.assert_clean_quit()
    assert asyncslot_host.errors == []
""",
    "test_with_unittest.py": """
import unittest
from unittest import mock
from my_plugin._vendor.asyncslot import testing

class Test(unittest.TestCase):
    def test_leaves_nothing(self):
        with testing.Host() as host:
            plugin = host.load("my_plugin", lambda package: package.classFactory(mock.Mock()))
            host.assert_clean_unload(plugin)

if __name__ == "__main__":
    unittest.main()
""",
}


@pytest.mark.parametrize(
    "command", ["-m pytest -q -W error -p no:cacheprovider -p no:asyncio", "-m unittest test_with_unittest"]
)
def test_project_of_an_author_passes(tmp_path, command):
    """A plug-in with a vendored copy, its conftest.py, its tests: with pytest, and with unittest alone.

    Not with pytest-asyncio, where that is installed for others: it warns of a setting that the project has no need of.
    """
    for name, content in PROJECT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    vendor = [sys.executable, str(ROOT / "scripts" / "vendor.py"), str(tmp_path / "my_plugin" / "_vendor")]
    subprocess.run(vendor, check=True, stdout=subprocess.PIPE)
    done = subprocess.run(
        [sys.executable, *command.split()],
        cwd=str(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout

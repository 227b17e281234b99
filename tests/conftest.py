"""What every test shares: a Qt application, options, and a look at what is left over.

One process has one binding: the one that QtPy chooses (set QT_API to choose
another). Tests that need a virgin process start one with `run_python`.
"""

import contextlib
import gc
import os
import signal
import threading
import time
from pathlib import Path

import patience

# Before any Qt is loaded. Tests that need a real window system start one themselves.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest

import own_programs
from asyncslot import _meeting
from callers import call_as
from descriptors import open_descriptors
from fork_server import Programs, can_fork
from mini_host_user import MiniHost


def pytest_addoption(parser):
    parser.addoption(
        "--require-hosts",
        action="store_true",
        help="a test that needs a real host application fails, and is not skipped, where that host is not installed",
    )
    parser.addoption(
        "--require-guests",
        action="store_true",
        help="a test that needs an asyncio library or its server fails, and is not skipped, where it is not installed",
    )
    parser.addoption(
        "--wait",
        choices=["native", "thread"],
        default="native",
        help="which way of waiting the loop uses: this system's own, or, on Linux, that of other systems",
    )
    parser.addoption(
        "--slow-in",
        action="append",
        default=[],
        metavar="DIRECTORY",
        help="of the slow tests run only those of this directory; may be given several times",
    )


def pytest_collection_modifyitems(config, items):
    """Leave out the slow tests of other directories than those of --slow-in."""
    places = [config.rootpath / place for place in config.getoption("--slow-in")]
    if places:
        left_out = {item for item in items if item.get_closest_marker("slow") and not {*places} & {*item.path.parents}}
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


# How a process is made to wait in a thread, here and in those that run_python() starts.
FORCE_THREAD = """
from asyncslot import _selector, _unix
_unix.PlatformLoop._as_make_wait = _selector.SelectorMixin._as_make_wait
"""


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that starts something in the background has it ignore Ctrl+C, which tests send.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--wait") == "thread":
        exec(FORCE_THREAD)


def pytest_collection_finish(session):
    """Let the garbage collector pass by what pytest has made so far, or each test's look at it takes longer than it."""
    _freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """The same for what a test file's end leaves for good: a library that it has imported is 80,000 objects."""
    if nextitem is None or nextitem.path != item.path:
        _freeze()


def _freeze():
    gc.collect()
    gc.freeze()


@pytest.fixture
def unfrozen():
    """For Hypothesis 6.79, Python 3.7's last, which looks for what refers to its generator of random numbers."""
    gc.unfreeze()
    yield
    gc.freeze()


@pytest.fixture
def host_missing(request):
    """Return a function that skips the test, or fails it under --require-hosts, saying why."""
    return lambda reason: _missing(request.config, "--require-hosts", reason)


@pytest.fixture
def guest_missing(request):
    """The same for asyncio libraries, under --require-guests."""
    return lambda reason: _missing(request.config, "--require-guests", reason)


def _missing(config, option, reason):
    if config.getoption(option):
        pytest.fail(f"{reason}, and {option} was given")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def app():
    """The QApplication of this test process."""
    from qtpy import QtWidgets

    return QtWidgets.QApplication.instance() or QtWidgets.QApplication(["tests"])


@pytest.fixture
def spin(app):
    """Return a function that runs the host's Qt loop until a condition holds: spin(until)."""
    from qtpy import QtCore

    def spin(until):
        event_loop = QtCore.QEventLoop()

        def ask():
            if until():
                event_loop.quit()

        poll = QtCore.QTimer()
        poll.timeout.connect(ask)
        poll.start(1)
        limit = QtCore.QTimer()
        limit.setSingleShot(True)
        limit.timeout.connect(event_loop.quit)
        limit.start(int(patience.FOR_THE_LOOP * 1000))
        run = getattr(event_loop, "exec", None) or event_loop.exec_
        try:
            run()
        finally:
            # A traceback may keep this frame until the collector ends it, in whichever thread that runs. There a timer
            # that goes on is deleted, but not taken from Qt's list, and Qt crashes when it is due (seen 2026-11).
            poll.stop()
            limit.stop()
        # And PySide keeps what is connected, where no collector looks. Its disconnect() may fail while another thread
        # connects (6.12.0 on Python 3.14, under wine, seen 2026-11).
        with contextlib.suppress(SystemError):
            poll.timeout.disconnect(ask)
        assert until(), f"the Qt loop ran for {patience.FOR_THE_LOOP:.0f} s and the condition still does not hold"

    return spin


@pytest.fixture
def lease(app, attach_as, request):
    """A lease of the module that the test is in, named "test", detached at the end."""
    with attach_as(request.module.__name__, "test") as lease:
        yield lease


@pytest.fixture
def attach_as(app):
    """Return a function that calls attach() as another module would: attach_as("plugin.dock", *arguments)."""
    return lambda module, *args, **kwargs: call_as(module, "attach", *args, **kwargs)


class Recorder:
    """A host that writes down what is reported to it."""

    NAME = "Recorder"

    def __init__(self):
        self.reports = []

    def is_running(self):
        return True

    def qt_core(self):
        from qtpy import QtCore

        from asyncslot._binding import find_qt_core

        assert QtCore is not None
        return find_qt_core()

    def gui_parent(self):
        return None

    def on_quit(self, callback):
        return lambda: None

    def report(self, message, exc):
        self.reports.append((message, type(exc)))

    def progress(self, title, cancel):
        return None


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def run_coro(lease, spin):
    """Return a function that runs a coroutine as a task of the lease, with Qt's loop, and returns its result."""
    lease.loop.set_debug(True)  # asyncio then sees what is called in the wrong thread
    lease.loop.slow_callback_duration = 60  # or it would tell the log how slow a machine is

    def run_coro(coro):
        task = lease.create_task(coro)
        spin(task.done)
        return task.result()

    return run_coro


@pytest.fixture(scope="session")
def programs():
    """What runs the programs of tests; see fork_server.py."""
    programs = Programs()
    yield programs
    programs.close()


@pytest.fixture
def run_python(request, programs):
    """Return a function that runs a program in a process of its own: run_python(source) -> CompletedProcess.

    With `is_bare` nothing runs before the program, not even what makes its loop wait in a thread. A program with
    variables of its own is started as usual: an import may have read them.
    """

    prelude = FORCE_THREAD if request.config.getoption("--wait") == "thread" else ""

    def run(source, timeout=patience.FOR_A_PROGRAM, check=True, env=None, is_bare=False):
        forks = can_fork(source) and not env and not is_bare
        done = programs.run(source if is_bare else prelude + source, timeout=timeout, env=env, forks=forks)
        if check:
            assert done.returncode == 0, f"rc {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def program(run_python):
    """Return a function that runs a program which has an application, a loop of ours and a log, see own_programs."""
    return lambda source, **kwargs: run_python(own_programs.PROGRAM + source, **kwargs)


@pytest.fixture
def mini_host(tmp_path, programs):
    """Return a function that runs examples/mini_host: mini_host(steps, plugin_name=source, ...) -> its output."""
    return MiniHost(tmp_path / "plugins", programs).run


@pytest.fixture
def certificate():
    """A self-signed certificate for localhost, with its key, in one file; good for a hundred years.

    Made with openssl, which is not to be had everywhere, and kept:
    openssl req -x509 -newkey rsa:2048 -nodes -days 36500 -subj /CN=localhost -addext subjectAltName=DNS:localhost
    """
    return str(Path(__file__).with_name("support") / "localhost.pem")


def _connections(before):
    """Return what is open now and was not before: sockets, pipes, epolls and the like."""
    new = {fd: target for fd, target in open_descriptors().items() if before.get(fd) != target}
    return {fd: target for fd, target in new.items() if target.startswith(("socket:", "anon_inode:[", "pipe:"))}


@pytest.fixture
def windows(app):
    """For tests that show windows: Qt 6 then starts and ends threads of its own as it likes, each with an eventfd."""


@pytest.fixture(autouse=True)
def nothing_left_over(request):
    """Every test leaves the process as it found it: descriptors, our threads, leases."""
    if "app" in request.fixturenames:
        request.getfixturevalue("app")  # Qt opens descriptors of its own, once
    before = open_descriptors()
    yield
    gc.collect()
    assert not _meeting._all_places(), f"the test left leases: {_meeting._all_places()}"
    for thread in threading.enumerate():
        if thread.name.startswith("asyncslot"):
            thread.join(5)
            assert not thread.is_alive(), f"the test left the thread {thread.name} running"
    if "windows" in request.fixturenames:
        before.update({fd: target for fd, target in open_descriptors().items() if target == "anon_inode:[eventfd]"})
    deadline = time.monotonic() + 5
    while _connections(before) and time.monotonic() < deadline:
        time.sleep(0.01)  # a library (grpc) may close its own in a thread
    left = _connections(before)
    assert not left, f"the test left descriptors open: {left}"

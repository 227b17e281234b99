"""asyncslot.testing on what a library leaves behind in the settings of the process."""

import asyncio
import builtins
import gc
import logging
import os
import signal
import socket
import sys
import threading
import warnings

import pytest

from asyncslot.tools import _settings
from leaving import is_matched, lines_of

pytestmark = pytest.mark.slow


def handlers():
    """Return what handles the signals, by number."""
    found = {}
    for number in range(1, signal.NSIG):
        try:
            found[number] = signal.getsignal(number)
        except ValueError:
            pass  # reserved by the C library
    return found


def wakeup_fd():
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    return descriptor


@pytest.fixture
def put_back(monkeypatch):
    """Put back, at the end, every setting that a plug-in here changes."""
    hooks = [(sys, name) for name in ("excepthook", "displayhook", "unraisablehook", "stdout")]
    hooks += [(threading, "excepthook"), (warnings, "showwarning"), (builtins, "__import__"), (logging, "lastResort")]
    hooks += [(asyncio.events, "_event_loop_policy")]
    for module, name in hooks:
        if hasattr(module, name):
            monkeypatch.setattr(module, name, getattr(module, name))
    root = logging.getLogger()
    lists = [(each, list(each)) for each in (root.handlers, root.filters, sys.meta_path, gc.callbacks)]
    level, disabled, factory = root.level, root.manager.disable, logging.getLogRecordFactory()
    signals, descriptor = handlers(), wakeup_fd()
    yield
    for number, handler in signals.items():
        if handler is not signal.getsignal(number):
            signal.signal(number, handler)
    signal.set_wakeup_fd(descriptor)
    for each, content in lists:
        each[:] = content
    root.setLevel(level)
    logging.disable(disabled)
    logging.setLogRecordFactory(factory)
    logging.captureWarnings(False)


# --- Settings of the process

SET = {
    "handler of a library": (
        "toy_library.serve(self.lease.loop)",
        [
            r"handler of SIGINT: <function serve\.<locals>\.on_signal at 0x\w+>, of toy_library; it was .+",
            r"handler of SIGTERM: <function serve\.<locals>\.on_signal at 0x\w+>, of toy_library; it was .+",
        ],
    ),
    "handler of the plug-in": (
        "signal.signal(signal.SIGTERM, hook)",
        [r"handler of SIGTERM: <function hook at 0x\w+>, of toy_plugin; it was .+"],
    ),
    "another root handler": (
        "logging.getLogger().addHandler(toy_library.Handler())",
        [r"handler of the root logger: <Handler \(NOTSET\)>, of toy_library"],
    ),
    "root handler of Python": (
        "logging.getLogger().addHandler(logging.NullHandler())",
        [r"handler of the root logger: <NullHandler \(NOTSET\)>"],
    ),
    "filter": (
        "logging.getLogger().addFilter(hook)",
        [r"filter of the root logger: <function hook at 0x\w+>, of toy_plugin"],
    ),
    "level": (
        "logging.getLogger().setLevel(logging.getLogger().level + 7)",
        [r"level of the root logger: .+; it was \w+"],
    ),
    "silence": ("logging.disable(logging.INFO)", [r"level up to which logging is disabled: INFO; it was NOTSET"]),
    "last resort": ("logging.lastResort = None", [r"logging\.lastResort: None; it was <_StderrHandler .+>"]),
    "record factory": (
        "logging.setLogRecordFactory(toy_library.hook)",
        [r"factory of log records: <function hook .+>, of toy_library; it was <class 'logging.LogRecord'>"],
    ),
    "warnings into the log": (
        "logging.captureWarnings(True)",
        [r"warnings\.showwarning: <function _showwarning .+>, of logging; it was .+"],
    ),
    "excepthook": (
        "sys.excepthook = toy_library.hook",
        [r"sys\.excepthook: <function hook .+>, of toy_library; it was .+"],
    ),
    "displayhook": ("sys.displayhook = hook", [r"sys\.displayhook: <function hook .+>, of toy_plugin; it was .+"]),
    "stream": ("sys.stdout = Stream()", [r"sys\.stdout: <toy_plugin\.Stream .+>, of toy_plugin; it was .+"]),
    "import function": (
        "builtins.__import__ = lambda *args, real=builtins.__import__, **more: real(*args, **more)",
        [r"builtins\.__import__: <function .+>, of toy_plugin; it was .+"],
    ),
    "finder": (
        "sys.meta_path.append(Finder())",
        [r"entry of sys\.meta_path: <toy_plugin\.Finder .+>, of toy_plugin"],
    ),
    "collector": (
        "gc.callbacks.append(hook)",
        [r"entry of gc\.callbacks: <function hook .+>, of toy_plugin"],
    ),
}
if sys.version_info >= (3, 8):
    SET["unraisablehook"] = (
        "sys.unraisablehook = hook",
        [r"sys\.unraisablehook: <function hook .+>, of toy_plugin; it was .+"],
    )
    SET["hook of threads"] = (
        "threading.excepthook = toy_library.hook",
        [r"threading\.excepthook: <function hook .+>, of toy_library; it was .+"],
    )
if sys.version_info < (3, 14):  # from there on deprecated
    SET["event-loop policy"] = (
        "asyncio.set_event_loop_policy(type('Policy', (asyncio.DefaultEventLoopPolicy,), {'__module__': __name__})())",
        [r"event-loop policy: <toy_plugin\.Policy .+>, of toy_plugin; it was None"],
    )
if hasattr(signal, "SIGUSR2"):
    SET["any signal"] = (
        "signal.signal(signal.SIGUSR2, signal.SIG_IGN)",
        [r"handler of SIGUSR2: <Handlers\.SIG_IGN: 1>; it was <Handlers\.SIG_DFL: 0>"],
    )
if hasattr(signal, "SIGRTMIN"):
    SET["signal without a name"] = (
        "signal.signal(signal.SIGRTMIN + 3, hook)",
        [r"handler of signal \d+: <function hook .+>, of toy_plugin; it was <Handlers\.SIG_DFL: 0>"],
    )


@pytest.mark.parametrize("what", SET)
def test_a_setting_that_is_not_the_hosts_any_more_is_told(left, put_back, what):
    """In one line, whoever's function it is, with whose it is and what was there before."""
    initGui, patterns = SET[what]
    lines = left(initGui)
    assert is_matched(lines, patterns), lines


@pytest.mark.parametrize("what", SET)
def test_a_setting_that_was_like_that_before_is_not_told(load, put_back, what):
    """It is the host's own then, or another plug-in's."""
    earlier = load(SET[what][0], name="toy_earlier")
    assert lines_of(load.host, load("pass")) == []
    assert lines_of(load.host, earlier) != []


def test_a_setting_that_is_put_back_is_not_told(left, put_back):
    """Whatever it was in between."""
    initGui = [
        "self.before = signal.signal(signal.SIGTERM, hook), sys.excepthook, logging.getLogger().level",
        "sys.excepthook = hook",
        "logging.getLogger().setLevel(1)",
        "logging.getLogger().addHandler(toy_library.Handler())",
    ]
    unload = [
        "signal.signal(signal.SIGTERM, self.before[0])",
        "sys.excepthook = self.before[1]",
        "logging.getLogger().setLevel(self.before[2])",
        "logging.getLogger().handlers.pop()",
    ]
    assert left("; ".join(initGui), "; ".join(unload)) == []


def test_a_root_handler_of_the_hosts_that_is_gone_is_told(left, put_back):
    """As logging.basicConfig(force=True) does it."""
    logging.getLogger().addHandler(logging.NullHandler())
    assert left("logging.getLogger().handlers.pop()") == ["handler of the root logger is gone: <NullHandler (NOTSET)>"]


def test_a_finder_of_a_library_is_not_told(left, put_back):
    """Many put one there when they are imported (six, setuptools), and they stay loaded in real hosts, too."""
    assert left("sys.meta_path.append(toy_library.Finder())") == []


@pytest.fixture
def loaded(load):
    """The plug-in, loaded before pytest goes from the fixtures on to the test."""
    return load("pass"), sys.stdout


def test_what_pytest_has_put_there_is_not_told(load, loaded, capsys):
    """It changes streams and hooks between a fixture and its test."""
    plugin, stdout_before = loaded
    assert sys.stdout is not stdout_before
    load.host.assert_clean_unload(plugin, timeout=0.0)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="loops handle signals on Unix only")
def test_a_signal_that_a_loop_handles_is_told_with_the_loops_callback(left, put_back):
    """The handler itself is asyncio's, and says nothing."""
    begin = "self.loop = asyncio.SelectorEventLoop(); self.loop.add_signal_handler(signal.SIGUSR2, toy_library.hook)"
    lines = left(begin, "toy_library.left = self.loop")
    try:
        told = r"handler of SIGUSR2: <function hook .+>, of toy_library, by add_signal_handler\(\); it was .+"
        assert [line for line in lines if is_matched([line], [told])], lines
    finally:
        sys.modules["toy_library"].left.close()


# --- The wakeup descriptor


@pytest.fixture
def pair():
    """Two sockets that do not block."""
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    yield pair
    for end in pair:
        end.close()


def test_a_wakeup_descriptor_that_is_left_is_told(left, put_back):
    """With whose socket it is."""
    begin = "self.near, self.far = toy_library.pair = socket.socketpair(); self.near.setblocking(False); "
    lines = left(begin + "signal.set_wakeup_fd(self.near.fileno())")
    near, far = sys.modules["toy_library"].pair
    told = rf"wakeup fd of signals: {near.fileno()}, held by toy_plugin\.Plugin; it was -1"
    signal.set_wakeup_fd(-1)
    near.close()
    far.close()
    assert is_matched([line for line in lines if line.startswith("wakeup")], [told]), lines


def test_a_wakeup_descriptor_that_is_closed_is_told_each_time(load, put_back, pair):
    """It cannot be put back after it was read; and the check looks several times."""
    plugin = load("pass")
    signal.set_wakeup_fd(pair[0].fileno())
    number = pair[0].fileno()
    pair[0].close()
    told = [f"wakeup fd of signals: {number}, which is closed; it was -1"]
    assert lines_of(load.host, plugin, timeout=0.1) == told


def test_the_hosts_wakeup_descriptor_stays(load, put_back, pair):
    """Reading it takes it out and puts it back: it is there afterwards, and signals still write to it."""
    signal.signal(signal.SIGTERM, lambda *args: None)
    signal.set_wakeup_fd(pair[0].fileno())
    load.host.assert_clean_unload(load("pass"), timeout=0.0)
    signal.raise_signal(signal.SIGTERM) if sys.version_info >= (3, 8) else os.kill(os.getpid(), signal.SIGTERM)
    assert pair[1].recv(1) == bytes([signal.SIGTERM])
    assert wakeup_fd() == pair[0].fileno()


def test_settings_are_read_in_other_threads_too():
    """The GUI thread need not be Python's main thread, outside of which nobody may touch the wakeup descriptor."""
    told = []
    thread = threading.Thread(target=lambda: told.append(_settings.Settings().changes()))
    thread.start()
    thread.join()
    assert told == [[]]

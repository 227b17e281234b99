"""Our loop in the place of asyncio's, for CPython's tests.

The tests of `test.test_asyncio` get their loops in four places: the class in
`asyncio`, its twin in the module of this system (`unix_events`, `windows_events`),
the default policy, and from Python 3.13 on the alias `EventLoop`. `replace()` puts
a loop class of ours into all of them. Two modes:

    nested      AsyncSlotEventLoop as it is: run_forever() runs a Qt loop.
    attached    the loop that a plug-in gets. It cannot be run, only be attached to
                a Qt loop that somebody else runs; so the class below plays that
                somebody, and the loop is asyncio's running loop in steps only.
                What attach() adds on top, leases and reports, is not in it.

What replace() cannot prevent is counted: a test that makes asyncio's own loop all
the same (`Replacement.strangers`).

Three test classes make a loop without an inside and put mocks there. `adapt()`
gives them a whole one.

Relies on these private parts of ours: `_as_attach _as_detach _as_check_may_run
_as_collect _as_interrupted _as_stop _as_make_wait _as_wake _as_wait _as_idle
_as_batch`.
"""

import asyncio
import sys
from asyncio import base_events
from unittest import mock

from asyncslot import AsyncSlotEventLoop
from asyncslot._binding import find_qt_core, run_qt_loop
from asyncslot._selector import SelectorMixin

MODES = ("nested", "attached", "plain")
WAITS = ("native", "thread")

# asyncio's own loop, from which ours descends: the selector loop on Unix, the proactor loop on Windows.
_OWN_LOOP = asyncio.ProactorEventLoop if sys.platform == "win32" else asyncio.SelectorEventLoop
_OWN_NAME = "ProactorEventLoop" if sys.platform == "win32" else "SelectorEventLoop"
_OWN_MODULE = sys.modules[_OWN_LOOP.__module__]


class _Counted:
    """Counts how often a loop of ours is run.

    asyncio's class takes a selector; ours brings its own, and the one passed is
    closed. Tests that differ in nothing else are left out (`expected.py`).
    """

    runs = 0

    def __init__(self, selector=None):
        if selector is not None:
            selector.close()
        super().__init__()

    def run_forever(self):
        _Counted.runs += 1
        super().run_forever()


class NestedLoop(_Counted, AsyncSlotEventLoop):
    """The loop as it is."""


class _HostedLoop(AsyncSlotEventLoop):
    """A loop attached to the Qt loop of a host, with the host included.

    run_forever() is the host: it attaches, runs Qt and detaches. stop() asks the
    host to quit. What a real host would show to its users instead of dying of it
    (SystemExit, KeyboardInterrupt) is raised to the caller, who is the host here.
    """

    def __init__(self):
        super().__init__()
        self._host_loop = None
        self._host_exception = None

    def run_forever(self):
        self._as_check_may_run()
        qt_core = find_qt_core()
        self._as_attach(qt_core)
        self._host_loop = qt_core.QEventLoop()
        try:
            if self._stopping:
                # stop() before run_forever() means one turn, in asyncio as here.
                self._as_collect(0)
                self._as_wait.wake_soon()
            run_qt_loop(self._host_loop)
        finally:
            self._host_loop = None
            self._stopping = False
            self._as_detach()
        exc, self._host_exception = self._host_exception, None
        if exc is not None:
            try:
                raise exc
            finally:
                exc = None  # or the traceback and this frame keep each other alive

    def stop(self):
        self._stopping = True
        if self._as_idle:
            self._as_wake()

    def _as_stop(self):
        if self._host_loop is not None:
            self._host_loop.quit()

    def _as_interrupted(self, exc):
        self._host_exception = exc
        self._host_loop.quit()


class AttachedLoop(_Counted, _HostedLoop):
    """The loop as a plug-in has it."""


class Replacement:
    """What replace() did, and what came of it.

    Attributes:
        loop_class: what the tests get, or None in plain mode.
        strangers: how many loops of asyncio's own were made.
    """

    def __init__(self, loop_class):
        self.loop_class = loop_class
        self.strangers = 0

    @property
    def runs(self):
        """How often a loop of ours was run."""
        return _Counted.runs


def make_application():
    """Return the application that Qt loops need; whoever gets it must keep it."""
    return find_qt_core().QCoreApplication(["cpython-tests"])


def replace(mode, wait="native"):
    """Make asyncio hand out our loops from now on; in plain mode, change nothing.

    Args:
        wait: "thread" forces the way of waiting that other systems have.
    """
    if mode == "plain":
        return Replacement(None)
    loop_class = NestedLoop if mode == "nested" else AttachedLoop
    if wait == "thread":
        loop_class._as_make_wait = SelectorMixin._as_make_wait
    replacement = Replacement(loop_class)
    _watch_for_strangers(replacement)
    for module in (asyncio, _OWN_MODULE):
        setattr(module, _OWN_NAME, loop_class)
        if hasattr(module, "EventLoop"):  # Python 3.13
            module.EventLoop = loop_class
    # The second name is Python 3.14's. In 3.16 there are no policies, and this must be looked at again.
    policy = getattr(_OWN_MODULE, "DefaultEventLoopPolicy", None) or _OWN_MODULE._DefaultEventLoopPolicy
    policy._loop_factory = loop_class
    loop = asyncio.new_event_loop()
    loop.close()
    assert type(loop) is loop_class, f"asyncio.new_event_loop() made {loop!r}, and not a {loop_class.__name__}"
    return replacement


def _watch_for_strangers(replacement):
    """Count the loops of asyncio's own that are made. Ours descend from them, and do not count."""
    original = _OWN_LOOP.__init__

    def watched(self, *args, **kwargs):
        if not isinstance(self, replacement.loop_class):
            replacement.strangers += 1
        original(self, *args, **kwargs)

    _OWN_LOOP.__init__ = watched


# Which fixture of which class makes a bare BaseEventLoop, that can neither poll nor be woken, and puts mocks where
# a real loop has its selector. What these tests are about (callbacks, timers, errors, asyncio.Runner) is ours as well.
_FIXTURES_WITH_MOCKS = {
    "test_base_events": ("BaseEventLoopTests", "setUp"),
    "test_pep492": ("BaseTest", "setUp"),
    "test_runners": ("BaseTest", "new_loop"),
}

_WAYS_TO_WAIT = ("_selector", "_process_events", "_write_to_self")


def adapt(module, replacement):
    """Let a test module that makes mocked-up loops make whole ones."""
    name = module.__name__.rpartition(".")[2]
    if replacement.loop_class is None or name not in _FIXTURES_WITH_MOCKS:
        return
    class_name, fixture_name = _FIXTURES_WITH_MOCKS[name]
    test_class = getattr(module, class_name)
    fixture = getattr(test_class, fixture_name)
    setattr(test_class, fixture_name, _without_mocks(fixture, replacement.loop_class))


def _without_mocks(fixture, loop_class):
    """Return a fixture that makes loops of ours, and on which mocks do not stay."""

    class WholeLoop(loop_class):
        whole = None  # what a test may not replace, once the fixture is done

        def __setattr__(self, name, value):
            if self.whole is None or name not in self.whole or not isinstance(value, mock.Mock):
                super().__setattr__(name, value)

    def wrapper(self):
        made = []

        def make_loop():
            loop = WholeLoop()
            made.append((loop, {name: getattr(loop, name) for name in _WAYS_TO_WAIT}))
            return loop

        with mock.patch.object(asyncio, "BaseEventLoop", make_loop):
            with mock.patch.object(base_events, "BaseEventLoop", make_loop):
                result = fixture(self)
        for loop, whole in made:
            vars(loop).update(whole=whole, **whole)
        return result

    return wrapper

"""How the loop is called back where Qt cannot watch all of its I/O: one daemon thread.

On Windows a completion port is no descriptor, and on macOS Qt does not watch a
kqueue. There a thread blocks in the system's own wait, and tells the GUI thread
when there is something; the GUI thread then polls for itself, so that nothing
but the news crosses from thread to thread.

    GUI thread                          thread
    step ends, nothing ready  --watch-> block() ... something is ready
    step  <--nudge (queued start of a 0 ms timer)--

The thread blocks until there is news, however many steps go by for other
reasons, and after the news until it is asked to watch again. While nothing is
registered that it could watch, it is not even started.

What other threads hold has nothing of Qt's: one of them may let go of it last, long after
close(). Were it an object whose methods are connected to signals, PySide2 would end the
process there now and then (5.15.2, seen 2026-11).
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Optional

from ._binding import enum_member
from ._clock import monotonic
from ._wait import TimerWait

# How long close() waits for the thread to notice; it is a daemon, should it not.
_PATIENCE = 1.0

# Seconds after which a thread that could not be started is tried again.
_RETRY = 0.1


class ThreadWait(TimerWait):
    """Call `step` when `block` has returned, when a deadline has come, or soon.

    Args:
        qt_core: the binding's QtCore module; its objects live in the calling thread.
        block: called in the thread; returns when there is I/O to be polled for,
            or after `interrupt`.
        interrupt: makes `block` return; called in the GUI thread.
        has_io: whether there is anything that `block` could return for.
        step: as in TimerWait.
    """

    def __init__(
        self,
        qt_core: Any,
        block: Callable[[], None],
        interrupt: Callable[[], None],
        has_io: Callable[[], bool],
        step: Callable[[Any], None],
    ) -> None:
        super().__init__(qt_core, step)
        self._interrupt = interrupt
        self._has_io = has_io
        self._thread: Optional[threading.Thread] = None
        self.nudge_threadsafe = self._nudge = _Nudge(qt_core, self._soon)
        self._waiter = _Waiter(block, self._nudge)

    def describe(self) -> str:
        """Say how the loop waits, for reports."""
        return f"a thread, {'not needed so far' if self._thread is None else 'running'} ({type(self).__name__})"

    def rest(self, until: Optional[float]) -> None:
        """Call `step` when there is I/O, and at `until` (seconds, the loop's clock) if that is not None."""
        super().rest(until)
        self.watch()

    def watch(self) -> None:
        """Let the thread wait for I/O, if there is any to wait for and it is not waiting already."""
        waiter = self._waiter
        if waiter.is_waiting or waiter.is_closed or not self._has_io():
            return
        if self._thread is None:
            thread = threading.Thread(target=waiter.run, name="asyncslot-wait", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the process can have no more of them just now
                self.wake_at(monotonic() + _RETRY)
                return
            self._thread = thread
        waiter.is_waiting = True
        waiter.request.release()

    def close(self) -> None:
        """Call `step` no more, and end the thread. Safe inside `step`, and twice."""
        waiter = self._waiter
        if waiter.is_closed:
            return
        waiter.is_closed = True
        waiter.closing.set()
        if self._thread is not None:
            waiter.request.release()
            self._interrupt()
            self._thread.join(_PATIENCE)
        self._nudge.end()
        super().close()


class _Waiter:
    """What the thread runs, and what it is told."""

    def __init__(self, block: Callable[[], None], nudge: Callable[[], None]) -> None:
        self.is_waiting = False  # set in the GUI thread, cleared by the other
        self.is_closed = False
        self.closing = threading.Event()
        self.request = threading.Semaphore(0)
        self._block = block
        self._nudge = nudge

    def run(self) -> None:
        """Wait each time that it is requested, until closed."""
        failures = 0
        while True:
            self.request.acquire()
            if self.is_closed:
                return
            try:
                self._block()
                failures = 0
            except BaseException:
                # A descriptor was closed under it, or there was no memory: the GUI thread's own poll
                # deals with that. Whatever it is, I/O would never be heard of again without this thread.
                failures += 1
                if failures > 1 and self.closing.wait(min(1.0, 0.005 * 2.0 ** min(failures, 10))):
                    return
            if self.is_closed:
                return
            self.is_waiting = False
            self._nudge()


class _Nudge:
    """A call that starts a timer in the timer's thread. Any thread.

    Args:
        qt_core: the binding's QtCore module.
        timer: a QTimer, which only the calling thread may ever let go of.
    """

    def __init__(self, qt_core: Any, timer: Any) -> None:
        self._timer = timer
        self._invoke = qt_core.QMetaObject.invokeMethod
        self._queued = enum_member(qt_core.Qt, "ConnectionType", "QueuedConnection")
        # Held while another thread has the timer on its stack. Reentrant: what garbage collection or a signal handler
        # runs in between may call this, too.
        self._lock = threading.RLock()

    def __call__(self) -> None:
        with self._lock:
            if self._timer is not None:
                try:
                    self._invoke(self._timer, "start", self._queued)
                except RuntimeError:
                    pass  # the application is gone, as in close(), and nobody steps any more

    def end(self) -> None:
        """Do nothing any more when called."""
        with self._lock:
            self._timer = None

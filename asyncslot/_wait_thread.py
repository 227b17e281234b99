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
        self._block = block
        self._interrupt = interrupt
        self._has_io = has_io
        self._is_watching = False  # set here, cleared by the thread
        self._is_closed = False
        self._closing = threading.Event()
        self._request = threading.Semaphore(0)
        self._thread: Optional[threading.Thread] = None
        self._invoke = qt_core.QMetaObject.invokeMethod
        self._queued = enum_member(qt_core.Qt, "ConnectionType", "QueuedConnection")

    def nudge_threadsafe(self) -> None:
        """Call `step` soon, in the GUI thread. Any thread."""
        try:
            self._invoke(self._soon, "start", self._queued)
        except RuntimeError:
            pass  # the application is gone, as in close(), and nobody steps any more

    def rest(self, until: Optional[float]) -> None:
        """Call `step` when there is I/O, and at `until` (seconds, the loop's clock) if that is not None."""
        super().rest(until)
        self.watch()

    def watch(self) -> None:
        """Let the thread wait for I/O, if there is any to wait for and it is not waiting already."""
        if self._is_watching or self._is_closed or not self._has_io():
            return
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="asyncslot-wait", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the process can have no more of them just now
                self.wake_at(monotonic() + _RETRY)
                return
            self._thread = thread
        self._is_watching = True
        self._request.release()

    def close(self) -> None:
        """Call `step` no more, and end the thread. Safe inside `step`, and twice."""
        if self._is_closed:
            return
        self._is_closed = True
        self._closing.set()
        if self._thread is not None:
            self._request.release()
            self._interrupt()
            self._thread.join(_PATIENCE)
        super().close()

    def _run(self) -> None:
        failures = 0
        while True:
            self._request.acquire()
            if self._is_closed:
                return
            try:
                self._block()
                failures = 0
            except BaseException:
                # A descriptor was closed under it, or there was no memory: the GUI thread's own poll
                # deals with that. Whatever it is, I/O would never be heard of again without this thread.
                failures += 1
                if failures > 1 and self._closing.wait(min(1.0, 0.005 * 2.0 ** min(failures, 10))):
                    return
            if self._is_closed:
                return
            self._is_watching = False
            self.nudge_threadsafe()

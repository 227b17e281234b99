"""What Windows gives the loop: asyncio's proactor loop, waiting in a thread.

The thread takes a packet off the completion port, which is how one waits for a
port, and puts it back for the GUI thread to find. That packet's place in the
order is lost, which is allowed: asyncio has one operation under way per stream
and direction.

asyncio's proactor loop sets the process's wakeup descriptor when it is made and
clears it when it is closed. It is the host's, so it is put back.

Relies on `_overlapped.GetQueuedCompletionStatus` and `PostQueuedCompletionStatus`,
read in Python 3.8 to 3.14.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from time import get_clock_info
from typing import TYPE_CHECKING, Any, Callable, List

from ._asyncio import monotonic
from ._wakeup import ThreadWait, TimerWait

if sys.platform == "win32" and sys.version_info >= (3, 8):
    import _overlapped  # type: ignore[import-not-found]

    _INFINITE = 0xFFFFFFFF

    class PlatformLoop(asyncio.ProactorEventLoop):
        """asyncio's proactor loop, which leaves the host's wakeup descriptor alone."""

        if TYPE_CHECKING:
            _proactor: Any
            _self_reading_future: Any

            def _as_poll(self, timeout: float) -> bool: ...
            def _as_step(self, running: Any) -> None: ...
            def _loop_self_reading(self) -> None: ...

        def __init__(self) -> None:
            _keep_wakeup_fd(super().__init__)
            self._clock_resolution = _resolution()

        def time(self) -> float:
            """Return the time by `_asyncio`'s clock, in seconds."""
            return monotonic()

        def close(self) -> None:
            """Close the loop."""
            _keep_wakeup_fd(super().close)

        def _as_poll_now(self) -> bool:
            return self._as_poll(0)

        def _as_without_running(self, events: List[Any]) -> List[Any]:
            """Leave nothing out: the port reports each event once, and its callbacks are futures'."""
            return events

        def _as_unmute(self) -> None:
            """Nothing was muted."""

        def _as_forget_io(self, owner: Any, kept: Any) -> List[str]:
            """Nothing to remove: there are no readers, and operations are futures, which tasks cancel."""
            return []

        def _as_transports_of(self, owner: Any) -> List[Any]:
            """None: a library cannot make one of its own without readers."""
            return []

        def _as_stop_accepting(self, server: Any) -> None:
            """Nothing to do: a server's one accept is cancelled when it is closed."""

        def _as_make_wait(self, qt_core: Any) -> TimerWait:
            """Return the way of waiting: a thread at the completion port."""
            port = self._proactor._iocp

            def block() -> None:
                _, transferred, key, address = _overlapped.GetQueuedCompletionStatus(port, _INFINITE)
                _overlapped.PostQueuedCompletionStatus(port, transferred, key, address)

            def interrupt() -> None:
                # A packet like others, of an operation that is done already: whoever
                # polls next drops it. One without an address is taken for an error.
                done = self.create_future()
                done.cancel()
                overlapped = _overlapped.Overlapped(0)
                self._proactor._cache[overlapped.address] = (done, overlapped, None, None)
                _overlapped.PostQueuedCompletionStatus(port, 0, 0, overlapped.address)

            return ThreadWait(qt_core, block, interrupt, lambda: True, self._as_step)

        def _as_start_io(self) -> None:
            """Begin to listen to the self-pipe, as run_forever() of asyncio's does."""
            self.call_soon(self._loop_self_reading)

        def _as_stop_io(self) -> None:
            """Listen to the self-pipe no more."""
            future, self._self_reading_future = self._self_reading_future, None
            if future is not None:
                overlapped = future._ov
                future.cancel()
                # What is still under way must stay registered until the port has
                # reported it, or the kernel writes to freed memory. Python < 3.11
                # would then wait for it for ever when it closes the port.
                if overlapped is not None and (sys.version_info < (3, 11) or not overlapped.pending):
                    self._proactor._unregister(overlapped)

else:
    from ._selector import MutableSelector, SelectorMixin

    class PlatformLoop(SelectorMixin, asyncio.SelectorEventLoop):
        """asyncio's selector loop: the proactor of Python 3.7 knows no datagrams."""

        def __init__(self) -> None:
            super().__init__(MutableSelector())
            self._clock_resolution = _resolution()

        def time(self) -> float:
            """Return the time by `_asyncio`'s clock, in seconds."""
            return monotonic()


def _resolution() -> float:
    """Return how fine the clock is: from Python 3.13 on, monotonic() is perf_counter() by itself."""
    return get_clock_info("perf_counter").resolution


def _keep_wakeup_fd(call: Callable[[], None]) -> None:
    """Call something that changes the wakeup descriptor, and put back what was there."""
    if threading.current_thread() is not threading.main_thread():
        call()
        return
    before = signal.set_wakeup_fd(-1)
    try:
        call()
    finally:
        signal.set_wakeup_fd(before)

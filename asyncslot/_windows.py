"""The Windows part of the loop: asyncio's proactor loop, waiting in a thread; for Python 3.7 the selector loop.

To wait for a completion port a thread has to take a packet off it. Our thread puts the packet back, for the GUI
thread to find. The packet then comes after others that came later. That is allowed, because asyncio has only one
operation under way per stream and direction.

asyncio's proactor loop sets the process's wakeup descriptor when it is made, and clears it when it is closed. The
descriptor is the host's, so we put it back.

Relies on `_overlapped.GetQueuedCompletionStatus` and `PostQueuedCompletionStatus`, read in Python 3.8 to 3.14.
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
            """Return all events: the port reports each once, and they complete futures and call no callbacks."""
            return events

        def _as_unmute(self) -> None:
            """Do nothing: no descriptor was muted."""

        def _as_forget_io(self, owner: Any, kept: Any) -> List[str]:
            """Remove nothing: there are no readers, and operations are futures, which tasks cancel."""
            return []

        def _as_transports_of(self, owner: Any) -> List[Any]:
            """Return none: without readers a library cannot make a transport by itself."""
            return []

        def _as_stop_accepting(self, server: Any) -> None:
            """Do nothing: a server's one accept is cancelled when the server is closed."""

        def _as_make_wait(self, qt_core: Any) -> TimerWait:
            """Make a ThreadWait, the thread of which waits for the completion port."""
            port = self._proactor._iocp

            def block() -> None:
                _, transferred, key, address = _overlapped.GetQueuedCompletionStatus(port, _INFINITE)
                _overlapped.PostQueuedCompletionStatus(port, transferred, key, address)

            def interrupt() -> None:
                # We post the packet of an operation that is done already: the next poll drops it.
                # A packet without an address would be taken for an error.
                done = self.create_future()
                done.cancel()
                overlapped = _overlapped.Overlapped(0)
                self._proactor._cache[overlapped.address] = (done, overlapped, None, None)
                _overlapped.PostQueuedCompletionStatus(port, 0, 0, overlapped.address)

            return ThreadWait(qt_core, block, interrupt, lambda: True, self._as_step)

        def _as_start_io(self) -> None:
            """Begin to read the self-pipe, as asyncio's run_forever() does."""
            self.call_soon(self._loop_self_reading)

        def _as_stop_io(self) -> None:
            """Read the self-pipe no more."""
            future, self._self_reading_future = self._self_reading_future, None
            if future is not None:
                overlapped = future._ov
                future.cancel()
                # A read that is still under way must stay registered until the port has reported
                # it, or the kernel writes to freed memory. But Python < 3.11 would then wait for
                # it for ever when it closes the port.
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
    """Return the clock's resolution in seconds; from Python 3.13 on, time.monotonic() is perf_counter()."""
    return get_clock_info("perf_counter").resolution


def _keep_wakeup_fd(call: Callable[[], None]) -> None:
    """Call a function that changes the wakeup descriptor, and put the old descriptor back."""
    if threading.current_thread() is not threading.main_thread():
        call()
        return
    before = signal.set_wakeup_fd(-1)
    try:
        call()
    finally:
        signal.set_wakeup_fd(before)

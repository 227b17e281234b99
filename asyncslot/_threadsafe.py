"""The handle that call_soon_threadsafe() returns. From Python 3.14 on it is of a class of its own.

There, cancel() and cancelled() in another thread wait while the callback is being run. So a thread that has
cancelled a callback knows that it does not run any more. asyncio's own handle holds a lock while it runs, and
has a _run() of its own for that; the loop would have to look at the class of each handle. Ours costs the loop
nothing, because the loop publishes anyway which callbacks it is running. Only the order matters:

    the loop        publishes the callback, and then reads whether it is cancelled
    another thread  marks it as cancelled, and then reads which callbacks are being run

So at least one of the two sees what the other has done.
"""

from __future__ import annotations

import time
from asyncio import events
from typing import TYPE_CHECKING, Any

from ._asyncio import Handle

# Seconds from one check whether the callback is over to the next. Only other threads wait here, and seldom.
_LOOK_AGAIN = 0.001

if TYPE_CHECKING or not hasattr(events, "_ThreadSafeHandle"):
    ThreadSafeHandle = Handle
else:

    class ThreadSafeHandle(events._ThreadSafeHandle):
        """A handle that any thread may cancel."""

        __slots__ = ()

        # Those of the base class are for its lock.
        __init__ = Handle.__init__
        _run = Handle._run

        def cancel(self) -> None:
            """Cancel the callback. In another thread than the loop's, wait until it is over if it has begun."""
            is_news, self._cancelled = not self._cancelled, True
            _wait_for(self, self._loop)
            if is_news:
                if self._loop.get_debug():
                    self._repr = repr(self)
                self._callback = self._args = None

        def cancelled(self) -> bool:
            """Return whether it was cancelled. In another thread than the loop's, wait as cancel() does."""
            _wait_for(self, self._loop)
            return self._cancelled


def _wait_for(handle: Any, loop: Any) -> None:
    stack = loop._as_stack
    while not loop._as_is_our_thread():
        # We read both in one expression without a call, so that Python lets no other thread run in between. When a
        # callback runs a nested Qt loop, its handle moves to `outer` and back, and we could miss it.
        running = (*stack.outer, stack.handle)
        if not any(each is handle for each in running):
            break
        time.sleep(_LOOK_AGAIN)

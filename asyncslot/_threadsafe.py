"""What call_soon_threadsafe() returns, which is a type of its own from Python 3.14 on.

There, cancel() and cancelled() in another thread wait for the callback where it is
being run: who has cancelled it knows that it does not run any more. asyncio's own
handle holds a lock while it runs, and so has to be run in a way of its own, for which
the loop would have to look at each handle. Ours costs the loop nothing. The loop says
anyway which callbacks are being run; it does so *before* it looks whether one is
cancelled, and who cancels does so *before* he looks what is being run. One of the
two sees the other.

Relies on `_as_handle _as_stack _as_is_our_thread` of our loop.
"""

from __future__ import annotations

import time
from asyncio import events
from typing import TYPE_CHECKING, Any

from ._asyncio import Handle

# Seconds between two looks at whether the callback is over. Who waits here is a thread, and seldom one.
_LOOK_AGAIN = 0.001

if TYPE_CHECKING or not hasattr(events, "_ThreadSafeHandle"):
    ThreadSafeHandle = Handle
else:

    class ThreadSafeHandle(events._ThreadSafeHandle):
        """A handle that any thread may cancel."""

        __slots__ = ()

        # Not those of the base class, which has a lock.
        __init__ = Handle.__init__
        _run = Handle._run

        def cancel(self) -> None:
            """Cancel the callback; in another thread than the loop's, wait until it is over if it has begun."""
            is_news, self._cancelled = not self._cancelled, True
            _wait_for(self, self._loop)
            if is_news:
                if self._loop.get_debug():
                    self._repr = repr(self)
                self._callback = self._args = None

        def cancelled(self) -> bool:
            """Return whether it was cancelled; in another thread than the loop's, once it is over if it has begun."""
            _wait_for(self, self._loop)
            return self._cancelled


def _wait_for(handle: Any, loop: Any) -> None:
    while not loop._as_is_our_thread():
        # In one expression without a call, in which Python does not let another thread run: one that is being run goes
        # to the stack and comes back when a Qt loop is run inside of it.
        running = (*loop._as_stack, loop._as_handle)
        if not any(each is handle for each in running):
            break
        time.sleep(_LOOK_AGAIN)

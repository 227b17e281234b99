"""Which callback has kept a step over its budget, for bug reports and the monitor.

The loop cannot cut a callback short; it can say whose fault it is that the host stood still. This module knows
nothing of steps but that they tell it.

Relies on `Handle._callback` and `Task._coro`, there in Python 3.7 to 3.14.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Tuple

from ._base import Handle, LoopBase
from ._tasks import coro_of


class OverrunMixin(LoopBase):
    """The part of an event loop that remembers the longest callback, and tells of each that was too long."""

    def __init__(self) -> None:
        # The callback that has kept a step longest over its budget: seconds, and what it was.
        self._as_longest: Tuple[float, str] = (0.0, "")
        self._as_on_overrun: Optional[Callable[[float, str], None]] = None
        super().__init__()

    def _as_overran(self, handle: Handle, seconds: float) -> None:
        """Note which callback has kept a step longest over its budget, for bug reports and the monitor."""
        if seconds > self._as_longest[0]:
            self._as_longest = (seconds, _describe(handle))
        if self._as_on_overrun is not None:
            self._as_on_overrun(seconds, _describe(handle))


def _describe(handle: Handle) -> str:
    """Name a callback, or the coroutine of the task whose step it is, without arguments: they may be secret."""
    callback: Any = handle._callback
    callback = coro_of(getattr(callback, "__self__", None)) or callback
    return getattr(callback, "__qualname__", None) or type(callback).__name__

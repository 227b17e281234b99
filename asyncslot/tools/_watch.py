"""Watch: measures how long a loop's steps take, and which callback made a step long, while a monitor is open.

While `_as_watch` of a loop is ours, the loop tells us when a step begins and ends, and which callback made it long. The
first step of a slot's task, which is run inside the emission, is a step of its own here.

    column  a tenth of a second: how many steps it had, their total time, the longest of them
    lost    a step that took longer than a frame of a screen with 60 Hz

This module knows no Qt, and nothing of windows. GUI thread only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import Any, Callable, Deque, List, Optional

from .._tasks import where

# Seconds.
COLUMN = 0.1
FRAME = 1 / 60

# How many columns we remember, and how many of the steps that were too long.
COLUMNS = 100
_MOST_LOST = 50


class Lost:
    """One step that took longer than a frame.

    Attributes:
        at: when the step ended, in seconds on the watch's clock.
        seconds: how long the step took.
        what: a description of the callback that made the step long; "" if the loop has not named one.
    """

    def __init__(self, at: float, seconds: float, what: str) -> None:
        self.at = at
        self.seconds = seconds
        self.what = what

    @property
    def frames(self) -> int:
        """How many frames of a screen with 60 Hz the step took."""
        return int(self.seconds / FRAME)


class Column:
    """The steps of one tenth of a second."""

    def __init__(self, number: int) -> None:
        self.number = number  # tenths of a second since the zero of the watch's clock
        self.steps = 0
        self.busy = 0.0  # seconds that all steps took together
        self.longest = 0.0  # seconds


class _Running:
    """A step that has begun, at `start`, and is not over."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.has_run_qt = False
        self.what = ""


class Watch:
    """The times of a loop's steps in the last ten seconds.

    Args:
        loop: a loop of ours, made by any copy.
        clock: returns the time in seconds.

    Attributes:
        lost: the last steps that took longer than a frame, oldest first.
    """

    def __init__(self, loop: Any, clock: Callable[[], float] = perf_counter) -> None:
        self.lost: Deque[Lost] = deque(maxlen=_MOST_LOST)
        self._loop = loop
        self._clock = clock
        self._columns: Deque[Column] = deque(maxlen=COLUMNS + 1)
        self._running: List[_Running] = []

    def begin(self) -> None:
        """Begin to measure, in place of whoever does."""
        self._loop._as_watch = self

    def end(self) -> None:
        """Stop measuring. May be called twice."""
        if self._loop._as_watch is self:
            self._loop._as_watch = None

    @property
    def is_alive(self) -> bool:
        """Whether we measure, and the loop is still called by Qt."""
        return self._loop._as_watch is self and self._loop._as_wait is not None

    def qt_is_alive(self) -> None:
        """Note that Qt is running at this moment. A step that is being measured now does not block the screen."""
        # A step in which a Qt loop runs (a coroutine has opened a dialog) is long, but no frame is lost to it. We
        # count such a step and do not time it.
        for running in self._running:
            running.has_run_qt = True

    def columns(self) -> List[Column]:
        """Return the columns of the last COLUMNS tenths of a second, oldest first; the last one is not over yet."""
        last = int(self._clock() / COLUMN)
        known = {column.number: column for column in self._columns}
        return [known.get(number) or Column(number) for number in range(last - COLUMNS + 1, last + 1)]

    def recently_lost(self) -> List[Lost]:
        """Return the items of `lost` that fall into columns(), oldest first."""
        first = int(self._clock() / COLUMN) - COLUMNS + 1
        return [lost for lost in self.lost if lost.at / COLUMN >= first]

    # -- what the loop calls ---------------------------------------------------

    def begin_step(self, handle: Any) -> Optional[_Running]:
        """Note that a step begins, or that `handle`, the first step of a task, does; return what end_step() needs."""
        if handle is None:
            self.qt_is_alive()  # Qt has called the loop, so a step that is still on the stack has a Qt loop in it
        elif self._running:
            return None  # the first step is inside a step that is being measured, and that one's time includes it
        running = _Running(self._clock())
        self._running.append(running)
        return running

    def end_step(self, step: _Running, handle: Any) -> None:
        """Note that it is over."""
        self._running.remove(step)
        end = self._clock()
        seconds = end - step.start
        if not step.has_run_qt and seconds >= FRAME:
            self.lost.append(Lost(end, seconds, step.what or _describe_first_step(handle)))
        self._note(end, 0.0 if step.has_run_qt else seconds)

    def overran(self, seconds: float, what: str) -> None:
        """Note which callback has made the step that runs now long."""
        if self._running:
            self._running[-1].what = what

    def _note(self, at: float, seconds: float) -> None:
        number = int(at / COLUMN)
        if not self._columns or self._columns[-1].number != number:
            self._columns.append(Column(number))
        column = self._columns[-1]
        column.steps += 1
        column.busy += seconds
        column.longest = max(column.longest, seconds)


def _describe_first_step(handle: Any) -> str:
    """Name the coroutine that has had its first step, and say where it stands now; "" if the handle is of no task."""
    task = getattr(getattr(handle, "_callback", None), "__self__", None)
    if not isinstance(task, asyncio.Future):
        return ""
    coro: Any = getattr(task, "_coro", None)
    name = getattr(coro, "__qualname__", None) or type(coro).__name__
    place: Optional[str] = where(task)
    return f"{name}, its first step" + (f"; now in {place}" if place else "")

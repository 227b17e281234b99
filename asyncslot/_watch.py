"""Watch: measures how long a loop's steps take, and which callback made a step long, while a monitor is open.

begin() puts our measuring functions in place of the two ways by which the loop is entered: the callable that its
`_as_wait` calls for a step, and `_as_run_now`, which runs the first step of a slot's task inside the emission. end()
puts the original ones back. So a loop that nobody watches executes not one instruction more.

    column  a tenth of a second: how many steps it had, their total time, the longest of them
    lost    a step that took longer than a frame of a screen with 60 Hz

The loop tells us through `_as_on_overrun` which callback made a step long. This module knows no Qt, and nothing of
windows. GUI thread only.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from time import perf_counter
from typing import Any, Callable, Deque, List, Optional

from ._report import where

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
    """A step that has begun and is not over."""

    def __init__(self) -> None:
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
        self._wait: Any = None
        self._step: Any = None
        self._run_now: Any = None
        self._told_before: Any = None
        # Each access of a method makes a new bound method. We keep one of each, so that end() can tell by identity
        # whether the loop still has our function, or one that somebody has put there since.
        self._our_step = self._measured_step
        self._our_run_now = self._measured_run_now
        self._our_on_overrun = self._on_overrun

    def begin(self) -> None:
        """Begin to measure."""
        loop = self._loop
        self._wait = loop._as_wait
        self._step, self._wait._step = self._wait._step, self._our_step
        self._run_now, loop._as_run_now = loop._as_run_now, self._our_run_now
        self._told_before = getattr(loop, "_as_on_overrun", None)
        loop._as_on_overrun = self._our_on_overrun

    def end(self) -> None:
        """Stop measuring, and leave the loop as we found it. May be called twice."""
        wait, self._wait = self._wait, None
        if wait is None:
            return
        if wait._step is self._our_step:  # if the loop has closed its wait, this is None and must stay so
            wait._step = self._step
        own = vars(self._loop)
        if own.get("_as_run_now") is self._our_run_now:
            del own["_as_run_now"]
        if own.get("_as_on_overrun") is self._our_on_overrun:
            own["_as_on_overrun"] = self._told_before
        self._run_now = self._told_before = None

    @property
    def is_alive(self) -> bool:
        """Whether the loop is still entered through the wait that we measure."""
        return self._wait is not None and self._loop._as_wait is self._wait

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

    def _measured_step(self, running: Any) -> None:
        self.qt_is_alive()  # Qt has called us, so a step that is still on the stack has a Qt loop in it
        if self._wait is None:
            self._step(running)  # end() has found a function of somebody else's in our place, and it calls ours
        else:
            self._measure(functools.partial(self._step, running), None)

    def _measured_run_now(self, handle: Any) -> None:
        run_now = self._run_now
        if run_now is None or self._running:
            # We are inside a step that is being measured, and its time includes this.
            type(self._loop)._as_run_now(self._loop, handle)
        else:
            self._measure(functools.partial(run_now, handle), handle)

    def _measure(self, run: Callable[[], None], handle: Any) -> None:
        running = _Running()
        self._running.append(running)
        start = self._clock()
        try:
            run()
        finally:
            end = self._clock()
            self._running.pop()
            if not running.has_run_qt and end - start >= FRAME:
                self.lost.append(Lost(end, end - start, running.what or _describe_first_step(handle)))
            self._note(end, 0.0 if running.has_run_qt else end - start)

    def _note(self, at: float, seconds: float) -> None:
        number = int(at / COLUMN)
        if not self._columns or self._columns[-1].number != number:
            self._columns.append(Column(number))
        column = self._columns[-1]
        column.steps += 1
        column.busy += seconds
        column.longest = max(column.longest, seconds)

    def _on_overrun(self, seconds: float, what: str) -> None:
        if self._running:
            self._running[-1].what = what
        if self._told_before is not None:
            self._told_before(seconds, what)


def _describe_first_step(handle: Any) -> str:
    """Name the coroutine that has had its first step, and say where it stands now; "" if the handle is of no task."""
    task = getattr(getattr(handle, "_callback", None), "__self__", None)
    if not isinstance(task, asyncio.Future):
        return ""
    coro: Any = getattr(task, "_coro", None)
    name = getattr(coro, "__qualname__", None) or type(coro).__name__
    place: Optional[str] = where(task)
    return f"{name}, its first step" + (f"; now in {place}" if place else "")

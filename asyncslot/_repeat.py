"""What a second click does while the first one's task still runs.

    concurrent   a task of its own, at once
    drop         nothing
    queue        it waits; one task after the other, in the order of the emissions
    restart      the running task is cancelled; the newest emission starts when it has ended

"restart" waits for the old task to end, rather than start beside it: its clean-up
would undo what the new one has begun (`finally: button.setEnabled(True)`).

This module does not know what starts a task. It relies on nothing but asyncio's
Task, and everything here is for the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Optional

from ._tasks import is_alive

POLICIES = ("concurrent", "drop", "queue", "restart")

if TYPE_CHECKING:
    Start = Callable[[], Optional[asyncio.Task[Any]]]


class Repeats:
    """The emissions that one slot of one receiver has had and not finished with.

    Args:
        policy: one of POLICIES.
    """

    def __init__(self, policy: str) -> None:
        self._policy = policy
        self._is_starting = False  # the first step runs, and there is no task yet
        self._task: Optional[asyncio.Task[Any]] = None
        self._waiting: Deque[Start] = deque()

    def anew(self) -> Repeats:
        """Return the same for another receiver."""
        return Repeats(self._policy)

    def emit(self, start: Start) -> None:
        """Deal with an emission: call `start` now, later or not at all.

        Args:
            start: makes the task and runs its first step; returns None if there is
                nothing to wait for.
        """
        if self._policy == "concurrent":
            start()
            return
        if not self._is_busy():
            self._waiting.append(start)
            self._start_waiting()
        elif self._policy == "queue":
            self._waiting.append(start)
        elif self._policy == "restart":
            # Once: a second cancel() would end the clean-up that the first has begun.
            is_cancelled = bool(self._waiting)
            self._waiting.clear()
            self._waiting.append(start)
            if self._task is not None and not is_cancelled:
                self._task.cancel()

    def _is_busy(self) -> bool:
        return self._is_starting or (self._task is not None and is_alive(self._task))

    def _start_waiting(self) -> None:
        """Start what waits, one after the other, until one of them takes its time."""
        while self._waiting and not self._is_busy():
            start = self._waiting.popleft()
            self._is_starting, self._task = True, None
            try:
                task = self._task = start()
            finally:
                self._is_starting = False
            if task is not None and is_alive(task):
                task.add_done_callback(lambda _: self._start_waiting())
                if self._policy == "restart" and self._waiting:
                    task.cancel()  # emitted again by its own first step

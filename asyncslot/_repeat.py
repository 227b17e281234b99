"""What a second click does while the first one's task still runs.

    concurrent   a task of its own, at once
    drop         nothing; who calls is given the task that runs
    queue        it waits; one task after the other, in the order of the emissions
    restart      the running task is cancelled; the newest emission starts when it has ended,
                 and those that waited are cancelled

"restart" waits for the old task to end, rather than start beside it: its clean-up
would undo what the new one has begun (`finally: button.setEnabled(True)`).

This module does not know what starts a task. It relies on nothing but asyncio's
Task, and everything here is for the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from typing import Any, Deque, Optional

from ._calls import Call, unstarted
from ._tasks import is_alive

POLICIES = ("concurrent", "drop", "queue", "restart")


class Repeats:
    """The emissions that one slot of one receiver has had and not finished with.

    Args:
        policy: one of POLICIES.
    """

    def __init__(self, policy: str) -> None:
        self._policy = policy
        self._is_starting = False  # the first step runs, and there is no task yet
        self._task: Optional[asyncio.Future[Any]] = None
        self._waiting: Deque[Call] = deque()

    def anew(self) -> Repeats:
        """Return the same for another receiver."""
        return Repeats(self._policy)

    def emit(self, call: Call) -> asyncio.Future[Any]:
        """Deal with an emission: begin its call now, later or not at all; return what the caller gets."""
        if self._policy == "concurrent":
            return call.begin()
        if not self._is_busy():
            self._waiting.append(call)
            self._start_waiting()
        elif self._policy == "drop":
            # In its first step there is no task yet, and a call of that step's own must not wait for itself.
            return unstarted() if self._task is None else self._task
        elif self._policy == "queue":
            self._waiting.append(call)
        else:
            # Once: a second cancel() would end the clean-up that the first has begun.
            is_cancelled = bool(self._waiting)
            for superseded in self._waiting:
                superseded.cancel()
            self._waiting.clear()
            self._waiting.append(call)
            if self._task is not None and not is_cancelled:
                self._task.cancel()
        return call.answer()

    def _is_busy(self) -> bool:
        return self._is_starting or (self._task is not None and is_alive(self._task))

    def _start_waiting(self) -> None:
        """Start what waits, one after the other, until one of them takes its time."""
        while self._waiting and not self._is_busy():
            call = self._waiting.popleft()
            if call.is_cancelled:
                continue
            self._is_starting, self._task = True, None
            try:
                task = self._task = call.begin()
            finally:
                self._is_starting = False
            if is_alive(task):
                # In a context of nobody's: that of who emits may be another plug-in's, whose dialog is open.
                task.add_done_callback(lambda _: self._start_waiting(), context=Context())
                if self._policy == "restart" and self._waiting:
                    task.cancel()  # emitted again by its own first step

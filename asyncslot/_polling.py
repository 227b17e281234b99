"""Asking the system what is ready, without waiting; and what to do when it cannot tell.

A poll fails when a descriptor was closed under it, or when there is no memory. What is
queued or due runs all the same, and the poll is tried again, after pauses that get longer.

Relies on these private parts of asyncio, read in Python 3.7, 3.8, 3.11, 3.12, 3.13:
`_selector _process_events`.
"""

from __future__ import annotations

from typing import Optional

from ._base import LoopBase

# Seconds from a poll that failed to the next, and after many of them.
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 1.0


class PollingMixin(LoopBase):
    """The part of an event loop that polls.

    It wants from the class it is mixed into: `_as_stack`, `_as_without_running(events)`
    and `_as_interrupted(exc)`, as in `_steps`. Steps do not ask here but `_as_poll_now()`, which
    each system has a way of its own for.
    """

    def __init__(self) -> None:
        self._as_failed_polls = 0  # one after the other
        super().__init__()

    def _as_poll(self, timeout: Optional[float]) -> bool:
        """Queue what the system reports; return whether that is anything."""
        try:
            events = self._selector.select(timeout)
        except (Exception, SystemExit) as exc:
            self._as_poll_failed(exc)  # what is queued or due needs no poll
            return False
        self._as_failed_polls = 0
        if not events:
            return False
        if self._as_stack:
            events = self._as_without_running(events)
        self._process_events(events)
        return True

    def _as_poll_failed(self, exc: BaseException) -> None:
        """Report a poll that failed, the first of a series only; the next is made after a pause that gets longer."""
        self._as_failed_polls += 1
        if self._as_failed_polls == 1:
            self._as_handle = None  # it is no callback's fault
            self._as_interrupted(exc)

    def _as_pause(self) -> float:
        """Return how long to wait, in seconds, before the next poll if the last ones have failed."""
        if not self._as_failed_polls:
            return 0.0
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._as_failed_polls, 10))

"""Running asyncio while somebody waits: with no Qt loop at all, or with Qt's events let through.

For clean-up, and for lease.run_until_complete(). Works anywhere in the thread:
inside a step, in a slot, when the application is gone. What is run is everybody's
who shares the loop; what is waited for is the caller's.
"""

from __future__ import annotations

from time import sleep
from typing import Any, Callable, Optional, Tuple

from ._binding import enum_member
from ._clock import monotonic
from ._steps import SteppingMixin
from ._wait import LONGEST

# How often it is looked whether time is over, while only Qt's events wake us.
_LOOK_AGAIN_MS = 20


class AloneMixin(SteppingMixin):
    """The part of an event loop that runs it for a caller who blocks."""

    def __init__(self) -> None:
        self._as_alone_for: Tuple[Any, ...] = ()  # (owner,) of what is waited for while no Qt loop runs
        self._as_is_blocked = False  # in select()
        self._as_qt_core: Any = None
        super().__init__()

    def _as_notice_end_of_qt(self) -> None:
        """Ask nothing of Qt any more if the application is gone: it would complain on stderr."""
        if self._as_wait is not None and self._as_qt_core.QCoreApplication.instance() is None:
            self._as_wait.close()

    def _as_is_alone_for(self, owner: Any) -> bool:
        """Whether somebody waits for this owner's code and lets no Qt loop run meanwhile."""
        return owner in self._as_alone_for

    def _as_run_alone(self, is_done: Callable[[], bool], deadline: Optional[float], owner: Any = None) -> bool:
        """Run asyncio without Qt until `is_done()`, or until `deadline` (the loop's clock); return is_done().

        Works anywhere in the thread: inside a step, in a slot, with no
        application left. The caller is blocked, and so is the GUI.

        Args:
            owner: whose code is waited for; None: no plug-in's.
        """
        self._as_notice_end_of_qt()
        if self._as_handle is not None:
            self._as_is_open = self._as_nested = True
        outer = self._as_enter()
        outer_owners, self._as_alone_for = self._as_alone_for, (owner,)
        self._as_idle = False
        try:
            if self._as_wait is not None:
                self._as_wait.wake_soon()  # should a callback open a nested Qt loop
            while not is_done() and not self._closed:
                now = monotonic()
                if deadline is not None and now >= deadline:
                    break
                try:
                    end = now + self.step_budget
                    self._as_drain(now, end if deadline is None else min(end, deadline))
                    if not is_done() and not self._as_batch:
                        self._as_block(deadline)
                except BaseException as exc:  # as in _as_step()
                    self._as_escaped(exc)
        finally:
            self._as_alone_for = outer_owners
            self._as_leave(outer)
            self._as_rest()
        if self._as_afters:
            self._as_unwind()
        return is_done()

    def _as_run_with_events(self, is_done: Callable[[], bool], deadline: float, with_input: bool = False) -> bool:
        """Like _as_run_alone(), but handle Qt's events meanwhile; the user's only `with_input`."""
        qt_core = self._as_qt_core
        if qt_core.QCoreApplication.instance() is None:
            return self._as_run_alone(is_done, deadline)
        flags = enum_member(qt_core.QEventLoop, "ProcessEventsFlag", "WaitForMoreEvents")
        if not with_input:
            flags |= enum_member(qt_core.QEventLoop, "ProcessEventsFlag", "ExcludeUserInputEvents")
        # Event by event and not exec(): a host that is quitting ends every QEventLoop at once (Picard
        # 2.8 on SIGTERM, 2026-11). The timer is for the deadline.
        qt_loop, alarm = qt_core.QEventLoop(), qt_core.QTimer()
        alarm.start(_LOOK_AGAIN_MS)
        while not is_done() and monotonic() < deadline:
            qt_loop.processEvents(flags)
        alarm.stop()
        # What the user did meanwhile waits in Qt, which on X11 under GLib looks for it only when it is woken (5.15).
        qt_core.QAbstractEventDispatcher.instance().wakeUp()
        return is_done()

    def _as_block(self, deadline: Optional[float]) -> None:
        """Wait in select() for something to do, at most until `deadline`."""
        now = monotonic()
        ends = [now + LONGEST]
        if deadline is not None:
            ends.append(deadline)
        if self._scheduled:
            ends.append(self._scheduled[0]._when)
        self._as_is_blocked = self._as_idle = True
        try:
            if not self._ready and not self._as_batch:  # other threads: see _as_rest()
                time_left = max(0.0, min(ends) - now)
                # After polls that failed. The caller is blocked anyway.
                sleep(min(time_left, self._as_pause()))
                self._as_collect(time_left)
        finally:
            self._as_is_blocked = self._as_idle = False

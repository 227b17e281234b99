"""Running asyncio while somebody waits: with no Qt loop at all, or with Qt's events let through.

For clean-up, and for lease.run_until_complete(). Works anywhere in the thread:
inside a step, in a slot, when the application is gone. What is run is everybody's
who shares the loop; what is waited for is the caller's.

Relies on `Task._fut_waiter`, there in Python 3.7 to 3.14.
"""

from __future__ import annotations

import asyncio
import functools
from contextvars import ContextVar, copy_context
from time import sleep
from typing import Any, Callable, Dict, Optional, Tuple

from ._asyncio import monotonic
from ._binding import enum_member
from ._steps import SteppingMixin
from ._wakeup import LONGEST

# How often it is looked whether time is over, while only Qt's events wake us.
_LOOK_AGAIN_MS = 20

# In the contexts of what is waited for, and of what it starts: what tells one who waits from the others.
_WAITED_FOR_BY: ContextVar[Any] = ContextVar("waited for by", default=None)


class AloneMixin(SteppingMixin):
    """The part of an event loop that runs it for a caller who blocks."""

    def __init__(self) -> None:
        # Of each who waits while no Qt loop runs, the last one on top: whose code it is; what he waits for, if not for
        # all of it; what tells him from others.
        self._as_waits: Tuple[Tuple[Any, Any, Any], ...] = ()
        # Of each task that waits until Qt calls a function: the task, the owner, who waits for it, how to tell it. By
        # keys of ours: a plug-in's class of tasks may compare as it likes.
        self._as_askers: Dict[object, Tuple[Any, Any, Any, Callable[[], None]]] = {}
        self._as_is_blocked = False  # in select()
        self._as_qt_core: Any = None
        super().__init__()

    def _as_notice_end_of_qt(self) -> None:
        """Ask nothing of Qt any more if the application is gone: it would complain on stderr."""
        if self._as_wait is not None and self._as_qt_core.QCoreApplication.instance() is None:
            self._as_wait.close()

    def _as_is_alone_for(self, owner: Any) -> bool:
        """Whether somebody waits for this owner's code and lets no Qt loop run meanwhile."""
        return any(whose is owner for whose, _, _ in self._as_waits)

    def _as_ask_qt(self, owner: Any, refuse: Callable[[], None]) -> Callable[[], object]:
        """Note that the calling task waits until Qt calls a function; return what is called when it does no more.

        Args:
            owner: whose task it is.
            refuse: called where it would wait for ever: somebody waits for the task, and no Qt loop runs meanwhile.
        """
        key = object()
        self._as_askers[key] = (asyncio.current_task(), owner, _WAITED_FOR_BY.get(), refuse)
        return functools.partial(self._as_askers.pop, key)

    def _as_refuse_qt(self) -> None:
        """Tell those who would wait for ever. Others of an owner's may wait: Qt goes on when who blocks has his."""
        for task, owner, waited_for_by, refuse in list(self._as_askers.values()):
            if any(
                whose is owner if future is None else by is waited_for_by or _awaits(future, task)
                for whose, future, by in self._as_waits
            ):
                refuse()

    def _as_run_alone_for(
        self,
        owner: Any,
        start: Callable[[], asyncio.Future[Any]],
        is_over: Callable[[], bool],
        deadline: Optional[float],
    ) -> asyncio.Future[Any]:
        """Run asyncio without Qt until the future that `start()` returns is done, or `is_over()`; return the future."""
        by, context = object(), copy_context()
        context.run(_WAITED_FOR_BY.set, by)
        future = context.run(start)
        self._as_run_alone(lambda: future.done() or is_over(), deadline, owner, (future, by))
        return future

    def _as_run_alone(
        self,
        is_done: Callable[[], bool],
        deadline: Optional[float],
        owner: Any = None,
        what: Tuple[Any, Any] = (None, None),
    ) -> bool:
        """Run asyncio without Qt until `is_done()`, or until `deadline` (the loop's clock); return is_done().

        Works anywhere in the thread: inside a step, in a slot, with no
        application left. The caller is blocked, and so is the GUI.

        Args:
            owner: whose code is waited for; None: no plug-in's.
            what: a future, and what tells who waits for it; by default all of the owner's code is waited for.
        """
        self._as_notice_end_of_qt()
        if self._as_handle is not None:
            self._as_is_open = self._as_nested = True
        outer = self._as_enter()
        outer_waits = self._as_waits
        self._as_waits += ((owner, *what),)
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
                    if self._as_askers:
                        self._as_refuse_qt()
                    if not is_done() and not self._as_batch:
                        self._as_block(deadline)
                except BaseException as exc:  # as in _as_step()
                    self._as_escaped(exc)
        finally:
            self._as_waits = outer_waits
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


def _awaits(future: Any, task: Any) -> bool:
    """Whether a future is a task, or one that awaits it, or one that awaits such a one."""
    while future is not None and future is not task:
        future = getattr(future, "_fut_waiter", None)
    return future is not None

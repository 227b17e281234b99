"""Running asyncio for a caller who blocks: without any Qt loop, or with Qt's events handled one by one.

For clean-up, and for lease.run_until_complete(). It works anywhere in the thread: inside a step, in a slot, when
the application is gone. The caller waits for code of its own, but meanwhile we run the callbacks of all who
share the loop.

While no Qt loop runs, a task that waits until Qt calls one of its functions (`_dialogs`) would wait for ever. If
somebody blocks for that task, we therefore have it refused, see _as_ask_qt().
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
from ._tasks import those_that_wait_for
from ._wakeup import LONGEST

# Milliseconds from one check of the deadline to the next, while only Qt's events wake us.
_LOOK_AGAIN_MS = 20

# The token of the caller who blocks, in the contexts of the future that it waits for and of all that this starts.
_WAITED_FOR_BY: ContextVar[Any] = ContextVar("waited for by", default=None)


class AloneMixin(SteppingMixin):
    """The part of an event loop that runs it for a caller who blocks."""

    def __init__(self) -> None:
        # For each caller who blocks while no Qt loop runs, the innermost last: the owner of the code that is waited
        # for; and a function that tells, by a task and its token, whether the caller waits for the task, or None if he
        # waits for all of the owner's.
        self._as_waits: Tuple[Tuple[Any, Optional[Callable[[Any, Any], bool]]], ...] = ()
        # For each task that waits until Qt calls a function: the task, its owner, the token of the caller who blocks
        # for it, and the function that refuses. The keys are ours, since a plug-in's class of tasks may compare as it
        # likes.
        self._as_askers: Dict[object, Tuple[Any, Any, Any, Callable[[], None]]] = {}
        self._as_is_blocked = False  # True while we wait in select()
        self._as_qt_core: Any = None
        super().__init__()

    def _as_notice_end_of_qt(self) -> None:
        """Close the wait if the application is gone, because Qt would complain of it on stderr."""
        if self._as_wait is not None and self._as_qt_core.QCoreApplication.instance() is None:
            self._as_wait.close()

    def _as_is_alone_for(self, owner: Any) -> bool:
        """Whether a caller blocks for this owner's code, with no Qt loop running meanwhile."""
        return any(whose is owner for whose, _ in self._as_waits)

    def _as_ask_qt(self, owner: Any, refuse: Callable[[], None]) -> Callable[[], object]:
        """Note that the calling task waits until Qt calls a function; return a function that ends this note.

        Args:
            owner: the task's owner.
            refuse: called if the task would wait for ever, as a caller blocks for it with no Qt loop running.
        """
        key = object()
        self._as_askers[key] = (asyncio.current_task(), owner, _WAITED_FOR_BY.get(), refuse)
        return functools.partial(self._as_askers.pop, key)

    def _as_refuse_qt(self) -> None:
        """Refuse the tasks that would wait for ever.

        An owner's other tasks may wait: Qt goes on when the caller who blocks has its result.
        """
        for task, owner, token, refuse in list(self._as_askers.values()):
            if any(
                whose is owner if waits_for is None else waits_for(task, token) for whose, waits_for in self._as_waits
            ):
                refuse()

    def _as_run_alone_for(
        self,
        owner: Any,
        start: Callable[[], asyncio.Future[Any]],
        is_over: Callable[[], bool],
        deadline: Optional[float],
    ) -> asyncio.Future[Any]:
        """Call `start()` for a future, run asyncio without Qt until that is done, and return the future.

        It may not be done: the run also ends when `is_over()`, and at `deadline`.
        """
        own_token, context = object(), copy_context()
        context.run(_WAITED_FOR_BY.set, own_token)
        future = context.run(start)

        def waits_for(task: Any, token: Any) -> bool:
            return token is own_token or any(waiting is future for waiting in those_that_wait_for(task))

        self._as_run_alone(lambda: future.done() or is_over(), deadline, owner, waits_for)
        return future

    def _as_run_alone(
        self,
        is_done: Callable[[], bool],
        deadline: Optional[float],
        owner: Any = None,
        waits_for: Optional[Callable[[Any, Any], bool]] = None,
    ) -> bool:
        """Run asyncio without Qt until `is_done()`, or until `deadline` (the loop's clock); return is_done().

        It works anywhere in the thread: inside a step, in a slot, with no application left. The caller blocks, and so
        does the GUI.

        Args:
            deadline: seconds, on the loop's clock; None: no limit.
            owner: the owner of the code that is waited for; None: it is no plug-in's.
            waits_for: tells of a task, and of the token in its context, whether the caller waits for it; by default
                for all of the owner's.
        """
        self._as_notice_end_of_qt()
        stack = self._as_stack
        if stack.handle is not None:
            stack.note_qt()  # not Qt, but we have others' callbacks run inside this one
        found = stack.enter()
        outer_waits = self._as_waits
        self._as_waits += ((owner, waits_for),)
        self._as_idle = False
        try:
            if self._as_wait is not None:
                self._as_wait.wake_soon()  # in case a callback opens a nested Qt loop
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
                except BaseException as exc:  # SystemExit or KeyboardInterrupt, as in _as_step()
                    self._as_escaped(exc)
        finally:
            self._as_waits = outer_waits
            stack.leave(found)
            self._as_rest()
        if stack.afters:
            stack.unwind()
        return is_done()

    def _as_run_with_events(self, is_done: Callable[[], bool], deadline: float, with_input: bool = False) -> bool:
        """Run as _as_run_alone() does, but handle Qt's events meanwhile; those of the user only if `with_input`."""
        qt_core = self._as_qt_core
        if qt_core.QCoreApplication.instance() is None:
            return self._as_run_alone(is_done, deadline)
        if self._as_stack.handle is not None:
            # Qt may call plain code of any plug-in in here, in the context of the callback that has called us.
            self._as_stack.note_qt()
            self._as_alert = True
        flags = enum_member(qt_core.QEventLoop, "ProcessEventsFlag", "WaitForMoreEvents")
        if not with_input:
            flags |= enum_member(qt_core.QEventLoop, "ProcessEventsFlag", "ExcludeUserInputEvents")
        # processEvents() and not exec(), because a host that is quitting ends every QEventLoop at once (Picard
        # 2.8 on SIGTERM, 2026-11). The timer wakes processEvents(), so that we can check the deadline.
        qt_loop, alarm = qt_core.QEventLoop(), qt_core.QTimer()
        alarm.start(_LOOK_AGAIN_MS)
        while not is_done() and monotonic() < deadline:
            qt_loop.processEvents(flags)
        alarm.stop()
        # Input that the user made meanwhile may wait in Qt. On X11 under GLib, Qt looks for it only when woken (5.15).
        dispatcher = qt_core.QAbstractEventDispatcher.instance()
        if dispatcher is not None:  # the application may have been deleted meanwhile
            dispatcher.wakeUp()
        return is_done()

    def _as_block(self, deadline: Optional[float]) -> None:
        """Wait in select() for something to do, at most until `deadline`."""
        now = monotonic()
        ends = [now + LONGEST]
        if deadline is not None:
            ends.append(deadline)
        if self._scheduled:
            ends.append(self._scheduled[0]._when)
        # In this order: a thread that finds the loop idle looks where it waits, and wakes it there.
        self._as_is_blocked = True
        self._as_idle = True
        try:
            if not self._ready and not self._as_batch:  # read after the flag is set, as in _as_rest()
                time_left = max(0.0, min(ends) - now)
                # After failed polls we pause; the caller is blocked anyway.
                sleep(min(time_left, self._as_pause()))
                self._as_collect(time_left)
        finally:
            self._as_is_blocked = self._as_idle = False

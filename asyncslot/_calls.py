"""What the call of a slot returns, and what a second click does while the first one's task still runs.

Qt ignores what a slot returns. Code that calls one by itself awaits it:

        await self.refresh()            # refresh is decorated with asyncSlot

    a task was started              that task
    it waits for another one        a promise: a future that becomes what its task will (Call)
    nothing was started             a future that is done: failed with the reason, or cancelled

asyncio alone would report the failure of a task that nobody awaits when it is
garbage-collected. report_failure() does it at once, but only where nobody has
asked for the exception: it has reached whoever has.

A second call while the first one's task runs is, by the slot's policy (Repeats):

    concurrent   a task of its own, at once
    drop         nothing; who calls is given the task that runs
    queue        it waits; one task after the other, in the order of the emissions
    restart      the running task is cancelled; the newest emission starts when it has ended,
                 and those that waited are cancelled

"restart" waits for the old task to end, rather than start beside it: its clean-up
would undo what the new one has begun (`finally: button.setEnabled(True)`).

This module does not know how a task is started, and everything here is for the loop's
thread. A future's `_log_traceback` is true as long as nobody has asked for its exception.
"""

from __future__ import annotations

import asyncio
import functools
from asyncio.events import _get_running_loop
from collections import deque
from contextvars import Context
from typing import Any, Callable, Deque, Optional, Tuple, Type

from ._tasks import is_alive

# Who waits is woken in the first turn after the task's last step, together with us; behind asyncio.wait() and the like
# one turn later, and in a task that is made to wait (by wait_for(), before Python 3.12) two. Nobody is late for this.
_TURNS_FOR_WAITERS = 4

# What is never reported. (Python 3.7 takes a task for failed that returns in the step in which it was cancelled.)
_NOT_FAILURES: Tuple[Type[BaseException], ...] = (SystemExit, KeyboardInterrupt, asyncio.CancelledError)

Tell = Callable[[BaseException], object]


def report_failure(future: Any, tell: Optional[Tell] = None, turns: int = _TURNS_FOR_WAITERS) -> None:
    """Report the exception of a future, if nobody asks for it. To be added as a callback to it.

    Args:
        tell: called with the exception; by default the loop's exception handler is told.
        turns: of the loop, in which somebody may still ask.
    """
    if future.cancelled() or not getattr(future, "_log_traceback", True):
        return
    loop = future.get_loop()
    is_failure = not isinstance(getattr(future, "_exception", None), _NOT_FAILURES)
    if turns and is_failure and not loop.is_closed():
        loop.call_soon(report_failure, future, tell, turns - 1)
        return
    exc = future.exception()  # which also tells asyncio that it has been seen
    if exc is None or not is_failure:
        return
    if tell is not None:
        tell(exc)
    else:
        loop.call_exception_handler({"message": "Exception in a slot", "exception": exc, "task": future})


def failed(loop: Any, exc: BaseException) -> asyncio.Future[Any]:
    """Return a future of a call that has failed before there was a task."""
    future: asyncio.Future[Any] = loop.create_future()
    if isinstance(exc, StopIteration):  # which no future takes
        cause, exc = exc, RuntimeError("the slot raised StopIteration")
        exc.__cause__ = cause
    future.set_exception(exc)
    return future


def unstarted(exc: Optional[BaseException] = None) -> asyncio.Future[Any]:
    """Return a future of a call that was to start nothing: failed, or cancelled. Nobody need look at it.

    Any thread, with or without a running loop.
    """
    loop: Any = _get_running_loop() or _NoLoop
    future: asyncio.Future[Any] = asyncio.Future(loop=loop)
    if exc is None:
        future.cancel()
    else:
        future.set_exception(exc)
        future.exception()  # or asyncio would report that nobody has asked for it
    return future


class _NoLoop:
    """The loop of a future that is done and that no coroutine can await now: it calls nobody back."""

    @staticmethod
    def get_debug() -> bool:
        """Whether the future is to remember where it was made."""
        return False

    @staticmethod
    def call_soon(*_: Any, **__: Any) -> None:
        """Call nothing: the plug-in whose callback this is has detached, or has never attached."""


class Call:
    """A call that may have to wait until its task is started.

    Args:
        start: starts the task and returns it, or a future that is done.
        find_loop: returns the loop of that task.
    """

    def __init__(self, start: Callable[[], asyncio.Future[Any]], find_loop: Callable[[], Any]) -> None:
        self._start = start
        self._find_loop = find_loop
        self._task: Optional[asyncio.Future[Any]] = None
        self._promise: Optional[asyncio.Future[Any]] = None

    @property
    def is_cancelled(self) -> bool:
        """Whether it is to begin no more: it was cancelled, or waits since before its loop was closed."""
        return self._promise is not None and (self._promise.cancelled() or not _is_heard(self._promise))

    def begin(self) -> asyncio.Future[Any]:
        """Start the task, and return it."""
        promise = self._promise
        try:
            task = self._task = self._start()
        except BaseException as exc:
            if promise is not None and isinstance(exc, Exception) and _is_heard(promise):
                promise.set_exception(exc)
                promise.exception()  # it is raised, and reported by who hears of it
            raise
        if promise is not None and _is_heard(promise):
            promise.add_done_callback(lambda promise: task.cancel() if promise.cancelled() else None)
            if task.done():
                _pass_on(promise, task)
            else:
                task.add_done_callback(functools.partial(_pass_on, promise))
        return task

    def cancel(self) -> None:
        """Let it never begin."""
        if self._promise is not None and _is_heard(self._promise):
            self._promise.cancel()

    def answer(self) -> asyncio.Future[Any]:
        """Return what the caller of the slot gets: the task, or a promise of it."""
        if self._task is not None:
            return self._task
        loop = self._find_loop()
        if loop is None or loop.is_closed():
            return unstarted()
        self._promise = loop.create_future()
        return self._promise


def _is_heard(promise: asyncio.Future[Any]) -> bool:
    """Whether anybody can hear what becomes of a promise. On a closed loop nobody can, and to tell would raise."""
    return not promise.get_loop().is_closed()


def _pass_on(promise: asyncio.Future[Any], task: Any) -> None:
    """Give a promise what has become of the task, its failure included, which is now the promise's to report."""
    if promise.done() or not _is_heard(promise):
        return
    if task.cancelled():
        promise.cancel()
        return
    is_told = not getattr(task, "_log_traceback", True)
    exc = task.exception()
    if exc is None:
        promise.set_result(task.result())
        return
    promise.set_exception(exc)
    if is_told:
        promise.exception()
    else:
        promise.add_done_callback(functools.partial(_report_for, task))


def _report_for(task: Any, promise: asyncio.Future[Any]) -> None:
    """Report what a promise has got from its task as the task's, for that is known to be somebody's."""
    context = {"message": "Exception in a slot", "task": task}
    report_failure(promise, lambda exc: task.get_loop().call_exception_handler(dict(context, exception=exc)))


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

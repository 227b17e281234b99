"""The future that a call of a slot returns, and the policies for a second call while the first one's task runs.

Qt ignores what a slot returns. A plug-in's own code can call a slot and await the future:

        await self.refresh()            # refresh is decorated with asyncSlot

    a task was started              the call returns that task
    the call waits for another one  a promise: a future that will get the task's result (Call)
    nothing was started             a future that is done: failed with the reason, or cancelled

When a task fails and nobody awaits it, asyncio reports that only when the task is
garbage-collected. report_failure() reports it at once, unless somebody has asked for
the exception: then it has reached somebody who can deal with it.

When a slot is called again while its task runs, its policy decides (Repeats):

    concurrent   start another task at once
    drop         start nothing, and return the task that runs
    queue        wait; one task follows the other, in the order of the emissions
    restart      cancel the running task, and the calls that wait; start the newest call
                 when the cancelled task has ended

"restart" does not start the new task beside the old one. The clean-up of the old task
would undo the work of the new one (`finally: button.setEnabled(True)`).

This module does not know how a task is started. Only unstarted() may be called outside
the loop's thread. We read a private attribute of asyncio's futures: `_log_traceback` is
true as long as a future has an exception and nobody has asked for it.
"""

from __future__ import annotations

import asyncio
import functools
from asyncio.events import _get_running_loop
from collections import deque
from contextvars import Context
from typing import Any, Callable, Deque, Optional, Tuple, Type

from ._tasks import is_alive

# The turns of the loop for which report_failure() waits until a waiter has asked for the exception. A task that awaits
# the future wakes up in the first turn after the failure, as we do. Behind asyncio.wait() and the like it wakes up one
# turn later. If a task was made to wait (by wait_for(), before Python 3.12), it takes two. So four are enough for all.
_TURNS_FOR_WAITERS = 4

# Exceptions that are never reported. CancelledError is one of them for Python 3.7, where a task that returns in the
# step in which it was cancelled counts as failed.
_NOT_FAILURES: Tuple[Type[BaseException], ...] = (SystemExit, KeyboardInterrupt, asyncio.CancelledError)

Tell = Callable[[BaseException], object]


def report_failure(future: Any, tell: Optional[Tell] = None, turns: int = _TURNS_FOR_WAITERS) -> None:
    """Report the exception of a future if nobody asks for it. A done callback of that future.

    Args:
        tell: called with the exception; by default we call the loop's exception handler.
        turns: how many more turns of the loop we wait, so that somebody may ask.
    """
    if future.cancelled() or not getattr(future, "_log_traceback", True):
        return
    loop = future.get_loop()
    is_failure = not isinstance(getattr(future, "_exception", None), _NOT_FAILURES)
    if turns and is_failure and not loop.is_closed():
        loop.call_soon(report_failure, future, tell, turns - 1)
        return
    exc = future.exception()  # by asking we also keep asyncio from reporting it once more
    if exc is None or not is_failure:
        return
    if tell is not None:
        tell(exc)
    else:
        loop.call_exception_handler({"message": "Exception in a slot", "exception": exc, "task": future})


def failed(loop: Any, exc: BaseException) -> asyncio.Future[Any]:
    """Return the future of a call that failed before there was a task."""
    future: asyncio.Future[Any] = loop.create_future()
    if isinstance(exc, StopIteration):  # set_exception() refuses this class
        cause, exc = exc, RuntimeError("the slot raised StopIteration")
        exc.__cause__ = cause
    future.set_exception(exc)
    return future


def unstarted(exc: Optional[BaseException] = None) -> asyncio.Future[Any]:
    """Return the future of a call that starts nothing: failed with `exc`, or cancelled. It is never reported.

    May be called in any thread, with or without a running loop.
    """
    loop: Any = _get_running_loop() or _NoLoop
    future: asyncio.Future[Any] = asyncio.Future(loop=loop)
    if exc is None:
        future.cancel()
    else:
        future.set_exception(exc)
        future.exception()  # ask for it, or asyncio would report that nobody has
    return future


class _NoLoop:
    """The loop of a future that was made where no loop is running. The future is done, and calls nobody back."""

    @staticmethod
    def get_debug() -> bool:
        """Tell whether the future is to remember where it was made."""
        return False

    @staticmethod
    def call_soon(*_: Any, **__: Any) -> None:
        """Call nothing: the plug-in that has added this callback has detached, or has never attached."""


class Call:
    """One call of a slot. Its task is started by begin(), at once or later.

    Args:
        start: starts the task and returns it, or returns a future that is done.
        find_loop: returns the loop of that task, or None.
    """

    def __init__(self, start: Callable[[], asyncio.Future[Any]], find_loop: Callable[[], Any]) -> None:
        self._start = start
        self._find_loop = find_loop
        self._task: Optional[asyncio.Future[Any]] = None
        self._promise: Optional[asyncio.Future[Any]] = None

    @property
    def is_cancelled(self) -> bool:
        """Whether the call must not begin any more: its promise was cancelled, or its loop was closed."""
        return self._promise is not None and (self._promise.cancelled() or not _is_heard(self._promise))

    def begin(self) -> asyncio.Future[Any]:
        """Start the task, and return it."""
        promise = self._promise
        try:
            task = self._task = self._start()
        except BaseException as exc:
            if promise is not None and isinstance(exc, Exception) and _is_heard(promise):
                promise.set_exception(exc)
                promise.exception()  # asked for, as we also raise it, and our caller reports it
            raise
        if promise is not None and _is_heard(promise):
            promise.add_done_callback(lambda promise: task.cancel() if promise.cancelled() else None)
            if task.done():
                _pass_on(promise, task)
            else:
                task.add_done_callback(functools.partial(_pass_on, promise))
        return task

    def cancel(self) -> None:
        """Cancel a call that waits, so that it never begins."""
        if self._promise is not None and _is_heard(self._promise):
            self._promise.cancel()

    def answer(self) -> asyncio.Future[Any]:
        """Return the future for the caller of the slot: the task, or a promise while there is none."""
        if self._task is not None:
            return self._task
        loop = self._find_loop()
        if loop is None or loop.is_closed():
            return unstarted()
        self._promise = loop.create_future()
        return self._promise


def _is_heard(promise: asyncio.Future[Any]) -> bool:
    """Whether a promise can still be resolved. On a closed loop nobody hears of it, and resolving it would raise."""
    return not promise.get_loop().is_closed()


def _pass_on(promise: asyncio.Future[Any], task: Any) -> None:
    """Give a promise the result of its task. If the task failed unseen, the failure is now reported for the promise.

    The promise takes over, because the caller of the slot holds the promise, and awaits that.
    """
    if promise.done() or not _is_heard(promise):
        return
    if task.cancelled():
        promise.cancel()
        return
    is_told = not getattr(task, "_log_traceback", True)
    exc = task.exception()  # this counts as asking: the task itself will not be reported any more
    if exc is None:
        promise.set_result(task.result())
        return
    promise.set_exception(exc)
    if is_told:
        promise.exception()
    else:
        promise.add_done_callback(functools.partial(_report_for, task))


def _report_for(task: Any, promise: asyncio.Future[Any]) -> None:
    """Report a promise's failure as that of its task: the task has an owner, and the promise has none."""
    context = {"message": "Exception in a slot", "task": task}
    report_failure(promise, lambda exc: task.get_loop().call_exception_handler(dict(context, exception=exc)))


POLICIES = ("concurrent", "drop", "queue", "restart")


class Repeats:
    """The calls of one slot of one receiver that run or wait, and the policy for the next one.

    Args:
        policy: one of POLICIES.
    """

    def __init__(self, policy: str) -> None:
        self._policy = policy
        self._is_starting = False  # a task's first step is running, and we do not have the task yet
        self._task: Optional[asyncio.Future[Any]] = None
        self._waiting: Deque[Call] = deque()

    def anew(self) -> Repeats:
        """Return a new object with the same policy, for another receiver."""
        return Repeats(self._policy)

    def emit(self, call: Call) -> asyncio.Future[Any]:
        """Begin a call now, later or not at all, by the policy; return the future for its caller."""
        if self._policy == "concurrent":
            return call.begin()
        if not self._is_busy():
            self._waiting.append(call)
            self._start_waiting()
        elif self._policy == "drop":
            # During the first step there is no task yet. If that step has made the call, it must not wait for itself.
            return unstarted() if self._task is None else self._task
        elif self._policy == "queue":
            self._waiting.append(call)
        else:
            # If calls wait, the running task has been cancelled. A second cancel() would interrupt its clean-up.
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
        """Begin the waiting calls one after the other, until a task does not end in its first step."""
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
                # In an empty context, which has no owner. The current one is that of the code which emits, and may
                # be another plug-in's: one that has a dialog open, in which the user has clicked.
                task.add_done_callback(lambda _: self._start_waiting(), context=Context())
                if self._policy == "restart" and self._waiting:
                    task.cancel()  # the first step of this task has emitted the signal again

"""How the work of one owner is ended, in bounded time.

    the tasks that the plug-in made are cancelled, servers stop listening, asyncio
    is run alone until the tasks have ended -> so are the others -> async generators are
    closed -> what is left open is closed, and given time to say so -> whatever is
    still scheduled or registered is dropped, and what will not end is frozen

The plug-in's own tasks go first, as asyncio.run() ends its main task first: a
library's tasks are ended by the library then, in its own order. Cancelled under
its feet, they leave things behind (grpc.aio 1.85 two epoll descriptors, 2026-11).
Tasks first and connections second, so that a task's clean-up can still say
goodbye over its connection. The host's Qt loop does not run meanwhile, unless it
is asked for: whoever calls us may be in the middle of tearing Qt down.

This module does not know leases, only owners.
"""

from __future__ import annotations

import asyncio
import functools
from contextvars import Context
from typing import Any, Callable, Collection, List, Optional

from ._clock import monotonic
from ._loop import AsyncSlotEventLoop
from ._owners import Owner, freeze
from ._report import AbandonedTask, DetachReport, describe

# The parts of the time after which the next thing is done, whether the last has succeeded or not.
# What is left after the last of them is for killing and reaping, which takes milliseconds.
_FOR_OWN_TASKS = 0.5
_FOR_TASKS = 0.8
_FOR_ASYNC_GENERATORS = 0.9

# Seconds in which connections hear of their end and children die, if the time was over before.
_FOR_TURNS = 0.05


class Ending:
    """The end of an owner's work: begin() while the caller waits, finish() when nothing of it is on the stack.

    Args:
        timeout: seconds, for all that begin() does.
        process_events: let Qt's events through meanwhile, user input excluded.
    """

    def __init__(
        self, loop: AsyncSlotEventLoop, owner: Owner, report: DetachReport, timeout: float, process_events: bool
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._report = report
        self._start = monotonic()
        self._timeout = timeout
        run_alone = functools.partial(loop._as_run_alone, owner=owner)
        self._run = loop._as_run_with_events if process_events else run_alone
        self._tasks = owner.pending()
        self._abandoned: List[asyncio.Task[Any]] = []
        # They cannot end before the caller returns; they are cancelled and not waited for.
        self.on_stack = [task for task in tasks_on_stack(loop) if task in owner.tasks]

    def begin(self, own_tasks: Collection[asyncio.Task[Any]]) -> None:
        """Cancel tasks and close what is open.

        Args:
            own_tasks: those that the plug-in made through its lease, not those that
                libraries made on its behalf.
        """
        owner, report = self._owner, self._report
        # A plug-in that is only loaded and unloaded need not wait for turns in which nothing happens.
        if own_tasks or self._is_anything_left():
            self._end_work(list(own_tasks))
        if owner.executor is not None:
            report.jobs = owner.executor.abandon()
        ended = [task for task in self._tasks if task.done() and task not in self._abandoned]
        report.ended = len(ended)
        report.cancelled = sum(task.cancelled() for task in ended)
        report.seconds = monotonic() - self._start

    def _is_anything_left(self) -> bool:
        """Whether the owner has something to be ended, or may have something to be run in the next turn."""
        owner, loop = self._owner, self._loop
        return bool(owner.tasks or owner.resources or owner.async_generators or loop._ready or loop._as_batch)

    def _end_work(self, own_tasks: Collection[asyncio.Task[Any]]) -> None:
        owner = self._owner
        for task in own_tasks:
            task.cancel()
        for task in self.on_stack:
            task.add_done_callback(_forget_cancellation)
        self._close_servers()
        self._run_until(lambda: self._have_ended(own_tasks), _FOR_OWN_TASKS)
        for task in owner.pending():
            if task not in own_tasks:
                task.cancel()
        # Tasks may start others while they clean up, so look again each time.
        self._run_until(lambda: self._have_ended(owner.pending()), _FOR_TASKS)
        # Some may end when what they wait for is closed; but not in time, and not as they wanted.
        self._note_abandoned([task for task in owner.pending() if task not in self.on_stack])
        self._close_async_generators()

        for resource in list(owner.resources):
            self._close(resource)
        turns = _Turns(self._loop, 5)
        # Without it connections would stay open and children be zombies: they have a moment, however
        # little time there was.
        end = max(self._start + self._timeout, monotonic() + _FOR_TURNS)
        self._run(lambda: turns.are_over and _is_reaped(owner), end)
        self._cancel_latecomers()

    def finish(self) -> None:
        """Drop what is still scheduled or registered, and freeze the tasks that would not end."""
        owner, report = self._owner, self._report
        pending = owner.pending()
        self._note_abandoned(pending)
        report.closed += self._loop._as_forget(owner)
        if not self._abandoned:
            return
        owner.report(str(report), None)
        for task in pending:
            error = freeze(task)
            if error is not None:
                owner.report(f"{owner.name}: closing the coroutine of {task!r}, which would not end, failed", error)
        self._loop._as_forget(owner)  # what they have scheduled while they were closed

    def finish_later(self, then: Callable[[], None]) -> None:
        """Wait until the tasks on the stack have ended, or time is over; finish(), and call `then`."""

        async def wait() -> None:
            await asyncio.wait(self.on_stack, timeout=self._timeout)
            self.finish()
            then()

        # Nobody's task, though it is the owner's code that has called detach().
        Context().run(self._loop.create_task, wait())

    def _note_abandoned(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        for task in tasks:
            if task not in self._abandoned:
                self._abandoned.append(task)
                self._report.abandoned.append(AbandonedTask(task, self._owner.name))

    def _have_ended(self, tasks: Collection[asyncio.Task[Any]]) -> bool:
        return all(task.done() or task in self.on_stack for task in tasks)

    def _run_until(self, is_done: Callable[[], bool], part: float) -> None:
        self._run(is_done, self._start + self._timeout * part)

    def _close_servers(self) -> None:
        """Stop listening; a connection that was just accepted needs its server for two turns more."""
        servers = [resource for resource in self._owner.resources if isinstance(resource, asyncio.AbstractServer)]
        if any(server.is_serving() for server in servers):
            for server in servers:
                self._loop._as_stop_accepting(server)
            self._take_turns(2)
            for server in servers:
                self._close(server)
            # And the proactor's accept must have begun, or it cannot close its socket when it is cancelled.
            self._take_turns(2)

    def _take_turns(self, count: int) -> None:
        turns = _Turns(self._loop, count)
        self._run(lambda: turns.are_over, monotonic() + _FOR_TURNS)

    def _close_async_generators(self) -> None:
        """Have them run their `finally`, in the owner's name."""
        generators = [agen for agen in self._owner.async_generators if agen.ag_frame is not None]
        if not generators:
            return
        self._report.closed += map(describe, generators)
        task = self._owner.context().run(self._loop.create_task, _close_all(self._loop, generators))
        self._run_until(task.done, _FOR_ASYNC_GENERATORS)
        task.cancel()
        self._run_until(task.done, _FOR_ASYNC_GENERATORS)

    def _cancel_latecomers(self) -> None:
        """Cancel what was begun since by callbacks that were scheduled before."""
        late = [task for task in self._owner.pending() if task not in self._abandoned]
        for task in late:
            task.cancel()
        self._run_until(lambda: self._have_ended(late), 1.0)

    def _close(self, resource: Any) -> None:
        """Close one server or transport, if it is open, and write that down."""
        try:
            what = _close(resource)
        except Exception as exc:  # a library's class; the others must be closed all the same
            self._owner.report(f"{self._owner.name}: closing {resource!r} failed", exc)
        else:
            if what is not None:
                self._report.closed.append(what)


def tasks_on_stack(loop: AsyncSlotEventLoop) -> List[asyncio.Task[Any]]:
    """Return the tasks that are being stepped right now, further out on the calling thread's stack."""
    handles = [*loop._as_stack, loop._as_handle]
    owners_of_callbacks = (getattr(handle._callback, "__self__", None) for handle in handles if handle is not None)
    return [task for task in owners_of_callbacks if isinstance(task, asyncio.Task)]


def _forget_cancellation(task: Any) -> None:
    """Keep Python 3.7 quiet: a task that returns in the step in which it was cancelled fails there, unheard."""
    if not task.cancelled() and isinstance(task._exception, asyncio.CancelledError):
        task._log_traceback = False


def _close(resource: Any) -> Optional[str]:
    """Close one server or transport, and describe it; None if it was closed already."""
    if isinstance(resource, asyncio.AbstractServer):
        if not resource.is_serving():
            return None
        what = describe(resource)
        resource.close()
        return what
    if resource.is_closing():
        return None
    what = describe(resource)
    try:
        # Not close(): it would wait for its buffer to drain, which may be never.
        getattr(resource, "abort", resource.close)()
    except NotImplementedError:  # inherited by the proactor's reading end of a pipe, which has no buffer
        resource.close()
    return what


async def _close_all(loop: Any, generators: List[Any]) -> None:
    """Close async generators side by side, and report what goes wrong."""
    outcomes = await asyncio.gather(*(agen.aclose() for agen in generators), return_exceptions=True)
    for agen, outcome in zip(generators, outcomes):
        if isinstance(outcome, Exception):
            message = f"An error occurred while the async generator {agen!r} was closed"
            loop.call_exception_handler({"message": message, "exception": outcome, "asyncgen": agen})


class _Turns:
    """Let protocols hear of their lost connections: asyncio tells them in the next turn, or one for each layer (TLS).

    Turns are counted, for "until nothing is ready" may never come: the loop is shared, and others are at work. By
    callbacks: of a task that time does not suffice for, asyncio would say that it was destroyed.
    """

    def __init__(self, loop: Any, count: int) -> None:
        self._loop = loop
        self._left = count
        self._schedule()

    @property
    def are_over(self) -> bool:
        return not self._left

    def _schedule(self) -> None:
        self._loop.call_soon(self._turn, context=Context())

    def _turn(self) -> None:
        self._left -= 1
        if self._left:
            self._schedule()


def _is_reaped(owner: Owner) -> bool:
    """Whether the children that were killed have ended."""
    return all(
        resource.get_returncode() is not None
        for resource in owner.resources
        if isinstance(resource, asyncio.SubprocessTransport)
    )

"""How the work of one owner is ended, in bounded time.

    servers stop listening -> the tasks that the plug-in made are cancelled, asyncio
    is run alone until they have ended -> so are the others -> what they left open
    is closed, and given time to say so

The plug-in's own tasks go first, as asyncio.run() ends its main task first: a
library's tasks are ended by the library then, in its own order. Cancelled under
its feet, they leave things behind (grpc.aio 1.85 two epoll descriptors, 2026-11).
Tasks first and connections second, so that a task's clean-up can still say
goodbye over its connection. The host's Qt loop never runs meanwhile: whoever
calls us may be in the middle of tearing Qt down.

This module does not know leases, only owners.
"""

from __future__ import annotations

import asyncio
from typing import Any, Collection, List

from ._clock import monotonic
from ._loop import AsyncSlotEventLoop
from ._owners import Owner
from ._report import AbandonedTask, DetachReport, describe

# The part of the time that tasks may use up; the rest is for killing and reaping
# what they leave behind, which takes milliseconds.
_FOR_TASKS = 0.9

# The part of the time that the plug-in's own tasks have before all others are cancelled, too.
_FOR_OWN_TASKS = 0.5


def end_work(
    loop: AsyncSlotEventLoop,
    owner: Owner,
    report: DetachReport,
    timeout: float,
    own_tasks: Collection[asyncio.Task[Any]],
    on_stack: Collection[asyncio.Task[Any]],
) -> None:
    """Cancel the owner's tasks and close what it has open; write down what happened.

    Args:
        timeout: seconds, for all of it.
        own_tasks: those that the plug-in made through its lease, not those that
            libraries made on its behalf.
        on_stack: tasks that cannot end before the caller returns; they are
            cancelled and not waited for.
    """
    start = monotonic()
    for server in [resource for resource in owner.resources if isinstance(resource, asyncio.AbstractServer)]:
        _close(server, report)

    tasks = owner.pending()
    own_tasks = list(own_tasks)
    for task in own_tasks:
        task.cancel()
    loop._as_run_alone(
        lambda: all(task.done() or task in on_stack for task in own_tasks), start + timeout * _FOR_OWN_TASKS
    )
    for task in owner.pending():
        if task not in own_tasks:
            task.cancel()
    # Tasks may start others while they clean up, so look again each time.
    loop._as_run_alone(lambda: all(task in on_stack for task in owner.pending()), start + timeout * _FOR_TASKS)

    for resource in list(owner.resources):
        _close(resource, report)
    turns = loop.create_task(_some_turns())
    loop._as_run_alone(lambda: turns.done() and _is_reaped(owner), start + timeout)
    turns.cancel()

    for task in owner.pending():
        if task not in on_stack:
            report.abandoned.append(AbandonedTask(task))
            # The report says so; asyncio need not say it again when the task is destroyed.
            task._log_destroy_pending = False  # type: ignore[attr-defined]
    report.ended = sum(task.done() for task in tasks)


def tasks_on_stack(loop: AsyncSlotEventLoop) -> List[asyncio.Task[Any]]:
    """Return the tasks that are being stepped right now, further out on the calling thread's stack."""
    handles = [*loop._as_stack, loop._as_handle]
    owners_of_callbacks = (getattr(handle._callback, "__self__", None) for handle in handles if handle is not None)
    return [task for task in owners_of_callbacks if isinstance(task, asyncio.Task)]


def _close(resource: Any, report: DetachReport) -> None:
    """Close one server or transport, if it is open, and write that down."""
    if isinstance(resource, asyncio.AbstractServer):
        if not resource.is_serving():
            return
        report.closed.append(describe(resource))
        resource.close()
    elif not resource.is_closing():
        report.closed.append(describe(resource))
        try:
            # Not close(): it would wait for its buffer to drain, which may be never.
            getattr(resource, "abort", resource.close)()
        except NotImplementedError:  # inherited by the proactor's reading end of a pipe, which has no buffer
            resource.close()


async def _some_turns() -> None:
    """Let protocols hear of their lost connections: asyncio tells them in the next turn, or one for each layer (TLS).

    Turns are counted, for "until nothing is ready" may never come: the loop is shared, and others are at work.
    """
    for _ in range(5):
        await asyncio.sleep(0)


def _is_reaped(owner: Owner) -> bool:
    """Whether the children that were killed have ended."""
    return all(
        resource.get_returncode() is not None
        for resource in owner.resources
        if isinstance(resource, asyncio.SubprocessTransport)
    )

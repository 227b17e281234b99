"""DetachReport: what became of a plug-in's work when it was detached; and a resource in words.

A resource may be of a library's own class, so nothing here trusts it. This module only describes; it knows nothing of
leases and loops.
"""

from __future__ import annotations

import asyncio
import traceback
import types
from typing import Any, Dict, Iterable, List, Optional

from ._tasks import closed_by, coro_of, frames_of, name_of, safe_repr

# How many tasks that stand at the same line a report names; it counts the others.
_MOST_NAMES = 10


class AbandonedTask:
    """A task that did not end in time.

    If closing what it waited for does not end it either, it is frozen where it
    stands, and never goes on.

    Attributes:
        name: the task's name.
        owner: the name of its owner.
        stack: where it stood, as text, innermost frame last.
        was_told: whether it had a turn in which it heard that it was cancelled. False: the time was over
            before, as there were too many callbacks to run.

    Args:
        stacks: a cache of the texts of stacks, for a caller that describes many tasks: those that stand at the same
            lines need the lines of source only once.
    """

    def __init__(self, task: asyncio.Task[Any], owner: str, stacks: Optional[Dict[Any, str]] = None) -> None:
        self.owner = owner
        self.name = name_of(task)
        self.was_told = _was_told(task)
        generator = closed_by(coro_of(task))
        if generator is not None:
            self.name += f" (closes {describe(generator)})"
        frames = frames_of(task)
        stacks = {} if stacks is None else stacks
        lines = tuple((frame.f_code.co_filename, frame.f_code.co_name, frame.f_lineno) for frame in frames)
        if lines not in stacks:
            summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in frames)
            stacks[lines] = "".join(summary.format())
        self.stack = stacks[lines]

    def __repr__(self) -> str:
        return f"<AbandonedTask {self.name!r} of {self.owner!r}>"


class DetachReport:
    """What detach() did; `str()` of it is made for a log.

    Attributes:
        owner: the name of the lease.
        ended: how many tasks were running, were cancelled, and ended in time.
        cancelled: how many of these ended by being cancelled; the others returned
            or raised something of their own.
        abandoned: the tasks that did not end in time.
        closed: what was still open, described: servers, connections, subprocesses,
            awaited signals, async generators, readers and writers.
        kept: what was left open, described, because closing it might harm another plug-in that uses
            the same library. It ends with the last lease.
        jobs: the functions that still run in a thread of the default executor, by
            name. Their threads are daemons, and their results are dropped.
        seconds: how long detach() took, in seconds.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.ended = 0
        self.cancelled = 0
        self.abandoned: List[AbandonedTask] = []
        self.closed: List[str] = []
        self.kept: List[str] = []
        self.jobs: List[str] = []
        self.seconds = 0.0

    @classmethod
    def of_all(cls, reports: Iterable[DetachReport]) -> DetachReport:
        """Return several reports as one."""
        reports = list(reports)
        whole = cls(", ".join(report.owner for report in reports))
        for report in reports:
            for name, value in vars(report).items():
                if name != "owner":
                    setattr(whole, name, getattr(whole, name) + value)
        return whole

    def __str__(self) -> str:
        lines = [
            f"{self.owner}: detached in {self.seconds:.3f} s; {_count(self.ended, 'task')} ended, "
            f"{_count(len(self.abandoned), 'task')} abandoned, {_count(len(self.closed), 'resource')} closed"
        ]
        if self.cancelled < self.ended:
            lines.append(f"  ended otherwise than by being cancelled: {_count(self.ended - self.cancelled, 'task')}")
        lines += [f"  closed: {what}" for what in self.closed]
        lines += [f"  kept, as others may use it: {what}" for what in self.kept]
        lines += [f"  still runs in a thread: {what}" for what in self.jobs]
        alike: Dict[Any, List[AbandonedTask]] = {}
        for task in self.abandoned:
            alike.setdefault((task.was_told, task.stack), []).append(task)
        for (was_told, stack), tasks in alike.items():
            names = ", ".join(task.name for task in tasks[:_MOST_NAMES])
            more = f" and {len(tasks) - _MOST_NAMES:,} more" if len(tasks) > _MOST_NAMES else ""
            were = "it was" if len(tasks) == 1 else "they were"
            why = f"which did not end when {were} cancelled" if was_told else "whose turn to end did not come in time"
            lines.append(f"  abandoned: {names}{more}, {why}")
            lines += [f"    {line}" for line in stack.splitlines()]
        return "\n".join(lines)

    __repr__ = __str__


def _was_told(task: Any) -> bool:
    """Whether a task that was cancelled has had a turn since. True for a class that does not tell."""
    try:
        waiter = task._fut_waiter
        return not (task._must_cancel or (waiter is not None and waiter.cancelled()))
    except BaseException:
        return True


def describe(resource: Any) -> str:
    """Say in a few words what a server, transport, async generator or connected signal is. Never raises."""
    try:
        return _describe(resource)
    except BaseException:  # a library's class may raise anything
        return safe_repr(resource)


def _describe(resource: Any) -> str:
    if isinstance(resource, types.AsyncGeneratorType):
        return f"async generator {resource.__qualname__}()"
    sockets = getattr(resource, "sockets", None)
    if sockets is not None:
        return "server on " + ", ".join(str(sock.getsockname()) for sock in sockets)
    info = getattr(resource, "get_extra_info", None)
    if info is None:
        return repr(resource)
    process = info("subprocess")
    if process is not None:
        return f"subprocess {process.pid} ({process.args!r})"
    peer = info("peername")
    if peer:
        return f"connection with {peer}"
    pipe = info("pipe")
    return f"{type(resource).__name__} on {pipe or info('sockname')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")

"""run_task: a task whose first step runs now, not in the next turn.

A slot is expected to have an effect before the emission returns: a button that
starts a download must be disabled before a second click can come. asyncio's
create_task() only queues the first step. Here it is taken out of the queue
before it gets in, and run at once, inside whatever the caller is doing; from
the first `await` that really waits on, the task is like any other.

This module relies on the loop being ours: call_soon() of `_steps` recognises
the first step by the coroutine that it belongs to, and nothing that another
thread queues meanwhile can be mistaken for it.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, Coroutine, List, Optional, TypeVar

_T = TypeVar("_T")

# Where asyncio notes its tasks: up to Python 3.11, and from 3.12 on.
_REGISTRIES = ("_all_tasks", "_scheduled_tasks", "_eager_tasks")

# What a class of a plug-in's own may raise when it is asked for something.
_ANYTHING = (Exception, SystemExit)

# A coroutine that awaits in a `finally` stands there after close(), and is closed again. One
# that does so for ever is left to the garbage collector.
_MOST_CLOSES = 10


def run_task(loop: Any, coro: Coroutine[Any, Any, _T], *, name: Optional[str] = None) -> asyncio.Task[_T]:
    """Make a task of `coro`, run its first step at once, and return the task. GUI thread only.

    Called inside a step, the caller's task is suspended for that time, and
    asyncio.current_task() is the new one. What the first step raises is in the
    task, as always. With a task factory that starts tasks eagerly by itself
    (asyncio.eager_task_factory, Python 3.12), that one start is all that happens.
    """
    alert = loop._as_alert
    wanted = loop._as_wanted_coro
    loop._as_alert = True
    loop._as_wanted_coro = coro
    try:
        task: asyncio.Task[_T] = loop.create_task(coro)
        first_step = loop._as_first_step
    finally:
        loop._as_wanted_coro = wanted
        loop._as_first_step = None
        loop._as_alert = alert
    if name is not None:
        set_name(task, name)
    if first_step is not None:
        loop._as_run_now(first_step)
    try:
        return task
    finally:
        del task, first_step  # if it failed, its traceback may keep this frame: see _as_drain() in _steps


def resume(loop: Any, handle: Any) -> None:
    """Have the task whose step has just been run go on, if Ctrl+C has come while asyncio was queueing its next step.

    In asyncio itself it never would.
    """
    task: Any = getattr(handle._callback, "__self__", None)
    if not isinstance(task, asyncio.Task) or task.done() or task._fut_waiter is not None:  # type: ignore[attr-defined]
        return
    if any(getattr(queued._callback, "__self__", None) is task for queued in (*loop._ready, *loop._as_batch)):
        return
    # A step that was a wake-up has brought the task the result of a future, which it must not get again.
    future = loop.create_future()
    future.set_result(None)
    loop.call_soon(handle._callback, *(future for _ in handle._args), context=handle._context)


def has_begun(coro: Any) -> bool:
    """Whether a coroutine has taken a step."""
    return not inspect.iscoroutine(coro) or inspect.getcoroutinestate(coro) != inspect.CORO_CREATED


def is_first_step(callback: Any) -> bool:
    """Whether a callback is the first step of a task."""
    task = getattr(callback, "__self__", None)
    return isinstance(task, asyncio.Task) and not has_begun(coro_of(task))


def is_alive(task: asyncio.Future[Any]) -> bool:
    """Whether a task goes on: it is not done, and detach() has not frozen it. Never raises."""
    coro = coro_of(task)
    try:
        if _is_done(task):
            return False
        # A coroutine that Nuitka has compiled has no frame before it begins, either.
        return coro is None or getattr(coro, "cr_frame", coro) is not None or not has_begun(coro)
    except _ANYTHING:  # of a class that is not even asyncio's: nothing can be known of it, and nothing be waited for
        return False


def all_tasks(loop: Any) -> List[asyncio.Task[Any]]:
    """Return those of asyncio's tasks that run on a loop and go on. Never raises."""
    try:
        return [task for task in asyncio.all_tasks(loop) if is_alive(task)]
    except _ANYTHING:
        # Where done() of a plug-in's own class raises, asyncio tells of no task at all.
        registries = [getattr(asyncio.tasks, name, ()) for name in _REGISTRIES]
        tasks = {id(task): task for registry in registries for task in list(registry)}.values()
        return [task for task in tasks if getattr(task, "_loop", None) is loop and is_alive(task)]


def _is_done(task: Any) -> bool:
    try:
        is_done: bool = task.done()
    except _ANYTHING:
        is_done = asyncio.Task.done(task)
    return is_done


def coro_of(task: Any) -> Any:
    """Return what a task runs; None if it is of a class that does not tell. Never raises."""
    try:
        return task._coro
    except _ANYTHING:
        return None


def freeze(task: Any) -> Optional[BaseException]:
    """Stop a task for good that is suspended and will not end: nothing wakes it, and its coroutine is closed.

    Closed as Python closes a coroutine that nobody refers to any more: GeneratorExit
    is raised where it stands. Now rather than at some garbage collection, which
    would tell stderr of a coroutine that awaits even then.

    Returns:
        What the coroutine raised instead of ending.
    """
    # The report of detach() tells of it; asyncio need not when the task is destroyed.
    task._log_destroy_pending = False
    waiter: Any = getattr(task, "_fut_waiter", None)
    for callback, _ in list(getattr(waiter, "_callbacks", None) or ()):
        if getattr(callback, "__self__", None) is task:
            waiter.remove_done_callback(callback)
    coro, error = coro_of(task), None
    if coro is None:
        return None  # of a class that does not tell what it runs
    for _ in range(_MOST_CLOSES):
        try:
            coro.close()
        except BaseException as exc:
            error = exc
        if getattr(coro, "cr_frame", None) is None:
            break
    if not hasattr(coro, "cr_frame") and isinstance(task, asyncio.Future):
        # What closes an async generator does not tell whether it goes on, so the task has to: see is_alive().
        asyncio.Future.cancel(task)
    return error


def set_name(task: asyncio.Task[Any], name: str) -> None:
    """Name a task, where tasks have names (Python 3.8)."""
    if hasattr(task, "set_name"):
        task.set_name(name)

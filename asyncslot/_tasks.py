"""How to look at tasks of whatever class, how to put them into words, and how to stop one that will not end.

A plug-in's or a library's own class of tasks may raise anything, so nothing here raises because of one.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any, Dict, Iterable, Iterator, List, Optional

# asyncio's registries of tasks: the first up to Python 3.11, the others from 3.12 on.
_REGISTRIES = ("_all_tasks", "_scheduled_tasks", "_eager_tasks")

# The errors that a method or attribute of a plug-in's own task class may raise.
_ANYTHING = (Exception, SystemExit)

# How often we close a coroutine that goes on: one that awaits in a `finally` is suspended there after close().
# A coroutine that does so for ever is left to the garbage collector.
_MOST_CLOSES = 10


def resume(loop: Any, handle: Any, queued: Iterable[Any]) -> None:
    """Queue the next step of the task that `handle` has run, if Ctrl+C came while asyncio was about to queue it.

    In asyncio itself such a task never goes on.

    Args:
        queued: the handles in the loop's queues.
    """
    task: Any = getattr(handle._callback, "__self__", None)
    if not isinstance(task, asyncio.Task) or task.done() or task._fut_waiter is not None:  # type: ignore[attr-defined]
        return
    if any(getattr(each._callback, "__self__", None) is task for each in queued):
        return
    # If the step was a wake-up, its argument was a future, and has brought the task that future's result. The task must
    # not get the result twice, so we pass a future of our own.
    future = loop.create_future()
    future.set_result(None)
    loop.call_soon(handle._callback, *(future for _ in handle._args), context=handle._context)


def has_begun(coro: Any) -> bool:
    """Whether a coroutine has taken its first step."""
    return not inspect.iscoroutine(coro) or inspect.getcoroutinestate(coro) != inspect.CORO_CREATED


def is_first_step(callback: Any) -> bool:
    """Whether a callback is the first step of a task."""
    task = getattr(callback, "__self__", None)
    return isinstance(task, asyncio.Task) and not has_begun(coro_of(task))


def is_alive(task: asyncio.Future[Any]) -> bool:
    """Whether a task can go on: it is not done, and detach() has not frozen it. Never raises."""
    try:
        try:
            if task.done():
                return False
        except _ANYTHING:
            if asyncio.Task.done(task):
                return False
        coro = coro_of(task)
        # Fast path: from Python 3.11 on, to ask for a coroutine's frame makes a frame object for each.
        if getattr(coro, "cr_suspended", False):
            return True
        # A coroutine that Nuitka has compiled has no frame before it begins, either.
        return coro is None or getattr(coro, "cr_frame", coro) is not None or not has_begun(coro)
    except _ANYTHING:  # its class is not asyncio's: we can know nothing of the task, and must not wait for it
        return False


def all_tasks(loop: Any) -> List[asyncio.Task[Any]]:
    """Return the tasks of a loop that asyncio knows and that can go on. Never raises."""
    try:
        return [task for task in asyncio.all_tasks(loop) if is_alive(task)]
    except _ANYTHING:
        # If done() of one task raises, because it is of a plug-in's own class, asyncio returns no task at all.
        registries = [getattr(asyncio.tasks, name, ()) for name in _REGISTRIES]
        tasks = {id(task): task for registry in registries for task in list(registry)}.values()
        return [task for task in tasks if getattr(task, "_loop", None) is loop and is_alive(task)]


def awaited_by(waiting: Iterable[Any], tasks: Iterable[Any]) -> List[Any]:
    """Return those of `tasks` for which a task of `waiting` waits, itself or by way of others. Never raises.

    When it is cancelled, it passes that on, and waits for their clean-up.
    """
    ids = set(map(id, waiting))
    return [task for task in tasks if any(id(future) in ids for future in those_that_wait_for(task))]


def those_that_wait_for(task: Any) -> List[asyncio.Future[Any]]:
    """Return a task, and each task and future that cannot be done before it is. Never raises.

    A task may wait by `await`, gather(), wait() or wait_for(), itself or by way of others.
    """
    found: Dict[int, Any] = {}
    futures = [task]
    while futures:
        future = futures.pop()
        if id(future) in found:
            continue
        found[id(future)] = future
        for callback, _ in list(getattr(future, "_callbacks", None) or ()):
            # A task that awaits has its wake-up among the callbacks. wait_for() passes its future to
            # functools.partial(); gather() and wait() have theirs in a closure.
            things = (getattr(callback, "__self__", None), *getattr(callback, "args", ()), *closure_of(callback))
            futures += [thing for thing in things if isinstance(thing, asyncio.Future)]
    return list(found.values())


def closure_of(function: Any) -> Iterator[Any]:
    """Yield what a function refers to by its closure; nothing for anything else."""
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:
            pass  # not set yet, or deleted


def in_order(tasks: Iterable[asyncio.Task[Any]]) -> List[asyncio.Task[Any]]:
    """Return tasks in the order in which they were made, as far as their names tell; asyncio keeps them in no order.

    A lock, event or queue looks for the task that is to wait no longer from its oldest waiter on. If tasks that wait
    for one of these are cancelled in any order, each costs a walk past half of the others. (asyncio numbers tasks by
    their default names, from Python 3.8 on.)
    """
    return sorted(tasks, key=_number)


def _number(task: Any) -> int:
    try:
        return int(task.get_name().rpartition("-")[2])
    except _ANYTHING:  # Python 3.7, a name that was given, or a class that is not asyncio's
        return 0


def coro_of(task: Any) -> Any:
    """Return a task's coroutine; None if the task is of a class that does not tell. Never raises."""
    try:
        return task._coro
    except _ANYTHING:
        return None


def describe_callback(callback: Any) -> str:
    """Name a callback or, if it is a task's step, the coroutine. Without arguments: they may be secret."""
    callback = coro_of(getattr(callback, "__self__", None)) or callback
    return getattr(callback, "__qualname__", None) or type(callback).__name__


def where(future: asyncio.Future[Any]) -> Optional[str]:
    """Return the innermost line at which a task is suspended; None for a plain future."""
    frames = frames_of(future)
    if not frames:
        return None
    frame = frames[-1]
    return f"{frame.f_code.co_name}() ({frame.f_code.co_filename}:{frame.f_lineno})"


# The attributes in which a coroutine, a generator that serves as one, and an async generator have their frame and the
# object that they await. The names are spelled out, for CPython's cache of methods keeps names that are put together
# at run time, thousands of them.
_SUSPENDED = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


def frames_of(future: Any) -> List[Any]:
    """Return the frames of a suspended task: its coroutine's, that of the coroutine which this one awaits, and so on.

    Task.get_stack() has the first of them only.
    """
    frames, awaited = [], coro_of(future)
    awaited = closed_by(awaited) or awaited
    while awaited is not None:
        names = next((names for names in _SUSPENDED if hasattr(awaited, names[0])), None)
        if names is None:
            break
        frame, awaits = names
        frames.append(getattr(awaited, frame))
        awaited = getattr(awaited, awaits, None)
    return [frame for frame in frames if frame is not None]


def closed_by(coro: Any) -> Any:
    """Return the async generator that an aclose() closes, else None; the aclose() only refers to it."""
    if type(coro).__name__ != "async_generator_athrow":
        return None
    return next((item for item in gc.get_referents(coro) if hasattr(item, "ag_frame")), None)


def safe_repr(thing: Any) -> str:
    """Return repr(), or say that it raises: it is a plug-in's or a library's own code."""
    try:
        return repr(thing)
    except BaseException as exc:
        return f"<{type(thing).__name__}, whose repr() raises {type(exc).__name__}>"


def name_of(task: Any) -> str:
    """Return a task's name; below Python 3.8, where tasks have none, its repr()."""
    try:
        return str(task.get_name())
    except BaseException:  # Python 3.7, or a plug-in's own class
        return safe_repr(task)


def freeze(task: Any) -> Optional[BaseException]:
    """Stop a suspended task for good, which does not end by itself: nothing wakes it, and its coroutine is closed.

    Python closes a coroutine in the same way when the last reference to it goes: GeneratorExit is raised where the
    coroutine is suspended. We do it now. At some later garbage collection Python would complain on stderr of a
    coroutine that awaits even then.

    Returns:
        The last exception that the coroutine raised when it was closed; None if there was none.
    """
    # The report of detach() names the task, so asyncio need not complain when it is destroyed.
    task._log_destroy_pending = False
    waiter: Any = getattr(task, "_fut_waiter", None)
    for callback, _ in list(getattr(waiter, "_callbacks", None) or ()):
        if getattr(callback, "__self__", None) is task:
            waiter.remove_done_callback(callback)
    coro, error = coro_of(task), None
    if coro is None:
        return None  # the task is of a class that does not tell its coroutine
    for _ in range(_MOST_CLOSES):
        try:
            coro.close()
        except BaseException as exc:
            error = exc
        if getattr(coro, "cr_frame", None) is None:
            break
    if not hasattr(coro, "cr_frame") and isinstance(task, asyncio.Future):
        # `coro` is agen.aclose() of an async generator, and cannot tell whether it goes on. So we make the task tell:
        # see is_alive().
        asyncio.Future.cancel(task)
    return error


def set_name(task: asyncio.Task[Any], name: str) -> None:
    """Name a task, where tasks have names (Python 3.8)."""
    if hasattr(task, "set_name"):
        task.set_name(name)

"""asyncSlot: a coroutine function that a Qt signal can be connected to.

A signal hands its arguments over and forgets; a coroutine wants a task. Between
them stands a plain function, which Qt's bindings treat like any slot:

- arguments that the coroutine function does not take are dropped, as Qt does
  for slots (`clicked` brings a bool that nobody wants);
- of a bound method it makes a bound method of the same receiver. All four
  bindings hold the receiver of a bound method weakly and disconnect when it
  goes, so a slot keeps no dialog alive. Asked twice for the same method it gives
  equal slots, so `disconnect()` finds what `connect()` was given;
- what `Slot` or `pyqtSlot` have written on the function below is kept, and they
  can be applied on top.

An exception in a slot's task is reported at once. Nobody awaits such a task, and
asyncio alone would report only when it is garbage-collected.

This module does not know which loop a coroutine runs on: it is given `start`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import types
from typing import Any, Callable, Coroutine, Optional

from ._binding import is_deleted
from ._errors import NotCoroutineFunctionError

# asyncio's own version knows more below Python 3.12 (mocks, marked functions), and
# is deprecated from 3.14 on.
_is_coroutine_function = inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction

CoroFn = Callable[..., Coroutine[Any, Any, Any]]
Starter = Callable[[Any, Coroutine[Any, Any, Any]], Optional["asyncio.Task[Any]"]]


def make_slot(fn: Any, may_start: Callable[[Any], bool], start: Starter) -> Any:
    """Return a function that starts `fn`, with the arguments it takes, by `start(fn, coro)`.

    Args:
        fn: a coroutine function, method, static or class method object, partial,
            or object whose `__call__` is one.
        may_start: asked first; if it says False the emission is ignored and no
            coroutine is made.
        start: makes a task of the coroutine.

    Raises:
        NotCoroutineFunctionError: `fn` is something else.
    """
    if isinstance(fn, (staticmethod, classmethod)):
        # Applied on top of one of these in a class body: they go outermost.
        return type(fn)(make_slot(fn.__func__, may_start, start))
    if inspect.ismethod(fn) and not inspect.isclass(fn.__self__) and hasattr(fn.__self__, "__dict__"):
        return _make_bound_slot(fn.__func__, fn.__self__, may_start, start)
    return _make_slot(fn, may_start, start, is_bound=False)


def _make_bound_slot(function: Any, receiver: Any, may_start: Callable[[Any], bool], start: Starter) -> Any:
    """Return a slot that is a method of `receiver`."""
    # PyQt5 and PyQt6 keep neither the receiver of a bound method nor its function
    # alive (a crash in 5.15.11 without this, 2026-11), so the receiver does: not a
    # table of ours, which would go when the plug-in's modules are purged.
    slots = vars(receiver).setdefault("_asyncslot_slots", {})
    key = (function, may_start, start)
    if key not in slots:
        slots[key] = _make_slot(function, may_start, start, is_bound=True)
    return types.MethodType(slots[key], receiver)


def _make_slot(fn: Any, may_start: Callable[[Any], bool], start: Starter, is_bound: bool) -> Any:
    """Return the function that starts `fn`; one that is to be bound gets the receiver as first argument."""
    if not is_coroutine_function(fn):
        raise NotCoroutineFunctionError(fn, inspect.iscoroutine(fn))

    most = _most_positional_arguments(fn)

    def slot(*args: Any) -> None:
        if not may_start(fn) or (is_bound and is_deleted(args[0])):
            return
        task = start(fn, fn(*args[:most]))
        if task is not None:
            task.add_done_callback(_report_failure)

    # What Slot and pyqtSlot leave on a function is in its __dict__, and is kept. But
    # where the receiver is bound already, Qt knows its *own* method by that declaration,
    # and PyQt would connect to that one. And a callable object's __dict__ is its state.
    is_declaration = inspect.isfunction(fn) and not is_bound
    functools.update_wrapper(slot, fn, updated=("__dict__",) if is_declaration else ())
    # Without the link back: bindings would count the arguments of `fn`.
    del slot.__wrapped__  # type: ignore[attr-defined]
    return slot


def is_coroutine_function(fn: Any) -> bool:
    """Like asyncio's, and also for partials (from Python 3.8 on there too) and callable objects."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if _is_coroutine_function(fn):
        return True
    if inspect.isfunction(fn) or inspect.ismethod(fn) or inspect.isclass(fn):
        return False
    return _is_coroutine_function(getattr(type(fn), "__call__", None))  # noqa: B004 - the method is wanted


def _most_positional_arguments(fn: Any) -> Optional[int]:
    """Return how many positional arguments `fn` takes; None: any number."""
    count = 0
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.kind == parameter.VAR_POSITIONAL:
            return None
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            count += 1
    return count


def _report_failure(task: asyncio.Task[Any]) -> None:
    """Report the exception of a task that nobody awaits."""
    if task.cancelled():
        return
    exc = task.exception()  # which also tells asyncio that it has been seen
    if exc is not None and not isinstance(exc, (SystemExit, KeyboardInterrupt)):
        task.get_loop().call_exception_handler({"message": "Exception in a slot", "exception": exc, "task": task})

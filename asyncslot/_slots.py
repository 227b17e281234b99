"""Slots: the plain function that Qt calls for a signal, and that starts a task of a coroutine function.

Qt calls a slot and ignores what it returns, but a coroutine only runs in a task. So
make_slot() puts a plain function between the two, which the bindings treat like any slot:

- It drops the arguments that the coroutine function does not take, as Qt does for
  its own slots: `clicked` brings a bool that most slots do not want.
- A slot made of a bound method is a bound method of the same receiver. All four
  bindings hold the receiver of a bound method weakly, and disconnect when the receiver
  goes, so a slot keeps no dialog alive. Two slots made of the same method are equal,
  so `disconnect()` finds the slot that `connect()` was given.
- `Slot` and `pyqtSlot` can be applied below the slot, where their declaration is
  kept, or on top of it.

A call returns the slot's task, or another future (`_calls`). A failure that nobody
awaits is reported at once.

This module does not know on which loop a coroutine runs, nor for which plug-in: its
caller passes a `Starter`. Only `_Tie` asks the task's loop for the task's owner.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import threading
import types
import weakref
from contextvars import Context
from typing import TYPE_CHECKING, Any, Callable, Coroutine, Dict, NamedTuple, Optional, Tuple

from ._asyncio import P, T
from ._binding import calls_by_name, connect, is_bound_signal, is_deleted
from ._calls import POLICIES, Call, Repeats, unstarted
from ._errors import ArgumentError, NotCoroutineFunctionError, OptionError, ThreadError

# Below Python 3.12 asyncio's function recognises more than inspect's (mocks, marked
# functions). From 3.14 on it is deprecated, so there we use inspect's.
_is_coroutine_function = inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction

if TYPE_CHECKING:
    from typing import TypeVar, overload

    from typing_extensions import Protocol

    # For type checkers: the coroutine function that goes in, and the slot that comes out.
    CoroFn = Callable[P, Coroutine[Any, Any, T]]
    Slot = Callable[P, asyncio.Future[T]]
    Class = TypeVar("Class")

    class SlotDecorator(Protocol):
        """The type of asyncSlot() and Lease.slot() as decorators; called with options only, they return one."""

        @overload
        def __call__(self, coro_fn: staticmethod[P, Coroutine[Any, Any, T]]) -> staticmethod[P, asyncio.Future[T]]: ...
        @overload
        def __call__(
            self, coro_fn: classmethod[Class, P, Coroutine[Any, Any, T]]
        ) -> classmethod[Class, P, asyncio.Future[T]]: ...
        @overload
        def __call__(self, coro_fn: CoroFn[P, T]) -> Slot[P, T]: ...


class Starter(NamedTuple):
    """The functions by which a slot starts its tasks. The first argument `fn` is the slot's coroutine function.

    Attributes:
        is_here: (fn); tell whether this thread may answer a call: it is that of the tasks'
            loop, or there is no such loop.
        hand_over: (fn, again); if it may not, have `again` called in the thread of the loop.
        start: (fn, args, keywords); call `fn` and start a task of its coroutine, or ignore the
            emission. See to it that the task's failure is reported (report_failure). Return
            the task, or a future that is done.
        find_loop: (fn); return the loop of these tasks, or None.
    """

    is_here: Callable[[Any], bool]
    hand_over: Callable[[Any, Callable[[], object]], None]
    start: Callable[[Any, Tuple[Any, ...], Dict[str, Any]], asyncio.Future[Any]]
    find_loop: Callable[[Any], Any]


class Options(NamedTuple):
    """The options that the author of a slot can choose; asyncSlot() describes them."""

    on_repeat: str = "concurrent"
    cancel_with_receiver: bool = False

    def check(self, fn: Any) -> None:
        """Raise OptionError if an option has a value that cannot be chosen for `fn`."""
        if self.on_repeat not in POLICIES:
            raise OptionError("on_repeat", self.on_repeat, f"it takes one of {', '.join(map(repr, POLICIES))}")
        if self.cancel_with_receiver and inspect.ismethod(fn) and not hasattr(fn.__self__, "destroyed"):
            needed = f"it takes a method of a QObject, and {fn.__self__!r} is none. Leave the option out"
            raise OptionError("cancel_with_receiver", True, needed)


def make_slot(fn: Any, starter: Starter, options: Options) -> Any:
    """Return a function that starts `fn` with the arguments that it takes.

    Args:
        fn: a coroutine function, method, static or class method object, partial,
            or object whose `__call__` is one.

    Raises:
        NotCoroutineFunctionError: `fn` is something else.
        ArgumentError: it needs a keyword argument, which no signal brings.
        OptionError: an option has a value that it cannot have.
    """
    options.check(fn)
    if isinstance(fn, (staticmethod, classmethod)):
        # asyncSlot was applied on top of @staticmethod or @classmethod. Those must stay outermost.
        return type(fn)(make_slot(fn.__func__, starter, options))
    if inspect.ismethod(fn) and not inspect.isclass(fn.__self__) and hasattr(fn.__self__, "__dict__"):
        return _make_bound_slot(fn.__func__, fn.__self__, starter, options)
    return _make_slot(fn, starter, options, is_bound=False)


def _make_bound_slot(function: Any, receiver: Any, starter: Starter, options: Options) -> Any:
    """Return a slot that is a method of `receiver`."""
    # PyQt5 and PyQt6 keep neither the receiver of a bound method nor its function alive
    # (a crash in 5.15.11 without this, 2026-11). So the receiver keeps the function. A
    # table of ours would not do: it goes when the plug-in's modules are purged.
    slots = _kept_by(receiver)
    key = (function, starter, options)
    if key not in slots:
        slots[key] = _make_slot(function, starter, options, is_bound=True)
        if calls_by_name(receiver):
            slots[key] = _name(slots, slots[key], type(receiver))
    return types.MethodType(slots[key], receiver)


def _name(slots: Dict[Any, Any], slot: Any, kind: type) -> Any:
    """Make PySide find `slot` by name: put a function on the receiver's class that calls this receiver's slot.

    PySide looks the name up in the receiver, and a function of the class then becomes a bound method, which keeps the
    receiver alive during the call. A callable in the receiver's `__dict__` would be found, too. But it must not refer
    to the receiver, or it would keep the receiver alive for ever; so the garbage collector may take the receiver
    during the call, and PySide crashes (6.12.0 on Python 3.13, seen 2026-11).
    """
    name = f"_asyncslot_{len(slots)}"
    slots[name] = slot
    function = vars(kind).get(name)
    if function is None:
        # The class may be shared with others, and the function may then outlive this copy of the
        # package. So it gets globals of its own, and refers to nothing of ours.
        function = types.FunctionType(_call_named.__code__, {}, name)
        function.__kwdefaults__ = {"name": name}
        setattr(kind, name, function)
    return function


def _call_named(self: Any, *args: Any, name: str) -> Any:
    return self.__dict__["_asyncslot_slots"][name](self, *args)


def _make_slot(fn: Any, starter: Starter, options: Options, is_bound: bool) -> Any:
    """Return the function that starts `fn`. If it is to be bound, its first argument is the receiver."""
    if not is_coroutine_function(fn):
        is_type = isinstance(fn, (type, str)) and not is_coroutine_function(getattr(fn, "__call__", None))  # noqa: B004
        raise NotCoroutineFunctionError(fn, inspect.iscoroutine(fn), is_type)

    most = _most_positional_arguments(fn)
    is_here, hand_over, start, find_loop = starter
    shared = Repeats(options.on_repeat)

    def slot(*args: Any, **keywords: Any) -> asyncio.Future[Any]:
        if is_here(fn):
            return answer(args, keywords)
        hand_over(fn, functools.partial(answer_later, this(), args, keywords))
        # The call is on its way to the loop's thread. Only its result cannot be awaited in this one.
        what = f"await {getattr(fn, '__qualname__', fn)}()"
        return unstarted(ThreadError(what, threading.current_thread().name))

    # Weakly: a function that refers to itself would not be freed when its connection goes, but wait for the collector.
    this = weakref.ref(slot)

    def count_and_start(args: Tuple[Any, ...], keywords: Dict[str, Any]) -> asyncio.Future[Any]:
        repeats, receiver = shared, _receiver(this(), args, is_bound)
        if receiver is not None:
            repeats = _kept_by(receiver).setdefault(this(), shared.anew())
        start_later = functools.partial(start_task, args, keywords, receiver)
        return repeats.emit(Call(start_later, functools.partial(find_loop, fn)))

    def answer_later(slot: Any, args: Tuple[Any, ...], keywords: Dict[str, Any]) -> None:
        if not is_deleted(_receiver(slot, args, is_bound)):
            answer(args, keywords)

    def start_task(args: Tuple[Any, ...], keywords: Dict[str, Any], receiver: Any = None) -> asyncio.Future[Any]:
        if is_bound:
            receiver = args[0]
        if receiver is not None and is_deleted(receiver):
            return unstarted()
        task = start(fn, args[:most], keywords)
        if options.cancel_with_receiver and receiver is not None and not task.done():
            _cancel_with(receiver, task)
        return task

    # Fast path: with the default options nothing has to be counted.
    answer = start_task if options == Options() else count_and_start

    # Slot and pyqtSlot leave their declaration in the function's __dict__, so we copy that.
    # Not for a bound method: Qt knows the undecorated method by that declaration, and PyQt
    # would connect to that method. Nor for a callable object, whose __dict__ is its state.
    is_declaration = inspect.isfunction(fn) and not is_bound
    functools.update_wrapper(slot, fn, updated=("__dict__",) if is_declaration else ())
    # Through this link the bindings would find `fn`, and count its arguments instead of ours.
    del slot.__wrapped__  # type: ignore[attr-defined]
    return slot


def _kept_by(receiver: Any) -> Dict[Any, Any]:
    """Return the dict that a receiver keeps for its slots: bound slots, their names, and their Repeats."""
    kept: Dict[Any, Any] = vars(receiver).setdefault("_asyncslot_slots", {})
    return kept


def _receiver(slot: Any, args: Tuple[Any, ...], is_bound: bool) -> Any:
    """Return the object whose method is called; None if the slot is no method, or its object has no `__dict__`.

    A slot that was decorated in a class body is a method if we find it in the class
    of its first argument.
    """
    if not args or not hasattr(args[0], "__dict__"):
        return None
    name = slot.__name__
    if name.startswith("__"):
        name = _name_in_class(slot)
    if is_bound or any(vars(kind).get(name) is slot for kind in type(args[0]).__mro__):
        return args[0]
    return None


def _name_in_class(method: Any) -> str:
    """Return the name under which its class has a method: Python stores `__save` of a class Dock as `_Dock__save`."""
    name: str = method.__name__
    kind = method.__qualname__.rpartition(".")[0].rpartition(".")[2].lstrip("_")
    return name if name.endswith("__") or not kind else f"_{kind}{name}"


def _cancel_with(receiver: Any, task: asyncio.Future[Any]) -> None:
    """Have the task cancelled when Qt deletes its receiver.

    The receiver's Python object tells nothing: the running coroutine keeps it alive.
    """
    if is_deleted(receiver):  # during the first step: by its code, or in a dialog that it has opened
        task.cancel()
        return
    destroyed = getattr(receiver, "destroyed", None)
    if is_bound_signal(destroyed):
        try:
            _Tie(destroyed, task)
        except (RuntimeError, TypeError):
            task.cancel()  # the receiver has been deleted since the check, in its own thread


class _Tie:
    """The connection to a receiver's `destroyed` that cancels a task; it lasts as long as the task runs.

    It must not outlive the plug-in. When a purged plug-in's widget and a function that is
    connected to its `destroyed` are part of the same garbage, PyQt calls the function after
    the collector has emptied it, and the process ends (5.15.11, seen 2026-11). A task that
    resists its end may never call `_on_done`. So the task's owner has this among its
    resources, and detach() closes it as it closes a transport.

    Attributes:
        is_quiet: tells detach() to leave it out of its report.
    """

    is_quiet = True

    def __init__(self, destroyed: Any, task: asyncio.Future[Any]) -> None:
        self._loop = task.get_loop()
        self._thread = threading.get_ident()
        self._cancel = task.cancel
        self._is_closed = False
        self._connection = connect(destroyed, self._on_destroyed, lambda _: None)
        # In an empty context: the current one may be another plug-in's, see Repeats._start_waiting().
        task.add_done_callback(self._on_done, context=Context())
        owner_of_task = getattr(self._loop, "_as_owner_of_task", None)
        owner = None if owner_of_task is None else owner_of_task(task)
        if owner is not None:
            owner.resources.add(self)

    def is_closing(self) -> bool:
        """Whether the connection has ended. A transport's method, for the owner."""
        return self._is_closed

    def close(self) -> None:
        """Disconnect. Loop's thread only; a second call does nothing."""
        self._is_closed = True
        self._connection.disconnect()

    def _on_done(self, _: object) -> None:
        self.close()

    def _on_destroyed(self, _: object) -> None:
        """Cancel the task. Called in the thread in which the receiver ends. Never raises: our caller is Qt."""
        try:
            if threading.get_ident() == self._thread:
                self._cancel()
            else:
                self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:
            pass  # the loop was closed meanwhile


def is_coroutine_function(fn: Any) -> bool:
    """Tell whether `fn` is a coroutine function, a partial of one, or an object whose `__call__` is one.

    asyncio's function does not know callable objects, and knows partials only from Python 3.8 on.
    """
    while isinstance(fn, functools.partial):
        fn = fn.func
    if _is_coroutine_function(fn):
        return True
    if inspect.isfunction(fn) or inspect.ismethod(fn) or inspect.isclass(fn):
        return False
    return _is_coroutine_function(getattr(type(fn), "__call__", None))  # noqa: B004 - the method is wanted


def _most_positional_arguments(fn: Any) -> Optional[int]:
    """Return how many positional arguments `fn` takes; None means any number.

    Raises:
        ArgumentError: it also needs a keyword argument.
    """
    count: Optional[int] = 0
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.kind == parameter.VAR_POSITIONAL:
            count = None
        elif count is not None and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            count += 1
        elif parameter.kind == parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            name = parameter.name
            found = f"{fn!r}, which needs the keyword argument {name!r}: a signal brings positional ones only"
            advice = f"Give it a default, or bind it: asyncSlot(functools.partial(fn, {name}=...))"
            raise ArgumentError("asyncSlot()", found, advice)
    return count

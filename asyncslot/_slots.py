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

A call returns the slot's task, or another future (`_calls`), which Qt ignores. An
exception that nobody has awaited is reported at once.

This module does not know which loop a coroutine runs on: it is given a `Starter`.
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

# asyncio's own version knows more below Python 3.12 (mocks, marked functions), and
# is deprecated from 3.14 on.
_is_coroutine_function = inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction

if TYPE_CHECKING:
    from typing import TypeVar, overload

    from typing_extensions import Protocol

    # What a coroutine function is made of and becomes, for type checkers.
    CoroFn = Callable[P, Coroutine[Any, Any, T]]
    Slot = Callable[P, asyncio.Future[T]]
    Class = TypeVar("Class")

    class SlotDecorator(Protocol):
        """What asyncSlot() and Lease.slot() are, options aside; with options only, they return one."""

        @overload
        def __call__(self, coro_fn: staticmethod[P, Coroutine[Any, Any, T]]) -> staticmethod[P, asyncio.Future[T]]: ...
        @overload
        def __call__(
            self, coro_fn: classmethod[Class, P, Coroutine[Any, Any, T]]
        ) -> classmethod[Class, P, asyncio.Future[T]]: ...
        @overload
        def __call__(self, coro_fn: CoroFn[P, T]) -> Slot[P, T]: ...


class Starter(NamedTuple):
    """Where the tasks of a slot run. Each function is given the slot's coroutine function first.

    Attributes:
        is_here: (fn); whether that is this thread.
        hand_over: (fn, again); if it is not, have `again` called where it is.
        start: (fn, args, keywords); calls `fn` for a coroutine and starts a task of it, whose
            failure it has reported (report_failure), or ignores the emission. Returns the
            task, or a future that is done.
        find_loop: (fn); the loop of these tasks, or None.
    """

    is_here: Callable[[Any], bool]
    hand_over: Callable[[Any, Callable[[], object]], None]
    start: Callable[[Any, Tuple[Any, ...], Dict[str, Any]], asyncio.Future[Any]]
    find_loop: Callable[[Any], Any]


class Options(NamedTuple):
    """What the author of a slot can choose; see asyncSlot()."""

    on_repeat: str = "concurrent"
    cancel_with_receiver: bool = False

    def check(self, fn: Any) -> None:
        """Raise OptionError for what cannot be chosen for `fn`."""
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
        # Applied on top of one of these in a class body: they go outermost.
        return type(fn)(make_slot(fn.__func__, starter, options))
    if inspect.ismethod(fn) and not inspect.isclass(fn.__self__) and hasattr(fn.__self__, "__dict__"):
        return _make_bound_slot(fn.__func__, fn.__self__, starter, options)
    return _make_slot(fn, starter, options, is_bound=False)


def _make_bound_slot(function: Any, receiver: Any, starter: Starter, options: Options) -> Any:
    """Return a slot that is a method of `receiver`."""
    # PyQt5 and PyQt6 keep neither the receiver of a bound method nor its function
    # alive (a crash in 5.15.11 without this, 2026-11), so the receiver does: not a
    # table of ours, which would go when the plug-in's modules are purged.
    slots = _kept_by(receiver)
    key = (function, starter, options)
    if key not in slots:
        slots[key] = _make_slot(function, starter, options, is_bound=True)
        if calls_by_name(receiver):
            slots[key] = _name(slots, slots[key], type(receiver))
    return types.MethodType(slots[key], receiver)


def _name(slots: Dict[Any, Any], slot: Any, kind: type) -> Any:
    """Return a function that receivers of a class have by its name, and that calls this receiver's slot.

    A method that PySide gets in this way refers to its receiver, as any method does. Something in the receiver's
    `__dict__` must not, or the receiver would be kept alive; so the garbage collector may take the receiver when that
    has just been called, and PySide, which has called it, crashes (6.12.0 on Python 3.13, seen 2026-11).
    """
    name = f"_asyncslot_{len(slots)}"
    slots[name] = slot
    function = vars(kind).get(name)
    if function is None:
        # It may outlive this copy, on a class that others have, too: it refers to nothing of ours.
        function = types.FunctionType(_call_named.__code__, {}, name)
        function.__kwdefaults__ = {"name": name}
        setattr(kind, name, function)
    return function


def _call_named(self: Any, *args: Any, name: str) -> Any:
    return self.__dict__["_asyncslot_slots"][name](self, *args)


def _make_slot(fn: Any, starter: Starter, options: Options, is_bound: bool) -> Any:
    """Return the function that starts `fn`; one that is to be bound gets the receiver as first argument."""
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
        # The call goes its way. Only its result is not to be had in this thread.
        what = f"await {getattr(fn, '__qualname__', fn)}()"
        return unstarted(ThreadError(what, threading.current_thread().name))

    this = weakref.ref(slot)  # a function that refers to itself is not collected when its connection goes

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

    # The rule is quick: nothing is counted.
    answer = start_task if options == Options() else count_and_start

    # What Slot and pyqtSlot leave on a function is in its __dict__, and is kept. But
    # where the receiver is bound already, Qt knows its *own* method by that declaration,
    # and PyQt would connect to that one. And a callable object's __dict__ is its state.
    is_declaration = inspect.isfunction(fn) and not is_bound
    functools.update_wrapper(slot, fn, updated=("__dict__",) if is_declaration else ())
    # Without the link back: bindings would count the arguments of `fn`.
    del slot.__wrapped__  # type: ignore[attr-defined]
    return slot


def _kept_by(receiver: Any) -> Dict[Any, Any]:
    """Return what a receiver keeps for its slots."""
    kept: Dict[Any, Any] = vars(receiver).setdefault("_asyncslot_slots", {})
    return kept


def _receiver(slot: Any, args: Tuple[Any, ...], is_bound: bool) -> Any:
    """Return the object whose method is called; None if the slot is no method, or its object keeps nothing.

    A slot that was decorated in a class body is a method if the class of its first
    argument has it.
    """
    if not args or not hasattr(args[0], "__dict__"):
        return None
    if is_bound or any(vars(kind).get(slot.__name__) is slot for kind in type(args[0]).__mro__):
        return args[0]
    return None


def _cancel_with(receiver: Any, task: asyncio.Future[Any]) -> None:
    """Have the task cancelled when Qt deletes its receiver, whose Python side the running coroutine keeps alive."""
    if is_deleted(receiver):  # while the first step ran: by its code, or in a dialog that it has opened
        task.cancel()
        return
    destroyed = getattr(receiver, "destroyed", None)
    if is_bound_signal(destroyed):
        try:
            _Tie(destroyed, task)
        except (RuntimeError, TypeError):
            task.cancel()  # it has been deleted just now, in its own thread


class _Tie:
    """The connection by which the end of a receiver cancels a task, as long as the task runs.

    When a widget and a function that is connected to its `destroyed` are part of the
    same garbage, a purged plug-in's, PyQt calls the function after the collector has
    emptied it, and the process ends (5.15.11, seen 2026-11). So the task's owner closes
    this as it closes a transport: a task that would not end may never tell that it is done.

    Attributes:
        is_quiet: detach() does not tell of it.
    """

    is_quiet = True

    def __init__(self, destroyed: Any, task: asyncio.Future[Any]) -> None:
        self._loop = task.get_loop()
        self._thread = threading.get_ident()
        self._cancel = task.cancel
        self._is_closed = False
        self._connection = connect(destroyed, self._on_destroyed, lambda _: None)
        task.add_done_callback(self._on_done, context=Context())  # see Repeats
        owner_of_task = getattr(self._loop, "_as_owner_of_task", None)
        owner = None if owner_of_task is None else owner_of_task(task)
        if owner is not None:
            owner.resources.add(self)

    def is_closing(self) -> bool:
        """Whether it has ended."""
        return self._is_closed

    def close(self) -> None:
        """Disconnect. Loop's thread only; a second call does nothing."""
        self._is_closed = True
        self._connection.disconnect()

    def _on_done(self, _: object) -> None:
        self.close()

    def _on_destroyed(self, _: object) -> None:
        """Hear of the receiver's end in the thread in which it ends. Never raises: above us is Qt."""
        try:
            if threading.get_ident() == self._thread:
                self._cancel()
            else:
                self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:
            pass  # the loop was closed meanwhile


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
    """Return how many positional arguments `fn` takes; None: any number.

    Raises:
        ArgumentError: it needs others, too.
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

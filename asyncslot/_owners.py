"""Whose is it: which plug-in a task, a transport or a server belongs to.

An *owner* is carried by a context variable. A task copies the context in which
it is made, a callback the context in which it was scheduled, so what an owner's
code starts, and what that starts in turn, carries the owner too; nobody has to
pass it on. The loop asks `_as_current_owner()` when something is made, and the lease asks
the owner what is still there when it ends. Code that carries no owner, a plain slot
or a thread of the plug-in's own, is known by its package.

This module knows nothing of Qt, of leases and of steps. It relies on these
private methods of asyncio's selector loop, the places where things are made,
read in Python 3.7, 3.8, 3.11, 3.12, 3.13: `_make_socket_transport
_make_ssl_transport _make_datagram_transport _make_read_pipe_transport
_make_write_pipe_transport _make_subprocess_transport _start_serving
_asyncgen_firstiter_hook _asyncgen_finalizer_hook`, and on `_asyncgens`, `_task_factory`, `Handle._context`,
`Task._fut_waiter _coro _log_destroy_pending` and `Future._callbacks`.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import weakref
from contextvars import Context, ContextVar, copy_context
from typing import Any, Callable, Dict, List, Optional, Set

from ._base import Handle, LoopBase, Task

ExceptionHandler = Callable[[Any, Dict[str, Any]], Any]


class Owner:
    """One plug-in, by name, with what it has made and not finished.

    Everything is held weakly: an owner watches, it does not keep alive. What
    must be kept alive (tasks that nobody else refers to) the lease holds.

    Attributes:
        executor: runs its to_thread() jobs, from the first one on; one that fills
            all its threads with jobs that hang harms nobody but itself.
        exception_handler: what its code has given to loop.set_exception_handler().
    """

    def __init__(
        self,
        name: str,
        report: Callable[[str, Optional[BaseException]], None],
        variable: ContextVar[Any],
    ) -> None:
        self.name = name
        # The loop's, which may be another copy's than ours.
        self._variable = variable
        self.report = report
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self.resources: weakref.WeakSet[Any] = weakref.WeakSet()
        self.async_generators: weakref.WeakSet[Any] = weakref.WeakSet()
        self.executor: Any = None
        self.exception_handler: Optional[ExceptionHandler] = None

    def __repr__(self) -> str:
        return f"<Owner {self.name!r}>"

    def context(self) -> Context:
        """Return a copy of the caller's context, in which this owner is the current one."""
        context = copy_context()
        context.run(self._variable.set, self)
        return context

    def owns(self, handle: Handle) -> bool:
        """Whether a callback was scheduled by this owner's code."""
        return handle._context.get(self._variable) is self

    def pending(self) -> List[asyncio.Task[Any]]:
        """Return this owner's tasks that are not done."""
        return [task for task in self.tasks if not task.done()]


# A coroutine that awaits in a `finally` stands there after close(), and is closed again. One
# that does so for ever is left to the garbage collector.
_MOST_CLOSES = 10

# What stands between the loop and whoever calls it: asyncio.run_coroutine_threadsafe(), say.
_GO_BETWEENS = ("asyncio", "concurrent", "contextvars", "functools", "threading")

# Of a module: that it is one of these; and that nobody has asked about it.
_GO_BETWEEN = object()
_NOT_ASKED = object()

# So many owners of async generators are kept before it is looked which generators are gone.
_FEW_GENERATORS = 100

# Asked for each task and transport; without a default, LookupError would cost
# more than the answer.
CURRENT: ContextVar[Optional[Owner]] = ContextVar("asyncslot_owner", default=None)

current = CURRENT.get


class OwningMixin(LoopBase):
    """The part of an event loop that notes what is made on behalf of whom.

    Attributes:
        _as_owner: the context variable that carries the owner; for leases.
    """

    _as_owner = CURRENT

    def __init__(self, *args: Any) -> None:
        # By id(): when a generator is finalized, no weak reference to it is left.
        self._as_generator_owners: Dict[int, Owner] = {}
        # Those who are attached, by the package that called attach(); and every copy of ours that has met here.
        self._as_owners_by_package: Dict[str, List[Owner]] = {}
        # What was found out about modules, for a thread that floods us with calls; until somebody comes or goes.
        self._as_owners_by_module: Dict[str, Any] = {}
        self._as_copies: Set[str] = {__name__.rpartition(".")[0]}
        # Who has given the loop what all who share it use.
        self._as_set_by: Dict[str, Optional[Owner]] = {}
        super().__init__(*args)

    def _as_current_owner(self) -> Optional[Owner]:
        """Return the owner of the code that calls the loop: by its context, else by its package. Any thread."""
        owner = current()
        if owner is not None or not self._as_owners_by_package:
            return owner
        return self._as_owner_of(sys._getframe(1))

    def _as_owner_of(self, frame: Any) -> Optional[Owner]:
        """Return the owner of the first code from `frame` outwards that is neither ours nor the standard library's."""
        known = self._as_owners_by_module
        while frame is not None:
            module = frame.f_globals.get("__name__") or ""
            owner = known.get(module, _NOT_ASKED)
            if owner is _NOT_ASKED:
                owner = known[module] = self._as_find_owner(module)
            if owner is not _GO_BETWEEN:
                return owner  # type: ignore[no-any-return]
            frame = frame.f_back
        return None

    def _as_find_owner(self, module: str) -> Any:
        """Return the owner whose code a module is, None if it is nobody's, or _GO_BETWEEN."""
        package = plugin_of(module)
        if package in _GO_BETWEENS or module.rpartition(".")[0] in self._as_copies:
            return _GO_BETWEEN
        owners = self._as_owners_by_package.get(package, ())
        return owners[0] if len(owners) == 1 else None

    def _as_callers_context(self) -> Optional[Context]:
        """Return a context for what code with no owner in its own schedules; None if it has one, or is nobody's."""
        if current() is not None or not self._as_owners_by_package:
            return None
        frame = sys._getframe(2)
        # The rule, in a flood from a thread: it is code of a module that we have been asked about.
        owner = self._as_owners_by_module.get(frame.f_globals.get("__name__") or "", _NOT_ASKED)
        if owner is _NOT_ASKED or owner is _GO_BETWEEN:
            owner = self._as_owner_of(frame)
        return None if owner is None else owner.context()

    def create_task(self, coro: Any, **kwargs: Any) -> Task[Any]:
        """Make a task, in the next turn of which `coro` starts; it belongs to the current owner. GUI thread only."""
        owner = current()
        if owner is not None and self._task_factory is None and not kwargs:
            # The rule, for slots and within tasks: as asyncio does, with a frame or two less.
            task: Task[Any] = asyncio.tasks.Task(coro, loop=self)  # type: ignore[assignment]
            if task._source_traceback:
                del task._source_traceback[-1]  # this frame
            owner.tasks.add(task)
            return task
        context = self._as_callers_context() if self._as_handle is None else None
        make = functools.partial(super().create_task, coro, **kwargs)
        if self._task_factory is not None and self._as_handle is None:
            # It may run the first step itself (asyncio.eager_task_factory), and between
            # steps would not find the loop running.
            make = functools.partial(self._as_call_inside, make)
        if context is None:
            task = make()
        else:
            task = context.run(make)
            owner = context[CURRENT]
        # What a factory returns may be no asyncio.Task, and ends in the factory's own frame.
        if self._task_factory is None and task._source_traceback:
            del task._source_traceback[-1]  # this frame
        if owner is not None:
            owner.tasks.add(task)
        return task

    # Typeshed ties the arguments to the callback; here they are passed on.
    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Watch a descriptor until remove_reader(), or until the caller's lease ends."""
        (self._as_callers_context() or copy_context()).run(super().add_reader, fd, callback, *args)

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Watch a descriptor until remove_writer(), or until the caller's lease ends."""
        (self._as_callers_context() or copy_context()).run(super().add_writer, fd, callback, *args)

    def _as_welcome(self, owner: Owner, package: str, copy: str) -> None:
        """Know an owner by the package that has attached it."""
        self._as_owners_by_package.setdefault(package, []).append(owner)
        self._as_copies.add(copy)
        self._as_owners_by_module = {}

    def _as_take_leave(self, owner: Owner) -> None:
        """Know an owner no more."""
        for package, owners in list(self._as_owners_by_package.items()):
            if owner in owners:
                owners.remove(owner)
                if not owners:
                    del self._as_owners_by_package[package]
        self._as_owners_by_module = {}
        generators = self._as_generator_owners
        self._as_generator_owners = {key: other for key, other in generators.items() if other is not owner}

    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        owner = current()
        if owner is None:
            # The last one of this id may have been somebody's.
            self._as_generator_owners.pop(id(agen), None)
        else:
            owner.async_generators.add(agen)
            self._as_generator_owners[id(agen)] = owner
        super()._asyncgen_firstiter_hook(agen)
        if len(self._as_generator_owners) > 2 * len(self._asyncgens) + _FEW_GENERATORS:
            # Those that ran to their end are not finalized.
            owners, alive = self._as_generator_owners, {id(agen) for agen in self._asyncgens}
            self._as_generator_owners = {key: owner for key, owner in owners.items() if key in alive}

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        # The garbage collector runs in anybody's code, and in any thread; the clean-up is the owner's.
        owner = self._as_generator_owners.pop(id(agen), None)
        finalize = super()._asyncgen_finalizer_hook
        if owner is None:
            Context().run(finalize, agen)
        else:
            owner.context().run(finalize, agen)

    def set_task_factory(self, factory: Any) -> None:
        """Have all tasks of this loop made by `factory`, in a host until the lease of who called this ends."""
        super().set_task_factory(factory)
        self._as_set_by["_task_factory"] = self._as_current_owner()

    def set_default_executor(self, executor: Any) -> None:
        """Have all jobs of this loop run by `executor`, in a host until the lease of who called this ends."""
        super().set_default_executor(executor)
        self._as_set_by["_default_executor"] = self._as_current_owner()

    def _as_unset(self, owner: Owner) -> None:
        """Take back what an owner has given the loop."""
        for name, giver in list(self._as_set_by.items()):
            if giver is owner:
                del self._as_set_by[name]
                setattr(self, name, None)

    def _make_socket_transport(self, *args: Any, **kwargs: Any) -> Any:
        return _note(super()._make_socket_transport(*args, **kwargs))

    def _make_ssl_transport(self, *args: Any, **kwargs: Any) -> Any:
        return _note(super()._make_ssl_transport(*args, **kwargs))

    def _make_datagram_transport(self, *args: Any, **kwargs: Any) -> Any:
        return _note(super()._make_datagram_transport(*args, **kwargs))

    def _make_read_pipe_transport(self, *args: Any, **kwargs: Any) -> Any:
        return _note(super()._make_read_pipe_transport(*args, **kwargs))

    def _make_write_pipe_transport(self, *args: Any, **kwargs: Any) -> Any:
        return _note(super()._make_write_pipe_transport(*args, **kwargs))

    async def _make_subprocess_transport(self, *args: Any, **kwargs: Any) -> Any:
        return _note(await super()._make_subprocess_transport(*args, **kwargs))

    def _start_serving(
        self, protocol_factory: Any, sock: Any, sslcontext: Any = None, server: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        _note(server)
        super()._start_serving(protocol_factory, sock, sslcontext, server, *args, **kwargs)


def plugin_of(module: str) -> str:
    """Return the package that is the plug-in to which a module belongs, by the module's full name.

    That is the top-level package; and where plug-ins share that one, because it lies in several
    directories (`freecad` does) or in none (`calibre_plugins`), the next below.
    """
    top = module.partition(".")[0]
    path: Any = getattr(sys.modules.get(top), "__path__", None)
    is_shared = hasattr(path, "__len__") and len(path) != 1
    return ".".join(module.split(".")[:2]) if is_shared else top


def _note(resource: Any) -> Any:
    """Let the current owner, if there is one, know of something that must be closed."""
    owner = current()
    if owner is not None and resource is not None:
        owner.resources.add(resource)
    return resource


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
    coro, error = task._coro, None
    for _ in range(_MOST_CLOSES):
        try:
            coro.close()
        except BaseException as exc:
            error = exc
        if getattr(coro, "cr_frame", None) is None:
            break
    return error

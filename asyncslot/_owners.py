"""Whose is it: which plug-in a task, a callback, a reader or a transport belongs to.

An *owner* is carried by a context variable. A task copies the context in which
it is made, a callback the context in which it was scheduled, so what an owner's
code starts, and what that starts in turn, carries the owner too; nobody has to
pass it on. From Python 3.12 on nothing is written down when a task is made: whose it is, is looked up when
it matters (detach, an error, the monitor), in asyncio's own registries. So it does
not matter by which way something has come onto the loop.

    a task        the context that it carries: Task.get_context() from Python 3.12 on; below, the
                  context beside its wake-up in the future that it waits for, or the one of its
                  handle in a queue
    a callback    the context of its handle, in a queue or in the selector
    a transport, server, async generator: noted when it is made, as asyncio keeps no list of them

What carries no owner is the plug-in's whose code it is, by the name of its module. So are calls
from a plain slot or a thread, whose context is empty: then the callers' frames tell.

    interleaved code    A task of one plug-in's opens a dialog; in there Qt calls a plain slot of
                        another one's, and the context is still the task's. So it is the frames between
                        the callback and the call that decide, and the context where they are nobody's.

This module knows nothing of Qt, of leases and of steps.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import types
import weakref
from asyncio import events
from contextvars import Context, ContextVar, copy_context
from typing import Any, Callable, Dict, Iterable, List, Optional, Set, Tuple, TypeVar

from ._asyncio import Handle, LoopBase, Task
from ._report import frames_of
from ._tasks import all_tasks, is_alive

_T = TypeVar("_T")

ExceptionHandler = Callable[[Any, Dict[str, Any]], Any]


class Owner:
    """One plug-in on the loop, from attach() until its last callback has been dropped. Made by the loop.

    Attributes:
        name: what people read.
        code: a weak reference to the module that has called attach(), which is another one when it is imported anew.
        module: the name of that module; its plug-in's code is known by that. Not by the package, which
            may become another one while plug-ins come: see plugin_of().
        copy: the full name of the copy of this package that it came through.
        report: tells the users of its host of an error; takes a message and an exception or None. Never raises.
        resources: what it has open: transports, servers, signals that are awaited. Held weakly, as an owner
            watches and keeps nothing alive.
        async_generators: those that its code has begun to iterate over, held weakly.
        executor: runs its to_thread() jobs, from the first one on; one that fills
            all its threads with jobs that hang harms nobody but itself.
        exception_handler: what its code has given to loop.set_exception_handler().
        is_leaving: whether its detach has begun. What its code schedules is still its own; what code without a
            context schedules is that of a newer lease of the same package, if there is one.
    """

    def __init__(
        self, loop: Any, name: str, module: str, copy: str, report: Callable[[str, Optional[BaseException]], None]
    ) -> None:
        self.name = name
        self.module = module
        try:
            self.code: Callable[[], Any] = weakref.ref(sys.modules.get(module))
        except TypeError:  # it is in no module, or in what stands for one
            self.code = _no_code
        self.copy = copy
        self.report = report
        self.resources: weakref.WeakSet[Any] = weakref.WeakSet()
        self.async_generators: weakref.WeakSet[Any] = weakref.WeakSet()
        self.executor: Any = None
        self.exception_handler: Optional[ExceptionHandler] = None
        self.is_leaving = False
        self._loop = loop
        # Those that a factory made of a class which asyncio does not list; below Python 3.12 all.
        self._noted: weakref.WeakSet[Any] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"<Owner {self.name!r}>"

    def context(self) -> Context:
        """Return a copy of the caller's context, in which this owner is the current one."""
        context = copy_context()
        context.run(OWNER.set, self)
        return context

    def pending(self) -> List[asyncio.Task[Any]]:
        """Return this owner's tasks that go on. GUI thread only."""
        tasks: List[asyncio.Task[Any]] = self._loop._as_tasks_of(self)
        return tasks


# Whether a task tells its context also when it is done, and when it waits for something that is not asyncio's. Where it
# does not, tasks are noted as they are made, for those cases.
_TASKS_TELL = sys.version_info >= (3, 12)

# What stands between the loop and whoever calls it: asyncio.run_coroutine_threadsafe(), say.
_GO_BETWEENS = ("asyncio", "_asyncio", "concurrent", "contextvars", "functools", "threading")

# Cache sentinels: nobody has asked about this module yet; it is of a copy of ours. (None: it is nobody's.)
_NOT_ASKED = object()
_OURS = object()

# Our functions in which a callback begins, or something is done in the name of an owner: what comes before them does
# not call.
_STARTS = ("_as_call_for", "_as_drain", "_as_run_now")

# So many owners of async generators are kept before it is looked which generators are gone.
_FEW_GENERATORS = 100

# How far it is followed what a library's callback refers to, in steps and in objects.
_FAR, _MANY = 3, 1000

# Asked for each task and transport; without a default, LookupError would cost
# more than the answer.
OWNER: ContextVar[Optional[Owner]] = ContextVar("asyncslot_owner", default=None)

current = OWNER.get


class OwningMixin(LoopBase):
    """The part of an event loop that tells on behalf of whom something is there.

    It wants from the class it is mixed into the queues of `_steps`, and the stack of `_nesting`.

    Attributes:
        _as_owner: the context variable that carries the owner.
        _as_owners: those who are here, in the order of their coming; leaving ones included.
    """

    _as_owner = OWNER

    def __init__(self, *args: Any) -> None:
        self._as_owners: List[Owner] = []
        # By id(): when a generator is finalized, no weak reference to it is left. None: of one who has left.
        self._as_generator_owners: Dict[int, Optional[Owner]] = {}
        # Cache, for a thread that floods us with calls: whose code a module is; until somebody comes or goes.
        self._as_owners_by_module: Dict[str, Any] = {}
        # Every copy of ours that has met here: their code stands between the loop and the plug-in that calls.
        self._as_copies: Set[str] = {__name__.rpartition(".")[0]}
        # Who has given the loop what all who share it use.
        self._as_set_by: Dict[str, Optional[Owner]] = {}
        super().__init__(*args)

    # -- coming and going ------------------------------------------------------

    def _as_join(self, name: str, module: str, copy: str, report: Callable[..., None]) -> Owner:
        """Return a new owner, who is known here from now on."""
        owner = Owner(self, name, module, copy, report)
        self._as_owners.append(owner)
        self._as_copies.add(copy)
        self._as_owners_by_module = {}
        return owner

    def _as_begin_leaving(self, owner: Owner) -> None:
        """Let code without a context be somebody else's, if a newer lease of the same package is there."""
        owner.is_leaving = True
        self._as_owners_by_module = {}

    def _as_take_leave(self, owner: Owner) -> None:
        """Know an owner no more."""
        if owner in self._as_owners:
            self._as_owners.remove(owner)
        self._as_owners_by_module = {}
        # Those that detach() could not close, and said so.
        left = {id(agen) for agen in list(owner.async_generators) if agen.ag_frame is not None}
        self._as_generator_owners = {
            key: None if other is owner else other
            for key, other in self._as_generator_owners.items()
            if other is not owner or key in left
        }

    # -- who calls ---------------------------------------------------------------

    def _as_current_owner(self) -> Optional[Owner]:
        """Return the owner of the code that calls the loop. Any thread."""
        return self._as_owner_of_frames(sys._getframe(1)) or current()

    def _as_owner_of_frames(self, frame: Any) -> Optional[Owner]:
        """Return the owner whose code has called, from `frame` outwards up to the callback; None: the context tells.

        The context alone does not: Qt calls plain slots in the context of whoever has opened a dialog, and threads
        have none.
        """
        if not self._as_owners:
            return None
        known = self._as_owners_by_module
        while frame is not None:
            module = frame.f_globals.get("__name__") or ""
            owner = known.get(module, _NOT_ASKED)
            if owner is _NOT_ASKED:
                is_ours = module.rpartition(".")[0] in self._as_copies
                owner = known[module] = _OURS if is_ours else self._as_owner_of_module(module)
            if owner is _OURS:
                if frame.f_code.co_name in _STARTS:
                    return None
            elif owner is not None:
                carried = current()
                return None if owner is carried or self._as_is_same_code(owner, carried, frame) else owner
            frame = frame.f_back
        return None

    def _as_is_same_code(self, owner: Owner, carried: Optional[Owner], frame: Any) -> bool:
        """Whether the code of an owner is as well that of the one whom the context carries, so that the context tells.

        Of two leases of one package: one is leaving, and has been reloaded; then plain code that Qt calls in the old
        one's dialog is the new one's. But not the old one's own code, which goes on when the dialog is closed: its
        modules have been purged and imported anew. Where they have not, the context tells until a step has come in
        between.
        """
        if carried is None or carried.copy != owner.copy or plugin_of(carried.module) != plugin_of(owner.module):
            return False
        return _is_purged(frame) or not (self._as_is_open or carried.code() is not owner.code())

    def _as_owner_of_module(self, module: str) -> Optional[Owner]:
        """Return the owner whose code a module is; None if it is nobody's, or if nobody can tell whose."""
        owners = self._as_owners_of_module(module)
        return owners[0] if len(owners) == 1 else None

    def _as_owners_of_module(self, module: str) -> List[Owner]:
        """Return the owners whose code a module may be: several if one package has attached under several names."""
        package = plugin_of(module)
        if package in _GO_BETWEENS or module.rpartition(".")[0] in self._as_copies:
            return []
        owners = [owner for owner in self._as_owners if plugin_of(owner.module) == package]
        if len(owners) > 1:
            # The host's own package may hold several plug-ins (Picard): then they are told apart by where their
            # copies lie. First: what one of them does while it leaves is none of the others'.
            owners = nearest(owners, module, lambda owner: (owner.copy, owner.module))
        # One that is reloaded inside a dialog of its own is there twice for a while.
        return [owner for owner in owners if not owner.is_leaving] or owners[-1:]

    def _as_callers_context(self) -> Optional[Context]:
        """Return a context for what code schedules whose own context does not carry it; None if it does."""
        frame = sys._getframe(2)
        owner = self._as_owners_by_module.get(frame.f_globals.get("__name__") or "")
        if owner.__class__ is not Owner or current() is not None:
            # But for the fast path, in a flood from a thread.
            owner = self._as_owner_of_frames(frame)
        return None if owner is None else owner.context()

    def _as_give_owner(self, context: Context) -> None:
        """Have a context carry the caller: one that was made by hand, in a plain slot, or by a task that is new."""
        owner = self._as_current_owner()
        if owner is not None and context.get(OWNER) is not owner:
            try:
                context.run(OWNER.set, owner)
            except RuntimeError:
                pass  # it is entered just now, by whoever runs in it

    def _as_call_for(self, owner: Owner, fn: Callable[..., Any], *args: Any) -> Any:
        """Call `fn(*args)` in the name of an owner, whoever calls."""
        context = copy_context()
        context.run(OWNER.set, owner)
        return context.run(fn, *args)

    # -- whose is it ---------------------------------------------------------------

    def _as_tasks_of(self, owner: Owner) -> List[asyncio.Task[Any]]:
        """Return an owner's tasks that go on."""
        if not (_TASKS_TELL or self._as_has_run or self._ready or self._as_batch):
            # Fast path: nothing has been made here yet, and asyncio's registry is the whole process's. (From Python
            # 3.12 on a task that starts eagerly may have been, without a trace in the loop.)
            return []
        return [task for task, whose in self._as_tasks() if whose is owner]

    def _as_tasks(self) -> List[Any]:
        """Return pairs of all tasks of this loop that go on and their owners, which may be None."""
        tasks = all_tasks(self)
        contexts = {} if _TASKS_TELL or not tasks else self._as_contexts_in_queues()
        pairs = [(task, self._as_owner_of_task(task, contexts)) for task in tasks]
        for owner in self._as_owners:
            strangers = [task for task in list(owner._noted) if not isinstance(task, asyncio.Task)]
            pairs += [(task, owner) for task in strangers if task not in tasks and is_alive(task)]
        return pairs

    def _as_owner_of_task(self, task: Any, contexts: Optional[Dict[Any, Context]] = None) -> Optional[Owner]:
        """Return whose a task is.

        Args:
            contexts: what _as_contexts_in_queues() has returned, for who asks for many tasks.
        """
        context = self._as_context_of(task, contexts)
        owner = None if context is None else context.get(OWNER)
        if owner is None and not _TASKS_TELL:
            owner = next((owner for owner in self._as_owners if is_in(task, owner._noted)), None)
        if owner is None and self._as_owners:
            for frame in frames_of(task):
                owner = self._as_owner_of_module(frame.f_globals.get("__name__") or "")
                if owner is not None:
                    break
        return owner

    def _as_context_of(self, task: Any, contexts: Optional[Dict[Any, Context]]) -> Optional[Context]:
        get_context = getattr(task, "get_context", None)
        if get_context is not None and _TASKS_TELL:
            try:
                context: Optional[Context] = get_context()
                return context
            except (Exception, SystemExit):
                return None  # a class of a plug-in's own
        for callback, context in getattr(getattr(task, "_fut_waiter", None), "_callbacks", None) or ():
            if getattr(callback, "__self__", None) is task:
                found: Context = context
                return found
        if contexts is None:
            contexts = self._as_contexts_in_queues()
        # The last: of a class that is written in Python.
        return contexts.get(id(task)) or getattr(task, "_context", None)

    def _as_contexts_in_queues(self) -> Dict[int, Context]:
        """Return the contexts of the tasks whose next step is queued or runs, by the id() of the task."""
        handles = self._as_all_handles()
        steps = [(bound_to(handle._callback), handle._context) for handle in handles]
        return {id(task): context for task, context in steps if isinstance(task, asyncio.Task)}

    def _as_all_handles(self) -> List[Handle]:
        """Return what is queued, and what is on the stack."""
        return [*self._as_on_stack(), *self._as_held, *tuple(self._as_batch), *tuple(self._ready)]

    def _as_owner_of_handle(self, handle: Handle) -> Optional[Owner]:
        """Return whose a callback is."""
        owner = handle._context.get(OWNER)
        if owner is not None or not self._as_owners:
            return owner
        receiver = bound_to(handle._callback)
        if receiver is self:
            return None
        if isinstance(receiver, asyncio.Task):
            return self._as_owner_of_task(receiver, {})
        return self._as_owner_of_module(_module_of(handle._callback))

    def _as_is_plain(self, handle: Handle) -> bool:
        """Whether a callback is code of a plug-in's own, and no part of a task, of asyncio or of a library."""
        module = _module_of(handle._callback)
        is_between = module.partition(".")[0] in _GO_BETWEENS or module.rpartition(".")[0] in self._as_copies
        return not (_is_step(handle) or is_between or library_of(handle._callback))

    def _as_leads_to(self, owner: Owner, callback: Any) -> bool:
        """Whether a library's callback is, refers to, or will soon come to code of an owner's."""
        seen: Set[int] = set()
        found: List[Any] = [callback]
        for _ in range(_FAR):
            found = [item for item in _referred_by(found, self) if id(item) not in seen][:_MANY]
            if any(self._as_owner_of_module(_module_of(item)) is owner for item in found):
                return True
            seen.update(map(id, found))
        return False

    # -- what asyncio makes ----------------------------------------------------

    def create_task(self, coro: Any, **kwargs: Any) -> Task[Any]:
        """Make a task, in the next turn of which `coro` starts; it belongs to the current owner. GUI thread only."""
        owner = current()
        context = None
        if owner is None or self._as_handle is not None:
            caller = self._as_owner_of_frames(sys._getframe(1))
            if caller is not None and caller is not owner:
                owner, context = caller, caller.context()
        if owner is not None and context is None and self._task_factory is None and not kwargs:
            # Fast path, for slots and within tasks: as asyncio does, with a frame or two less.
            task: Task[Any] = asyncio.tasks.Task(coro, loop=self)  # type: ignore[assignment]
            if task._source_traceback:
                del task._source_traceback[-1]  # this frame
            if not _TASKS_TELL:
                owner._noted.add(task)
            return task
        make = functools.partial(super().create_task, coro, **kwargs)
        if self._task_factory is not None and not self._as_is_inside(owner):
            # It may run the first step itself (asyncio.eager_task_factory): that must find the loop running, and be
            # known on the stack for its owner's.
            context = context or copy_context()
            make = functools.partial(self._as_call_inside, Handle(make, (), self, context), make)
        given = kwargs.get("context")
        if given is not None and given.get(OWNER) is None:
            self._as_give_owner(given)
        task = make() if context is None else context.run(make)
        if self._task_factory is None and task._source_traceback:
            del task._source_traceback[-1]  # this frame
        if owner is not None and not (_TASKS_TELL and isinstance(task, asyncio.Task)):
            try:
                owner._noted.add(task)
            except TypeError:
                pass  # it cannot be hashed, or be referred to weakly
        return task

    def _as_is_inside(self, owner: Optional[Owner]) -> bool:
        """Whether we are in a callback of this owner's, with the loop running.

        It does not run between steps, nor in a dialog in which a foreign loop has unpublished it (Python 3.13).
        """
        handle = self._as_handle
        return handle is not None and events._get_running_loop() is self and self._as_owner_of_handle(handle) is owner

    # Typeshed ties the arguments to the callback; here they are passed on.
    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Watch a descriptor until remove_reader(), or until the caller's lease ends."""
        (self._as_callers_context() or copy_context()).run(super().add_reader, fd, callback, *args)

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Watch a descriptor until remove_writer(), or until the caller's lease ends."""
        (self._as_callers_context() or copy_context()).run(super().add_writer, fd, callback, *args)

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
        owner: Any = self._as_generator_owners.pop(id(agen), self)
        finalize = super()._asyncgen_finalizer_hook
        if owner is self:
            Context().run(finalize, agen)
        elif owner is not None:
            owner.context().run(finalize, agen)
        # Else it is not gone on with: no code of a plug-in's runs after its end.

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


def nearest(things: List[_T], module: str, names_of: Callable[[_T], Tuple[str, ...]]) -> List[_T]:
    """Return the things one of whose names has most packages in common with a module's."""
    lengths = [max(_common_length(name, module) for name in names_of(thing)) for thing in things]
    return [thing for thing, length in zip(things, lengths) if length == max(lengths)]


def _common_length(one_module: str, other_module: str) -> int:
    """Return how many packages two modules have in common, from the top down."""
    count = 0
    for one, other in zip(one_module.split("."), other_module.split(".")):
        if one != other:
            break
        count += 1
    return count


def _is_purged(frame: Any) -> bool:
    """Whether a frame runs code of a module that was purged and imported anew."""
    module = sys.modules.get(frame.f_globals.get("__name__") or "")
    return module is not None and vars(module) is not frame.f_globals


def _no_code() -> None:
    """What stands for a weak reference to a module that is not there."""


def is_in(thing: Any, weak_set: Any) -> bool:
    """Whether a thing is in a weak set."""
    try:
        return thing in weak_set
    except TypeError:  # of a class without a hash
        return False


def _is_step(handle: Handle) -> bool:
    """Whether a handle is a step of a task."""
    return isinstance(bound_to(handle._callback), asyncio.Task)


def bound_to(callback: Any) -> Any:
    """Return the object whose method a callback is, or None. Never raises."""
    try:
        return callback.__self__
    except (Exception, SystemExit):  # of a plug-in's own __getattr__(), too
        return None


def _module_of(thing: Any) -> str:
    """Return the name of the module whose code a callback is, or an instance's class."""
    try:
        while isinstance(thing, functools.partial):
            thing = thing.func
        module = getattr(thing, "__module__", None)
        return module if isinstance(module, str) else type(thing).__module__
    except (Exception, SystemExit):  # of a plug-in's own __getattr__()
        return ""


def library_of(callback: Any) -> str:
    """Return the package that a callback is code of, if that is installed for the whole process; else nothing."""
    top = _module_of(callback).partition(".")[0]
    path = getattr(sys.modules.get(top), "__file__", None) or ""
    return top if "site-packages" in path or "dist-packages" in path else ""


def _referred_by(things: Iterable[Any], loop: Any) -> List[Any]:
    """Return what things are, hold and are bound to; without modules, classes and the loop, which lead everywhere."""
    found: List[Any] = []
    for thing in things:
        referred = [thing, getattr(thing, "__self__", None)]
        referred += [cell.cell_contents for cell in getattr(thing, "__closure__", None) or () if _is_filled(cell)]
        if isinstance(thing, functools.partial):
            referred += [thing.func, *thing.args, *thing.keywords.values()]
        elif isinstance(thing, (list, tuple, set, frozenset)):
            referred += thing
        elif isinstance(thing, dict):
            referred += thing.values()
        else:
            referred += getattr(thing, "__dict__", {}).values()
        found += referred
    passed_by = (type, types.ModuleType, str, bytes, int, float, asyncio.AbstractEventLoop, type(None))
    return [thing for thing in found if not isinstance(thing, passed_by) and thing is not loop]


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - it raises if there is nothing
    except ValueError:
        return False
    return True


def _note(resource: Any) -> Any:
    """Let the current owner, if there is one, know of something that must be closed."""
    owner = current()
    if owner is not None and resource is not None:
        owner.resources.add(resource)
    return resource

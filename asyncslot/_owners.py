"""Whose is it: which plug-in a task, a callback, a reader or a transport belongs to.

An *owner* stands for one plug-in on the loop, and a context variable carries it. A task copies the
context in which it is made, a callback the context in which it is scheduled. So everything that an
owner's code starts carries the owner too, and nobody has to pass it on. From Python 3.12 on we write
nothing down when a task is made. We look its owner up when it matters (detach, an error, the
monitor), in asyncio's own registries. So it does not matter how the task came onto the loop.

    a task        the context that it carries: Task.get_context() from Python 3.12 on; below that, the
                  context beside its wake-up in the future that it waits for, or the context of its
                  handle in a queue
    a callback    the context of its handle, in a queue or in the selector
    a transport, server, async generator: noted when it is made, as asyncio keeps no list of them

A task or callback that carries no owner belongs to the plug-in whose code it runs; we know that code
by the name of its module. A call from a plain slot or from a thread comes with an empty context. We
find its owner in the frames of the callers.

Interleaved code: a task of one plug-in opens a dialog, and in there Qt calls a plain slot of another
plug-in. The context is still the task's. So the frames between the callback and the call decide, and
the context decides only where those frames are nobody's.

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
from typing import Any, Callable, Dict, Iterable, List, Optional, Set, TypeVar

from ._asyncio import Handle, LoopBase, Task
from ._packages import bound_to, is_purged, library_of, module_of, nearest, plugin_of
from ._tasks import all_tasks, closure_of, frames_of, is_alive

_T = TypeVar("_T")

ExceptionHandler = Callable[[Any, Dict[str, Any]], Any]


class Owner:
    """One plug-in on the loop, from attach() until its last callback has been dropped. Made by the registry.

    Attributes:
        name: the plug-in's name in messages to people.
        code: a weak reference to the module that has called attach(). A plug-in that is imported anew has another one.
        module: the name of that module, by which we know the plug-in's code. We keep no name of a package,
            for the plug-in's package may become another one while plug-ins come: see plugin_of().
        copy: the full name of the copy of this package through which the plug-in has attached.
        report: tells the host's users of an error; takes a message and an exception or None. Never raises.
        resources: its open transports and servers, and the signals that it awaits. Held weakly, as an owner
            watches things and keeps none of them alive.
        async_generators: the generators that its code has begun to iterate over, held weakly.
        executor: runs its to_thread() jobs; made for the first of them. An owner that fills
            all its threads with jobs that hang harms nobody but itself.
        exception_handler: the handler that its code has given to loop.set_exception_handler().
        is_leaving: whether its detach has begun. Its own code still schedules in its name. Code without a
            context then belongs to a newer lease of the same package, if there is one.
    """

    def __init__(
        self,
        registry: Registry,
        name: str,
        module: str,
        copy: str,
        report: Callable[[str, Optional[BaseException]], None],
    ) -> None:
        self.name = name
        self.module = module
        try:
            self.code: Callable[[], Any] = weakref.ref(sys.modules.get(module))
        except TypeError:  # there is no such module, or a stand-in for one that takes no weak reference
            self.code = _no_code
        self.copy = copy
        self.report = report
        self.resources: weakref.WeakSet[Any] = weakref.WeakSet()
        self.async_generators: weakref.WeakSet[Any] = weakref.WeakSet()
        self.executor: Any = None
        self.exception_handler: Optional[ExceptionHandler] = None
        self.is_leaving = False
        self._registry = registry
        # Tasks, noted as they were made: those of a factory's class that asyncio does not list; below Python 3.12 all.
        self._noted: weakref.WeakSet[Any] = weakref.WeakSet()
        self._has_strangers = False  # whether a task of a factory's class was ever noted
        self._only_owner = Context()  # it carries this owner and nothing else
        self._only_owner.run(OWNER.set, self)

    def __repr__(self) -> str:
        return f"<Owner {self.name!r}>"

    def context(self) -> Context:
        """Return a copy of the caller's context, in which this owner is the current one."""
        context = copy_context()
        context.run(OWNER.set, self)
        return context

    def bind(self, fn: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """Return a function that calls `fn(*args)` in a context which carries this owner and nothing else."""
        return functools.partial(self._only_owner.copy().run, fn, *args)

    def pending(self) -> List[asyncio.Task[Any]]:
        """Return this owner's tasks that are alive. GUI thread only."""
        return self._registry.tasks_of(self)


# Whether a task gives its context at any time: also when it is done, and when it waits for a future that is not
# asyncio's. Below Python 3.12 it does not, and for those cases we note tasks as they are made.
_TASKS_TELL = sys.version_info >= (3, 12)

_sys: Any = sys  # type checkers for older versions do not know all of it

# Whether Python names the module at a depth of the stack.
STACK_TELLS = sys.version_info >= (3, 12)

# Packages that stand between the loop and the code that calls it, as asyncio.run_coroutine_threadsafe() does.
_GO_BETWEENS = ("asyncio", "_asyncio", "concurrent", "contextvars", "functools", "threading")

# Cache sentinels: this module is not looked up yet; it is of a copy of ours. (None: it is nobody's.)
_NOT_ASKED = object()
_OURS = object()

# Our functions that run a callback, or call code in an owner's name. The search for the caller ends at their frames:
# code further out on the stack has not made this call.
_STARTS = ("call_for", "_as_drain", "_as_run_now")

# We keep this many entries for async generators, besides two for each living one, before we drop those of dead ones.
_FEW_GENERATORS = 100

# How far we follow the references of a library's callback: in steps, and in objects for each step.
_FAR, _MANY = 3, 1000

# With a default, as we ask for each task and transport: a LookupError would cost more than the answer.
OWNER: ContextVar[Optional[Owner]] = ContextVar("asyncslot_owner", default=None)

current = OWNER.get


class Registry:
    """The owners on one loop, and whose each task, callback and caller is.

    Args:
        loop: theirs. Of it we use the queues and the stack (`_steps`).

    Attributes:
        owners: all owners on this loop, in the order of their coming; leaving ones included.
        copies: the copies of this package that have met here. Their code stands between the loop and the plug-in that
            calls.
        generator_owners: by the id() of an async generator, for no weak reference to it is left when it is finalized:
            its owner; None: its owner has left.
        set_by: by the name of an attribute of the loop that all owners share: the owner that has set it.
    """

    def __init__(self, loop: Any) -> None:
        self.owners: List[Owner] = []
        self.generator_owners: Dict[int, Optional[Owner]] = {}
        # Cache: a module's owner by the module's name, for threads that flood us with calls. Emptied when an owner
        # comes or goes.
        self._by_module: Dict[str, Any] = {}
        self.copies: Set[str] = {__name__.rpartition(".")[0]}
        self.set_by: Dict[str, Optional[Owner]] = {}
        self._loop = loop

    # -- coming and going ------------------------------------------------------

    def join(self, name: str, module: str, copy: str, report: Callable[..., None]) -> Owner:
        """Return a new owner, which the loop knows from now on."""
        owner = Owner(self, name, module, copy, report)
        self.owners.append(owner)
        self.copies.add(copy)
        self._by_module = {}
        return owner

    def begin_leaving(self, owner: Owner) -> None:
        """Note that an owner leaves: code without a context now belongs to a newer lease of its package, if any."""
        owner.is_leaving = True
        self._by_module = {}

    def take_leave(self, owner: Owner) -> None:
        """Forget an owner."""
        if owner in self.owners:
            self.owners.remove(owner)
        self._by_module = {}
        # The generators that detach() could not close, and has reported. Their entries stay, with no owner, so that
        # the loop's finalizer hook does not go on with them.
        left = {id(agen) for agen in list(owner.async_generators) if agen.ag_frame is not None}
        self.generator_owners = {
            key: None if other is owner else other
            for key, other in self.generator_owners.items()
            if other is not owner or key in left
        }

    # -- who calls ---------------------------------------------------------------

    def current_owner(self) -> Optional[Owner]:
        """Return the owner of the code that calls the loop. Any thread."""
        return self.owner_of_frames(sys._getframe(1)) or current()

    def owner_of_frames(self, frame: Any) -> Optional[Owner]:
        """Return the owner whose code has called, from `frame` outwards up to the callback; None: the context decides.

        The context alone would mislead us. Qt calls plain slots in the context of the code that has opened a dialog,
        and threads have an empty one.
        """
        if not self.owners:
            return None
        known = self._by_module
        while frame is not None:
            module = frame.f_globals.get("__name__") or ""
            owner = known.get(module, _NOT_ASKED)
            if owner is _NOT_ASKED:
                is_ours = module.rpartition(".")[0] in self.copies
                owner = known[module] = _OURS if is_ours else self.owner_of_module(module)
            if owner is _OURS:
                if frame.f_code.co_name in _STARTS:
                    return None
            elif owner is not None:
                carried = current()
                return None if owner is carried or self._is_same_code(owner, carried, frame) else owner
            frame = frame.f_back
        return None

    def _is_same_code(self, owner: Owner, carried: Optional[Owner], frame: Any) -> bool:
        """Whether an owner's code is also the code of the owner in the context, so that the context decides.

        This is about two leases of one package: the plug-in was reloaded inside a dialog of its own, and the old lease
        is leaving. Plain code that Qt calls in that dialog belongs to the new lease. The old lease's own code, which
        goes on when the dialog is closed, does not: its modules have been purged and imported anew. Where they have
        not been, the context decides until a step has come in between.
        """
        if carried is None or carried.copy != owner.copy or plugin_of(carried.module) != plugin_of(owner.module):
            return False
        return is_purged(frame) or not (self._loop._as_stack.is_open or carried.code() is not owner.code())

    def owner_of_module(self, module: str) -> Optional[Owner]:
        """Return the owner of a module's code; None if there is none, or several that cannot be told apart."""
        owners = self.owners_of_module(module)
        return owners[0] if len(owners) == 1 else None

    def owners_of_module(self, module: str) -> List[Owner]:
        """Return the possible owners of a module's code: several if one package has attached under several names."""
        package = plugin_of(module)
        if package in _GO_BETWEENS or module.rpartition(".")[0] in self.copies:
            return []
        owners = [owner for owner in self.owners if plugin_of(owner.module) == package]
        # The host's own package may hold several plug-ins (Picard). We tell them apart by where their copies lie, and
        # do so first: what one plug-in does while it leaves, or when it has left, belongs to none of the others.
        gone = self.copies.difference(owner.copy for owner in self.owners)
        known: List[Any] = [*owners, *(copy for copy in gone if plugin_of(copy) == package)]
        if len(known) > 1:
            near = nearest(known, module, lambda one: (one,) if isinstance(one, str) else (one.copy, one.module))
            owners = [one for one in near if isinstance(one, Owner)]
        # A plug-in that is reloaded inside a dialog of its own has two owners for a while.
        return [owner for owner in owners if not owner.is_leaving] or owners[-1:]

    def callers_context(self) -> Optional[Context]:
        """Return a context with the caller's owner, for code whose own context does not carry it; None if it does."""
        frame = sys._getframe(2)
        owner = self._by_module.get(frame.f_globals.get("__name__") or "")
        # Fast path: the context is empty and the caller's module is in the cache, as in a flood of calls from a thread.
        if owner.__class__ is not Owner or current() is not None:
            owner = self.owner_of_frames(frame)
        return None if owner is None else owner.context()

    def is_carriers(self) -> bool:
        """Whether the code that calls call_at() is known to be the code of the owner in the context.

        Fast path: a walk through the frames makes an object of each, and those of coroutines stay as long as these are
        suspended. In a task that sleeps they would take 400 bytes. Only if STACK_TELLS.
        """
        known, depth = self._by_module, 2
        while True:
            owner = known.get(_sys._getframemodulename(depth), _NOT_ASKED)  # the same where no frame is left
            if owner is not None:
                return owner is current()
            depth += 1

    def give_owner(self, context: Context) -> None:
        """Put the caller's owner into a context that was made by hand, in a plain slot, or by a new task."""
        owner = self.current_owner()
        if owner is not None and context.get(OWNER) is not owner:
            try:
                context.run(OWNER.set, owner)
            except RuntimeError:
                pass  # some code runs in this context just now, and it cannot be entered twice

    def call_for(self, owner: Owner, fn: Callable[..., Any], *args: Any) -> Any:
        """Call `fn(*args)` in the name of an owner, whoever calls."""
        # If the caller's is empty, a copy of one of ours: what is set in a context takes memory, which copies share.
        context = copy_context() or owner._only_owner.copy()
        if context.get(OWNER) is not owner:
            context.run(OWNER.set, owner)
        return context.run(fn, *args)

    # -- whose is it ---------------------------------------------------------------

    def tasks_of(self, owner: Owner) -> List[asyncio.Task[Any]]:
        """Return an owner's tasks that are alive."""
        loop = self._loop
        if not (_TASKS_TELL or loop._as_stack.has_run or loop._ready or loop._as_batch):
            # Fast path: no task has been made here yet, and asyncio's registry has the tasks of the whole process.
            # (From Python 3.12 on this cannot be known: a task that starts eagerly leaves no trace in the loop.)
            return []
        return [task for task, whose in self.tasks() if whose is owner]

    def tasks(self) -> List[Any]:
        """Return pairs of a task and its owner, which may be None, for all tasks of this loop that are alive."""
        tasks = all_tasks(self._loop)
        contexts = {} if _TASKS_TELL or not tasks else self._contexts_in_queues()
        pairs = [(task, self.owner_of_task(task, contexts)) for task in tasks]
        for owner in self.owners:
            if owner._has_strangers:
                known = set(map(id, tasks))
                strangers = [task for task in list(owner._noted) if not isinstance(task, asyncio.Task)]
                pairs += [(task, owner) for task in strangers if id(task) not in known and is_alive(task)]
        return pairs

    def owner_of_task(self, task: Any, contexts: Optional[Dict[int, Context]] = None) -> Optional[Owner]:
        """Return a task's owner, or None.

        Args:
            contexts: the result of _contexts_in_queues(), if the caller asks for many tasks. We add to it.
        """
        context = self._context_of(task, contexts)
        owner = None if context is None else context.get(OWNER)
        if owner is None and not _TASKS_TELL:
            owner = next((owner for owner in self.owners if is_in(task, owner._noted)), None)
        if owner is None and self.owners:
            for frame in frames_of(task):
                owner = self.owner_of_module(frame.f_globals.get("__name__") or "")
                if owner is not None:
                    break
        return owner

    def _context_of(self, task: Any, contexts: Optional[Dict[int, Context]]) -> Optional[Context]:
        get_context = getattr(task, "get_context", None) if _TASKS_TELL else None
        if get_context is not None:
            try:
                return get_context()  # type: ignore[no-any-return]
            except (Exception, SystemExit):
                return None  # a plug-in's own class of tasks may raise anything
        if contexts is None:
            contexts = self._contexts_in_queues()
        waiter = getattr(task, "_fut_waiter", None)
        if waiter is not None and id(task) not in contexts:
            # Many tasks may wait for one future, so we note the contexts of all when we come to the first.
            for callback, context in getattr(waiter, "_callbacks", None) or ():
                waits = bound_to(callback)
                if waits is task or (isinstance(waits, asyncio.Task) and getattr(waits, "_fut_waiter", None) is waiter):
                    contexts[id(waits)] = context
        # Only a class of tasks that is written in Python has the attribute.
        return contexts.get(id(task)) or getattr(task, "_context", None)

    def _contexts_in_queues(self) -> Dict[int, Context]:
        """Return, by the id() of the task, the contexts of the tasks whose next step is queued or running."""
        handles = self._all_handles()
        steps = [(bound_to(handle._callback), handle._context) for handle in handles]
        return {id(task): context for task, context in steps if isinstance(task, asyncio.Task)}

    def _all_handles(self) -> List[Handle]:
        """Return the handles that are queued, and those on the stack."""
        loop = self._loop
        return [*loop._as_stack.handles(), *loop._as_stack.held, *tuple(loop._as_batch), *tuple(loop._ready)]

    def owner_of_handle(self, handle: Handle) -> Optional[Owner]:
        """Return a callback's owner, or None."""
        owner = handle._context.get(OWNER)
        if owner is not None or not self.owners:
            return owner
        receiver = bound_to(handle._callback)
        if receiver is self._loop:
            return None
        if isinstance(receiver, asyncio.Task):
            return self.owner_of_task(receiver, {})
        return self.owner_of_module(module_of(handle._callback))

    def is_plain(self, handle: Handle) -> bool:
        """Whether a callback is a plug-in's own code, and no part of a task, of asyncio or of a library."""
        module = module_of(handle._callback)
        is_between = module.partition(".")[0] in _GO_BETWEENS or module.rpartition(".")[0] in self.copies
        return not (_is_step(handle) or is_between or library_of(handle._callback))

    def leads_to(self, owner: Owner, callback: Any) -> bool:
        """Whether a library's callback is an owner's code, or refers to such code within a few references."""
        seen: Set[int] = set()
        found: List[Any] = [callback]
        for _ in range(_FAR):
            found = [item for item in _referred_by(found, self._loop) if id(item) not in seen][:_MANY]
            if any(self.owner_of_module(module_of(item)) is owner for item in found):
                return True
            seen.update(map(id, found))
        return False

    def unset(self, owner: Owner) -> None:
        """Take an owner's task factory and default executor away from the loop."""
        for name, giver in list(self.set_by.items()):
            if giver is owner:
                del self.set_by[name]
                setattr(self._loop, name, None)


class OwningMixin(LoopBase):
    """The part of an event loop that makes things, each for the owner in the context or the one who calls."""

    # By these names other copies ask for the owners, see TREATY in `_meeting`.
    _as_owner = OWNER

    def __init__(self, *args: Any) -> None:
        registry = self._as_registry = Registry(self)
        self._as_join, self._as_call_for = registry.join, registry.call_for
        self._as_begin_leaving, self._as_take_leave = registry.begin_leaving, registry.take_leave
        self._as_tasks, self._as_tasks_of = registry.tasks, registry.tasks_of
        self._as_owner_of_task, self._as_owner_of_handle = registry.owner_of_task, registry.owner_of_handle
        super().__init__(*args)

    def create_task(self, coro: Any, **kwargs: Any) -> Task[Any]:
        """Make a task of `coro`, which starts in the next turn; it belongs to the current owner. GUI thread only."""
        owner = current()
        context = None
        if owner is None or self._as_stack.handle is not None:
            caller = self._as_registry.owner_of_frames(sys._getframe(1))
            if caller is not None and caller is not owner:
                owner, context = caller, caller.context()
        if owner is not None and context is None and self._task_factory is None and not kwargs:
            # Fast path: slots and tasks make tasks here. It does the same as asyncio, with a frame or two less.
            task: Task[Any] = asyncio.tasks.Task(coro, loop=self)  # type: ignore[assignment]
            if task._source_traceback:
                del task._source_traceback[-1]  # this frame
            if not _TASKS_TELL:
                owner._noted.add(task)
            return task
        make = functools.partial(super().create_task, coro, **kwargs)
        if self._task_factory is not None and not self._as_is_inside(owner):
            # The factory may run the first step itself (asyncio.eager_task_factory). That step must find the loop
            # running, and its handle must be on the stack, so that we know its owner.
            context = context or copy_context()
            make = functools.partial(self._as_call_inside, Handle(make, (), self, context), make)
        given = kwargs.get("context")
        if given is not None and given.get(OWNER) is None:
            self._as_registry.give_owner(given)
        task = make() if context is None else context.run(make)
        if self._task_factory is None and task._source_traceback:
            del task._source_traceback[-1]  # this frame
        is_stranger = not isinstance(task, asyncio.Task)
        if owner is not None and (is_stranger or not _TASKS_TELL):
            owner._has_strangers |= is_stranger
            try:
                owner._noted.add(task)
            except TypeError:
                pass  # the task's class has no hash, or takes no weak references
        return task

    def _as_is_inside(self, owner: Optional[Owner]) -> bool:
        """Whether a callback of this owner is running, and ours is asyncio's running loop.

        Ours is not the running loop between steps, nor in a dialog in which a foreign loop has unpublished it
        (Python 3.13).
        """
        handle = self._as_stack.handle
        return (
            handle is not None
            and events._get_running_loop() is self
            and self._as_registry.owner_of_handle(handle) is owner
        )

    # Typeshed ties the arguments to the callback's parameters; we only pass them on.
    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Watch a descriptor until remove_reader(), or until the caller's lease ends."""
        (self._as_registry.callers_context() or copy_context()).run(super().add_reader, fd, callback, *args)

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Watch a descriptor until remove_writer(), or until the caller's lease ends."""
        (self._as_registry.callers_context() or copy_context()).run(super().add_writer, fd, callback, *args)

    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        owner = current()
        if owner is None:
            # An earlier generator with the same id() may have had an owner.
            self._as_registry.generator_owners.pop(id(agen), None)
        else:
            owner.async_generators.add(agen)
            self._as_registry.generator_owners[id(agen)] = owner
        super()._asyncgen_firstiter_hook(agen)
        owners = self._as_registry.generator_owners
        if len(owners) > 2 * len(self._asyncgens) + _FEW_GENERATORS:
            # A generator that ran to its end is not finalized, so nobody else removes its entry.
            alive = {id(agen) for agen in self._asyncgens}
            self._as_registry.generator_owners = {key: owner for key, owner in owners.items() if key in alive}

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        # The garbage collector calls this in anybody's code and in any thread, but the clean-up is the owner's.
        owner: Any = self._as_registry.generator_owners.pop(id(agen), self)
        finalize = super()._asyncgen_finalizer_hook
        if owner is self:
            Context().run(finalize, agen)
        elif owner is not None:
            owner.context().run(finalize, agen)
        # Else the owner has left. We do not go on with its generator, for no code of a plug-in runs after its end.

    def set_task_factory(self, factory: Any) -> None:
        """Have `factory` make all tasks of this loop; in a host, until the caller's lease ends."""
        super().set_task_factory(factory)
        self._as_registry.set_by["_task_factory"] = self._as_registry.current_owner()

    def set_default_executor(self, executor: Any) -> None:
        """Have `executor` run all jobs that name no executor; in a host, until the caller's lease ends."""
        super().set_default_executor(executor)
        self._as_registry.set_by["_default_executor"] = self._as_registry.current_owner()

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


def _no_code() -> None:
    """Stand in for a weak reference to a module that is not there."""


def is_in(thing: Any, weak_set: Any) -> bool:
    """Whether a thing is in a weak set."""
    try:
        return thing in weak_set
    except TypeError:  # of a class without a hash
        return False


def _is_step(handle: Handle) -> bool:
    """Whether a handle is a step of a task."""
    return isinstance(bound_to(handle._callback), asyncio.Task)


def _referred_by(things: Iterable[Any], loop: Any) -> List[Any]:
    """Return the things, and what they hold and are bound to; no modules, classes or loops, which lead everywhere."""
    found: List[Any] = []
    for thing in things:
        referred = [thing, getattr(thing, "__self__", None)]
        referred += closure_of(thing)
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


def _note(resource: Any) -> Any:
    """Note a resource with the current owner, if there is one, so that detach() closes it; return the resource."""
    owner = current()
    if owner is not None and resource is not None:
        owner.resources.add(resource)
    return resource

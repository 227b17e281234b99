"""Lease: one owner's hold on the shared loop, from attach() to detach(); and which leases this copy gave out.

    begins      the lease hears of the host's quitting from now on
    meanwhile   tasks, slots and jobs are made through it and belong to its owner
    ends        slots go dead -> the owner's work is ended (`_detach`) -> the place is given up,
                and the last lease closes the loop

The copy is the plug-in. Which plug-in has called a public function, we tell by the copy of this package
that was called: `held` are the leases that this copy gave out. Only where several packages use one copy
do we look at the calling package, to choose among these leases. The name of a lease matters only where
one caller holds several. There is no way from here to another copy's lease.

attach() and detach() are transactions. Either the lease, the owner, the place, the host's hook and
`held` all know of the change, or none of them does.

Everything here is for the GUI thread. This module does not know what the loop does between attach() and
detach(), nor what the host is like; the latter only the adapter knows.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import weakref
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Coroutine, Dict, List, Optional, Tuple, TypeVar

from . import _meeting
from ._asyncio import P, Ts, Unpack, monotonic, overload
from ._calls import failed, report_failure, unstarted
from ._detach import Ending
from ._errors import AmbiguousLeaseError, DetachedError, TaskTimeoutError, ThreadError
from ._hosts import find_host, name_of_host, report_safely
from ._loop import AsyncSlotEventLoop
from ._owners import Owner
from ._packages import nearest, plugin_of
from ._progress import Progress
from ._report import DetachReport
from ._slots import Options, Starter, make_slot
from ._tasks import set_name, where

if TYPE_CHECKING:
    from ._slots import CoroFn, Slot, SlotDecorator

_T = TypeVar("_T")
_Coro = Coroutine[Any, Any, _T]


class Lease:
    """One owner's hold on the loop, from attach() to detach().

    A lease is also a context manager, which detaches when the `with` block is left.

    Attributes:
        name: the plug-in's name in messages, made distinct where two plug-ins have the same.
        owner: the same as `name`, by its old name.
        loop: the asyncio loop, shared with the other leases in this thread.
        host: the adapter of the host application.

    Thread: GUI thread only, all of it. From another thread, hand over with
    `lease.loop.call_soon_threadsafe()`.
    """

    def __init__(
        self, name: str, loop: AsyncSlotEventLoop, host: Any, module: str, given_name: Optional[str] = None
    ) -> None:
        self.owner = self.name = name
        self.loop = loop
        self.host = host
        self._module = module
        self._given_name = given_name  # the name that attach() was given
        self._owner = loop._as_join(name, module, COPY, functools.partial(report_safely, host))
        # asyncio itself keeps no task alive. A dict, because it keeps their order, in which they are to be cancelled.
        self._tasks: Dict[asyncio.Task[Any], None] = {}
        self._forget_task = _forgetting(self._tasks)
        self._context = self._owner.context()  # for `_forget_task`: one for all tasks, as each copy would take memory
        self._report: Optional[DetachReport] = None
        self._ending: Optional[Ending] = None
        self._unhook: Callable[[], None] = _unhook_nothing
        self._probe: Any = None  # a QObject that lives as long as the application whose quitting we hear of

    def _begin(self, place: _meeting.Place) -> None:
        """Enter the place, and hear of the host's quitting; if the adapter fails, the lease has never been.

        Raises:
            BaseException: whatever the adapter raises.
        """
        place.enter(self)
        held.append(self)
        try:
            self._hook()
        except BaseException:
            if self._report is None:
                self._report = DetachReport(self.name)
                self._leave()
                del _ended[self._module, self._given_name]
            raise
        if self._report is not None:
            self._unhook_safely()  # the adapter has called back at once: the host is quitting
        _hosts[:] = [weakref.ref(self.host)]

    def _hook_anew(self) -> None:
        """Hear of the quitting of an application that was made anew; the old hook has gone with the old application."""
        if self._probe is not self.loop._as_probe:
            self._unhook_safely()
            self._hook()

    def _hook(self) -> None:
        # Before the adapter is called: it may attach this plug-in again, which must not hook a second time.
        before, self._probe = self._probe, self.loop._as_probe
        try:
            self._unhook = self.host.on_quit(self._on_host_quit)
        except BaseException:
            self._probe = before
            raise

    def __repr__(self) -> str:
        return f"<Lease of {self.name!r} in {name_of_host(self.host)}, {'attached' if self.is_attached else 'ended'}>"

    @property
    def is_attached(self) -> bool:
        """Whether the lease still holds: until detach() is called, by the plug-in or because the host quits."""
        return self._report is None

    def create_task(self, coro: _Coro[_T], *, name: Optional[str] = None) -> asyncio.Task[_T]:
        """Make a task of `coro`, which starts in the next step; return the task.

        Works in plain slots, too, where asyncio.create_task() finds no loop. The lease keeps the
        task alive until it is done, and cancels it on detach.

        Args:
            name: the task's name, in reports; without effect in Python 3.7, where tasks have none.

        Raises:
            DetachedError: the lease has ended; `coro` is closed.
            ThreadError: called from another thread; `coro` is closed.

        Thread: GUI thread only.
        """
        self._check("create_task()", coro)
        return self._keep(self.loop._as_call_for(self._owner, self.loop.create_task, coro), name)

    def run_task(self, coro: _Coro[_T], *, name: Optional[str] = None) -> asyncio.Task[_T]:
        """Make a task of `coro`, run its first step before this returns, and return the task.

        For an effect that must be there at once: a button that is disabled, say. The first step
        ends at the first `await` that really waits; from then on the task is like one of
        create_task(). Called inside a task, this suspends that task for the time, and
        asyncio.current_task() is the new one.

        Args:
            name: the task's name, as for create_task().

        Returns:
            The task, which may be done. If its first step has raised an exception, the task has that.

        Raises:
            DetachedError, ThreadError: as from create_task().

        Thread: GUI thread only.
        """
        self._check("run_task()", coro)
        return self._keep(self.loop._as_call_for(self._owner, self.loop.run_task, coro), name)

    @overload
    def slot(self, *, on_repeat: str = ..., cancel_with_receiver: bool = ...) -> SlotDecorator: ...
    @overload
    def slot(
        self, coro_fn: CoroFn[P, _T], *, on_repeat: str = ..., cancel_with_receiver: bool = ...
    ) -> Slot[P, _T]: ...
    def slot(self, coro_fn: Any = ..., *, on_repeat: str = "concurrent", cancel_with_receiver: bool = False) -> Any:
        """Return a slot for Qt signals that starts `coro_fn` under this lease, its first step at once.

        Takes the same as asyncSlot(), and drops arguments of the signal that `coro_fn` does not
        take. Without `coro_fn` it returns a decorator. Called twice for the same method, it returns
        equal slots, so that `disconnect()` finds the one that was connected. After detach,
        emissions are ignored.

        Args:
            on_repeat: what an emission does while an earlier one's task still runs; see asyncSlot().
            cancel_with_receiver: cancel a method's tasks when Qt deletes its object; see asyncSlot().

        Returns:
            The slot. A call of it returns the task, to be awaited, as with asyncSlot().

        Raises:
            NotCoroutineFunctionError: `coro_fn` is not a coroutine function.
            ArgumentError: it needs a keyword argument, which no signal brings.
            OptionError: an option has a value that it cannot have; see asyncSlot().
        """
        options = Options(on_repeat, cancel_with_receiver)
        starter = Starter(self._is_here, self._hand_over, self._start, self._find_loop)
        if coro_fn is ...:  # left out: a decorator is wanted
            return functools.partial(make_slot, starter=starter, options=options)
        return make_slot(coro_fn, starter, options)

    def to_thread(self, fn: Callable[[Unpack[Ts]], _T], *args: Unpack[Ts]) -> asyncio.Future[_T]:
        """Run `fn(*args)` in a thread, and return a future to await.

        Touch nothing of Qt's GUI in `fn`. Context variables are passed on. Each call is a job of its
        own. Jobs run side by side in threads of this owner's, and wait while all of these are busy.
        (loop.set_default_executor() puts an executor for everybody in their place.)

        A job that runs cannot be stopped. If its future is cancelled, or the lease ends, it runs to
        its end and its result is dropped; a job that still waits for a thread is dropped as a whole.
        The threads are daemons: a job that never ends does not keep the host from exiting.

        Returns:
            A future of this lease's loop, for what `fn` returns or raises.

        Raises:
            DetachedError: the lease has ended.
            ThreadError: called from another thread.
            RuntimeError: there is no thread yet, and none can be started. The job never runs.

        Thread: GUI thread only.
        """
        self._check("to_thread()")
        job = functools.partial(copy_context().run, fn, *args)
        future: asyncio.Future[_T] = self.loop._as_call_for(self._owner, self.loop.run_in_executor, None, job)
        return future

    def progress(self, title: str, total: Optional[float] = None) -> Progress:
        """Return an asynchronous context manager that shows how far the task is which enters it.

            async with lease.progress("Downloading tiles", total=240) as progress:
                progress.advance()

        The progress is shown in the host's own display, and Cancel there cancels the task. Where the
        host has none, it is shown in a small dialog, and where there is no GUI, nowhere.

        Args:
            title: what is going on, in a word or two.
            total: how many there are to do; None or 0 while nobody can tell.

        Raises:
            DetachedError: the lease has ended.
            ThreadError: called from another thread.

        Thread: GUI thread only.
        """
        self._check("progress()")
        return Progress(self.loop, self._owner.report, self.name, self.host, title, total)

    def run_until_complete(self, awaitable: Awaitable[_T], *, timeout: Optional[float] = None) -> _T:
        """Block until `awaitable` is done, and return its result.

        For clean-up in unload() and the like. It works in plain functions, in slots and inside tasks,
        and calls may be nested. asyncio runs alone meanwhile, with the tasks of everybody who shares
        the loop. The host's Qt loop does not run, and the GUI stands still. So nothing happens that
        needs Qt's loop: no timer of Qt's fires, asyncModal() raises NoQtLoopError in the code that is
        waited for, and a signal that another thread emits arrives only where asyncSignal() is called
        in that code.

        Args:
            awaitable: a coroutine or the like, which becomes a task of this owner's, or a future of this loop.
            timeout: seconds, >= 0; None = no limit.

        Raises:
            TaskTimeoutError: it took longer. What was waited for is cancelled, and has not ended yet.
            DetachedError: the lease had ended before, or has ended meanwhile, and `awaitable` with it. Not
                CancelledError, which is no Exception from Python 3.8 on: a slot that catches those is to let
                nothing out into Qt.
            ThreadError: called from another thread.
            Exception: whatever `awaitable` raises.

        Thread: GUI thread only.
        """
        self._check("run_until_complete()", awaitable)
        return run_alone(self.loop, awaitable, timeout, self._owner, self)

    def detach(self, *, timeout: float = 2.0, process_events: bool = False) -> DetachReport:
        """End the lease: cancel its tasks, close what they left open, and return what became of it.

        Blocks for `timeout` seconds at most, plus the callback that is running
        then; the host's Qt loop does not run meanwhile. Where so many tasks end that some
        have not had a turn by then, they may take as long again, or 0.1 ms for each task if
        that is longer. Never raises because of what the owner's code does. A second call
        returns the first one's report. The last lease in this thread closes the loop.

        Where a task or callback of the owner's own is on the stack (it calls this, or has opened
        a dialog from which this is called), all tasks are cancelled, and what can end at once ends.
        The rest, clean-up in `finally` included, is done when that callback has returned, with asyncio
        alone and within the same time.

        Args:
            timeout: seconds, >= 0, that may be spent on waiting for tasks and connections to end.
            process_events: let Qt's events through meanwhile, user input excluded, for
                clean-up that waits for something of Qt's: a QTimer, a QProcess, a
                QNetworkReply. Anything that the host does on a timer can happen then.

        Returns:
            What became of the owner's tasks and connections; made for a log. Where something has to wait for the
            stack, as told above, the report is not complete until that is done.

        Raises:
            ThreadError: called from another thread, while the lease holds.

        Thread: GUI thread only.
        """
        if self._report is not None:
            if self._ending is not None and threading.get_ident() == self.loop._thread_id:
                self._ending.finish()  # for the case that the stack has unwound without our noticing
            return self._report
        self._check("detach()")
        self._report = DetachReport(self.name)
        self.loop._as_begin_leaving(self._owner)
        tasks = _let_go(self._tasks, self._forget_task)
        self._ending = Ending(self.loop, self._owner, self._report, tasks, timeout, process_events, self._leave)
        self._unhook_safely()
        self._ending.begin()
        return self._report

    def _unhook_safely(self) -> None:
        try:
            self._unhook()
        except BaseException as exc:  # a broken adapter must not keep a plug-in from being unloaded
            self._owner.report(f"{self.name}: the adapter for {name_of_host(self.host)} failed to unhook", exc)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def _leave(self) -> None:
        """Give up the place; the last lease closes the loop."""
        self._tasks.clear()
        self.loop._as_take_leave(self._owner)
        if self in held:
            held.remove(self)
        assert self._report is not None, "its end has begun"
        _ended[self._module, self._given_name] = self._report
        _meeting.leave(self)
        # Not under a callback that has opened a Qt loop: the loop has called it, and must be there when it returns.
        self.loop._as_stack.when_unwound(functools.partial(_meeting.close_if_empty, self.loop))

    def _on_host_quit(self) -> None:
        try:
            self.detach()
        except BaseException as exc:  # Qt has called us, and nothing must go out into it
            self._owner.report(f"{self.name}: detaching failed while the host was quitting", exc)

    def _is_here(self, _: Any) -> bool:
        return threading.get_ident() == self.loop._thread_id or self._report is not None

    def _hand_over(self, _: Any, again: Callable[[], object]) -> None:
        """Let the GUI thread answer an emission that came in another thread, by a direct connection."""
        try:
            self.loop.call_soon_threadsafe(again, context=self._owner.context())
        except RuntimeError:
            pass  # the loop is closed: the lease has ended, perhaps meanwhile

    def _find_loop(self, _: Any) -> AsyncSlotEventLoop:
        return self.loop

    def _start(self, fn: Any, args: Tuple[Any, ...], keywords: Dict[str, Any]) -> asyncio.Future[Any]:
        """Start a slot's task. We report what is wrong with the call, and do not raise it: it would go out into Qt."""
        if self._report is not None:
            return unstarted(DetachedError(f"The slot {getattr(fn, '__qualname__', fn)}()", self.name))
        try:
            coro = fn(*args, **keywords)
        except Exception as exc:
            name = getattr(fn, "__qualname__", fn)
            return self._fail(f"the slot {name}() cannot be called with what the signal brings", exc)
        try:
            task: asyncio.Task[Any] = self.loop._as_call_for(self._owner, self.loop.run_task, coro)
            # Many tasks are done in their first step, and need neither a callback nor to be kept.
            if not task.done():
                self.loop._as_call_for(self._owner, task.add_done_callback, report_failure)
                return self._keep(task, None)
            # We do not ask the task for its exception yet, for somebody may await it: report_failure() looks later.
            if not task.cancelled() and getattr(task, "_log_traceback", True):
                if self.loop.is_closed():
                    report_failure(task)  # the task has ended its own lease, which was the last
                else:
                    self.loop._as_call_for(self._owner, task.add_done_callback, report_failure)
            return task
        except (SystemExit, KeyboardInterrupt) as exc:  # asyncio.eager_task_factory lets these out
            self._owner.report(f"{self.name}: {type(exc).__name__} in a slot", exc)
            return unstarted()
        except Exception as exc:  # somebody's task factory has failed
            coro.close()
            return self._fail("no task could be made for the slot", exc)

    def _fail(self, what: str, exc: Exception) -> asyncio.Future[Any]:
        """Return a future that has failed with `exc`, and report that if nobody awaits it."""
        future = failed(self.loop, exc)
        tell = functools.partial(self._owner.report, f"{self.name}: {what}")
        report = functools.partial(report_failure, tell=tell)
        if self.loop.is_closed():
            report(future)
        else:
            self.loop._as_call_for(self._owner, future.add_done_callback, report)
        return future

    def _keep(self, task: asyncio.Task[_T], name: Optional[str]) -> asyncio.Task[_T]:
        if name is not None:
            set_name(task, name)
        if not task.done():
            self._tasks[task] = None
            task.add_done_callback(self._forget_task, context=self._context)
        return task

    def _check(self, what: str, coro: Any = None) -> None:
        """Raise if the lease has ended or the thread is wrong; close a coroutine, which then will not run."""
        error: Optional[Exception] = None
        if threading.get_ident() != self.loop._thread_id and self.is_attached:
            error = ThreadError(f"{what} of the lease of {self.name!r}", threading.current_thread().name)
        elif not self.is_attached:
            error = DetachedError(what, self.name)
        if error is not None:
            if asyncio.iscoroutine(coro):
                coro.close()
            raise error


def _forgetting(tasks: Dict[asyncio.Task[Any], None]) -> Callable[[asyncio.Task[Any]], None]:
    """Return a function that lets go of a task. No partial(): the repr of a task would show what that holds."""

    def forget(task: asyncio.Task[Any]) -> None:
        tasks.pop(task, None)

    return forget


def _let_go(
    tasks: Dict[asyncio.Task[Any], None], forget: Callable[[asyncio.Task[Any]], None]
) -> List[asyncio.Task[Any]]:
    """Return tasks, to somebody who keeps them from now on: so the end of each takes one callback less."""
    kept = list(tasks)
    for task in kept:
        try:
            task.remove_done_callback(forget)
        except BaseException:
            pass  # a plug-in's own class may raise anything; it calls the callback then, which does no harm
    tasks.clear()
    return kept


def run_alone(
    loop: Any, awaitable: Awaitable[_T], timeout: Optional[float], owner: Optional[Owner], lease: Optional[Lease]
) -> _T:
    """Run asyncio without Qt until `awaitable` is done, for a lease, or for a program that owns its application."""
    name = "this program" if lease is None else lease.name

    def is_over() -> bool:  # a task that resists the end of its lease is never done
        return lease is not None and not lease.is_attached

    def start() -> asyncio.Future[_T]:
        future: asyncio.Future[_T] = asyncio.ensure_future(awaitable, loop=loop)
        # It asks for the exception, or asyncio would say that nobody has, of a future that we gave up waiting for.
        future.add_done_callback(lambda future: future.cancelled() or future.exception())
        return future

    deadline = None if timeout is None else monotonic() + timeout
    future: asyncio.Future[_T] = loop._as_run_alone_for(
        owner, functools.partial(loop._as_call_for, owner, start), is_over, deadline
    )
    if lease is not None and not lease.is_attached and (not future.done() or _was_cancelled(future)):
        raise DetachedError("run_until_complete()", name)
    if not future.done():
        stack = where(future)
        future.cancel()
        assert timeout is not None, "without a deadline it runs until the future is done"
        raise TaskTimeoutError(name, timeout, stack)
    return future.result()


def _was_cancelled(future: asyncio.Future[Any]) -> bool:
    # In Python 3.7 a task that returns in the step in which it was cancelled has failed with that exception.
    return future.cancelled() or isinstance(future.exception(), asyncio.CancelledError)


# -- which leases this copy gave out --------------------------------------------

# The full name of this copy, and whether it is vendored into a package.
COPY = __package__ or ""
IS_VENDORED = "." in COPY

# The leases that this copy gave out, in the order of attach(). A lease is removed when its end is over.
held: List[Lease] = []

# The last reports of leases that have ended, by the module that attached and the name that it gave. They tell that a
# slot still hearing a signal has nothing to do any more, which is no error. And a host that quits ends leases before it
# calls unload(), where detach() is to return the report.
_ended: Dict[Tuple[str, Optional[str]], DetachReport] = {}


def adopt(place: Optional[_meeting.Place]) -> None:
    """Take over the leases that this copy gave out before its modules were purged and imported anew, without detach."""
    # A lease of the class from before leaves the list of its own module when it ends, not this one.
    held[:] = [lease for lease in held if lease.is_attached or type(lease) is Lease]
    for lease in [] if place is None else place.leases.values():
        if lease._owner.copy == COPY and lease.is_attached and lease not in held:
            held.append(lease)


def forget_ends(module: str) -> None:
    """Forget the reports of a plug-in's earlier leases: the plug-in is back."""
    top = module.partition(".")[0]
    for key in list(_ended):
        if key[0] == module or (key[0].partition(".")[0] == top and plugin_of(key[0]) == plugin_of(module)):
            del _ended[key]


def find_own(module: str, name: Optional[str]) -> Optional[Lease]:
    """Return the lease of the caller's own that attach() returns again, by whatever name; None if there is none.

    One caller may hold several by giving each a name: a test, a console, a manager of plug-ins.
    """
    own = _of_package([lease for lease in held if lease.is_attached], module)
    same = [lease for lease in own if name in (lease._given_name, lease.name)]
    if not same and name is None and len(own) == 1:
        same = own
    return same[0] if same else None


def find(module: str, name: Optional[str] = None, *, is_attached: bool = True) -> List[Lease]:
    """Return the leases of this copy that a caller means.

    Args:
        module: the calling module, which must have attached, or belong to the plug-in whose copy this is.
        name: as given to attach() or detach(); None: whatever the lease was named.
        is_attached: True: leases that are attached. False: leases whose end has begun and is not over.
    """
    attached = [lease for lease in held if lease.is_attached == is_attached]
    own = _of_package(attached, module)
    if name is not None:
        named = [lease for lease in own or attached if name in (lease._given_name, lease.name)]
        return named or [lease for lease in attached if name in (lease._given_name, lease.name)]
    if not own and IS_VENDORED and not any(plugin_of(key[0]) == plugin_of(module) for key in _ended):
        # The copy is the plug-in, whoever has called it: Qt, the host, or another package of the plug-in's.
        own = [lease for lease in attached if plugin_of(lease._module) == plugin_of(COPY)] or attached
    return [lease for lease in own if lease._given_name is None] or own


def _of_package(leases: List[Lease], module: str) -> List[Lease]:
    """Return the leases of the plug-in to which a module belongs.

    Two plug-ins may have been told apart when they attached, and count as one package now: see plugin_of().
    """
    package = plugin_of(module)
    own = [lease for lease in leases if plugin_of(lease._module) == package]
    return own if len(own) < 2 else nearest(own, module, lambda lease: (lease._module,))


def find_one(module: str, what: str) -> Optional[Lease]:
    """Return the lease that a caller means; None if it has none here.

    Raises:
        AmbiguousLeaseError: it holds several.
    """
    found = find(module)
    if len(found) > 1:
        raise AmbiguousLeaseError(what, plugin_of(module), [lease.name for lease in found])
    return found[0] if found else None


def find_ended(module: str, name: Optional[str] = None) -> Optional[DetachReport]:
    """Return the last report of a caller whose leases have ended."""
    package = plugin_of(module)
    found = [key for key in _ended if plugin_of(key[0]) == package]
    if not found and (IS_VENDORED or name is not None):
        found = list(_ended)
    reports = [_ended[key] for key in found if name is None or name in (key[1], _ended[key].owner)]
    return reports[-1] if reports else None


def has_ended(module: str) -> bool:
    """Whether a lease of a caller's has begun to end, or has ended."""
    return bool(find(module, is_attached=False)) or find_ended(module) is not None


def reports() -> List[DetachReport]:
    """Return the reports of this copy's leases that have ended, the newest first."""
    return list(_ended.values())[::-1]


# The host that this copy was last attached in, or was refused in because of another copy.
_hosts: List[weakref.ref[Any]] = []


def note_host(host: Any) -> None:
    """Remember where this copy is, without keeping it alive."""
    _hosts[:] = [weakref.ref(host)]


def tell_users() -> Optional[Callable[[str, Optional[BaseException]], None]]:
    """Return a function that tells the host's users of an error, for code without a lease; None before any host."""
    if held:
        return held[0]._owner.report
    if not _hosts:
        return None
    return functools.partial(report_safely, _hosts[0]() or find_host())


def _unhook_nothing() -> None:
    """Unhook from nothing."""

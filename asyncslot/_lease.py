"""Lease: one owner's hold on the shared loop, from attach() to detach(); and which leases this copy gave out.

    begins      hears of the host's quitting from now on
    meanwhile   tasks, slots and jobs are made through it and belong to its owner
    ends        slots go dead -> own work is ended (`_detach`) -> the place is given
                up, and the last lease closes the loop

The copy is the plug-in. Who calls a public function is answered by which copy of this package is
called: `held` are the leases that this one gave out. Only where several packages use one copy is the
calling package asked, among these; the name that a lease was given plays no part, but where one
caller holds several. There is no way from here to another copy's lease.

attach() and detach() are transactions: either the lease, the owner, the place, the host's hook and
`held` all know of it, or none does.

Everything here is for the GUI thread. What the loop does between the two is not
our business; what the host is like, only the adapter knows.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import weakref
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Coroutine, Dict, List, Optional, Set, Tuple, TypeVar

from . import _meeting
from ._asyncio import P, Ts, Unpack, monotonic, overload
from ._calls import failed, report_failure, unstarted
from ._detach import Ending
from ._dialogs import Progress
from ._errors import AmbiguousLeaseError, DetachedError, TaskTimeoutError, ThreadError
from ._hosts import find_host, name_of_host, report_safely
from ._loop import AsyncSlotEventLoop
from ._owners import Owner, nearest, plugin_of
from ._report import DetachReport, where
from ._slots import Options, Starter, make_slot
from ._tasks import set_name

if TYPE_CHECKING:
    from ._slots import CoroFn, Slot, SlotDecorator

_T = TypeVar("_T")
_Coro = Coroutine[Any, Any, _T]


class Lease:
    """One owner's hold on the loop, from attach() to detach(); also a context manager.

    Attributes:
        name: what people read: that of the plug-in, made distinct where two have the same.
        owner: the same, by its old name.
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
        self._given_name = given_name  # what attach() was given
        self._owner = loop._as_join(name, module, COPY, functools.partial(report_safely, host))
        self._tasks: Set[asyncio.Task[Any]] = set()  # asyncio itself keeps no task alive
        self._report: Optional[DetachReport] = None
        self._ending: Optional[Ending] = None
        self._unhook: Callable[[], None] = _unhook_nothing
        self._probe: Any = None  # of the application whose quitting we hear of

    def _begin(self, place: _meeting.Place) -> None:
        """Hear of the host's quitting, and be known; if the adapter fails, the lease has never been.

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
        """Hear of the quitting of an application that was made anew; the old one's is gone with it."""
        if self._probe is not self.loop._as_probe:
            self._unhook_safely()
            self._hook()

    def _hook(self) -> None:
        before, self._probe = self._probe, self.loop._as_probe  # first: an adapter may attach this plug-in again
        try:
            self._unhook = self.host.on_quit(self._on_host_quit)
        except BaseException:
            self._probe = before
            raise

    def __repr__(self) -> str:
        return f"<Lease of {self.name!r} in {name_of_host(self.host)}, {'attached' if self.is_attached else 'ended'}>"

    @property
    def is_attached(self) -> bool:
        """Whether the lease still holds."""
        return self._report is None

    def create_task(self, coro: _Coro[_T], *, name: Optional[str] = None) -> asyncio.Task[_T]:
        """Make a task of `coro`, which starts in the next step. Works in plain slots, too.

        The lease keeps the task alive until it is done, and cancels it on detach.

        Raises:
            DetachedError: the lease has ended.
            ThreadError: called from another thread.
        """
        self._check("create_task()", coro)
        return self._keep(self.loop._as_call_for(self._owner, self.loop.create_task, coro), name)

    def run_task(self, coro: _Coro[_T], *, name: Optional[str] = None) -> asyncio.Task[_T]:
        """Like create_task(), but the first step runs now, before this returns."""
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

        Takes the same as asyncSlot(), and drops arguments of the signal that `coro_fn`
        does not take. A call returns what that one's does: the task, to be awaited. After
        detach, emissions are ignored.

        Raises:
            NotCoroutineFunctionError: `coro_fn` is not a coroutine function.
            ArgumentError: it needs a keyword argument, which no signal brings.
            OptionError: as from asyncSlot().
        """
        options = Options(on_repeat, cancel_with_receiver)
        starter = Starter(self._is_here, self._hand_over, self._start, self._find_loop)
        if coro_fn is ...:  # left out: a decorator is wanted
            return functools.partial(make_slot, starter=starter, options=options)
        return make_slot(coro_fn, starter, options)

    def to_thread(self, fn: Callable[[Unpack[Ts]], _T], *args: Unpack[Ts]) -> asyncio.Future[_T]:
        """Run `fn(*args)` in a thread, and return a future to await. Touch nothing of Qt's GUI in `fn`.

        The thread is a daemon: a job that never ends does not keep the host from
        exiting. Context variables are passed on.
        """
        self._check("to_thread()")
        job = functools.partial(copy_context().run, fn, *args)
        future: asyncio.Future[_T] = self.loop._as_call_for(self._owner, self.loop.run_in_executor, None, job)
        return future

    def progress(self, title: str, total: Optional[float] = None) -> Progress:
        """Return an asynchronous context manager that shows how far the task is which enters it.

            async with lease.progress("Downloading tiles", total=240) as progress:
                progress.advance()

        In the host's own progress display, whose Cancel cancels the task; in a small
        dialog where the host has none, and nowhere where there is no GUI.

        Args:
            title: what is going on, in a word or two.
            total: how many there are to do; None or 0 while nobody can tell.

        Raises:
            DetachedError: the lease has ended.
            ThreadError: called from another thread.
        """
        self._check("progress()")
        return Progress(self.loop, self._owner.report, self.name, self.host, title, total)

    def run_until_complete(self, awaitable: Awaitable[_T], *, timeout: Optional[float] = None) -> _T:
        """Block until `awaitable` is done, and return its result.

        asyncio runs alone meanwhile, the host's Qt loop does not; the GUI stands
        still. So nothing comes that Qt's loop brings: no timer of Qt's fires, and a
        signal that another thread emits arrives only where asyncSignal() is called
        in here. For clean-up in unload() and the like.

        Args:
            timeout: seconds, >= 0; None = no limit.

        Raises:
            TaskTimeoutError: it took longer; what was waited for has been cancelled.
            DetachedError: the lease has ended meanwhile, and what was waited for with it. Not CancelledError, which
                is no Exception from Python 3.8 on: a slot that catches those is to let nothing out into Qt.
            Exception: whatever `awaitable` raises.
        """
        self._check("run_until_complete()", awaitable)
        return run_alone(self.loop, awaitable, timeout, self._owner, self)

    def detach(self, *, timeout: float = 2.0, process_events: bool = False) -> DetachReport:
        """End the lease: cancel its tasks, close what it left open; return what became of it.

        Blocks for `timeout` seconds at most, plus the callback that is running
        then; the host's Qt loop does not run meanwhile. Never raises because of
        what the owner's code does. A second call returns the first one's report.

        Where a task or callback of the owner's own is on the stack (it calls this, or has opened
        a dialog from which this is called), all tasks are cancelled, and what can end at once ends.
        The rest, clean-up in `finally` included, is done when that callback has returned, with asyncio
        alone and within the same time; until then the report is not complete.

        Args:
            timeout: seconds, >= 0.
            process_events: let Qt's events through meanwhile, user input excluded, for
                clean-up that waits for something of Qt's: a QTimer, a QProcess, a
                QNetworkReply. Anything that the host does on a timer can happen then.

        Raises:
            ThreadError: called from another thread.
        """
        if self._report is not None:
            if self._ending is not None and threading.get_ident() == self.loop._thread_id:
                self._ending.finish()  # if the stack has unwound without our noticing
            return self._report
        self._check("detach()")
        self._report = DetachReport(self.name)
        self.loop._as_begin_leaving(self._owner)
        self._ending = Ending(self.loop, self._owner, self._report, self._tasks, timeout, process_events, self._leave)
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
        """Give up the place; the last one closes the loop."""
        self._tasks.clear()
        self.loop._as_take_leave(self._owner)
        if self in held:
            held.remove(self)
        assert self._report is not None, "its end has begun"
        _ended[self._module, self._given_name] = self._report
        _meeting.leave(self)
        # Not under a callback that has opened a Qt loop: what has called it must be there when it returns.
        self.loop._as_when_unwound(functools.partial(_meeting.close_if_empty, self.loop))

    def _on_host_quit(self) -> None:
        try:
            self.detach()
        except BaseException as exc:  # above us is Qt
            self._owner.report(f"{self.name}: detaching failed while the host was quitting", exc)

    def _is_here(self, _: Any) -> bool:
        return threading.get_ident() == self.loop._thread_id or self._report is not None

    def _hand_over(self, _: Any, again: Callable[[], object]) -> None:
        """Let the GUI thread answer an emission that came in another one, by a direct connection."""
        try:
            self.loop.call_soon_threadsafe(again, context=self._owner.context())
        except RuntimeError:
            pass  # detached, or detached meanwhile

    def _find_loop(self, _: Any) -> AsyncSlotEventLoop:
        return self.loop

    def _start(self, fn: Any, args: Tuple[Any, ...], keywords: Dict[str, Any]) -> asyncio.Future[Any]:
        """Start a slot's task. Reports what is wrong with the call: raised, it would go out into Qt."""
        if self._report is not None:
            return unstarted(DetachedError(f"The slot {getattr(fn, '__qualname__', fn)}()", self.name))
        try:
            coro = fn(*args, **keywords)
        except Exception as exc:
            name = getattr(fn, "__qualname__", fn)
            return self._fail(f"the slot {name}() cannot be called with what the signal brings", exc)
        try:
            task: asyncio.Task[Any] = self.loop._as_call_for(self._owner, self.loop.run_task, coro)
            # Many are done in their first step, and need no callback in a step to come.
            if not task.done():
                self.loop._as_call_for(self._owner, task.add_done_callback, report_failure)
                return self._keep(task, None)
            # Not asked for its exception: somebody may await it.
            if not task.cancelled() and getattr(task, "_log_traceback", True):
                if self.loop.is_closed():
                    report_failure(task)  # it has ended its own lease, the last one
                else:
                    self.loop._as_call_for(self._owner, task.add_done_callback, report_failure)
            return task
        except (SystemExit, KeyboardInterrupt) as exc:  # asyncio.eager_task_factory lets them out
            self._owner.report(f"{self.name}: {type(exc).__name__} in a slot", exc)
            return unstarted()
        except Exception as exc:  # a task factory of somebody's
            coro.close()
            return self._fail("no task could be made for the slot", exc)

    def _fail(self, what: str, exc: Exception) -> asyncio.Future[Any]:
        """Return a future of a call that has failed, and report that if nobody awaits it."""
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
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return task

    def _check(self, what: str, coro: Any = None) -> None:
        """Raise if the lease cannot be used here; a coroutine that will not run is closed."""
        error: Optional[Exception] = None
        if threading.get_ident() != self.loop._thread_id and self.is_attached:
            error = ThreadError(f"{what} of the lease of {self.name!r}", threading.current_thread().name)
        elif not self.is_attached:
            error = DetachedError(what, self.name)
        if error is not None:
            if asyncio.iscoroutine(coro):
                coro.close()
            raise error


def run_alone(
    loop: Any, awaitable: Awaitable[_T], timeout: Optional[float], owner: Optional[Owner], lease: Optional[Lease]
) -> _T:
    """Run asyncio without Qt until `awaitable` is done, for a lease, or for a program that owns its application."""
    name = "this program" if lease is None else lease.name

    def is_over() -> bool:  # what resists the end of its lease is never done
        return lease is not None and not lease.is_attached

    def start() -> asyncio.Future[_T]:
        future: asyncio.Future[_T] = asyncio.ensure_future(awaitable, loop=loop)
        future.add_done_callback(lambda future: future.cancelled() or future.exception())
        return future

    deadline = None if timeout is None else monotonic() + timeout
    future: asyncio.Future[_T] = loop._as_run_alone_for(
        owner, functools.partial(loop._as_call_for, owner, start), is_over, deadline
    )
    if lease is not None and not lease.is_attached and (not future.done() or future.cancelled()):
        raise DetachedError("run_until_complete()", name)
    if not future.done():
        stack = where(future)
        future.cancel()
        assert timeout is not None, "without a deadline it runs until the future is done"
        raise TaskTimeoutError(name, timeout, stack)
    return future.result()


# -- which leases this copy gave out --------------------------------------------

# The full name of this copy, and whether it is vendored into a package.
COPY = __package__ or ""
IS_VENDORED = "." in COPY

# The leases that this copy gave out, in the order of attach(); they leave when all of them has ended.
held: List[Lease] = []


# The last report of each caller and name whose lease has ended. A slot of theirs that still hears a signal has nothing
# to do any more, which is no error; and a host that quits ends leases before it calls unload(), where the report is
# wanted.
_ended: Dict[Tuple[str, Optional[str]], DetachReport] = {}


def adopt(place: Optional[_meeting.Place]) -> None:
    """Take over what this copy had given out when its modules were purged and imported anew without detach()."""
    held[:] = [lease for lease in held if lease.is_attached or type(lease) is Lease]
    for lease in [] if place is None else place.leases.values():
        if lease._owner.copy == COPY and lease.is_attached and lease not in held:
            held.append(lease)


def forget_ends(module: str) -> None:
    """Forget what a plug-in's earlier leases have left: it is back."""
    top = module.partition(".")[0]
    for key in list(_ended):
        if key[0] == module or (key[0].partition(".")[0] == top and plugin_of(key[0]) == plugin_of(module)):
            del _ended[key]


def find_own(module: str, name: Optional[str]) -> Optional[Lease]:
    """Return the lease that attach() gives again: the caller's own, by whatever name.

    One caller may hold several by giving each a name: a test, a console, a manager of plug-ins.
    """
    own = _of_package([lease for lease in held if lease.is_attached], module)
    same = [lease for lease in own if name in (lease._given_name, lease.name)]
    if not same and name is None and len(own) == 1:
        same = own
    return same[0] if same else None


def find(module: str, name: Optional[str] = None, *, is_attached: bool = True) -> List[Lease]:
    """Return those of this copy's leases that a caller means.

    Args:
        module: the calling module, which must have attached, or belong to the plug-in whose copy this is.
        name: as given to attach() or detach(); None: whatever the lease was named.
        is_attached: of those that are attached, or those whose end has begun and is not over.
    """
    attached = [lease for lease in held if lease.is_attached == is_attached]
    own = _of_package(attached, module)
    if name is not None:
        named = [lease for lease in own or attached if name in (lease._given_name, lease.name)]
        return named or [lease for lease in attached if name in (lease._given_name, lease.name)]
    if not own and IS_VENDORED and not any(plugin_of(key[0]) == plugin_of(module) for key in _ended):
        # The copy is the plug-in, whoever calls: Qt, the host, another package of the plug-in's.
        own = [lease for lease in attached if plugin_of(lease._module) == plugin_of(COPY)] or attached
    return [lease for lease in own if lease._given_name is None] or own


def _of_package(leases: List[Lease], module: str) -> List[Lease]:
    """Return those that the plug-in has whose code a module is.

    A package may have been two plug-ins when they attached, and be known as one now: see plugin_of().
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
    """Whether a caller has had leases, whose end has begun or is over."""
    return bool(find(module, is_attached=False)) or find_ended(module) is not None


def reports() -> List[DetachReport]:
    """Return what this copy's leases have left, the newest first."""
    return list(_ended.values())[::-1]


# The host that this copy was last attached in, or was refused in because of another copy.
_hosts: List[weakref.ref[Any]] = []


def note_host(host: Any) -> None:
    """Remember where this copy is, without keeping it alive."""
    _hosts[:] = [weakref.ref(host)]


def tell_users() -> Optional[Callable[[str, Optional[BaseException]], None]]:
    """Return a way to tell the host's users of an error of somebody who has no lease; None if there was no host yet."""
    if held:
        return held[0]._owner.report
    if not _hosts:
        return None
    return functools.partial(report_safely, _hosts[0]() or find_host())


def _unhook_nothing() -> None:
    """Unhook from nothing."""

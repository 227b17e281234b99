"""Lease: one owner's hold on the shared loop, from attach() to detach().

    begins      hears of the host's quitting from now on
    meanwhile   tasks, slots and jobs are made through it and belong to its owner
    ends        slots go dead -> own work is ended (`_detach`) -> the place is given
                up, and the last lease closes the loop

Everything here is for the GUI thread. What the loop does between the two is not
our business; what the host is like, only the adapter knows.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from contextvars import copy_context
from typing import Any, Awaitable, Callable, Coroutine, Optional, Set, Tuple, TypeVar

from . import _meeting
from ._base import Ts, Unpack
from ._clock import monotonic
from ._detach import Ending
from ._errors import DetachedError, TaskTimeoutError, ThreadError
from ._hosts import report_safely
from ._loop import AsyncSlotEventLoop
from ._owners import Owner
from ._progress import Progress
from ._report import DetachReport, where
from ._slots import Options, Starter, make_slot

_T = TypeVar("_T")
_Coro = Coroutine[Any, Any, _T]


class Lease:
    """One owner's hold on the loop, from attach() to detach(); also a context manager.

    Attributes:
        owner: the name of the plug-in.
        loop: the asyncio loop, shared with the other leases in this thread.
        host: the adapter of the host application.

    Thread: GUI thread only, all of it. From another thread, hand over with
    `lease.loop.call_soon_threadsafe()`.
    """

    def __init__(self, owner: str, loop: AsyncSlotEventLoop, host: Any, package: str) -> None:
        self.owner = owner
        self.loop = loop
        self.host = host
        self._owner = Owner(owner, functools.partial(report_safely, host), loop._as_owner)
        loop._as_welcome(self._owner, package, __name__.rpartition(".")[0])
        self._tasks: Set[asyncio.Task[Any]] = set()  # asyncio itself keeps no task alive
        self._report: Optional[DetachReport] = None
        self._unhook: Callable[[], None] = host.on_quit(self._on_host_quit)

    def __repr__(self) -> str:
        return f"<Lease of {self.owner!r} in {self.host.NAME}, {'attached' if self.is_attached else 'ended'}>"

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
        return self._keep(self._owner.context().run(self.loop.create_task, coro), name)

    def run_task(self, coro: _Coro[_T], *, name: Optional[str] = None) -> asyncio.Task[_T]:
        """Like create_task(), but the first step runs now, before this returns."""
        self._check("run_task()", coro)
        return self._keep(self._owner.context().run(self.loop.run_task, coro), name)

    def slot(self, coro_fn: Any = ..., *, on_repeat: str = "concurrent", cancel_with_receiver: bool = False) -> Any:
        """Return a slot for Qt signals that starts `coro_fn` under this lease, its first step at once.

        Takes the same as asyncSlot(), and drops arguments of the signal that `coro_fn`
        does not take. After detach, emissions are ignored.

        Raises:
            NotCoroutineFunctionError: `coro_fn` is not a coroutine function.
            OptionError: as from asyncSlot().
        """
        options = Options(on_repeat, cancel_with_receiver)
        starter = Starter(self._is_here, self._hand_over, self._start)
        if coro_fn is ...:  # left out: a decorator is wanted
            return functools.partial(make_slot, starter=starter, options=options)
        return make_slot(coro_fn, starter, options)

    def to_thread(self, fn: Callable[[Unpack[Ts]], _T], *args: Unpack[Ts]) -> asyncio.Future[_T]:
        """Run `fn(*args)` in a thread, and return a future to await. Touch nothing of Qt's GUI in `fn`.

        The thread is a daemon: a job that never ends does not keep the host from
        exiting. Context variables are passed on.
        """
        self._check("to_thread()")
        context = copy_context()
        return self._owner.context().run(self.loop.run_in_executor, None, functools.partial(context.run, fn, *args))

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
        return Progress(self.loop, self._owner, self.host, title, total)

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
            Exception: whatever `awaitable` raises.
        """
        self._check("run_until_complete()", awaitable)
        ensure_future = functools.partial(asyncio.ensure_future, awaitable, loop=self.loop)
        future: asyncio.Future[_T] = self._owner.context().run(ensure_future)
        future.add_done_callback(lambda future: future.cancelled() or future.exception())
        deadline = None if timeout is None else monotonic() + timeout
        if not self.loop._as_run_alone(future.done, deadline, self._owner):
            stack = where(future)
            future.cancel()
            assert timeout is not None, "without a deadline it runs until the future is done"
            raise TaskTimeoutError(self.owner, timeout, stack)
        return future.result()

    def detach(self, *, timeout: float = 2.0, process_events: bool = False) -> DetachReport:
        """End the lease: cancel its tasks, close what it left open; return what became of it.

        Blocks for `timeout` seconds at most, plus the callback that is running
        then; the host's Qt loop does not run meanwhile. Never raises because of
        what a task does. A second call returns the first one's report.

        Called from inside one of its own tasks, it cancels that task too and
        finishes when its step is over.

        Args:
            timeout: seconds, >= 0.
            process_events: let Qt's events through meanwhile, user input excluded, for
                clean-up that waits for something of Qt's: a QTimer, a QProcess, a
                QNetworkReply. Anything that the host does on a timer can happen then.

        Raises:
            ThreadError: called from another thread.
        """
        if self._report is not None:
            return self._report
        self._check("detach()")
        report = self._report = _meeting.ended[self.owner] = DetachReport(self.owner)
        try:
            self._unhook()
        except BaseException as exc:  # a broken adapter must not keep a plug-in from being unloaded
            self._owner.report(f"{self.owner}: the adapter for {self.host.NAME} failed to unhook", exc)
        self.loop._as_notice_end_of_qt()
        ending = Ending(self.loop, self._owner, report, timeout, process_events)
        ending.begin(self._tasks)
        if ending.on_stack:
            ending.finish_later(self._leave)
        else:
            ending.finish()
            self._leave()
        return report

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def _leave(self) -> None:
        """Give up the place; the last one closes the loop."""
        self.loop._as_take_leave(self._owner)
        place = _meeting.here()
        if place is None:
            return
        if place.leases.get(self.owner) is self:
            del place.leases[self.owner]
        elif self in place.ending:
            place.ending.remove(self)
        # Not under a callback that has opened a Qt loop: what has called it must be there when it returns.
        self.loop._as_when_unwound(self._close_empty_place)

    def _close_empty_place(self) -> None:
        place = _meeting.here()
        if place is not None and place.loop is self.loop and not place.leases and not place.ending:
            _meeting.close_place()
            self.loop._as_detach()
            self.loop.close()

    def _on_host_quit(self) -> None:
        self.detach()

    def _is_here(self, _: Any) -> bool:
        return threading.get_ident() == self.loop._thread_id or self._report is not None

    def _hand_over(self, _: Any, again: Callable[[], object]) -> None:
        """Let the GUI thread answer an emission that came in another one, by a direct connection."""
        try:
            self._owner.context().run(self.loop.call_soon_threadsafe, again)
        except RuntimeError:
            pass  # detached, or detached meanwhile

    def _start(self, fn: Any, args: Tuple[Any, ...]) -> Optional[asyncio.Task[Any]]:
        """Start a slot's task. Reports what is wrong with the call: raised, it would go out into Qt."""
        if self._report is not None:
            return None  # after detach, which is no error
        try:
            coro = fn(*args)
        except Exception as exc:
            name = getattr(fn, "__qualname__", fn)
            self._owner.report(f"{self.owner}: the slot {name}() cannot be called with what the signal brings", exc)
            return None
        task: asyncio.Task[Any] = self._owner.context().run(self.loop.run_task, coro)
        return task if task.done() else self._keep(task, None)

    def _keep(self, task: asyncio.Task[_T], name: Optional[str]) -> asyncio.Task[_T]:
        if name is not None and hasattr(task, "set_name"):  # Python 3.8
            task.set_name(name)
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return task

    def _check(self, what: str, coro: Any = None) -> None:
        """Raise if the lease cannot be used here; a coroutine that will not run is closed."""
        error: Optional[Exception] = None
        if threading.get_ident() != self.loop._thread_id and self.is_attached:
            error = ThreadError(f"{what} of the lease of {self.owner!r}", threading.current_thread().name)
        elif not self.is_attached:
            error = DetachedError(what, self.owner)
        if error is not None:
            if asyncio.iscoroutine(coro):
                coro.close()
            raise error

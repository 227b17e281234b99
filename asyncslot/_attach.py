"""The public functions: attach, detach, create_task, run_until_complete, progress and asyncSlot.

Each of them acts for its caller, and `_lease` tells who that is: the plug-in whose copy this is, or the
calling package where several share one copy. The work itself is that of the caller's lease. Without a
lease, all but attach() and detach() turn to the loop that the program runs itself. So does a slot of
asyncSlot(), which looks for lease or loop anew at each emission.

How a lease ends (`_detach`) and what Qt makes of a slot (`_slots`), this module does not know.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from asyncio.events import _get_running_loop
from contextvars import Context
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Coroutine, Dict, List, Optional, Tuple, TypeVar

from . import _lease, _meeting
from ._asyncio import P, overload
from ._binding import require_application
from ._blame import report_error
from ._calls import failed, report_failure, unstarted
from ._errors import (
    AmbiguousLeaseError,
    DetachedError,
    ForeignLoopError,
    IncompatibleCopyError,
    NoApplicationError,
    NoBindingError,
    NoLoopError,
    NotCoroutineFunctionError,
)
from ._hosts import (
    PlainQt,
    check_adapter,
    explain_no_application,
    find_host,
    log_batch_hint,
    replace_adapter,
    report_safely,
)
from ._lease import Lease
from ._loop import AsyncSlotEventLoop
from ._packages import plugin_of
from ._progress import Progress
from ._report import DetachReport
from ._slots import Options, Starter, make_slot
from ._tasks import set_name

if TYPE_CHECKING:
    from ._slots import Class, CoroFn, Slot, SlotDecorator

_T = TypeVar("_T")

# The running tasks of a program that owns its application, by id(): those that a slot or create_task() has started. We
# keep them alive, for asyncio keeps no task alive, and Qt does not keep what a slot returns.
_running: Dict[int, Any] = {}

# Other projects' modules of the same name that have been reported.
_namesakes: List[Any] = []


def attach(owner: Optional[str] = None, *, host: Any = None) -> Lease:
    """Make asyncio work inside the running Qt application; return the caller's lease on the loop.

    Called twice by the same plug-in, it returns the same lease, whatever that was named. Works
    before the host's Qt loop has started; nothing runs until it has. If it fails, nothing is
    left of it.

    Args:
        owner: the name that people read, in reports and logs; by default the caller's top-level
            package, or the next one below where several plug-ins share that (`freecad`). It is
            made distinct where another plug-in has the same. One caller that gives several
            names gets several leases.
        host: the adapter; by default that of the host which is running, else
            the one for plain Qt.

    Raises:
        NoApplicationError: there is no QCoreApplication.
        ThreadError: called from another thread than the application's.
        AdapterError: the adapter does not keep the contract.
        NoBindingError: no Qt binding is loaded, and none can be.
        IncompatibleCopyError: another plug-in's copy of this package runs the
            loop, and is too old or too new for this one.
        Exception: whatever the adapter given as `host` raises. One that we have found ourselves, and that fails, is
            replaced by that for plain Qt, with a line in Python's log.

    Thread: GUI thread only.
    """
    module = _caller()
    if host is None:
        adapter = find_host()
    else:
        adapter = host
        check_adapter(adapter)  # our own adapters keep the contract: tests/hosts/test_adapter_conformance.py
    try:
        qt_core = adapter.qt_core()
        application = require_application(qt_core, "attach()")
    except (NoApplicationError, NoBindingError) as exc:
        raise explain_no_application(exc) from None
    try:
        place = _meeting.here()
    except IncompatibleCopyError:
        _lease.note_host(adapter)
        raise
    if place is not None:
        _lease.adopt(place)
        place.loop._as_revive(qt_core, application)
    lease = _lease.find_own(module, owner) if _lease.held else None
    if lease is not None:
        lease._hook_anew()
        return lease
    if host is None and isinstance(adapter, PlainQt):
        log_batch_hint()
    try:
        return _make_lease(module, owner, adapter, place or _open_place(qt_core, application))
    except Exception as exc:
        if host is not None or isinstance(adapter, PlainQt):
            raise
        # The adapter that we have found cannot hook the end of its host. The failed lease has closed a loop of its own.
        plain = replace_adapter(adapter, exc)
        return _make_lease(module, owner, plain, _meeting.here() or _open_place(qt_core, application))


def _open_place(qt_core: Any, application: Any) -> _meeting.Place:
    """Return a place with a new loop."""
    # In an empty context: the loop's own callbacks have no owner, whichever owner's code is running just now.
    loop = Context().run(AsyncSlotEventLoop)
    try:
        loop._as_on_error = report_error
        loop._as_attach(qt_core, application)
        return _meeting.open_place(loop)
    except BaseException:
        loop._as_shut_down()
        raise


def _make_lease(module: str, name: Optional[str], adapter: Any, place: _meeting.Place) -> Lease:
    """Return a new lease at a place; if that fails, nothing is left of it."""
    try:
        # Where two plug-ins have the same name, people read with it where the newer one's copy lies, or which module
        # of those that share this copy has attached.
        where = _lease.COPY if _lease.IS_VENDORED else module
        lease = Lease(place.distinct(name or plugin_of(module), where), place.loop, adapter, module, name)
        lease._begin(place)
    except BaseException:
        _meeting.close_if_empty(place.loop)
        raise
    _lease.forget_ends(module)
    _warn_of_namesake(lease.name, adapter)
    return lease


def detach(owner: Optional[str] = None, *, timeout: float = 2.0, process_events: bool = False) -> DetachReport:
    """End the caller's lease, whatever it was named; without one, do nothing. See Lease.detach().

    A second call returns the first one's report. A host that quits may end all leases before
    it unloads plug-ins; called after that, this returns what became of the lease then.

    In a copy that is vendored into a plug-in this works without any code of the plug-in's
    calling: `aboutToQuit.connect(asyncslot.detach)`.

    Args:
        owner: which lease, by the name that attach() was given, for callers that hold several; else not needed.
        timeout: seconds, >= 0, that may be spent on waiting for tasks to end; for each lease, if there are several.
        process_events: let Qt's events through meanwhile, user input excluded.

    Returns:
        What became of the owner's tasks and connections; made for a log. If several leases end, one report for all.

    Raises:
        ThreadError: called from another thread than the GUI thread.

    Thread: GUI thread only.
    """
    module = _caller()
    if not _lease.held:
        _lease.adopt(_meeting.find())
    # Or a lease whose end has begun, and could not be finished then.
    leases = _lease.find(module, owner) or _lease.find(module, owner, is_attached=False)
    reports = [lease.detach(timeout=timeout, process_events=process_events) for lease in leases]
    if reports:
        return reports[0] if len(reports) == 1 else DetachReport.of_all(reports)
    ended = _lease.find_ended(module, owner)
    return DetachReport(owner or plugin_of(module)) if ended is None else ended


def create_task(coro: Coroutine[Any, Any, _T], *, name: Optional[str] = None) -> asyncio.Task[_T]:
    """Make a task of `coro` under the calling plug-in's lease, and return it; it starts in the next step.

    For plain slots, where asyncio.create_task() finds no loop. In a program that runs the loop
    itself (AsyncSlotRunner, `with AsyncSlotEventLoop()`), the task is one of that loop. It is
    kept alive until it is done. A coroutine that is refused is closed.

    Args:
        name: the task's name, in reports; without effect in Python 3.7, where tasks have none.

    Raises:
        NoLoopError: the calling plug-in has not attached, or has detached.
        AmbiguousLeaseError: it holds several leases.
        ThreadError: called from another thread than the GUI thread.

    Thread: GUI thread only.
    """
    lease, loop = _lease_or_loop(_caller(), "create_task()", coro)
    if lease is not None:
        return lease.create_task(coro, name=name)
    task: asyncio.Task[_T] = _keep(loop.create_task(coro))
    if name is not None:
        set_name(task, name)
    return task


def run_until_complete(awaitable: Awaitable[_T], *, timeout: Optional[float] = None) -> _T:
    """Block until `awaitable` is done, and return its result: for plain functions, such as a `closeEvent()`.

    asyncio runs alone meanwhile, with everybody's tasks. Qt's loop does not run, and the GUI stands
    still: see Lease.run_until_complete(). Calls may be nested. In a program that runs the loop
    itself, that loop is used.

    Args:
        awaitable: a coroutine or the like, which becomes a task, or a future of the same loop.
        timeout: seconds, >= 0; None = no limit.

    Raises:
        TaskTimeoutError: it took longer. What was waited for is cancelled, and has not ended yet.
        DetachedError: the plug-in has been detached meanwhile.
        NoLoopError, AmbiguousLeaseError, ThreadError: as from create_task().
        Exception: whatever `awaitable` raises.

    Thread: GUI thread only.
    """
    lease, loop = _lease_or_loop(_caller(), "run_until_complete()", awaitable)
    if lease is not None:
        return lease.run_until_complete(awaitable, timeout=timeout)
    return _lease.run_alone(loop, awaitable, timeout, None, None)


def progress(title: str, total: Optional[float] = None) -> Progress:
    """Return an asynchronous context manager that shows how far the task is which enters it; see Lease.progress().

    In a program that runs the loop itself, the progress is shown in a small dialog.

    Args:
        title: what is going on, in a word or two.
        total: how many there are to do; None or 0 while nobody can tell.

    Raises:
        NoLoopError, AmbiguousLeaseError, ThreadError: as from create_task().

    Thread: GUI thread only.
    """
    lease, loop = _lease_or_loop(_caller(), "progress()")
    if lease is not None:
        return lease.progress(title, total)

    def tell(message: str, exc: Optional[BaseException]) -> None:
        loop.call_exception_handler({"message": message, "exception": exc})

    return Progress(loop, tell, "this program", find_host(), title, total)


@overload
def asyncSlot(*, on_repeat: str = ..., cancel_with_receiver: bool = ...) -> SlotDecorator: ...
@overload
def asyncSlot(
    coro_fn: staticmethod[P, Coroutine[Any, Any, _T]], *, on_repeat: str = ..., cancel_with_receiver: bool = ...
) -> staticmethod[P, asyncio.Future[_T]]: ...
@overload
def asyncSlot(
    coro_fn: classmethod[Class, P, Coroutine[Any, Any, _T]], *, on_repeat: str = ..., cancel_with_receiver: bool = ...
) -> classmethod[Class, P, asyncio.Future[_T]]: ...
@overload
def asyncSlot(coro_fn: CoroFn[P, _T], *, on_repeat: str = ..., cancel_with_receiver: bool = ...) -> Slot[P, _T]: ...
def asyncSlot(  # the name that the original README gave it
    coro_fn: Any = ..., *more: Any, on_repeat: str = "concurrent", cancel_with_receiver: bool = False
) -> Any:
    """Make a coroutine function connectable to a signal; its first step runs inside the emission.

        button.clicked.connect(asyncSlot(self.save, on_repeat="drop"))

        @asyncSlot                      # or @asyncSlot(on_repeat="restart")
        async def search(self, text): ...

    Takes functions, methods, static and class methods, partials and callable
    objects, with or without Slot or pyqtSlot above or below. Arguments of the
    signal that `coro_fn` does not take are dropped. The receiver of a bound
    method is held weakly: when it goes, the connection goes. (A receiver without
    `__dict__`, because its class has `__slots__`, is kept alive by the connection.)

    The task runs under the lease of the plug-in whose copy this is. Where several plug-ins share
    one copy, it is the lease of the package in which `coro_fn` was defined, else that of the
    package which calls this. Without a lease the task runs on the loop that the program runs
    (AsyncSlotRunner, `with AsyncSlotEventLoop()`, asyncio.run()). After the plug-in's detach(),
    emissions are ignored.

    Called by your own code, the slot returns its task: `await self.save()` has the result of
    `save`, or its exception, which is reported where nobody awaits it. Qt ignores what a slot
    returns. With "drop" a call that is ignored returns the task that runs; made by that task
    before its first `await`, it returns a cancelled future instead, for a task cannot await
    itself. With "queue" and "restart" a call that must wait returns a future, which becomes what
    its task will, and is cancelled when a newer call takes its place. A call that starts nothing
    returns a future, too: it fails with what is wrong, DetachedError after detach(), or is
    cancelled if Qt has deleted the receiver. A call in another thread is handed over to the
    loop's thread, and cannot be awaited where it was made.

    The slot itself never raises, once this copy has given a lease: what is wrong with a call is
    reported. Before that it raises NoLoopError or ForeignLoopError when it is called and there
    is no loop to start on.

    Args:
        on_repeat: what another emission does while the task of an earlier one still
            runs: "concurrent" starts one beside it, "drop" ignores the emission,
            "queue" starts the next when the last has ended, "restart" cancels the
            running one and starts the newest when that has ended. Each receiver is
            counted for itself.
        cancel_with_receiver: cancel the tasks of a method when Qt deletes its object
            (a dialog that is closed, say); by default they go on.

    Returns:
        The slot; a decorator that makes one, if `coro_fn` is left out.

    Raises:
        NotCoroutineFunctionError: `coro_fn` is not a coroutine function, but a type, say: qasync's takes those.
        ArgumentError: it needs a keyword argument, which no signal brings.
        OptionError: `on_repeat` is none of the four, or `cancel_with_receiver` is
            wanted for a method of something that is no QObject.
    """
    if more:
        raise NotCoroutineFunctionError((coro_fn, *more), is_coroutine=False, is_type=True)
    options = Options(on_repeat, cancel_with_receiver)
    starter = _starter_of(_caller())
    if coro_fn is ...:  # left out: a decorator is wanted
        return functools.partial(make_slot, starter=starter, options=options)
    return make_slot(coro_fn, starter, options)


def _warn_of_namesake(owner: str, host: Any) -> None:
    """Report, once, that `import asyncslot` gives another project's package in this process.

    PyPI has an old one under this name. It does not disturb us, but a plug-in that
    imports it in our stead finds no attach() in it.
    """
    other = sys.modules.get("asyncslot")
    if other is None or hasattr(other, "attach") or other in _namesakes:
        return
    _namesakes.append(other)
    report_safely(
        host,
        f"{owner}: a module named 'asyncslot' is loaded that is another project's: version "
        f"{getattr(other, '__version__', 'unknown')} from {getattr(other, '__file__', None)!r}. This copy works beside "
        "it; import your own copy relatively, as in 'from ._vendor import asyncslot', or rename it",
        None,
    )


@functools.lru_cache(maxsize=None)
def _starter_of(module: str) -> Starter:
    """Return the Starter for the slots that a module makes; the same each time, or equal slots would not be equal."""
    return Starter(
        functools.partial(_is_here, module),
        functools.partial(_hand_over, module),
        functools.partial(_start, module),
        functools.partial(_find_loop, module),
    )


def _find_for_slot(module: str, fn: Any) -> Optional[Lease]:
    """Return the lease of the package in which `fn` was defined, else that of the module that has made the slot."""
    what = f"The slot {getattr(fn, '__qualname__', fn)}()"
    return _lease.find_one(_module_of(fn), what) or _lease.find_one(module, what)


def _lease_or_loop(module: str, what: str, coro: Any = None) -> Tuple[Optional[Lease], Any]:
    """Return the caller's lease, and the loop that this program runs; close a coroutine that will not run.

    Raises:
        NoLoopError: there is neither.
        AmbiguousLeaseError: there are several leases.
    """
    try:
        lease, loop = _lease.find_one(module, what), _programs_own_loop()
        if lease is None and loop is None:
            raise NoLoopError(what)
    except Exception:
        if asyncio.iscoroutine(coro):
            coro.close()
        raise
    return lease, loop


def _keep(task: asyncio.Task[_T]) -> asyncio.Task[_T]:
    """Keep a task alive until it is done."""
    if not task.done():
        _running[id(task)] = task
        task.add_done_callback(lambda task: _running.pop(id(task), None))
    return task


def _programs_own_loop() -> Any:
    """Return the loop of ours, of whichever copy, that this program runs; None in a host, where it is only attached."""
    loop = _get_running_loop()
    published = getattr(getattr(loop, "_as_stack", None), "published_loop", None)
    return loop if published is loop else None


def _is_here(module: str, fn: Any) -> bool:
    """Whether the calling thread is the one in which the slot's tasks run; without a lease, any thread is."""
    try:
        lease = _find_for_slot(module, fn)
    except AmbiguousLeaseError:
        return True  # so that _start() reports it
    return lease is None or lease._is_here(fn)


def _hand_over(module: str, fn: Any, again: Callable[[], object]) -> None:
    """Let the lease answer an emission that came in another thread than its own."""
    lease = _find_for_slot(module, fn)
    if lease is not None:
        lease._hand_over(fn, again)


def _find_loop(module: str, fn: Any) -> Any:
    """Return the loop on which the slot's tasks run; None if there is none."""
    try:
        lease = _find_for_slot(module, fn)
    except AmbiguousLeaseError:
        return None
    return _programs_own_loop() if lease is None else lease.loop


def _start(module: str, fn: Any, args: Tuple[Any, ...], keywords: Dict[str, Any]) -> asyncio.Future[Any]:
    """Start a slot's coroutine under its lease, or on the program's loop; after its plug-in's detach do nothing."""
    what = f"The slot {getattr(fn, '__qualname__', fn)}()"
    error: Exception
    try:
        lease = _find_for_slot(module, fn)
    except AmbiguousLeaseError as exc:
        error = exc
    else:
        if lease is not None:
            return lease._start(fn, args, keywords)
        loop = _programs_own_loop()
        if loop is not None:
            return _start_on(loop, lambda: fn(*args, **keywords))
        if any(_lease.has_ended(name) for name in (_module_of(fn), module)):
            return unstarted(DetachedError(what, plugin_of(_module_of(fn))))
        running = _get_running_loop()
        is_foreign = running is not None and not hasattr(running, "run_task")
        error = ForeignLoopError(what, running) if is_foreign else NoLoopError(what)
    tell = _lease.tell_users()
    if tell is None:
        raise error
    # There is a host, in which an exception that goes out into Qt may end the process.
    tell(f"{plugin_of(_module_of(fn))}: {what} could not be started", error)
    return unstarted(error)


def _start_on(loop: Any, call: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Future[Any]:
    """Start a slot's coroutine on the loop that this program runs. What goes wrong, the loop hears of and not Qt."""
    future: asyncio.Future[Any]
    try:
        future = _keep(loop.run_task(call()))
    except (SystemExit, KeyboardInterrupt) as exc:  # asyncio.eager_task_factory lets them out
        loop.call_soon(_raise, exc)
        return unstarted()
    except Exception as exc:  # the function takes other arguments, say
        future = failed(loop, exc)
    future.add_done_callback(report_failure)
    return future


def _raise(exc: BaseException) -> None:
    raise exc


def _module_of(fn: Any) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return getattr(fn, "__module__", None) or type(fn).__module__


def _caller() -> str:
    """Return the module of whoever called the function that calls this."""
    try:
        return sys._getframe(2).f_globals.get("__name__") or "__main__"
    except ValueError:  # no Python code has called it: atexit.register(asyncslot.detach)
        return __name__

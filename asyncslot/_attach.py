"""The public functions that find the right lease by who is calling.

A plug-in that calls `attach()` gets a lease in the name of its package,
and afterwards `create_task()`, `asyncSlot()` and `detach()` find that lease by the
package they are called from. That is all this file is about.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import traceback
from asyncio.events import _get_running_loop
from contextvars import Context
from typing import Any, Callable, Coroutine, Dict, List, Optional, Tuple, TypeVar

from . import _meeting
from ._binding import require_application
from ._errors import AmbiguousLeaseError, ForeignLoopError, NoApplicationError, NoBindingError, NoLoopError
from ._hosts import check_adapter, explain_no_application, find_host, report_safely
from ._lease import Lease
from ._loop import AsyncSlotEventLoop
from ._owners import Owner, plugin_of
from ._report import DetachReport
from ._slots import Options, Starter, make_slot

_T = TypeVar("_T")

# Other projects' modules of the same name that have been reported.
_namesakes: List[Any] = []


def attach(owner: Optional[str] = None, *, host: Any = None) -> Lease:
    """Make asyncio work inside the running Qt application; return the caller's lease on the loop.

    Called twice by the same owner, it returns the same lease. Works before the
    host's Qt loop has started; nothing runs until it has.

    Args:
        owner: in whose name; by default the caller's top-level package, and below one that
            several plug-ins share (`freecad`) the next. In a host whose plug-ins are all
            part of a package of its own (`picard.plugins`), say your plug-in's name.
        host: the adapter; by default that of the host which is running, else
            the one for plain Qt.

    Raises:
        NoApplicationError: there is no QCoreApplication.
        ThreadError: called from another thread than the application's.
        AdapterError: the adapter does not keep the contract.
        NoBindingError: no Qt binding is loaded, and none can be.
        IncompatibleCopyError: another plug-in's copy of this package runs the
            loop, and is too old or too new for this one.

    Thread: GUI thread only.
    """
    package = _caller()
    name = owner or package
    if host is None:
        adapter = find_host()
    else:
        adapter = host
        check_adapter(adapter)  # ours keep the contract: tests/test_adapter_conformance.py
    try:
        qt_core = adapter.qt_core()
        require_application(qt_core, "attach()")
    except (NoApplicationError, NoBindingError) as exc:
        raise explain_no_application(exc) from None
    place = _meeting.here()
    if place is None:
        # In an empty context: the loop's own callbacks are nobody's, whoever is running just now.
        loop = Context().run(AsyncSlotEventLoop)
        loop._as_on_error = _report_error
        loop._as_attach(qt_core)
        place = _meeting.open_place(loop)
    _warn_of_namesake(name, adapter)
    lease = place.leases.get(name)
    if lease is None or not lease.is_attached:
        if lease is not None:
            place.ending.append(lease)  # it waits for its caller's own step to be over, and makes way
        lease = place.leases[name] = Lease(name, place.loop, adapter, package)
        _meeting.ended.pop(name, None)
    return lease


def detach(owner: Optional[str] = None, *, timeout: float = 2.0, process_events: bool = False) -> DetachReport:
    """End the owner's lease; without one, do nothing. See Lease.detach().

    A host that quits ends all leases before it unloads plug-ins; called after
    that, this returns what became of the lease then.

    Args:
        owner: as in attach(); by default also the plug-in whose copy this is, for
            `aboutToQuit.connect(asyncslot.detach)`, which no code of the plug-in's calls.
        timeout: seconds, >= 0, that may be spent on waiting for tasks to end.
        process_events: let Qt's events through meanwhile, user input excluded.

    Returns:
        What became of the owner's tasks and connections; made for a log.

    Raises:
        ThreadError: called from another thread than the GUI thread.

    Thread: GUI thread only.
    """
    names = [owner] if owner else [_caller(), _own_package()]
    for name in names:
        lease = _meeting.find_anywhere(name)
        if lease is not None:
            return lease.detach(timeout=timeout, process_events=process_events)
    reports = [_meeting.ended[name] for name in names if name in _meeting.ended]
    return reports[0] if reports else DetachReport(names[0])


def create_task(coro: Coroutine[Any, Any, _T], *, name: Optional[str] = None) -> asyncio.Task[_T]:
    """Make a task under the calling package's lease. For plain slots, where asyncio.create_task() finds no loop.

    Raises:
        NoLoopError: nobody is attached.
        AmbiguousLeaseError: the caller's package is not, and several others are.

    Thread: GUI thread only.
    """
    try:
        lease = _find_lease(_caller(), "create_task()")
    except Exception:
        coro.close()
        raise
    return lease.create_task(coro, name=name)


def asyncSlot(  # the name that the original README gave it
    coro_fn: Any = ..., *, on_repeat: str = "concurrent", cancel_with_receiver: bool = False
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

    The task runs under the lease of the package in which `coro_fn` was defined;
    else on the loop that is running (AsyncSlotRunner, `with AsyncSlotEventLoop()`);
    else under the only lease there is. After that package's detach(), emissions
    are ignored.

    Args:
        on_repeat: what another emission does while the task of an earlier one still
            runs: "concurrent" starts one beside it, "drop" ignores the emission,
            "queue" starts the next when the last has ended, "restart" cancels the
            running one and starts the newest when that has ended. Each receiver is
            counted for itself.
        cancel_with_receiver: cancel the tasks of a method when Qt deletes its object
            (a dialog that is closed, say); by default they go on.

    Raises:
        NotCoroutineFunctionError: `coro_fn` is not a coroutine function.
        OptionError: `on_repeat` is none of the four, or `cancel_with_receiver` is
            wanted for a method of something that is no QObject.

    The slot itself raises NoLoopError, ForeignLoopError or AmbiguousLeaseError
    when it is called and there is no loop to start on.
    """
    options = Options(on_repeat, cancel_with_receiver)
    starter = Starter(_is_here, _hand_over, _start)
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


def _is_here(_: Any) -> bool:
    """Whether the calling thread has a loop of ours."""
    return _meeting.is_here() or _get_running_loop() is not None


def _hand_over(fn: Any, again: Callable[[], object]) -> None:
    """Let the package's lease answer an emission that came in a thread which has no loop of ours."""
    lease = _meeting.find_anywhere(plugin_of(_module_of(fn)))
    if lease is not None:
        lease._hand_over(fn, again)
    elif not _meeting.ended:
        again()  # and raise: there is no loop


def _start(fn: Any, args: Tuple[Any, ...]) -> Optional[asyncio.Task[Any]]:
    """Start a slot's coroutine where it belongs; not after its plug-in's detach, which is no error."""
    package = plugin_of(_module_of(fn))
    if package in _meeting.ended:
        return None
    starter = _find_starter(package, f"The slot {getattr(fn, '__qualname__', fn)}()")
    is_lease = hasattr(starter, "owner")  # of whichever copy's class
    task: Optional[asyncio.Task[Any]] = starter._start(fn, args) if is_lease else starter.run_task(fn(*args))
    return task


def _find_starter(package: str, what: str) -> Any:
    """Return the package's lease, else the loop of ours that is running, else the only lease."""
    place = _meeting.here()
    if place is not None and package in place.leases:
        return place.leases[package]
    loop = _get_running_loop()
    if hasattr(loop, "run_task"):  # ours, of whichever copy
        return loop
    if loop is not None and place is None:
        raise ForeignLoopError(what, loop)
    return _find_lease(package, what)


def _find_lease(package: str, what: str) -> Lease:
    """Return the package's lease, else that of the plug-in whose copy this is, else the only one there is."""
    place = _meeting.here()
    if place is None:
        raise NoLoopError(what)
    for name in (package, _own_package()):
        if name in place.leases:
            return place.leases[name]
    if len(place.leases) > 1:
        raise AmbiguousLeaseError(what, package, place.leases)
    return next(iter(place.leases.values()))


def _module_of(fn: Any) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return getattr(fn, "__module__", None) or type(fn).__module__


def _caller() -> str:
    """Return the plug-in's package of whoever called the function that calls this."""
    try:
        return plugin_of(sys._getframe(2).f_globals.get("__name__", "__main__"))
    except ValueError:  # no Python code has: atexit.register(asyncslot.detach)
        return _own_package()


def _own_package() -> str:
    """Return the package of the plug-in that this copy is vendored into."""
    return plugin_of(__name__)


def _report_error(loop: AsyncSlotEventLoop, context: Dict[str, Any]) -> None:
    """Report what asyncio's exception handler was told, in the name of the owner whose it is."""
    if _is_cancellation(context):
        return
    place = _meeting.here()
    leases = [] if place is None else list(place.leases.values())
    owner = _owner_of(loop, context, leases)
    if owner is not None and owner.exception_handler is not None:
        try:
            owner.exception_handler(loop, context)
        except BaseException as exc:  # whatever it is, it is an error of the handler's
            owner.report(f"{owner.name}: the exception handler failed to handle what is reported next", exc)
        else:
            return
    if owner is None and leases:
        # Nobody's in particular; the users of any host look in the same place.
        owner = leases[0]._owner
        message = f"asyncslot: {context['message']}"
    elif owner is not None:
        message = f"{owner.name}: {context['message']}"
    else:
        super(AsyncSlotEventLoop, loop).default_exception_handler(context)
        return
    details = (f"{key}: {_repr(context[key])}" for key in ("task", "future", "handle", "transport") if key in context)
    owner.report("\n".join([message, *details]), context.get("exception"))


def _is_cancellation(context: Dict[str, Any]) -> bool:
    """Whether a callback has failed because its task was cancelled, which is no error.

    asyncio.streams asks a server's handler task for its exception without asking first
    whether it was cancelled (Python 3.11.7 and 3.12.1, 2026-11), which detach() does.
    """
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        return False
    args = getattr(context.get("handle"), "_args", None) or ()
    return any(isinstance(arg, asyncio.Future) and arg.cancelled() for arg in args)


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as exc:  # the plug-in's own class
        return f"<{type(value).__name__}, whose repr() raises {type(exc).__name__}>"


def _owner_of(loop: AsyncSlotEventLoop, context: Dict[str, Any], leases: List[Lease]) -> Optional[Owner]:
    """Tell from the context of an error whose error it is."""
    handle = context.get("handle")
    owner: Optional[Owner] = None if handle is None else handle._context.get(loop._as_owner)
    if owner is not None:
        return owner
    # A callback that a plain slot has added to a task has no owner, but is given the task; what a
    # transport calls after detach() has closed it has none, but is the transport's.
    suspects = [context.get(key) for key in ("task", "future", "transport")]
    suspects += getattr(handle, "_args", None) or ()
    suspects.append(getattr(getattr(handle, "_callback", None), "__self__", None))
    for suspect in suspects:
        for lease in leases:
            if _is_in(suspect, lease._owner.tasks) or _is_in(suspect, lease._owner.resources):
                return lease._owner
    # A task that reports while the garbage collector has it is in no weak set any
    # more; its traceback tells whose code it was.
    owners = {lease.owner: lease._owner for lease in leases}
    exc = context.get("exception")
    for frame, _ in traceback.walk_tb(None if exc is None else exc.__traceback__):
        package = plugin_of(frame.f_globals.get("__name__", ""))
        if package in owners:
            return owners[package]
    return loop._as_owner.get()


def _is_in(thing: Any, weak_set: Any) -> bool:
    try:
        return thing in weak_set
    except TypeError:  # of a class without a hash
        return False

"""AsyncSlotEventLoop: asyncio's loop, in steps, on a Qt loop.

It is asyncio's own loop for this system (sockets, TLS, subprocesses, pipes and
all), with the part that runs callbacks replaced by `_steps` and the part that waits
by `_wakeup`. This file says when it runs, and who is in charge:

    attached    somebody else runs Qt. `attach()` uses it, with the loop being
                asyncio's running loop during steps only; `with loop:` and
                AsyncSlotRunner use it in a program that owns its application,
                and there the loop stays the running loop throughout.
    nested      run_forever(): Qt is run until stop(). Which Qt loop, says `_application`.
    alone       no Qt loop runs; asyncio blocks in select() as it does without Qt,
                for as long as clean-up takes (`_alone`).

State of an attached loop, and where each transition is:

              wake-up   step begins           work left   nothing ready   closed
    WAITING   READY     -                     -           -               CLOSED
    READY     stays     STEPPING (_as_step)   -           -               CLOSED
    STEPPING  noted     one deeper            READY       WAITING         after the step
    CLOSED    dropped   dropped               -           -               no-op

READY is `_as_idle == False` with a step promised by `_as_wait`; WAITING is
`_as_idle == True` (`_as_rest`).
"""

from __future__ import annotations

import asyncio
import asyncio.constants
import sys
import threading
from asyncio import events
from concurrent.futures import Executor
from typing import Any, Callable, Dict, List, Optional, Tuple

from ._alone import AloneMixin
from ._application import NoRun, choose_run
from ._asyncio import T, Ts, Unpack, monotonic
from ._binding import find_qt_core
from ._errors import ApplicationQuitError, ArgumentError, AttachedLoopError, NoApplicationError
from ._executor import DaemonExecutor
from ._interrupts import SignalWatch
from ._owners import ExceptionHandler, Owner, OwningMixin
from ._report import safe_repr, where
from ._tasks import run_task

if sys.platform == "win32":
    from ._windows import PlatformLoop
else:
    from ._unix import PlatformLoop

# The part of `shutdown_timeout` that a coroutine has to end by itself when the application has quit.
_SHARE_TO_END = 0.2


class AsyncSlotEventLoop(AloneMixin, OwningMixin, PlatformLoop):
    """An asyncio event loop that lives inside a Qt event loop.

    In a plug-in, `attach()` makes one and keeps it. In a program of your own:

        with AsyncSlotEventLoop():      # attached: you run Qt
            app.exec()

        asyncio.run(main(), loop_factory=AsyncSlotEventLoop)    # nested: it runs Qt

    Nested, where no Qt loop runs yet in the application's thread, is the application's own run, as
    app.exec() is. What happens to run_until_complete(main()), of which asyncio.run() is made:

        main returns or raises         that is returned or raised. The application has not quit: aboutToQuit is not
                                       emitted, windows stay, and the loop can be run again
        app.quit(), app.exit(code),    as in app.exec(): lastWindowClosed, aboutToQuit. main has a fifth of
        the last window is closed,     `shutdown_timeout` to end by itself, with Qt's events handled; then its result
        the session ends               is returned. Else it is cancelled, has the rest of that time to clean up, and
                                       ApplicationQuitError is raised. `exit_code` is the code
        sys.exit() in a task,          the application quits, with 1, and SystemExit is raised. Tasks are the
        callback or asyncSlot          caller's to end, as in asyncio: asyncio.run() cancels them
        Ctrl+C                         the same, with KeyboardInterrupt; under asyncio.run(), from Python 3.11 on, the
                                       first one cancels main instead
        an exception in a callback     is reported, and main goes on
        loop.stop()                    RuntimeError, as in asyncio
        a job is stuck in a thread     shutdown_default_executor(), and so asyncio.run(), waits `shutdown_timeout`, logs
                                       its name and goes on

    run_forever() returns where the application quits. Nested inside a running Qt loop, a QEventLoop is run; that
    the application quits is its own affair then.

    Attributes:
        exit_code: the application's exit code, if it has quit in the last run, else None.
        shutdown_timeout: seconds for the end, as told above.

    Raises, when it is entered or run:
        NoApplicationError: there is no QCoreApplication.

    Raises, when it is made:
        ArgumentError: with arguments, as qasync's; it takes none.

    Thread: it belongs to the thread in which it is entered or run; from others
    only call_soon_threadsafe() may be called.
    """

    exit_code: Optional[int] = None
    shutdown_timeout = 10.0

    def __init__(self, *strangers: Any) -> None:
        if strangers:  # qasync's takes the application
            self._closed = True  # for __del__
            advice = "It takes no arguments, and finds the QApplication by itself: AsyncSlotEventLoop()"
            raise ArgumentError("AsyncSlotEventLoop()", ", ".join(map(safe_repr, strangers)), advice)
        self._as_signals: Optional[SignalWatch] = None  # while this program owns the loop
        try:
            super().__init__()
        except BaseException:
            self._closed = True  # out of descriptors: there is nothing that __del__ could close
            raise
        self._as_run: Any = None  # nested mode: the Qt loop that run_forever() runs, see `_application`
        self._as_main: Any = None  # what run_until_complete() waits for
        self._as_is_cut = False  # it was cancelled, because the application has quit
        self._as_probe: Any = None  # in a host: a QObject that lives as long as its application
        self._as_entered: Optional[Tuple[Any, ...]] = None  # 'with loop:', what to put back
        self._as_level = 0  # how deep Qt loops are nested where the one runs that is ours
        self._as_on_error: Optional[Callable[[Any, Any], None]] = None
        self._as_nudge: Optional[Callable[[], None]] = None  # while the loop waits in a thread

    # -- attached mode -------------------------------------------------------

    def _as_attach(self, qt_core: Any, application: Any = None) -> None:
        """Begin to be called by the Qt loop of this thread.

        Args:
            application: in a host, its QCoreApplication; see _as_revive().
        """
        self._as_qt_core = qt_core
        self._as_probe = None if application is None else qt_core.QObject(application)
        # A thread that Qt has not started has no timers before its first QEventLoop.
        qt_core.QEventLoop()
        self._as_wait = self._as_make_wait(qt_core)
        self._as_nudge = self._as_wait.nudge_threadsafe
        self._thread_id = threading.get_ident()  # from now on this loop "is running"
        self._as_start_io()
        self._as_rest()

    def _as_detach(self) -> None:
        """Be called no more; the opposite of _as_attach(), whatever has become of that."""
        self._as_idle = False
        wait, self._as_wait, self._as_nudge = self._as_wait, None, None
        try:
            if wait is not None:
                wait.close()
                self._as_stop_io()
        finally:
            self._thread_id = None
            probe, self._as_probe = self._as_probe, None
            try:
                if probe is not None:
                    probe.deleteLater()
            except RuntimeError:
                pass  # it has gone with its application

    def _as_revive(self, qt_core: Any, application: Any) -> None:
        """Be called by this application, if the one that we were attached to is gone: a program has made a new one.

        Its timers and notifiers have lost the dispatcher that they were registered with. (The application cannot be
        asked: a new one may have the address of the old one. Its child, which is deleted with it, can.)
        """
        try:
            if self._as_probe is not None:
                self._as_probe.objectName()
                return
        except RuntimeError:
            pass
        if not self._as_depth and self._as_probe is not None:
            self._as_detach()
            self._as_attach(qt_core, application)

    def __enter__(self) -> AsyncSlotEventLoop:
        """Attach to the Qt loop that this program is about to run, as the running loop throughout."""
        self._as_check_may_run()
        self._as_attach(self._as_find_qt_core("AsyncSlotEventLoop"))
        self._as_entered = self._as_enter()
        self._as_lasting = self
        self._as_listen()
        return self

    def __exit__(self, *_: object) -> None:
        """Detach. The loop is not closed, and can still be run, to clean up."""
        self._as_forget_signals()
        if self._as_entered is not None:
            outer, self._as_entered = self._as_entered, None
            self._as_lasting = None
            self._as_leave(outer)
        self._as_detach()
        self._as_raise_what_interrupted()

    # -- nested mode ---------------------------------------------------------

    def run_forever(self) -> None:
        """Run Qt until stop() is called, or until Qt is told to quit; see `exit_code`.

        Raises:
            RuntimeError: this loop, or another one in this thread, is running.
            SystemExit, KeyboardInterrupt: one of them ended a callback or task.
        """
        self._as_check_may_run()
        qt_core = self._as_find_qt_core("run_forever()")
        self.exit_code = None
        self._as_run_own(qt_core, choose_run(qt_core), self._as_run_nested)

    def _as_run_own(self, qt_core: Any, run: Any, body: Callable[[], object]) -> None:
        """Call `body`, which runs Qt, as the running loop."""
        self._as_attach(qt_core)
        outer = self._as_enter()
        try:
            self._as_run = run
            self._as_listen()
            self._as_lasting = self
            body()
        finally:
            self._as_run = self._as_lasting = None
            self._stopping = False
            self._as_forget_signals()
            self._as_leave(outer)
            self._as_detach()
        self._as_raise_what_interrupted()

    def _as_run_nested(self) -> None:
        if self._stopping:
            # stop() before run_forever() means one turn, as in asyncio.
            self._as_collect(0)
            self._as_wait.wake_soon()
        run = self._as_run
        if self._as_exception is None:
            code = run.exec()
        if self._as_exception is not None:
            return
        if run.is_applications:
            self.exit_code = code
            if code is not None and self._as_main is not None:
                self._as_finish(self._as_main)
        elif code == -1 and not self._stopping:
            # The application is quitting, and Qt refuses to start a loop.
            self._as_run_alone(self._as_is_over, None)

    def _as_is_over(self) -> bool:
        """Whether the run is to end. That `main` is done is not asked: a callback follows, which calls stop()."""
        return self._stopping or self._as_exception is not None

    def _as_finish(self, main: Any) -> None:
        """Let `main` end, now that the application has quit."""
        self._as_run = NoRun()
        now = monotonic()
        self._as_run_with_events(self._as_is_over, now + self.shutdown_timeout * _SHARE_TO_END, with_input=True)
        if not self._as_is_over():
            self._as_is_cut = True
            main.cancel()
            self._as_run_with_events(self._as_is_over, now + self.shutdown_timeout, with_input=True)

    def _as_run_until(self, is_done: Callable[[], bool], deadline: float) -> bool:
        """Run, for a clean-up, until `is_done()` or `deadline`; return is_done(). Qt's events are handled, if Qt lives.

        Raises:
            SystemExit, KeyboardInterrupt: one of them ended a callback or task.
        """

        def is_over() -> bool:
            return is_done() or self._as_exception is not None

        qt_core = self._as_qt_core
        if qt_core.QCoreApplication.instance() is None:
            self._as_run = NoRun()
            try:
                self._as_run_alone(is_over, deadline)
            finally:
                self._as_run = None
            self._as_raise_what_interrupted()
        else:
            self._as_check_may_run()
            self._as_run_own(qt_core, NoRun(), lambda: self._as_run_with_events(is_over, deadline, with_input=True))
        return is_done()

    # nest_asyncio looks for this, and leaves a loop alone that has it.
    _nest_patched = True

    def run_until_complete(self, future: Any) -> Any:
        """Run Qt until `future` is done, and return its result. The class says what else may happen.

        Inside a task of ours it is refused, as by any loop, unless nest_asyncio was applied.

        Raises:
            ApplicationQuitError: the application has quit, and `future` did not end by itself.
            AttachedLoopError: called inside `with loop:`, where the program runs Qt.
        """
        if self.is_running() and hasattr(asyncio, "_nest_patched"):
            # What nest_asyncio would have patched in sees only one of our two queues, and runs no Qt.
            future = asyncio.ensure_future(future, loop=self)
            self._as_run_alone(future.done, None)
            return future.result()
        if self._as_entered is not None and self._as_handle is None:  # as with qasync's
            if asyncio.iscoroutine(future):
                future.close()
            raise AttachedLoopError("run_until_complete()", is_programs=True)
        self._as_check_may_run()
        is_new = not asyncio.isfuture(future)
        self._as_main = main = asyncio.ensure_future(future, loop=self)
        self._as_is_cut = False
        if is_new:
            main._log_destroy_pending = False  # as asyncio does: the caller hears of it
        try:
            # Not super()'s, which may be nest_asyncio's.
            return asyncio.BaseEventLoop.run_until_complete(self, main)
        except BaseException as exc:
            if is_new and main.done() and not main.cancelled():
                main.exception()  # the same
            is_cut = self._as_is_cut and isinstance(exc, (asyncio.CancelledError, RuntimeError))
            if not is_cut or not (main.cancelled() or not main.done()):
                raise
        finally:
            self._as_main = None
        assert self.exit_code is not None, "main is cut where the application has quit"
        stack = None if main.done() else where(main)
        raise ApplicationQuitError(self.exit_code, self.shutdown_timeout, main.done(), stack)

    def stop(self) -> None:
        """Make run_forever() return after the current turn.

        Raises:
            AttachedLoopError: the loop is attached; the host stops it, not we.
        """
        if self._as_wait is not None and self._as_run is None:
            raise AttachedLoopError("stop()")
        self._stopping = True
        if self._as_idle:
            self._as_wake()

    def _as_stop(self) -> None:
        if self._as_exception is not None:
            self._as_end()
        elif self._as_run is not None:
            self._as_run.leave()

    def _as_end(self) -> None:
        """End Qt's loop, because something is to be raised by whoever runs it."""
        if self._as_run is not None:
            self._as_run.end()
        else:
            # Not QCoreApplication.exit(): a program may run us in a QThread of its own.
            self._as_qt_core.QThread.currentThread().exit(1)

    def _as_interrupted(self, exc: BaseException) -> None:
        """Deal with what must not pass through Qt.

        Where this program owns the loop, end it, and raise in its caller; in a
        host, report it: a plug-in's sys.exit() is not the host's.
        """
        if self._as_run is not None or self._as_entered is not None:
            self._as_exception = exc
            self._as_end()
            if self._as_wait is not None:
                self._as_wait.wake_soon()  # the Qt loop that it must end is perhaps only about to start; see _as_rest()
        else:
            context = {"message": f"{type(exc).__name__} in a callback{_cause_of(exc)}", "exception": exc}
            handle = self._as_handle
            if handle is not None:
                context["handle"] = handle
                task = getattr(handle._callback, "__self__", None)
                if isinstance(task, asyncio.Task) and task.done() and not task.cancelled():
                    task.exception()  # or asyncio would report it a second time
            self.call_exception_handler(context)

    def _as_raise_what_interrupted(self) -> None:
        exc, self._as_exception = self._as_exception, None
        if exc is not None:
            try:
                raise exc
            finally:
                exc = None  # or the traceback and this frame keep each other alive

    def _as_wake_threadsafe(self) -> None:
        """Wake the loop, wherever it waits. Any thread."""
        # Not by way of _as_wait: this thread might be the last to let go of it, and of Qt's objects with it.
        nudge = self._as_nudge
        if nudge is None or self._as_is_blocked:
            self._write_to_self()
        else:
            nudge()

    # -- what asyncio's loop asks the policy for, or leaves to chance ---------

    run_task = run_task

    def run_in_executor(
        self, executor: Optional[Executor], func: Callable[[Unpack[Ts]], T], *args: Unpack[Ts]
    ) -> asyncio.Future[T]:
        """Run `func` in a thread; by default one that never keeps the process from exiting.

        Each owner has a default executor of its own, unless set_default_executor()
        was called: its jobs end with its lease, and cannot take the threads of others.
        """
        if executor is None and self._default_executor is None:
            owner = self._as_current_owner()
            if owner is None:
                self._default_executor = DaemonExecutor()
            else:
                executor = owner.executor = owner.executor or DaemonExecutor()
        if isinstance(executor, DaemonExecutor):
            self._check_closed()
            if self._debug:
                self._check_callback(func, "run_in_executor")
            return executor.submit_for(self, func, *args)
        return super().run_in_executor(executor, func, *args)

    async def shutdown_default_executor(self, timeout: Optional[float] = None) -> None:
        """Wait for the jobs of the default executor, and take no more of them.

        What still runs when the time is over is logged by name, and left to its daemon thread.

        Args:
            timeout: seconds; None, or asyncio's own default of five minutes: `shutdown_timeout`.
        """
        if timeout in (None, getattr(asyncio.constants, "THREAD_JOIN_TIMEOUT", None)):
            timeout = self.shutdown_timeout
        default = self._default_executor
        if default is not None and not isinstance(default, DaemonExecutor):
            # A program's own; its threads keep the process from exiting, whatever is done here.
            await self._as_shut_down_foreign(default, timeout)
            return
        self._executor_shutdown_called = True
        if default is not None:
            await default.end_jobs(self, timeout)

    async def _as_shut_down_foreign(self, default: Any, timeout: Optional[float]) -> None:
        shut_down: Any = getattr(super(), "shutdown_default_executor", None)
        if sys.version_info >= (3, 12):
            await shut_down(timeout)
        elif shut_down is not None:
            await shut_down()
        else:  # Python below 3.9
            default.shutdown(wait=False)

    def add_signal_handler(self, sig: int, callback: Callable[[Unpack[Ts]], Any], *args: Unpack[Ts]) -> None:
        """Handle a signal, where this program owns its application.

        Raises:
            NotImplementedError: in a host; its signals are its own.
        """
        if self._as_on_error is not None:
            raise NotImplementedError("signal handlers belong to the host application, not to a loop attached to it")
        super().add_signal_handler(sig, callback, *args)
        if self._as_idle:
            self._as_wake()  # there is something new to wait for

    def remove_signal_handler(self, sig: int) -> bool:
        """Handle a signal no more."""
        was_there = super().remove_signal_handler(sig)
        if self._as_signals is not None:
            self._as_signals.renew()
            if self._as_idle:
                self._as_wake()
        return was_there

    def set_exception_handler(self, handler: Optional[ExceptionHandler]) -> None:
        """Have `handler` called for errors; in a host for the caller's own, until its lease ends."""
        owner = self._as_current_owner()
        if owner is None:
            super().set_exception_handler(handler)
        else:
            owner.exception_handler = _check_exception_handler(handler)

    def get_exception_handler(self) -> Optional[ExceptionHandler]:
        """Return what set_exception_handler() was given, in a host by the plug-in that calls this."""
        owner = self._as_current_owner()
        return super().get_exception_handler() if owner is None else owner.exception_handler

    def call_exception_handler(self, context: Any) -> None:
        """Tell of an error, through a handler if there is one. In a host, never raises."""
        try:
            super().call_exception_handler(context)
        except BaseException as exc:  # asyncio lets SystemExit and KeyboardInterrupt through, Python 3.7 all
            if self._as_on_error is None:
                raise
            self._as_on_error(self, {"message": f"{type(exc).__name__} in an exception handler", "exception": exc})

    def default_exception_handler(self, context: Any) -> None:
        """Report an error where the host's users look; without a host, log it as asyncio does."""
        if self._as_on_error is None:
            super().default_exception_handler(context)
        else:
            self._as_on_error(self, context)

    def close(self) -> None:
        """Close the loop; what is still queued is dropped, executor jobs included."""
        if isinstance(self._default_executor, DaemonExecutor) and not self.is_running():
            self._default_executor.abandon()
        super().close()
        self._as_batch.clear()
        self._as_held.clear()

    def _as_facts(self) -> Dict[str, Any]:
        """Return what the loop is doing, for reports, as plain values.

        "state" and "waits by" are words, "longest" is seconds and words, the others are numbers; None is unknown.
        """
        get_map = getattr(self._selector, "get_map", None)
        return {
            "state": self._as_state(),
            "waits by": "nothing: it is not attached" if self._as_wait is None else self._as_wait.describe(),
            "longest": self._as_longest,
            "failed polls": self._as_failed_polls,
            "ready": len(self._ready) + len(self._as_batch),
            "timed": len(self._scheduled),
            "descriptors": None if get_map is None else len(get_map()),
        }

    def _as_has_ready(self) -> bool:
        """Whether something is to be run in the next turn."""
        return bool(self._ready or self._as_batch)

    def _as_state(self) -> str:
        if self.is_closed():
            return "closed"
        depth = len(self._as_on_stack())
        if depth:
            return "in a step" if depth == 1 else f"in a step, {depth} deep"
        return "waits, with nothing to do" if self._as_idle else "has work, and is to be called back soon"

    def _as_forget(self, owner: Owner, kept: Optional[List[str]]) -> List[str]:
        """Drop what an owner's code has set, scheduled and registered; describe what was registered.

        Args:
            kept: to this is added, described, what stays registered for the sake of others. None: all stays that
                asyncio or a library calls: the owner's tasks still need it to clean up.
        """
        self._as_unset(owner)
        for handle in [*tuple(self._ready), *tuple(self._as_batch), *self._as_held, *self._scheduled]:
            if self._as_owner_of_handle(handle) is owner and (kept is not None or self._as_is_plain(handle)):
                handle.cancel()
        return self._as_forget_io(owner, kept)

    def _as_shut_down(self) -> None:
        """Be called no more, and close; for the last who leaves."""
        try:
            self._as_detach()
        finally:
            self.close()

    # -- helpers -------------------------------------------------------------

    def _as_check_may_run(self) -> None:
        self._check_closed()
        # asyncio's own words, which people search for.
        if self.is_running():
            raise RuntimeError("This event loop is already running")
        if events._get_running_loop() is not None:
            raise RuntimeError("Cannot run the event loop while another loop is running")

    def _as_find_qt_core(self, what: str) -> Any:
        qt_core = find_qt_core()
        if qt_core.QCoreApplication.instance() is None:
            raise NoApplicationError(what)
        return qt_core

    def _as_listen(self) -> None:
        """Hear of signals, in a program that owns this loop."""
        self._as_level = self._as_qt_core.QThread.currentThread().loopLevel() + 1
        self._as_signals = SignalWatch(self)
        self._as_rest()  # now that there are signals to wait for

    def _as_may_interrupt(self) -> bool:
        """Whether KeyboardInterrupt, raised now, comes to whom it is meant for: a callback, or the program itself."""
        level = self._as_qt_core.QThread.currentThread().loopLevel()
        if level > self._as_level:
            return False  # Qt may have called the code that runs now, out of a dialog
        if self._as_handle is not None:
            return True
        return self._as_entered is not None and level < self._as_level

    def _as_forget_signals(self) -> None:
        if self._as_signals is not None:
            self._as_signals.close()
            self._as_signals = None


def _cause_of(exc: BaseException) -> str:
    """Say what came before a sys.exit(): libraries that end their process (uvicorn) hide their error behind it."""
    before = exc.__cause__ or exc.__context__
    if before is None or (exc.__cause__ is None and exc.__suppress_context__):
        return ""
    return f", after {safe_repr(before)}"


def _check_exception_handler(handler: Optional[ExceptionHandler]) -> Optional[ExceptionHandler]:
    if handler is not None and not callable(handler):
        raise TypeError(f"A callable object or None is expected, got {handler!r}")  # asyncio's own words
    return handler

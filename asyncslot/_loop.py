"""AsyncSlotEventLoop: asyncio's loop, in steps, on a Qt loop.

It is asyncio's own loop for this system, with its sockets, TLS, subprocesses and pipes. We replace the part that
runs callbacks (by `_steps`) and the part that waits (by `_wakeup`). This file says when the loop runs, and who
runs Qt meanwhile:

    attached    other code runs Qt. attach() uses this mode in a host, where the loop is asyncio's running loop
                during steps only. `with loop:` and AsyncSlotRunner use it in a program that owns its
                application, and there the loop stays the running loop throughout.
    nested      run_forever() runs Qt until stop(); `_application` says which Qt loop.
    alone       no Qt loop runs. asyncio blocks in select() as it does without Qt, for as long as clean-up
                takes (`_alone`).

States of an attached loop, and where each transition is made:

              wake-up   step begins           work left   nothing ready   closed
    WAITING   READY     -                     -           -               CLOSED
    READY     stays     STEPPING (_as_step)   -           -               CLOSED
    STEPPING  noted     one deeper            READY       WAITING         after the step
    CLOSED    dropped   dropped               -           -               no-op

READY: `_as_idle` is False, and a step is promised by `_as_wait`. WAITING: `_as_idle` is True (_as_rest()).
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
from ._tasks import safe_repr, where

if sys.platform == "win32":
    from ._windows import PlatformLoop
else:
    from ._unix import PlatformLoop

# The part of `shutdown_timeout` in which a coroutine can end by itself after the application has quit.
_SHARE_TO_END = 0.2


class AsyncSlotEventLoop(AloneMixin, OwningMixin, PlatformLoop):
    """An asyncio event loop that lives inside a Qt event loop.

    In a plug-in, `attach()` makes one and keeps it. In a program of your own:

        with AsyncSlotEventLoop():      # attached: you run Qt
            app.exec()

        asyncio.run(main(), loop_factory=AsyncSlotEventLoop)    # nested: the loop runs Qt

    If no Qt loop runs yet in the application's thread, a nested run is the application's own run, as app.exec() is.
    What then happens to run_until_complete(main()), which asyncio.run() calls:

        main returns or raises         run_until_complete() does the same. The application has not quit: aboutToQuit
                                       is not emitted, windows stay, and the loop can be run again
        app.quit(), app.exit(code),    as in app.exec(): lastWindowClosed, aboutToQuit. main has a fifth of
        the last window is closed,     `shutdown_timeout` to end by itself, with Qt's events handled; then its result
        the session ends               is returned. Else main is cancelled, has the rest of that time to clean up, and
                                       ApplicationQuitError is raised. `exit_code` is the code
        sys.exit() in a task,          the application quits, with 1, and SystemExit is raised. The caller has to end
        callback or asyncSlot          the tasks, as in asyncio: asyncio.run() cancels them
        Ctrl+C                         the same, with KeyboardInterrupt; under asyncio.run(), from Python 3.11 on, the
                                       first one cancels main instead
        an exception in a callback     is reported, and main goes on
        loop.stop()                    RuntimeError, as in asyncio
        a job is stuck in a thread     shutdown_default_executor(), and so asyncio.run(), waits `shutdown_timeout`, logs
                                       its name and goes on

    run_forever() returns when the application quits. Inside a running Qt loop a nested run is a QEventLoop, and does
    not deal with the application's quitting.

    Attributes:
        exit_code: the application's exit code, if it has quit in the last run, else None.
        shutdown_timeout: seconds, >= 0, that the end may take, as told above.

    Raises:
        ArgumentError: when it is made with arguments, as qasync's loop is; it takes none.
        NoApplicationError: when it is entered or run, and there is no QCoreApplication.

    Thread: it belongs to the thread in which it is entered or run; others may call call_soon_threadsafe() only.
    """

    exit_code: Optional[int] = None
    shutdown_timeout = 10.0

    def __init__(self, *strangers: Any) -> None:
        if strangers:  # qasync's takes the application
            self._closed = True  # for __del__
            advice = "It takes no arguments, and finds the QApplication by itself: AsyncSlotEventLoop()"
            raise ArgumentError("AsyncSlotEventLoop()", ", ".join(map(safe_repr, strangers)), advice)
        self._as_sigint: Optional[SignalWatch] = None  # while this program owns the loop
        try:
            super().__init__()
        except BaseException:
            self._closed = True  # no descriptors are left, and there is nothing that __del__ could close
            raise
        self._as_run: Any = None  # nested mode: the Qt loop that run_forever() runs, see `_application`
        self._as_main: Any = None  # the future that run_until_complete() waits for
        self._as_is_cut = False  # that future was cancelled, because the application has quit
        self._as_probe: Any = None  # in a host: a QObject that lives as long as its application
        self._as_entered: Optional[Tuple[Any, ...]] = None  # in `with loop:`, the state that leave() puts back
        self._as_level = 0  # where a program owns the loop: QThread.loopLevel() in the Qt loop that carries it
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
        # In a thread that Qt has not started, timers need a QEventLoop to have been made first.
        qt_core.QEventLoop()
        self._as_wait = self._as_make_wait(qt_core)
        self._as_nudge = self._as_wait.nudge_threadsafe
        self._thread_id = threading.get_ident()  # from now on this loop "is running"
        self._as_start_io()
        self._as_rest()

    def _as_detach(self) -> None:
        """Be called by Qt no more; undoes _as_attach(), also if that has failed halfway."""
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
                pass  # it was deleted with its application

    def _as_revive(self, qt_core: Any, application: Any) -> None:
        """Attach anew to `application`, if the one that we were attached to is gone and a program has made this one.

        Our timers and notifiers have then lost the dispatcher that they were registered with. We cannot compare the
        applications, as the new one may have the address of the old one. We ask a child of the old one, our probe.
        """
        try:
            if self._as_probe is not None:
                self._as_probe.objectName()
                return
        except RuntimeError:
            pass
        if not self._as_stack.depth and self._as_probe is not None:
            self._as_detach()
            self._as_attach(qt_core, application)

    def __enter__(self) -> AsyncSlotEventLoop:
        """Attach to the Qt loop that this program is about to run; be asyncio's running loop until __exit__()."""
        self._as_check_may_run()
        self._as_attach(self._as_find_qt_core("AsyncSlotEventLoop"))
        self._as_entered = self._as_stack.enter()
        self._as_stack.published_loop = self
        self._as_listen()
        return self

    def __exit__(self, *_: object) -> None:
        """Detach. The loop is not closed, and can still be run, to clean up."""
        self._as_forget_signals()
        if self._as_entered is not None:
            outer, self._as_entered = self._as_entered, None
            self._as_stack.published_loop = None
            self._as_stack.leave(outer)
        self._as_detach()
        self._as_raise_what_interrupted()

    # -- nested mode ---------------------------------------------------------

    def run_forever(self) -> None:
        """Run Qt until stop() is called, or until Qt is told to quit; see `exit_code`.

        Raises:
            RuntimeError: the loop is closed, or it or another loop in this thread is running.
            NoApplicationError: there is no QCoreApplication.
            SystemExit, KeyboardInterrupt: one of them ended a callback or task.
        """
        self._as_check_may_run()
        qt_core = self._as_find_qt_core("run_forever()")
        self.exit_code = None
        self._as_run_own(qt_core, choose_run(qt_core), self._as_run_nested)

    def _as_run_own(self, qt_core: Any, run: Any, body: Callable[[], object]) -> None:
        """Attach, and call `body`, which runs Qt, with ours as the running loop."""
        self._as_attach(qt_core)
        outer = self._as_stack.enter()
        try:
            self._as_run = run
            self._as_listen()
            self._as_stack.published_loop = self
            body()
        finally:
            self._as_run = self._as_stack.published_loop = None
            self._stopping = False
            self._as_forget_signals()
            self._as_stack.leave(outer)
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
            # The application is quitting, and Qt refuses to start a QEventLoop.
            self._as_run_alone(self._as_is_over, None)

    def _as_is_over(self) -> bool:
        """Whether the run is to end. We need not ask whether `main` is done: its done callback calls stop()."""
        return self._stopping or self._as_exception is not None

    def _as_finish(self, main: Any) -> None:
        """Give `main` time to end, now that the application has quit; then cancel it."""
        self._as_run = NoRun()
        now = monotonic()
        self._as_run_with_events(self._as_is_over, now + self.shutdown_timeout * _SHARE_TO_END, with_input=True)
        if not self._as_is_over():
            self._as_is_cut = True
            main.cancel()
            self._as_run_with_events(self._as_is_over, now + self.shutdown_timeout, with_input=True)

    def _as_run_until(self, is_done: Callable[[], bool], deadline: float) -> bool:
        """Run, for a clean-up, until `is_done()` or `deadline`; return is_done(). Handle Qt's events if Qt lives.

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

    # nest_asyncio patches no loop that has this attribute.
    _nest_patched = True

    def run_until_complete(self, future: Any) -> Any:
        """Run Qt and asyncio until `future` is done, and return its result; the class tells how a run ends.

        Refused while the loop runs, as by any loop, unless nest_asyncio was applied: then asyncio runs without Qt.

        Args:
            future: a future of this loop; or a coroutine or another awaitable, of which we make a task.

        Raises:
            ApplicationQuitError: the application has quit, and `future` did not end by itself.
            AttachedLoopError: called inside `with loop:`, where the program runs Qt. A coroutine is closed then.
            NoApplicationError: there is no QCoreApplication.
            RuntimeError: the loop is closed; it or another one runs in this thread; stop() came before the end.
            SystemExit, KeyboardInterrupt: one of them ended a callback or task.
            Exception: whatever `future` raises; asyncio.CancelledError if it was cancelled.

        Thread: the loop belongs to the calling thread meanwhile, as a rule the GUI thread.
        """
        if self.is_running() and hasattr(asyncio, "_nest_patched"):
            # nest_asyncio was applied. Its own method would see only one of our two queues, and run no Qt.
            future = asyncio.ensure_future(future, loop=self)
            self._as_run_alone(future.done, None)
            return future.result()
        if self._as_entered is not None and self._as_stack.handle is None:  # qasync's loop refuses it, too
            if asyncio.iscoroutine(future):
                future.close()
            raise AttachedLoopError("run_until_complete()", is_programs=True)
        self._as_check_may_run()
        self._as_find_qt_core("run_until_complete()")  # before we make a task, which would wait for the next run
        is_new = not asyncio.isfuture(future)
        self._as_main = main = asyncio.ensure_future(future, loop=self)
        self._as_is_cut = False
        if is_new:
            main._log_destroy_pending = False  # as in asyncio: the caller gets an exception anyway
        try:
            # Not super(): nest_asyncio may have put its own method into a base class of ours.
            return asyncio.BaseEventLoop.run_until_complete(self, main)
        except BaseException as exc:
            if is_new and main.done() and not main.cancelled():
                main.exception()  # as in asyncio: or it would be reported as never retrieved
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
            AttachedLoopError: the loop is attached; whoever runs Qt has to stop that.
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
        """End the Qt loop, because its caller is to raise an exception."""
        if self._as_run is not None:
            self._as_run.end()
        else:
            # Not QCoreApplication.exit(), because a program may run us in a QThread of its own.
            self._as_qt_core.QThread.currentThread().exit(1)

    def _as_interrupted(self, exc: BaseException) -> None:
        """Deal with an exception that must not pass through Qt.

        Where a program owns the loop, we end the loop and raise the exception in its caller. In a host we report it: a
        plug-in's sys.exit() must not end the host.
        """
        if self._as_run is not None or self._as_entered is not None:
            self._as_exception = exc
            self._as_end()
            if self._as_wait is not None:
                self._as_wait.wake_soon()  # if Qt's loop has yet to start, the next _as_rest() ends it
        else:
            context = {"message": f"{type(exc).__name__} in a callback{_cause_of(exc)}", "exception": exc}
            handle = self._as_stack.handle
            if handle is not None:
                context["handle"] = handle
                task = getattr(handle._callback, "__self__", None)
                if isinstance(task, asyncio.Task) and task.done() and not task.cancelled():
                    task.exception()  # else asyncio would report it a second time
            self.call_exception_handler(context)

    def _as_raise_what_interrupted(self) -> None:
        exc, self._as_exception = self._as_exception, None
        if exc is not None:
            try:
                raise exc
            finally:
                exc = None  # else the traceback and this frame keep each other alive

    def _as_wake_threadsafe(self) -> None:
        """Wake the loop, in select() or in Qt. Any thread."""
        # Not through _as_wait: this thread could then be the last to let go of it, and of its Qt objects.
        nudge = self._as_nudge
        if nudge is None or self._as_is_blocked:
            self._write_to_self()
        else:
            nudge()

    # -- tasks, executors, signals, errors, closing ---------------------------

    def run_in_executor(
        self, executor: Optional[Executor], func: Callable[[Unpack[Ts]], T], *args: Unpack[Ts]
    ) -> asyncio.Future[T]:
        """Run `func(*args)` in a thread; by default in a daemon thread, which does not keep the process from exiting.

        Unless set_default_executor() was called, each owner has a default executor of its own. Its jobs end with the
        owner's lease, and cannot use up the threads of others.
        """
        needs_one = executor is None and self._default_executor is None
        owner = self._as_registry.current_owner() if needs_one else None
        if owner is not None:
            executor = owner.executor = owner.executor or DaemonExecutor()
        elif needs_one:
            self._default_executor = DaemonExecutor()
        if isinstance(executor, DaemonExecutor):
            self._check_closed()
            if self._debug:
                self._check_callback(func, "run_in_executor")
            # Threads begin with an empty context: what a library calls in the loop from there would be nobody's (paho).
            call = (func, *args) if owner is None else (owner.bind(func, *args),)
            return executor.submit_for(self, *call)
        return super().run_in_executor(executor, func, *args)

    async def shutdown_default_executor(self, timeout: Optional[float] = None) -> None:
        """Wait for the jobs of the default executor, and take no more of them.

        Jobs that still run when the time is over are logged by name, and left to their daemon threads.

        Args:
            timeout: seconds, >= 0; None, or asyncio's own default of five minutes, means `shutdown_timeout`.
        """
        if timeout in (None, getattr(asyncio.constants, "THREAD_JOIN_TIMEOUT", None)):
            timeout = self.shutdown_timeout
        default = self._default_executor
        if default is not None and not isinstance(default, DaemonExecutor):
            # The program's own executor: its threads keep the process from exiting, whatever we do here.
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
        """Call `callback(*args)` when the process gets signal `sig`, in a program that owns its application.

        Raises:
            NotImplementedError: in a host, where signals belong to the host.
        """
        if self._as_on_error is not None:
            raise NotImplementedError("signal handlers belong to the host application, not to a loop attached to it")
        super().add_signal_handler(sig, callback, *args)
        if self._as_idle:
            self._as_wake()  # so that the loop waits for the signal from now on

    def remove_signal_handler(self, sig: int) -> bool:
        """Handle a signal no more; return whether there was a handler for it."""
        was_there = super().remove_signal_handler(sig)
        if self._as_sigint is not None:
            self._as_sigint.renew()
            if self._as_idle:
                self._as_wake()
        return was_there

    def set_exception_handler(self, handler: Optional[ExceptionHandler]) -> None:
        """Have `handler` called for errors; in a host only for those of the calling plug-in, until its lease ends."""
        owner = self._as_registry.current_owner()
        if owner is None:
            super().set_exception_handler(handler)
        else:
            owner.exception_handler = _check_exception_handler(handler)

    def get_exception_handler(self) -> Optional[ExceptionHandler]:
        """Return the handler that set_exception_handler() was given, in a host that of the calling plug-in."""
        owner = self._as_registry.current_owner()
        return super().get_exception_handler() if owner is None else owner.exception_handler

    def call_exception_handler(self, context: Any) -> None:
        """Report an error, through the exception handler if there is one. In a host, never raises."""
        try:
            super().call_exception_handler(context)
        except BaseException as exc:  # asyncio lets SystemExit and KeyboardInterrupt through, in Python 3.7 all errors
            if self._as_on_error is None:
                raise
            self._as_on_error(self, {"message": f"{type(exc).__name__} in an exception handler", "exception": exc})

    def default_exception_handler(self, context: Any) -> None:
        """Report an error where the host shows errors to its users; without a host, log it as asyncio does."""
        if self._as_on_error is None:
            super().default_exception_handler(context)
        else:
            self._as_on_error(self, context)

    def close(self) -> None:
        """Close the loop; drop the callbacks and executor jobs that are still queued."""
        if isinstance(self._default_executor, DaemonExecutor) and not self.is_running():
            self._default_executor.abandon()
        super().close()
        self._as_batch.clear()
        self._as_stack.held.clear()

    def _as_facts(self) -> Dict[str, Any]:
        """Return the state of the loop, for reports, as plain values.

        "state" and "waits by" are words, "longest" is seconds and words, the others are numbers; None: unknown.
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
        """Whether a callback is ready, for the next step."""
        return bool(self._ready or self._as_batch)

    def _as_state(self) -> str:
        if self.is_closed():
            return "closed"
        depth = len(self._as_stack.handles())
        if depth:
            return "in a step" if depth == 1 else f"in a step, {depth} deep"
        return "waits, with nothing to do" if self._as_idle else "has work, and is to be called back soon"

    def _as_forget(self, owner: Owner, kept: Optional[List[str]]) -> List[str]:
        """Drop an owner's settings, callbacks, readers and writers; return descriptions of the readers and writers.

        Args:
            kept: a list, to which we add descriptions of those that stay for the sake of others. None: callbacks of
                asyncio and of libraries stay, because the owner's tasks still need them to clean up.
        """
        registry = self._as_registry
        registry.unset(owner)
        for handle in [*tuple(self._ready), *tuple(self._as_batch), *self._as_stack.held, *self._scheduled]:
            if registry.owner_of_handle(handle) is owner and (kept is not None or registry.is_plain(handle)):
                handle.cancel()
        return self._as_forget_io(owner, kept)

    def _as_shut_down(self) -> None:
        """Detach and close, after the last lease has ended."""
        try:
            self._as_detach()
        finally:
            self.close()

    # -- helpers -------------------------------------------------------------

    def _as_check_may_run(self) -> None:
        self._check_closed()
        # The texts are asyncio's own, because people search for them.
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
        """Have signals wake the loop, in a program that owns it."""
        self._as_level = self._as_qt_core.QThread.currentThread().loopLevel() + 1
        self._as_sigint = SignalWatch(self, self._as_interrupted, self._as_may_interrupt)
        self._as_rest()  # now that there are signals to wait for

    def _as_may_interrupt(self) -> bool:
        """Whether KeyboardInterrupt may be raised now: in a callback, or in the program's own code outside of Qt."""
        level = self._as_qt_core.QThread.currentThread().loopLevel()
        if level > self._as_level:
            return False  # a dialog is open, and Qt may have called the code that runs now
        if self._as_stack.handle is not None:
            return True
        return self._as_entered is not None and level < self._as_level

    def _as_forget_signals(self) -> None:
        if self._as_sigint is not None:
            self._as_sigint.close()
            self._as_sigint = None


def _cause_of(exc: BaseException) -> str:
    """Name the exception behind a sys.exit(): libraries that end their process (uvicorn) hide their error there."""
    before = exc.__cause__ or exc.__context__
    if before is None or (exc.__cause__ is None and exc.__suppress_context__):
        return ""
    return f", after {safe_repr(before)}"


def _check_exception_handler(handler: Optional[ExceptionHandler]) -> Optional[ExceptionHandler]:
    if handler is not None and not callable(handler):
        raise TypeError(f"A callable object or None is expected, got {handler!r}")  # asyncio's own words
    return handler

"""asyncModal: await a function that opens a dialog.

asyncModal. If a coroutine calls `dialog.exec()` itself, its step stays on the stack for
as long as the dialog is open. asyncio goes on inside the dialog's loop, but there our loop
is the running loop and this task the current task. So another plug-in's `asyncio.run()`
fails while the dialog is open. asyncModal() instead has Qt call the function from a timer.
There it runs as any plain slot does, with no running loop and no current task.

    coroutine: arm a 0 ms timer, wait -> step ends -> Qt: timer -> fn() -> result -> step: coroutine goes on

This part does not know what the function does. It serves any asyncio loop that
rides on Qt's loop, ours or not.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from types import FrameType
from typing import Any, Callable, Optional, Tuple, TypeVar

from ._asyncio import P
from ._binding import find_qt_core, require_application
from ._errors import NoQtLoopError, NotFunctionError

_T = TypeVar("_T")

# Seconds. The timer that uses it never has to fire, but call_later() cannot wait for ever.
_LONG_INTERVAL = 24 * 3600.0


async def asyncModal(fn: Callable[P, _T], *args: P.args, **kwargs: P.kwargs) -> _T:
    """Call `fn(*args, **kwargs)`, which may open a dialog or menu, outside any step; return its result.

        answer = await asyncModal(QMessageBox.question, window, "Stop", "Stop the download?")

    Other tasks go on while the dialog is open, and asyncio.run() works in the
    slots that are called then. `fn` runs as a plain slot does: there is no
    current task, and context variables are not passed on.

    If the task is cancelled before Qt has called `fn`, `fn` is not called. If it is
    cancelled while the dialog is open, the coroutine gets CancelledError at once. The
    dialog then stays until it is closed, and its result is dropped (an exception is
    reported). To close it, catch CancelledError and call `dialog.reject()`.

    A Qt loop must be running. After the application's quit(), while our loop is still
    attached, the call waits until it is cancelled.

    Raises:
        NotFunctionError: `fn` cannot be called, or is a coroutine function.
        NoQtLoopError: somebody blocks to wait for this task, so that no Qt loop can call
            `fn`: lease.run_until_complete(), clean-up under detach(), or a loop of
            asyncio's own.
        NoApplicationError: there is no QCoreApplication.
        ThreadError: awaited in another thread than the application's.
        Exception: whatever `fn` raises; SystemExit and KeyboardInterrupt too. These
            two end the task as they do when the coroutine raises them itself.

    Thread: GUI thread only.
    """
    if not callable(fn) or inspect.iscoroutinefunction(fn):
        raise NotFunctionError(fn)
    qt_core = find_qt_core()
    require_application(qt_core, "asyncModal()")
    loop = asyncio.get_running_loop()
    # A loop of ours, of whichever copy, may wait for a Qt loop that is to start later. It tells us if none can (see
    # _Call). For any other loop we must find out now.
    why = "" if hasattr(loop, "_as_ask_qt") else _why_without_qt(qt_core, loop)
    if why:
        raise NoQtLoopError("asyncModal()", why)
    call = _Call(qt_core, lambda: fn(*args, **kwargs))
    value: _T
    error: Optional[BaseException]
    try:
        value, error = await call.outcome
    finally:
        call.forget()
    if error is None:
        return value
    try:
        raise error
    finally:
        error = None  # the traceback refers to this frame, and the two would keep each other alive


def _why_without_qt(qt_core: Any, loop: Any) -> str:
    """Return why no Qt loop can run while `loop`, which is not ours, runs; an empty string if one can."""
    if qt_core.QThread.currentThread().loopLevel() == 0:
        return f"none runs in this thread, but {loop!r}"
    # A Qt loop does run, but it may have called a slot in which asyncio.run() blocks it. A loop that a timer of Qt's
    # only turns for a moment is not run by asyncio.run(), and does not block.
    return f"{loop!r}, of an asyncio.run(), blocks it" if _is_in_asyncio_run(type(loop)) else ""


def _is_in_asyncio_run(kind: Any) -> bool:
    """Whether the running loop, of this class, is one of asyncio's own and run by asyncio.run()."""
    if not kind.run_forever.__module__.startswith("asyncio."):
        return False  # this loop rides on Qt's, or may do so
    frame: Optional[FrameType] = sys._getframe()
    while frame is not None and frame.f_code.co_name != "run_forever":
        frame = frame.f_back
    while frame is not None and frame.f_globals.get("__name__", "").startswith("asyncio."):
        if frame.f_globals["__name__"] == "asyncio.runners":
            return True
        frame = frame.f_back
    return False


class _Call:
    """One call of a function by Qt, in the next turn of Qt's loop.

    Attributes:
        outcome: a future for the pair of result and exception. The exception is None if the call succeeded.
    """

    def __init__(self, qt_core: Any, fn: Callable[[], Any]) -> None:
        loop: Any = asyncio.get_running_loop()
        self._loop = loop
        self._fn = fn
        self.outcome: asyncio.Future[Tuple[Any, Optional[BaseException]]] = self._loop.create_future()
        # A timer, not a posted event, and a timer that repeats until it has fired: _wakeup tells why.
        self._timer = qt_core.QTimer()
        self._timer.timeout.connect(self._run)
        self._timer.start(0)
        self._stay()
        self._stop_asking: Optional[Callable[[], object]] = None
        ask_qt = getattr(loop, "_as_ask_qt", None)
        if ask_qt is not None:  # a loop of ours, of whichever copy
            self._stop_asking = ask_qt(loop._as_owner.get(), self._refuse)

    def _stay(self) -> None:
        """Make the loop refer to us by a timer, since Qt only refers weakly to the object of a connected method.

        Without it a task to which nothing else refers would be collected before Qt's next turn.
        """
        self._next_stay = self._loop.call_later(_LONG_INTERVAL, self._stay)

    def forget(self) -> None:
        """Do not call the function any more. A call that has begun goes on."""
        self._next_stay.cancel()
        if self._stop_asking is not None:
            self._stop_asking()
            # It refers to the task. The task refers to us, by its frames and those in its traceback: break the cycle.
            self._stop_asking = None
        try:
            self._timer.stop()
            self._timer.deleteLater()
        except RuntimeError:
            pass  # the application is gone, and PyQt has deleted with it the objects that Python has made

    def _refuse(self) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(
                NoQtLoopError("asyncModal()", "run_until_complete() or detach() waits for this code, without Qt")
            )

    def _run(self) -> None:
        self._timer.stop()
        if self.outcome.done() or self._loop.is_closed():
            return
        outcome = _outcome_of(self._fn)
        # `fn` may have run for long. On a closed loop set_result() would raise, and our caller is Qt.
        if not self.outcome.done() and not self._loop.is_closed():
            self.outcome.set_result(outcome)
        elif outcome[1] is not None:
            message = "Exception in a function that asyncModal() called for a task that was cancelled"
            self._loop.call_exception_handler({"message": message, "exception": outcome[1]})


def _outcome_of(fn: Callable[[], Any]) -> Tuple[Any, Optional[BaseException]]:
    """Call a function, and return its result and its exception.

    No exception must get out into Qt, not even SystemExit (PyQt would end the process).
    It is raised again in the task that awaits the call, and is handled as any exception there.
    """
    try:
        return fn(), None
    except BaseException as exc:
        return None, exc

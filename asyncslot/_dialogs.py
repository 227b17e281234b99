"""Dialogs for tasks: asyncModal, to await a function that opens one; Progress, for how far a task is.

asyncModal. A coroutine that calls `dialog.exec()` itself stays on the stack, with the step
that runs it, for as long as the dialog is open. asyncio goes on inside, but our
loop is the running loop there and this task the current one, so that another
plug-in's `asyncio.run()` fails while the dialog is open. Called by Qt, from a
timer, the same function finds what any plain slot finds: nothing of asyncio's.

    coroutine: arm a 0 ms timer, wait -> step ends -> Qt: timer -> fn() -> result -> step: coroutine goes on

This module does not know what the function does. It serves any asyncio loop that
rides on Qt's, ours or not.

Progress is what a task shows of itself in the host's own progress display.

    async with lease.progress("Downloading tiles", total=240) as progress:
        for tile in tiles:
            await fetch(tile)
            progress.advance()

The display is the adapter's, or a small dialog where the host has none. Progress
keeps count, is sparing with the GUI, and lets the display's Cancel button cancel the task.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from types import FrameType
from typing import Any, Callable, Optional, Tuple, TypeVar

from ._asyncio import LoopBase, P
from ._binding import find_qt_core, require_application
from ._errors import NoQtLoopError, NotFunctionError
from ._hosts import make_dialog, name_of_host

_T = TypeVar("_T")

# Seconds; a loop takes no "for ever".
_LONG_INTERVAL = 24 * 3600.0


async def asyncModal(fn: Callable[P, _T], *args: P.args, **kwargs: P.kwargs) -> _T:
    """Call `fn(*args, **kwargs)`, which may open a dialog or menu, outside any step; return its result.

        answer = await asyncModal(QMessageBox.question, window, "Stop", "Stop the download?")

    Other tasks go on while the dialog is open, and asyncio.run() works in the
    slots that are called meanwhile. `fn` runs as a plain slot does: there is no
    current task, and context variables are not passed on.

    Cancelled before `fn` was called, it is not called. Cancelled while the dialog
    is open, the coroutine gets CancelledError at once; the dialog stays until it
    is closed, and its result is dropped (an exception is reported): to close it,
    catch CancelledError and call `dialog.reject()`.

    It needs a Qt loop that runs. After the application's quit(), while the loop is still
    attached, it waits until it is cancelled.

    Raises:
        NotFunctionError: `fn` cannot be called, or is a coroutine function.
        NoQtLoopError: no Qt loop can call it as long as the task is waited for: inside
            lease.run_until_complete(), in clean-up under detach(), or under a loop of
            asyncio's own.
        NoApplicationError: there is no QCoreApplication.
        ThreadError: awaited in another thread than the application's.
        Exception: whatever `fn` raises; SystemExit and KeyboardInterrupt too,
            which end the task as they do when it raises them itself.

    Thread: GUI thread only.
    """
    if not callable(fn) or inspect.iscoroutinefunction(fn):
        raise NotFunctionError(fn)
    qt_core = find_qt_core()
    require_application(qt_core, "asyncModal()")
    loop = asyncio.get_running_loop()
    # Ours, of whichever copy, may wait for a Qt loop that is to come; and tells when none can.
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
        error = None  # or the traceback and this frame keep each other alive


def _why_without_qt(qt_core: Any, loop: Any) -> str:
    """Say why no Qt loop can run while this loop runs, which is none of ours; nothing if one can."""
    if qt_core.QThread.currentThread().loopLevel() == 0:
        return f"none runs in this thread, but {loop!r}"
    # A Qt loop that has called a slot in which asyncio blocks. A loop that is only turned by a timer, for a moment, is
    # none of asyncio.run()'s.
    return f"{loop!r}, of an asyncio.run(), blocks it" if _is_in_asyncio_run(type(loop)) else ""


def _is_in_asyncio_run(kind: Any) -> bool:
    """Whether the running loop, of this class, is one of asyncio's own and run by asyncio.run()."""
    if not kind.run_forever.__module__.startswith("asyncio."):
        return False  # it rides on Qt's, or may
    frame: Optional[FrameType] = sys._getframe()
    while frame is not None and frame.f_code.co_name != "run_forever":
        frame = frame.f_back
    while frame is not None and frame.f_globals.get("__name__", "").startswith("asyncio."):
        if frame.f_globals["__name__"] == "asyncio.runners":
            return True
        frame = frame.f_back
    return False


class _Call:
    """One call of a function by Qt, in the next turn of its loop.

    Attributes:
        outcome: a future for the result and the exception, one of which is None.
    """

    def __init__(self, qt_core: Any, fn: Callable[[], Any]) -> None:
        loop: Any = asyncio.get_running_loop()
        self._loop = loop
        self._fn = fn
        self.outcome: asyncio.Future[Tuple[Any, Optional[BaseException]]] = self._loop.create_future()
        # A timer and not a posted event, and one that repeats until it has been heard: see _wakeup.
        self._timer = qt_core.QTimer()
        self._timer.timeout.connect(self._run)
        self._timer.start(0)
        self._stay()
        self._stop_asking: Optional[Callable[[], object]] = None
        ask_qt = getattr(loop, "_as_ask_qt", None)
        if ask_qt is not None:  # ours, of whichever copy
            self._stop_asking = ask_qt(loop._as_owner.get(), self._refuse)

    def _stay(self) -> None:
        """Have the loop refer to us, as to what waits for time: Qt refers to a method's object weakly.

        A task that nobody else refers to would be collected before Qt's next turn.
        """
        self._next_stay = self._loop.call_later(_LONG_INTERVAL, self._stay)

    def forget(self) -> None:
        """Do not call any more. A call under way goes on."""
        self._next_stay.cancel()
        if self._stop_asking is not None:
            self._stop_asking()
            self._stop_asking = None  # it knows the task, which has us in its frames, and those in its traceback
        try:
            self._timer.stop()
            self._timer.deleteLater()
        except RuntimeError:
            pass  # the application is gone, and PyQt deletes with it what Python has made

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
        # A closed loop would raise, into Qt.
        if not self.outcome.done() and not self._loop.is_closed():
            self.outcome.set_result(outcome)
        elif outcome[1] is not None:
            message = "Exception in a function that asyncModal() called for a task that was cancelled"
            self._loop.call_exception_handler({"message": message, "exception": outcome[1]})


def _outcome_of(fn: Callable[[], Any]) -> Tuple[Any, Optional[BaseException]]:
    """Call a function for its result or its exception.

    Whatever it raises must not get out into Qt, SystemExit included (PyQt would end
    the process). It is raised where it is awaited, and goes from there as from any task.
    """
    try:
        return fn(), None
    except BaseException as exc:
        return None, exc


# Seconds from one update of the display to the next.
_INTERVAL = 0.05


class Progress:
    """How far a task is, shown by the host; an asynchronous context manager, made by progress() or Lease.progress().

    The user's Cancel cancels the task that entered the block. A display that fails is
    reported once, and the work goes on without it.

    Attributes:
        total: how many there are to do; None while nobody can tell.
        done: how many of them are done.
        text: what is shown beside the bar.

    Thread: GUI thread only.
    """

    def __init__(
        self,
        loop: LoopBase,
        tell: Callable[[str, Optional[BaseException]], None],
        whose: str,
        host: Any,
        title: str,
        total: Optional[float],
    ) -> None:
        self.total = total or None  # of nothing, nobody can tell how much is done
        self.done: float = 0
        self.text = ""
        self._loop = loop
        self._tell = tell
        self._whose = whose
        self._host = host
        self._title = title
        self._display: Any = None
        self._task: Optional[asyncio.Task[Any]] = None
        self._fraction: Optional[float] = None if self.total is None else 0.0
        self._shown_at = 0.0
        self._later: Optional[asyncio.TimerHandle] = None

    async def __aenter__(self) -> Progress:
        self._task = asyncio.current_task()
        try:
            self._display = self._host.progress(self._title, self._cancel)
            if self._display is None:
                self._display = make_dialog(self._host, self._title, self._cancel)
        except Exception as exc:
            self._failed(exc)
        self._show()
        return self

    # Without an await: it runs to its end even when the task is abandoned by detach().
    async def __aexit__(self, *_: object) -> None:
        self._task = None
        if self._later is not None:
            self._later.cancel()
        display, self._display = self._display, None
        try:
            if display is not None:
                display.close()
        except Exception as exc:
            self._failed(exc)

    def advance(self, count: float = 1, text: Optional[str] = None) -> None:
        """Say that `count` more are done.

        Args:
            count: how many; parts of one, too.
            text: replaces what is shown beside the bar; None leaves it.
        """
        self.done += count
        if self.total is not None:
            self._fraction = self.done / self.total
        self._change(text)

    def update(self, fraction: Optional[float], text: Optional[str] = None) -> None:
        """Say how far it is, without counting.

        Args:
            fraction: 0..1; None while nobody can tell.
            text: replaces what is shown beside the bar; None leaves it.
        """
        self._fraction = fraction
        self._change(text)

    def _change(self, text: Optional[str]) -> None:
        """Show it now or in a moment, at most twenty times a second."""
        if text is not None:
            self.text = text
        if self._display is None or self._later is not None:
            return
        if self._loop.time() >= self._shown_at + _INTERVAL:
            self._show()
        else:
            self._later = self._loop.call_at(self._shown_at + _INTERVAL, self._show)

    def _show(self) -> None:
        self._later = None
        self._shown_at = self._loop.time()
        fraction = self._fraction
        try:
            if self._display is not None:
                self._display.update(None if fraction is None else min(max(fraction, 0.0), 1.0), self.text)
        except Exception as exc:
            self._failed(exc)

    def _failed(self, exc: Exception) -> None:
        self._display = None
        self._tell(f"{self._whose}: the adapter for {name_of_host(self._host)} failed to show progress", exc)

    def _cancel(self) -> None:
        """Cancel the task, once: a user who presses again must not interrupt its clean-up."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

"""asyncDialog and asyncModal: await a dialog.

asyncDialog. It opens the dialog by open(), which returns at once, and waits until the dialog is
finished or hidden. No Qt loop is nested, so dialogs may be answered in any order, and nothing of
ours stays on the stack. The three signals that it needs, and why:

    finished         the user has answered, or code has
    visibleChanged   of the dialog's window: a QProgressDialog hides itself and emits no `finished`
    buttonClicked    of a QMessageBox: Qt 5 does not forget, when a box is opened anew, what was clicked before

The result is read in the step after these, and not in the emission: if the user closes the window of a QMessageBox,
Qt emits `finished` with 0, and only then sets the result to the button for Escape (5.15.2 and 6.11.0, seen 2026-11).

asyncModal. If a coroutine calls `dialog.exec()` itself, its step stays on the stack for
as long as the dialog is open. asyncio goes on inside the dialog's loop, but there our loop
is the running loop and this task the current task. So another plug-in's `asyncio.run()`
fails while the dialog is open. asyncModal() instead has Qt call the function from a timer.
There it runs as any plain slot does, with no running loop and no current task.

    coroutine: arm a 0 ms timer, wait -> step ends -> Qt: timer -> fn() -> result -> step: coroutine goes on

This part knows of the function only whether it is the exec() of a dialog, which is closed when the task is
cancelled. Both serve any asyncio loop that rides on Qt's loop, ours or not.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Tuple, TypeVar

from ._asyncio import P
from ._binding import (
    BINDINGS,
    Arguments,
    enum_member,
    find_qt_core,
    is_bound_signal,
    is_deleted,
    require_application,
)
from ._errors import NoQtLoopError, NotDialogError, NotFunctionError, NotOpenedError, SenderDeletedError
from ._signals import Wait

if TYPE_CHECKING:
    from typing_extensions import Protocol

    class Dialog(Protocol):
        """A QDialog of any binding, for type checkers, which need not know the binding."""

        def accept(self) -> Any: ...
        def reject(self) -> Any: ...
        def isHidden(self) -> bool: ...


_T = TypeVar("_T")

# Seconds. The timer that uses it never has to fire, but call_later() cannot wait for ever.
_LONG_INTERVAL = 24 * 3600.0


async def asyncDialog(dialog: Dialog) -> Any:
    """Open a dialog, wait until it is closed, and return the answer; nothing stays on the stack meanwhile.

        box = QMessageBox(window)
        box.setText("Stop the download?")
        box.setStandardButtons(QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No)
        if await asyncDialog(box) == QMessageBox.StandardButton.Yes:
            ...

        dialog = QFileDialog(window)
        if await asyncDialog(dialog):
            paths = dialog.selectedFiles()

    The dialog is opened by its open(): it blocks its parent's window only, and none if it has
    no parent. Several may be open at once, and are answered in any order.

    If the task is cancelled, by detach() too, the dialog is closed before the coroutine goes
    on, by `done(QDialog.Rejected)`: not by reject() or close(), which dialogs override to ask
    whether to discard. If an override of done() leaves it open, QDialog's own closes it.

    A dialog ends as under exec(): when it is finished, and when it is hidden. One that hides
    itself for a while, to let the user pick something on a map, needs dialog.open() and
    `await asyncSignal(dialog.finished)`.

    Args:
        dialog: a QDialog of any kind that is closed. One with WA_DeleteOnClose is
            deleted when the answer is there, and can be read until the coroutine's next
            `await`. Others stay, with all that the user has put in, and can be opened again.

    Returns:
        Of a QMessageBox the button that was clicked: a QMessageBox.StandardButton, or for
        one of your own the object that addButton() gave. Escape and closing the window
        count as the button that Qt clicks for them. It is NoButton if code has closed
        the box. Compare it, `== QMessageBox.StandardButton.Yes`: No is as true as Yes.
        Of any other dialog a QDialog.DialogCode, Accepted or Rejected, of which only
        Accepted is true; or the int that code gave to done(). Of a QProgressDialog
        that hides itself, Rejected if it was cancelled and Accepted if it was not.

    Raises:
        NotDialogError: `dialog` is no QDialog.
        NotOpenedError: it is open already, or its open() did not show it.
        SenderDeletedError: it was deleted, with its parent say, before it was finished.
        NoQtLoopError: somebody blocks to wait for this task, so that the user cannot
            answer: lease.run_until_complete(), clean-up under detach(), or a loop of
            asyncio's own. The dialog is closed, if it was open by then.
        NoApplicationError: there is no QCoreApplication.
        ThreadError: awaited in another thread than the application's.
        Exception: whatever an override of open() or done() raises.

    Thread: GUI thread only.
    """
    qt_core = find_qt_core()
    require_application(qt_core, "asyncDialog()")
    widgets = _widgets_of(dialog)
    if widgets is None:
        raise NotDialogError(dialog)
    if is_deleted(dialog):
        raise SenderDeletedError("asyncDialog()", "the end of a dialog")
    opening = _Opening(dialog, widgets, _running_loop(qt_core, "asyncDialog()"))
    try:
        opening.open()
        while not opening.has_ended():
            await opening.change()
        return opening.answer()
    finally:
        opening.close()


class _Opening:
    """One opening of a dialog, from open() until it is finished, hidden, deleted or closed by us."""

    def __init__(self, dialog: Any, widgets: Any, loop: Any) -> None:
        self._dialog = dialog
        self._widgets = widgets
        self._loop = loop
        self._kind = widgets.QDialog
        self._is_box = isinstance(dialog, widgets.QMessageBox)
        self._code: Optional[int] = None  # what `finished` has brought
        self._clicked: Any = None  # the answer of a QMessageBox whose button was clicked
        self._clicked_before = dialog.clickedButton() if self._is_box else None
        self._error: Optional[Exception] = None
        self._change: Optional[asyncio.Future[None]] = None
        self._must_delete = False
        self._waits: List[Wait] = []
        self._window: Optional[Wait] = None
        self._stop_asking: Optional[Callable[[], object]] = None

    def open(self) -> None:
        """Show the dialog, and have each change noted from now on."""
        dialog, kind = self._dialog, self._kind
        if not kind.isHidden(dialog):
            raise NotOpenedError(
                dialog,
                "which is open already",
                "Whoever has opened it can wait for it: asyncSignal(dialog.finished). For a slot that the user may "
                'start twice there is asyncSlot(on_repeat="drop")',
            )
        # By the class: the dialog may have an attribute of this name. PySide6 finds that one all the same.
        finished = kind.finished.__get__(dialog, kind)
        if not is_bound_signal(finished):
            raise NotOpenedError(
                dialog, f"whose attribute `finished` is {finished!r} and hides QDialog's signal", "Rename the attribute"
            )
        self._wait_for(finished, self._on_finished)
        if self._is_box:
            self._wait_for(dialog.buttonClicked, self._on_clicked)
        ask_qt = getattr(self._loop, "_as_ask_qt", None)
        if ask_qt is not None:  # a loop of ours, of whichever copy
            self._stop_asking = ask_qt(self._loop._as_owner.get(), self._refuse)
        # Qt would delete it before the step in which we read the answer. We do it instead, in close().
        self._must_delete = dialog.testAttribute(self._delete_on_close())
        if self._must_delete:
            dialog.setAttribute(self._delete_on_close(), False)
        dialog.open()
        if self._code is None and kind.isHidden(dialog):
            raise NotOpenedError(
                dialog, "whose open() has not shown it", "Look at its open(), setVisible(), showEvent()"
            )

    def has_ended(self) -> bool:
        """Whether the answer is there.

        Raises:
            SenderDeletedError: the dialog is gone, and nobody has answered.
            NoQtLoopError: nobody can answer.
        """
        if self._code is not None:
            return True
        if self._error is not None:
            raise self._error
        # ~QDialog hides the dialog, so we may be here because of its death. A dialog that C++ has made must not be
        # touched then: PyQt does not know that it is gone.
        if not self._is_there():
            raise SenderDeletedError("asyncDialog()", "the end of a dialog")
        if self._kind.isHidden(self._dialog):
            return True
        self._clicked = None  # the click is over, and an override of done() has left the box open
        self._watch_window()
        return False

    def change(self) -> asyncio.Future[None]:
        """Return a future for the next change after which has_ended() must be asked."""
        self._change = self._loop.create_future()
        return self._change

    def answer(self) -> Any:
        """Return what asyncDialog() returns."""
        code, dialog, enum = self._code, self._dialog, self._kind.DialogCode
        if self._clicked is not None:
            return self._clicked
        if self._is_box:
            enum = self._widgets.QMessageBox.StandardButton
            if self._is_there():
                # The window was closed: see the head of this file. A button of one's own has no code that tells of it.
                code = code or self._kind.result(dialog)
                button = dialog.clickedButton()
                if button is not None and button is not self._clicked_before and self._meaning(button) is button:
                    return button
        elif code is None and isinstance(dialog, self._widgets.QProgressDialog):
            code = 0 if dialog.wasCanceled() else 1
        elif code is None:
            code = self._kind.result(dialog)
        try:
            return enum(code)
        except ValueError:
            return code  # not one of Qt's: code has called done() with it

    def close(self) -> None:
        """Close the dialog if it is open, and wait for nothing any more."""
        is_there = self._is_there()
        if self._stop_asking is not None:
            self._stop_asking()
        for wait in self._waits:
            wait.close()
        # They refer to us, and we to the dialog, which is to go as soon as the caller drops it.
        self._waits, self._window, self._stop_asking, self._change, self._error = [], None, None, None, None
        if not is_there:
            return
        try:
            _close(self._dialog, self._kind)
        finally:
            if self._must_delete and not is_deleted(self._dialog):
                self._dialog.deleteLater()

    def _wait_for(self, signal: Any, on_emission: Callable[[Arguments], None]) -> Wait:
        wait = Wait("asyncDialog()", signal, self._loop, on_emission, self._on_end)
        self._waits.append(wait)
        return wait

    def _watch_window(self) -> None:
        """Have us told when the dialog is hidden, by its window: Qt makes another one if its flags change."""
        if self._window is not None and not self._window.is_closing():
            return
        window = self._dialog.windowHandle()
        if window is not None:  # a native dialog has none, and neither has one that lies inside another window
            self._window = self._wait_for(window.visibleChanged, lambda _: self._note())

    def _on_finished(self, arguments: Arguments) -> None:
        self._code = int(arguments[0]) if arguments else self._kind.result(self._dialog)
        self._note()

    def _on_clicked(self, arguments: Arguments) -> None:
        self._clicked = self._meaning(arguments[0])
        self._note()

    def _meaning(self, button: Any) -> Any:
        """Return a button's StandardButton, or the button itself if it is none of Qt's."""
        standard = self._dialog.standardButton(button)
        return standard if standard != self._widgets.QMessageBox.StandardButton.NoButton else button

    def _on_end(self, error: Optional[Exception]) -> None:
        if error is not None:
            self._note()  # has_ended() looks which sender is gone, the dialog or a window that it no longer has
        elif self._change is not None:
            self._change.cancel()  # detach() closes what a task waits for that refused to be cancelled

    def _refuse(self) -> None:
        self._error = NoQtLoopError("asyncDialog()", "run_until_complete() or detach() waits for this code, without Qt")
        self._note()

    def _note(self) -> None:
        if self._change is not None and not self._change.done():
            self._change.set_result(None)

    def _is_there(self) -> bool:
        """Whether the dialog lives; false, too, if we have not come to wait for it."""
        return bool(self._waits) and self._waits[0].stands() and not is_deleted(self._dialog)

    def _delete_on_close(self) -> Any:
        qt = sys.modules[self._kind.__module__.rpartition(".")[0] + ".QtCore"].Qt
        return enum_member(qt, "WidgetAttribute", "WA_DeleteOnClose")


def _widgets_of(dialog: Any) -> Any:
    """Return the QtWidgets module of the binding of which `dialog` is a QDialog; None if it is none."""
    for name in BINDINGS:
        widgets: Any = sys.modules.get(f"{name}.QtWidgets")
        if widgets is not None and isinstance(dialog, widgets.QDialog):
            return widgets
    return None


def _close(dialog: Any, kind: Any) -> None:
    """Close a dialog that is open, without asking the user, whatever its class overrides.

    Args:
        kind: QDialog, whose methods a subclass does not hide.
    """
    if is_deleted(dialog) or kind.isHidden(dialog):
        return
    try:
        dialog.done(0)
    finally:
        if not is_deleted(dialog) and not kind.isHidden(dialog):
            kind.done(dialog, 0)


async def asyncModal(fn: Callable[P, _T], *args: P.args, **kwargs: P.kwargs) -> _T:
    """Call `fn(*args, **kwargs)`, which may open a dialog or menu, outside any step; return its result.

        answer = await asyncModal(QMessageBox.question, window, "Stop", "Stop the download?")

    Other tasks go on while the dialog is open, and asyncio.run() works in the
    slots that are called then. `fn` runs as a plain slot does: there is no
    current task, and context variables are not passed on.

    If the task is cancelled before Qt has called `fn`, `fn` is not called. If it is
    cancelled while the dialog is open, by detach() too, the coroutine gets CancelledError
    at once, and the result is dropped (an exception is reported). The dialog is closed
    first, as asyncDialog() does it, if `fn` is the exec() of a QDialog (in PySide2 its
    exec_()), perhaps in a functools.partial. Of other functions we do not know the dialog:
    one that QMessageBox.question or QFileDialog.getOpenFileName has opened stays until the
    user closes it. Where that must not be, make the dialog yourself, for asyncDialog().

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
    call = _Call(qt_core, _running_loop(qt_core, "asyncModal()"), functools.partial(fn, *args, **kwargs))
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


def _running_loop(qt_core: Any, what: str) -> Any:
    """Return the loop that runs, if a Qt loop can run beside it; `what` is what needs that.

    A loop of ours, of whichever copy, may wait for a Qt loop that is to start later. It tells us if none can (see
    _Opening and _Call). For any other loop we must find out now.
    """
    loop = asyncio.get_running_loop()
    why = "" if hasattr(loop, "_as_ask_qt") else _why_without_qt(qt_core, loop)
    if why:
        raise NoQtLoopError(what, why)
    return loop


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

    def __init__(self, qt_core: Any, loop: Any, fn: functools.partial[Any]) -> None:
        self._loop = loop
        self._fn = fn
        self._is_running = False
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
        """Do not call the function any more. A call that has begun goes on; a dialog that it executes is closed."""
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
        dialog = _executed_by(self._fn) if self._is_running else None
        if dialog is not None:
            _close(dialog, _widgets_of(dialog).QDialog)

    def _refuse(self) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(
                NoQtLoopError("asyncModal()", "run_until_complete() or detach() waits for this code, without Qt")
            )

    def _run(self) -> None:
        self._timer.stop()
        if self.outcome.done() or self._loop.is_closed():
            return
        self._is_running = True
        outcome = _outcome_of(self._fn)
        self._is_running = False
        # `fn` may have run for long. On a closed loop set_result() would raise, and our caller is Qt.
        if not self.outcome.done() and not self._loop.is_closed():
            self.outcome.set_result(outcome)
        elif outcome[1] is not None:
            message = "Exception in a function that asyncModal() called for a task that was cancelled"
            self._loop.call_exception_handler({"message": message, "exception": outcome[1]})


def _executed_by(fn: Any) -> Any:
    """Return the dialog whose exec() this function is; None if we cannot tell."""
    arguments: Tuple[Any, ...] = ()
    while isinstance(fn, functools.partial):
        fn, arguments = fn.func, (*fn.args, *arguments)
    for dialog in (getattr(fn, "__self__", None), *arguments[:1]):  # `dialog.exec`, or `QDialog.exec, dialog`
        if _widgets_of(dialog) is not None:
            # Another method of a dialog, which may be the plug-in's window, says nothing of what it opens. We also look
            # for the method itself, as QtPy's exec_() has another name.
            known = [getattr(of, name, None) for of in (dialog, type(dialog)) for name in ("exec", "exec_")]
            return dialog if getattr(fn, "__name__", "") in ("exec", "exec_") or fn in known else None
    return None


def _outcome_of(fn: Callable[[], Any]) -> Tuple[Any, Optional[BaseException]]:
    """Call a function, and return its result and its exception.

    No exception must get out into Qt, not even SystemExit (PyQt would end the process).
    It is raised again in the task that awaits the call, and is handled as any exception there.
    """
    try:
        return fn(), None
    except BaseException as exc:
        return None, exc

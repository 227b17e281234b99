"""Every exception that asyncslot raises, and its wording.

They are in one module so that the sentences can be read, compared and translated
side by side. Each message says what was found, what is needed and what to do. Each
class also inherits the builtin that a caller would expect from asyncio or Qt. So
code that knows nothing of asyncslot catches it, too.

This module does not know Qt, asyncio or the rest of the package.
"""

from __future__ import annotations

from typing import Iterable, Optional


class AsyncSlotError(Exception):
    """Base of every exception that asyncslot raises."""


class NoApplicationError(AsyncSlotError, RuntimeError):
    """There is no Qt application, so there is no loop to ride on."""

    def __init__(self, what: str, hint: Optional[str] = None) -> None:
        super().__init__(
            f"{what} found no QCoreApplication in this process; asyncslot rides on the loop of one that exists. "
            + (
                hint
                or "In a plug-in, call it from the host's load hook (QGIS: initGui()); in a program of your own, "
                "create the QApplication first"
            )
        )


class NoBindingError(AsyncSlotError, ImportError):
    """No Qt binding is loaded and none can be imported."""

    def __init__(self, reason: object) -> None:
        super().__init__(
            "No Qt binding is loaded in this process, and QtPy could not choose one "
            f"({reason}); one of PyQt5, PyQt6, PySide2 or PySide6 is needed. "
            "Install it, for example with: pip install asyncslot[PyQt5]"
        )


class ThreadError(AsyncSlotError, RuntimeError):
    """A function that belongs to the GUI thread was called from another thread."""

    def __init__(self, what: str, thread: str) -> None:
        super().__init__(
            f"{what} was called from thread {thread!r}; it belongs to the GUI thread, the one that runs the host's "
            "Qt loop. Call it there, or hand over with lease.loop.call_soon_threadsafe(...) or a queued Qt signal"
        )


class NotCoroutineFunctionError(AsyncSlotError, TypeError):
    """A slot was to be made of something that is not a coroutine function."""

    def __init__(self, found: object, is_coroutine: bool, is_type: bool = False) -> None:
        if is_coroutine:
            advice = "pass the function itself, without calling it: asyncSlot(fn), not asyncSlot(fn())"
        elif is_type:
            # qasync's asyncSlot takes the types of the signal's arguments.
            advice = (
                "write @asyncSlot without types: arguments that the function does not take are dropped. "
                "Where Qt must know them, they stand above it: @Slot(int) or @pyqtSlot(int), and @asyncSlot below"
            )
        else:
            advice = "write it with 'async def', or connect it to the signal as it is"
        super().__init__(f"asyncSlot() was given {found!r}; it takes a coroutine function. Please {advice}")


class ArgumentError(AsyncSlotError, TypeError):
    """A function takes other arguments than those with which it is called, or with which a signal will call it."""

    def __init__(self, what: str, found: str, advice: str) -> None:
        super().__init__(f"{what} was given {found}. {advice}")


class OptionError(AsyncSlotError, ValueError):
    """An option of a slot was given a value that it cannot have here."""

    def __init__(self, option: str, found: object, needed: str) -> None:
        super().__init__(f"{option}={found!r} was given to a slot; {needed}")


class NoLoopError(AsyncSlotError, RuntimeError):
    """A coroutine was to start, and there is no loop of ours to run it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: no asyncslot loop is attached here. Call attach() when the plug-in is loaded, "
            "or run the application inside 'with AsyncSlotRunner():'"
        )


class ForeignLoopError(AsyncSlotError, RuntimeError):
    """A coroutine was to start while a loop is running that is not ours."""

    def __init__(self, what: str, loop: object) -> None:
        super().__init__(
            f"{what}: the running loop is {loop!r}, which is not an AsyncSlotEventLoop. "
            "Call attach() and use the lease's slot() or create_task(), which work beside other loops"
        )


class AmbiguousLeaseError(AsyncSlotError, RuntimeError):
    """The caller holds several leases, as it has given attach() several names, and we cannot tell which is meant."""

    def __init__(self, what: str, package: str, owners: Iterable[str]) -> None:
        super().__init__(
            f"{what} was called for package {package!r}, which holds several leases, and cannot tell which is meant: "
            f"{', '.join(repr(owner) for owner in owners)}. Use the methods of the Lease that attach() returned"
        )


class DetachedError(AsyncSlotError, RuntimeError):
    """A lease was used after it had ended."""

    def __init__(self, what: str, owner: str) -> None:
        super().__init__(
            f"{what}: the lease of {owner!r} has ended. Call attach() again, and keep the Lease that it returns"
        )


class AttachedLoopError(AsyncSlotError, RuntimeError):
    """A loop that is attached, and that the host runs, was told to run or to stop."""

    def __init__(self, what: str, *, is_programs: bool = False) -> None:
        advice = (
            "Inside 'with loop:' or AsyncSlotRunner you run Qt: app.exec(). For a coroutine to run it, leave "
            "'with loop:' out: loop.run_until_complete(main()), or asyncio.run(main(), "
            "loop_factory=AsyncSlotEventLoop). To wait in a plain function, asyncslot.run_until_complete()"
            if is_programs
            else "Cancel your tasks, call detach() when the plug-in is unloaded, "
            "or use lease.run_until_complete() where you must wait"
        )
        super().__init__(f"{what} was called on a loop that is attached; the host starts and stops it. {advice}")


class IncompatibleCopyError(AsyncSlotError, ImportError):
    """Another plug-in's copy of asyncslot runs the loop, and the two do not understand each other."""

    def __init__(self, ours: str, theirs: str) -> None:
        super().__init__(
            f"This copy of asyncslot, {ours}, cannot share the loop of another plug-in's copy, {theirs}. "
            "Update the older of the two plug-ins, or the copy in it"
        )


class AdapterError(AsyncSlotError, TypeError):
    """A host adapter does not keep the contract."""

    def __init__(self, adapter: object, problems: Iterable[str]) -> None:
        super().__init__(
            f"The host adapter {adapter!r} is not usable: {'; '.join(problems)}. "
            "host_adapters/README.md in asyncslot's repository has the whole contract"
        )


class TaskTimeoutError(AsyncSlotError, TimeoutError):
    """run_until_complete() gave up waiting."""

    def __init__(self, owner: str, timeout: float, where: Optional[str]) -> None:
        super().__init__(
            f"run_until_complete() of {owner!r} gave up after {timeout} s and cancelled what it waited for"
            + (f", which stood at {where}" if where else "")
        )


class ApplicationQuitError(AsyncSlotError, RuntimeError):
    """The application has quit while run_until_complete() waited for a coroutine, which was cancelled.

    Attributes:
        exit_code: the value that QCoreApplication.exec() has returned.
    """

    def __init__(self, exit_code: int, timeout: float, has_ended: bool, where: Optional[str]) -> None:
        self.exit_code = exit_code
        ending = (
            "" if has_ended else f" and did not end within {timeout} s" + (f": it stands at {where}" if where else "")
        )
        super().__init__(
            f"The application has quit, with exit code {exit_code}, before the coroutine had ended that "
            f"run_until_complete() or asyncio.run() was given; it was cancelled{ending}. Have it wait for the "
            "application's end, await asyncSignal(app.aboutToQuit), and return; or catch this error"
        )


class OutsideCoroutineError(AsyncSlotError, RuntimeError):
    """An object to be awaited was asked for where no asyncio loop is running."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} was called where no asyncio loop is running; it belongs inside a coroutine. "
            "In a plain slot, start one: lease.create_task(...), or make the slot one with asyncSlot"
        )


class NoQtLoopError(AsyncSlotError, RuntimeError):
    """Qt was to call a function or to run a dialog, and no Qt loop is running that could do so."""

    def __init__(self, what: str, why: str) -> None:
        is_dialog = what == "asyncDialog()"
        wanted = "lets the user answer" if is_dialog else "can call the function"
        advice = "Call dialog.exec(), which" if is_dialog else "Call the function as it is: a dialog's exec()"
        super().__init__(
            f"{what} was awaited where no Qt loop {wanted}, and would wait for ever: {why}. "
            f"{advice} runs a Qt loop of its own"
        )


class NotSignalError(AsyncSlotError, TypeError):
    """A signal was to be awaited, and something else was given."""

    def __init__(self, what: str, found: object) -> None:
        super().__init__(
            f"{what} was given {found!r}; it takes the signal of an object, as in {what[:-2]}(button.clicked): "
            "not its emit, not a call of it, and not the signal of a class"
        )


class SenderDeletedError(AsyncSlotError, RuntimeError):
    """The object whose signal was awaited is gone, so nothing will be emitted any more."""

    def __init__(self, what: str, signal: str) -> None:
        super().__init__(
            f"{what} was waiting for {signal}, and the sender was deleted, or everything was disconnected from the "
            "signal. Keep a reference to the sender while you wait, or catch SenderDeletedError where it may go first"
        )


class NotFunctionError(AsyncSlotError, TypeError):
    """asyncModal() was given something that it cannot call."""

    def __init__(self, found: object) -> None:
        super().__init__(
            f"asyncModal() was given {found!r}; it takes a plain function, and calls it itself: "
            "asyncModal(dialog.exec), not asyncModal(dialog.exec()). A coroutine function can be awaited as it is"
        )


class NotDialogError(AsyncSlotError, TypeError):
    """asyncDialog() was given something that is no dialog."""

    def __init__(self, found: object) -> None:
        super().__init__(
            f"asyncDialog() was given {found!r}; it takes a QDialog (QMessageBox, QFileDialog, one of your own) and "
            "opens it itself: asyncDialog(dialog), not asyncDialog(dialog.exec()). For a function that opens a dialog, "
            "QMessageBox.question say, there is asyncModal(fn, ...)"
        )


class NotOpenedError(AsyncSlotError, RuntimeError):
    """asyncDialog() could not open the dialog that it was given."""

    def __init__(self, dialog: object, found: str, advice: str) -> None:
        super().__init__(
            f"asyncDialog() cannot open {dialog!r}, {found}; it takes a dialog that is closed, opens it by its open(), "
            f"and waits until it is closed again. {advice}"
        )


# Names that another package has and we have not, each with the advice what to write instead.
ELSEWHERE = {
    "asyncClose": "asyncClose is qasync's. Qt does not wait for a closeEvent(): let it call event.ignore() and start a "
    "slot, which closes the window again when it is done; MIGRATING.md in asyncslot's repository shows one",
}

"""How a dialog that is awaited ends without an answer: cancelled, unloaded, deleted, or with the application."""

import asyncio
import functools
import os

import pytest
from qtpy import QtWidgets

import asyncslot
import senders
from asyncslot import asyncDialog, asyncModal
from dialog_user import Button, exec_of, when

pytestmark = pytest.mark.usefixtures("windows")


def run_qt(dialog_or_loop):
    """Call exec(), which PySide2 spells with an underscore."""
    return (getattr(dialog_or_loop, "exec", None) or dialog_or_loop.exec_)()


class Stubborn(QtWidgets.QDialog):
    """A dialog that asks before it goes, and one that refuses; neither may hold up an unload."""

    def __init__(self, refuses=False):
        super().__init__()
        self.calls = []
        self._refuses = refuses

    def closeEvent(self, event):
        self.calls.append("closeEvent")
        event.ignore()

    def reject(self):
        self.calls.append("reject")

    def done(self, code):
        self.calls.append(("done", code))
        if not self._refuses:
            super().done(code)


@pytest.mark.parametrize("by", ["asyncDialog", "asyncModal"])
@pytest.mark.parametrize("refuses", [False, True], ids=["asks", "refuses"])
def test_cancelled_it_is_closed_before_the_coroutine_goes_on(app, lease, spin, by, refuses):
    """By done(), in which dialogs clean up; not by what asks the user. What refuses is closed all the same."""
    dialog, events = Stubborn(refuses), []

    async def ask():
        try:
            await (asyncDialog(dialog) if by == "asyncDialog" else asyncModal(exec_of(dialog)))
        except asyncio.CancelledError:
            events.append(("cancelled", dialog.isVisible()))
            raise

    task = lease.create_task(ask())
    when(dialog.isVisible, task.cancel)
    spin(task.done)
    assert task.cancelled()
    assert events == [("cancelled", False)]
    assert dialog.calls == [("done", 0)]


def test_a_timeout_closes_it(app, run_coro):
    """wait_for() cancels."""
    dialog = QtWidgets.QDialog()

    async def ask():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncDialog(dialog), 0.05)
        return dialog.isVisible()

    assert run_coro(ask()) is False


def test_cancelled_before_its_first_step_it_never_opens(app, run_coro):
    """As with any coroutine."""
    dialog, shown = QtWidgets.QDialog(), []
    dialog.showEvent = lambda event: shown.append(True)

    async def cancel_at_once():
        task = asyncio.ensure_future(asyncDialog(dialog))
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert run_coro(cancel_at_once()) is True
    assert not shown


def test_what_an_override_raises_reaches_who_awaits(app, lease, spin):
    """It is not swallowed, and the dialog is closed."""

    class Failing(QtWidgets.QDialog):
        def done(self, code):
            raise ZeroDivisionError("in done()")

    dialog = Failing()
    task = lease.create_task(asyncDialog(dialog))
    spin(dialog.isVisible)
    task.cancel()
    spin(task.done)
    with pytest.raises(ZeroDivisionError, match=r"in done\(\)"):
        task.result()
    assert not dialog.isVisible()


@pytest.mark.parametrize("by", ["asyncDialog", "asyncModal", "asyncModal, partial", "asyncModal, unbound"])
def test_detach_closes_it(app, attach_as, spin, by):
    """Nothing of the plug-in's stays on the screen when a slot unloads it, and nothing is abandoned."""
    dialog, seen = QtWidgets.QDialog(), []
    awaitable = {
        "asyncDialog": lambda: asyncDialog(dialog),
        "asyncModal": lambda: asyncModal(exec_of(dialog)),
        "asyncModal, partial": lambda: asyncModal(functools.partial(exec_of(dialog))),
        "asyncModal, unbound": lambda: asyncModal(exec_of(QtWidgets.QDialog), dialog),
    }[by]
    lease = attach_as(__name__, "test")
    task = lease.create_task(awaitable())

    def unload():
        report = lease.detach()
        seen.append((dialog.isVisible(), task.cancelled(), report.ended, report.abandoned, lease.loop.is_closed()))

    when(dialog.isVisible, unload)
    spin(lambda: seen)
    assert seen == [(False, True, 1, [], True)]


def test_a_method_that_is_not_exec_says_nothing_of_the_dialog_that_it_opens(app, lease, spin):
    """The plug-in's window may be a dialog; cancelling what one of its methods asks must not close it."""

    class Window(QtWidgets.QDialog):
        def choose(self):
            run_qt(question)

    seen, window = [], Window()
    question = QtWidgets.QDialog(window)
    window.show()
    task = lease.create_task(asyncModal(window.choose))

    def look():
        seen.append((window.isVisible(), question.isVisible()))
        question.reject()

    when(question.isVisible, task.cancel)
    when(task.done, look)
    spin(lambda: seen)
    assert seen == [(True, True)]
    assert task.cancelled()
    window.close()


@pytest.mark.parametrize("what", ["its parent", "itself", "itself, after a click"])
def test_deleted_under_the_task_it_ends_with_an_error(app, lease, spin, what):
    """Nobody has answered; the task does not wait for ever."""
    window = QtWidgets.QWidget()
    dialog = QtWidgets.QMessageBox(window)
    dialog.setStandardButtons(Button.Yes | Button.No)
    task = lease.create_task(asyncDialog(dialog))
    spin(dialog.isVisible)
    if what == "itself, after a click":
        dialog.button(Button.Yes).click()
    senders.delete_at_once(window if what == "its parent" else dialog)
    spin(task.done)
    if what == "itself, after a click":
        assert task.result() == Button.Yes
    else:
        with pytest.raises(asyncslot.SenderDeletedError, match=r"asyncDialog\(\)"):
            task.result()


def test_cancelled_and_deleted_at_once(app, lease, spin):
    """A window that is closed cancels its tasks, and goes."""
    window = QtWidgets.QWidget()
    dialog = QtWidgets.QDialog(window)
    task = lease.create_task(asyncDialog(dialog))
    spin(dialog.isVisible)
    task.cancel()
    senders.delete_at_once(window)
    spin(task.done)
    assert task.cancelled()


LEAVING = """
import sys
from qtpy import QtCore, QtWidgets
app = QtWidgets.QApplication([])
import asyncslot
window = QtWidgets.QWidget()
dialogs = [QtWidgets.QDialog(window), QtWidgets.QMessageBox(), QtWidgets.QFileDialog()]

async def ask(dialog):
    try:
        await asyncslot.asyncDialog(dialog)
    finally:
        print("closed" if not dialog.isVisible() else "still open")

def leave_when_open():
    if all(dialog.isVisible() for dialog in dialogs):
        app.quit()
    else:
        QtCore.QTimer.singleShot(1, leave_when_open)

leave_when_open()
def run():
    (getattr(app, "exec", None) or app.exec_)()
if sys.argv[1:] == ["a host"]:
    lease = asyncslot.attach("test")
    tasks = [lease.create_task(ask(dialog)) for dialog in dialogs]
    run()
elif sys.argv[1:] == ["AsyncSlotRunner"]:
    with asyncslot.AsyncSlotRunner() as loop:
        tasks = [loop.create_task(ask(dialog)) for dialog in dialogs]
        run()
else:
    async def main():
        import asyncio
        await asyncio.gather(*map(ask, dialogs))
    try:
        asyncslot.AsyncSlotEventLoop().run_until_complete(main())
    except asyncslot.ApplicationQuitError:
        pass
print("over")
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["a host", "AsyncSlotRunner", "nested"])
def test_an_application_quits_with_dialogs_open(run_python, mode):
    """All are closed, and it goes."""
    done = run_python(LEAVING.replace("sys.argv[1:]", repr([mode])))
    assert done.stdout.splitlines() == ["closed"] * 3 + ["over"]
    assert "Traceback" not in done.stderr


def test_the_application_may_go_before_the_task_is_cancelled(run_python):
    """With it Qt deletes the dialog."""
    done = run_python(
        f"""
import os, sys
sys.path.insert(0, {os.path.dirname(senders.__file__)!r})
from qtpy import QtWidgets
app = QtWidgets.QApplication([])
import asyncslot
from senders import delete_at_once

lease = asyncslot.attach("test")
dialog = QtWidgets.QDialog()
task = lease.run_task(asyncslot.asyncDialog(dialog))
print(dialog.isVisible())
delete_at_once(app)
lease.detach()
print(task.cancelled(), flush=True)
os._exit(0)  # PySide2 5.15.2 ends badly after this without us, too
"""
    )
    assert done.stdout.split() == ["True", "True"]

"""Where asyncDialog cannot ask: what is no dialog, is open or gone already, or has nobody who could answer."""

import asyncio
import threading

import pytest
from qtpy import QtWidgets

import asyncslot
import senders
from asyncslot import asyncDialog
from dialog_user import Code, exec_of

pytestmark = pytest.mark.usefixtures("windows")


async def coroutine_function():
    """Not a dialog."""


@pytest.mark.parametrize("given", ["a result", "None", "a coroutine function", "a widget", "exec", "the class"])
def test_what_is_no_dialog_is_refused(app, run_coro, given):
    """The commonest slips: to execute it, and to name the way that opens it."""
    found = {
        "a result": 1,
        "None": None,
        "a coroutine function": coroutine_function,
        "a widget": QtWidgets.QWidget(),
        "exec": exec_of(QtWidgets.QDialog()),
        "the class": QtWidgets.QMessageBox,
    }[given]
    with pytest.raises(
        asyncslot.NotDialogError, match=r"asyncDialog\(dialog\), not asyncDialog\(dialog\.exec"
    ) as caught:
        run_coro(asyncDialog(found))
    assert isinstance(caught.value, TypeError)
    assert repr(found) in str(caught.value)


def test_one_that_is_open_already_is_refused_and_stays(app, lease, run_coro, spin):
    """It is somebody's, who has opened it and waits for it."""
    dialog = QtWidgets.QDialog()
    first = lease.create_task(asyncDialog(dialog))
    spin(dialog.isVisible)
    with pytest.raises(asyncslot.NotOpenedError, match="which is open already") as caught:
        run_coro(asyncDialog(dialog))
    assert isinstance(caught.value, RuntimeError)
    assert dialog.isVisible()
    dialog.accept()
    spin(first.done)
    assert first.result() == Code.Accepted


def test_one_that_does_not_show_is_told_and_not_waited_for(app, run_coro):
    """An open() of another meaning, say."""

    class Hidden(QtWidgets.QDialog):
        def open(self):
            pass

    with pytest.raises(asyncslot.NotOpenedError, match=r"whose open\(\) has not shown it"):
        run_coro(asyncDialog(Hidden()))


def test_one_that_answers_itself_while_it_opens_is_over_at_once(app, run_coro):
    """Its showEvent() may know the answer."""

    class Sure(QtWidgets.QDialog):
        def showEvent(self, event):
            super().showEvent(event)
            self.accept()

    assert run_coro(asyncDialog(Sure())) == Code.Accepted


def test_one_that_qt_has_deleted_is_told(app, run_coro):
    """And not touched."""
    dialog = QtWidgets.QDialog()
    senders.delete_at_once(dialog)
    with pytest.raises(asyncslot.SenderDeletedError, match=r"asyncDialog\(\)"):
        run_coro(asyncDialog(dialog))


def test_in_another_thread_it_is_refused(app):
    """A dialog belongs to the GUI thread."""
    errors, dialog = [], QtWidgets.QDialog()

    def other_thread():
        with pytest.raises(asyncslot.ThreadError, match=r"asyncDialog\(\)") as caught:
            asyncio.run(asyncDialog(dialog))
        errors.append(caught.type)

    thread = threading.Thread(target=other_thread)
    thread.start()
    thread.join()
    assert errors == [asyncslot.ThreadError]
    assert not dialog.isVisible()


@pytest.mark.parametrize("when", ["before it opens", "while it is open", "asyncio.run()"])
def test_where_no_qt_loop_runs_it_is_refused_and_closed(app, lease, spin, when):
    """The user could not answer, and both would wait for ever."""
    dialog = QtWidgets.QDialog()
    waits = {
        "before it opens": lambda: lease.run_until_complete(asyncDialog(dialog), timeout=10),
        "while it is open": lambda: lease.run_until_complete(task, timeout=10),
        "asyncio.run()": lambda: asyncio.run(asyncDialog(dialog)),
    }
    if when == "while it is open":
        task = lease.create_task(asyncDialog(dialog))
        spin(dialog.isVisible)
    with pytest.raises(asyncslot.NoQtLoopError, match=r"asyncDialog\(\).*Call dialog\.exec\(\)"):
        waits[when]()
    assert not dialog.isVisible()


def test_clean_up_that_asks_is_told_that_nobody_can_answer(app, attach_as, spin):
    """detach() waits for it, without Qt; its dialog is not left open."""
    first, second, events = QtWidgets.QDialog(), QtWidgets.QDialog(), []

    async def ask():
        try:
            await asyncDialog(first)
        finally:
            try:
                await asyncDialog(second)
            except asyncslot.NoQtLoopError:
                events.append("told")

    lease = attach_as(__name__, "test")
    lease.create_task(ask())
    spin(first.isVisible)
    report = lease.detach()
    assert (events, report.abandoned) == (["told"], [])
    assert [first.isVisible(), second.isVisible()] == [False, False]

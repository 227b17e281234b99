"""asyncDialog: a dialog that is awaited and nests no Qt loop, while it is open.

What it returns is in test_dialog_answers.py, how it ends when nobody answers in test_dialog_ends.py, and where there
can be none in test_dialog_refused.py.
"""

import asyncio
import gc
import weakref

import pytest
from qtpy import QtCore, QtWidgets

import dialog_user
import senders
from asyncslot import asyncDialog, asyncModal
from dialog_user import Button, Code, box, exec_of, when

pytestmark = pytest.mark.usefixtures("windows")

ask = pytest.fixture(dialog_user.ask)


def test_nothing_is_on_the_stack_while_it_is_open(app, lease, spin):
    """No Qt loop is added, none of asyncio's is running, and another plug-in's asyncio.run() works."""
    seen, dialog = [], QtWidgets.QDialog()

    def level():
        return QtCore.QThread.currentThread().loopLevel()

    async def other():
        await asyncio.sleep(0)
        return "the other plug-in's"

    def slot():
        seen.append((level(), asyncio._get_running_loop(), asyncio.run(other())))
        dialog.accept()

    async def ask():
        QtCore.QTimer.singleShot(0, lambda: seen.append(level()))
        await asyncDialog(dialog)

    task = lease.create_task(ask())
    spin(dialog.isVisible)
    QtCore.QTimer.singleShot(0, slot)
    spin(task.done)
    assert seen == [seen[0], (seen[0], None, "the other plug-in's")]


@pytest.mark.parametrize("first", [0, 1])
def test_two_dialogs_at_once_are_answered_in_any_order(app, lease, spin, first):
    """Each task goes on with its own answer while the other dialog is open."""
    dialogs = [QtWidgets.QDialog(), box(Button.Yes, Button.No)]
    tasks = [lease.create_task(asyncDialog(dialog)) for dialog in dialogs]
    spin(lambda: all(dialog.isVisible() for dialog in dialogs))
    users = [dialogs[0].accept, dialogs[1].button(Button.Yes).click]
    users[first]()
    spin(tasks[first].done)
    assert dialogs[1 - first].isVisible()
    assert not tasks[1 - first].done()
    users[1 - first]()
    spin(tasks[1 - first].done)
    assert [task.result() for task in tasks] == [Code.Accepted, Button.Yes]


def test_a_dialog_opens_another(app, lease, spin):
    """From a slot of the first, which waits on, and goes on being answered after it."""
    events, outer = [], QtWidgets.QDialog()
    inner = QtWidgets.QMessageBox(outer)
    inner.setStandardButtons(Button.Yes | Button.No)

    class Page(QtCore.QObject):
        clicked = QtCore.Signal()

    async def on_click():
        events.append(await asyncDialog(inner))
        outer.accept()

    page = Page()
    page.clicked.connect(lease.slot(on_click))

    async def ask():
        events.append(await asyncDialog(outer))

    task = lease.create_task(ask())
    spin(outer.isVisible)
    page.clicked.emit()
    spin(inner.isVisible)
    assert outer.isVisible()
    inner.button(Button.Yes).click()
    spin(task.done)
    assert events == [Button.Yes, Code.Accepted]


def test_one_that_is_open_inside_anothers_exec_ends_by_itself(app, lease, spin):
    """Of two ways in one plug-in neither stops the other."""
    nested, dialog, events = QtWidgets.QDialog(), QtWidgets.QDialog(), []

    async def ask():
        events.append((await asyncDialog(dialog), nested.isVisible()))
        nested.done(5)

    when(nested.isVisible, lambda: lease.create_task(ask()))
    when(dialog.isVisible, dialog.accept)
    modal = lease.create_task(asyncModal(exec_of(nested)))
    spin(modal.done)
    assert modal.result() == 5
    assert events == [(Code.Accepted, True)]


def test_it_blocks_its_parents_window_only(app, lease, spin):
    """As open() does, and afterwards it is as modal as it was."""
    window = QtWidgets.QWidget()
    window.show()
    dialog = QtWidgets.QDialog(window)
    task = lease.create_task(asyncDialog(dialog))
    spin(dialog.isVisible)
    assert dialog.windowModality() == QtCore.Qt.WindowModality.WindowModal
    dialog.accept()
    spin(task.done)
    assert dialog.windowModality() == QtCore.Qt.WindowModality.NonModal
    senders.delete_at_once(window)


def test_a_window_that_is_made_anew_meanwhile_is_followed(app, ask):
    """setWindowFlags() hides the dialog and makes it another window."""
    old = []

    def stay_on_top(dialog):
        old.append(dialog.windowHandle())
        dialog.setWindowFlags(dialog.windowFlags() | QtCore.Qt.WindowType.WindowStaysOnTopHint)
        dialog.show()

    assert ask(QtWidgets.QDialog(), stay_on_top, lambda dialog: dialog.hide()) == Code.Rejected


def test_a_dialog_to_which_only_its_task_refers_stays(app, lease, spin):
    """And goes with it, at once."""
    gone = []

    async def ask():
        dialog = QtWidgets.QDialog()
        dialog.destroyed.connect(lambda *_: gone.append(True))
        opened.append(weakref.ref(dialog))
        return await asyncDialog(dialog)

    opened = []
    lease.loop.run_task(ask())
    spin(lambda: opened and opened[0]().isVisible())
    gc.collect()
    assert not gone
    gc.disable()
    try:
        opened[0]().accept()
        spin(lambda: gone)
    finally:
        gc.enable()


def test_a_hundred_openings_leave_no_qobject(app, lease, spin):
    """No timer, no connection, no window."""
    dialog = QtWidgets.QDialog()

    async def ask():
        for number in range(100):
            lease.loop.call_soon(dialog.done, number % 2)
            assert await asyncDialog(dialog) == number % 2

    def objects():
        app.sendPostedEvents()
        gc.collect()
        return sum(isinstance(found, QtCore.QObject) for found in gc.get_objects())

    before = objects()
    task = lease.create_task(ask())
    spin(task.done)
    task.result()
    del task
    assert objects() <= before

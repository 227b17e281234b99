"""asyncDialog: a dialog that is awaited and nests no Qt loop, with an answer that cannot be misread."""

import asyncio
import functools
import gc
import os
import threading
import weakref

import pytest
from qtpy import API_NAME, QtCore, QtTest, QtWidgets

import asyncslot
import senders
from asyncslot import asyncDialog, asyncModal

pytestmark = pytest.mark.usefixtures("windows")

Button = QtWidgets.QMessageBox.StandardButton
Role = QtWidgets.QMessageBox.ButtonRole
Code = QtWidgets.QDialog.DialogCode


def run_qt(dialog_or_loop):
    """Call exec(), which PySide2 spells with an underscore."""
    return (getattr(dialog_or_loop, "exec", None) or dialog_or_loop.exec_)()


def exec_of(dialog):
    """Return the method: PySide2's `exec` does not tell whose it is."""
    return getattr(dialog, "exec_", None) or dialog.exec


def when(is_so, function):
    """Have Qt call a function, as it calls a plain slot, as soon as a condition holds; inside another's exec(), too."""
    if is_so():
        QtCore.QTimer.singleShot(0, function)
    else:
        QtCore.QTimer.singleShot(1, lambda: when(is_so, function))


@pytest.fixture
def ask(lease, spin):
    """Return a function that awaits a dialog, has Qt call `user` when it is open, and returns the answer."""

    def ask(dialog, *users):
        task = lease.create_task(asyncDialog(dialog))
        for user in users:
            spin(dialog.isVisible)
            user(dialog)
        spin(task.done)
        assert not dialog.isVisible()
        return task.result()

    return ask


def escape(dialog):
    QtTest.QTest.keyClick(dialog, QtCore.Qt.Key.Key_Escape)


def close_window(dialog):
    """As the window's own button does."""
    dialog.close()


# -- what it returns -----------------------------------------------------------


def box(*buttons):
    made = QtWidgets.QMessageBox()
    made.setText("Stop the download?")
    for button in buttons:
        made.addButton(button)
    return made


BOXES = {
    "a button": ([Button.Yes, Button.No], lambda box: box.button(Button.Yes).click(), Button.Yes),
    "the other button": ([Button.Yes, Button.No], lambda box: box.button(Button.No).click(), Button.No),
    "Escape": ([Button.Ok, Button.Cancel], escape, Button.Cancel),
    "Escape and No": ([Button.Yes, Button.No], escape, Button.No),
    "the window's button": ([Button.Ok, Button.Cancel], close_window, Button.Cancel),
    "the window's button, and only Ok": ([Button.Ok], close_window, Button.Ok),
    "Enter": ([Button.Ok], lambda box: QtTest.QTest.keyClick(box, QtCore.Qt.Key.Key_Return), Button.Ok),
    "code that rejects": ([Button.Yes, Button.No], lambda box: box.reject(), Button.NoButton),
    "code that answers": ([Button.Yes, Button.No], lambda box: box.done(int(Button.Yes)), Button.Yes),
    "code that hides": ([Button.Yes, Button.No], lambda box: box.hide(), Button.NoButton),
}


@pytest.mark.parametrize("case", BOXES)
def test_a_message_box_returns_the_button(app, ask, case):
    """Of the type that has Qt's name, so that it is compared with it, from either side, and with no other."""
    buttons, user, expected = BOXES[case]
    answer = ask(box(*buttons), user)
    assert type(answer) is type(Button.Yes)
    assert (answer == expected, expected == answer) == (True, True)
    others = {Button.Yes, Button.No, Button.Ok, Button.Cancel, Button.NoButton} - {expected}
    assert [other for other in others if answer == other] == []


@pytest.mark.parametrize("number", [0, 1])
def test_a_button_of_ones_own_is_the_answer_itself(app, ask, number):
    """Also the first, of which Qt 5 says 0 as it does of a dialog that was rejected; and each time again."""
    asked = box(Button.Cancel)
    own = [asked.addButton(text, Role.ActionRole) for text in ("Retry", "Skip")]
    for _ in range(2):
        assert ask(asked, lambda _: own[number].click()) is own[number]
    assert ask(asked, escape) == Button.Cancel
    assert ask(asked, lambda asked: asked.done(0)) == Button.NoButton


def test_a_button_of_ones_own_can_be_the_one_for_escape(app, ask):
    """Then it is the answer when the window is closed, too."""
    asked = box(Button.Ok)
    own = asked.addButton("Later", Role.RejectRole)
    assert ask(asked, escape) is own
    fresh = box(Button.Ok)
    own = fresh.addButton("Later", Role.RejectRole)
    assert ask(fresh, close_window) is own


def test_a_box_that_is_asked_again_does_not_give_its_old_answer(app, ask):
    """In Qt 5 it keeps the button that was clicked."""
    asked = box(Button.Yes, Button.No)
    assert ask(asked, lambda asked: asked.button(Button.Yes).click()) == Button.Yes
    assert ask(asked, lambda asked: asked.reject()) == Button.NoButton
    assert ask(asked, close_window) == Button.No
    own = asked.addButton("Delete", Role.DestructiveRole)
    assert ask(asked, lambda _: own.click()) is own
    assert ask(asked, lambda asked: asked.reject()) == Button.NoButton


def test_to_show_the_details_is_no_answer(app, ask):
    """That button of Qt's leaves the box open."""
    asked = box(Button.Yes, Button.No)
    asked.setDetailedText("Three of four files are there.")

    def show_details(asked):
        (details,) = [button for button in asked.buttons() if asked.buttonRole(button) == Role.ActionRole]
        details.click()

    assert ask(asked, show_details, lambda asked: asked.button(Button.No).click()) == Button.No


def test_a_click_that_the_box_refuses_is_no_answer(app, ask, spin):
    """Where an override of done() has it stay open, the next click counts. Qt 5 does not ask done()."""

    class Refusing(QtWidgets.QMessageBox):
        refused = 0

        def done(self, code):
            if code == int(Button.Yes):
                self.refused += 1
            else:
                super().done(code)

    asked = Refusing()
    asked.setStandardButtons(Button.Yes | Button.No)

    def click_and_let_go(asked):
        asked.button(Button.Yes).click()
        turns = iter(range(5))
        spin(lambda: next(turns, None) is None)
        asked.hide()

    assert (ask(asked, click_and_let_go), asked.refused) in [(Button.NoButton, 1), (Button.Yes, 0)]


DIALOGS = {
    "accept()": (lambda dialog: dialog.accept(), Code.Accepted),
    "reject()": (lambda dialog: dialog.reject(), Code.Rejected),
    "Escape": (escape, Code.Rejected),
    "the window's button": (close_window, Code.Rejected),
    "hide(), as under exec()": (lambda dialog: dialog.hide(), Code.Rejected),
}


@pytest.mark.parametrize("case", DIALOGS)
@pytest.mark.parametrize("kind", ["QDialog", "QInputDialog", "QFileDialog", "QColorDialog", "QFontDialog", "QWizard"])
def test_any_other_dialog_returns_its_code(app, ask, kind, case):
    """`if await asyncDialog(d):` and `== Accepted` are both right."""
    user, expected = DIALOGS[case]
    dialog = getattr(QtWidgets, kind)()
    if kind == "QFileDialog":
        dialog.setFileMode(getattr(dialog, "FileMode", dialog).Directory)  # the current one can be accepted as it is
    answer = ask(dialog, user)
    assert type(answer) is type(Code.Accepted)
    assert (answer == Code.Accepted, answer == Code.Rejected) == (expected == Code.Accepted, expected == Code.Rejected)
    assert bool(answer) == (expected == Code.Accepted)
    assert answer == {Code.Accepted: 1, Code.Rejected: 0}[expected]


def test_a_code_of_the_dialogs_own_is_returned(app, ask):
    """What exec() would return."""
    answer = ask(QtWidgets.QDialog(), lambda dialog: dialog.done(7))
    assert answer == 7
    assert answer != Code.Accepted


@pytest.mark.parametrize(
    ("how", "expected"),
    [("runs out", Code.Accepted), ("cancel()", Code.Rejected), ("window", Code.Rejected), ("Escape", Code.Rejected)],
)
def test_a_progress_dialog_ends_though_qt_says_nothing(app, ask, how, expected):
    """It hides itself, and emits no `finished`."""
    dialog = QtWidgets.QProgressDialog("Fetching", "Stop", 0, 3)

    def run_out(dialog):
        for value in range(4):
            dialog.setValue(value)

    user = {"runs out": run_out, "cancel()": lambda dialog: dialog.cancel(), "window": close_window, "Escape": escape}
    answer = ask(dialog, user[how])
    assert answer == expected
    assert bool(answer) == (expected == Code.Accepted)


def test_a_dialogs_own_names_are_not_taken_for_qts(app, ask):
    """A plug-in's class may have its own `result`; PySide would find its own `finished`, and is told to."""

    class Own(QtWidgets.QDialog):
        result = None
        isHidden = None

    assert ask(Own(), lambda dialog: dialog.accept()) == Code.Accepted
    dialog = Own()
    dialog.finished = False
    if API_NAME == "PySide6":
        with pytest.raises(asyncslot.NotOpenedError, match="`finished` is False and hides"):
            ask(dialog)
    else:
        assert ask(dialog, lambda dialog: dialog.accept()) == Code.Accepted


def test_what_the_user_has_put_in_can_be_read_afterwards(app, ask):
    """The dialog stays, and can be asked again."""
    dialog = QtWidgets.QInputDialog()
    for text in ("Oslo", "Bergen"):

        def type_and_accept(dialog, text=text):
            dialog.setTextValue(text)
            dialog.accept()

        assert ask(dialog, type_and_accept)
        assert dialog.textValue() == text


@pytest.mark.parametrize("user", [close_window, lambda dialog: dialog.accept()], ids=["closed", "accepted"])
def test_a_dialog_that_deletes_itself_is_read_before_it_goes(app, lease, spin, user):
    """With WA_DeleteOnClose it would be gone before the coroutine goes on."""
    read = []
    dialog = QtWidgets.QInputDialog()
    dialog.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)

    async def ask():
        answer = await asyncDialog(dialog)
        read.append((bool(answer), dialog.textValue()))

    task = lease.create_task(ask())
    spin(dialog.isVisible)
    dialog.setTextValue("Oslo")
    gone = []
    dialog.destroyed.connect(lambda *_: gone.append(True))
    user(dialog)
    spin(task.done)
    task.result()
    spin(lambda: gone)
    assert read == [(user is not close_window, "Oslo")]


def test_a_box_that_deletes_itself_tells_which_button_closed_its_window(app, lease, spin):
    """Qt tells after `finished`."""
    asked = box(Button.Ok, Button.Cancel)
    asked.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
    task = lease.create_task(asyncDialog(asked))
    spin(asked.isVisible)
    asked.close()
    spin(task.done)
    assert task.result() == Button.Cancel


# -- no loop is nested ---------------------------------------------------------


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


# -- when it is cancelled, unloaded or deleted ---------------------------------


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


# -- where it cannot be --------------------------------------------------------


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

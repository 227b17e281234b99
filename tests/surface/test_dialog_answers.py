"""What asyncDialog returns: the button that was clicked, or the dialog's code, and neither can be misread."""

import pytest
from qtpy import API_NAME, QtCore, QtTest, QtWidgets

import asyncslot
import dialog_user
from asyncslot import asyncDialog
from dialog_user import Button, Code, box

pytestmark = pytest.mark.usefixtures("windows")

Role = QtWidgets.QMessageBox.ButtonRole

ask = pytest.fixture(dialog_user.ask)


def escape(dialog):
    QtTest.QTest.keyClick(dialog, QtCore.Qt.Key.Key_Escape)


def close_window(dialog):
    """As the window's own button does."""
    dialog.close()


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

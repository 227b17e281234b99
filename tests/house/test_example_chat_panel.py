"""examples/chat/qgis/async_chat/panel.py in a Qt application: what it shows, and in which frame.

It runs on this process's binding, against the server that comes with the example.
"""

import importlib
import logging
import re
import sys

import pytest

import asyncslot
import chat_panel
from asyncslot import _steps
from chat_panel import is_idle, said, send
from chat_service import try_server
from example_leftovers import is_alive

KEY = "sk-0123456789-secret"

unix_only = pytest.mark.skipif(sys.platform == "win32", reason="a completion port reads otherwise")

parts = pytest.fixture(chat_panel.parts)
settings = pytest.fixture(chat_panel.settings)
server = pytest.fixture(chat_panel.server)


@pytest.fixture
def module(parts, lease, windows):
    return importlib.import_module(parts + ".panel")


@pytest.fixture
def dock(module, lease, settings, server, spin):
    """The dock in a window, set to the server on this machine."""
    window = module.QtWidgets.QMainWindow()
    dock = module.QtWidgets.QDockWidget("Chat", window)
    dock.setWidget(module.ChatPanel(lease, settings, dock))
    window.addDockWidget(module.QtCore.Qt.DockWidgetArea.RightDockWidgetArea, dock)
    dock.widget().address.setText(server.address)
    window.resize(400, 600)
    window.show()
    yield dock
    window.deleteLater()
    spin(lambda: not is_alive(window))


@pytest.fixture
def panel(dock):
    return dock.widget()


@pytest.fixture
def chat(panel):
    [chat] = panel.conversations()
    return chat


def test_the_answer_is_shown_and_the_history_sent(panel, chat, server, spin):
    """Question and answer, and with the next question all that was said."""
    send(panel, chat, "First", "count")
    assert not is_idle(chat), "the slot's first part runs inside the click"
    assert chat.question.toPlainText() == ""
    spin(lambda: is_idle(chat))
    send(panel, chat, "Second")
    spin(lambda: is_idle(chat))
    answers = [f"Question {count} of this conversation:" for count in (1, 2)]
    assert said(chat).split("\n") == ["First", answers[0], "", "Second", answers[1], "", ""]
    assert server.questions == [
        [{"role": "user", "content": "First"}],
        [
            {"role": "user", "content": "First"},
            {"role": "assistant", "content": answers[0]},
            {"role": "user", "content": "Second"},
        ],
    ]


def test_an_empty_question_is_not_sent(panel, chat, server):
    send(panel, chat, " \n")
    assert is_idle(chat)
    assert said(chat) == ""


def test_return_sends_and_with_shift_makes_a_line(module, panel, chat, spin):
    """As in other chats."""
    core = module.QtCore.Qt
    panel.model.setText("count")
    chat.question.setPlainText("")
    for text, modifier in (("a", "NoModifier"), ("", "ShiftModifier"), ("b", "NoModifier"), ("", "NoModifier")):
        key = core.Key.Key_A if text else core.Key.Key_Return
        pressed = (module.QtCore.QEvent.Type.KeyPress, key, getattr(core.KeyboardModifier, modifier), text or "\r")
        module.QtWidgets.QApplication.sendEvent(chat.question, module.QtGui.QKeyEvent(*pressed))
    spin(lambda: is_idle(chat))
    assert said(chat).startswith("a\nb\nQuestion 1 of")


def test_what_a_model_says_is_plain_text(module, panel, chat, spin):
    """Its HTML is not taken for ours."""
    send(panel, chat, "<b>bold</b> <img src='http://x'>", "whole")
    spin(lambda: is_idle(chat))
    assert said(chat).count("<b>bold</b> <img src='http://x'>") == 2


ERRORS = {
    "breaks-off": ("broke off in the middle", False),
    "nobody": (r"does not know the model 'nobody'.*: The model 'nobody' does not exist\.", True),
}


@pytest.mark.parametrize("model", ERRORS)
def test_errors_are_in_the_conversation(panel, chat, spin, model):
    """A question that was not answered at all goes back to where it was typed."""
    words, is_back = ERRORS[model]
    send(panel, chat, "Hello", model)
    spin(lambda: is_idle(chat))
    assert re.search(rf"^\[.*{words}.*\]$", said(chat), re.MULTILINE), said(chat)
    assert chat.question.toPlainText() == ("Hello" if is_back else "")
    assert len(chat._history) == (0 if is_back else 2)


@pytest.mark.parametrize("way", ["button", "dock"])
def test_stop_cancels(dock, panel, chat, server, spin, way):
    """By the button, or by closing the dock; what has come is kept, and the server learns of it."""
    send(panel, chat, "Hello", "held")
    spin(lambda: server.begun.value == 1)
    spin(lambda: "Well, " in said(chat))
    (chat.stop_button.click if way == "button" else dock.close)()
    spin(lambda: is_idle(chat))
    assert said(chat) == "Hello\nWell, \n[Stopped]\n\n"
    assert chat._history[-1] == {"role": "assistant", "content": "Well, "}
    spin(lambda: server.gone.value == 1)


def test_a_dock_that_is_hidden_behind_another_goes_on(module, dock, panel, chat, server, spin):
    """It is not closed."""
    window = dock.parentWidget()
    other = module.QtWidgets.QDockWidget("Other", window)
    window.tabifyDockWidget(dock, other)
    send(panel, chat, "Hello", "held")
    spin(lambda: server.begun.value == 1)
    other.raise_()
    spin(lambda: chat.visibleRegion().isEmpty())
    assert not is_idle(chat)
    chat.stop()
    spin(lambda: is_idle(chat))


def test_two_conversations_at_once(panel, chat, server, spin):
    """Each with a history of its own; closing one ends its answer, and not the other's."""
    panel.add_button.click()
    other = panel.conversations()[1]
    send(panel, chat, "One", "held")
    send(panel, other, "Two", "held")
    spin(lambda: server.begun.value == 2)
    spin(lambda: "Well, " in said(chat))
    panel.tabs.tabCloseRequested.emit(1)
    spin(lambda: not is_alive(other))
    spin(lambda: server.gone.value == 1)
    assert panel.conversations() == [chat]
    assert not is_idle(chat)
    chat.stop()
    spin(lambda: is_idle(chat))
    send(panel, chat, "Three", "count")
    spin(lambda: is_idle(chat))
    assert [each["content"] for each in server.questions[-1]] == ["One", "Well, ", "Three"]


def test_the_last_tab_makes_room_for_another(panel, chat):
    panel.tabs.tabCloseRequested.emit(0)
    assert len(panel.conversations()) == 1
    assert panel.conversations() != [chat]


def test_settings_are_kept(module, panel, lease, settings):
    """In the host's settings; and the key is not shown."""
    panel.model.setText("another")
    panel.key.setText(KEY)
    panel.model.editingFinished.emit()
    other = module.ChatPanel(lease, settings)
    assert (other.address.text(), other.model.text()) == (panel.address.text(), "another")
    assert other.key.text() == KEY
    assert other.key.displayText() != KEY
    other.deleteLater()


@pytest.mark.parametrize(("typed", "variable"), [(KEY, "another"), ("", KEY)])
def test_the_key_comes_from_the_settings_or_the_environment(panel, chat, server, spin, monkeypatch, typed, variable):
    """What is typed comes first."""
    server.key = KEY
    monkeypatch.setenv("ASYNC_CHAT_KEY", variable)
    panel.key.setText(typed)
    send(panel, chat, "Hello", "count")
    spin(lambda: is_idle(chat))
    assert "Question 1 of" in said(chat)


def test_the_key_is_in_no_log(panel, chat, server, lease, spin, caplog, capfd):
    """Whatever asyncio, the loop's report and a failing slot tell, in debug mode."""
    caplog.set_level(logging.DEBUG)
    lease.loop.set_debug(True)
    server.key = KEY
    panel.key.setText(KEY)
    for model in ("count", "breaks-off", "nobody", "key", "silent"):
        send(panel, chat, "Hello", model)
        spin(lambda model=model: is_idle(chat) or model == "silent")
    told = asyncslot.report()
    assert "stream_answer" in told or "_ask" in told
    chat.stop()
    spin(lambda: is_idle(chat))
    chat._find_service = lambda: panel._service() / 0  # a mistake in the plug-in
    send(panel, chat)
    spin(lambda: "TypeError" in caplog.text)
    assert is_idle(chat)
    assert KEY not in caplog.text + told + "".join(capfd.readouterr()) + said(chat)


# -- frames ------------------------------------------------------------------


# Seconds that the panel takes for a token here, on a clock that goes on nowhere else: what is counted does not depend
# on the machine.
WORK = 0.0005
FRAME = 0.016


class Screen:
    """The host's turns, and how many tokens have come before each."""

    def __init__(self, core, clock):
        self.turns = []
        self._clock = clock
        self._came = 0
        self._timer = core.QTimer()
        self._timer.timeout.connect(self.turn)
        self._timer.start(0)

    def show(self):
        self._came += 1
        self._clock[0] += WORK

    def turn(self):
        if self._came:
            self.turns.append(self._came)
            self._came = 0

    def close(self):
        self._timer.stop()
        self.turn()


@unix_only
def test_tokens_that_are_there_at_once_cost_no_frame(module, panel, chat, spin, monkeypatch):
    """Of 2,000, Qt has its turn after those that one read brings, and shows many with one insertion."""
    clock, insertions = [1000.0], []
    monkeypatch.setattr(_steps, "monotonic", lambda: clock[0])
    screen = Screen(module.QtCore, clock)
    show, write = chat._show, chat._write
    monkeypatch.setattr(chat, "_show", lambda piece: (screen.show(), show(piece)))
    monkeypatch.setattr(chat, "_write", lambda *what: (insertions.append(what), write(*what)))
    send(panel, chat, "Hello there, you of many words", "flood")
    spin(lambda: is_idle(chat))
    screen.close()
    assert sum(screen.turns) == try_server.FLOOD
    assert max(screen.turns) * WORK <= FRAME
    assert len(insertions) < try_server.FLOOD / 4
    assert len(said(chat)) > 2 * try_server.FLOOD


def test_a_token_that_comes_alone_is_shown_at_once(module, panel, chat):
    """And those that come before the next frame are shown together."""
    for piece in ("a", "b", "c"):
        chat._show(piece)
    assert said(chat) == "a"
    chat._frame.timeout.emit()
    assert said(chat) == "abc"
    chat._finish("", "")


def test_text_that_takes_long_to_show_is_shown_less_often(module, chat, monkeypatch):
    """The host has four times as long for itself."""
    clock = [0.0]
    monkeypatch.setattr(module, "perf_counter", lambda: clock[0])
    for seconds, interval in ((0.001, 16), (0.1, 400)):
        monkeypatch.setattr(chat, "_write", lambda *what, took=seconds: clock.append(clock.pop() + took))
        chat._frame.stop()
        chat._show("a")
        assert chat._frame.interval() == interval
    chat._finish("", "")


def test_the_view_follows_unless_somebody_reads_above(panel, chat, spin):
    """The scroll bar stays at its end, and where the user has put it; resizing changes nothing."""
    bar = chat.view.verticalScrollBar()
    for _ in range(2):
        send(panel, chat, "Hello there, you of many words", "flood")
        spin(lambda: is_idle(chat))
        assert bar.value() == bar.maximum() > 0
    panel.window().resize(300, 500)
    spin(lambda: bar.value() == bar.maximum())
    bar.setValue(10)
    chat._write("more\n" * 50, chat._of_model)
    assert bar.value() == 10
    bar.setValue(bar.maximum())
    chat._write("more\n" * 50, chat._of_model)
    assert bar.value() == bar.maximum()

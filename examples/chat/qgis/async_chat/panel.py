"""The chat panel: conversations with a language model in tabs, and below them the settings of the server.

It runs in every host with a Qt of its own. Import it after attach(): by then the host's Qt binding is loaded, whichever
it is. A plug-in for one host would just write `from PySide6.QtWidgets import ...`.
"""

import asyncio
import importlib
import os
import sys
from time import perf_counter

from .client import ChatError, Service, stream_answer


def _binding():
    """Return the name of the loaded Qt binding: the one whose application runs, should somebody have loaded two."""
    loaded = [name for name in ("PySide6", "PyQt6", "PySide2", "PyQt5") if name + ".QtCore" in sys.modules]
    running = [name for name in loaded if sys.modules[name + ".QtCore"].QCoreApplication.instance() is not None]
    if not running:
        raise ImportError("panel.py was imported before there was a Qt application; call attach() first")
    return running[0]


_name = _binding()
QtCore = importlib.import_module(_name + ".QtCore")
QtGui = importlib.import_module(_name + ".QtGui")
QtWidgets = importlib.import_module(_name + ".QtWidgets")

TITLE = "Async chat"
ADDRESS = "http://127.0.0.1:8765/v1"  # where try_server.py of this example listens
MODEL = "words"
# The key may lie here, where no file of the host's has it. A variable of our own: the key of a provider must not go to
# whatever address is entered.
KEY_VARIABLE = "ASYNC_CHAT_KEY"

FRAME_MS = 16


class ChatPanel(QtWidgets.QWidget):
    """Conversations in tabs, as many at once as the user likes.

    Args:
        lease: what `asyncslot.attach()` returned; the answers are awaited under it.
        settings: the host's, a QSettings or what has its value() and setValue().
        parent: a QWidget, or None.
    """

    def __init__(self, lease, settings, parent=None):
        super().__init__(parent)
        self._lease = lease
        self._settings = settings
        self._count = 0
        self._build()
        self.add_button.clicked.connect(self.add)
        self.tabs.tabCloseRequested.connect(self._close)
        for field in self._fields.values():
            field.editingFinished.connect(self._save)
        self.add()

    def _build(self):
        self.setObjectName("AsyncChatPanel")
        self.setWindowTitle(TITLE)
        self.tabs = QtWidgets.QTabWidget()
        self.tabs.setTabsClosable(True)
        self.add_button = QtWidgets.QToolButton()
        self.add_button.setText("+")
        self.add_button.setToolTip("Another conversation")
        self.tabs.setCornerWidget(self.add_button)
        self.address = QtWidgets.QLineEdit()
        self.address.setToolTip("http:// or https://; /v1/chat/completions is added")
        self.model = QtWidgets.QLineEdit()
        self.key = QtWidgets.QLineEdit()
        self.key.setEchoMode(QtWidgets.QLineEdit.EchoMode.Password)
        self.key.setPlaceholderText(f"or in the variable {KEY_VARIABLE}")
        self._fields = {"address": self.address, "model": self.model, "key": self.key}
        form = QtWidgets.QFormLayout()
        for (name, field), default in zip(self._fields.items(), (ADDRESS, MODEL, "")):
            field.setText(str(self._settings.value("async_chat/" + name, default) or ""))
            field.setCursorPosition(0)
            form.addRow(name.capitalize(), field)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.tabs, 1)
        layout.addLayout(form)

    def add(self):
        """Open another conversation, and show it."""
        self._count += 1
        conversation = Conversation(self._lease, self._service, self.tabs)
        self.tabs.setCurrentIndex(self.tabs.addTab(conversation, f"Chat {self._count}"))
        conversation.question.setFocus()

    def hideEvent(self, event):
        """Cancel all answers that are under way: the dock has been closed, in whatever way the host does that.

        A dock that lies behind another is not hidden, as Qt sees it, and nor is a minimized window.
        """
        if not event.spontaneous():
            for conversation in self.conversations():
                conversation.stop()
        super().hideEvent(event)

    def conversations(self):
        return [self.tabs.widget(index) for index in range(self.tabs.count())]

    def _close(self, index):
        conversation = self.tabs.widget(index)
        conversation.stop()
        self.tabs.removeTab(index)
        conversation.deleteLater()
        if self.tabs.count() == 0:
            self.add()

    def _service(self):
        key = self.key.text().strip() or os.environ.get(KEY_VARIABLE, "").strip()
        return Service(self.address.text().strip(), self.model.text().strip(), key)

    def _save(self):
        for name, field in self._fields.items():
            self._settings.setValue("async_chat/" + name, field.text().strip())


class Conversation(QtWidgets.QWidget):
    """One conversation: what has been said, a line to type in, and a button each to send it and to stop the answer.

    Args:
        lease: as for ChatPanel.
        find_service: returns the Service to ask.
        parent: a QWidget, or None.
    """

    def __init__(self, lease, find_service, parent=None):
        super().__init__(parent)
        self._find_service = find_service
        self._history = []  # what goes with the next question
        self._task = None
        self._is_following = True
        self._waiting = []  # pieces of the answer that are not shown yet
        self._frame = QtCore.QTimer(self)
        self._frame.setSingleShot(True)
        self._frame.timeout.connect(self._show_waiting)
        self._build()

        # A slot that is a coroutine function: each click starts it as a task. A tab that is closed, or deleted by the
        # host, cancels it.
        ask = lease.slot(self._ask, on_repeat="drop", cancel_with_receiver=True)
        self.send_button.clicked.connect(ask)
        self.stop_button.clicked.connect(self.stop)
        bar = self.view.verticalScrollBar()
        bar.valueChanged.connect(self._note_scrolling)
        bar.rangeChanged.connect(self._follow)

    def _build(self):
        self.view = QtWidgets.QTextEdit()
        self.view.setReadOnly(True)
        self.view.setUndoRedoEnabled(False)  # or every piece is kept once more
        self.send_button = QtWidgets.QPushButton("Send")
        self.stop_button = QtWidgets.QPushButton("Stop")
        self.question = Question(self.send_button)
        self._show_busy(False)
        font = self.view.font()
        font.setBold(True)
        self._of_user = QtGui.QTextCharFormat()
        self._of_user.setFont(font)
        self._of_model = QtGui.QTextCharFormat()
        self._of_us = QtGui.QTextCharFormat()
        self._of_us.setFontItalic(True)

        buttons = QtWidgets.QHBoxLayout()
        buttons.addWidget(self.send_button)
        buttons.addWidget(self.stop_button)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.question)
        layout.addLayout(buttons)

    def stop(self):
        """Cancel the answer, if there is one under way."""
        if self._task is not None:
            self._task.cancel()

    async def _ask(self):
        question = self.question.toPlainText().strip()
        if not question:
            return
        service = self._find_service()
        self._task = asyncio.current_task()
        self._show_busy(True)
        self.question.clear()
        self._is_following = True
        self._write(question + "\n", self._of_user)
        messages = [*self._history, {"role": "user", "content": question}]
        pieces, note = [], ""
        answer = stream_answer(service, messages)
        try:
            async for piece in answer:
                pieces.append(piece)
                self._show(piece)
        except asyncio.CancelledError:
            note = "Stopped"
            raise  # always: whoever cancelled us must see that it worked
        except ChatError as exc:
            note = str(exc)
        else:
            note = "" if pieces else "The answer is empty"
        finally:
            # Says that we want no more, also when showing a piece has failed: the connection is closed now.
            await answer.aclose()
            self._task = None
            if pieces:  # else the question was not answered, and goes back to where it was typed
                self._history = [*messages, {"role": "assistant", "content": "".join(pieces)}]
            try:
                self._finish(note, "" if pieces else question)
            except RuntimeError:  # we are cancelled because this tab, or the panel, has been deleted
                pass
        # Any other exception is a mistake in this code. Nobody awaits a slot, so it goes to the host's own log.

    def _show(self, piece):
        """Show a piece in this frame, or with all that come until the next one.

        Qt lays the paragraph out anew for each insertion. Of thousands of pieces that are there at once a batch per
        frame is one insertion, and the host has its turn in between.
        """
        self._waiting.append(piece)
        if not self._frame.isActive():
            self._show_waiting()

    def _show_waiting(self):
        if self._waiting:
            text = "".join(self._waiting)
            self._waiting.clear()
            started = perf_counter()
            self._write(text, self._of_model)
            # A paragraph of many pages takes Qt longer than a frame. Then the host has four times as long for itself.
            took_ms = (perf_counter() - started) * 1000
            self._frame.start(max(FRAME_MS, round(4 * took_ms)))

    def _finish(self, note, unanswered):
        self._frame.stop()
        if self._waiting:
            self._show_waiting()
            self._frame.stop()
        if note:
            self._write(f"\n[{note}]", self._of_us)
        self._write("\n\n", self._of_model)
        if unanswered and not self.question.toPlainText():
            self.question.setPlainText(unanswered)
        self._show_busy(False)

    def _write(self, text, how):
        """Add text at the end. It is plain text, whatever is in it, and the user's own cursor stays where it is."""
        cursor = QtGui.QTextCursor(self.view.document())
        cursor.movePosition(QtGui.QTextCursor.MoveOperation.End)
        cursor.insertText(text, how)

    def _note_scrolling(self, value):
        """The bar is moved, by the user or by us: is it at its end now?"""
        self._is_following = value == self.view.verticalScrollBar().maximum()

    def _follow(self, _minimum, maximum):
        """There is more to scroll. Somebody who has scrolled back to read is left alone."""
        if self._is_following:
            self.view.verticalScrollBar().setValue(maximum)

    def _show_busy(self, is_busy):
        self.send_button.setEnabled(not is_busy)
        self.stop_button.setEnabled(is_busy)


class Question(QtWidgets.QPlainTextEdit):
    """Where the user types. Return sends it, Shift and Return begins another line.

    Args:
        send_button: clicked by Return.
    """

    def __init__(self, send_button):
        super().__init__()
        self._send_button = send_button
        self.setPlaceholderText("Ask something. Return sends it")
        self.setTabChangesFocus(True)
        self.setFixedHeight(4 * self.fontMetrics().lineSpacing())

    def keyPressEvent(self, event):
        keys = (QtCore.Qt.Key.Key_Return, QtCore.Qt.Key.Key_Enter)
        if event.key() in keys and not event.modifiers() & QtCore.Qt.KeyboardModifier.ShiftModifier:
            self._send_button.click()
        else:
            super().keyPressEvent(event)

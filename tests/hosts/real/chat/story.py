"""Plays, inside a host, the user of examples/chat; test_chat.py puts it into the guest, in the place of its story.

It knows the hosts only as far as they differ in how a plug-in is opened and unloaded. See story.py of the guest.
"""

import importlib
import os
import sys
import traceback

from . import host, story_of_checks
from .plain import of_host
from .qt import HEARTBEAT_MS, KEPT, pause, until
from .story_of_checks import Player, write

WAITED = 30  # seconds, for anything


def start():
    """Begin as soon as the host's event loop runs."""
    vars(sys).setdefault(KEPT, []).append(Player(_play()))


def stop():
    """The guest has no lease: it is the chat that is looked at."""


def _play():
    yield from until(of_host("is_ready"), 60, "the host is ready")
    host.window().setGeometry(0, 0, 1200, 900)
    yield from pause(1.0)
    user = User()
    for act in (user.ask, user.flood, user.stop_two, user.fail, user.leave):
        try:
            found = yield from act()
        except Exception:
            write(step=act.__name__, error=traceback.format_exc())
        else:
            write(step=act.__name__, **found)
    story_of_checks._quit()


class User:
    def __init__(self):
        self.is_qgis = "qgis.utils" in sys.modules
        self._begin()

    def _begin(self):
        self.dock, self.panel = self._open()
        self.panel.address.setText(os.environ["ASYNCSLOT_SERVER"])
        self.chat = self.panel.conversations()[0]

    def _open(self):
        if self.is_qgis:
            dock = sys.modules["qgis.utils"].plugins["async_chat"]._dock
            return dock, dock.widget()
        viewer = importlib.import_module("napari").current_viewer()
        return viewer.window.add_plugin_dock_widget("napari-async-chat")

    def _send(self, chat, question, model):
        self.panel.model.setText(model)
        chat.question.setPlainText(question)
        chat.send_button.click()

    def ask(self):
        """Two questions, each answered word by word."""
        for question in ("What is a map?", "And a legend?"):
            self._send(self.chat, question, "words")
            yield from until(lambda: is_idle(self.chat), WAITED, "the answer is there")
        host.window().grab().save(os.environ["ASYNCSLOT_SCREENSHOT"])
        return {"said": self.chat.view.toPlainText(), "binding": host.QtCore.__name__}

    def flood(self):
        """2,000 tokens at once, while a timer of the host's ticks."""
        came, show = [0], self.chat._show
        tokens = []

        def count(piece):
            came[0] += 1
            show(piece)

        def tick():
            tokens.append(came[0])
            came[0] = 0

        self.chat._show = count
        timer = host.QtCore.QTimer()
        timer.setTimerType(getattr(host.QtCore.Qt, "TimerType", host.QtCore.Qt).PreciseTimer)
        timer.timeout.connect(tick)
        timer.start(HEARTBEAT_MS)
        self._send(self.chat, "Say much", "flood")
        yield from until(lambda: is_idle(self.chat), WAITED, "all is there")
        timer.stop()
        tick()
        del self.chat._show
        bar = self.chat.view.verticalScrollBar()
        return {"tokens": tokens, "is_at_end": bar.value() == bar.maximum() > 0}

    def stop_two(self):
        """Two answers under way; the dock is closed as the user does it."""
        self.panel.add()
        chats = self.panel.conversations()
        for chat in chats:
            self._send(chat, "Wait", "held")
        yield from until(lambda: all("Well, " in chat.view.toPlainText() for chat in chats), WAITED, "both have begun")
        if self.is_qgis:
            self.dock.close()
        else:
            self.dock.titleBarWidget().close_button.click()
        yield from until(lambda: all(map(is_idle, chats)), WAITED, "both have ended")
        yield from pause(0.3)
        found = {"ends": [chat.view.toPlainText()[-18:] for chat in chats]}
        self._begin()
        self.dock.show()
        return found

    def fail(self):
        """Errors are in the conversation, and the host hears nothing of them."""
        for model in ("breaks-off", "nobody"):
            self._send(self.chat, "Hello", model)
            yield from until(lambda: is_idle(self.chat), WAITED, "the error is there")
        return {"said": self.chat.view.toPlainText(), "log": of_host("log_text")()}

    def leave(self):
        """The plug-in is unloaded in mid-stream; a host that cannot do that quits in a moment."""
        lease = self.panel._lease
        self._send(self.chat, "Wait", "held")
        yield from until(lambda: self.chat.view.toPlainText().endswith("Well, "), WAITED, "it has begun")
        if not self.is_qgis:
            return {}
        utils = sys.modules["qgis.utils"]
        is_unloaded = utils.unloadPlugin("async_chat")
        report = lease.detach()  # that of the first time
        yield from pause(0.5)
        left = [each.objectName() for each in host.QtWidgets.QApplication.allWidgets()]
        return {
            "is_unloaded": is_unloaded,
            "report": [report.ended, report.cancelled, len(report.abandoned), len(report.closed)],
            "left": [name for name in left if name.startswith("AsyncChat")],
            "modules": [name for name in sys.modules if name.startswith("async_chat")],
        }


def is_idle(chat):
    return chat.send_button.isEnabled()

"""host_adapters/cura.py against stand-ins: what the real Cura at hand cannot show.

That is Cura 5, which ends the process before `aboutToQuit`, a Cura that is only half there, and threads. What can be
seen in a real Cura 4.13 is tested there, by test_hosts.py.
"""

import gc
import sys
import threading
import types
import weakref

import pytest
from asyncslot.host_adapters import cura as adapter

from asyncslot import host_adapters
from half_there import error


class WeakSignal:
    """A signal of Uranium's: it refers weakly to what is connected."""

    def __init__(self):
        self.slots = []

    def connect(self, slot):
        self.slots.append(weakref.WeakMethod(slot) if hasattr(slot, "__self__") else weakref.ref(slot))

    def disconnect(self, slot):
        self.slots = [each for each in self.slots if each() not in (None, slot)]

    def emit(self, *args):
        for slot in [each() for each in self.slots]:
            if slot is not None:
                slot(*args)


@pytest.fixture
def cura(monkeypatch, app):
    """A stand-in for a running Cura with the binding of this process.

    Attributes: `application`; `shown`, the messages in its window; `log`; `deferred`, what is to be called later; and
    `is_seen`, which a test may change.
    """
    from qtpy import QtCore

    state = types.SimpleNamespace(shown=[], log=[], deferred=[], is_seen=True)

    class Message:
        class MessageType:
            ERROR = 3

        def __init__(self, text="", lifetime=30, dismissable=True, progress=None, title=None, **others):
            assert set(others) <= {"use_inactivity_timer", "message_type"}
            assert threading.current_thread() is threading.main_thread()
            self.text, self.progress, self.title = text, progress, title
            self.lifetime, self.is_dismissable, self.others = lifetime, dismissable, others
            self.actions = []
            self.actionTriggered = WeakSignal()

        def addAction(self, action_id, name, icon, description):
            self.actions.append(action_id)

        def setText(self, text):
            self.text = text

        def getText(self):
            return self.text

        def setProgress(self, progress):
            self.progress = progress

        def show(self):
            state.shown.append(self)

        def hide(self):
            if self in state.shown:
                state.shown.remove(self)

    window = types.SimpleNamespace(isVisible=lambda: state.is_seen)

    # Its base is not the real class, of which there can be no second object: the adapter asks for its module only.
    base = type("QCoreApplication", (), {"__module__": QtCore.QCoreApplication.__module__})

    class CuraApplication(base):
        applicationShuttingDown = WeakSignal()

        @staticmethod
        def getInstance():
            return state.application

        @staticmethod
        def getMainWindow():
            return window

        @staticmethod
        def getVisibleMessages():
            return state.shown

        @staticmethod
        def callLater(call):
            state.deferred.append(call)

    state.application = CuraApplication()
    state.signal = CuraApplication.applicationShuttingDown

    def log(log_type, message, *args, **kwargs):
        assert log_type == "e"
        state.log.append(message)

    stand_ins = {
        "cura.CuraApplication": types.SimpleNamespace(CuraApplication=CuraApplication),
        "UM": types.SimpleNamespace(),
        "UM.Logger": types.SimpleNamespace(Logger=types.SimpleNamespace(log=log)),
        "UM.Message": types.SimpleNamespace(Message=Message),
    }
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    return state


def test_elsewhere_it_is_not_found_and_not_imported():
    """In a process without Cura the adapter says so, and has not imported it to find out."""
    assert not adapter.is_running()
    assert host_adapters.find() is None
    assert "cura" not in sys.modules


def test_cura_is_found_with_the_binding_of_its_application(cura):
    """PyQt5's or PyQt6's, whichever its application's class is of."""
    from qtpy import QtCore

    assert host_adapters.find() is adapter
    assert adapter.qt_core() is sys.modules[QtCore.QObject.__module__]


def test_cura_that_has_no_application_yet_is_not_found(cura):
    cura.application = None
    assert not adapter.is_running()
    assert adapter.progress("Tiles", lambda: None) is None


# -- errors ------------------------------------------------------------------


def test_report_is_in_the_log_and_in_a_message(cura):
    """The whole of it in the log; the first line, as text, in a message, which takes HTML."""
    adapter.report("my_plugin: <Task> failed\nmore of it", error())
    [text] = cura.log
    assert text.startswith("my_plugin: <Task> failed\nmore of it\n\nTraceback (most recent call last)")
    [message] = cura.shown
    assert message.text == "<span>my_plugin: &lt;Task&gt; failed (ValueError). More in cura.log.</span>"
    assert message.is_dismissable
    assert message.lifetime > 0


def test_the_same_error_is_shown_once(cura):
    """A task that fails ten times a second must not fill the window."""
    for _ in range(10):
        adapter.report("my_plugin: failed", error())
    assert len(cura.log) == 10
    assert len(cura.shown) == 1


def test_report_from_a_thread_is_logged_and_shown_later(cura):
    """A message is a QObject with timers."""
    thread = threading.Thread(target=adapter.report, args=("my_plugin: in a thread", error()))
    thread.start()
    thread.join(5)
    assert len(cura.log) == 1
    assert cura.shown == []
    [show] = cura.deferred
    show()
    assert len(cura.shown) == 1


def test_report_without_a_log_goes_to_stderr(cura, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "UM.Logger", types.SimpleNamespace())
    adapter.report("my_plugin: late", error())
    assert "my_plugin: late" in capsys.readouterr().err


# -- the end of Cura ---------------------------------------------------------


@pytest.mark.parametrize("names", [["shutting down", "about to quit"], ["shutting down"], ["about to quit"]])
def test_on_quit_calls_once(cura, app, names):
    """Cura 5 ends the process after the first, Cura 4.13 has both, and a bare quit() the second."""
    signals = {"shutting down": cura.signal, "about to quit": app.aboutToQuit}
    calls = []
    unhook = adapter.on_quit(lambda: calls.append("quit"))
    gc.collect()  # whatever nobody but the signal refers to is gone
    for name in names:
        signals[name].emit()
    assert calls == ["quit"]
    unhook()
    unhook()
    assert cura.signal.slots == []


def test_after_unhook_nothing_is_called(cura, app):
    calls = []
    unhooks = [adapter.on_quit(lambda: calls.append("quit")) for _ in range(3)]
    for unhook in unhooks:
        unhook()
    cura.signal.emit()
    app.aboutToQuit.emit()
    assert calls == []


# -- progress ----------------------------------------------------------------


def test_progress_is_a_message_that_stays_and_can_be_cancelled_once(cura):
    cancelled = []
    progress = adapter.progress("<Tiles>", lambda: cancelled.append(True))
    gc.collect()
    [message] = cura.shown
    assert message.title == "<span>&lt;Tiles&gt;</span>"
    assert (message.lifetime, message.is_dismissable) == (0, False)
    assert message.others == {"use_inactivity_timer": False}, "Cura hides a message whose progress stands still"
    progress.update(1 / 3, "80 & more")
    assert message.progress == pytest.approx(33.3, abs=0.1)
    assert message.text == "<span>80 &amp; more</span>"
    progress.update(None, "")
    assert (message.progress, message.text) == (-1, "")
    [action] = message.actions
    message.actionTriggered.emit(message, action)
    message.actionTriggered.emit(message, action)
    assert cancelled == [True]
    progress.close()
    progress.close()
    assert cura.shown == []


def test_where_the_window_is_not_shown_there_is_no_display(cura):
    """While Cura starts, and without its GUI."""
    cura.is_seen = False
    assert adapter.progress("Tiles", lambda: None) is None

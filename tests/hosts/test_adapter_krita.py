"""host_adapters/krita.py against stand-ins: what the real Krita at hand cannot show.

That is a Krita with another binding, one without its GUI, and one that is only half there. The stand-ins are strict:
what Krita lacks is missing in them. What can be seen in a real Krita is tested there, in test_hosts.py.
"""

import sys
import threading
import types

import pytest
from asyncslot.host_adapters import krita as adapter

import half_there
from asyncslot._hosts import check_adapter
from half_there import Gone, Signal, core_with_application, error


class Notifier:
    def __init__(self):
        self.is_active = False
        self.applicationClosing = Signal()

    def active(self):
        return self.is_active

    def setActive(self, value):
        self.is_active = value


@pytest.fixture
def krita(monkeypatch, app):
    """A stand-in for Krita with the binding of this process: `.module`, `.instance`, `.window`, `.arguments`, `.log`.

    Attributes that a test may change: `arguments`, Krita's command line; `windows`, its windows; `active`, the active
    one of them; `log`, what was written to it.
    """
    from qtpy import QtCore, QtWidgets

    qt_core = sys.modules[QtCore.QObject.__module__]
    window = QtWidgets.QMainWindow()
    state = types.SimpleNamespace(arguments=["krita", "--nosplash"], log=[], window=window, notifier=Notifier())
    state.active = types.SimpleNamespace(qwindow=lambda: window)
    state.windows = [state.active]

    class Krita(QtCore.QObject):
        @staticmethod
        def instance():
            return state.instance

    state.instance = types.SimpleNamespace(
        activeWindow=lambda: state.active, windows=lambda: state.windows, notifier=lambda: state.notifier
    )
    state.module = types.SimpleNamespace(Krita=Krita)
    monkeypatch.setitem(sys.modules, "krita", state.module)
    # The application is real; only its command line is Krita's, and its log is kept.
    monkeypatch.setattr(adapter, "_arguments", lambda: state.arguments)
    monkeypatch.setattr(qt_core, "qWarning", state.log.append)
    yield state
    window.deleteLater()


def texts(krita):
    return [data.decode("utf-8") for data in krita.log]


# -- who is there ------------------------------------------------------------


def test_it_keeps_the_contract():
    """Everything that an adapter must have is there, under the right names."""
    check_adapter(adapter)


def test_elsewhere_it_is_not_running():
    """In a process without Krita the answers are no, and Krita was not imported to find out."""
    assert not adapter.is_running()
    assert adapter.batch() is None
    assert "krita" not in sys.modules


def test_krita_with_its_gui_is_running(krita):
    """Also while it starts, when plug-ins are loaded and there is no window yet."""
    krita.active, krita.windows = None, []
    assert adapter.is_running()
    assert adapter.batch() is None
    assert adapter.gui_parent() is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["/usr/bin/kritarunner", "-s", "script", "-f", "main"],
        ["krita", "a.kra", "--export", "--export-filename", "a.png"],
        ["krita", "a.kra", "--export-sequence", "--export-filename", "a.png"],
    ],
    ids=lambda arguments: arguments[2] if arguments[0] == "krita" else "kritarunner",
)
def test_krita_without_its_gui_says_what_to_use(krita, arguments):
    krita.arguments = arguments
    assert not adapter.is_running()
    assert "asyncio.run()" in adapter.batch()


@pytest.mark.parametrize(
    "module",
    [None, types.SimpleNamespace(), types.SimpleNamespace(Krita=Gone())],
    ids=["sys.modules says None", "another package of that name", "deleted"],
)
def test_half_a_krita_is_not_running(krita, monkeypatch, module):
    monkeypatch.setitem(sys.modules, "krita", module)
    assert not adapter.is_running()
    assert adapter.batch() is None
    assert adapter.gui_parent() is None


def test_krita_without_an_instance_is_not_running(krita):
    krita.instance = None
    assert not adapter.is_running()


def test_qt_core_is_that_of_kritas_own_classes(krita):
    """It asks Krita, and not which bindings are loaded: a plug-in may have brought a second one."""
    from qtpy import QtCore

    assert adapter.qt_core() is sys.modules[QtCore.QObject.__module__]


def test_without_an_active_window_the_first_one_is_the_parent(krita):
    """No window is active while the user is in another application."""
    krita.active = None
    assert adapter.gui_parent() is krita.window


def test_without_a_window_there_is_no_parent_and_no_progress(krita):
    """Early and late in Krita's life the answer is None, not an error."""
    krita.active = Gone()
    assert adapter.gui_parent() is None
    assert adapter.progress("title", lambda: None) is None


# -- errors ------------------------------------------------------------------


def test_report_is_in_the_log_with_its_traceback_and_in_the_status_bar_in_one_line(krita):
    """The log is shown only to who has switched it on, so the status bar says what the error was."""
    adapter.report("my_plugin: <Task> failed\nmore of it", error())
    [text] = texts(krita)
    assert text.startswith("my_plugin: <Task> failed\nmore of it\n\nTraceback (most recent call last)")
    assert text.endswith("ValueError: spoilt")
    assert krita.window.statusBar().currentMessage() == "my_plugin: <Task> failed - ValueError: spoilt"


@pytest.mark.parametrize("text", ["caf\u00e9", "half a \ud800 pair", "100 %s"], ids=ascii)
def test_report_takes_any_text(krita, text):
    """Qt's function takes ASCII, or bytes."""
    adapter.report(text, None)
    assert krita.log == [text.encode("utf-8", "backslashreplace")]


def test_qt_takes_the_bytes(app, run_python):
    """In each binding with which there is a Krita: whatever is in them is printed, and no format."""
    from qtpy import API_NAME, QtCore

    if not API_NAME.startswith("PyQt"):
        pytest.skip("there is no Krita with PySide")
    module = QtCore.QObject.__module__
    # Qt 5 on Windows would tell a debugger instead.
    env = {"QT_LOGGING_TO_CONSOLE": "1", "QT_FORCE_STDERR_LOGGING": "1"}
    done = run_python(f"import {module} as core; core.qWarning('100 %s caf\u00e9'.encode())", env=env)
    assert "100 %s caf" in done.stderr


def test_report_from_a_thread_only_logs(krita):
    """The status bar may be touched in the GUI thread only."""
    thread = threading.Thread(target=adapter.report, args=("my_plugin: in a thread", error()))
    thread.start()
    thread.join(5)
    assert len(krita.log) == 1
    assert krita.window.statusBar().currentMessage() == ""


def test_report_without_a_window_is_logged(krita):
    """What there is of Krita is used."""
    krita.active = Gone()
    adapter.report("my_plugin: late", None)
    assert texts(krita) == ["my_plugin: late"]


def test_report_without_a_log_goes_to_stderr_in_ascii(krita, monkeypatch, capsys):
    """Krita's streams raise at anything else."""
    monkeypatch.setitem(sys.modules, "krita", None)
    adapter.report("my_plugin: caf\u00e9", error())
    written = capsys.readouterr().err
    assert "my_plugin: caf\\xe9" in written
    assert "ValueError: spoilt" in written


def test_report_with_nothing_left_does_not_raise(krita, monkeypatch):
    monkeypatch.setitem(sys.modules, "krita", None)
    monkeypatch.setattr(sys, "stderr", None)
    adapter.report("into the void", error())


# -- the end of Krita --------------------------------------------------------


@pytest.fixture
def quitting(krita, monkeypatch):
    """The signals that tell of the end, by name."""
    signals = types.SimpleNamespace(applicationClosing=krita.notifier.applicationClosing, aboutToQuit=Signal())
    core = core_with_application(signals.aboutToQuit, qWarning=adapter.qt_core().qWarning)
    monkeypatch.setattr(adapter, "qt_core", lambda: core)
    return signals


@pytest.mark.parametrize("names", [["applicationClosing", "aboutToQuit"], ["aboutToQuit"]], ids=" ".join)
def test_on_quit_calls_once(quitting, names):
    """Whichever signals come, and in the order of a real Krita."""
    calls = []
    unhook = adapter.on_quit(lambda: calls.append("quit"))
    for name in names:
        getattr(quitting, name).emit()
    assert calls == ["quit"]
    unhook()


def test_on_quit_wakes_the_notifier(quitting, krita):
    """Until it is active it emits nothing."""
    adapter.on_quit(lambda: None)
    assert krita.notifier.is_active


def test_unhook_takes_it_back(quitting):
    """From both signals; a second time does nothing."""
    calls = []
    unhook = adapter.on_quit(lambda: calls.append("quit"))
    unhook()
    unhook()
    assert (quitting.applicationClosing.slots, quitting.aboutToQuit.slots) == ([], [])
    assert calls == []


def test_on_quit_reports_what_the_callback_raises(quitting, krita):
    """An exception that left the slot would open a dialog in a Krita that is going away."""

    def fail():
        raise ValueError("spoilt")

    adapter.on_quit(fail)
    quitting.applicationClosing.emit()
    [text] = texts(krita)
    assert "ValueError: spoilt" in text


def test_unhook_after_the_notifier_is_gone_does_nothing(quitting):
    """The last plug-in may detach after Qt."""
    unhook = adapter.on_quit(lambda: None)
    quitting.applicationClosing.disconnect = lambda slot: Gone().disconnect(slot)
    unhook()
    assert quitting.aboutToQuit.slots == []


# -- progress ----------------------------------------------------------------


def test_progress_is_in_the_status_bar_and_can_be_cancelled_once(krita, windows):
    """The widgets are the binding's own, so that its strictness about types is met here, Qt 6's too."""
    half_there.use_progress_in_status_bar(adapter, krita.window)


def test_progress_whose_window_was_closed_can_be_updated_and_closed(krita, windows):
    krita.window.show()
    half_there.use_progress_that_has_gone(adapter)

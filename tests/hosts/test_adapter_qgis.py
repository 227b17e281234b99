"""host_adapters/qgis.py against stand-ins: what the real QGIS at hand cannot show.

That is the spelling of other QGIS versions, and a QGIS that is only half there. The stand-ins are strict: a name that
the version in question lacks is missing in them. What can be seen in a real QGIS is tested there, in test_qgis.py.
"""

import sys
import threading
import types

import pytest
from asyncslot.host_adapters import qgis as adapter

import half_there
from asyncslot import host_adapters
from half_there import Gone, Signal, core_with_application, error


class Bar:
    """A message bar that shows nothing."""

    def __init__(self):
        self.pushed = []
        self.items = []

    def currentItem(self):
        return self.pushed[-1] if self.pushed else None

    def pushMessage(self, title, text, level):
        self.pushed.append(types.SimpleNamespace(title=title, text=lambda: text, level=level))

    def texts(self):
        return [item.text() for item in self.pushed]

    def createMessage(self, title, text):
        from qtpy import QtWidgets

        item = QtWidgets.QWidget()
        QtWidgets.QHBoxLayout(item)
        item.title = title
        item.setText = lambda text: setattr(item, "shown", text)
        return item

    def pushWidget(self, item, level, duration):
        self.items.append(item)
        return item

    def popWidget(self, item):
        if item not in self.items:
            return False
        self.items.remove(item)
        return True


class Iface:
    def __init__(self):
        self.bar = Bar()
        self.window = object()

    def messageBar(self):
        return self.bar

    def mainWindow(self):
        return self.window


# How the message levels are spelt. Values tell the spellings apart, so that a test sees which was used.
LEVELS = types.SimpleNamespace(Info="info", Warning="warning")
SPELLINGS = {
    "QGIS 3.16, in Qgis itself": {"Info": "info", "Warning": "warning"},
    "QGIS 3.22, both": {"Info": "info", "Warning": "warning", "MessageLevel": LEVELS},
    "QGIS 4, scoped only": {"MessageLevel": LEVELS},
    "an enum that cannot be asked for members": {"Info": "info", "Warning": "warning", "MessageLevel": int},
}


@pytest.fixture
def qgis(monkeypatch, app):
    """A stand-in for QGIS with the binding of this process, running: `.iface`, `.log`, `.core`, `.utils`."""
    from qtpy import QtCore, QtWidgets

    log = []

    class QgsMessageLog:
        @staticmethod
        def logMessage(message, tag, level):
            log.append((message, tag, level))

    iface = Iface()
    core = types.SimpleNamespace(
        QgsMessageLog=QgsMessageLog, Qgis=types.SimpleNamespace(**SPELLINGS["QGIS 3.22, both"])
    )
    utils = types.SimpleNamespace(iface=iface)
    stand_ins = {
        "qgis": types.SimpleNamespace(core=core, utils=utils),
        "qgis.core": core,
        "qgis.utils": utils,
        "qgis.PyQt": types.SimpleNamespace(QtCore=QtCore, QtWidgets=QtWidgets),
        "qgis.PyQt.QtCore": QtCore,
        "qgis.PyQt.QtWidgets": QtWidgets,
    }
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    return types.SimpleNamespace(iface=iface, log=log, core=core, utils=utils)


# -- who is there ------------------------------------------------------------


def test_elsewhere_no_adapter_is_found():
    """In a process without QGIS find() returns None, and has not imported QGIS to find out."""
    assert "qgis" not in sys.modules
    assert host_adapters.find() is None
    assert "qgis" not in sys.modules


def test_qgis_with_its_window_is_found(qgis):
    """`iface` is there: QGIS runs."""
    assert host_adapters.find() is adapter


@pytest.mark.parametrize(
    "utils",
    [types.SimpleNamespace(iface=None), types.SimpleNamespace(), None],
    ids=["qgis_process: iface is None", "no iface at all", "sys.modules says None"],
)
def test_qgis_without_its_window_is_not_found(qgis, monkeypatch, utils):
    """The libraries of QGIS are loaded, the application is not there."""
    monkeypatch.setitem(sys.modules, "qgis.utils", utils)
    assert host_adapters.find() is None


def test_qt_core_is_the_bindings_own_module(qgis):
    """Not the shim that passes its names on: of that one nobody could tell which binding it is."""
    from qtpy import QtCore

    assert adapter.qt_core() is sys.modules[QtCore.QObject.__module__]


@pytest.mark.parametrize("iface", [None, Gone()], ids=["not yet", "not any more"])
def test_without_a_window_there_is_no_parent_and_no_progress(qgis, iface):
    """Early and late in QGIS's life the answer is None, not an error."""
    qgis.utils.iface = iface
    assert adapter.gui_parent() is None
    assert adapter.progress("title", lambda: None) is None


# -- errors ------------------------------------------------------------------


@pytest.mark.parametrize("spelling", SPELLINGS, ids=str)
def test_report_finds_the_level_in_every_spelling(qgis, spelling):
    """A report is a warning in the log and in the message bar, however the version of QGIS spells that."""
    qgis.core.Qgis = types.SimpleNamespace(**SPELLINGS[spelling])
    adapter.report("my_plugin: it failed", None)
    assert qgis.log == [("my_plugin: it failed", "asyncslot", "warning")]
    assert [item.level for item in qgis.iface.bar.pushed] == ["warning"]


def test_report_has_the_traceback_in_the_log_and_one_line_in_the_bar(qgis):
    """The bar is one line high and takes HTML; the log has room, and takes plain text."""
    adapter.report("my_plugin: <Task> failed\nmore of it", error())
    [(text, _, _)] = qgis.log
    assert text.startswith("my_plugin: <Task> failed\nmore of it\n\nTraceback (most recent call last)")
    assert text.endswith("ValueError: spoilt\n")
    [shown] = qgis.iface.bar.texts()
    assert shown.startswith("my_plugin: &lt;Task&gt; failed (ValueError). ")
    assert "more of it" not in shown


def test_report_of_the_same_again_is_logged_and_not_shown_twice(qgis):
    """A task that fails in a loop does not pile up messages in front of the map."""
    for _ in range(3):
        adapter.report("my_plugin: it failed", None)
    adapter.report("my_plugin: something else", None)
    assert len(qgis.log) == 4
    assert len(qgis.iface.bar.pushed) == 2


def test_report_from_a_thread_only_logs(qgis):
    """The message bar may be touched in the GUI thread only."""
    thread = threading.Thread(target=adapter.report, args=("my_plugin: in a thread", error()))
    thread.start()
    thread.join(5)
    assert len(qgis.log) == 1
    assert qgis.iface.bar.pushed == []


@pytest.mark.parametrize("iface", [None, Gone()], ids=["no iface", "iface was deleted"])
def test_report_without_a_window_is_logged(qgis, iface):
    """What there is of QGIS is used."""
    qgis.utils.iface = iface
    adapter.report("my_plugin: late", None)
    assert [text for text, _, _ in qgis.log] == ["my_plugin: late"]


def test_report_without_a_log_goes_to_stderr(qgis, capsys):
    """A report is never lost without a word."""
    qgis.core.QgsMessageLog = Gone()
    adapter.report("my_plugin: very late", error())
    written = capsys.readouterr().err
    assert "my_plugin: very late" in written
    assert "ValueError: spoilt" in written


def test_report_with_nothing_left_does_not_raise(qgis, monkeypatch):
    """No log, no window and, as in QGIS on Windows while it starts, no stderr."""
    qgis.core.QgsMessageLog = Gone()
    qgis.utils.iface = None
    monkeypatch.setattr(sys, "stderr", None)
    adapter.report("my_plugin: into the void", error())


# -- the end of QGIS ---------------------------------------------------------


@pytest.fixture
def quitting(qgis, monkeypatch):
    """The signal aboutToQuit of a stand-in application."""
    signal = Signal()
    core = core_with_application(signal)
    monkeypatch.setattr(adapter, "qt_core", lambda: core)
    return signal


def test_on_quit_calls_until_unhooked(quitting):
    """The callback is called when QGIS quits; unhook() takes it back, and a second time does nothing."""
    calls = []
    unhook = adapter.on_quit(lambda: calls.append("quit"))
    quitting.emit()
    unhook()
    unhook()
    quitting.emit()
    assert calls == ["quit"]


def test_on_quit_reports_what_the_callback_raises(quitting, qgis):
    """An exception that left the slot would open a modal dialog in a QGIS that is going away."""

    def fail():
        raise ValueError("spoilt")

    adapter.on_quit(fail)
    quitting.emit()
    [(text, _, _)] = qgis.log
    assert "ValueError: spoilt" in text


def test_unhook_after_the_application_is_gone_does_nothing(quitting):
    """The last plug-in may be unloaded after Qt."""
    unhook = adapter.on_quit(lambda: None)
    quitting.disconnect = lambda slot: Gone().disconnect(slot)
    unhook()


# -- progress ----------------------------------------------------------------


def test_progress_is_shown_and_can_be_cancelled_once(qgis):
    """The widgets are the binding's own, so that its strictness about types is met here, Qt 6's too."""
    from qtpy import QtWidgets

    cancelled = []
    progress = adapter.progress("<Tiles>", lambda: cancelled.append(True))
    [item] = qgis.iface.bar.items
    assert item.title == "&lt;Tiles&gt;"

    meter = item.findChild(QtWidgets.QProgressBar)
    progress.update(1 / 3, "80 & more")
    assert meter.value() / meter.maximum() == pytest.approx(1 / 3, abs=0.001)
    assert item.shown == "80 &amp; more"
    progress.update(None, "")
    assert (meter.minimum(), meter.maximum()) == (0, 0)
    progress.update(0.5, "")
    assert meter.value() / meter.maximum() == 0.5

    button = item.findChild(QtWidgets.QPushButton)
    button.click()
    button.click()
    assert cancelled == [True]
    progress.close()
    progress.close()
    assert qgis.iface.bar.items == []


def test_progress_that_was_dismissed_can_be_updated_and_closed(qgis):
    """The user's click on the message's own cross deletes its widgets, and cancels nothing."""
    half_there.use_progress_that_has_gone(adapter)

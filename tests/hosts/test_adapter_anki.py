"""host_adapters/anki.py against stand-ins: what the real Anki at hand cannot show.

That is an Anki without logs for add-ons, one that is only half there, and threads. What can be seen in a real Anki is
tested there, by test_hosts.py.
"""

import logging
import sys
import threading
import types

import pytest
from asyncslot.host_adapters import anki as adapter

from asyncslot import host_adapters
from half_there import error


@pytest.fixture
def anki(monkeypatch, app):
    """A stand-in for a running Anki with the binding of this process: `.mw`, `.tooltips`, `.deferred`, `.module`."""
    from qtpy import QtCore, QtWidgets

    mw = QtWidgets.QMainWindow()
    state = types.SimpleNamespace(mw=mw, tooltips=[], deferred=[], module=types.SimpleNamespace(mw=mw))
    mw.taskman = types.SimpleNamespace(run_on_main=state.deferred.append)
    mw.addonManager = types.SimpleNamespace(
        get_logger=lambda module: logging.getLogger("addon." + module.partition(".")[0])
    )

    def tooltip(msg, period=3000, parent=None, x_offset=0, y_offset=100):
        assert threading.current_thread() is threading.main_thread()
        state.tooltips.append((msg, parent))

    stand_ins = {
        "aqt": state.module,
        "aqt.qt": types.SimpleNamespace(QObject=QtCore.QObject),
        "aqt.utils": types.SimpleNamespace(tooltip=tooltip),
    }
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    yield state
    mw.deleteLater()


def test_elsewhere_it_is_not_found_and_not_imported():
    """In a process without Anki the adapter says so, and has not imported it to find out."""
    assert not adapter.is_running()
    assert adapter.batch() is None
    assert host_adapters.find() is None
    assert "aqt" not in sys.modules


def test_anki_with_its_window_is_found(anki):
    """From the first add-on on: the window is made before, and shown later."""
    from qtpy import QtCore

    assert host_adapters.find() is adapter
    assert adapter.batch() is None
    assert adapter.gui_parent() is anki.mw
    assert adapter.qt_core() is sys.modules[QtCore.QObject.__module__]


def test_a_script_that_uses_ankis_library_is_told_what_to_do(anki):
    """Before, and without, a main window."""
    anki.module.mw = None
    assert not adapter.is_running()
    assert "asyncio.run()" in adapter.batch()
    assert adapter.gui_parent() is None


def test_report_is_in_the_add_ons_log_and_in_a_tooltip(anki, caplog, capsys):
    """The whole of it in the log, and the first line as text in the tooltip, which takes HTML."""
    adapter.report("my_plugin: <Task> failed\nmore of it", error())
    [record] = caplog.records
    assert record.name == "addon.asyncslot"
    assert record.getMessage() == "my_plugin: <Task> failed\nmore of it"
    assert "ValueError: spoilt" in caplog.text
    assert anki.tooltips == [("my_plugin: &lt;Task&gt; failed (ValueError)", anki.mw)]
    assert capsys.readouterr().err == "", "Anki makes a modal box of what is written to stderr"


@pytest.mark.parametrize(
    "manager", [types.SimpleNamespace(), types.SimpleNamespace(get_logger=lambda module: object())]
)
def test_an_anki_without_logs_for_add_ons_logs_as_any_program(anki, caplog, manager):
    """An older one, and one that is a stub."""
    anki.mw.addonManager = manager
    adapter.report("my_plugin: failed", None)
    [record] = caplog.records
    assert record.name == adapter.__name__


def test_report_from_a_thread_is_logged_and_shown_later(anki, caplog):
    """Widgets are for the GUI thread."""
    thread = threading.Thread(target=adapter.report, args=("my_plugin: in a thread", error()))
    thread.start()
    thread.join(5)
    assert "my_plugin: in a thread" in caplog.text
    assert anki.tooltips == []
    [show] = anki.deferred
    show()
    assert len(anki.tooltips) == 1


def test_report_never_writes_to_stderr(anki, monkeypatch, capsys):
    """Also where logging fails, as on an encoding."""

    def fail(*_args, **_kwargs):
        raise UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range")

    monkeypatch.setattr(logging.Logger, "error", fail)
    adapter.report("my_plugin: failed", error())
    written = capsys.readouterr()
    assert written.err == ""
    assert "my_plugin: failed" in written.out
    monkeypatch.setattr(sys, "stdout", None)
    adapter.report("my_plugin: into the void", error())


def test_on_quit_is_qts_and_not_the_profiles(anki, app):
    """profile_will_close comes on each change of the profile."""
    calls = []
    unhook = adapter.on_quit(lambda: calls.append("quit"))
    app.aboutToQuit.emit()
    app.aboutToQuit.emit()
    unhook()
    unhook()
    assert calls == ["quit"]


def test_progress_is_the_default_dialog(anki):
    """Anki's own is application-modal."""
    assert adapter.progress("Tiles", lambda: None) is None

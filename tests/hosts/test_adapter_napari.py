"""host_adapters/napari.py against stand-ins: what the real napari at hand cannot show.

That is a napari that is only half there or much older, and its habits at their worst. What can be seen in a real napari
is tested there, by test_hosts.py.
"""

import gc
import sys
import threading
import types
import weakref

import pytest
from asyncslot.host_adapters import napari as adapter

from asyncslot import host_adapters
from half_there import Gone, Signal, core_with_application, error
from napari_stand_in import Napari, bar_class


@pytest.fixture
def napari(monkeypatch, app):
    """A stand-in for a running napari with one viewer, with the binding of this process."""
    from qtpy import QtWidgets

    window = QtWidgets.QWidget()
    window.show()
    napari = Napari(window)
    stand_ins = {
        "napari": types.SimpleNamespace(),
        "napari.viewer": types.SimpleNamespace(current_viewer=lambda: napari.viewer),
        "napari._qt.qt_main_window": types.SimpleNamespace(),
        "napari.utils": types.SimpleNamespace(cancelable_progress=bar_class(napari)),
        "napari.utils.notifications": types.SimpleNamespace(show_error=napari.show_error),
        "napari.utils._logging": types.SimpleNamespace(),
    }
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    yield napari
    window.close()
    window.deleteLater()


@pytest.fixture
def progress(napari):
    """A progress display whose cancellations are in `.cancelled`."""
    cancelled = []
    progress = adapter.progress("Tiles", lambda: cancelled.append(True))
    progress.cancelled = cancelled
    yield progress
    progress.close()
    assert napari.bars == []


# -- who is there ------------------------------------------------------------


def test_elsewhere_it_is_not_found_and_not_imported():
    """In a process without napari the adapter says so, and has not imported napari to find out."""
    assert not adapter.is_running()
    assert adapter.batch() is None
    assert "napari" not in sys.modules


def test_napari_with_a_viewer_is_running(napari):
    """The viewer's window is the parent of dialogs."""
    assert adapter.is_running()
    assert adapter.gui_parent() is napari.window


@pytest.mark.parametrize("missing", ["napari.viewer", "napari._qt.qt_main_window"])
def test_napari_as_a_library_is_not_running(napari, monkeypatch, missing):
    """A script without a GUI has loaded a part of napari; asking for the viewer would load more."""
    monkeypatch.delitem(sys.modules, missing)
    assert not adapter.is_running()


def test_napari_without_a_viewer_says_what_to_use(napari):
    """In a script; where there is a viewer, or no napari at all, there is nothing to say."""
    assert adapter.batch() is None
    napari.viewer = None
    assert "asyncio.run()" in adapter.batch()


def fail():
    raise AttributeError("partially initialized module 'napari' has no attribute '_qt'")


@pytest.mark.parametrize(
    "module",
    [
        types.SimpleNamespace(current_viewer=lambda: None),
        types.SimpleNamespace(current_viewer=fail),
        types.SimpleNamespace(),
        None,
    ],
    ids=["no viewer", "in the middle of its import", "an old napari", "sys.modules says None"],
)
def test_without_a_viewer_napari_is_not_running(napari, monkeypatch, module):
    """Early and late in napari's life the answers are False and None, not an error."""
    monkeypatch.setitem(sys.modules, "napari.viewer", module)
    assert not adapter.is_running()
    assert adapter.gui_parent() is None
    assert adapter.progress("Tiles", lambda: None) is None


def test_viewer_whose_window_was_deleted_has_no_parent(napari):
    """The viewer may outlive its window."""
    napari.viewer.window = Gone()
    assert adapter.gui_parent() is None


def test_qt_core_is_the_bindings_own_module(napari):
    """Not QtPy's, which passes its names on: of that one nobody could tell which binding it is."""
    from qtpy import QtCore

    assert adapter.qt_core() is sys.modules[QtCore.QObject.__module__]


def test_adapter_keeps_the_contract():
    """The package's own check finds nothing wrong."""
    from asyncslot._hosts import check_adapter

    check_adapter(adapter)
    assert host_adapters is not None


# -- errors ------------------------------------------------------------------


def test_report_has_the_traceback_in_the_log_and_one_line_in_the_notification(napari, caplog):
    """A notification is one line high; the log has room."""
    adapter.report("my_plugin: <Task> failed\nmore of it", error())
    assert "my_plugin: <Task> failed\nmore of it\nTraceback (most recent call last)" in caplog.text
    assert caplog.text.endswith("ValueError: spoilt\n")
    assert napari.notifications == ["my_plugin: <Task> failed (ValueError). More under Help, Show logs."]


def test_report_in_a_napari_without_a_log_window_points_to_the_terminal(napari, monkeypatch):
    """napari has a window for its log since 0.6."""
    monkeypatch.delitem(sys.modules, "napari.utils._logging")
    adapter.report("my_plugin: it failed", None)
    assert napari.notifications == ["my_plugin: it failed. More in the terminal."]


def test_report_of_the_same_again_is_logged_and_not_shown_twice(napari, caplog):
    """A task that fails in a loop does not pile up notifications; once it was closed the next one is shown."""
    from qtpy import QtWidgets

    for _ in range(3):
        adapter.report("my_plugin: it failed", None)
    assert (len(caplog.records), len(napari.notifications)) == (3, 1)
    napari.window.findChild(QtWidgets.QLabel).hide()
    adapter.report("my_plugin: it failed", None)
    assert (len(caplog.records), len(napari.notifications)) == (4, 2)


def test_report_from_a_thread_only_logs(napari, caplog):
    """Notifications belong to the GUI thread."""
    thread = threading.Thread(target=adapter.report, args=("my_plugin: in a thread", error()))
    thread.start()
    thread.join(5)
    assert [record.getMessage() for record in caplog.records] == ["my_plugin: in a thread"]
    assert napari.notifications == []


def test_report_without_a_viewer_is_logged(napari, caplog):
    """What there is of napari is used."""
    napari.viewer = None
    adapter.report("my_plugin: late", error())
    assert [record.getMessage() for record in caplog.records] == ["my_plugin: late"]


def test_report_with_nothing_left_does_not_raise(napari, monkeypatch, capsys):
    """No log, no window and, as in a GUI program on Windows, no stderr."""
    napari.viewer = Gone()
    monkeypatch.setattr(adapter, "logging", Gone())
    adapter.report("my_plugin: very late", error())
    assert "my_plugin: very late" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stderr", None)
    adapter.report("my_plugin: into the void", error())


# -- the end of napari -------------------------------------------------------


@pytest.fixture
def quitting(napari, monkeypatch):
    """The signal aboutToQuit of a stand-in application."""
    signal = Signal()
    core = core_with_application(signal)
    monkeypatch.setattr(adapter, "qt_core", lambda: core)
    return signal


def test_on_quit_calls_until_unhooked(quitting, monkeypatch):
    """unhook() takes the callback back, also from a signal that keeps it; a second time it asks Qt for nothing."""
    calls = []
    unhook = adapter.on_quit(lambda: calls.append("quit"))
    quitting.emit()
    disconnected = []
    monkeypatch.setattr(quitting, "disconnect", disconnected.append)
    unhook()
    unhook()
    quitting.emit()
    assert calls == ["quit"]
    assert len(disconnected) == 1


def test_on_quit_reports_what_the_callback_raises(quitting, caplog):
    """An exception that left the slot would become a notification in a napari that is going away."""

    def fail():
        raise ValueError("spoilt")

    adapter.on_quit(fail)
    quitting.emit()
    assert "ValueError: spoilt" in caplog.text


def test_unhook_after_the_application_is_gone_does_nothing(quitting):
    """The last plug-in may be unloaded after Qt."""
    unhook = adapter.on_quit(lambda: None)
    quitting.disconnect = lambda slot: Gone().disconnect(slot)
    unhook()


# -- progress ----------------------------------------------------------------


def test_progress_is_shown(napari, progress, spin, capsys):
    """It shows its share, or that nobody knows it, and writes nothing to the terminal."""
    spin(lambda: napari.bars)
    [bar] = napari.bars
    assert (bar.n, bar.total, bar.desc) == (0, 0, "Tiles")
    progress.update(1 / 4, "80 & more")
    spin(lambda: bar.desc == "Tiles: 80 & more: ")
    assert bar.n / bar.total == 1 / 4
    progress.update(None, "")
    spin(lambda: bar.total == 0)
    assert (bar.n, bar.desc) == (0, "Tiles: ")
    progress.update(0.5, "")
    spin(lambda: bar.total)
    assert bar.n / bar.total == 0.5
    assert capsys.readouterr() == ("", "")


def test_progress_is_never_shown_on_the_callers_stack(napari, progress, spin):
    """napari processes events when a bar changes, and a coroutine must not find that others have run meanwhile."""
    from qtpy import QtCore

    spin(lambda: napari.bars)
    ran = []
    QtCore.QTimer.singleShot(0, lambda: ran.append(True))
    progress.update(0.5, "half")
    assert ran == []
    assert napari.bars[0].n == 0


def test_progress_that_is_updated_while_napari_processes_events_shows_the_last(napari, progress, spin):
    """The update is neither lost nor shown within the one before."""
    depths = []
    spin(lambda: napari.bars)
    [bar] = napari.bars
    update = bar.update

    def update_again(n):
        if len(depths) < 3:
            depths.append(progress._is_showing)
            progress.update(0.1 * len(depths), "again")
        update(n)

    bar.update = update_again
    progress.update(0.9, "first")
    spin(lambda: len(depths) == 3 and bar.n == 300)
    assert depths == [True] * 3


def test_progress_that_is_closed_while_napari_processes_events_goes(napari, progress, spin):
    """Also when that happens while its bar is being made."""
    from qtpy import QtCore

    closer = QtCore.QTimer()
    closer.timeout.connect(lambda: napari.bars and progress.close())
    closer.start(0)
    spin(lambda: progress._is_closed)
    closer.stop()
    spin(lambda: not napari.bars)


def test_progress_that_is_closed_at_once_never_appears(napari, app, spin):
    """And what is said to it later is forgotten."""
    from qtpy import QtCore

    progress = adapter.progress("Tiles", lambda: None)
    progress.close()
    progress.update(0.5, "too late")
    after = []
    QtCore.QTimer.singleShot(20, lambda: after.append(True))
    spin(lambda: after)
    assert napari.bars == []


def test_progress_can_be_cancelled_once(napari, progress, spin):
    """napari's button calls cancel() of its bar, and stays enabled."""
    spin(lambda: napari.bars)
    [bar] = napari.bars
    bar.cancel()
    bar.cancel()
    assert bar.is_canceled
    assert progress.cancelled == [True]


@pytest.mark.parametrize(
    ("failure", "logged"),
    [(RuntimeError("wrapped C/C++ object has been deleted"), 0), (TypeError("unexpected keyword"), 1)],
    ids=["the window is gone", "another napari"],
)
def test_progress_that_cannot_be_shown_harms_nobody(napari, progress, spin, caplog, failure, logged):
    """What napari raises goes no further than the log: in a slot it would become an error of the plug-in's."""

    def fail(*_args):
        failed.append(True)
        raise failure

    failed = []
    spin(lambda: napari.bars)
    napari.bars[0].update = fail
    progress.update(0.5, "into the void")
    spin(lambda: failed)
    assert len(caplog.records) == logged


def test_progress_whose_bar_went_with_its_window_can_be_closed(napari, progress, spin):
    """napari closes the bars of a window when that is deleted."""
    spin(lambda: napari.bars)

    def closed_already():
        raise KeyError("progress")

    napari.bars.pop().close = closed_already
    progress.close()
    progress.close()


@pytest.mark.parametrize("when", ["at once", "while napari processes events"])
def test_progress_that_cannot_be_closed_harms_nobody(napari, progress, spin, caplog, monkeypatch, when):
    """In a slot of Qt's that raises PyQt ends the process; and the work must not fail for its display."""
    escaped = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: escaped.append(args[1]))

    def fail():
        raise TypeError("close() of another napari")

    spin(lambda: napari.bars)
    bar = napari.bars.pop()
    bar.close = fail
    bar.update = lambda _: progress.close()
    if when == "at once":
        progress.close()
    else:
        progress.update(0.5, "half of it")
        spin(lambda: progress._is_closed)
    assert escaped == []
    assert len(caplog.records) == 1


def test_progress_that_cannot_be_cancelled_is_not_shown(napari, monkeypatch):
    """napari's bars have a Cancel button since 0.4.18."""
    monkeypatch.setitem(sys.modules, "napari.utils", types.SimpleNamespace(progress=bar_class(napari)))
    assert adapter.progress("Tiles", lambda: None) is None


def test_closed_progress_is_not_kept(napari, spin):
    """Neither the display nor what it would have cancelled."""
    progress = adapter.progress("Tiles", lambda: None)
    reference = weakref.ref(progress)
    spin(lambda: napari.bars)
    progress.close()
    del progress
    gc.collect()
    assert reference() is None

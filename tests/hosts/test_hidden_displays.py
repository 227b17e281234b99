"""Progress and errors where the host's own display is hidden: they are seen all the same, in every adapter.

Krita hides its status bar with the last document (5.2 and 6), FreeCAD's users can hide theirs. The widgets are real
ones of this process's binding.
"""

import types

import pytest

from half_there import error
from spied_hosts import spied
from stand_ins import NoStubs

HOSTS = ["krita", "freecad"]


@pytest.fixture
def window(app, windows):
    from qtpy import QtWidgets

    window = QtWidgets.QMainWindow()
    window.resize(600, 400)
    window.statusBar()
    window.show()
    yield window
    window.setObjectName("")
    window.hide()
    window.deleteLater()


@pytest.fixture(params=HOSTS)
def adapter(request, window, monkeypatch):
    return spied(request.param, window, monkeypatch)[1]


@pytest.fixture
def shown(adapter):
    """Return a function that shows progress, with its presses of Cancel; closed at the end."""
    displays = []

    def show():
        cancelled = []
        display = adapter.progress("<Tiles>", lambda: cancelled.append(True))
        displays.append(display)
        return types.SimpleNamespace(display=display, cancelled=cancelled)

    yield show
    for display in filter(None, displays):
        display.close()


def meters(app):
    """Return the progress bars that can be seen."""
    from qtpy import QtWidgets

    return [each for each in app.allWidgets() if isinstance(each, QtWidgets.QProgressBar) and each.isVisible()]


def press_cancel(app):
    from qtpy import QtWidgets

    [button] = [each for each in app.allWidgets() if isinstance(each, QtWidgets.QPushButton) and each.isVisible()]
    button.click()


def is_in_bar(window, app):
    """Tell whether the one progress bar that is seen is in the status bar; False if it is in a window of its own."""
    [meter] = meters(app)
    return window.statusBar().isAncestorOf(meter)


def test_where_the_status_bar_is_hidden_progress_is_seen_elsewhere(shown, window, app):
    """From the start, with its Cancel, and without being modal."""
    window.statusBar().hide()
    shown = shown()
    assert not is_in_bar(window, app)
    shown.display.update(0.5, "60 of 240")
    [meter] = meters(app)
    assert meter.value() / meter.maximum() == 0.5
    assert meter.window().windowTitle() == "<Tiles>"
    assert app.activeModalWidget() is None
    press_cancel(app)
    assert shown.cancelled == [True]
    shown.display.close()
    assert meters(app) == []


def test_progress_follows_a_status_bar_that_is_hidden_and_shown(shown, window, app, spin):
    """While it is shown: to a window of its own, and back; what was shown stays as it was."""
    shown = shown()
    assert is_in_bar(window, app)
    shown.display.update(0.25, "60 of 240")
    for _ in range(2):
        window.statusBar().hide()
        spin(lambda: meters(app) and not is_in_bar(window, app))
        [meter] = meters(app)
        assert meter.value() / meter.maximum() == 0.25
        window.statusBar().show()
        spin(lambda: meters(app) and is_in_bar(window, app))
    window.statusBar().hide()
    spin(lambda: meters(app))
    press_cancel(app)
    assert shown.cancelled == [True]


def test_progress_opens_no_window_when_its_own_is_closed(shown, window, app, spin):
    """The host is about to quit; nothing of ours keeps it, or flashes up."""
    shown()
    window.close()
    turns = []
    spin(lambda: turns.append(None) or len(turns) > 5)
    assert meters(app) == []


def test_closed_while_the_bar_was_just_hidden_nothing_is_left(shown, window, app, spin):
    """The move is for Qt's next turn, and the display is gone by then."""
    shown = shown()
    window.statusBar().hide()
    shown.display.close()
    turns = []
    spin(lambda: turns.append(None) or len(turns) > 5)
    assert meters(app) == []


def test_a_floating_display_does_not_keep_the_host_from_quitting(shown, window, app, spin):
    """Qt quits with the last window that counts."""
    window.statusBar().hide()
    shown()
    [meter] = meters(app)
    from qtpy import QtCore

    assert not meter.window().testAttribute(QtCore.Qt.WidgetAttribute.WA_QuitOnClose)


def test_where_the_window_is_hidden_there_is_no_display(adapter, window):
    """Early and late in the host's life: lease.progress() then shows a dialog."""
    window.hide()
    assert adapter.progress("Tiles", lambda: None) is None


def test_a_window_that_is_deleted_takes_the_floating_display_along(shown, window, app, spin):
    """And whoever goes on with it does so in vain."""
    window.statusBar().hide()
    shown = shown()
    window.deleteLater = lambda: None  # the fixture's; this one is done now
    type(window).deleteLater(window)
    spin(lambda: meters(app) == [])
    shown.display.update(0.5, "into the void")
    shown.display.close()
    window.hide = window.setObjectName = lambda *_: None


def test_krita_says_errors_where_its_status_bar_is_hidden(window, monkeypatch, app):
    """As a tooltip in its place, with the whole text escaped; and in the bar for when that is shown."""
    from qtpy import QtWidgets

    adapter = spied("krita", window, monkeypatch)[1]
    window.statusBar().hide()
    adapter.report("my_plugin: <Task> failed\nmore of it", error())
    assert QtWidgets.QToolTip.text() == "<p>my_plugin: &lt;Task&gt; failed - ValueError: spoilt</p>"
    assert window.statusBar().currentMessage() == "my_plugin: <Task> failed - ValueError: spoilt"
    QtWidgets.QToolTip.hideText()


def test_qgis_shows_a_dialog_where_its_message_bar_is_hidden(window, monkeypatch, app):
    """Customized away, say: what was pushed to it is taken back."""
    import sys

    adapter = spied("qgis", window, monkeypatch)[1]
    bar = sys.modules["qgis.utils"].iface.messageBar()._spied[0]
    popped = []
    bar.isVisible, bar.popWidget = (lambda: False), popped.append
    assert adapter.progress("Tiles", lambda: None) is None
    assert len(popped) == 1


def test_napari_shows_a_dialog_for_a_viewer_that_is_not_shown(window, monkeypatch, app):
    """napari.Viewer(show=False)."""
    adapter = spied("napari", window, monkeypatch)[1]
    window.hide()
    assert adapter.progress("Tiles", lambda: None) is None


def test_maya_shows_a_dialog_where_its_progress_bar_is_hidden(window, monkeypatch, app):
    """With the Help Line."""
    from stand_ins_actors import enter

    try:
        actor = enter("maya", window, monkeypatch)
    except NoStubs as exc:
        pytest.skip(str(exc))
    actor.is_hidden = True
    assert actor.adapter.progress("Tiles", lambda: None) is None
    assert actor.shown() is None

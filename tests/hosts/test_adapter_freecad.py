"""host_adapters/freecad.py against stand-ins: what the real FreeCAD at hand cannot show.

That is a FreeCAD with another binding, and one that is only half there. The stand-ins are strict: what FreeCAD lacks
is missing in them. What can be seen in a real FreeCAD is tested there, in test_hosts.py.
"""

import sys
import types

import pytest
from asyncslot.host_adapters import freecad as adapter

import half_there
from asyncslot._hosts import check_adapter
from half_there import Gone, Signal, core_with_application, error


class NoWindow(Exception):
    """What FreeCAD raises where there is no main window: an exception class of its own."""


class Console:
    def __init__(self):
        self.errors = []

    def PrintError(self, text):
        if not isinstance(text, str) or "\0" in text:
            raise TypeError("embedded null character")
        self.errors.append(text)


@pytest.fixture
def freecad(monkeypatch, app):
    """A stand-in for FreeCAD with the binding of this process and its GUI up: `.console`, `.core`, `.gui`, `.window`.

    `.core` and `.gui` are FreeCAD's modules, not Qt's.
    """
    from qtpy import QtCore, QtWidgets

    window = QtWidgets.QMainWindow()
    console = Console()
    core = types.SimpleNamespace(GuiUp=1, Console=console)
    gui = types.SimpleNamespace(getMainWindow=lambda: window)
    shim = types.SimpleNamespace(QObject=QtCore.QObject)
    stand_ins = {
        "FreeCAD": core,
        "FreeCADGui": gui,
        "PySide": types.SimpleNamespace(QtCore=shim),
        "PySide.QtCore": shim,
    }
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    yield types.SimpleNamespace(console=console, core=core, gui=gui, window=window)
    window.deleteLater()


def no_window():
    raise NoWindow("Must be called from the GUI")


# -- who is there ------------------------------------------------------------


def test_it_keeps_the_contract():
    """Everything that an adapter must have is there, under the right names."""
    check_adapter(adapter)


def test_elsewhere_it_is_not_running():
    """In a process without FreeCAD the answers are no, and FreeCAD was not imported to find out."""
    assert not adapter.is_running()
    assert adapter.batch() is None
    assert "FreeCAD" not in sys.modules


def test_freecad_with_its_gui_is_running(freecad):
    assert adapter.is_running()
    assert adapter.batch() is None


@pytest.mark.parametrize("gui_up", [0, None], ids=["FreeCADCmd", "imported in a script"])
def test_freecad_without_its_gui_says_what_to_use(freecad, monkeypatch, gui_up):
    """GuiUp is 0, or not there; FreeCADGui may be loaded all the same."""
    del freecad.core.GuiUp
    if gui_up is not None:
        freecad.core.GuiUp = gui_up
    assert not adapter.is_running()
    assert "asyncio.run()" in adapter.batch()
    monkeypatch.delitem(sys.modules, "FreeCADGui")
    assert not adapter.is_running()


def test_qt_core_is_the_bindings_own_module(freecad):
    """Not the shim that passes its names on: of that one nobody could tell which binding it is."""
    from qtpy import QtCore

    assert adapter.qt_core() is sys.modules[QtCore.QObject.__module__]


def test_without_a_window_there_is_no_parent_and_no_progress(freecad):
    """Early and late in FreeCAD's life the answer is None, not an error."""
    freecad.gui.getMainWindow = no_window
    assert adapter.gui_parent() is None
    assert adapter.progress("title", lambda: None) is None


def test_with_a_deleted_window_there_is_no_progress(freecad):
    freecad.gui.getMainWindow = Gone
    assert adapter.progress("title", lambda: None) is None


# -- errors ------------------------------------------------------------------


def test_report_is_in_the_report_view_with_its_traceback(freecad):
    """It ends with one newline: FreeCAD's console writes none of its own."""
    adapter.report("my_plugin: <Task> failed", error())
    [text] = freecad.console.errors
    assert text.startswith("my_plugin: <Task> failed\n\nTraceback (most recent call last)")
    assert text.endswith("ValueError: spoilt\n")


@pytest.mark.parametrize("text", ["late", "with a null \0 in it"])
def test_report_that_the_console_does_not_take_goes_to_stderr(freecad, capsys, text):
    """A report is never lost without a word."""
    if text == "late":
        freecad.core.Console = Gone()
    adapter.report(text, None)
    assert text in capsys.readouterr().err


def test_report_with_nothing_left_does_not_raise(freecad, monkeypatch):
    """No console and no stderr; or no FreeCAD at all."""
    monkeypatch.setattr(sys, "stderr", None)
    freecad.core.Console = Gone()
    adapter.report("into the void", error())
    monkeypatch.delitem(sys.modules, "FreeCAD")
    adapter.report("into the void", error())


# -- the end of FreeCAD ------------------------------------------------------


@pytest.fixture
def quitting(freecad, monkeypatch):
    """The signals that tell of the end, by name."""
    signals = types.SimpleNamespace(mainWindowClosed=Signal(RuntimeError), aboutToQuit=Signal(RuntimeError))
    window = types.SimpleNamespace(mainWindowClosed=signals.mainWindowClosed)
    core = core_with_application(signals.aboutToQuit)
    freecad.gui.getMainWindow = lambda: window
    monkeypatch.setattr(adapter, "qt_core", lambda: core)
    return signals


@pytest.mark.parametrize("names", [["mainWindowClosed", "aboutToQuit"], ["aboutToQuit"]], ids=" ".join)
def test_on_quit_calls_once(quitting, names):
    """Whichever signals come, and in the order of a real FreeCAD."""
    calls = []
    unhook = adapter.on_quit(lambda: calls.append("quit"))
    for name in names:
        getattr(quitting, name).emit()
    assert calls == ["quit"]
    unhook()


def test_unhook_takes_it_back(quitting):
    """From both signals; a second time does nothing."""
    calls = []
    unhook = adapter.on_quit(lambda: calls.append("quit"))
    unhook()
    unhook()
    assert (quitting.mainWindowClosed.slots, quitting.aboutToQuit.slots) == ([], [])
    assert calls == []


def test_on_quit_without_a_window_uses_qt(quitting, freecad):
    """While FreeCAD starts, or where its window has no such signal."""
    freecad.gui.getMainWindow = no_window
    calls = []
    adapter.on_quit(lambda: calls.append("quit"))
    quitting.aboutToQuit.emit()
    assert calls == ["quit"]


def test_on_quit_reports_what_the_callback_raises(quitting, freecad):
    def fail():
        raise ValueError("spoilt")

    adapter.on_quit(fail)
    quitting.mainWindowClosed.emit()
    [text] = freecad.console.errors
    assert "ValueError: spoilt" in text


def test_unhook_after_the_window_is_gone_does_nothing(quitting):
    """The last plug-in may detach after Qt."""
    unhook = adapter.on_quit(lambda: None)
    quitting.mainWindowClosed.disconnect = lambda slot: Gone().disconnect(slot)
    unhook()
    assert quitting.aboutToQuit.slots == []


# -- progress ----------------------------------------------------------------


def test_progress_is_in_the_status_bar_and_can_be_cancelled_once(freecad, windows):
    """The widgets are the binding's own, so that its strictness about types is met here, Qt 6's too."""
    half_there.use_progress_in_status_bar(adapter, freecad.window)


def test_progress_whose_window_was_closed_can_be_updated_and_closed(freecad, windows):
    freecad.window.show()
    half_there.use_progress_that_has_gone(adapter)

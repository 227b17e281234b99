"""What adapters share of Qt: which QtCore is loaded, the GUI thread, quit hooks, and progress displays.

This module knows no host and is no adapter. Hosts have different bindings, so it imports no
Qt of its own accord: the adapter passes its host's QtCore, or an object of Qt's.
"""

from __future__ import annotations

import html
import importlib
import sys
from contextlib import ExitStack, suppress
from types import ModuleType
from typing import Any, Callable, List, Optional

# For find_core(), which is for hosts that ship PySide. So PySide is first.
_BINDINGS = ("PySide6", "PySide2", "PyQt6", "PyQt5")

_PROGRESS_STEPS = 1000
# Milliseconds for which an error is shown as a tooltip.
_TIP_MS = 10000
# Milliseconds from one _turn() of a TimedProgress to the next.
_TURN_MS = 100


def find_core() -> ModuleType:
    """Return the QtCore module of a host that ships PySide.

    That is the loaded one whose application lives, else any loaded one, else the one that the host ships.
    """
    loaded = [sys.modules[f"{name}.QtCore"] for name in _BINDINGS if f"{name}.QtCore" in sys.modules]
    for core in loaded:
        if core.QCoreApplication.instance() is not None:
            return core
    if loaded:
        return loaded[0]
    try:
        return importlib.import_module("PySide6.QtCore")
    except ImportError:
        return importlib.import_module("PySide2.QtCore")


def find_widgets(core: Any) -> Any:
    """Return the QtWidgets module that belongs to a QtCore. It must be loaded."""
    return sys.modules[core.__name__.replace("QtCore", "QtWidgets")]


def find_window(get_core: Callable[[], Any], is_wanted: Callable[[Any], bool]) -> Optional[Any]:
    """Return the top-level window that is wanted, or None when it has not been made yet or is gone already.

    Args:
        get_core: returns the host's QtCore. If it fails to, as there is none, we return None.
        is_wanted: tells whether a widget is the wanted window.
    """
    try:
        widgets = importlib.import_module(get_core().__name__.replace("QtCore", "QtWidgets"))
        for window in widgets.QApplication.topLevelWidgets():
            if is_wanted(window):
                return window
    except Exception:
        pass
    return None


def is_gui_thread(core: Any) -> bool:
    """Tell whether this is the thread of the Qt application; False if there is no application."""
    application = core.QCoreApplication.instance()
    return application is not None and core.QThread.currentThread() == application.thread()


# -- quitting


Report = Callable[[str, Optional[BaseException]], None]


def guard(callback: Callable[[], None], host: str, report: Report) -> Callable[[], None]:
    """Return a function for a quit hook: it calls `callback`, and reports an exception instead of raising it.

    Args:
        callback: the callback that was given to on_quit().
        host: the host's name in the report.
        report: the adapter's own report().
    """

    def quitting() -> None:
        try:
            callback()
        except Exception as exc:
            report(f"a callback for the end of {host} failed", exc)

    return quitting


def hook_once(
    callback: Callable[[], None], host: str, report: Report, *hooks: Callable[[Callable[[], None]], Callable[[], None]]
) -> Callable[[], None]:
    """Hook a function like guard()'s that calls `callback` the first time only; return what takes all of it back.

    If one of the hooks fails, those before it are taken back.

    Args:
        hooks: each is given that function, and returns a function that undoes what it has done.

    Returns:
        A function that may be called any number of times, also from inside `callback`.
    """
    guarded = [guard(callback, host, report)]

    def quitting() -> None:
        if guarded:
            guarded.pop()()

    with ExitStack() as undo:
        for hook in hooks:
            undo.callback(hook(quitting))
        undo.callback(guarded.clear)  # undone first, so that `callback` is not called even if a hook cannot be undone
        return undo.pop_all().close


def connect(sender: Any, signal: str, slot: Callable[[], None]) -> Callable[[], None]:
    """Connect a function to a signal; return a function that disconnects it, at any time and any number of times.

    We keep the sender until then: bindings drop the Python objects that stand for objects of the host's.
    """
    return _connect(lambda: sender, signal, slot)


def connect_about_to_quit(core: Any, slot: Callable[[], None]) -> Callable[[], None]:
    """Connect a function to `aboutToQuit`; return a function that disconnects it, at any time.

    We do not refer to the application: to ask a deleted one for its signal can crash (PyQt5 5.15.11), and PySide leaves
    weak references to it behind at the exit, with which the process may crash (6.10 to 6.12; seen 2026-11).
    """
    probe = core.QObject(core.QCoreApplication.instance())  # goes with it

    def find() -> Any:
        probe.objectName()  # raises RuntimeError if the application is gone; there may be another one
        return core.QCoreApplication.instance()

    disconnect = _connect(find, "aboutToQuit", slot)

    def unhook() -> None:
        disconnect()
        try:
            probe.deleteLater()
        except RuntimeError:
            pass  # it has gone with the application

    return unhook


def _connect(find_sender: Callable[[], Any], signal: str, slot: Callable[[], None]) -> Callable[[], None]:
    # We look the signal up anew to disconnect: a binding may crash on a signal object whose sender is gone.
    connected = [find_sender]

    def call() -> None:
        if connected:  # the signal may call us after disconnect(), if it could not be disconnected
            slot()

    getattr(find_sender(), signal).connect(call)

    def disconnect() -> None:
        while connected:  # only once: PySide6 warns about a second disconnect
            try:
                getattr(connected.pop()(), signal).disconnect(call)
            except (AttributeError, RuntimeError, TypeError):  # the sender is gone; not connected any more
                pass

    return disconnect


# -- progress


def show_in_status_bar(core: Any, window: Any, text: str) -> None:
    """Show a line in the status bar of a QMainWindow; where that is hidden, as a tooltip in its place."""
    bar = window.statusBar()
    bar.showMessage(text)  # for when the bar is shown, too
    if _is_hidden(core, window, bar):
        place = window.mapToGlobal(window.rect().bottomLeft())
        # A tooltip takes HTML. The last argument is its time in milliseconds.
        find_widgets(core).QToolTip.showText(place, f"<p>{html.escape(text)}</p>", window, core.QRect(), _TIP_MS)


def show_progress_in_status_bar(
    core: Any, window: Any, title: str, cancel: Callable[[], None]
) -> Optional[StatusBarProgress]:
    """Return a progress display in the status bar of a QMainWindow; None if the window cannot be seen, or is gone."""
    try:
        return StatusBarProgress(core, window.statusBar(), title, cancel) if window.isVisible() else None
    except Exception:
        return None


class Meter:
    """A progress bar, and a Cancel button that can be pressed once, for a display of the host's.

    Args:
        width: in pixels, that the bar has at most.
        cancel: called when the user presses Cancel.

    Attributes:
        widgets: the two of them, to be shown in this order.
    """

    def __init__(self, core: Any, width: int, cancel: Callable[[], None]) -> None:
        widgets = find_widgets(core)
        self._bar = widgets.QProgressBar()
        self._bar.setRange(0, _PROGRESS_STEPS)
        self._bar.setMaximumWidth(width)
        # Qt's own dialogs look this word up in this context, so the user sees it in the language of the host.
        self._button = widgets.QPushButton(core.QCoreApplication.translate("QPlatformTheme", "Cancel"))
        self.widgets = (self._bar, self._button)

        def clicked() -> None:
            self._button.setEnabled(False)
            cancel()

        self._button.clicked.connect(lambda *_checked: clicked())

    def show(self, fraction: Optional[float]) -> None:
        """Show a fraction, 0..1, or by None that nobody can tell."""
        self._bar.setMaximum(0 if fraction is None else _PROGRESS_STEPS)
        if fraction is not None:
            self._bar.setValue(round(fraction * _PROGRESS_STEPS))


class StatusBarProgress:
    """A text, a progress bar and a Cancel button in a status bar.

    While the bar is hidden and its window is not, they are in a small window of their own. Users can hide the bar in
    many hosts, and Krita hides it with the last document (5.2 and 6, seen 2026-11).

    Args:
        core: the host's QtCore.
        bar: a QStatusBar.
        title: what is going on, in a word or two.
        cancel: called when the user presses Cancel.
    """

    def __init__(self, core: Any, bar: Any, title: str, cancel: Callable[[], None]) -> None:
        widgets = find_widgets(core)
        self._core = core
        self._bar = bar
        self._title = title
        self._contents = widgets.QWidget()
        self._is_closed = self._is_floating = False
        self._timer = core.QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._settle)
        self._item = _make_watched(widgets, self._settle_soon)
        self._label = widgets.QLabel(title)
        # The text is not HTML. The enum is scoped in Qt 6, and its members are in `Qt` itself before.
        self._label.setTextFormat(getattr(core.Qt, "TextFormat", core.Qt).PlainText)
        self._meter = Meter(core, 200, cancel)

        layout = widgets.QHBoxLayout(self._contents)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._label, *self._meter.widgets):
            layout.addWidget(widget)
        self._place = widgets.QHBoxLayout(self._item)
        self._place.setContentsMargins(0, 0, 0, 0)
        self._place.addWidget(self._contents)
        # A permanent widget is at the right. A passing message of the host's hides the widgets at the left.
        bar.addPermanentWidget(self._item)
        self._settle()

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show a fraction, 0..1 or None, and a few words behind the title."""
        try:
            self._meter.show(fraction)
            self._label.setText(f"{self._title}: {text}" if text else self._title)
        except RuntimeError:  # the window was closed, which deleted its widgets
            pass

    def close(self) -> None:
        """Take the display away. May be called twice."""
        self._is_closed = True
        for take_away in (self._timer.stop, lambda: self._bar.removeWidget(self._item)):
            with suppress(RuntimeError):
                take_away()
        for widget in (self._contents, self._item):
            with suppress(RuntimeError):
                widget.hide()
                widget.deleteLater()

    def _settle_soon(self) -> None:
        """Look at the bar in Qt's next turn: now it is just being shown or hidden, maybe with its window."""
        with suppress(RuntimeError):
            self._timer.start(0)

    def _settle(self) -> None:
        """Move the contents to where they are seen."""
        try:
            window = self._bar.window()
            is_floating = _is_hidden(self._core, window, self._bar)
            if self._is_closed or is_floating == self._is_floating:
                return
            self._is_floating = is_floating
            if is_floating:
                self._float(window)
            else:
                self._place.addWidget(self._contents)
            self._contents.show()
        except RuntimeError:  # the window was deleted
            pass

    def _float(self, window: Any) -> None:
        # The enums are scoped in Qt 6, and their members are in `Qt` itself before.
        types = getattr(self._core.Qt, "WindowType", self._core.Qt)
        # With a title and no button that closes it, since it goes when the task has ended.
        self._contents.setParent(window, types.Tool | types.CustomizeWindowHint | types.WindowTitleHint)
        self._contents.setWindowTitle(self._title)
        # If all other windows of the host are closed, the host must quit although this one is still open.
        attributes = getattr(self._core.Qt, "WidgetAttribute", self._core.Qt)
        self._contents.setAttribute(attributes.WA_QuitOnClose, False)
        self._contents.adjustSize()
        # At the bottom, with room for longer texts at the right, and for an error's tooltip at the left.
        place = self._core.QPoint(window.width() // 4, window.height() - self._contents.height())
        self._contents.move(window.mapToGlobal(place))


def _is_hidden(core: Any, window: Any, bar: Any) -> bool:
    """Tell whether a bar was hidden in a window that can be seen; with its window, it is about to go, or to come."""
    attributes = getattr(core.Qt, "WidgetAttribute", core.Qt)
    # A bar that has just been made is shown in Qt's next turn, unless somebody has called its hide().
    was_called = bar.testAttribute(attributes.WA_WState_ExplicitShowHide)
    return bool(window.isVisible() and not bar.isVisible() and was_called)


def _make_watched(widgets: Any, changed: Callable[[], None]) -> Any:
    """Return a QWidget that calls `changed` when it is shown or hidden, also with a widget that it is in."""

    class Watched(widgets.QWidget):  # type: ignore[misc]
        def showEvent(self, event: Any) -> None:
            super().showEvent(event)
            changed()

        def hideEvent(self, event: Any) -> None:
            super().hideEvent(event)
            changed()

    return Watched()


class TimedProgress:
    """The base of a progress display for hosts that may process events when their display is changed.

    Events must not be processed in the middle of the code that calls `update()`. So `update()` only notes the new
    state, and a timer calls `_turn()`, which tells the host. `_turn()` also asks the host whether the user has
    cancelled: a task may go for minutes without an update.
    """

    def __init__(self, core: Any, cancel: Callable[[], None]) -> None:
        self._cancel: List[Callable[[], None]] = [cancel]
        self._is_turning = self._is_closed = False
        self._timer = core.QTimer()
        self._timer.timeout.connect(self._timed_out)
        self._timer.start(_TURN_MS)

    def _turn(self) -> bool:
        """Tell the host the new state, and return whether the user has cancelled. Exceptions are ignored."""
        raise NotImplementedError

    def _timed_out(self) -> None:
        if self._is_turning or self._is_closed:  # the host may have processed events in _turn(), this timer's too
            return
        self._is_turning = True
        is_cancelled = False
        try:
            is_cancelled = self._turn()
        except Exception:  # the host has taken the display away
            pass
        finally:
            self._is_turning = False
        if is_cancelled and self._cancel:
            self._cancel.pop()()  # once

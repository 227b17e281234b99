"""What adapters have in common: Qt's part of quitting, of threads, and of a display of progress.

No adapter and no host: each of these is handed the host's QtCore, or an object of Qt's. Hosts have
different bindings, so it imports no Qt of its own.
"""

from __future__ import annotations

import importlib
import sys
import weakref
from types import ModuleType
from typing import Any, Callable, List, Optional, Tuple

# Those that the hosts which ship PySide have come with are first.
_BINDINGS = ("PySide6", "PySide2", "PyQt6", "PyQt5")

_PROGRESS_STEPS = 1000
_TURN_MS = 100


def find_core() -> ModuleType:
    """Return the QtCore module of a host that ships PySide: the one that is loaded, else the one that it ships."""
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
    """Return the QtWidgets module that goes with a QtCore and that is loaded."""
    return sys.modules[core.__name__.replace("QtCore", "QtWidgets")]


def find_window(get_core: Callable[[], Any], is_wanted: Callable[[Any], bool]) -> Optional[Any]:
    """Return the top-level window that is wanted, or None when it has not been made yet or is gone already.

    Args:
        get_core: returns the host's QtCore; one that is not there is no error.
        is_wanted: tells of a widget whether it is the one.
    """
    try:
        widgets = importlib.import_module(get_core().__name__.replace("QtCore", "QtWidgets"))
        for window in widgets.QApplication.topLevelWidgets():
            if is_wanted(window):
                return window
    except (AttributeError, ImportError, RuntimeError):
        pass
    return None


def is_gui_thread(core: Any) -> bool:
    """Tell whether this is the thread of the Qt application, which there must be."""
    application = core.QCoreApplication.instance()
    return application is not None and core.QThread.currentThread() == application.thread()


# -- quitting


Report = Callable[[str, Optional[BaseException]], None]


def guard(callback: Callable[[], None], host: str, report: Report) -> Callable[[], None]:
    """Return a function for the end of a host: it calls `callback` and reports what that raises.

    Args:
        callback: what waits for the end.
        host: the host's name in the report.
        report: the adapter's own.
    """

    def quitting() -> None:
        try:
            callback()
        except Exception as exc:
            report(f"a callback for the end of {host} failed", exc)

    return quitting


def guard_once(
    callback: Callable[[], None], host: str, report: Report
) -> Tuple[Callable[[], None], Callable[[], None]]:
    """Return a function like guard()'s that calls `callback` the first time only, and one that keeps it from that.

    For a host with more than one sign of its end, and for hooks that it may not be possible to take back.
    """
    guarded = [guard(callback, host, report)]

    def quitting() -> None:
        if guarded:
            guarded.pop()()

    return quitting, guarded.clear


def connect(sender: Any, signal: str, slot: Callable[[], None]) -> Callable[[], None]:
    """Connect a function to a signal; return a function that disconnects it, at any time and any number of times.

    The sender is kept until then: bindings drop their objects for what the host has made.
    """
    return _connect(lambda: sender, signal, slot)


def connect_about_to_quit(core: Any, slot: Callable[[], None]) -> Callable[[], None]:
    """Connect a function to `aboutToQuit`; return a function that disconnects it, at any time.

    The application is not kept: asking a deleted one for its signal can crash (PyQt5 5.15.11, seen 2026-11).
    """
    return _connect(weakref.ref(core.QCoreApplication.instance()), "aboutToQuit", slot)


def _connect(find_sender: Callable[[], Any], signal: str, slot: Callable[[], None]) -> Callable[[], None]:
    # The signal's own object is not kept: a binding may crash on one whose sender is gone.
    connected = [find_sender]

    def call() -> None:
        if connected:  # also if the signal could not be told to forget this
            slot()

    getattr(find_sender(), signal).connect(call)

    def disconnect() -> None:
        while connected:  # once: PySide6 warns of what is not connected any more
            try:
                getattr(connected.pop()(), signal).disconnect(call)
            except (AttributeError, RuntimeError, TypeError):  # the sender is gone; not connected any more
                pass

    return disconnect


# -- progress


class StatusBarProgress:
    """A widget of a status bar: what is going on, a progress bar and a Cancel button.

    Args:
        core: the host's QtCore.
        bar: a QStatusBar.
        title: what is going on, in a word or two.
        cancel: called when the user presses Cancel.
    """

    def __init__(self, core: Any, bar: Any, title: str, cancel: Callable[[], None]) -> None:
        widgets = find_widgets(core)
        self._bar = bar
        self._title = title
        self._item = widgets.QWidget()
        self._label = widgets.QLabel(title)
        # Without HTML: scoped in Qt 6, in `Qt` itself before.
        self._label.setTextFormat(getattr(core.Qt, "TextFormat", core.Qt).PlainText)
        self._meter = widgets.QProgressBar()
        self._meter.setRange(0, _PROGRESS_STEPS)
        self._meter.setMaximumWidth(200)
        # The context in which Qt's own dialogs look up this word: the user sees it in the language of the host.
        self._button = widgets.QPushButton(core.QCoreApplication.translate("QPlatformTheme", "Cancel"))

        def clicked() -> None:
            self._button.setEnabled(False)
            cancel()

        self._button.clicked.connect(lambda *_checked: clicked())

        layout = widgets.QHBoxLayout(self._item)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._label, self._meter, self._button):
            layout.addWidget(widget)
        # At the right: a passing message of the host's hides what is at the left.
        bar.addPermanentWidget(self._item)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show how far it is.

        Args:
            fraction: 0..1; None while nobody can tell.
            text: a few words more; "" for none.
        """
        try:
            self._meter.setMaximum(0 if fraction is None else _PROGRESS_STEPS)
            if fraction is not None:
                self._meter.setValue(round(fraction * _PROGRESS_STEPS))
            self._label.setText(f"{self._title}: {text}" if text else self._title)
        except RuntimeError:  # the window was closed, which deleted its widgets
            pass

    def close(self) -> None:
        """Take the display away. May be called twice."""
        try:
            self._bar.removeWidget(self._item)
            self._item.deleteLater()
        except RuntimeError:
            pass


class TimedProgress:
    """What a display of progress needs if the host may process events when it is told of something.

    That must not happen in the middle of whatever calls `update()`. So a timer has it told, by `_turn()`, which also
    asks whether the user has cancelled: a task may go for minutes without an update.
    """

    def __init__(self, core: Any, cancel: Callable[[], None]) -> None:
        self._cancel: List[Callable[[], None]] = [cancel]
        self._is_turning = self._is_closed = False
        self._timer = core.QTimer()
        self._timer.timeout.connect(self._timed_out)
        self._timer.start(_TURN_MS)

    def _turn(self) -> bool:
        """Tell the host what is new, and return whether the user has cancelled. What it raises is ignored."""
        raise NotImplementedError

    def _timed_out(self) -> None:
        if self._is_turning or self._is_closed:
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

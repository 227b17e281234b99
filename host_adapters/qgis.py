"""QGIS: what has to be known about it, from 3.16 (Qt 5) to 4 (Qt 6).

It refuses to know how asyncio is run. It answers where QGIS is in its life, and shows its users what they must see.

QGIS embeds Python, and `qgis.utils` is its Python side: `iface`, the running application as plug-ins see it, is set
there before the first plug-in is loaded and stays None in `qgis_process` and in stand-alone scripts. Everything
that belongs to the user interface is for the GUI thread only; `QgsMessageLog` may be called from any thread.

The order in which QGIS ends is not to be relied on. In 3.22 (seen 2026-11) each plug-in's `unload()` was called before
`aboutToQuit` in some runs and after it in others, at loop level 0 either way; then the process ends without `atexit`
and without Python's finalization.
"""

from __future__ import annotations

import html
import sys
from types import ModuleType
from typing import Any, Callable, Optional

from ._qt import connect, guard, is_gui_thread
from ._reports import add_traceback, first_line, write_stderr

NAME = "QGIS"

# The tab of the log panel in which users find our messages, and the title of those in the message bar.
_LOG_TAG = "asyncslot"

_PROGRESS_STEPS = 1000


def is_running() -> bool:
    """Tell whether this is QGIS with its main window, which neither qgis_process nor a stand-alone script has."""
    utils = sys.modules.get("qgis.utils")
    return getattr(utils, "iface", None) is not None


def qt_core() -> ModuleType:
    """Return the QtCore module that QGIS uses, PyQt5's or PyQt6's.

    `qgis.PyQt.QtCore` only passes on its names, so a class is asked where it really comes from.
    """
    from qgis.PyQt.QtCore import QObject

    return sys.modules[QObject.__module__]


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already."""
    try:
        return _iface().mainWindow()
    except (AttributeError, RuntimeError):  # iface is None, or the object behind it was deleted
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called when QGIS is about to quit; return a function that takes this back.

    `aboutToQuit` is the one hook: an exit blocker (`QgisInterface.registerApplicationExitBlocker`) is asked before
    it is certain that QGIS will quit, and `unload()` belongs to the plug-ins.

    Args:
        callback: called on the GUI thread. What it raises is reported and goes no further: an exception that
            leaves a slot opens a modal dialog in QGIS.

    Returns:
        A function that may be called any number of times, also after QGIS has quit.

    Thread: GUI thread only.
    """
    return connect(qt_core().QCoreApplication.instance(), "aboutToQuit", guard(callback, NAME, report))


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error where users of QGIS look: its message log, with the traceback, and shortly its message bar.

    Never raises, whatever state QGIS is in: where nothing of it answers, the text goes to stderr.

    Args:
        message: says what went wrong and in which plug-in; the message bar shows its first line.
        exc: the exception behind it, if there is one.

    Thread: any. From another than the GUI thread only the log is written.
    """
    text = add_traceback(message, exc)
    try:
        _write_log(text)
    except Exception:
        # QGIS on Windows has none while it starts (qgis/QGIS#60776).
        write_stderr(f"{_LOG_TAG}: {text}")
    try:
        if is_gui_thread(qt_core()):
            _push_to_bar(message, exc)
    except Exception:  # no window any more; the log has it all
        pass


def progress(title: str, cancel: Callable[[], None]) -> Optional[_BarProgress]:
    """Show a progress bar with a Cancel button in the message bar.

    Not a `QgsProxyProgressTask`: that one keeps a thread of QGIS's pool waiting for as long as it is shown.

    Args:
        title: what is going on, in a word or two.
        cancel: called when the user presses Cancel. Dismissing the message only hides it.

    Returns:
        An object with `update(fraction, text)` and `close()`, or None when QGIS has no message bar (any more).

    Thread: GUI thread only.
    """
    try:
        bar = _iface().messageBar()
    except (AttributeError, RuntimeError):
        return None
    return _BarProgress(bar, title, cancel)


class _BarProgress:
    """An item of the message bar with a progress bar and a button in it."""

    def __init__(self, bar: Any, title: str, cancel: Callable[[], None]) -> None:
        from qgis.PyQt.QtCore import QCoreApplication
        from qgis.PyQt.QtWidgets import QProgressBar, QPushButton

        self._bar = bar
        self._meter = QProgressBar()
        self._meter.setRange(0, _PROGRESS_STEPS)
        self._meter.setMaximumWidth(300)
        # The context in which Qt's own dialogs look up this word: the user sees it in the language of QGIS.
        self._button = QPushButton(QCoreApplication.translate("QPlatformTheme", "Cancel"))

        def clicked() -> None:
            self._button.setEnabled(False)
            cancel()

        self._button.clicked.connect(lambda *_checked: clicked())

        self._item = bar.createMessage(html.escape(title), "")
        self._item.layout().addWidget(self._meter)
        self._item.layout().addWidget(self._button)
        bar.pushWidget(self._item, _level("Info"), 0)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show how far it is.

        Args:
            fraction: 0..1; None while nobody can tell.
            text: a few words beside the bar; "" for none.
        """
        try:
            self._meter.setMaximum(0 if fraction is None else _PROGRESS_STEPS)
            if fraction is not None:
                self._meter.setValue(round(fraction * _PROGRESS_STEPS))
            self._item.setText(html.escape(text))
        except RuntimeError:  # the user dismissed the message, which deleted its widgets
            pass

    def close(self) -> None:
        """Take the display away. May be called twice."""
        try:
            self._bar.popWidget(self._item)
        except RuntimeError:
            pass


def _iface() -> Any:
    """Return QGIS as plug-ins see it. Looked up each time: nothing tells us when it goes."""
    return sys.modules["qgis.utils"].iface


def _level(name: str) -> Any:
    """Return a member of QGIS's message levels: scoped since 3.20, in the class `Qgis` itself before."""
    from qgis.core import Qgis

    scoped = getattr(Qgis, "MessageLevel", None)
    return getattr(scoped if hasattr(scoped, name) else Qgis, name)


def _write_log(text: str) -> None:
    from qgis.core import QgsMessageLog

    QgsMessageLog.logMessage(text, _LOG_TAG, _level("Warning"))


def _push_to_bar(message: str, exc: Optional[BaseException]) -> None:
    # The bar takes HTML, and a repr is full of angle brackets.
    text = html.escape(f"{first_line(message, exc)}. More in the Log Messages panel, tab {_LOG_TAG}.")
    bar = _iface().messageBar()
    shown = bar.currentItem()
    if shown is None or shown.text() != text:  # a task that fails ten times a second fills one line, not the window
        bar.pushMessage(_LOG_TAG, text, _level("Warning"))

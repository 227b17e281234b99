"""The adapter for QGIS, from 3.16 (Qt 5) to 4 (Qt 6).

It knows nothing of asyncio. README.md beside this file has the contract that it keeps.

QGIS embeds Python, and `qgis.utils` is its Python side. There `iface`, the running application as plug-ins see it, is
set before the first plug-in is loaded; in `qgis_process` and in stand-alone scripts it stays None. All of the user
interface is for the GUI thread only. `QgsMessageLog` may be called from any thread.

Do not rely on the order in which QGIS ends. In 3.22 (seen 2026-11) each plug-in's `unload()` was called before
`aboutToQuit` in some runs and after it in others, at loop level 0 either way. In 3.40 on Qt 6 (seen 2026-11) it was
called before, at loop level 1. Then the process ends without `atexit` and without Python's finalization.
"""

from __future__ import annotations

import html
import sys
from types import ModuleType
from typing import Any, Callable, Optional

from ._qt import Meter, connect, guard, is_gui_thread
from ._reports import add_traceback, first_line, write_stderr

NAME = "QGIS"

# The tab of the log panel in which users find our messages, and the title of our messages in the message bar.
_LOG_TAG = "asyncslot"


def is_running() -> bool:
    """Tell whether this is QGIS with its main window, which neither qgis_process nor a stand-alone script has."""
    try:
        return sys.modules["qgis.utils"].iface is not None
    except Exception:  # this is no QGIS, or one that is only half there
        return False


def qt_core() -> ModuleType:
    """Return the QtCore module that QGIS uses, PyQt5's or PyQt6's.

    `qgis.PyQt.QtCore` only passes on the names of that module, so we ask a class in which module it was defined.
    """
    from qgis.PyQt.QtCore import QObject

    return sys.modules[QObject.__module__]


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already."""
    try:
        return _iface().mainWindow()
    except Exception:  # iface is None, or the object behind it was deleted
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called by `aboutToQuit`, the only hook that QGIS has for its certain end.

    An exit blocker (`QgisInterface.registerApplicationExitBlocker`) is asked before it is certain that QGIS will
    quit, and `unload()` belongs to the plug-ins. An exception of `callback` is reported and does not leave the slot,
    since it would open a modal dialog in QGIS.
    """
    return connect(qt_core().QCoreApplication.instance(), "aboutToQuit", guard(callback, NAME, report))


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show all of an error in the message log, and its first line for a short time in the message bar.

    From another thread than the GUI thread only the log is written. If QGIS takes no message any more, the text goes
    to stderr.
    """
    text = add_traceback(message, exc)
    try:
        _write_log(text)
    except Exception:
        # QGIS on Windows has no stderr while it starts (qgis/QGIS#60776).
        write_stderr(f"{_LOG_TAG}: {text}")
    try:
        if is_gui_thread(qt_core()):
            _push_to_bar(message, exc)
    except Exception:  # there is no window any more; the whole text is in the log
        pass


def progress(title: str, cancel: Callable[[], None]) -> Optional[_BarProgress]:
    """Show a progress bar with a Cancel button in the message bar; None when that is not there (any more) or hidden.

    If the user dismisses the message, that only hides it, and does not cancel. We do not use `QgsProxyProgressTask`:
    it keeps a thread of QGIS's pool waiting for as long as it is shown.
    """
    try:
        bar = _iface().messageBar()
        shown = _BarProgress(bar, title, cancel)
    except Exception:
        return None
    if _is_hidden(bar):
        shown.close()
        return None
    return shown


class _BarProgress:
    """An item of the message bar with a progress bar and a button in it."""

    def __init__(self, bar: Any, title: str, cancel: Callable[[], None]) -> None:
        self._bar = bar
        self._meter = Meter(qt_core(), 300, cancel)
        self._item = bar.createMessage(html.escape(title), "")
        for widget in self._meter.widgets:
            self._item.layout().addWidget(widget)
        bar.pushWidget(self._item, _level("Info"), 0)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show a fraction, 0..1 or None, and a few words beside the bar."""
        try:
            self._meter.show(fraction)
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
    """Return QGIS as plug-ins see it. We look it up each time, as nothing tells us when it goes."""
    return sys.modules["qgis.utils"].iface


def _is_hidden(bar: Any) -> bool:
    """Tell whether a message bar in which there is a message cannot be seen although its window can."""
    try:
        return bool(_iface().mainWindow().isVisible() and not bar.isVisible())
    except Exception:  # it is on its way out
        return False


def _level(name: str) -> Any:
    """Return one of QGIS's message levels. The enum is scoped since 3.20; before, they are in the class `Qgis`."""
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
    if shown is None or shown.text() != text:  # a task that fails ten times a second must not fill the window
        bar.pushMessage(_LOG_TAG, text, _level("Warning"))

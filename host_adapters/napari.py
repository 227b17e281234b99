"""napari: what has to be known about it, from 0.4.18 (PyQt5, PySide2) to 0.9 (PyQt6, PySide6).

It refuses to know how asyncio is run. It answers where napari is in its life, and shows its users what they must see.

napari is a Python library that becomes an application with its first viewer, in its own process or in an IPython
session's; without a viewer there is nothing to be at home in. It may have several, each with a window of its own;
notifications and progress are for the one that was active last, or for all.

Three of napari's habits shaped this (0.9.2, read and seen 2026-11). Its progress bars call `processEvents()` whenever
they are made or changed, so they are never touched from inside a coroutine's step, where that would run other code
between two awaits: a timer of ours does it. What napari is told as an exception it keeps for ever, with every frame
of the traceback, so it is told text only. And a `progress` object writes to the terminal unless it is given a file.
"""

from __future__ import annotations

import importlib
import io
import logging
import sys
from types import ModuleType
from typing import Any, Callable, Optional, Tuple

from ._qt import connect, find_widgets, guard, is_gui_thread
from ._reports import first_line, write_stderr

NAME = "napari"

_PROGRESS_STEPS = 1000
# Of what tqdm can tell, napari shows the part behind the last "|". Nothing: its rates and times push the Cancel button
# out of sight.
_NO_RATES = "{bar}|"


def is_running() -> bool:
    """Tell whether this is napari with a viewer, which a script that only uses its library has not."""
    return _viewer() is not None


def batch() -> Optional[str]:
    """Say what to do in a script that has imported napari and made no viewer; None in any other process."""
    if sys.modules.get("napari") is None or is_running():
        return None
    return "napari has no viewer here: call attach() once there is one, or use asyncio.run() in a script without"


def qt_core() -> ModuleType:
    """Return the QtCore module that napari uses, of whichever binding.

    It has it from QtPy, which only passes on its names, so a class is asked where it really comes from.
    """
    core: Any = importlib.import_module("qtpy.QtCore")
    return sys.modules[core.QObject.__module__]


def gui_parent() -> Optional[Any]:
    """Return the window of the viewer that was active last, or None when there is none (any more)."""
    try:
        # napari has no public name for it (as of 0.9.2).
        return _viewer().window._qt_window  # type: ignore[union-attr]
    except (AttributeError, RuntimeError):
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called when napari is about to quit; return a function that takes this back.

    `aboutToQuit` is the one hook: a viewer that is closed may not be the last, and in IPython the application lives on
    without any.

    Args:
        callback: called on the GUI thread. What it raises is reported and goes no further.

    Returns:
        A function that may be called any number of times, also after napari has quit.

    Thread: GUI thread only.
    """
    return connect(qt_core().QCoreApplication.instance(), "aboutToQuit", guard(callback, NAME, report))


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error where users of napari look: one line as a notification, and all of it in the log.

    The log is Python's, which napari shows under Help and passes on to the terminal. Never raises, whatever state
    napari is in.

    Args:
        message: says what went wrong and in which plug-in; the notification shows its first line.
        exc: the exception behind it, if there is one.

    Thread: any. From another than the GUI thread it is only logged.
    """
    try:
        logging.getLogger(__name__).error("%s", message, exc_info=exc)
    except Exception:
        write_stderr(message)
    try:
        if is_gui_thread(qt_core()):
            _notify(message, exc)
    except Exception:  # no window any more; the log has it all
        pass


def progress(title: str, cancel: Callable[[], None]) -> Optional[_ActivityProgress]:
    """Show a progress bar with a Cancel button among napari's activities.

    They are behind the button "activity" in the status bar, which says that something is in progress.

    Args:
        title: what is going on, in a word or two.
        cancel: called when the user presses Cancel.

    Returns:
        An object with `update(fraction, text)` and `close()`, or None when there is no viewer (any more), or when this
        napari is so old (before 0.4.18) that its progress bars cannot be cancelled.

    Thread: GUI thread only.
    """
    make_bar = getattr(sys.modules.get("napari.utils"), "cancelable_progress", None)
    if make_bar is None or _viewer() is None:
        return None
    return _ActivityProgress(make_bar, qt_core(), title, cancel)


class _ActivityProgress:
    """One of napari's progress bars, made and changed from a timer: see the head of this file."""

    def __init__(self, make_bar: Callable[..., Any], core: Any, title: str, cancel: Callable[[], None]) -> None:
        self._make_bar = make_bar
        self._title = title
        self._cancel = cancel
        self._bar: Optional[Any] = None
        self._wanted: Tuple[int, int, str] = (0, 0, title)  # value, total, text; a total of 0 is an endless bar
        self._shown_text = title
        self._is_showing = False
        self._is_closed = False
        self._timer = core.QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._show)
        self._timer.start(0)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show how far it is.

        Args:
            fraction: 0..1; None while nobody can tell.
            text: a few words beside the bar; "" for none.
        """
        description = f"{self._title}: {text}" if text else self._title
        if fraction is None:
            self._wanted = (0, 0, description)
        else:
            self._wanted = (round(fraction * _PROGRESS_STEPS), _PROGRESS_STEPS, description)
        if not self._is_closed:
            self._timer.start(0)

    def close(self) -> None:
        """Take the display away. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._timer.stop()
        except RuntimeError:  # deleted with the application
            pass
        if not self._is_showing:  # else _show() does it when napari lets it go on
            self._close_bar()

    def _close_bar(self) -> None:
        bar, self._bar = self._bar, None
        try:
            if bar is not None:
                bar.close()
        except (KeyError, RuntimeError):  # the viewer closed it when its window went
            pass

    def _show(self) -> None:
        """Bring the bar to what is wanted."""
        # napari processes events in here: this timer's, and those of whoever updates, closes or cancels.
        if self._is_showing:
            return
        self._is_showing = True
        wanted = self._wanted
        try:
            self._show_once(*wanted)
        except RuntimeError:  # the window, and the bar with it, is gone
            pass
        except Exception:
            logging.getLogger(__name__).warning("napari could not show the progress of %r", self._title, exc_info=True)
        finally:
            self._is_showing = False
            if self._is_closed:
                self._close_bar()
            elif self._wanted != wanted:
                self._timer.start(0)

    def _show_once(self, value: int, total: int, text: str) -> None:
        if self._bar is None:
            self._shown_text = text
            self._bar = self._make_bar(total=total, desc=text, file=io.StringIO(), bar_format=_NO_RATES)
            # napari's button calls this method, and nothing that a caller can pass in: its cancel_callback is for
            # whoever iterates.
            self._bar.cancel = self._clicked
        if self._bar.total != total:
            self._bar.total = total
        if self._bar.n != value:
            self._bar.update(value - self._bar.n)
        if self._shown_text != text:
            self._shown_text = text
            self._bar.set_description(text)

    def _clicked(self) -> None:
        if not self._bar.is_canceled:  # type: ignore[union-attr]
            self._bar.is_canceled = True  # type: ignore[union-attr]
            self._cancel()


def _viewer() -> Optional[Any]:
    """Return the viewer that was active last. Looked up each time: nothing tells us when it goes."""
    # The second, napari's Qt side, is what current_viewer() would import.
    if "napari.viewer" not in sys.modules or "napari._qt.qt_main_window" not in sys.modules:
        return None
    current_viewer = getattr(sys.modules["napari.viewer"], "current_viewer", None)
    try:
        return None if current_viewer is None else current_viewer()
    except Exception:  # in the middle of its import, or of its end
        return None


def _notify(message: str, exc: Optional[BaseException]) -> None:
    has_log_window = "napari.utils._logging" in sys.modules
    text = f"{first_line(message, exc)}. More {'under Help, Show logs' if has_log_window else 'in the terminal'}."
    if not _is_shown(text):  # a task that fails ten times a second makes one notification, not a pile
        sys.modules["napari.utils.notifications"].show_error(text)


def _is_shown(text: str) -> bool:
    labels = gui_parent().findChildren(find_widgets(qt_core()).QLabel)  # type: ignore[union-attr]
    return any(label.text() == text and label.isVisible() for label in labels)

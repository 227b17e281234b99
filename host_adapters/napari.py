"""The adapter for napari, from 0.4.18 (PyQt5, PySide2) to 0.9 (PyQt6, PySide6).

It knows nothing of asyncio. README.md beside this file has the contract that it keeps.

napari is a Python library. It becomes an application with its first viewer, in its own process or in that of an
IPython session. A process without a viewer is not this host. There may be several viewers, each with a window of its
own. Notifications and progress are for the viewer that was active last, or for all.

What the comments below say about progress bars and kept exceptions was read and seen in napari 0.9.2 (2026-11).
"""

from __future__ import annotations

import importlib
import io
import logging
import sys
from types import ModuleType
from typing import Any, Callable, Optional, Tuple

from ._qt import connect, find_widgets, guard, is_gui_thread
from ._reports import add_traceback, first_line, write_stderr

NAME = "napari"

_PROGRESS_STEPS = 1000
# The format of the text that napari takes from tqdm. napari shows the part behind the last "|", and we leave that part
# empty: rates and times would push the Cancel button out of sight.
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

    napari takes it from QtPy, which only passes on the names, so we ask a class in which module it was defined.
    """
    core: Any = importlib.import_module("qtpy.QtCore")
    return sys.modules[core.QObject.__module__]


def gui_parent() -> Optional[Any]:
    """Return the window of the viewer that was active last, or None when there is none (any more)."""
    try:
        # napari has no public name for the Qt window (as of 0.9.2).
        return _viewer().window._qt_window  # type: ignore[union-attr]
    except Exception:  # there is none, or it was deleted
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called by `aboutToQuit`, the only hook that we can use.

    The end of a viewer is none: a viewer that is closed may not be the last, and in IPython the application lives on
    without any viewer.
    """
    return connect(qt_core().QCoreApplication.instance(), "aboutToQuit", guard(callback, NAME, report))


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show the first line of an error as a notification, and log all of it with Python's logging.

    napari shows that log under Help, and passes it on to the terminal. From another thread than the GUI thread the
    error is only logged.
    """
    try:
        logging.getLogger(__name__).error("%s", message, exc_info=exc)
    except Exception:
        write_stderr(add_traceback(message, exc))
    try:
        if is_gui_thread(qt_core()):
            _notify(message, exc)
    except Exception:  # there is no window any more; the whole text is in the log
        pass


def progress(title: str, cancel: Callable[[], None]) -> Optional[_ActivityProgress]:
    """Show a progress bar with a Cancel button among napari's activities.

    The activities open by the button "activity" in the status bar, which says that something is in progress. Returns
    None when there is no viewer to be seen (any more), or when this napari is so old (before 0.4.18) that its progress
    bars cannot be cancelled.
    """
    window = gui_parent()
    try:
        make_bar = getattr(sys.modules.get("napari.utils"), "cancelable_progress", None)
        if make_bar is None or window is None or not window.isVisible():
            return None
        return _ActivityProgress(make_bar, qt_core(), title, cancel)
    except Exception:
        return None


class _ActivityProgress:
    """One of napari's progress bars, made and changed from a timer.

    napari calls `processEvents()` whenever a bar is made or changed. Inside a coroutine's step that would run other
    code between two awaits. So update() only notes the new state, and a timer of ours brings the bar to it.
    """

    def __init__(self, make_bar: Callable[..., Any], core: Any, title: str, cancel: Callable[[], None]) -> None:
        self._make_bar = make_bar
        self._title = title
        self._cancel = cancel
        self._bar: Optional[Any] = None
        self._wanted: Tuple[int, int, str] = (0, 0, title)  # value, total, text; with a total of 0 the bar is endless
        self._shown_text = title
        self._is_showing = False
        self._is_closed = False
        self._timer = core.QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._show)
        self._timer.start(0)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show a fraction, 0..1 or None, and a few words behind the title, in the timer's next turn."""
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
        except RuntimeError:  # the timer was deleted with the application
            pass
        if not self._is_showing:  # else _show() is on the stack, in napari's processEvents(), and closes the bar itself
            self._close_bar()

    def _close_bar(self) -> None:
        bar, self._bar = self._bar, None
        try:
            if bar is not None:
                bar.close()
        except (KeyError, RuntimeError):  # the viewer closed it when its window went
            pass
        except Exception:
            # We may be called by Qt, and nothing must go out into it.
            logging.getLogger(__name__).warning("napari could not close the progress of %r", self._title, exc_info=True)

    def _show(self) -> None:
        """Bring the bar to the wanted state."""
        # napari processes events in here: this timer may call us again, and other code may update, close or cancel.
        if self._is_showing:
            return
        self._is_showing = True
        wanted = self._wanted
        try:
            self._show_once(*wanted)
        except RuntimeError:  # the window is gone, and the bar with it
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
            # Without a file the bar would write to the terminal.
            self._bar = self._make_bar(total=total, desc=text, file=io.StringIO(), bar_format=_NO_RATES)
            # napari's button calls this method of the bar, so we replace it. The cancel_callback that we could pass is
            # not called by the button: it is for code that iterates over the bar.
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
    """Return the viewer that was active last. We look it up each time, as nothing tells us when it goes."""
    # current_viewer() would import the second module, napari's Qt side, if it were not loaded.
    if "napari.viewer" not in sys.modules or "napari._qt.qt_main_window" not in sys.modules:
        return None
    try:
        current_viewer = getattr(sys.modules["napari.viewer"], "current_viewer", None)
        return None if current_viewer is None else current_viewer()
    except Exception:  # napari is in the middle of its import, or of its end
        return None


def _notify(message: str, exc: Optional[BaseException]) -> None:
    has_log_window = "napari.utils._logging" in sys.modules
    text = f"{first_line(message, exc)}. More {'under Help, Show logs' if has_log_window else 'in the terminal'}."
    if not _is_shown(text):  # a task that fails ten times a second must not make a pile of notifications
        # Text, not the exception: napari keeps exceptions for ever, with every frame of the traceback.
        sys.modules["napari.utils.notifications"].show_error(text)


def _is_shown(text: str) -> bool:
    labels = gui_parent().findChildren(find_widgets(qt_core()).QLabel)  # type: ignore[union-attr]
    return any(label.text() == text and label.isVisible() for label in labels)

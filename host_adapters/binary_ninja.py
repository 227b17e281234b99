"""The adapter for Binary Ninja, from 3 (PySide6) on.

It knows nothing of asyncio. README.md beside this file has the contract that it keeps. Checked against our own stub of
the little that we use of Binary Ninja's API, which is published, and run against a stand-in made from that; not run in
a real Binary Ninja.

The module `binaryninja` is there in every process that uses its core, and `core_ui_enabled()` tells whether the process
has a window. Binary Ninja calls much of a plug-in's code in threads of its own; `execute_on_main_thread_and_wait()`
leads to the GUI thread, where attach() belongs.
"""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType
from typing import Any, Callable, List, Optional

from ._qt import TimedProgress, connect_about_to_quit, find_core, hook_once, is_gui_thread
from ._reports import add_traceback, open_relay, write_from_any_thread

NAME = "Binary Ninja"

# Through these the GUI thread writes the reports of other threads: one for each on_quit() in effect (see open_relay()).
_relays: List[Any] = []


def is_running() -> bool:
    """Tell whether this is Binary Ninja with its window, which a script that uses its core has not."""
    return _has_gui() is True


def batch() -> Optional[str]:
    """Return what to use in a script that uses Binary Ninja's core; None in any other process."""
    if _has_gui() is not False:
        return None
    return "This is Binary Ninja without its GUI, where no Qt loop runs; use asyncio.run() there"


def qt_core() -> ModuleType:
    """Return Binary Ninja's QtCore module: the one that is loaded, else the one that it ships."""
    return find_core()


def gui_parent() -> Optional[Any]:
    """Return the active main window, or None when none has been made yet or all are gone already."""
    try:
        import binaryninjaui

        return binaryninjaui.UIContext.activeContext().mainWindow()
    except Exception:
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called by `aboutToQuit`: Binary Ninja's notifications are about its files and windows."""
    return hook_once(
        callback,
        NAME,
        report,
        lambda _: open_relay(_relays, qt_core(), _write_log),
        partial(connect_about_to_quit, qt_core()),
    )


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error, with the traceback, in the log.

    Called in another thread than the GUI thread, it has the GUI thread write the text a moment later. If Binary Ninja
    takes no message any more, the text goes to stderr.
    """
    text = add_traceback(message, exc)
    write_from_any_thread(text, lambda: is_gui_thread(qt_core()), _write_log, _relays)


def progress(title: str, cancel: Callable[[], None]) -> Optional[_Task]:
    """Show progress as a background task in the status bar, which can be cancelled there; None when there is no window.

    It is a line of text, in which the share is told in percent.
    """
    try:
        return None if gui_parent() is None else _Task(title, cancel)
    except Exception:
        return None


class _Task(TimedProgress):
    """One `BackgroundTask`. It runs nothing, and is asked by a timer whether the user has cancelled it."""

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        from binaryninja import BackgroundTask

        self._title = title
        self._text = self._shown_text = title
        self._task = BackgroundTask(title, True)
        super().__init__(qt_core(), cancel)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show a fraction, 0..1 or None, and a few words behind the title, in the timer's next turn."""
        words = ([] if fraction is None else [f"{round(fraction * 100)} %"]) + ([text] if text else [])
        self._text = f"{self._title}: {' '.join(words)}" if words else self._title

    def close(self) -> None:
        """Take the display away. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._timer.stop()
        except RuntimeError:  # Qt is gone
            pass
        try:
            self._task.finish()
        except Exception:  # Binary Ninja is
            pass

    def _turn(self) -> bool:
        if self._text != self._shown_text:
            self._shown_text = self._text
            self._task.progress = self._text
        # Not by its truth: in the tests of plug-ins `binaryninja` may be a mock, which must not cancel.
        return self._task.cancelled is True


def _has_gui() -> Optional[bool]:
    """Tell whether this is a Binary Ninja with its GUI; None if this is no Binary Ninja."""
    binaryninja = sys.modules.get("binaryninja")
    if binaryninja is None:
        return None
    try:
        return bool(binaryninja.core_ui_enabled())
    except Exception:  # it is only half there
        return False


def _write_log(text: str) -> None:
    import binaryninja

    binaryninja.log_error(text)

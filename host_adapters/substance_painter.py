"""Substance 3D Painter: what has to be known about it, from 10.1 (PySide6) on; with PySide2 before that.

It refuses to know how asyncio is run. Checked against stubs of Painter's modules and run against stand-ins made from
them; not run in a real Painter.

Painter's dispatcher has events for projects and not for its own end, so that is `aboutToQuit` alone. It has no mode
without GUI in which Python runs, and no progress display for plug-ins. What a plug-in leaves of its windows keeps
Painter from ending.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Callable, List, Optional

from ._qt import connect_about_to_quit, find_core, guard_once, is_gui_thread
from ._reports import add_traceback, open_relay, write_stderr

NAME = "Substance 3D Painter"

# Who has the GUI thread write what other threads report: one for each function that waits for the end.
_relays: List[Any] = []


def is_running() -> bool:
    """Tell whether this is Painter with its window."""
    return "substance_painter" in sys.modules and gui_parent() is not None


def qt_core() -> ModuleType:
    """Return Painter's QtCore module: the one that is loaded, else the one that it ships."""
    return find_core()


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already."""
    ui = sys.modules.get("substance_painter.ui")
    try:
        return None if ui is None else ui.get_main_window()
    except Exception:
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called once when Painter is about to quit; return a function that takes this back.

    Args:
        callback: called on the GUI thread, by `aboutToQuit`. What it raises is reported and goes no further.

    Returns:
        A function that may be called any number of times, also from `callback` and after Painter has quit.

    Thread: GUI thread only.
    """
    quitting, forget = guard_once(callback, "Painter", report)
    close_relay = open_relay(_relays, qt_core(), _write_log)
    disconnect = connect_about_to_quit(qt_core(), quitting)

    def unhook() -> None:
        forget()  # also if a hook cannot be taken back
        disconnect()
        close_relay()

    return unhook


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error where users of Painter look: its Log window.

    Never raises, whatever state Painter is in: where nothing of it answers, the text goes to stderr.

    Args:
        message: says what went wrong and in which plug-in.
        exc: the exception behind it, if there is one.

    Thread: any. From another than the GUI thread it is written by the GUI thread, a moment later.
    """
    text = add_traceback(message, exc)
    try:
        if is_gui_thread(qt_core()):
            _write_log(text)
        else:
            _relays[-1].send_threadsafe(text)  # there is one while anyone is attached
    except Exception:
        write_stderr(text)


def progress(title: str, cancel: Callable[[], None]) -> None:
    """Return None: Painter's API has no progress display for plug-ins."""


def _write_log(text: str) -> None:
    import substance_painter.logging

    substance_painter.logging.error(text)

"""The adapter for Substance 3D Painter, from 10.1 (PySide6) on; with PySide2 before that.

It knows nothing of asyncio. README.md beside this file has the contract that it keeps. Checked against stubs of
Painter's modules and run against stand-ins made from them; not run in a real Painter.

Painter has no mode without its GUI in which Python runs, so there is no `batch()`. A window that a plug-in leaves
behind keeps Painter from ending.
"""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType
from typing import Any, Callable, List, Optional

from ._qt import connect_about_to_quit, find_core, hook_once, is_gui_thread
from ._reports import add_traceback, open_relay, write_from_any_thread

NAME = "Substance 3D Painter"

# Through these the GUI thread writes the reports of other threads: one for each on_quit() in effect (see open_relay()).
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
    """Have `callback` called by `aboutToQuit`: Painter's dispatcher has events for projects, but none for its end."""
    return hook_once(
        callback,
        NAME,
        report,
        lambda _: open_relay(_relays, qt_core(), _write_log),
        partial(connect_about_to_quit, qt_core()),
    )


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error, with the traceback, in Painter's Log window.

    Called in another thread than the GUI thread, it has the GUI thread write the text a moment later. If Painter takes
    no message any more, the text goes to stderr.
    """
    text = add_traceback(message, exc)
    write_from_any_thread(text, lambda: is_gui_thread(qt_core()), _write_log, _relays)


def progress(title: str, cancel: Callable[[], None]) -> None:
    """Return None: Painter's API has no progress display for plug-ins."""


def _write_log(text: str) -> None:
    import substance_painter.logging

    substance_painter.logging.error(text)

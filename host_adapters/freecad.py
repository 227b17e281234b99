"""The adapter for FreeCAD, from 0.19 (PySide2) to the versions with PySide6.

It knows nothing of asyncio. README.md beside this file has the contract that it keeps.

FreeCAD embeds Python. The module `FreeCAD` is its core, which is also there without a GUI, and its `GuiUp` tells
whether there is a GUI. `PySide` is a shim of FreeCAD's own, which passes on the names of the binding that FreeCAD was
built with. `FreeCADCmd` has no Qt application at all (0.20, seen 2026-11).

The order in which FreeCAD 0.20 ends (seen 2026-11): `mainWindowClosed`, `aboutToQuit`, the application is destroyed,
`atexit`. When `mainWindowClosed` comes, nothing can stop the end any more, and FreeCAD's loop still runs.
"""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType
from typing import Any, Callable, Optional

from ._qt import StatusBarProgress, connect, hook_once, show_progress_in_status_bar
from ._reports import add_traceback, write_stderr

NAME = "FreeCAD"


def is_running() -> bool:
    """Tell whether this is FreeCAD with its GUI, which neither FreeCADCmd nor a script that imports FreeCAD has."""
    try:
        return "FreeCADGui" in sys.modules and bool(sys.modules["FreeCAD"].GuiUp)
    except Exception:  # this is no FreeCAD, or one that is only half there
        return False


def batch() -> Optional[str]:
    """Say what to use in FreeCADCmd and in a script that imports FreeCAD; None in any other process."""
    if sys.modules.get("FreeCAD") is None or is_running():
        return None
    return "FreeCAD runs without its GUI here and has no Qt loop: use asyncio.run() instead of attach()"


def qt_core() -> ModuleType:
    """Return the QtCore module that FreeCAD uses, PySide2's or PySide6's.

    `PySide.QtCore` only passes on the names of that module, so we ask a class in which module it was defined.
    """
    from PySide.QtCore import QObject

    return sys.modules[QObject.__module__]


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already."""
    try:
        return sys.modules["FreeCADGui"].getMainWindow()
    except Exception:  # FreeCAD has an exception class of its own for "no main window"
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called by `mainWindowClosed` or by `aboutToQuit`, whichever comes first.

    `mainWindowClosed` is emitted after the user was asked about unsaved work. `aboutToQuit` is for code that ends the
    application in another way.
    """
    senders = [(gui_parent(), "mainWindowClosed"), (qt_core().QCoreApplication.instance(), "aboutToQuit")]
    hooks = [partial(connect, sender, signal) for sender, signal in senders if hasattr(sender, signal)]
    return hook_once(callback, NAME, report, *hooks)


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error in the report view, with the traceback; FreeCAD then shows it in the status bar, too.

    FreeCAD's console may be called from any thread, and hands over to the GUI thread by itself.
    """
    text = add_traceback(message, exc)
    try:
        sys.modules["FreeCAD"].Console.PrintError(text.rstrip("\n") + "\n")
    except Exception:
        write_stderr(f"asyncslot: {text}")


def progress(title: str, cancel: Callable[[], None]) -> Optional[StatusBarProgress]:
    """Show a progress bar with a Cancel button in the status bar; None when there is no window to be seen (any more).

    While the user hides the bar, a small window shows the same. FreeCAD's own display, which is
    `FreeCAD.Base.ProgressIndicator`, is made for code that keeps the GUI thread busy. While it is shown, keyboard and
    mouse are dead everywhere but on its own bar, which is what asyncio is there to avoid.
    """
    window = gui_parent()
    return None if window is None else show_progress_in_status_bar(qt_core(), window, title, cancel)

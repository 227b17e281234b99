"""FreeCAD: what has to be known about it, from 0.19 (PySide2) to those with PySide6.

It refuses to know how asyncio is run. It answers where FreeCAD is in its life, and shows its users what they must see.

FreeCAD embeds Python. `FreeCAD` is its core, which is there without a GUI as well, and `GuiUp` in it tells whether
there is one. `PySide` is FreeCAD's own shim, which passes on the names of the binding that it was built with.
`FreeCADCmd` has no Qt application at all (0.20, seen 2026-11).

The order in which FreeCAD 0.20 ends (seen 2026-11): `mainWindowClosed`, when nothing can stop it any more and its loop
still runs, `aboutToQuit`, the application is destroyed, `atexit`.

Its own progress display, `FreeCAD.Base.ProgressIndicator`, is made for code that keeps the GUI thread busy: while it
is shown, keyboard and mouse are dead everywhere but on its own bar. That is what asyncio is there to avoid, so
progress is shown in the status bar, with a button of ours.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Callable, Optional

from ._qt import StatusBarProgress, connect, guard_once
from ._reports import add_traceback, write_stderr

NAME = "FreeCAD"


def is_running() -> bool:
    """Tell whether this is FreeCAD with its GUI, which neither FreeCADCmd nor a script that imports FreeCAD has."""
    return "FreeCADGui" in sys.modules and bool(getattr(sys.modules.get("FreeCAD"), "GuiUp", False))


def batch() -> Optional[str]:
    """Say what to use in FreeCADCmd and in a script that imports FreeCAD; None in any other process."""
    if sys.modules.get("FreeCAD") is None or is_running():
        return None
    return "FreeCAD runs without its GUI here and has no Qt loop: use asyncio.run() instead of attach()"


def qt_core() -> ModuleType:
    """Return the QtCore module that FreeCAD uses, PySide2's or PySide6's.

    `PySide.QtCore` only passes on its names, so a class is asked where it really comes from.
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
    """Have `callback` called once when FreeCAD is about to quit; return a function that takes this back.

    `mainWindowClosed` comes first, after the user was asked about unsaved work. `aboutToQuit` is for whoever ends the
    application in another way.

    Args:
        callback: called on the GUI thread. What it raises is reported and goes no further.

    Returns:
        A function that may be called any number of times, also after FreeCAD has quit.

    Thread: GUI thread only.
    """
    senders = [(gui_parent(), "mainWindowClosed"), (qt_core().QCoreApplication.instance(), "aboutToQuit")]
    quitting, forget = guard_once(callback, NAME, report)
    hooked = [connect(sender, signal, quitting) for sender, signal in senders if hasattr(sender, signal)]

    def unhook() -> None:
        forget()
        for disconnect in hooked:
            disconnect()

    return unhook


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error where users of FreeCAD look: its report view, with the traceback, and so in the status bar.

    Never raises, whatever state FreeCAD is in: where nothing of it answers, the text goes to stderr.

    Args:
        message: says what went wrong and in which plug-in.
        exc: the exception behind it, if there is one.

    Thread: any. FreeCAD's console hands over to the GUI thread by itself.
    """
    text = add_traceback(message, exc)
    try:
        sys.modules["FreeCAD"].Console.PrintError(text.rstrip("\n") + "\n")
    except Exception:
        write_stderr(f"asyncslot: {text}")


def progress(title: str, cancel: Callable[[], None]) -> Optional[StatusBarProgress]:
    """Show a progress bar with a Cancel button in the status bar.

    Args:
        title: what is going on, in a word or two.
        cancel: called when the user presses Cancel.

    Returns:
        An object with `update(fraction, text)` and `close()`, or None when FreeCAD has no window (any more).

    Thread: GUI thread only.
    """
    window = gui_parent()
    try:
        return None if window is None else StatusBarProgress(qt_core(), window.statusBar(), title, cancel)
    except RuntimeError:  # the window was deleted
        return None

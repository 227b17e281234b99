"""Krita: what has to be known about it, from 4.4 and 5 (PyQt5) to 6 (PyQt6).

It refuses to know how asyncio is run. It answers where Krita is in its life, and shows its users what they must see.

Krita embeds Python. The package `krita` is loaded before the first plug-in, and `Krita.instance()` is the running
application as plug-ins see it. It has no window yet when they are loaded. `kritarunner`, which runs a script, has all
of this and a Qt application too, but no GUI; so has `krita --export`, wherever it loads plug-ins.

The order in which Krita 5.1 ends (seen 2026-11): `lastWindowClosed`, `Notifier.applicationClosing`, `aboutToQuit`, a
few milliseconds later the application is destroyed, and the process ends without `atexit` and without Python's
finalization. No plug-in is ever unloaded.

Its streams are ASCII, whatever the locale: `print` of an accented letter raises. An exception that leaves a slot
opens a dialog.
"""

from __future__ import annotations

import sys
import traceback
from types import ModuleType
from typing import Any, Callable, List, Optional

from ._qt import StatusBarProgress, connect, guard_once, is_gui_thread
from ._reports import add_traceback, write_stderr

NAME = "Krita"


def is_running() -> bool:
    """Tell whether this is Krita with its GUI, which neither kritarunner nor `krita --export` has."""
    return _is_loaded() and not _is_batch()


def batch() -> Optional[str]:
    """Say what to use in kritarunner and in `krita --export`; None in any other process."""
    if not _is_loaded() or not _is_batch():
        return None
    return "kritarunner and krita --export run no Qt loop for plug-ins: use asyncio.run() instead of attach()"


def qt_core() -> ModuleType:
    """Return the QtCore module that Krita uses, PyQt5's or PyQt6's: the one in which its classes' base is defined."""
    [base] = [each for each in sys.modules["krita"].Krita.__mro__ if each.__name__ == "QObject"]
    return sys.modules[base.__module__]


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already."""
    try:
        instance = _instance()
        window = instance.activeWindow()
        if window is None:  # as Qt has it: the user is in another application
            window = next(iter(instance.windows()), None)
        return None if window is None else window.qwindow()
    except (AttributeError, KeyError, RuntimeError):  # not all there; the object behind it was deleted
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called once when Krita is about to quit; return a function that takes this back.

    `Notifier.applicationClosing` comes first, when the last window is closed. `aboutToQuit` is for whoever ends the
    application in another way.

    Args:
        callback: called on the GUI thread. What it raises is reported and goes no further: an exception that leaves
            a slot opens a dialog in Krita.

    Returns:
        A function that may be called any number of times, also after Krita has quit.

    Thread: GUI thread only.
    """
    notifier = _instance().notifier()
    if not notifier.active():  # it was active in 5.1, and is not in the documentation's examples
        notifier.setActive(True)
    senders = [(notifier, "applicationClosing"), (qt_core().QCoreApplication.instance(), "aboutToQuit")]
    quitting, forget = guard_once(callback, NAME, report)
    hooked = [connect(sender, signal, quitting) for sender, signal in senders if hasattr(sender, signal)]

    def unhook() -> None:
        forget()
        for disconnect in hooked:
            disconnect()

    return unhook


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error where users of Krita look: its Log Viewer docker, with the traceback, and its status bar.

    Krita has no log but Qt's own messages, which that docker shows from when it is switched on, and which go to
    stderr, too. So the status bar says what the error was.

    Never raises, whatever state Krita is in.

    Args:
        message: says what went wrong and in which plug-in; the status bar shows its first line.
        exc: the exception behind it, if there is one.

    Thread: any. From another than the GUI thread only the log is written.
    """
    text = add_traceback(message, exc)
    try:
        # Bytes: a str would have to be ASCII.
        qt_core().qWarning(text.rstrip("\n").encode("utf-8", "backslashreplace"))
    except Exception:
        # Its stderr is strict ASCII.
        write_stderr(f"asyncslot: {text}".encode("ascii", "backslashreplace").decode("ascii"))
    try:
        if is_gui_thread(qt_core()):
            _show_in_status_bar(message, exc)
    except Exception:  # no window any more; the log has it all
        pass


def progress(title: str, cancel: Callable[[], None]) -> Optional[StatusBarProgress]:
    """Show a progress bar with a Cancel button in the status bar.

    Krita has a bar of its own there, which belongs to the image and cannot be reached by plug-ins.

    Args:
        title: what is going on, in a word or two.
        cancel: called when the user presses Cancel.

    Returns:
        An object with `update(fraction, text)` and `close()`, or None when Krita has no window (any more).

    Thread: GUI thread only.
    """
    window = gui_parent()
    try:
        return None if window is None else StatusBarProgress(qt_core(), window.statusBar(), title, cancel)
    except RuntimeError:  # the window was deleted
        return None


def _instance() -> Any:
    """Return Krita as plug-ins see it."""
    return sys.modules["krita"].Krita.instance()


def _is_loaded() -> bool:
    """Tell whether this process is Krita, in whatever mode, and not one with another package of that name."""
    try:
        return _instance() is not None and qt_core().QCoreApplication.instance() is not None
    except Exception:
        return False


def _is_batch() -> bool:
    arguments = _arguments()
    return "kritarunner" in arguments[0] or any(argument.startswith("--export") for argument in arguments[1:])


def _arguments() -> List[str]:
    """Return Krita's command line; `sys.argv` is empty there."""
    arguments: List[str] = qt_core().QCoreApplication.instance().arguments()
    return arguments


def _show_in_status_bar(message: str, exc: Optional[BaseException]) -> None:
    window = gui_parent()
    if window is None:
        return
    text = message.partition("\n")[0]
    if exc is not None:
        # Its last line only: a status bar has one.
        text += " - " + traceback.format_exception_only(type(exc), exc)[-1].strip()
    window.statusBar().showMessage(text)

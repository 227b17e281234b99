"""The adapter for Krita, from 4.4 and 5 (PyQt5) to 6 (PyQt6).

It knows nothing of asyncio. README.md beside this file has the contract that it keeps.

Krita embeds Python. The package `krita` is loaded before the first plug-in, and `Krita.instance()` is the running
application as plug-ins see it. It has no window yet when plug-ins are loaded. `kritarunner`, which runs a script, has
all of this and a Qt application too, but no GUI. The same holds for `krita --export`, if it loads plug-ins.

The order in which Krita 5.1 ends (seen 2026-11): `lastWindowClosed`, `Notifier.applicationClosing`, `aboutToQuit`, a
few milliseconds later the application is destroyed, and the process ends without `atexit` and without Python's
finalization. No plug-in is ever unloaded.

Krita's stdout and stderr are ASCII, whatever the locale: `print` of an accented letter raises. An exception that
leaves a slot opens a dialog.
"""

from __future__ import annotations

import sys
import traceback
from functools import partial
from types import ModuleType
from typing import Any, Callable, List, Optional

from ._qt import (
    StatusBarProgress,
    connect,
    hook_once,
    is_gui_thread,
    show_in_status_bar,
    show_progress_in_status_bar,
)
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
    """Return the QtCore module that Krita uses, PyQt5's or PyQt6's: that of QObject, the base of Krita's classes."""
    [base] = [each for each in sys.modules["krita"].Krita.__mro__ if each.__name__ == "QObject"]
    return sys.modules[base.__module__]


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already."""
    try:
        instance = _instance()
        window = instance.activeWindow()
        if window is None:  # Qt has no active window while the user is in another application
            window = next(iter(instance.windows()), None)
        return None if window is None else window.qwindow()
    except Exception:  # Krita is only half there, or the C++ object was deleted
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called by `Notifier.applicationClosing` or by `aboutToQuit`, whichever comes first.

    `applicationClosing` is emitted when the last window is closed. `aboutToQuit` is for code that ends the application
    in another way. An exception of `callback` is reported and does not leave the slot, since it would open a dialog.
    """
    notifier = _instance().notifier()
    if not notifier.active():  # it was active in 5.1; in the examples of Krita's documentation it is not
        notifier.setActive(True)
    senders = [(notifier, "applicationClosing"), (qt_core().QCoreApplication.instance(), "aboutToQuit")]
    hooks = [partial(connect, sender, signal) for sender, signal in senders if hasattr(sender, signal)]
    return hook_once(callback, NAME, report, *hooks)


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error in the Log Viewer docker, with the traceback, and its first line in the status bar.

    Krita has no log but Qt's own messages. They go to stderr, and the docker shows them from the moment in which it is
    switched on. So the status bar, too, says what the error was, and while that is hidden (without a document, in 5.2
    and later), a tooltip in its place. From another thread than the GUI thread only the log is written.
    """
    text = add_traceback(message, exc)
    try:
        # We pass bytes, as a str would have to be ASCII.
        qt_core().qWarning(text.rstrip("\n").encode("utf-8", "backslashreplace"))
    except Exception:
        # Krita's stderr is strict ASCII.
        write_stderr(f"asyncslot: {text}".encode("ascii", "backslashreplace").decode("ascii"))
    try:
        if is_gui_thread(qt_core()):
            _show_in_status_bar(message, exc)
    except Exception:  # there is no window any more; the whole text is in the log
        pass


def progress(title: str, cancel: Callable[[], None]) -> Optional[StatusBarProgress]:
    """Show a progress bar with a Cancel button in the status bar; None when there is no window to be seen (any more).

    While the bar is hidden, as it is without a document in 5.2 and later, a small window shows the same. Krita has a
    progress bar of its own there, which belongs to the image and which plug-ins cannot reach.
    """
    window = gui_parent()
    return None if window is None else show_progress_in_status_bar(qt_core(), window, title, cancel)


def _instance() -> Any:
    """Return Krita as plug-ins see it."""
    return sys.modules["krita"].Krita.instance()


def _is_loaded() -> bool:
    """Tell whether this process is Krita, in whatever mode, and not one that has another package named `krita`."""
    try:
        return _instance() is not None and qt_core().QCoreApplication.instance() is not None
    except Exception:
        return False


def _is_batch() -> bool:
    try:
        arguments = _arguments()
    except Exception:  # the application is on its way out
        return False
    is_runner = any("kritarunner" in argument for argument in arguments[:1])
    return is_runner or any(argument.startswith("--export") for argument in arguments[1:])


def _arguments() -> List[str]:
    """Return Krita's command line, which may be empty. We ask Qt, since `sys.argv` is empty in Krita."""
    arguments: List[str] = qt_core().QCoreApplication.instance().arguments()
    return arguments


def _show_in_status_bar(message: str, exc: Optional[BaseException]) -> None:
    window = gui_parent()
    if window is None:
        return
    text = message.partition("\n")[0]
    if exc is not None:
        # Only the last line of the exception's text: a status bar has one line.
        text += " - " + traceback.format_exception_only(type(exc), exc)[-1].strip()
    show_in_status_bar(qt_core(), window, text)

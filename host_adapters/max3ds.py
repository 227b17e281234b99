"""3ds Max: what has to be known about it, from 2022 (PySide2) on; PySide6 since 2025.

It refuses to know how asyncio is run. Checked against our own stub of the little that is used of its modules, and run
against a stand-in made from that; not run in a real 3ds Max.

`pymxs` is MAXScript's runtime as Python sees it, there in 3dsmax and in 3dsmaxbatch; `qtmax` has its window. Nothing
of `pymxs` may be called from another than the GUI thread: it raises no error, and Max crashes later.

Max is certain to quit when it broadcasts preSystemShutdown; what could still veto that was asked before. A function
can be called for it since 2021, and only one that takes no arguments.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Callable, List, Optional

from ._qt import connect_about_to_quit, find_core, guard_once, is_gui_thread
from ._reports import add_traceback, open_relay, write_stderr

NAME = "3ds Max"

_EVENT = "preSystemShutdown"

# Who has the GUI thread write what other threads report: one for each function that waits for the end.
_relays: List[Any] = []


def is_running() -> bool:
    """Tell whether this is 3ds Max with its window, which 3dsmaxbatch has not."""
    return _is_batch() is False


def batch() -> Optional[str]:
    """Return what to do in a 3ds Max without GUI, or None where there is one, or no 3ds Max."""
    if not _is_batch():
        return None
    return "This is 3ds Max without its GUI (3dsmaxbatch), where no Qt loop runs; use asyncio.run() there"


def qt_core() -> ModuleType:
    """Return 3ds Max's QtCore module: the one that is loaded, else the one that it ships."""
    return find_core()


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already."""
    try:
        import qtmax

        return qtmax.GetQMaxMainWindow()
    except Exception:
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called once when 3ds Max is about to quit; return a function that takes this back.

    Args:
        callback: called on the GUI thread, by preSystemShutdown or by `aboutToQuit`, whichever comes
            first. What it raises is reported and goes no further.

    Returns:
        A function that may be called any number of times, also from `callback` and after 3ds Max has quit.

    Thread: GUI thread only.
    """
    quitting, forget = guard_once(callback, NAME, report)
    close_relay = open_relay(_relays, qt_core(), _write_log)
    rt = _runtime()
    event, identifier = rt.Name(_EVENT), rt.Name(f"asyncslot_{id(quitting):x}")
    rt.callbacks.addScript(event, quitting, id=identifier)
    hooked = [identifier]
    disconnect = connect_about_to_quit(qt_core(), quitting)

    def unhook() -> None:
        forget()  # also if one of the hooks cannot be taken back
        disconnect()
        while hooked:
            try:
                rt.callbacks.removeScripts(event, id=hooked.pop())
            except Exception:  # Max is gone
                pass
        close_relay()

    return unhook


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error where users of 3ds Max look: the MAXScript Listener, and Max's log file.

    Never raises, whatever state Max is in.

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
    """Return None: Max's own progress bar is not for us.

    When the user presses its Cancel, Max asks back in a modal dialog (MAXScript's reference on progressUpdate and
    getProgressCancel).
    """


def _runtime() -> Any:
    from pymxs import runtime

    return runtime


def _is_batch() -> Optional[bool]:
    """Return whether this 3ds Max has no GUI; None if this is no 3ds Max."""
    pymxs = sys.modules.get("pymxs")
    if pymxs is None:
        return None
    try:
        return bool(pymxs.runtime.maxops.isInNonInteractiveMode())
    except Exception:  # a Max that is half there
        return True


def _write_log(text: str) -> None:
    from pymxs import runtime

    # Max has Python's stderr in its Listener.
    write_stderr(text)
    runtime.logsystem.logEntry(text, error=True)

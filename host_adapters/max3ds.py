"""The adapter for 3ds Max, from 2022 (PySide2) on; PySide6 since 2025.

It knows nothing of asyncio. README.md beside this file has the contract that it keeps. Checked against our own stub of
the little that we use of Max's modules, and run against a stand-in made from that; not run in a real 3ds Max.

`pymxs` is MAXScript's runtime as Python sees it. It is there in 3dsmax and in 3dsmaxbatch. `qtmax` has Max's window.
Call nothing of `pymxs` from another thread than the GUI thread: it raises no error, and Max crashes later.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any, Callable, List, Optional

from ._qt import connect_about_to_quit, find_core, hook_once, is_gui_thread
from ._reports import add_traceback, open_relay, write_from_any_thread, write_stderr

NAME = "3ds Max"

_EVENT = "preSystemShutdown"

# Through these the GUI thread writes the reports of other threads: one for each on_quit() in effect (see open_relay()).
_relays: List[Any] = []


def is_running() -> bool:
    """Tell whether this is 3ds Max with its window, which 3dsmaxbatch has not."""
    return _is_batch() is False


def batch() -> Optional[str]:
    """Return what to use in 3dsmaxbatch; None in any other process."""
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
    """Have `callback` called by preSystemShutdown or by `aboutToQuit`, whichever comes first.

    Max is certain to quit when it broadcasts preSystemShutdown: it has asked before whether anything vetoes that.
    """
    rt = _runtime()

    def add(quitting: Callable[[], None]) -> Callable[[], None]:
        event, identifier = rt.Name(_EVENT), rt.Name(f"asyncslot_{id(quitting):x}")
        # addScript() takes a function since Max 2021, but only one without arguments.
        rt.callbacks.addScript(event, quitting, id=identifier)

        def remove() -> None:
            with suppress(Exception):  # Max is gone
                rt.callbacks.removeScripts(event, id=identifier)

        return remove

    return hook_once(
        callback,
        NAME,
        report,
        lambda _: open_relay(_relays, qt_core(), _write_log),
        add,
        partial(connect_about_to_quit, qt_core()),
    )


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error, with the traceback, in the MAXScript Listener and in Max's log file.

    Called in another thread than the GUI thread, it has the GUI thread write the text a moment later.
    """
    text = add_traceback(message, exc)
    write_from_any_thread(text, lambda: is_gui_thread(qt_core()), _write_log, _relays)


def progress(title: str, cancel: Callable[[], None]) -> None:
    """Return None: we do not use Max's own progress bar, whose Cancel opens a modal question.

    Source: MAXScript's reference on progressUpdate and getProgressCancel.
    """


def _runtime() -> Any:
    from pymxs import runtime

    return runtime


def _is_batch() -> Optional[bool]:
    """Tell whether this is a 3ds Max without its GUI; None if this is no 3ds Max."""
    pymxs = sys.modules.get("pymxs")
    if pymxs is None:
        return None
    try:
        return bool(pymxs.runtime.maxops.isInNonInteractiveMode())
    except Exception:  # this Max is only half there
        return True


def _write_log(text: str) -> None:
    from pymxs import runtime

    # Max shows Python's stderr in its Listener.
    write_stderr(text)
    runtime.logsystem.logEntry(text, error=True)

"""The adapter for IDA Pro, from 7.4 (PyQt5) on; PySide6 since 9.2.

It knows nothing of asyncio. README.md beside this file has the contract that it keeps. Checked against our own stub of
the little that we use of IDAPython, whose sources are published, and run against a stand-in made from that; not run in
a real IDA.

`ida_kernwin` is there in IDA with its window, in its text mode (`idat`), and in a script that uses idalib (`idapro`).
Since 9.2 the modules called `PyQt5` only pass on the names of PySide6. Its wait box is modal, so we use none of it.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any, Callable, List, Optional

from ._qt import connect_about_to_quit, find_core, find_window, hook_once, is_gui_thread
from ._reports import add_traceback, open_relay, write_from_any_thread

NAME = "IDA Pro"

# Through these the GUI thread writes the reports of other threads: one for each on_quit() in effect (see open_relay()).
_relays: List[Any] = []


def is_running() -> bool:
    """Tell whether this is IDA with its window, which neither idat nor a script that uses idalib has."""
    return _has_gui() is True


def batch() -> Optional[str]:
    """Return what to use in idat, and in a script that uses idalib; None in any other process."""
    if _has_gui() is not False:
        return None
    return "This is IDA without its GUI (idat or idalib), where no Qt loop runs; use asyncio.run() there"


def qt_core() -> ModuleType:
    """Return IDA's QtCore module: the one that is loaded, else the one that it ships."""
    return find_core()


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already.

    We look for it by the name of its class, as IDA's API has no function for it.
    """
    return find_window(qt_core, lambda window: window.metaObject().className() == "IDAMainWindow")


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called by NW_TERMIDA or by `aboutToQuit`, whichever comes first.

    IDA sends NW_TERMIDA when it takes its Python down. A database is closed before that, and may be closed without any
    end of IDA: a plug-in that works on it has the notification NW_CLOSEIDB.
    """
    import ida_idaapi

    def add(quitting: Callable[[], None]) -> Callable[[], None]:
        def notified(*_code: Any) -> None:
            quitting()

        ida_idaapi.notify_when(ida_idaapi.NW_TERMIDA, notified)

        def remove() -> None:
            with suppress(Exception):  # IDA is gone
                ida_idaapi.notify_when(ida_idaapi.NW_TERMIDA | ida_idaapi.NW_REMOVE, notified)

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
    """Show an error, with the traceback, in the Output window.

    Called in another thread than the GUI thread, it has the GUI thread write the text a moment later. If IDA takes no
    message any more, the text goes to stderr.
    """
    text = add_traceback(message, exc)
    write_from_any_thread(text, lambda: is_gui_thread(qt_core()), _write_log, _relays)


def progress(title: str, cancel: Callable[[], None]) -> None:
    """Return None: IDA's wait box is modal."""


def _has_gui() -> Optional[bool]:
    """Tell whether this is an IDA with its GUI; None if this is no IDA."""
    kernwin = sys.modules.get("ida_kernwin")
    if kernwin is None:
        return None
    try:
        return bool(kernwin.is_idaq())
    except Exception:  # this IDA is only half there
        return False


def _write_log(text: str) -> None:
    import ida_kernwin

    ida_kernwin.msg(text.rstrip("\n") + "\n")

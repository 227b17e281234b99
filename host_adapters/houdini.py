"""The adapter for Houdini, from 19.5 (PySide2) to 22 (PySide6, since 21).

It knows nothing of asyncio. README.md beside this file has the contract that it keeps. Checked against a stub of
Houdini's module and run against a stand-in made from it; not run in a real Houdini.

The module `hou` is there in every process of Houdini's, also in hython and in any Python that imports it.
`hou.isUIAvailable()` tells whether Houdini's own window is there, too.

Houdini installs an event-loop policy of its own (`haio`). Nothing here touches it.
"""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType
from typing import Any, Callable, List, Optional

from ._qt import TimedProgress, connect_about_to_quit, find_core, hook_once, is_gui_thread
from ._reports import add_traceback, open_relay, write_from_any_thread

NAME = "Houdini"

# Houdini's value for progress of which nobody can tell how far it is.
_UNKNOWN = -1.0

# The name under which users find our messages in the Log Viewer.
_LOG_SOURCE = "asyncslot"

# Through these the GUI thread writes the reports of other threads: one for each on_quit() in effect (see open_relay()).
_relays: List[Any] = []

# The display that is shown now, if there is one.
_shown: List[_Operation] = []


def is_running() -> bool:
    """Tell whether this is Houdini with its window, which neither hython nor a script that imports `hou` has."""
    return _has_ui() is True


def batch() -> Optional[str]:
    """Return what to use in hython, and in a script that imports `hou`; None in any other process."""
    if _has_ui() is not False:
        return None
    return (
        "This is Houdini without its GUI (hython), where no Qt loop runs; use a loop made by class there,"
        " for the policy is Houdini's own: asyncio.SelectorEventLoop().run_until_complete(main())"
    )


def qt_core() -> ModuleType:
    """Return Houdini's QtCore module: the one that is loaded, else the one that it ships."""
    return find_core()


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already."""
    try:
        import hou

        return hou.qt.mainWindow()
    except Exception:  # hou has exceptions of its own for what is not there yet
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called by `aboutToQuit`: `hou.ui` has no hook for Houdini's end, and `atexit` comes too late."""
    return hook_once(
        callback,
        NAME,
        report,
        lambda _: open_relay(_relays, qt_core(), _write_log),
        partial(connect_about_to_quit, qt_core()),
    )


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error in the Log Viewer, with the traceback, and its first line in the status line.

    If Houdini takes no message any more, the text goes to stderr.
    """
    text = add_traceback(message, exc)
    write_from_any_thread(text, lambda: is_gui_thread(qt_core()), _write_log, _relays)


def progress(title: str, cancel: Callable[[], None]) -> Optional[_Operation]:
    """Show progress in Houdini's status line, as an operation that Esc interrupts; None when one is shown already.

    Houdini's operations must end in the reverse order of their beginning, and tasks do not.
    """
    if _shown:
        return None
    try:
        shown = _Operation(title, cancel)
    except Exception:  # there is no status line (any more)
        return None
    _shown.append(shown)
    return shown


class _Operation(TimedProgress):
    """One `hou.InterruptableOperation`, open for as long as it is shown.

    Houdini processes events when it is told of progress, and only then looks whether the user has pressed Esc.
    """

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        import hou

        self._hou = hou
        self._title = title
        self._text = self._shown_text = ""
        self._fraction = _UNKNOWN
        # Without the operation's dialog, which is modal.
        self._operation = hou.InterruptableOperation(title, open_interrupt_dialog=False)
        self._operation.__enter__()
        super().__init__(qt_core(), cancel)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show a fraction, 0..1 or None, and a few words in the status line, in the timer's next turn."""
        self._fraction = _UNKNOWN if fraction is None else fraction
        self._text = text

    def close(self) -> None:
        """End the operation. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        _shown.remove(self)
        try:
            self._timer.stop()
            self._operation.__exit__(None, None, None)  # type: ignore[arg-type]  # the stub knows of failures only
            if self._shown_text:
                self._hou.ui.setStatusMessage("")
        except Exception:  # Qt is gone, or the operation is
            pass

    def _turn(self) -> bool:
        try:
            if self._text != self._shown_text:
                self._shown_text = self._text
                self._hou.ui.setStatusMessage(f"{self._title}: {self._text}" if self._text else self._title)
            self._operation.updateProgress(self._fraction)
        except self._hou.OperationInterrupted:
            return True
        return False


def _has_ui() -> Optional[bool]:
    """Tell whether this is a Houdini with its GUI; None if this is no Houdini."""
    hou = sys.modules.get("hou")
    if hou is None:
        return None
    try:
        return bool(hou.isUIAvailable())
    except Exception:  # `hou` is still being imported
        return False


def _write_log(text: str) -> None:
    import hou

    # Any, because the stub has the class of this object under another name.
    logging: Any = hou.logging
    logging.log(logging.LogEntry(message=text, severity=hou.severityType.Error), _LOG_SOURCE)
    hou.ui.setStatusMessage(text.partition("\n")[0], severity=hou.severityType.Error)

"""Houdini: what has to be known about it, from 19.5 (PySide2) to 22 (PySide6, since 21).

It refuses to know how asyncio is run. Checked against a stub of Houdini's module and run against a stand-in made from
it; not run in a real Houdini.

`hou` is there in every process of Houdini's, also in hython and in any Python that imports it; `hou.isUIAvailable()`
tells whether Houdini's own window is. Houdini has no hook for its end (`hou.ui` has none, and `atexit` comes too late),
so that is `aboutToQuit` alone.

Houdini installs an event-loop policy of its own (`haio`). Nothing here touches it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Callable, List, Optional

from ._qt import TimedProgress, connect_about_to_quit, find_core, guard_once, is_gui_thread
from ._reports import add_traceback, open_relay, write_stderr

NAME = "Houdini"

# Houdini's word for progress of which nobody can tell how much it is.
_UNKNOWN = -1.0

# The name under which users find our messages in the Log Viewer.
_LOG_SOURCE = "asyncslot"

# Who has the GUI thread write what other threads report: one for each function that waits for the end.
_relays: List[Any] = []

# The display that is shown, if one is.
_shown: List[_Operation] = []


def is_running() -> bool:
    """Tell whether this is Houdini with its window, which neither hython nor a script that imports `hou` has."""
    return _has_ui() is True


def batch() -> Optional[str]:
    """Return what to do in a Houdini without GUI, or None where there is one, or no Houdini."""
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
    """Have `callback` called once when Houdini is about to quit; return a function that takes this back.

    Args:
        callback: called on the GUI thread, by `aboutToQuit`. What it raises is reported and goes no further.

    Returns:
        A function that may be called any number of times, also from `callback` and after Houdini has quit.

    Thread: GUI thread only.
    """
    quitting, forget = guard_once(callback, NAME, report)
    close_relay = open_relay(_relays, qt_core(), _write_log)
    disconnect = connect_about_to_quit(qt_core(), quitting)

    def unhook() -> None:
        forget()  # also if a hook cannot be taken back
        disconnect()
        close_relay()

    return unhook


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error where users of Houdini look: the status line, and with the traceback the Log Viewer.

    Never raises, whatever state Houdini is in: where nothing of it answers, the text goes to stderr.

    Args:
        message: says what went wrong and in which plug-in; the status line shows its first line.
        exc: the exception behind it, if there is one.

    Thread: any.
    """
    text = add_traceback(message, exc)
    try:
        if is_gui_thread(qt_core()):
            _write_log(text)
        else:
            _relays[-1].send_threadsafe(text)  # there is one while anyone is attached
    except Exception:
        write_stderr(text)


def progress(title: str, cancel: Callable[[], None]) -> Optional[_Operation]:
    """Show how far it is in Houdini's status line, as an operation that Esc interrupts.

    Args:
        title: what is going on, in a word or two.
        cancel: called when the user has pressed Esc.

    Returns:
        An object with `update(fraction, text)` and `close()`, or None when one is shown already: Houdini's operations
        must end in the reverse order of their beginning, which tasks do not.

    Thread: GUI thread only.
    """
    if _shown:
        return None
    try:
        shown = _Operation(title, cancel)
    except Exception:  # Houdini has no status line (any more)
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
        # Without its dialog, which is modal.
        self._operation = hou.InterruptableOperation(title, open_interrupt_dialog=False)
        self._operation.__enter__()
        super().__init__(qt_core(), cancel)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show how far it is, in a moment.

        Args:
            fraction: 0..1; None while nobody can tell.
            text: a few words for the status line; "" for none.
        """
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
        except Exception:  # Qt or the operation is gone
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
    """Return whether this Houdini has a GUI; None if this is no Houdini."""
    hou = sys.modules.get("hou")
    if hou is None:
        return None
    try:
        return bool(hou.isUIAvailable())
    except Exception:  # still being imported
        return False


def _write_log(text: str) -> None:
    import hou

    # The stub has its class under another name.
    logging: Any = hou.logging
    logging.log(logging.LogEntry(message=text, severity=hou.severityType.Error), _LOG_SOURCE)
    hou.ui.setStatusMessage(text.partition("\n")[0], severity=hou.severityType.Error)

"""Nuke: what has to be known about it, from 13 (PySide2) on; PySide6 since 16.

It refuses to know how asyncio is run. Checked against a stub of Nuke's module and run against a stand-in made from it;
not run in a real Nuke.

`nuke` is there in every process of Nuke's; `nuke.GUI` tells whether it is the one with a window. There is no hook for
the end of Nuke (`addOnScriptClose` is for each script), so that is `aboutToQuit` alone. `nuke.critical`, `nuke.alert`
and `nuke.message` open modal dialogs and are not for us. The functions of `nuke` are for the GUI thread only, but for
`executeInMainThread`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Callable, Optional, Tuple

from ._qt import TimedProgress, connect_about_to_quit, find_core, find_window, guard_once, is_gui_thread
from ._reports import add_traceback, write_stderr

NAME = "Nuke"


def is_running() -> bool:
    """Tell whether this is Nuke with its window, which `nuke -t` and a script that imports `nuke` have not."""
    return _has_gui() is True


def batch() -> Optional[str]:
    """Return what to do in a Nuke without GUI, or None where there is one, or no Nuke."""
    if _has_gui() is not False:
        return None
    return "This is Nuke without its GUI (nuke -t), where no Qt loop runs; use asyncio.run() there"


def qt_core() -> ModuleType:
    """Return Nuke's QtCore module: the one that is loaded, else the one that it ships."""
    return find_core()


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already.

    By the name of its class, for Nuke's API has no function for it.
    """
    return find_window(qt_core, lambda window: window.metaObject().className() == "Foundry::UI::DockMainWindow")


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called once when Nuke is about to quit; return a function that takes this back.

    Args:
        callback: called on the GUI thread, by `aboutToQuit`. What it raises is reported and goes no further.

    Returns:
        A function that may be called any number of times, also from `callback` and after Nuke has quit.

    Thread: GUI thread only.
    """
    quitting, forget = guard_once(callback, NAME, report)
    disconnect = connect_about_to_quit(qt_core(), quitting)

    def unhook() -> None:
        forget()  # also if a hook cannot be taken back
        disconnect()

    return unhook


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error where users of Nuke look: its Error Console, and with the traceback the terminal.

    Never raises, whatever state Nuke is in: where nothing of it answers, the text goes to stderr.

    Args:
        message: says what went wrong and in which plug-in.
        exc: the exception behind it, if there is one.

    Thread: any.
    """
    text = add_traceback(message, exc)
    try:
        if is_gui_thread(qt_core()):
            _write_log(text)
        else:
            import nuke

            nuke.executeInMainThread(_write_log, args=(text,))
    except Exception:
        write_stderr(text)


def progress(title: str, cancel: Callable[[], None]) -> Optional[_Task]:
    """Show how far it is in Nuke's Progress window, which has a Cancel button.

    Args:
        title: what is going on, in a word or two.
        cancel: called when the user has pressed Cancel.

    Returns:
        An object with `update(fraction, text)` and `close()`, or None when Nuke cannot show it (any more).

    Thread: GUI thread only.
    """
    try:
        return _Task(title, cancel)
    except Exception:
        return None


class _Task(TimedProgress):
    """One `nuke.ProgressTask`, which is shown for as long as it lives. Nuke may process events when it is told."""

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        import nuke

        self._state: Tuple[Optional[float], str] = (0.0, "")
        self._shown_state: Tuple[Optional[float], str] = self._state
        self._task: Optional[nuke.ProgressTask] = nuke.ProgressTask(title)
        super().__init__(qt_core(), cancel)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show how far it is, in a moment.

        Args:
            fraction: 0..1; None while nobody can tell, which leaves the bar as it is.
            text: a few words above the bar; "" for none.
        """
        self._state = (fraction, text)

    def close(self) -> None:
        """Take the display away. May be called twice."""
        self._is_closed = True
        self._task = None
        try:
            self._timer.stop()
        except RuntimeError:  # Qt is gone
            pass

    def _turn(self) -> bool:
        task = self._task
        if self._state != self._shown_state:
            self._shown_state = fraction, text = self._state
            task.setMessage(text)  # type: ignore[union-attr]
            if fraction is not None:
                task.setProgress(round(fraction * 100))  # type: ignore[union-attr]
        return bool(task.isCancelled())  # type: ignore[union-attr]


def _has_gui() -> Optional[bool]:
    """Return whether this Nuke has a GUI; None if this is no Nuke."""
    nuke = sys.modules.get("nuke")
    return None if nuke is None else bool(getattr(nuke, "GUI", False))


def _write_log(text: str) -> None:
    import nuke

    nuke.tprint(text)
    # Nuke has it in its Error Console, and opens nothing.
    nuke.error(text.partition("\n")[0])

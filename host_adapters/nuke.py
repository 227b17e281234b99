"""The adapter for Nuke, from 13 (PySide2) on; PySide6 since 16.

It knows nothing of asyncio. README.md beside this file has the contract that it keeps. Checked against a stub of
Nuke's module and run against a stand-in made from it; not run in a real Nuke.

The module `nuke` is there in every process of Nuke's, and `nuke.GUI` tells whether the process has a window. The
functions of `nuke` are for the GUI thread only, except `executeInMainThread`. We must not call `nuke.critical`,
`nuke.alert` and `nuke.message`, which open modal dialogs.
"""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType
from typing import Any, Callable, Optional, Tuple

from ._qt import TimedProgress, connect_about_to_quit, find_core, find_window, hook_once, is_gui_thread
from ._reports import add_traceback, write_stderr

NAME = "Nuke"


def is_running() -> bool:
    """Tell whether this is Nuke with its window, which `nuke -t` and a script that imports `nuke` have not."""
    return _has_gui() is True


def batch() -> Optional[str]:
    """Return what to use in `nuke -t`, and in a script that imports `nuke`; None in any other process."""
    if _has_gui() is not False:
        return None
    return "This is Nuke without its GUI (nuke -t), where no Qt loop runs; use asyncio.run() there"


def qt_core() -> ModuleType:
    """Return Nuke's QtCore module: the one that is loaded, else the one that it ships."""
    return find_core()


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already.

    We look for it by the name of its class, as Nuke's API has no function for it.
    """
    return find_window(qt_core, lambda window: window.metaObject().className() == "Foundry::UI::DockMainWindow")


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called by `aboutToQuit`: Nuke has no hook for its end (`addOnScriptClose` is for each script)."""
    return hook_once(callback, NAME, report, partial(connect_about_to_quit, qt_core()))


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show the first line of an error in the Error Console, and write all of it to the terminal.

    If Nuke takes no message any more, the text goes to stderr.
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
    """Show progress in Nuke's Progress window, which has a Cancel button; None when Nuke cannot show it (any more)."""
    try:
        return _Task(title, cancel)
    except Exception:
        return None


class _Task(TimedProgress):
    """One `nuke.ProgressTask`, shown for as long as the object lives. Nuke may process events when it is changed."""

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        import nuke

        self._state: Tuple[Optional[float], str] = (0.0, "")
        self._shown_state: Tuple[Optional[float], str] = self._state
        self._task: Optional[nuke.ProgressTask] = nuke.ProgressTask(title)
        super().__init__(qt_core(), cancel)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show a fraction and a few words, in the timer's next turn. A fraction of None leaves the bar as it is."""
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
        # Not by its truth: in the tests of plug-ins `nuke` may be a mock, which must not cancel.
        return task.isCancelled() is True  # type: ignore[union-attr]


def _has_gui() -> Optional[bool]:
    """Tell whether this is a Nuke with its GUI; None if this is no Nuke."""
    nuke = sys.modules.get("nuke")
    if nuke is None:
        return None
    try:
        return bool(nuke.GUI)
    except Exception:  # this Nuke is only half there
        return False


def _write_log(text: str) -> None:
    import nuke

    nuke.tprint(text)
    # This shows in the Error Console, and opens no window.
    nuke.error(text.partition("\n")[0])

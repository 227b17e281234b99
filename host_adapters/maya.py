"""The adapter for Maya, from 2022 (PySide2) on; PySide6 since 2025.

It knows nothing of asyncio. README.md beside this file has the contract that it keeps. Checked against stubs of
Maya's modules and run against stand-ins made from them; not run in a real Maya.

`maya.cmds` is there in every Maya, with or without its GUI. In mayapy it is empty until `maya.standalone.initialize()`
has been called. `maya.utils.executeDeferred` may be called from any thread, everything else from the GUI thread only.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any, Callable, List, Optional, Tuple

from ._qt import TimedProgress, connect_about_to_quit, find_core, find_window, hook_once, is_gui_thread
from ._reports import add_traceback, write_stderr

NAME = "Maya"

_PROGRESS_STEPS = 1000

# The display to which Maya's only progress bar belongs now, if there is one.
_shown: List[_MainProgressBar] = []


def is_running() -> bool:
    """Tell whether this is Maya with its GUI, which neither mayapy nor `maya -batch` has."""
    return _is_batch() is False


def batch() -> Optional[str]:
    """Return what to use in mayapy and in `maya -batch`; None in any other process."""
    if not _is_batch():
        return None
    return "This is Maya without its GUI (mayapy or maya -batch), where no Qt loop runs; use asyncio.run() there"


def qt_core() -> ModuleType:
    """Return Maya's QtCore module: the one that is loaded, else the one that it ships."""
    return find_core()


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already.

    We look for it by its name. Maya's own function returns an address, and only shiboken can make a widget of that.
    """
    return find_window(qt_core, lambda window: window.objectName() == "MayaWindow")


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called by kMayaExiting or by `aboutToQuit`, whichever comes first.

    Maya ends in several ways, and older versions did not emit `aboutToQuit` on each of them. Maya itself sends
    kMayaExiting, when nothing can veto the end any more.

    It matters that the returned function removes Maya's callback: one that is still registered when the plug-in behind
    it is unloaded is a fatal error (Maya's reference on MSceneMessage). A callback of MSceneMessage's may be removed
    from inside itself (ShotGrid's Maya engine relies on that), so the function may be called from `callback`.
    """
    from maya.api import OpenMaya

    messages = OpenMaya.MSceneMessage

    def add(quitting: Callable[[], None]) -> Callable[[], None]:
        identifier = messages.addCallback(messages.kMayaExiting, lambda *_client_data: quitting())

        def remove() -> None:
            with suppress(Exception):  # Maya has dropped it already
                OpenMaya.MMessage.removeCallback(identifier)

        return remove

    return hook_once(callback, NAME, report, add, partial(connect_about_to_quit, qt_core()))


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error in red on the command line, and with the traceback in the Script Editor.

    From another thread than the GUI thread it is shown when Maya is idle. If Maya takes no message any more, the text
    goes to stderr.
    """
    text = add_traceback(message, exc)
    try:
        if is_gui_thread(qt_core()):
            _display_error(text)
        else:
            import maya.utils

            maya.utils.executeDeferred(_display_error, text)
    except Exception:
        write_stderr(text)


def progress(title: str, cancel: Callable[[], None]) -> Optional[_MainProgressBar]:
    """Show progress in Maya's main progress bar, where Esc cancels; None when that only bar is taken, or not seen.

    The bar is in the Help Line, which the user can hide.
    """
    if _shown:
        return None
    try:
        from maya import cmds

        if cmds.progressBar(_find_bar(), query=True, isObscured=True):
            return None
        shown = _MainProgressBar(title, cancel)
    except Exception:  # there is no window (any more)
        return None
    _shown.append(shown)
    return shown


class _MainProgressBar(TimedProgress):
    """Maya's main progress bar, while it is ours. Maya may process events when the bar is changed."""

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        from maya import cmds

        self._cmds = cmds
        self._title = title
        self._state: Tuple[Optional[float], str] = (0.0, "")
        self._shown_state: Tuple[Optional[float], str] = self._state
        self._bar = _find_bar()
        cmds.progressBar(
            self._bar,
            edit=True,
            beginProgress=True,
            isInterruptable=True,
            minValue=0,
            maxValue=_PROGRESS_STEPS,
            progress=0,
            status=title,
        )
        super().__init__(qt_core(), cancel)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show a fraction and a few words, in the timer's next turn. A fraction of None leaves the bar as it is."""
        self._state = (fraction, text)

    def close(self) -> None:
        """Give the bar back. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        _shown.remove(self)
        try:
            self._timer.stop()
            self._cmds.progressBar(self._bar, edit=True, endProgress=True)
        except Exception:  # Qt is gone, or the bar is
            pass

    def _turn(self) -> bool:
        if self._state != self._shown_state:
            self._shown_state = fraction, text = self._state
            status = f"{self._title}: {text}" if text else self._title
            self._cmds.progressBar(self._bar, edit=True, status=status)
            if fraction is not None:
                self._cmds.progressBar(self._bar, edit=True, progress=round(fraction * _PROGRESS_STEPS))
        # Not by its truth: in the tests of plug-ins `cmds` may be a mock, which must not cancel.
        return self._cmds.progressBar(self._bar, query=True, isCancelled=True) == 1


def _find_bar() -> str:
    """Return the name of the main progress bar."""
    from maya import mel

    # eval() returns the value of a MEL variable only as the result of an assignment.
    bar: str = mel.eval("$asyncslot_bar = $gMainProgressBar")
    return bar


def _is_batch() -> Optional[bool]:
    """Tell whether this is a Maya without its GUI; None if this is no Maya."""
    cmds = sys.modules.get("maya.cmds")
    if cmds is None:
        return None
    try:
        return bool(cmds.about(batch=True))
    except Exception:  # this is mayapy before initialize(), and the module is empty
        return True


def _display_error(text: str) -> None:
    from maya.api import OpenMaya

    OpenMaya.MGlobal.displayError(text)

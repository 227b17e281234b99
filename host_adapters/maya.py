"""Maya: what has to be known about it, from 2022 (PySide2) on; PySide6 since 2025.

It refuses to know how asyncio is run. Checked against stubs of Maya's modules and run against stand-ins made from
them; not run in a real Maya.

`maya.cmds` is there in every Maya, with or without its GUI; in mayapy it is empty until `maya.standalone.initialize()`
has been called. `maya.utils.executeDeferred` may be called from any thread, everything else from the GUI thread only.

Maya ends in several ways, and `aboutToQuit` was not emitted on each of them in older versions; kMayaExiting is Maya's
own word for it, sent when nothing can veto the end any more. A callback that is still registered when the plug-in
behind it is unloaded is a fatal error (Maya's reference on MSceneMessage), so what takes it back matters. One of
MSceneMessage's may be removed from inside itself (ShotGrid's Maya engine relies on that).
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Callable, List, Optional, Tuple

from ._qt import TimedProgress, connect_about_to_quit, find_core, find_window, guard_once, is_gui_thread
from ._reports import add_traceback, write_stderr

NAME = "Maya"

_PROGRESS_STEPS = 1000

# The display that has Maya's one progress bar, if one has.
_shown: List[_MainProgressBar] = []


def is_running() -> bool:
    """Tell whether this is Maya with its GUI, which neither mayapy nor `maya -batch` has."""
    return _is_batch() is False


def batch() -> Optional[str]:
    """Return what to do in a Maya without GUI, or None where there is one, or no Maya."""
    if not _is_batch():
        return None
    return "This is Maya without its GUI (mayapy or maya -batch), where no Qt loop runs; use asyncio.run() there"


def qt_core() -> ModuleType:
    """Return Maya's QtCore module: the one that is loaded, else the one that it ships."""
    return find_core()


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already.

    By its name, for Maya's own answer is an address that only shiboken can make a widget of.
    """
    return find_window(qt_core, lambda window: window.objectName() == "MayaWindow")


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called once when Maya is about to quit; return a function that takes this back.

    Args:
        callback: called on the GUI thread, by kMayaExiting or by `aboutToQuit`, whichever comes first. What it raises
            is reported and goes no further.

    Returns:
        A function that may be called any number of times, also from `callback` and after Maya has quit.

    Thread: GUI thread only.
    """
    from maya.api import OpenMaya

    quitting, forget = guard_once(callback, NAME, report)
    messages = OpenMaya.MSceneMessage
    identifiers = [messages.addCallback(messages.kMayaExiting, lambda *_client_data: quitting())]
    disconnect = connect_about_to_quit(qt_core(), quitting)

    def unhook() -> None:
        forget()  # also if a hook cannot be taken back
        disconnect()
        while identifiers:
            try:
                OpenMaya.MMessage.removeCallback(identifiers.pop())
            except Exception:  # Maya has dropped it already
                pass

    return unhook


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error where users of Maya look: red on the command line, with the traceback in the Script Editor.

    Never raises, whatever state Maya is in: where nothing of it answers, the text goes to stderr.

    Args:
        message: says what went wrong and in which plug-in.
        exc: the exception behind it, if there is one.

    Thread: any. From another than the GUI thread it is shown when Maya is idle.
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
    """Show how far it is in Maya's main progress bar, which Esc cancels.

    Args:
        title: what is going on, in a word or two.
        cancel: called when the user has pressed Esc.

    Returns:
        An object with `update(fraction, text)` and `close()`, or None when Maya's one progress bar is taken, or is not
        there.

    Thread: GUI thread only.
    """
    if _shown:
        return None
    try:
        shown = _MainProgressBar(title, cancel)
    except Exception:  # no window (any more)
        return None
    _shown.append(shown)
    return shown


class _MainProgressBar(TimedProgress):
    """Maya's main progress bar while it is ours. Maya may process events when it changes."""

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        from maya import cmds, mel

        self._cmds = cmds
        self._title = title
        self._state: Tuple[Optional[float], str] = (0.0, "")
        self._shown_state: Tuple[Optional[float], str] = self._state
        # MEL tells a variable's value as that of an assignment only.
        self._bar = mel.eval("$asyncslot_bar = $gMainProgressBar")
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
        """Show how far it is, in a moment.

        Args:
            fraction: 0..1; None while nobody can tell, which leaves the bar as it is.
            text: a few words beside the bar; "" for none.
        """
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
        except Exception:  # Qt or the bar is gone
            pass

    def _turn(self) -> bool:
        if self._state != self._shown_state:
            self._shown_state = fraction, text = self._state
            status = f"{self._title}: {text}" if text else self._title
            self._cmds.progressBar(self._bar, edit=True, status=status)
            if fraction is not None:
                self._cmds.progressBar(self._bar, edit=True, progress=round(fraction * _PROGRESS_STEPS))
        return bool(self._cmds.progressBar(self._bar, query=True, isCancelled=True))


def _is_batch() -> Optional[bool]:
    """Return whether this Maya has no GUI; None if this is no Maya."""
    cmds = sys.modules.get("maya.cmds")
    if cmds is None:
        return None
    try:
        return bool(cmds.about(batch=True))
    except Exception:  # mayapy, not initialized: the module is empty
        return True


def _display_error(text: str) -> None:
    from maya.api import OpenMaya

    OpenMaya.MGlobal.displayError(text)

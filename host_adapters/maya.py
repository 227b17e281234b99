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

import importlib
import sys
import traceback
import weakref
from types import ModuleType
from typing import Any, Callable, List, Optional, Tuple

NAME = "Maya"

_BINDINGS = ("PySide6", "PySide2", "PyQt6", "PyQt5")
_PROGRESS_STEPS = 1000
_TURN_MS = 100

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
    loaded = [sys.modules[f"{name}.QtCore"] for name in _BINDINGS if f"{name}.QtCore" in sys.modules]
    for core in loaded:
        if core.QCoreApplication.instance() is not None:
            return core
    if loaded:
        return loaded[0]
    try:
        return importlib.import_module("PySide6.QtCore")
    except ImportError:
        return importlib.import_module("PySide2.QtCore")


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already.

    By its name, for Maya's own answer is an address that only shiboken can make a widget of.
    """
    try:
        widgets = importlib.import_module(qt_core().__name__.replace("QtCore", "QtWidgets"))
        for window in widgets.QApplication.topLevelWidgets():
            if window.objectName() == "MayaWindow":
                return window
    except (AttributeError, ImportError, RuntimeError):
        pass
    return None


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

    is_called = False

    def quitting(*_client_data: object) -> None:
        nonlocal is_called
        if is_called:
            return
        is_called = True
        try:
            callback()
        except Exception as exc:
            report("a callback for the end of Maya failed", exc)

    messages = OpenMaya.MSceneMessage
    identifiers = [messages.addCallback(messages.kMayaExiting, quitting)]
    disconnect = _connect_about_to_quit(quitting)

    def unhook() -> None:
        nonlocal is_called
        is_called = True  # also if a hook cannot be taken back
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
    text = message
    if exc is not None:
        text += "\n\n" + "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))
    try:
        if _on_gui_thread():
            _display_error(text)
        else:
            import maya.utils

            maya.utils.executeDeferred(_display_error, text)
    except Exception:
        _write_stderr(text)


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


class _MainProgressBar:
    """Maya's main progress bar while it is ours.

    Maya may process events when the bar changes, which must not happen in the middle of whatever calls `update()`. So
    a timer does it, which also asks whether the user has pressed Esc.
    """

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        from maya import cmds, mel

        self._cmds = cmds
        self._title = title
        self._state: Tuple[Optional[float], str] = (0.0, "")
        self._shown_state: Tuple[Optional[float], str] = self._state
        self._is_turning = False
        self._cancel: Optional[Callable[[], None]] = cancel
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
        self._timer = qt_core().QTimer()
        self._timer.timeout.connect(self._turn)
        self._timer.start(_TURN_MS)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show how far it is, in a moment.

        Args:
            fraction: 0..1; None while nobody can tell, which leaves the bar as it is.
            text: a few words beside the bar; "" for none.
        """
        self._state = (fraction, text)

    def close(self) -> None:
        """Give the bar back. May be called twice."""
        if self not in _shown:
            return
        _shown.remove(self)
        try:
            self._timer.stop()
            self._cmds.progressBar(self._bar, edit=True, endProgress=True)
        except Exception:  # Qt or the bar is gone
            pass

    def _turn(self) -> None:
        if self._is_turning or self not in _shown:
            return
        self._is_turning = True
        is_cancelled = False
        try:
            if self._state != self._shown_state:
                self._shown_state = fraction, text = self._state
                status = f"{self._title}: {text}" if text else self._title
                self._cmds.progressBar(self._bar, edit=True, status=status)
                if fraction is not None:
                    self._cmds.progressBar(self._bar, edit=True, progress=round(fraction * _PROGRESS_STEPS))
            is_cancelled = self._cmds.progressBar(self._bar, query=True, isCancelled=True)
        except Exception:  # the bar is gone
            pass
        finally:
            self._is_turning = False
        if is_cancelled and self._cancel is not None:
            cancel, self._cancel = self._cancel, None  # once
            cancel()


def _is_batch() -> Optional[bool]:
    """Return whether this Maya has no GUI; None if this is no Maya."""
    cmds = sys.modules.get("maya.cmds")
    if cmds is None:
        return None
    try:
        return bool(cmds.about(batch=True))
    except Exception:  # mayapy, not initialized: the module is empty
        return True


def _connect_about_to_quit(slot: Callable[[], None]) -> Callable[[], None]:
    """Connect a function to `aboutToQuit`; return a function that disconnects it, at any time."""
    application = qt_core().QCoreApplication.instance()
    application.aboutToQuit.connect(slot)
    # Weakly: asking a deleted application for its signal can crash (PyQt5 5.15.11, seen 2026-11). And once: PySide6
    # warns of what is not connected any more.
    references: List[Any] = [weakref.ref(application)]

    def disconnect() -> None:
        while references:
            try:
                references.pop()().aboutToQuit.disconnect(slot)
            except (AttributeError, RuntimeError, TypeError):  # the application is gone; not connected any more
                pass

    return disconnect


def _on_gui_thread() -> bool:
    core = qt_core()
    application = core.QCoreApplication.instance()
    return application is not None and core.QThread.currentThread() == application.thread()


def _display_error(text: str) -> None:
    from maya.api import OpenMaya

    OpenMaya.MGlobal.displayError(text)


def _write_stderr(text: str) -> None:
    """Write to stderr, which a GUI program on Windows may not have."""
    try:
        sys.stderr.write(f"{text}\n")
    except Exception:
        pass

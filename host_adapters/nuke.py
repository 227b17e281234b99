"""Nuke: what has to be known about it, from 13 (PySide2) on; PySide6 since 16.

It refuses to know how asyncio is run. Checked against a stub of Nuke's module and run against a stand-in made from it;
not run in a real Nuke.

`nuke` is there in every process of Nuke's; `nuke.GUI` tells whether it is the one with a window. There is no hook for
the end of Nuke (`addOnScriptClose` is for each script), so that is `aboutToQuit` alone. `nuke.critical`, `nuke.alert`
and `nuke.message` open modal dialogs and are not for us. The functions of `nuke` are for the GUI thread only, but for
`executeInMainThread`.
"""

from __future__ import annotations

import importlib
import sys
import traceback
import weakref
from types import ModuleType
from typing import Any, Callable, List, Optional, Tuple

NAME = "Nuke"

_BINDINGS = ("PySide6", "PySide2", "PyQt6", "PyQt5")
_TURN_MS = 100


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

    By the name of its class, for Nuke's API has no function for it.
    """
    try:
        widgets = importlib.import_module(qt_core().__name__.replace("QtCore", "QtWidgets"))
        for window in widgets.QApplication.topLevelWidgets():
            if window.metaObject().className() == "Foundry::UI::DockMainWindow":
                return window
    except (AttributeError, ImportError, RuntimeError):
        pass
    return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called once when Nuke is about to quit; return a function that takes this back.

    Args:
        callback: called on the GUI thread, by `aboutToQuit`. What it raises is reported and goes no further.

    Returns:
        A function that may be called any number of times, also from `callback` and after Nuke has quit.

    Thread: GUI thread only.
    """
    is_called = False

    def quitting() -> None:
        nonlocal is_called
        if is_called:
            return
        is_called = True
        try:
            callback()
        except Exception as exc:
            report("a callback for the end of Nuke failed", exc)

    disconnect = _connect_about_to_quit(quitting)

    def unhook() -> None:
        nonlocal is_called
        is_called = True  # also if a hook cannot be taken back
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
    text = message
    if exc is not None:
        text += "\n\n" + "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))
    try:
        if _on_gui_thread():
            _write_log(text)
        else:
            import nuke

            nuke.executeInMainThread(_write_log, args=(text,))
    except Exception:
        _write_stderr(text)


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


class _Task:
    """One `nuke.ProgressTask`, which is shown for as long as it lives.

    Nuke may process events when it is told of progress, which must not happen in the middle of whatever calls
    `update()`. So a timer tells it, which also asks whether the user has pressed Cancel.
    """

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        import nuke

        self._cancel: Optional[Callable[[], None]] = cancel
        self._state: Tuple[Optional[float], str] = (0.0, "")
        self._shown_state: Tuple[Optional[float], str] = self._state
        self._is_turning = False
        self._task: Optional[nuke.ProgressTask] = nuke.ProgressTask(title)
        self._timer = qt_core().QTimer()
        self._timer.timeout.connect(self._turn)
        self._timer.start(_TURN_MS)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show how far it is, in a moment.

        Args:
            fraction: 0..1; None while nobody can tell, which leaves the bar as it is.
            text: a few words above the bar; "" for none.
        """
        self._state = (fraction, text)

    def close(self) -> None:
        """Take the display away. May be called twice."""
        self._task = None
        try:
            self._timer.stop()
        except RuntimeError:  # Qt is gone
            pass

    def _turn(self) -> None:
        task = self._task
        if self._is_turning or task is None:
            return
        self._is_turning = True
        is_cancelled = False
        try:
            if self._state != self._shown_state:
                self._shown_state = fraction, text = self._state
                task.setMessage(text)
                if fraction is not None:
                    task.setProgress(round(fraction * 100))
            is_cancelled = task.isCancelled()
        except Exception:  # Nuke has taken it away
            pass
        finally:
            self._is_turning = False
        if is_cancelled and self._cancel is not None:
            cancel, self._cancel = self._cancel, None  # once
            cancel()


def _has_gui() -> Optional[bool]:
    """Return whether this Nuke has a GUI; None if this is no Nuke."""
    nuke = sys.modules.get("nuke")
    return None if nuke is None else bool(getattr(nuke, "GUI", False))


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


def _write_log(text: str) -> None:
    import nuke

    nuke.tprint(text)
    # Nuke has it in its Error Console, and opens nothing.
    nuke.error(text.partition("\n")[0])


def _write_stderr(text: str) -> None:
    """Write to stderr, which a GUI program on Windows may not have."""
    try:
        sys.stderr.write(f"{text}\n")
    except Exception:
        pass

"""Substance 3D Painter: what has to be known about it, from 10.1 (PySide6) on; with PySide2 before that.

It refuses to know how asyncio is run. Checked against stubs of Painter's modules and run against stand-ins made from
them; not run in a real Painter.

Painter's dispatcher has events for projects and not for its own end, so that is `aboutToQuit` alone. It has no mode
without GUI in which Python runs, and no progress display for plug-ins. What a plug-in leaves of its windows keeps
Painter from ending.
"""

from __future__ import annotations

import importlib
import sys
import traceback
import weakref
from types import ModuleType
from typing import Any, Callable, List, Optional

NAME = "Substance 3D Painter"

_BINDINGS = ("PySide6", "PySide2", "PyQt6", "PyQt5")

# What other threads have reported and the GUI thread has not written yet, and who has it written: one for each
# function that waits for the end.
_waiting: List[str] = []
_relays: List[Any] = []


def is_running() -> bool:
    """Tell whether this is Painter with its window."""
    return "substance_painter" in sys.modules and gui_parent() is not None


def qt_core() -> ModuleType:
    """Return Painter's QtCore module: the one that is loaded, else the one that it ships."""
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
    """Return the main window, or None when it has not been made yet or is gone already."""
    ui = sys.modules.get("substance_painter.ui")
    try:
        return None if ui is None else ui.get_main_window()
    except Exception:
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called once when Painter is about to quit; return a function that takes this back.

    Args:
        callback: called on the GUI thread, by `aboutToQuit`. What it raises is reported and goes no further.

    Returns:
        A function that may be called any number of times, also from `callback` and after Painter has quit.

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
            report("a callback for the end of Painter failed", exc)

    relays = [_make_relay()]
    _relays.extend(relays)
    disconnect = _connect_about_to_quit(quitting)

    def unhook() -> None:
        nonlocal is_called
        is_called = True  # also if a hook cannot be taken back
        disconnect()
        while relays:
            _relays.remove(relays.pop())
            _write_waiting()

    return unhook


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error where users of Painter look: its Log window.

    Never raises, whatever state Painter is in: where nothing of it answers, the text goes to stderr.

    Args:
        message: says what went wrong and in which plug-in.
        exc: the exception behind it, if there is one.

    Thread: any. From another than the GUI thread it is written by the GUI thread, a moment later.
    """
    text = message
    if exc is not None:
        text += "\n\n" + "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))
    try:
        if _on_gui_thread():
            _write_log(text)
        else:
            _wake_relay(text)
    except Exception:
        _write_stderr(text)


def progress(title: str, cancel: Callable[[], None]) -> None:
    """Return None: Painter's API has no progress display for plug-ins."""


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


def _make_relay() -> Any:
    """Return an object of the GUI thread that has what other threads reported written when it is sent an event."""
    core: Any = qt_core()

    class Relay(core.QObject):  # type: ignore[misc]
        def event(self, event: Any) -> bool:
            if event.type() != _user_event(core):
                return bool(super().event(event))
            _write_waiting()
            return True

    return Relay()


def _user_event(core: Any) -> Any:
    """Return the type of an event that is nobody else's: scoped in Qt 6, in the class itself before."""
    scoped: Any = getattr(core.QEvent, "Type", None)
    return scoped.User if hasattr(scoped, "User") else core.QEvent.User


def _wake_relay(text: str) -> None:
    """Have a text written by the GUI thread, in which alone Painter's log is known to work.

    Raises: IndexError when there is no relay, because nobody is attached.
    """
    relay = _relays[-1]
    _waiting.append(text)
    core: Any = qt_core()
    core.QCoreApplication.postEvent(relay, core.QEvent(_user_event(core)))


def _write_waiting() -> None:
    while _waiting:
        text = _waiting.pop(0)
        try:
            _write_log(text)
        except Exception:
            _write_stderr(text)


def _write_log(text: str) -> None:
    import substance_painter.logging

    substance_painter.logging.error(text)


def _write_stderr(text: str) -> None:
    """Write to stderr, which a GUI program on Windows may not have."""
    try:
        sys.stderr.write(f"{text}\n")
    except Exception:
        pass

"""3ds Max: what has to be known about it, from 2022 (PySide2) on; PySide6 since 2025.

It refuses to know how asyncio is run. Checked against our own stub of the little that is used of its modules, and run
against a stand-in made from that; not run in a real 3ds Max.

`pymxs` is MAXScript's runtime as Python sees it, there in 3dsmax and in 3dsmaxbatch; `qtmax` has its window. Nothing
of `pymxs` may be called from another than the GUI thread: it raises no error, and Max crashes later.

Max is certain to quit when it broadcasts preSystemShutdown; what could still veto that was asked before. A function
can be called for it since 2021, and only one that takes no arguments.
"""

from __future__ import annotations

import importlib
import sys
import traceback
import weakref
from types import ModuleType
from typing import Any, Callable, List, Optional

NAME = "3ds Max"

_BINDINGS = ("PySide6", "PySide2", "PyQt6", "PyQt5")
_EVENT = "preSystemShutdown"

# What other threads have reported and the GUI thread has not written yet, and who has it written: one for each
# function that waits for the end.
_waiting: List[str] = []
_relays: List[Any] = []


def is_running() -> bool:
    """Tell whether this is 3ds Max with its window, which 3dsmaxbatch has not."""
    return _is_batch() is False


def batch() -> Optional[str]:
    """Return what to do in a 3ds Max without GUI, or None where there is one, or no 3ds Max."""
    if not _is_batch():
        return None
    return "This is 3ds Max without its GUI (3dsmaxbatch), where no Qt loop runs; use asyncio.run() there"


def qt_core() -> ModuleType:
    """Return 3ds Max's QtCore module: the one that is loaded, else the one that it ships."""
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
    try:
        import qtmax

        return qtmax.GetQMaxMainWindow()
    except Exception:
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called once when 3ds Max is about to quit; return a function that takes this back.

    Args:
        callback: called on the GUI thread, by preSystemShutdown or by `aboutToQuit`, whichever comes
            first. What it raises is reported and goes no further.

    Returns:
        A function that may be called any number of times, also from `callback` and after 3ds Max has quit.

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
            report("a callback for the end of 3ds Max failed", exc)

    relays = [_make_relay()]
    _relays.extend(relays)
    rt = _runtime()
    event, identifier = rt.Name(_EVENT), rt.Name(f"asyncslot_{id(quitting):x}")
    rt.callbacks.addScript(event, quitting, id=identifier)
    is_hooked = True
    disconnect = _connect_about_to_quit(quitting)

    def unhook() -> None:
        nonlocal is_called, is_hooked
        is_called = True  # also if one of the hooks cannot be taken back
        disconnect()
        if is_hooked:
            is_hooked = False
            try:
                rt.callbacks.removeScripts(event, id=identifier)
            except Exception:  # Max is gone
                pass
        while relays:
            _relays.remove(relays.pop())
            _write_waiting()

    return unhook


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error where users of 3ds Max look: the MAXScript Listener, and Max's log file.

    Never raises, whatever state Max is in.

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
    """Return None: Max's own progress bar is not for us.

    When the user presses its Cancel, Max asks back in a modal dialog (MAXScript's reference on progressUpdate and
    getProgressCancel).
    """


def _runtime() -> Any:
    from pymxs import runtime

    return runtime


def _is_batch() -> Optional[bool]:
    """Return whether this 3ds Max has no GUI; None if this is no 3ds Max."""
    pymxs = sys.modules.get("pymxs")
    if pymxs is None:
        return None
    try:
        return bool(pymxs.runtime.maxops.isInNonInteractiveMode())
    except Exception:  # a Max that is half there
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
    """Have a text written by the GUI thread, in which alone pymxs may be used.

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
    from pymxs import runtime

    # Max has Python's stderr in its Listener.
    _write_stderr(text)
    runtime.logsystem.logEntry(text, error=True)


def _write_stderr(text: str) -> None:
    """Write to stderr, which a GUI program on Windows may not have."""
    try:
        sys.stderr.write(f"{text}\n")
    except Exception:
        pass

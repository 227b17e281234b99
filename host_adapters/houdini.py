"""Houdini: what has to be known about it, from 19.5 (PySide2) to 22 (PySide6, since 21).

It refuses to know how asyncio is run. Checked against a stub of Houdini's module and run against a stand-in made from
it; not run in a real Houdini.

`hou` is there in every process of Houdini's, also in hython and in any Python that imports it; `hou.isUIAvailable()`
tells whether Houdini's own window is. Houdini has no hook for its end (`hou.ui` has none, and `atexit` comes too late),
so that is `aboutToQuit` alone.

Houdini installs an event-loop policy of its own (`haio`). Nothing here touches it.
"""

from __future__ import annotations

import importlib
import sys
import traceback
import weakref
from types import ModuleType
from typing import Any, Callable, List, Optional

NAME = "Houdini"

_BINDINGS = ("PySide6", "PySide2", "PyQt6", "PyQt5")
_TURN_MS = 100
# Houdini's word for progress of which nobody can tell how much it is.
_UNKNOWN = -1.0

# The name under which users find our messages in the Log Viewer.
_LOG_SOURCE = "asyncslot"

# What other threads have reported and the GUI thread has not written yet, and who has it written: one for each
# function that waits for the end.
_waiting: List[str] = []
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
    is_called = False

    def quitting() -> None:
        nonlocal is_called
        if is_called:
            return
        is_called = True
        try:
            callback()
        except Exception as exc:
            report("a callback for the end of Houdini failed", exc)

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
    """Show an error where users of Houdini look: the status line, and with the traceback the Log Viewer.

    Never raises, whatever state Houdini is in: where nothing of it answers, the text goes to stderr.

    Args:
        message: says what went wrong and in which plug-in; the status line shows its first line.
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
            _wake_relay(text)
    except Exception:
        _write_stderr(text)


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


class _Operation:
    """One `hou.InterruptableOperation`, open for as long as it is shown.

    Houdini processes events when it is told of progress, which must not happen in the middle of whatever calls
    `update()`. So a timer tells it; only then does Houdini look whether the user has pressed Esc.
    """

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        import hou

        self._hou = hou
        self._title = title
        self._text = self._shown_text = ""
        self._fraction = _UNKNOWN
        self._is_turning = False
        self._cancel: Optional[Callable[[], None]] = cancel
        # Without its dialog, which is modal.
        self._operation = hou.InterruptableOperation(title, open_interrupt_dialog=False)
        self._operation.__enter__()
        self._timer = qt_core().QTimer()
        self._timer.timeout.connect(self._turn)
        self._timer.start(_TURN_MS)

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
        if self not in _shown:
            return
        _shown.remove(self)
        try:
            self._timer.stop()
            self._operation.__exit__(None, None, None)  # type: ignore[arg-type]  # the stub knows of failures only
            if self._shown_text:
                self._hou.ui.setStatusMessage("")
        except Exception:  # Qt or the operation is gone
            pass

    def _turn(self) -> None:
        if self._is_turning or self not in _shown:
            return
        self._is_turning = True
        is_cancelled = False
        try:
            if self._text != self._shown_text:
                self._shown_text = self._text
                self._hou.ui.setStatusMessage(f"{self._title}: {self._text}" if self._text else self._title)
            self._operation.updateProgress(self._fraction)
        except self._hou.OperationInterrupted:
            is_cancelled = True
        except Exception:  # Houdini has ended it
            pass
        finally:
            self._is_turning = False
        if is_cancelled and self._cancel is not None:
            cancel, self._cancel = self._cancel, None  # once
            cancel()


def _has_ui() -> Optional[bool]:
    """Return whether this Houdini has a GUI; None if this is no Houdini."""
    hou = sys.modules.get("hou")
    if hou is None:
        return None
    try:
        return bool(hou.isUIAvailable())
    except Exception:  # still being imported
        return False


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
    """Have a text written by the GUI thread, in which alone Houdini's log may be used.

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
    import hou

    # The stub has its class under another name.
    logging: Any = hou.logging
    logging.log(logging.LogEntry(message=text, severity=hou.severityType.Error), _LOG_SOURCE)
    hou.ui.setStatusMessage(text.partition("\n")[0], severity=hou.severityType.Error)


def _write_stderr(text: str) -> None:
    """Write to stderr, which a GUI program on Windows may not have."""
    try:
        sys.stderr.write(f"{text}\n")
    except Exception:
        pass

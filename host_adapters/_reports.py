"""What adapters share for reports: the text of an error, stderr, and the way from any thread to the host's log.

This module knows no host and is no adapter. A host that is gone makes nothing here raise.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any, Callable, List, Optional


def add_traceback(message: str, exc: Optional[BaseException]) -> str:
    """Return a message with the traceback of the exception behind it, if there is one."""
    if exc is None:
        return message
    return message + "\n\n" + "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))


def first_line(message: str, exc: Optional[BaseException]) -> str:
    """Return an error in one line: the first line of the message, and the exception's class."""
    line = message.partition("\n")[0]
    return line if exc is None else f"{line} ({type(exc).__name__})"


def write_stderr(text: str) -> None:
    """Write to `sys.stderr`, which may be an object of the host's. Never raises.

    A GUI program on Windows may have no stderr at all.
    """
    try:
        sys.stderr.write(f"{text}\n")
    except Exception:
        pass


def write_from_any_thread(
    text: str, is_gui_thread: Callable[[], bool], write: Callable[[str], None], relays: List[Any]
) -> None:
    """Write to a log that only the GUI thread may write: at once there, else through a relay. Never raises.

    Args:
        is_gui_thread: tells whether this is the GUI thread.
        write: writes one text to the host's log. If it fails, the text goes to stderr.
        relays: those of open_relay(); there is one while any plug-in is attached.
    """
    try:
        if is_gui_thread():
            write(text)
        else:
            relays[-1].send_threadsafe(text)
    except Exception:
        write_stderr(text)


def open_relay(relays: List[Any], core: Any, write: Callable[[str], None]) -> Callable[[], None]:
    """Add an object to `relays` through which any thread can write to the host's log; return a function to close it.

    For a host whose log may only be written by the GUI thread, and that has no function to call another function
    there. The object's `send_threadsafe(text)` may be called from any thread; the GUI thread then writes the text.

    Args:
        relays: the adapter's list of such objects, one for each on_quit() in effect. The adapter may use any of them.
        core: the host's QtCore.
        write: writes one text to the host's log. If it fails, the text goes to stderr.

    Returns:
        A function that takes the object away, and writes the texts that were sent until then. It may be called any
        number of times.

    Thread: GUI thread only.
    """
    waiting: List[str] = []
    # The type of our own events, none of Qt's. The enum is scoped in Qt 6; before, its members are in the class itself.
    scoped: Any = getattr(core.QEvent, "Type", None)
    event_type = scoped.User if hasattr(scoped, "User") else core.QEvent.User

    def write_waiting() -> None:
        while waiting:
            text = waiting.pop(0)
            try:
                write(text)
            except Exception:
                write_stderr(text)

    class Relay(core.QObject):  # type: ignore[misc]
        def send_threadsafe(self, text: str) -> None:
            waiting.append(text)
            core.QCoreApplication.postEvent(self, core.QEvent(event_type))

        def event(self, event: Any) -> bool:
            if event.type() != event_type:
                return bool(super().event(event))
            write_waiting()
            return True

    opened = [Relay()]
    relays.extend(opened)

    def close() -> None:
        while opened:
            relays.remove(opened.pop())
            write_waiting()

    return close

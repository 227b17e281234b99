"""What adapters have in common: an error's way to where users look, as text, and from any thread.

No adapter and no host. Nothing here raises for a host that is gone.
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
    """Return what of an error has room in one line: where it happened, and the exception's class."""
    line = message.partition("\n")[0]
    return line if exc is None else f"{line} ({type(exc).__name__})"


def write_stderr(text: str) -> None:
    """Write to stderr, which a GUI program on Windows may not have, or to what a host has put there. Never raises."""
    try:
        sys.stderr.write(f"{text}\n")
    except Exception:
        pass


def open_relay(relays: List[Any], core: Any, write: Callable[[str], None]) -> Callable[[], None]:
    """Add an object to `relays` that has texts written by the GUI thread; return a function that takes it away.

    For a host whose log is for the GUI thread alone, and that has no function for calling another there. The
    object's `send_threadsafe(text)` may be called from any thread.

    Args:
        relays: those of the adapter, one for each function that waits for the end; it may use any.
        core: the host's QtCore.
        write: writes one text to the host's log. Where it fails, the text goes to stderr.

    Returns:
        A function that may be called any number of times, and that has written what was sent until then.

    Thread: GUI thread only.
    """
    waiting: List[str] = []
    # Of an event that is nobody else's: scoped in Qt 6, in the class itself before.
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

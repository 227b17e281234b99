"""Ctrl+C and other signals, while a program of its own runs the loop. Never in a host.

Python runs signal handlers only between bytecodes, and a sleeping Qt loop executes
none; so signals must wake the loop, through the descriptor that Python writes to
when a signal arrives. And KeyboardInterrupt must not be raised wherever Python
happens to be then, which would be the first line that Qt calls, where PyQt aborts
the process; so Ctrl+C is noted, and raised in whoever runs the loop.

What somebody else has set before us stays: asyncio.Runner's own handler, a
program's, another wakeup descriptor.
"""

from __future__ import annotations

import signal
import threading
from typing import Any, Callable


class SignalWatch:
    """From now until close(), let signals write to `fd`, and Ctrl+C call `on_interrupt`.

    Only the main thread hears of signals; made in another one, this does nothing.

    Attributes:
        writes_to_fd: whether signals are written to `fd`.
    """

    def __init__(self, fd: int, on_interrupt: Callable[[KeyboardInterrupt], None]) -> None:
        self._fd = fd
        self._on_interrupt = on_interrupt
        self._was_interrupted = False
        self._handles_sigint = False
        self.writes_to_fd = False
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            self._begin()
        except ValueError:
            pass  # an embedded interpreter that leaves signals alone: there are none to wait for

    def _begin(self) -> None:
        before = signal.set_wakeup_fd(self._fd)
        self.writes_to_fd = before == -1
        if not self.writes_to_fd:
            signal.set_wakeup_fd(before)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._on_sigint)
            self._handles_sigint = True

    def close(self) -> None:
        """Put back what was there, unless somebody has put something else there since."""
        if self._handles_sigint and signal.getsignal(signal.SIGINT) == self._on_sigint:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.writes_to_fd:
            current = signal.set_wakeup_fd(-1)
            if current not in (self._fd, -1):
                signal.set_wakeup_fd(current)

    def _on_sigint(self, signum: int, frame: Any) -> None:
        """End the loop after the current callback; a second Ctrl+C interrupts the callback, as in asyncio.Runner."""
        if self._was_interrupted:
            signal.default_int_handler(signum, frame)
        self._was_interrupted = True
        self._on_interrupt(KeyboardInterrupt())

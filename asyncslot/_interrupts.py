"""Ctrl+C and other signals, while a program of its own runs the loop. Never in a host.

Python runs signal handlers only between bytecodes, and a sleeping Qt loop executes
none; so signals must wake the loop, through the descriptor that Python writes to
when a signal arrives. asyncio resets that when the last of its signal handlers is
removed, and Ctrl+C to Python's own handler; renew() comes back.

KeyboardInterrupt is raised by whatever handles SIGINT: Python's own handler, that of
asyncio.Runner at the second Ctrl+C, a program's. It must not be raised wherever Python
happens to be then, which may be the first line that Qt calls, where PyQt ends the
process. So we stand in front of that handler, and what it raises

    in a callback of the loop, or in the program's     is raised there, as in asyncio: an endless
    own code outside of Qt                             loop is interrupted
    elsewhere: the loop sleeps, a slot of Qt's runs,   is noted; the loop ends as soon as Qt goes on,
    a dialog is open                                   and it is raised in whoever runs it
    there, a second time                               is raised there: it may be what never ends

Code of a callback may have been called by way of Qt, too (`button.click()`). While an
interrupt is under way sys.excepthook is ours: to this PyQt brings what leaves a slot,
instead of ending the process, and PySide what it would print and forget. There it is
noted as well. With PySide and Python 3.14 the process then says in its exit status, whatever it does
afterwards, that Ctrl+C has ended it: it is Python that does so, when it is asked to print KeyboardInterrupt.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextvars import Context
from typing import Any, Callable, Dict, Optional


class SignalWatch:
    """From now until close(), let signals wake a loop, and Ctrl+C end it where it cannot interrupt it.

    Only the main thread hears of signals; made in another one, this does nothing.

    Args:
        loop: is told of Ctrl+C by _as_interrupted(), and asked by _as_may_interrupt().

    Attributes:
        writes_to_fd: whether signals are written to the loop's descriptor.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._fd = loop._csock.fileno()
        self._is_closed = False
        self._was_noted = False
        self._handler: Optional[Callable[[int, Any], Any]] = None  # the one that we stand in front of
        self._hook: Any = None  # the excepthook that is not ours
        self.writes_to_fd = False
        self.renew()

    def renew(self) -> None:
        """Be told of signals, also if somebody else has set himself in our place, and gone."""
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            before = signal.set_wakeup_fd(self._fd)
            self.writes_to_fd = before in (-1, self._fd)
            if not self.writes_to_fd:
                signal.set_wakeup_fd(before)
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler) and handler != self._on_sigint:
                self._handler = handler
                signal.signal(signal.SIGINT, self._on_sigint)
        except ValueError:
            pass  # an embedded interpreter that leaves signals alone: there are none to wait for

    def close(self) -> None:
        """Put back what was there, unless somebody has put something else there since."""
        self._is_closed = True
        self._unhook()
        if self._handler is not None and signal.getsignal(signal.SIGINT) == self._on_sigint:
            signal.signal(signal.SIGINT, self._handler)
        # The loop's own handlers stay until they are removed, as in asyncio.
        if self.writes_to_fd and not getattr(self._loop, "_signal_handlers", None):
            current = signal.set_wakeup_fd(-1)
            if current not in (self._fd, -1):
                signal.set_wakeup_fd(current)

    def _on_sigint(self, signum: int, frame: Any) -> None:
        assert self._handler is not None, "it is set before this is"
        try:
            self._handler(signum, frame)
        except KeyboardInterrupt:
            is_ours = frame is not None and _package_of(frame.f_globals) == _package_of(globals())
            # Closed: somebody has kept this handler, and put it back.
            if self._is_closed or (not is_ours and (self._was_noted or self._loop._as_may_interrupt())):
                self._raises()
                raise
            self._note()

    def _note(self) -> None:
        self._was_noted = True
        self._loop._as_interrupted(KeyboardInterrupt())

    def _raises(self) -> None:
        """Watch where the exception goes that is raised next, until the loop's next turn."""
        if self._is_closed or self._hook is not None:
            return
        self._hook, sys.excepthook = sys.excepthook, self._on_uncaught
        self._loop.call_soon_threadsafe(self._unhook, context=Context())

    def _unhook(self) -> None:
        hook, self._hook = self._hook, None
        if hook is not None and sys.excepthook == self._on_uncaught:
            sys.excepthook = hook

    def _on_uncaught(self, kind: Any, exc: Any, traceback: Any) -> None:
        hook = self._hook or sys.__excepthook__
        self._unhook()
        if issubclass(kind, KeyboardInterrupt) and not self._is_closed:
            self._note()
        else:
            hook(kind, exc, traceback)


def _package_of(module: Dict[str, Any]) -> str:
    return str(module.get("__name__")).rpartition(".")[0]

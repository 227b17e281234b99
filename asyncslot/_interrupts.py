"""Ctrl+C and other signals, while a program that owns its application runs the loop. Never in a host.

Python runs signal handlers only between bytecodes, and a sleeping Qt loop executes none. So signals must wake the
loop, through the descriptor that Python writes to when a signal arrives.

KeyboardInterrupt is raised by the handler of SIGINT: Python's own, that of asyncio.Runner at the second Ctrl+C, or
the program's. It must not be raised wherever Python happens to be then. That may be the first line that Qt calls,
where PyQt ends the process. So we put our handler in front of that one. When that one raises KeyboardInterrupt,

    in a callback of the loop, or in the program's     we let it through, as asyncio does: an endless
    own code outside of Qt                             loop is interrupted
    elsewhere: the loop sleeps, a slot of Qt's runs,   we note it; the loop ends as soon as Qt goes on,
    a dialog is open                                   and we raise it in the code that runs the loop
    there, a second time                               we let it through: that code may never end

Qt may have called the code of a callback, too (`button.click()`). So sys.excepthook is ours from the moment that we
let an interrupt through until the loop's next turn. PyQt calls the hook for an exception that leaves a slot,
instead of ending the process; PySide calls it where it would print the exception and forget it. We note the
interrupt then. With PySide and Python 3.14 the process's exit status says afterwards that Ctrl+C has ended it,
whatever the process does. Python sets that itself, when it is asked to print a KeyboardInterrupt.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextvars import Context
from typing import Any, Callable, Dict, Optional


class SignalWatch:
    """Let signals wake a loop, and let Ctrl+C end the loop where it cannot interrupt it; from now until close().

    Python tells signals to the main thread only; made in another thread, this does nothing.

    Args:
        loop: the loop, of which we use what asyncio's have.
        interrupt: called with the KeyboardInterrupt that is to end the loop.
        may_interrupt: called to ask whether KeyboardInterrupt may be raised now.

    Attributes:
        writes_to_fd: whether Python writes signals to the loop's descriptor.
    """

    def __init__(
        self, loop: Any, interrupt: Callable[[BaseException], None], may_interrupt: Callable[[], bool]
    ) -> None:
        self._loop = loop
        self._interrupt = interrupt
        self._may_interrupt = may_interrupt
        self._fd = loop._csock.fileno()
        self._is_closed = False
        self._was_noted = False
        self._handler: Optional[Callable[[int, Any], Any]] = None  # the handler of SIGINT that ours stands in front of
        self._hook: Any = None  # the sys.excepthook in whose place ours is
        self.writes_to_fd = False
        self.renew()

    def renew(self) -> None:
        """Set our descriptor and our handler, for the first time or after somebody else has reset them.

        asyncio does so when its last signal handler is removed: it resets the descriptor, and SIGINT to Python's own
        handler. A descriptor that is somebody else's is left alone.
        """
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
            pass  # an embedded interpreter without signal handling: there are no signals to wait for

    def close(self) -> None:
        """Put back the handler, the hook and the descriptor, each unless somebody else has replaced ours since."""
        self._is_closed = True
        self._unhook()
        if self._handler is not None and signal.getsignal(signal.SIGINT) == self._on_sigint:
            signal.signal(signal.SIGINT, self._handler)
        # The loop's own signal handlers stay until they are removed, as in asyncio, and need the descriptor.
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
            # We are closed if somebody has kept our handler, and put it back later.
            if self._is_closed or (not is_ours and (self._was_noted or self._may_interrupt())):
                self._raises()
                raise
            self._note()

    def _note(self) -> None:
        self._was_noted = True
        self._interrupt(KeyboardInterrupt())

    def _raises(self) -> None:
        """Set our sys.excepthook until the loop's next turn, to learn if the exception raised next is not caught."""
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

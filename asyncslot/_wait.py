"""What both ways of waiting have in common: one precise timer, for deadlines and for "soon".

               rest()            no timer; I/O is watched
               wake_at(when)     the timer runs to the deadline; I/O is watched
               wake_soon()       a timer of 0 ms: in the next turn of the Qt loop

The timer is started anew for each step: Qt does not fire a timer whose slot is
still running (QTimerInfoList::activateTimers), and so not in a dialog that a step
opens. It repeats all the same. In a host that handles Ctrl+C in Python (FreeCAD)
KeyboardInterrupt is raised in the first line of Python that Qt calls next, before
any `try` of ours, and what has not been heard must come again.

A 0 ms timer, and not a posted event: under GLib's dispatcher an event that is
posted behind another one whose handler opens a dialog is not delivered until
the dialog closes (measured with PyQt5 5.15, 2026-11).

Nothing here knows what a step is, only that it wants to be called.
"""

from __future__ import annotations

import math
import sys
from asyncio import events
from typing import Any, Callable, Optional

from ._binding import enum_member
from ._clock import monotonic

# Seconds. QTimer takes an int of milliseconds, and "for ever" is a common deadline
# (math.inf); whoever sleeps longer is woken once a day.
LONGEST = 24 * 3600.0

# What `_armed_for` holds when a turn is wanted as soon as possible.
_SOON = 0.0


class TimerWait:
    """Call `step` when a deadline has come, or soon; I/O is for the subclasses.

    Args:
        qt_core: the binding's QtCore module; the timer lives in the calling thread.
        step: called without arguments, in the calling thread; must not raise.
    """

    def __init__(self, qt_core: Any, step: Callable[[], None]) -> None:
        self._step: Optional[Callable[[], None]] = step
        self._armed_for: Optional[float] = None
        self._is_pyqt = hasattr(qt_core, "PYQT_VERSION")
        self._timer = qt_core.QTimer()
        # The default, a coarse timer, fires up to 5 % too early.
        self._timer.setTimerType(enum_member(qt_core.Qt, "TimerType", "PreciseTimer"))
        self._timer.timeout.connect(self._on_timeout)

    def wake_soon(self) -> None:
        """Call `step` in the next turn of whichever Qt loop runs then, nested ones included."""
        if self._armed_for != _SOON:
            self._armed_for = _SOON
            self._start_timer(0)

    def wake_at(self, when: float) -> None:
        """Call `step` at `when` (seconds, the loop's clock), never earlier, or when there is I/O."""
        if self._armed_for != when:
            self._armed_for = when
            delay = min(max(0.0, when - monotonic()), LONGEST)
            delay_ms = math.ceil(delay * 1000)
            self._start_timer(delay_ms)

    def pause(self, when: float) -> None:
        """Call `step` at `when`, whatever I/O there may be until then."""
        self.wake_at(when)

    def rest(self) -> None:
        """Call `step` only when there is I/O."""
        if self._armed_for is not None:
            self._armed_for = None
            try:
                self._timer.stop()
            except RuntimeError:
                pass  # see _start_timer()

    def _start_timer(self, delay_ms: int) -> None:
        if self._step is None:
            return
        try:
            self._timer.start(delay_ms)
        except RuntimeError:
            pass  # the application is gone, and PyQt deletes with it what Python has made: nobody steps any more

    def close(self) -> None:
        """Call `step` no more. Safe inside `step`, and twice."""
        if self._step is None:
            return
        self._step = None
        try:
            self._delete_qt_objects()
        except RuntimeError:
            pass  # see _start_timer()

    def _delete_qt_objects(self) -> None:
        self._timer.stop()
        self._delete(self._timer, self._timer.timeout, self._on_timeout)

    def _delete(self, sender: Any, signal: Any, slot: Callable[..., None]) -> None:
        """Delete a Qt object of ours whose signal was connected to a slot of ours."""
        # PyQt keeps some receivers of what is only deleted. PySide does not, and forgets a connection too early
        # whose sender has the address of one that a thread has left behind (6.10, 6.11; seen 2026-11).
        if self._is_pyqt:
            signal.disconnect(slot)
        # Not now: we may be inside a signal of its.
        sender.deleteLater()

    def _on_timeout(self) -> None:
        self._armed_for = None
        self._take_step()

    def _take_step(self) -> bool:
        """Call `step`, if there is room for it; return whether it was called. Never raises: PyQt ends the process then.

        What is not done now is done in the next call, which comes: the timer repeats,
        and a notifier speaks for as long as there is something to read.
        """
        running_loop = events._get_running_loop()
        try:
            if self._step is not None and _has_room():
                self._step()
                return True
        except (RecursionError, KeyboardInterrupt):
            # The last frame that there was; Ctrl+C between two callbacks, or while the step was putting back what it
            # had found: ours must not stay published.
            events._set_running_loop(running_loop)
        return False


def _has_room() -> bool:
    """Whether a quarter of the stack is left; a host may run its Qt loop from deep inside a recursion of its own.

    Python 3.11 does not even tell a task that it has no room to run in: it just never goes on.
    """
    try:
        sys._getframe(sys.getrecursionlimit() * 3 // 4)
    except ValueError:  # not so many frames below us; the rule
        return True
    return False

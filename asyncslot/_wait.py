"""What both ways of waiting have in common: one precise timer, for deadlines and for "soon".

               rest()            no timer; I/O is watched
               wake_at(when)     the timer runs to the deadline; I/O is watched
               wake_soon()       a timer of 0 ms: in the next turn of the Qt loop

The timer is a single-shot one and started anew for each step. A repeating one
would save that, but Qt does not fire a timer whose slot is still running
(QTimerInfoList::activateTimers), and so not in a dialog that a step opens.

A 0 ms timer, and not a posted event: under GLib's dispatcher an event that is
posted behind another one whose handler opens a dialog is not delivered until
the dialog closes (measured with PyQt5 5.15, 2026-11).

Nothing here knows what a step is, only that it wants to be called.
"""

from __future__ import annotations

import math
from typing import Any, Callable, Optional

from ._binding import enum_member
from ._clock import monotonic

# Seconds. QTimer takes an int of milliseconds, and "for ever" is a common deadline
# (math.inf); whoever sleeps longer is woken once a day.
LONGEST = 24 * 3600.0

# What `_armed_for` holds when a turn is wanted as soon as possible.
_SOON = 0.0


# The same, and how long it then is, while a step has no room to run in.
_LATER = -1.0
_LATER_MS = 10


class TimerWait:
    """Call `step` when a deadline has come, or soon; I/O is for the subclasses.

    Args:
        qt_core: the binding's QtCore module; the timer lives in the calling thread.
        step: called without arguments, in the calling thread; must not raise, but for
            RecursionError where the host has left it no room.
    """

    def __init__(self, qt_core: Any, step: Callable[[], None]) -> None:
        self._step: Optional[Callable[[], None]] = step
        self._armed_for: Optional[float] = None
        self._timer = qt_core.QTimer()
        # The default, a coarse timer, fires up to 5 % too early.
        self._timer.setTimerType(enum_member(qt_core.Qt, "TimerType", "PreciseTimer"))
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_timeout)

    def wake_soon(self) -> None:
        """Call `step` in the next turn of whichever Qt loop runs then, nested ones included."""
        if self._armed_for != _SOON:
            self._armed_for = _SOON
            self._timer.start(0)

    def wake_at(self, when: float) -> None:
        """Call `step` at `when` (seconds, the loop's clock), never earlier, or when there is I/O."""
        if self._armed_for != when:
            self._armed_for = when
            delay = min(max(0.0, when - monotonic()), LONGEST)
            delay_ms = math.ceil(delay * 1000)
            self._timer.start(delay_ms)

    def rest(self) -> None:
        """Call `step` only when there is I/O."""
        if self._armed_for is not None:
            self._armed_for = None
            self._timer.stop()

    def close(self) -> None:
        """Call `step` no more. Safe inside `step`."""
        self._step = None
        try:
            self._delete_qt_objects()
        except RuntimeError:
            pass  # the application is gone, and PyQt deletes with it what Python has made

    def _delete_qt_objects(self) -> None:
        self._timer.stop()
        # Not now: we may be inside a signal of its.
        self._timer.deleteLater()

    def _on_timeout(self) -> None:
        self._armed_for = None
        self._take_step()

    def _take_step(self) -> None:
        """Call `step`. What it raises nevertheless must not get out into Qt, where PyQt ends the process."""
        try:
            if self._step is not None:
                self._step()
        except (RecursionError, KeyboardInterrupt):
            # The host has called so deep that there is no room left, or Ctrl+C came just between two
            # callbacks. Whatever the step has come to, one that begins later finds its work again.
            # Said to Qt here, and not by wake_at(): another frame might have no room either.
            self._armed_for = _LATER
            self._timer.start(_LATER_MS)

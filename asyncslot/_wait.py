"""What both ways of waiting have in common: two precise timers, for deadlines and for "soon".

               rest(until)       I/O is watched; the deadline timer runs, if there is a deadline
               wake_at(when)     the deadline timer runs
               wake_soon()       the other one: in the next turn of the Qt loop

A call to Qt costs as much as a poll, so few are made. The deadline timer is started
when a deadline comes before the one that it runs for, and not when one is taken back
or put off: then it fires once for nothing. Two timers, so that what is to be done
soon does not take the deadline off Qt's books.

Both repeat, though one call is all that is wanted. In a host that handles Ctrl+C in Python
(FreeCAD) KeyboardInterrupt is raised in the first line of Python that Qt calls next, before
any `try` of ours, and what has not been heard must come again. They are started anew
for the next call all the same: Qt does not fire a timer whose slot is still running
(QTimerInfoList::activateTimers), and so not in a dialog that a step opens.

A 0 ms timer, and not a posted event: under GLib's dispatcher an event that is
posted behind another one whose handler opens a dialog is not delivered until
the dialog closes (measured with PyQt5 5.15, 2026-11).

A step that has left work behind is followed by a turn of the host's without one. For in a
turn Qt hands out what was posted, then what sockets and timers bring, and at last what the
display server has sent, of which it knows only from the beginning of the next turn on: with
a step in each turn, input that arrives in one waits for all of the next, too. For the same
reason nothing but the "soon" timer calls while that is promised: else there would be two
steps in a turn, one by the notifier and one by the timer.

Nothing here knows what a step is, only that it wants to be called.
"""

from __future__ import annotations

import math
import sys
from asyncio import events
from typing import Any, Callable, Optional, Tuple

from ._clock import monotonic

# Seconds. QTimer takes an int of milliseconds, and "for ever" is a common deadline
# (math.inf); whoever sleeps longer is woken once a day.
LONGEST = 24 * 3600.0

# Seconds. A turn of the host's that takes longer is as good as two: a host that turns its Qt loop once a frame is to
# have a step in each.
_SHORT_TURN = 0.001


class TimerWait:
    """Call `step` when a deadline has come, or soon; I/O is for the subclasses.

    Args:
        qt_core: the binding's QtCore module; the timers live in the calling thread.
        step: called with asyncio's running loop, if there is one, in the calling thread; must not raise.

    Attributes:
        nudge_threadsafe: calls `step` soon, in the timers' thread; may be called in any thread, and is all of
            this that other threads may hold. None where there is something else that wakes it.
    """

    nudge_threadsafe: Optional[Callable[[], None]] = None

    def __init__(self, qt_core: Any, step: Callable[[Any], None]) -> None:
        self._step: Optional[Callable[[Any], None]] = step
        self._is_pyqt = hasattr(qt_core, "PYQT_VERSION")
        # The very objects are disconnected in the end.
        self._slots: Tuple[Callable[[], None], ...] = (self._on_soon, self._on_deadline)
        self._soon = self._make_timer(qt_core, self._slots[0])
        self._depth = 0  # of the stack, in frames, when it was counted last
        self._is_soon = False  # a call is promised, in nested Qt loops, too
        self._yields_until = 0.0  # on the loop's clock; until then the next call is left to the host
        self._is_ticking = False  # the timer is active
        self._timer = self._make_timer(qt_core, self._slots[1])
        self._deadline: Optional[float] = None  # for which a call is promised
        self._has_fired = False  # the timer is active, but for a deadline that has passed

    def _make_timer(self, qt_core: Any, slot: Callable[[], None]) -> Any:
        timer = qt_core.QTimer()
        # The default, a coarse timer, fires up to 5 % too early. By its name: whoever is the first in a process to
        # ask for a member of an enum of Qt's waits until all of them are made, 15 ms in PySide6 6.12 (2026-11).
        timer.setProperty("timerType", "PreciseTimer")
        timer.timeout.connect(slot)
        return timer

    def describe(self) -> str:
        """Say how the loop waits, for reports."""
        return f"timers ({type(self).__name__})"

    def wake_soon(self) -> None:
        """Call `step` in the next turn of whichever Qt loop runs then, nested ones included."""
        if not self._is_soon:
            self._start(self._soon, 0)
            self._is_soon = self._is_ticking = True  # afterwards: Ctrl+C may come in between

    def wake_at(self, when: float) -> None:
        """Call `step` at `when` (seconds, the loop's clock), the earliest deadline, or when there is I/O."""
        # A deadline that has passed is none to wait for: the clock may have jumped.
        if self._deadline is None or when < self._deadline or self._deadline <= monotonic():
            self._deadline = when
            self._has_fired = False
            delay = min(max(0.0, when - monotonic()), LONGEST)
            delay_ms = math.ceil(delay * 1000)
            self._start(self._timer, delay_ms)

    def pause(self, when: float) -> None:
        """Call `step` at `when`, whatever I/O there may be until then."""
        TimerWait.rest(self, when)

    def rest(self, until: Optional[float]) -> None:
        """Call `step` when there is I/O, and at `until` (seconds, the loop's clock) if that is not None."""
        if self._is_ticking:
            self._is_soon = self._is_ticking = False
            self._stop(self._soon)
        if until is not None:
            self.wake_at(until)
        elif self._has_fired:
            self._has_fired = False
            self._stop(self._timer)

    def _start(self, timer: Any, delay_ms: int) -> None:
        if self._step is None:
            return
        try:
            timer.start(delay_ms)
        except RuntimeError:
            pass  # the application is gone, and PyQt deletes with it what Python has made: nobody steps any more

    def _stop(self, timer: Any) -> None:
        try:
            timer.stop()
        except RuntimeError:
            pass  # see _start()

    def close(self) -> None:
        """Call `step` no more. Safe inside `step`, and twice."""
        if self._step is None:
            return
        self._step = None
        try:
            self._delete_qt_objects()
        except RuntimeError:
            pass  # see _start()
        self._slots = ()

    def _delete_qt_objects(self) -> None:
        for timer, slot in zip((self._soon, self._timer), self._slots):
            timer.stop()
            self._delete(timer, timer.timeout, slot)

    def _delete(self, sender: Any, signal: Any, slot: Callable[..., None]) -> None:
        """Delete a Qt object of ours whose signal was connected to a slot of ours."""
        # PyQt keeps some receivers of what is only deleted. PySide does not, and forgets a connection too early
        # whose sender has the address of one that a thread has left behind (6.10, 6.11; seen 2026-11).
        if self._is_pyqt:
            try:
                signal.disconnect(slot)
            except (RuntimeError, TypeError):
                pass  # it is not connected any more; the clean-up goes on
        # Not now: we may be inside a signal of its.
        sender.deleteLater()

    def _on_soon(self) -> None:
        if monotonic() < self._yields_until:
            self._yields_until = 0.0
            return  # the timer repeats
        self._is_soon, self._is_ticking = False, True  # it may have been started by ThreadWait's thread
        self._take_step()

    def _on_deadline(self) -> None:
        self._deadline, self._has_fired = None, True
        self._take_step()

    def _take_step(self, *_: object) -> None:
        """Call `step`, now or, if there is no room, as soon as possible. Never raises: PyQt ends the process then."""
        running_loop = events._get_running_loop()
        try:
            if self._step is not None and not self._is_soon:
                # As a rule the stack is as deep as the last time, which costs less to find out than how deep it is: to
                # look at a frame makes an object of it, and to ask for one that is not there raises.
                try:
                    has_room = sys._getframe(self._depth).f_back is None
                except ValueError:
                    has_room = False
                if has_room or self._has_room():
                    self._step(running_loop)
                    if self._is_soon:
                        self._yields_until = monotonic() + _SHORT_TURN
                    return
        except KeyboardInterrupt:
            # Ctrl+C between two callbacks, or while the step was putting back what it had found: ours must not stay
            # published.
            events._set_running_loop(running_loop)
        except RecursionError:
            # That was the last frame there is. The timers repeat, and a notifier speaks as long as there is something.
            events._set_running_loop(running_loop)
            return
        self.wake_soon()

    def _has_room(self) -> bool:
        """Whether a quarter of the stack is left; a host may run its Qt loop from deep inside a recursion of its own.

        Python 3.11 does not even tell a task that it has no room to run in: it just never goes on.
        """
        frame: Any = sys._getframe(1)
        depth = -1
        while frame is not None:
            frame = frame.f_back
            depth += 1
        if depth > sys.getrecursionlimit() * 3 // 4:
            return False
        self._depth = depth
        return True

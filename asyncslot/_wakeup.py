"""How Qt calls us back: two precise timers, for deadlines and for "soon", and what tells of I/O.

Nothing here knows what a step is, only that it wants to be called.

The timers (TimerWait).

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

On Linux (NotifierWait): one QSocketNotifier beside the timers, no thread.

An epoll descriptor can itself be polled: it is readable when any descriptor in
it is ready. So the host's Qt loop watches that one descriptor for all of ours.
Ten connections or five thousand cost Qt the same.

The notifier stays enabled during a step, so that a Qt loop nested in one hears
of I/O too.

Where Qt cannot watch all of our I/O (ThreadWait): one daemon thread.

On Windows a completion port is no descriptor, and on macOS Qt does not watch a
kqueue. There a thread blocks in the system's own wait, and tells the GUI thread
when there is something; the GUI thread then polls for itself, so that nothing
but the news crosses from thread to thread.

    GUI thread                          thread
    step ends, nothing ready  --watch-> block() ... something is ready
    step  <--nudge (queued start of a 0 ms timer)--

The thread blocks until there is news, however many steps go by for other
reasons, and after the news until it is asked to watch again. While nothing is
registered that it could watch, it is not even started.

What other threads hold has nothing of Qt's: one of them may let go of it last, long after
close(). Were it an object whose methods are connected to signals, PySide2 would end the
process there now and then (5.15.2, seen 2026-11).
"""

from __future__ import annotations

import math
import sys
import threading
from asyncio import events
from typing import Any, Callable, Optional, Tuple

from ._asyncio import monotonic
from ._binding import enum_member

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


class NotifierWait(TimerWait):
    """Call `step` when `fd` is readable, when a deadline has come, or soon.

    Args:
        qt_core: the binding's QtCore module; its objects live in the calling thread.
        fd: a descriptor that is readable while there is something to do; to be
            closed after close() only.
        step: as in TimerWait.
    """

    def __init__(self, qt_core: Any, fd: int, step: Callable[[Any], None]) -> None:
        super().__init__(qt_core, step)
        self._notifier = qt_core.QSocketNotifier(fd, enum_member(qt_core.QSocketNotifier, "Type", "Read"))
        self._activated = _with_plain_int(self._notifier.activated)
        self._slots += (self._take_step,)
        self._activated.connect(self._slots[-1])  # what it brings (an int, an object, a type) we know
        self._is_paused = False

    def describe(self) -> str:
        """Say how the loop waits, for reports."""
        return f"a notifier ({type(self).__name__})"

    def pause(self, when: float) -> None:
        """Call `step` at `when`, whatever I/O there may be until then."""
        # It would speak again at once, for as long as nobody reads.
        self._is_paused = True
        self._notifier.setEnabled(False)
        super().pause(when)

    def _on_deadline(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._notifier.setEnabled(True)
        super()._on_deadline()

    def _delete_qt_objects(self) -> None:
        super()._delete_qt_objects()
        self._notifier.setEnabled(False)
        self._delete(self._notifier, self._activated, self._slots[-1])


def _with_plain_int(activated: Any) -> Any:
    """Return the overload that brings the descriptor as an int, where there is one.

    With the other one PySide6 makes two objects, which take a third of the time of all the rest of a bare wake-up
    (measured 2026-11).
    """
    try:
        return activated[int]
    except (LookupError, TypeError):  # PyQt6 has only the other one
        return activated


# How long close() waits for the thread to notice; it is a daemon, should it not.
_PATIENCE = 1.0

# Seconds after which a thread that could not be started is tried again.
_RETRY = 0.1


class ThreadWait(TimerWait):
    """Call `step` when `block` has returned, when a deadline has come, or soon.

    Args:
        qt_core: the binding's QtCore module; its objects live in the calling thread.
        block: called in the thread; returns when there is I/O to be polled for,
            or after `interrupt`.
        interrupt: makes `block` return; called in the GUI thread.
        has_io: whether there is anything that `block` could return for.
        step: as in TimerWait.
    """

    def __init__(
        self,
        qt_core: Any,
        block: Callable[[], None],
        interrupt: Callable[[], None],
        has_io: Callable[[], bool],
        step: Callable[[Any], None],
    ) -> None:
        super().__init__(qt_core, step)
        self._interrupt = interrupt
        self._has_io = has_io
        self._thread: Optional[threading.Thread] = None
        self.nudge_threadsafe = self._nudge = _Nudge(qt_core, self._soon)
        self._waiter = _Waiter(block, self._nudge)

    def describe(self) -> str:
        """Say how the loop waits, for reports."""
        return f"a thread, {'not needed so far' if self._thread is None else 'running'} ({type(self).__name__})"

    def rest(self, until: Optional[float]) -> None:
        """Call `step` when there is I/O, and at `until` (seconds, the loop's clock) if that is not None."""
        super().rest(until)
        self.watch()

    def watch(self) -> None:
        """Let the thread wait for I/O, if there is any to wait for and it is not waiting already."""
        waiter = self._waiter
        if waiter.is_waiting or waiter.is_closed or not self._has_io():
            return
        if self._thread is None:
            thread = threading.Thread(target=waiter.run, name="asyncslot-wait", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the process can have no more of them just now
                self.wake_at(monotonic() + _RETRY)
                return
            self._thread = thread
        waiter.is_waiting = True
        waiter.request.release()

    def close(self) -> None:
        """Call `step` no more, and end the thread. Safe inside `step`, and twice."""
        waiter = self._waiter
        if waiter.is_closed:
            return
        waiter.is_closed = True
        waiter.closing.set()
        if self._thread is not None:
            waiter.request.release()
            self._interrupt()
            self._thread.join(_PATIENCE)
        self._nudge.end()
        super().close()


class _Waiter:
    """What the thread runs, and what it is told."""

    def __init__(self, block: Callable[[], None], nudge: Callable[[], None]) -> None:
        self.is_waiting = False  # set in the GUI thread, cleared by the other
        self.is_closed = False
        self.closing = threading.Event()
        self.request = threading.Semaphore(0)
        self._block = block
        self._nudge = nudge

    def run(self) -> None:
        """Wait each time that it is requested, until closed."""
        failures = 0
        while True:
            self.request.acquire()
            if self.is_closed:
                return
            try:
                self._block()
                failures = 0
            except BaseException:
                # A descriptor was closed under it, or there was no memory: the GUI thread's own poll
                # deals with that. Whatever it is, I/O would never be heard of again without this thread.
                failures += 1
                if failures > 1 and self.closing.wait(min(1.0, 0.005 * 2.0 ** min(failures, 10))):
                    return
            if self.is_closed:
                return
            self.is_waiting = False
            self._nudge()


class _Nudge:
    """A call that starts a timer in the timer's thread. Any thread.

    Args:
        qt_core: the binding's QtCore module.
        timer: a QTimer, which only the calling thread may ever let go of.
    """

    def __init__(self, qt_core: Any, timer: Any) -> None:
        self._timer = timer
        self._invoke = qt_core.QMetaObject.invokeMethod
        self._queued = enum_member(qt_core.Qt, "ConnectionType", "QueuedConnection")
        # Held while another thread has the timer on its stack. Reentrant: what garbage collection or a signal handler
        # runs in between may call this, too.
        self._lock = threading.RLock()

    def __call__(self) -> None:
        with self._lock:
            if self._timer is not None:
                try:
                    self._invoke(self._timer, "start", self._queued)
                except RuntimeError:
                    pass  # the application is gone, as in close(), and nobody steps any more

    def end(self) -> None:
        """Do nothing any more when called."""
        with self._lock:
            self._timer = None

"""How Qt calls us back: by two timers, one for deadlines and one for "soon", and by a notifier or a thread for I/O.

This file knows nothing of steps; `step` is a function that it calls.

TimerWait has the timers. A 0 ms timer stands for "in the next turn of the Qt loop", nested Qt loops included:

    rest(until)       I/O is watched; the deadline timer runs, if there is a deadline
    wake_at(when)     the deadline timer runs
    wake_soon()       the "soon" timer runs

They are two so that a call soon does not take the deadline off Qt's books. A call to Qt costs as much as a
poll, so we make few. We start the deadline timer when an earlier deadline comes up. We leave it when a
deadline is cancelled or put off, and then it fires once for nothing.

NotifierWait, on Linux, adds one QSocketNotifier and no thread. An epoll descriptor can itself be polled: it is
readable when any descriptor in it is ready. So Qt watches that one descriptor for all of ours, and ten
connections or five thousand cost Qt the same.

ThreadWait adds one daemon thread, where Qt cannot watch our I/O: on Windows a completion port is no descriptor,
and on macOS Qt does not watch a kqueue. The thread blocks in the system's own wait, and tells the GUI thread
that there is I/O. The GUI thread then polls for itself, so nothing but that news passes between the threads:

    GUI thread                          thread
    step ends, nothing ready  --watch-> block() ... something is ready
    step  <--nudge (queued start of a 0 ms timer)--

The thread goes on blocking while steps are taken for other reasons. After it has brought news, it waits until
it is asked to watch again. While no descriptor is registered that it could watch, it is not even started.
"""

from __future__ import annotations

import math
import sys
import threading
from asyncio import events
from typing import Any, Callable, Optional, Tuple

from ._asyncio import monotonic
from ._binding import enum_member

# Seconds; a longer sleep is cut into pieces of this. QTimer takes an int of milliseconds, and "for ever"
# is a common deadline (math.inf).
LONGEST = 24 * 3600.0

# Seconds. After a step that left work we skip one Qt turn, but no longer than this. A host that turns its Qt loop once
# a frame is to have a step in each turn.
_SHORT_TURN = 0.001


class TimerWait:
    """Call `step` when a deadline has come, or soon; the subclasses add I/O.

    Args:
        qt_core: the binding's QtCore module; the timers live in the calling thread.
        step: called with asyncio's running loop, if there is one, in the calling thread; must not raise.

    Attributes:
        nudge_threadsafe: calls `step` soon, in the timers' thread; may be called in any thread. None where the loop's
            self-pipe wakes it. Other threads may hold this and nothing else of a TimerWait: one of them may be the
            last to let go, long after close(). If that were an object whose methods are connected to signals,
            PySide2 would end the process there now and then (5.15.2, seen 2026-11).
    """

    nudge_threadsafe: Optional[Callable[[], None]] = None

    def __init__(self, qt_core: Any, step: Callable[[Any], None]) -> None:
        self._step: Optional[Callable[[Any], None]] = step
        self._is_pyqt = hasattr(qt_core, "PYQT_VERSION")
        # We keep the bound methods, because close() must disconnect the very objects that were connected.
        self._slots: Tuple[Callable[[], None], ...] = (self._on_soon, self._on_deadline)
        self._soon = self._make_timer(qt_core, self._slots[0])
        self._depth = 0  # how many frames deep the stack was when it was counted last
        self._is_soon = False  # a call soon is promised, in nested Qt loops, too
        self._yields_until = 0.0  # on the loop's clock; until then we skip one turn of the Qt loop
        self._is_ticking = False  # the "soon" timer is active
        self._timer = self._make_timer(qt_core, self._slots[1])
        self._deadline: Optional[float] = None  # the deadline for which a call is promised
        self._has_fired = False  # the deadline timer is active, but its deadline has passed

    def _make_timer(self, qt_core: Any, slot: Callable[[], None]) -> Any:
        # The timers repeat, though we want one call. In a host that handles Ctrl+C in Python (FreeCAD),
        # KeyboardInterrupt is raised in the first line of Python that Qt calls next. That is before any `try` of ours,
        # and the wake-up that we have missed must come again.
        timer = qt_core.QTimer()
        # Qt's default, a coarse timer, fires up to 5 % too early. We set the type by name: whoever is the first in a
        # process to use a member of a Qt enum waits until all of them are made, 15 ms in PySide6 6.12 (2026-11).
        timer.setProperty("timerType", "PreciseTimer")
        timer.timeout.connect(slot)
        return timer

    def describe(self) -> str:
        """Say how the loop waits, for reports."""
        return f"timers ({type(self).__name__})"

    def wake_soon(self) -> None:
        """Call `step` in the next turn of whichever Qt loop runs then, nested ones included."""
        # A timer, and not a posted event. Under GLib's dispatcher, an event posted behind another one whose handler
        # opens a dialog is not delivered before the dialog closes (measured with PyQt5 5.15, 2026-11). We start the
        # timer anew though it repeats: Qt does not fire a timer whose slot is still running
        # (QTimerInfoList::activateTimers), and so not in a dialog that a step opens.
        if not self._is_soon:
            self._start(self._soon, 0)
            self._is_soon = self._is_ticking = True  # after the start, because Ctrl+C may come in between

    def wake_at(self, when: float) -> None:
        """Call `step` at `when` (seconds, the loop's clock), the earliest deadline, or when there is I/O."""
        # A deadline that has passed does not count any more: the clock may have jumped.
        if self._deadline is None or when < self._deadline or self._deadline <= monotonic():
            self._deadline = when
            self._has_fired = False
            delay = min(max(0.0, when - monotonic()), LONGEST)
            delay_ms = math.ceil(delay * 1000)
            self._start(self._timer, delay_ms)

    def pause(self, when: float) -> None:
        """Call `step` at `when`, and not for I/O before that."""
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
            pass  # the application is gone, and PyQt has deleted our timers with it: nobody steps any more

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
        # PyQt keeps some receivers of a sender that is deleted without being disconnected. PySide does not, so there we
        # do not disconnect: PySide may have forgotten the connection too early, if the sender has the address of one
        # that a thread has left behind (6.10, 6.11; seen 2026-11).
        if self._is_pyqt:
            try:
                signal.disconnect(slot)
            except (RuntimeError, TypeError):
                pass  # it is not connected any more; the clean-up goes on
        # Later, because we may be inside one of its signals now.
        sender.deleteLater()

    def _on_soon(self) -> None:
        if monotonic() < self._yields_until:
            self._yields_until = 0.0
            return  # this is the turn that we skip; the timer repeats
        self._is_soon, self._is_ticking = False, True  # ThreadWait's thread may have started the timer
        self._take_step()

    def _on_deadline(self) -> None:
        self._deadline, self._has_fired = None, True
        self._take_step()

    def _take_step(self, *_: object) -> None:
        """Call `step`; if the stack has no room for it, soon. Never raises, because PyQt would end the process."""
        running_loop = events._get_running_loop()
        try:
            # If a call soon is promised, only the "soon" timer calls. Else there could be two steps in one Qt turn, one
            # by the notifier and one by the timer.
            if self._step is not None and not self._is_soon:
                # Fast path: the stack is as deep as last time. That is cheaper to check than to count: to look at a
                # frame makes an object of it, and to ask for a frame that is not there raises.
                try:
                    has_room = sys._getframe(self._depth).f_back is None
                except ValueError:
                    has_room = False
                if has_room or self._has_room():
                    self._step(running_loop)
                    if self._is_soon:
                        # After a step that left work we skip one Qt turn. In a turn Qt delivers posted events, then
                        # those of sockets and timers, and at last those of the display server, of which it learns at
                        # the start of a turn only. With a step in each turn, input would wait for a whole turn more.
                        self._yields_until = monotonic() + _SHORT_TURN
                    return
        except KeyboardInterrupt:
            # Ctrl+C came between two callbacks, or while the step was putting back the state that it had found. Our
            # loop must not stay published.
            events._set_running_loop(running_loop)
        except RecursionError:
            # The stack is full. We are called again: the timers repeat, and a notifier speaks as long as there is I/O.
            events._set_running_loop(running_loop)
            return
        self.wake_soon()

    def _has_room(self) -> bool:
        """Whether a quarter of the stack is left; a host may run its Qt loop deep inside a recursion of its own.

        In Python 3.11 a task without room to run in does not even get an error: it just never goes on.
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
        # It stays enabled during a step, so that a Qt loop nested in the step hears of I/O, too.
        self._activated = _with_plain_int(self._notifier.activated)
        self._slots += (self._take_step,)
        self._activated.connect(self._slots[-1])  # the signal's arguments (an int, an object, a type) are of no use
        self._is_paused = False

    def describe(self) -> str:
        """Say how the loop waits, for reports."""
        return f"a notifier ({type(self).__name__})"

    def pause(self, when: float) -> None:
        """Call `step` at `when`, and not for I/O before that."""
        # Enabled, the notifier would speak again at once, as long as nobody reads.
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
    """Return the overload of the signal that passes the descriptor as an int, where there is one.

    For the other overload PySide6 makes two objects, which take a third of the time of all the rest of a bare
    wake-up (measured 2026-11).
    """
    try:
        return activated[int]
    except (LookupError, TypeError):  # PyQt6 has only the other overload
        return activated


# Seconds for which close() waits until the thread has ended. If it does not, it is a daemon thread.
_PATIENCE = 1.0

# Seconds after which we try again to start a thread that could not be started.
_RETRY = 0.1


class ThreadWait(TimerWait):
    """Call `step` when `block` has returned, when a deadline has come, or soon.

    Args:
        qt_core: the binding's QtCore module; its objects live in the calling thread.
        block: called in the thread; returns when there is I/O to poll for, or after `interrupt`.
        interrupt: makes `block` return; called in the GUI thread.
        has_io: returns whether there is any I/O that `block` could return for.
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
        """Have the thread wait for I/O, if there is any to wait for and the thread is not waiting already."""
        waiter = self._waiter
        if waiter.is_waiting or waiter.is_closed or not self._has_io():
            return
        if self._thread is None:
            thread = threading.Thread(target=waiter.run, name="asyncslot-wait", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the process can have no more threads just now
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
    """The thread's function, with the flags by which the GUI thread directs it."""

    def __init__(self, block: Callable[[], None], nudge: Callable[[], None]) -> None:
        self.is_waiting = False  # set by the GUI thread, cleared by this one
        self.is_closed = False
        self.closing = threading.Event()
        self.request = threading.Semaphore(0)
        self._block = block
        self._nudge = nudge

    def run(self) -> None:
        """Block once for each request, and then nudge the GUI thread; until closed."""
        failures = 0
        while True:
            self.request.acquire()
            if self.is_closed:
                return
            try:
                self._block()
                failures = 0
            except BaseException:
                # A descriptor was closed meanwhile, or there was no memory; the GUI thread's own poll deals with
                # that. Whatever the error, this thread must go on, or the loop would never hear of I/O again.
                failures += 1
                if failures > 1 and self.closing.wait(min(1.0, 0.005 * 2.0 ** min(failures, 10))):
                    return
            if self.is_closed:
                return
            self.is_waiting = False
            self._nudge()


class _Nudge:
    """A function for any thread, which starts a timer in the timer's own thread.

    Args:
        qt_core: the binding's QtCore module.
        timer: a QTimer, to which only the thread that makes this may drop the last reference.
    """

    def __init__(self, qt_core: Any, timer: Any) -> None:
        self._timer = timer
        self._invoke = qt_core.QMetaObject.invokeMethod
        self._queued = enum_member(qt_core.Qt, "ConnectionType", "QueuedConnection")
        # Guards `_timer`: end() waits until no other thread has the timer on its stack. Reentrant, because garbage
        # collection or a signal handler may run code in between that calls this, too.
        self._lock = threading.RLock()

    def __call__(self) -> None:
        with self._lock:
            if self._timer is not None:
                try:
                    self._invoke(self._timer, "start", self._queued)
                except RuntimeError:
                    pass  # the application is gone, as in _start(), and nobody steps any more

    def end(self) -> None:
        """Do nothing any more when called."""
        with self._lock:
            self._timer = None

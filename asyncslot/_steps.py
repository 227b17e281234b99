"""What a step is: one turn of asyncio inside somebody else's event loop.

asyncio's own loop blocks in `select()`, runs what is ready, and blocks again.
Ours must not block, because the host's Qt loop does; so it is turned inside
out. Something that knows when there is work (`_wait_*`, not our business here)
calls `_as_step()`; a *step* polls without blocking, runs callbacks until nothing
is ready or its budget is spent, says when it wants to be called again, and
returns to the host. This file is that step. It knows nothing of Qt.

Two queues. `_ready` is asyncio's: what is to run, in order. `_as_batch` is what
the last poll made due. A poll happens only when the batch is empty, and then the
two queues change places. A batch that the budget cuts is therefore finished by
the next step before anything is polled again; otherwise epoll, which is
level-triggered, would report the same descriptors again, and each reader would
be queued twice.

    poll -> _ready <-> _as_batch -> run, run, run ... -> empty? poll again
                            |
                            +-- budget spent: back to the host, go on here next time

Nesting. A callback may open a modal dialog: a Qt loop inside our step, in which
the host calls `_as_step()` again. The next wake-up is armed *before* callbacks
run, so that the nested loop has one; all else about it is in `_nesting`.

Relies on these private parts of asyncio, read in Python 3.7, 3.8, 3.11, 3.12, 3.13:
`_ready _scheduled _timer_cancelled_count _selector _process_events _stopping
_closed _debug _current_handle _thread_id`, `Handle._context _callback _args
_cancelled _run`, `TimerHandle._when _scheduled`, `events._get_running_loop`,
`base_events._format_handle`.
"""

from __future__ import annotations

import heapq
import threading
from asyncio import base_events, events
from asyncio.format_helpers import _format_callback_source
from collections import deque
from typing import Any, Callable, Deque, Optional

from ._base import Handle, TimerHandle, Ts, Unpack
from ._clock import monotonic
from ._nesting import NestingMixin

# Above this many timers, of which more than half are cancelled, the heap is
# rebuilt without them; asyncio's own figures.
_MANY_TIMERS = 100

# Seconds from a poll that failed to the next, and after many of them.
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 1.0

_Interrupt = (SystemExit, KeyboardInterrupt)


class SteppingMixin(NestingMixin):
    """The part of an event loop that runs callbacks, in steps.

    A mixin for an asyncio loop. It wants from the class it is mixed
    into: `_as_wait`, an object with `wake_soon()`, `wake_at(when)` and `rest()`;
    `_as_without_running(events)` and `_as_unmute()`, for what is on the stack;
    `_as_wake_threadsafe()`, which wakes the loop from any thread; and
    `_as_interrupted(exc)`, told of what must not reach the host: SystemExit,
    KeyboardInterrupt, a poll that failed.

    Attributes:
        step_budget: seconds that one step may take, plus the callback that is
            running when they are over. 0.002 by default: a frame of 16 ms is
            never lost, and throughput is as good as with more (measured in the
            prototype of the design, 2026-11).
    """

    step_budget = 0.002

    def __init__(self) -> None:
        self._as_batch: Deque[Handle] = deque()
        self._as_wait: Any = None
        # True: nobody has promised a step; whoever adds work must ask for one.
        # `_as_idle` is read and cleared by any thread, `_as_alert` only by ours:
        # call_soon() has to do more than to queue.
        self._as_idle = False
        self._as_alert = False
        self._as_wanted_coro: Any = None
        self._as_first_step: Optional[Handle] = None
        self._as_failed_polls = 0  # one after the other
        super().__init__()

    # -- What others call to have something run -----------------------------

    def call_soon(self, callback: Callable[[Unpack[Ts]], Any], *args: Unpack[Ts], context: Any = None) -> Handle:
        """Run `callback` in the next turn. GUI thread only, inside a step or out of one."""
        # asyncio's own version has a frame more, which shows in tracebacks of debug mode.
        if self._closed:
            self._check_closed()
        if self._debug:
            self._check_thread()
            self._check_callback(callback, "call_soon")
        if context is None and self._as_handle is None:  # outside of steps
            context = self._as_callers_context()
        handle = Handle(callback, args, self, context)
        if handle._source_traceback:
            del handle._source_traceback[-1]
        if self._as_alert and self._as_intercept(handle):
            return handle
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], Any], *args: Unpack[Ts], context: Any = None
    ) -> Handle:
        """Run `callback` in the next turn. Any thread."""
        if self._closed:
            self._check_closed()
        if self._debug:
            self._check_callback(callback, "call_soon_threadsafe")
        if context is None:
            context = self._as_callers_context()
        handle = Handle(callback, args, self, context)
        if handle._source_traceback:
            del handle._source_traceback[-1]
        self._ready.append(handle)
        # Queued before the flag is read, and _as_rest() sets the flag before it
        # reads the queue: one of the two sees the other.
        if self._as_idle:
            self._as_idle = False
            self._as_wake_threadsafe()
        return handle

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], Any], *args: Unpack[Ts], context: Any = None
    ) -> TimerHandle:
        """Run `callback` at `when`, in seconds of `time()`. GUI thread only."""
        if when is None:
            raise TypeError("when cannot be None")
        if self._closed:
            self._check_closed()
        if self._debug:
            self._check_thread()
            self._check_callback(callback, "call_at")
        if context is None and self._as_handle is None:  # outside of steps
            context = self._as_callers_context()
        timer = TimerHandle(when, callback, args, self, context)
        if timer._source_traceback:
            del timer._source_traceback[-1]
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        if self._as_alert and self._as_idle and self._scheduled[0] is timer:
            if self._as_is_our_thread():
                self._as_wait.wake_at(when)
            else:
                self._as_wake()
        return timer

    def _as_intercept(self, handle: Handle) -> bool:
        """Do what call_soon() must do besides queueing; return True if it need not queue.

        Either the loop sleeps and must be woken, or run_task() wants the first
        step of the task that it is just making.
        """
        if self._as_wanted_coro is not None:
            task = getattr(handle._callback, "__self__", None)
            if getattr(task, "_coro", None) is self._as_wanted_coro:
                self._as_first_step = handle
                return True
        if self._as_idle:
            self._ready.append(handle)
            self._as_wake()
            return True
        return False

    def _as_wake(self) -> None:
        """Have a loop that sleeps take a step soon."""
        if self._as_is_our_thread():
            self._as_idle = self._as_alert = False
            self._as_wait.wake_soon()
        else:
            # A mistake, which asyncio reports in debug mode only. Passed on to Qt it would
            # stop the timer for good, and with it every plug-in that shares the loop.
            self._as_idle = False
            self._as_wake_threadsafe()

    def _as_is_our_thread(self) -> bool:
        return self._thread_id in (None, threading.get_ident())

    # -- The step ------------------------------------------------------------

    def _as_step(self) -> None:
        """Run one step. Called by the host's loop; never raises."""
        if self._closed or self._as_wait is None:
            return  # a wake-up that was under way when the loop was closed
        self._as_idle = self._as_alert = False
        self._as_wait.wake_soon()
        outer = self._as_enter()
        try:
            self._as_drain(monotonic() + self.step_budget)
        except BaseException as exc:
            # The one place where BaseException is caught: only SystemExit and
            # KeyboardInterrupt come this far, and the host must live on.
            self._as_interrupted(exc)
        finally:
            self._as_leave(outer)
            self._as_rest()

    def _as_drain(self, deadline: float) -> None:
        """Run callbacks until nothing is ready, stop() was called, or `deadline` has passed.

        In Python 3.12 and later the traceback of a task that failed keeps alive the
        frames that ran it. Were a handle left in one of them, it would keep the task,
        whose exception nobody would hear of before the garbage collector comes round.
        """
        handle: Any
        running_loop = events._get_running_loop
        while True:
            # Read anew each time: a step inside a nested Qt loop exchanges the queues.
            batch = self._as_batch
            if not batch:
                if self._stopping or self._closed or not self._as_collect(0):
                    handle = self._as_handle = None
                    return
                continue
            handle = batch.popleft()
            if handle._cancelled:
                continue
            if self._as_stack and self._as_hold(handle):
                continue
            self._as_handle = handle
            if self._debug:
                self._as_run_in_debug_mode(handle)
            else:
                # Handle._run(), without the frame.
                try:
                    handle._context.run(handle._callback, *handle._args)
                except _Interrupt:
                    raise
                except BaseException as exc:
                    self._as_callback_failed(handle, exc)
            if running_loop() is not self:
                self._as_publish_again()
            if self._as_nested:
                self._as_unnest()
            if monotonic() >= deadline:
                handle = self._as_handle = None
                return

    def _as_collect(self, timeout: Optional[float]) -> bool:
        """Poll, and make what is ready the next batch; return whether there is one."""
        try:
            events = self._selector.select(timeout)
        except (Exception, SystemExit) as exc:
            events = []  # what is queued or due needs no poll
            self._as_poll_failed(exc)
        else:
            self._as_failed_polls = 0
        if events:
            if self._as_stack:
                events = self._as_without_running(events)
            self._process_events(events)
        if self._scheduled:
            self._as_collect_timers()
        self._ready, self._as_batch = self._as_batch, self._ready
        return bool(self._as_batch)

    def _as_poll_failed(self, exc: BaseException) -> None:
        """Report a poll that failed, the first of a series only; the next is made after a pause that gets longer."""
        self._as_failed_polls += 1
        if self._as_failed_polls == 1:
            self._as_handle = None  # it is no callback's fault
            self._as_interrupted(exc)

    def _as_collect_timers(self) -> None:
        """Move the timers that are due to the ready queue, and drop cancelled ones."""
        scheduled = self._scheduled
        if self._timer_cancelled_count * 2 > len(scheduled) > _MANY_TIMERS:
            for timer in scheduled:
                timer._scheduled = not timer._cancelled
            scheduled[:] = [timer for timer in scheduled if timer._scheduled]
            heapq.heapify(scheduled)
            self._timer_cancelled_count = 0
        due = self.time() + self._clock_resolution
        while scheduled:
            timer = scheduled[0]
            if timer._when >= due and not timer._cancelled:
                break
            # Before anything else is called: the garbage collector may run a __del__ that runs the loop.
            heapq.heappop(scheduled)
            timer._scheduled = False
            if timer._cancelled:
                self._timer_cancelled_count -= 1
            else:
                self._ready.append(timer)

    def _as_rest(self) -> None:
        """Say when the next step is wanted. The last thing that a step does."""
        if self._closed or self._as_wait is None:
            return
        if self._as_batch or self._ready:
            self._as_idle = self._as_alert = False  # a step inside this one may have found nothing to do
            self._as_wait.wake_soon()
            return
        self._as_idle = self._as_alert = True
        # Another thread may have added something since we looked, and to the batch, if it
        # had its hand on the queue when the two changed places.
        if self._ready or self._as_batch:
            self._as_idle = self._as_alert = False
            self._as_wait.wake_soon()
        elif self._as_failed_polls:
            again = monotonic() + self._as_pause()
            self._as_wait.pause(min([again, *(timer._when for timer in self._scheduled[:1])]))
        elif self._scheduled:
            self._as_wait.wake_at(self._scheduled[0]._when)
        else:
            self._as_wait.rest()

    def _as_pause(self) -> float:
        """Return how long to wait, in seconds, before the next poll if the last ones have failed."""
        if not self._as_failed_polls:
            return 0.0
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._as_failed_polls, 10))

    def _as_run_in_debug_mode(self, handle: Handle) -> None:
        """Run a callback as asyncio's debug mode does: through the handle, and timed."""
        self._current_handle = handle
        start = monotonic()
        try:
            handle._run()
        finally:
            self._current_handle = None
        taken = monotonic() - start
        if taken >= self.slow_callback_duration:
            what = base_events._format_handle(handle)  # type: ignore[attr-defined]
            base_events.logger.warning("Executing %s took %.3f seconds", what, taken)  # type: ignore[attr-defined]
        del handle  # see _as_drain()

    def _as_callback_failed(self, handle: Handle, exc: BaseException) -> None:
        """Tell the exception handler, in the words of asyncio's Handle._run()."""
        source = _format_callback_source(handle._callback, handle._args)
        context = {"message": f"Exception in callback {source}", "exception": exc, "handle": handle}
        if handle._source_traceback:
            context["source_traceback"] = handle._source_traceback
        self.call_exception_handler(context)

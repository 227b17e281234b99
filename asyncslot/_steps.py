"""What a step is: one turn of asyncio inside somebody else's event loop.

asyncio's own loop blocks in `select()`, runs what is ready, and blocks again.
Ours must not block, because the host's Qt loop does; so it is turned inside
out. Something that knows when there is work (`_wakeup`, not our business here)
calls `_as_step()`; a *step* polls without blocking, runs callbacks until nothing
is ready or its budget is spent, says when it wants to be called again, and
returns to the host. This file is that step. It knows nothing of Qt.

Two queues. `_ready` is asyncio's: what is to run, in order. `_as_batch` is what
the last poll made due. A poll happens only when the batch is empty, and then the
two queues change places. A batch that the budget cuts is therefore finished by
the next step before anything is polled again; otherwise epoll, which is
level-triggered, would report the same descriptors again, and each reader would
be queued twice.

    poll -> _ready <-> _as_batch -> run, run, run ... -> empty? the next batch
                            |
                            +-- budget spent: back to the host, go on here next time

A poll costs as much as a callback or two, and lets go of the GIL, which a busy
thread may keep for 5 ms. So it is not made for each batch: what callbacks have
queued meanwhile runs first, for `_POLL_INTERVAL` at most; and where nothing is
queued, the host's loop watches the descriptors anyway. Steps do not call `_as_poll()`
but `_as_poll_now()`, which each system has a way of its own for. A poll fails when a
descriptor was closed under it, or when there is no memory. What is queued or due runs
all the same, and the poll is tried again, after pauses that get longer.

Nesting. A callback may open a modal dialog: a Qt loop inside our step, in which
the host calls `_as_step()` again. Before a callback runs behind which something is
queued, and when it queues something itself, the next turn is promised, so that
the nested loop has one; all else about it is in `_nesting`.
"""

from __future__ import annotations

import heapq
import sys
import threading
from asyncio import base_events, events
from asyncio.format_helpers import _format_callback_source
from collections import deque
from contextvars import copy_context
from typing import Any, Callable, Deque, Optional, Tuple, Type

from ._asyncio import Handle, TimerHandle, Ts, Unpack, monotonic
from ._nesting import NestingMixin
from ._tasks import coro_of, has_begun, is_first_step, resume
from ._threadsafe import ThreadSafeHandle

# Above this many timers, of which more than half are cancelled, the heap is
# rebuilt without them; asyncio's own figures.
_MANY_TIMERS = 100

# Seconds for which callbacks that are ready may keep descriptors waiting.
_POLL_INTERVAL = 50e-6

# Seconds from a poll that failed to the next, and after many of them.
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 1.0

# Seconds between two steps, at most, for the second to take it that more I/O is on its way
# and poll until there is none. A turn of an idle Qt loop takes a tenth of this.
_DENSE = 100e-6

# Seconds. No callback shorter than this has started a loop or stopped one. Python below 3.12 asks the kernel for the
# number of the process each time it is asked for the running loop, a sixth of the time of a short callback.
_SHORTEST_RUN = 0.0 if sys.version_info >= (3, 12) else 2e-6

_Interrupt = (SystemExit, KeyboardInterrupt)

_new_handle = Handle.__new__


class SteppingMixin(NestingMixin):
    """The part of an event loop that runs callbacks, in steps.

    A mixin for an asyncio loop. It wants from the class it is mixed
    into: `_as_wait`, an object with `wake_soon()`, `wake_at(when)` and `rest(until)`;
    `_as_without_running(events)` and `_as_unmute()`, for what is on the stack;
    `_as_wake_threadsafe()`, which wakes the loop from any thread; `_as_stop()`, which
    ends the host's loop if that is ours to end; and
    `_as_interrupted(exc)`, told of what must not reach the host: SystemExit,
    KeyboardInterrupt, a poll that failed.

    Attributes:
        step_budget: seconds that one step may take, plus the callback that is
            running when they are over. 0.001 by default: it is the longest that a click
            waits for us, and throughput is as good as with 0.002 (measured 2026-11).
    """

    step_budget = 0.001

    def __init__(self) -> None:
        self._as_batch: Deque[Handle] = deque()
        self._as_wait: Any = None
        # True: nobody has promised a step; whoever adds work must ask for one. Read and
        # cleared by any thread.
        self._as_idle = False
        # True: call_soon() has to do more than to queue. Always outside of callbacks, and in
        # one as long as nobody has promised the next step, or when it has called into Qt, and in debug mode.
        self._as_alert = True
        self._as_exception: Optional[BaseException] = None  # what is to end the loop, and to be raised where it is run
        self._as_wanted_coro: Any = None
        self._as_first_step: Optional[Handle] = None
        self._as_ended = 0.0  # when the last step did
        self._as_is_dense = False  # the last poll that was made behind a batch has found something
        self._as_failed_polls = 0  # one after the other
        # The callback that has kept a step longest over its budget: seconds, and what it was.
        self._as_longest: Tuple[float, str] = (0.0, "")
        self._as_on_overrun: Optional[Callable[[float, str], None]] = None
        super().__init__()

    # -- What others call to have something run -----------------------------

    def call_soon(self, callback: Callable[[Unpack[Ts]], Any], *args: Unpack[Ts], context: Any = None) -> Handle:
        """Run `callback` in the next turn. GUI thread only, inside a step or out of one."""
        if self._as_alert:
            return self._as_call_soon_alert(callback, args, context)
        # As _as_make_handle() does, without a frame for it.
        handle = _new_handle(Handle)
        handle._context = copy_context() if context is None else context
        handle._loop = self
        handle._callback = callback
        handle._args = args
        handle._cancelled = False
        handle._repr = handle._source_traceback = None
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
        handle = self._as_make_handle(callback, args, context, 2, ThreadSafeHandle)
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
        if context is None:
            owner = self._as_owner_of_frames(sys._getframe(1))
            if owner is not None and owner is not self._as_owner.get():
                context = owner.context()
        elif context.get(self._as_owner) is None:
            self._as_give_owner(context)
        timer = TimerHandle(when, callback, args, self, context)
        if timer._source_traceback:
            del timer._source_traceback[-1]
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        if self._scheduled[0] is timer and self._as_wait is not None:
            if self._as_is_our_thread():
                self._as_wait.wake_at(when)
            elif self._as_idle:
                self._as_wake()
        return timer

    def _as_call_soon_alert(self, callback: Callable[..., Any], args: Any, context: Any) -> Handle:
        """Do what call_soon() must do besides queueing.

        The loop is closed or in debug mode; or code outside of callbacks calls, whose owner must be found;
        or nobody has promised a step, and one must be asked for; or run_task() wants the
        first step of the task that it is just making.
        """
        if self._closed:
            self._check_closed()
        if self._debug:
            self._check_thread()
            self._check_callback(callback, "call_soon")
        # Outside of callbacks, or in code that Qt has called from inside of one.
        if context is None:
            context = self._as_callers_context()
        elif context.get(self._as_owner) is None or (self._as_is_open and not args and is_first_step(callback)):
            self._as_give_owner(context)
        handle = self._as_make_handle(callback, args, context, 3, Handle)
        if self._as_wanted_coro is not None and not args:
            task = getattr(callback, "__self__", None)
            # A task that a factory has begun by itself (asyncio.eager_task_factory) has had its first step.
            is_begun = self._task_factory is not None and has_begun(self._as_wanted_coro)
            if getattr(task, "_coro", None) is self._as_wanted_coro and not is_begun:
                self._as_first_step = handle
                return handle
        self._ready.append(handle)
        if self._as_idle:
            self._as_wake()
        self._as_alert = self._as_handle is None or self._as_is_open or self._debug or self._as_wanted_coro is not None
        return handle

    def _as_make_handle(
        self, callback: Callable[..., Any], args: Any, context: Any, frames: int, kind: Type[Handle]
    ) -> Handle:
        """Return a handle of a kind, which tells debug mode where it was made: `frames` further out than here."""
        if self._debug:
            handle = kind(callback, args, self, context)
            if handle._source_traceback:
                del handle._source_traceback[-frames:]
            return handle
        # Without the frames of __init__() and of get_debug(): half of what queueing costs.
        handle = _new_handle(kind)
        handle._context = copy_context() if context is None else context
        handle._loop = self
        handle._callback = callback
        handle._args = args
        handle._cancelled = False
        handle._repr = handle._source_traceback = None
        return handle

    def _as_wake(self) -> None:
        """Have a loop that sleeps take a step soon."""
        if self._as_is_our_thread():
            if self._as_wait is not None:
                self._as_wait.wake_soon()
            self._as_idle = False
        else:
            # A mistake, which asyncio reports in debug mode only. Passed on to Qt it would
            # stop the timer for good, and with it every plug-in that shares the loop.
            self._as_idle = False
            self._as_wake_threadsafe()

    def _as_is_our_thread(self) -> bool:
        return self._thread_id in (None, threading.get_ident())

    # -- The step ------------------------------------------------------------

    def _as_step(self, running: Any) -> None:
        """Run one step. Called by the host's loop, and told which loop is running here; never raises."""
        if self._closed or self._as_wait is None:
            return  # a wake-up that was under way when the loop was closed
        if self._as_handle is not None:
            self._as_is_open = self._as_nested = True
        outer = self._as_enter_from(running)
        # The promise is kept. A new one is only made when there is something for it: most
        # wake-ups of a quiet loop end without a call to Qt.
        self._as_idle = self._as_alert = True
        now = monotonic()
        try:
            self._as_drain(now, now + self.step_budget)
        except BaseException as exc:
            # The one place where BaseException is caught: only SystemExit and
            # KeyboardInterrupt come this far, and the host must live on.
            self._as_escaped(exc)
        finally:
            self._as_leave(outer)
            self._as_rest()
        if self._as_afters:
            self._as_unwind()

    def _as_escaped(self, exc: BaseException) -> None:
        """Deal with what has come out of _as_drain(); the callback that it comes from is over."""
        self._as_interrupted(exc)
        self._as_handle, self._as_is_open = None, False
        if self._as_nested:
            self._as_unnest()

    def _as_drain(self, now: float, deadline: float) -> None:
        """Run callbacks until nothing is ready, stop() was called, or `deadline` has passed.

        In Python 3.12 and later the traceback of a task that failed keeps alive the
        frames that ran it. Were a handle left in one of them, it would keep the task,
        whose exception nobody would hear of before the garbage collector comes round.
        """
        handle: Any
        running_loop = events._get_running_loop
        stack = self._as_stack
        is_dense = self._as_is_dense or now - self._as_ended < _DENSE
        next_poll = 0.0
        if self._as_batch and self._as_idle:
            self._as_wake()  # should a callback open a nested Qt loop
        while True:
            # Read anew each time: a step inside a nested Qt loop exchanges the queues.
            batch = self._as_batch
            if not batch:
                if self._stopping or self._closed:
                    break
                if now >= next_poll or (is_dense and not self._ready):
                    has_found = self._as_poll_now()
                    if next_poll:  # of the first one it is no news that it has found what woke us
                        is_dense = has_found
                    next_poll = now + _POLL_INTERVAL
                if not self._ready and not self._scheduled:
                    break  # as most steps do
                batch = self._as_exchange_queues()
                if not batch:
                    break
            # Not popleft(): Ctrl+C is raised when a call has returned, and what this one has returned would be lost.
            handle = batch[0]
            del batch[0]
            # Before anything is asked of it: see _threadsafe.
            self._as_handle = handle
            if handle._cancelled:
                continue
            if stack and self._as_hold(handle):
                continue
            if self._debug:
                self._as_run_in_debug_mode(handle)
            else:
                # Handle._run(), without the frame. To unpack no arguments takes as long as all the rest of a call.
                try:
                    if handle._args:
                        handle._context.run(handle._callback, *handle._args)
                    else:
                        handle._context.run(handle._callback)
                except _Interrupt:
                    resume(self, handle)
                    raise
                except BaseException as exc:
                    self._as_callback_failed(handle, exc)
            began, now = now, monotonic()
            if now - began > _SHORTEST_RUN and running_loop() is not self:
                self._as_publish_again()
            if self._as_nested:
                self._as_is_open = False
                self._as_unnest()
            if now >= deadline:
                self._as_overran(handle, now - max(began, self._as_ended))
                break
        self._as_ended, self._as_is_dense = now, is_dense
        handle = self._as_handle = None

    def _as_exchange_queues(self) -> Deque[Handle]:
        """Make what is ready the next batch, when the last one is done, and return it."""
        if self._scheduled:
            self._as_collect_timers()
        batch = self._ready
        self._ready, self._as_batch = self._as_batch, batch
        if self._as_idle and len(batch) > 1:
            self._as_wake()  # should the first callback open a nested Qt loop
        return batch

    def _as_collect(self, timeout: Optional[float]) -> None:
        """Poll, and make what is ready the next batch."""
        self._as_poll(timeout)
        self._as_exchange_queues()

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
            try:
                # Before anything else is called: the garbage collector may run a __del__ that runs the loop.
                heapq.heappop(scheduled)
            finally:  # even after Ctrl+C
                timer._scheduled = False
                if timer._cancelled:
                    self._timer_cancelled_count -= 1
                else:
                    self._ready.append(timer)
        if scheduled and self._as_wait is not None:
            self._as_wait.wake_at(scheduled[0]._when)  # now, should a callback open a nested Qt loop

    def _as_rest(self) -> None:
        """Say when the next step is wanted. The last thing that a step does."""
        if self._closed or self._as_wait is None:
            return
        if self._as_exception is not None or (self._stopping and not self._as_batch):
            self._as_stop()
        self._as_alert = self._as_idle = True
        # After the flag: another thread may add something meanwhile, and to the batch, if it
        # had its hand on the queue when the two changed places.
        if self._ready or self._as_batch:
            self._as_idle = False
            self._as_wait.wake_soon()
        elif self._as_failed_polls:
            again = monotonic() + self._as_pause()
            self._as_wait.pause(min([again, *(timer._when for timer in self._scheduled[:1])]))
        elif self._scheduled:
            self._as_wait.rest(self._scheduled[0]._when)
        else:
            self._as_wait.rest(None)

    # -- Asking the system what is ready ---------------------------------------

    def _as_poll(self, timeout: Optional[float]) -> bool:
        """Queue what the system reports; return whether that is anything."""
        try:
            events = self._selector.select(timeout)
        except (Exception, SystemExit) as exc:
            self._as_poll_failed(exc)  # what is queued or due needs no poll
            return False
        self._as_failed_polls = 0
        if not events:
            return False
        if self._as_stack:
            events = self._as_without_running(events)
        self._process_events(events)
        return True

    def _as_poll_failed(self, exc: BaseException) -> None:
        """Report a poll that failed, the first of a series only; the next is made after a pause that gets longer."""
        self._as_failed_polls += 1
        if self._as_failed_polls == 1:
            self._as_handle = None  # it is no callback's fault
            self._as_interrupted(exc)

    def _as_pause(self) -> float:
        """Return how long to wait, in seconds, before the next poll if the last ones have failed."""
        if not self._as_failed_polls:
            return 0.0
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._as_failed_polls, 10))

    # -- Callbacks that fail or take too long ------------------------------------

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

    def _as_overran(self, handle: Handle, seconds: float) -> None:
        """Note which callback has kept a step longest over its budget, for bug reports and the monitor."""
        if seconds > self._as_longest[0]:
            self._as_longest = (seconds, _describe(handle))
        if self._as_on_overrun is not None:
            self._as_on_overrun(seconds, _describe(handle))


def _describe(handle: Handle) -> str:
    """Name a callback, or the coroutine of the task whose step it is, without arguments: they may be secret."""
    callback: Any = handle._callback
    callback = coro_of(getattr(callback, "__self__", None)) or callback
    return getattr(callback, "__qualname__", None) or type(callback).__name__

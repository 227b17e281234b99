"""What a step is: one turn of asyncio inside somebody else's event loop.

asyncio's own loop blocks in `select()`, runs the callbacks that are ready, and blocks again. Ours must not block,
because the host's Qt loop does that. So we turn the loop inside out: `_wakeup` calls `_as_step()` when there is work.
A *step* polls without blocking, and runs callbacks until none is ready or its budget is spent. Then it says when the
next step is wanted, and returns to the host. This file is that step. It calls nothing of Qt, and does not know how Qt
comes to call it.

Two queues. `_ready` is asyncio's: the callbacks that are to run, in order. `_as_batch` holds those that are being run
now. We poll only when the batch is empty, and then the two queues change places. If the budget cuts a batch, the next
step therefore finishes it before it polls. Otherwise epoll, which is level-triggered, would report the same
descriptors again, and each reader would be queued twice.

    poll -> _ready <-> _as_batch -> run, run, run ... -> empty? the next batch
                            |
                            +-- budget spent: back to the host, go on here next time

Promises. A step is *promised* when we have asked `_as_wait` for it; `_as_idle` is True while none is.

Nesting. A callback may open a modal dialog: a Qt loop inside our step, in which the host calls `_as_step()` again.
For that we promise a step before we run a callback with others queued behind it, and when a callback queues another.
So the nested Qt loop has a wake-up of ours to deliver. How we enter and leave the loop is in `_stack`.

First steps. A slot is expected to have an effect before the emission returns: a button that starts a download must
be disabled before a second click can come. asyncio's create_task() only queues a task's first step. run_task() keeps
it out of the queue and runs it at once, inside the caller's own slot or callback. call_soon() recognises it by its
coroutine, so no callback that another thread queues meanwhile can be mistaken for it.

Polls that fail, because a descriptor was closed meanwhile or there is no memory, do not stop the loop. Callbacks that
are queued or due run all the same, and we poll again after pauses that get longer.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
import threading
from asyncio import base_events, events
from asyncio.format_helpers import _format_callback_source
from collections import deque
from contextvars import copy_context
from typing import Any, Callable, Coroutine, Deque, Optional, Tuple, Type, TypeVar

from ._asyncio import Handle, LoopBase, TimerHandle, Ts, Unpack, monotonic
from ._owners import OWNER, STACK_TELLS, current
from ._reads import Reads
from ._stack import Stack, ThreadSafeHandle
from ._tasks import describe_callback, has_begun, is_first_step, resume, set_name

# When there are more timers than this and more than half of them are cancelled,
# we rebuild the heap without the cancelled ones. Both are asyncio's own figures.
_MANY_TIMERS = 100

# Seconds from one poll to the next while a step has callbacks to run. Descriptors wait for that long at most.
_POLL_INTERVAL = 50e-6

# Seconds from a failed poll to the next one: after the first failure, and at most.
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 1.0

# Seconds. If a step begins this soon after the last one we assume a burst of I/O, and poll until
# a poll finds nothing. A turn of an idle Qt loop takes a tenth of this.
_DENSE = 100e-6

# Seconds. A callback shorter than this cannot have started or stopped another loop, so we do not ask whether ours is
# still the running one. To answer, Python below 3.12 asks the kernel for the process number each time, which takes a
# sixth of the time of a short callback.
_SHORTEST_RUN = 0.0 if sys.version_info >= (3, 12) else 2e-6

_T = TypeVar("_T")
_Interrupt = (SystemExit, KeyboardInterrupt)

_new_handle = Handle.__new__


class SteppingMixin(LoopBase):
    """The part of an event loop that runs callbacks, in steps.

    A mixin for one of asyncio's loops. The rest of the loop is elsewhere: `_wakeup` has what calls us back
    (`_as_wait`), `_selector` and `_windows` what polls (`_as_poll_now()`, `_as_unmute()`), and `_loop` what ends the
    Qt loop (`_as_stop()`) and deals with what must not reach the host (`_as_interrupted()`).

    Attributes:
        step_budget: seconds, >= 0, that one step may spend on callbacks. We look at the clock after each callback,
            so a step lasts this long plus the rest of the callback that is running then. The callbacks that are
            left run in the next step, in their order; with 0 a step runs one callback. The default, 0.001, is the
            longest that a click waits for us, and throughput is as good as with 0.002 (measured 2026-11). It may be
            set at any time, from the next step on, and holds for all who share the loop.
    """

    step_budget = 0.001

    def __init__(self) -> None:
        self._as_stack = Stack(self)
        self._as_batch: Deque[Handle] = deque()
        self._as_wait: Any = None
        # True: no step is promised, and whoever adds work must ask for one. Any thread may read and clear it.
        self._as_idle = False
        # True: call_soon() has to do more than queue. So it is outside of callbacks and in debug mode; and inside a
        # callback until the next step is promised, or once the callback has called into Qt.
        self._as_alert = True
        self._as_exception: Optional[BaseException] = None  # ends the loop, and is raised by whoever runs it
        self._as_wanted_coro: Any = None  # the coroutine of the task that run_task() is making
        self._as_first_step: Optional[Handle] = None  # the first step of that task, kept out of the queue
        self._as_ended = 0.0  # the time at which the last step ended
        self._as_is_dense = False  # we assume a burst of I/O, see _DENSE
        self._as_failed_polls = 0  # how many polls in a row have failed
        self._as_longest: Tuple[float, str] = (0.0, "")  # of the callbacks that overran a budget: seconds, and name
        self._as_watch: Any = None  # measures the steps, see `_watch`; None: nobody does
        self._as_reads = Reads(self)
        super().__init__()

    # -- Adding callbacks ----------------------------------------------------

    def call_soon(self, callback: Callable[[Unpack[Ts]], Any], *args: Unpack[Ts], context: Any = None) -> Handle:
        """Queue `callback(*args)`, and return the handle that cancels it.

        Callbacks run in the order in which they were queued, each once.

        Args:
            context: the context to run in; None: a copy of the caller's, with the caller as its owner.

        Raises:
            RuntimeError: the loop is closed; in debug mode also in another thread.
            TypeError: in debug mode, `callback` cannot be called, or is a coroutine or a coroutine function.

        Thread: GUI thread only, inside a step or outside of one. From others use call_soon_threadsafe().
        """
        if self._as_alert:
            return self._as_call_soon_alert(callback, args, context)
        # Fast path: what _as_make_handle() does, without the cost of calling it.
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
        """Queue `callback(*args)` as call_soon() does, and wake the loop if it sleeps.

        Raises:
            RuntimeError: the loop is closed.
            TypeError: as in call_soon().

        Thread: any.
        """
        if self._closed:
            self._check_closed()
        if self._debug:
            self._check_callback(callback, "call_soon_threadsafe")
        if context is None:
            context = self._as_registry.callers_context()
        handle = self._as_make_handle(callback, args, context, 2, ThreadSafeHandle)
        self._ready.append(handle)
        # We queue first and read the flag then; _as_rest() sets the flag first and reads the queue
        # then. So at least one of the two sees what the other has done.
        if self._as_idle:
            self._as_idle = False
            self._as_wake_threadsafe()
        return handle

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], Any], *args: Unpack[Ts], context: Any = None
    ) -> TimerHandle:
        """Run `callback(*args)` at `when`, in seconds on the clock of time(); return the handle that cancels it.

        Raises:
            RuntimeError: the loop is closed; in debug mode also in another thread.
            TypeError: `when` is None, or as in call_soon().

        Thread: GUI thread only.
        """
        if when is None:
            raise TypeError("when cannot be None")
        if self._closed:
            self._check_closed()
        if self._debug:
            self._check_thread()
            self._check_callback(callback, "call_at")
        if context is None:
            if not (STACK_TELLS and self._as_registry.is_carriers()):
                owner = self._as_registry.owner_of_frames(sys._getframe(1))
                if owner is not None and owner is not current():
                    context = owner.context()
        elif context.get(OWNER) is None:
            self._as_registry.give_owner(context)
        timer = TimerHandle(when, callback, args, self, context)
        if timer._source_traceback:
            del timer._source_traceback[-1]
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        if self._scheduled[0] is timer and self._as_wait is not None:
            if self._as_is_our_thread():
                self._as_wait.wake_at(when)
            elif self._as_idle:
                self._as_wake()  # a call in the wrong thread, as explained there
        return timer

    def _as_call_soon_alert(self, callback: Callable[..., Any], args: Any, context: Any) -> Handle:
        """Do the work of call_soon() where queueing is not enough.

        That is so in four cases. The loop is closed or in debug mode. The call comes from outside of callbacks,
        and we must find the caller's owner. No step is promised, and we must ask for one. Or run_task() is making
        a task, and wants the first step of it for itself.
        """
        if self._closed:
            self._check_closed()
        if self._debug:
            self._check_thread()
            self._check_callback(callback, "call_soon")
        # The caller is outside of callbacks, or Qt has called it from inside one: its context may not tell the owner.
        if context is None:
            context = self._as_registry.callers_context()
        elif context.get(OWNER) is None or (self._as_stack.is_open and not args and is_first_step(callback)):
            self._as_registry.give_owner(context)
        handle = self._as_make_handle(callback, args, context, 3, Handle)
        if self._as_wanted_coro is not None and not args:
            task = getattr(callback, "__self__", None)
            # A factory may begin its tasks by itself (asyncio.eager_task_factory), under a handle of ours. Then this is
            # a later step. We do not ask for the factory: it may have been taken away during the first step.
            is_begun = self._as_stack.handle is not None and has_begun(self._as_wanted_coro)
            if getattr(task, "_coro", None) is self._as_wanted_coro and not is_begun:
                self._as_first_step = handle
                return handle
        self._ready.append(handle)
        if self._as_idle:
            self._as_wake()
        stack = self._as_stack
        self._as_alert = stack.handle is None or stack.is_open or self._debug or self._as_wanted_coro is not None
        return handle

    def _as_make_handle(
        self, callback: Callable[..., Any], args: Any, context: Any, frames: int, kind: Type[Handle]
    ) -> Handle:
        """Make a handle of class `kind`; in debug mode its traceback leaves out the innermost `frames` frames, ours."""
        if self._debug:
            handle = kind(callback, args, self, context)
            if handle._source_traceback:
                del handle._source_traceback[-frames:]
            return handle
        # Fast path: __init__() and get_debug() would be half of the cost of queueing.
        handle = _new_handle(kind)
        handle._context = copy_context() if context is None else context
        handle._loop = self
        handle._callback = callback
        handle._args = args
        handle._cancelled = False
        handle._repr = handle._source_traceback = None
        return handle

    def _as_wake(self) -> None:
        """Promise a step; for a loop that is idle."""
        if self._as_is_our_thread():
            if self._as_wait is not None:
                self._as_wait.wake_soon()
            self._as_idle = False
        else:
            # Somebody has called, in another thread, what only the GUI thread may call; asyncio tells of it in debug
            # mode only. Started in this thread, Qt's timer would stop for good, and with it all who share the loop.
            self._as_idle = False
            self._as_wake_threadsafe()

    def _as_is_our_thread(self) -> bool:
        return self._thread_id in (None, threading.get_ident())

    def run_task(self, coro: Coroutine[Any, Any, _T], *, name: Optional[str] = None) -> asyncio.Task[_T]:
        """Make a task of `coro`, run its first step at once, and return the task.

        The first step runs before this returns, inside a step of the loop or outside of one. asyncio.current_task() is
        the new task in it; a task that calls this is the current one again afterwards. All further steps are queued.
        A task factory may run the first step by itself (asyncio.eager_task_factory, Python 3.12); then we do not.

        Args:
            coro: a coroutine that has not begun.
            name: the task's name; None: asyncio chooses one. Ignored where tasks have no names (Python 3.7).

        Returns:
            The task. It may be done already. If the first step raised, the exception is in the task, and not raised
            here. SystemExit and KeyboardInterrupt end a loop that a program owns as well; in a host they are reported.

        Raises:
            TypeError: `coro` is not a coroutine.
            RuntimeError: the loop is closed; in debug mode also in another thread.

        Thread: GUI thread only.
        """
        # Another task may be in the making further out: in its eager first step, or when that has unwound the stack.
        alert, wanted, before = self._as_alert, self._as_wanted_coro, self._as_first_step
        self._as_alert, self._as_wanted_coro, self._as_first_step = True, coro, None
        try:
            task: asyncio.Task[_T] = self.create_task(coro)
            first_step = self._as_first_step
        finally:
            self._as_wanted_coro, self._as_first_step = wanted, before
            self._as_alert = alert or self._as_stack.is_open
        if name is not None:
            set_name(task, name)
        if first_step is not None:
            self._as_run_now(first_step)
        try:
            return task
        finally:
            del task, first_step  # a traceback of a failed task may keep this frame: see the end of _as_drain()

    # -- The step ------------------------------------------------------------

    def _as_step(self, running: Any) -> None:
        """Run one step. Called by the host's Qt loop; `running` is the thread's running loop. Never raises."""
        if self._closed or self._as_wait is None:
            return  # a wake-up that was under way when the loop was closed
        watch = self._as_watch
        measured = None if watch is None else watch.begin_step(None)
        stack = self._as_stack
        if stack.handle is not None:
            stack.note_qt()  # a callback of ours has opened a nested Qt loop, which calls us now
        found = stack.enter_from(running)
        # The promised step is this one. We promise another only when there is work for it, so
        # most steps of a quiet loop end without a call to Qt.
        self._as_idle = self._as_alert = True
        now = monotonic()
        try:
            self._as_drain(now, now + self.step_budget)
        except BaseException as exc:
            # Only SystemExit and KeyboardInterrupt come this far, and the host must live on.
            self._as_escaped(exc)
        finally:
            stack.leave(found)
            self._as_rest()
            if measured is not None:
                watch.end_step(measured, None)
        if stack.afters:
            stack.unwind()

    def _as_escaped(self, exc: BaseException) -> None:
        """Deal with an exception that has left _as_drain(); the callback that raised it is over."""
        self._as_interrupted(exc)
        stack = self._as_stack
        stack.handle, stack.is_open = None, False
        if stack.is_nested:
            self._as_unnest()

    def _as_drain(self, now: float, deadline: float) -> None:
        """Run callbacks until nothing is ready, stop() was called, or `deadline` has passed."""
        handle: Any
        running_loop = events._get_running_loop
        stack = self._as_stack
        outer = stack.outer
        is_dense = self._as_is_dense or now - self._as_ended < _DENSE
        next_poll = 0.0
        if self._as_batch and self._as_idle:
            self._as_wake()  # in case a callback opens a nested Qt loop
        while True:
            # We read the queue anew each time, because a step inside a nested Qt loop exchanges the queues.
            batch = self._as_batch
            if not batch:
                if self._stopping or self._closed:
                    break
                # A poll costs as much as a callback or two, and lets go of the GIL, which a busy thread may keep for
                # 5 ms. So we do not poll for each batch: callbacks that were queued meanwhile run first, for
                # `_POLL_INTERVAL` at most. If none is queued we poll in a burst of I/O only, because the host's loop
                # watches the descriptors anyway.
                if now >= next_poll or (is_dense and not self._ready):
                    has_found = self._as_poll_now()
                    if next_poll:  # the first poll of a step only finds the I/O that woke us, and tells of no burst
                        is_dense = has_found
                    next_poll = now + _POLL_INTERVAL
                if not self._ready and not self._scheduled:
                    break  # as most steps do
                batch = self._as_exchange_queues()
                if not batch:
                    break
            # Not popleft(): Ctrl+C is raised when a call returns, and the handle that it had removed would be lost.
            handle = batch[0]
            del batch[0]
            # We publish the handle before we read `_cancelled`: threads that cancel it rely on that, see `_stack`.
            stack.handle = handle
            if handle._cancelled:
                continue
            if outer and stack.hold(handle):
                continue
            if self._debug:
                self._as_run_in_debug_mode(handle)
            else:
                # Fast path: Handle._run(), without the call of it. The branch without arguments is there because to
                # unpack none takes as long as all the rest of a call.
                try:
                    if handle._args:
                        handle._context.run(handle._callback, *handle._args)
                    else:
                        handle._context.run(handle._callback)
                except _Interrupt:
                    resume(self, handle, (*self._ready, *self._as_batch))
                    raise
                except BaseException as exc:
                    self._as_callback_failed(handle, exc)
            began, now = now, monotonic()
            if now - began > _SHORTEST_RUN and running_loop() is not self:
                stack.publish_again()
            if stack.is_nested:
                stack.is_open = False
                self._as_unnest()
            if now >= deadline:
                # If steps were taken in a nested Qt loop, we count this callback's time from the end of the last one.
                self._as_overran(handle, now - max(began, self._as_ended))
                break
        self._as_ended, self._as_is_dense = now, is_dense
        # From Python 3.12 on the traceback of a failed task keeps the frames alive that ran the task. A handle left in
        # one of them would keep the task, and its exception would be reported only at the next garbage collection.
        handle = stack.handle = None

    def _as_exchange_queues(self) -> Deque[Handle]:
        """Make the ready callbacks the next batch, now that the last one is done; return it."""
        if self._scheduled:
            self._as_collect_timers()
        batch = self._ready
        self._ready, self._as_batch = self._as_batch, batch
        if self._as_idle and len(batch) > 1:
            self._as_wake()  # in case the first callback opens a nested Qt loop
        return batch

    def _as_collect(self, timeout: Optional[float]) -> None:
        """Poll, and make the ready callbacks the next batch."""
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
                # We remove the timer before we call anything else: a call may start the garbage collector, which may
                # run a __del__ that runs the loop.
                heapq.heappop(scheduled)
            finally:  # even if Ctrl+C is raised when that returns
                timer._scheduled = False
                if timer._cancelled:
                    self._timer_cancelled_count -= 1
                else:
                    self._ready.append(timer)
        if scheduled and self._as_wait is not None:
            self._as_wait.wake_at(scheduled[0]._when)  # before the callbacks run: one may open a nested Qt loop

    def _as_rest(self) -> None:
        """Say when the next step is wanted. A step does this last."""
        if self._closed or self._as_wait is None:
            return
        if self._as_exception is not None or (self._stopping and not self._as_batch):
            self._as_stop()
        self._as_alert = self._as_idle = True
        # We read the queues after setting the flag, because another thread may add a callback meanwhile.
        # It adds to the batch if it had fetched `_ready` just before the queues changed places.
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

    # -- Steps within steps ------------------------------------------------------

    def _as_run_now(self, handle: Handle) -> None:
        """Run a task's first step at once, inside the caller's own callback or slot. Never raises."""
        watch = self._as_watch
        measured = None if watch is None else watch.begin_step(handle)
        stack = self._as_stack
        found = stack.enter_from(events._get_running_loop())  # enter(), without the call of it
        stack.handle = handle
        try:
            handle._context.run(handle._callback)
        except (SystemExit, KeyboardInterrupt) as exc:
            self._as_interrupted(exc)
        except BaseException as exc:
            self._as_callback_failed(handle, exc)
        finally:
            if measured is not None:
                watch.end_step(measured, handle)
            del handle  # see the end of _as_drain()
            stack.leave(found)
        if stack.is_nested or stack.afters:
            self._as_settle()

    def _as_call_inside(self, handle: Handle, fn: Callable[[], Any]) -> Any:
        """Call `fn` with ours as the running loop; on the stack `handle` stands for the call."""
        stack = self._as_stack
        found = stack.enter()
        alert, self._as_alert = self._as_alert, True
        stack.handle = handle
        try:
            return fn()
        finally:
            self._as_alert = alert
            stack.leave(found)
            if stack.is_nested or stack.afters:
                self._as_settle()

    def _as_settle(self) -> None:
        """Do what an entry that was no step has left: queue what was held, and call what waited for the stack."""
        stack = self._as_stack
        if stack.is_nested:
            self._as_unnest()
            self._as_rest()
        if stack.afters:
            stack.unwind()

    def _as_unnest(self) -> None:
        """Queue all held handles, and report all muted descriptors again, after a callback has ended.

        Those that an outer step is still inside are held or muted again as soon as they turn up.
        """
        stack = self._as_stack
        stack.is_nested = stack.is_open  # of a callback further out
        self._as_unmute()
        self._as_batch.extendleft(reversed(stack.held))
        stack.held.clear()
        if self._as_idle and self._as_batch:
            self._as_wake()

    # -- Polling -----------------------------------------------------------------

    def _as_poll(self, timeout: Optional[float]) -> bool:
        """Queue the callbacks of the events that the system reports; return whether there were events."""
        try:
            events = self._selector.select(timeout)
        except (Exception, SystemExit) as exc:
            self._as_poll_failed(exc)
            return False
        self._as_failed_polls = 0
        if not events:
            return False
        if self._as_stack.outer:
            events = self._as_without_running(events)
        self._process_events(events)
        return True

    def _as_poll_failed(self, exc: BaseException) -> None:
        """Report a failed poll, if it is the first in a row; see _as_pause() for when we poll again."""
        self._as_failed_polls += 1
        if self._as_failed_polls == 1:
            self._as_stack.handle = None  # the report would blame this callback
            self._as_interrupted(exc)

    def _as_pause(self) -> float:
        """Return the seconds to wait before the next poll; they grow with the number of polls that have failed."""
        if not self._as_failed_polls:
            return 0.0
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._as_failed_polls, 10))

    # -- Callbacks that fail or take too long ------------------------------------

    def _as_run_in_debug_mode(self, handle: Handle) -> None:
        """Run a callback as asyncio's debug mode does: through Handle._run(), and timed."""
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
        del handle  # see the end of _as_drain()

    def _as_callback_failed(self, handle: Handle, exc: BaseException) -> None:
        """Call the exception handler, with the words of asyncio's Handle._run()."""
        source = _format_callback_source(handle._callback, handle._args)
        context = {"message": f"Exception in callback {source}", "exception": exc, "handle": handle}
        if handle._source_traceback:
            context["source_traceback"] = handle._source_traceback
        self.call_exception_handler(context)

    def _as_overran(self, handle: Handle, seconds: float) -> None:
        """Note the callback that has made a step overrun its budget most, for bug reports, the monitor and `_reads`."""
        self._as_reads.overran(handle, seconds, self.step_budget)
        if seconds > self._as_longest[0]:
            self._as_longest = (seconds, describe_callback(handle._callback))
        watch = self._as_watch
        if watch is not None:
            watch.overran(seconds, describe_callback(handle._callback))

"""Steps within steps, loops within loops: who is the running loop, and which task the current one.

A callback may open a modal dialog: a Qt loop inside our step, in which the host
calls `_as_step()` again. That must work, or every other task would stand still
while the dialog is open:

- the task that is on the stack is taken off asyncio's books for the time being
  (asyncio knows one current task per loop) and put back afterwards;
- a callback that is on the stack is not entered again, nor is its context
  (contextvars forbid it); such handles are *held* until the outer step goes on,
  and the descriptors they stand for are muted.

The stack. The loop is *entered* for a step, for the first step of a task that is run at once, and
for as long as somebody blocks (`_alone`); each time it is left again, what was found is put back:

    depth       how often it is entered; 0: no frame of ours is on the stack
    handle      the callback that the innermost entry is running
    stack       those that the entries further out are running
    is_open     `handle` has called into Qt: it has been seen that a step, or somebody who blocks, came in between

What must not happen under a callback that is on the stack (to close the loop, to freeze a task
that sits in a dialog) is put off until depth is 0 again, and is then done by whoever leaves last: a
host that has quit runs no Qt loop any more.

Code that Qt calls from inside a callback runs in that callback's context, but does not belong to
it: it may be another plug-in's slot. `_owners` knows it by its frames, for which it asks wherever
call_soon() takes the slow way; so it does as long as `is_open`. That a callback has called into Qt is
seen with the first step in there; what another plug-in's slot gives call_soon() before is taken for the callback's.

Neighbours. Our loop is asyncio's running loop only while a step runs, and what
was running before (another plug-in's loop, a Jupyter console) is put back: unless
it was closed meanwhile, or a callback has started another one that is to stay.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import events
from asyncio.tasks import _enter_task, _leave_task
from contextvars import Context
from typing import Any, Callable, List, Optional, Tuple

from ._asyncio import Handle, LoopBase


class NestingMixin(LoopBase):
    """The part of an event loop that enters and leaves steps, however deep.

    It wants from the class it is mixed into: `_as_without_running(events)` and
    `_as_unmute()`, for descriptors of what is on the stack; `_as_batch`, `_as_rest()`,
    `_as_callback_failed(handle, exc)` and `_as_interrupted(exc)`, as in `_steps`.
    """

    def __init__(self) -> None:
        self._as_depth = 0  # how often the loop has been entered and not left
        self._as_has_run = False  # it has been entered
        self._as_handle: Optional[Handle] = None  # the one being run
        self._as_stack: List[Handle] = []  # those that outer steps are running
        self._as_is_open = False  # the one being run has called into Qt
        self._as_held: List[Handle] = []
        self._as_nested = False  # something is held, muted or open
        self._as_afters: List[Callable[[], None]] = []  # what waits for the stack to unwind
        self._as_is_unwinding = False
        self._as_lasting: Any = None  # this loop, if it is the running loop outside steps, too
        self._as_newcomer: Any = None  # a loop that was published during the step
        super().__init__()
        self._as_hooks = (self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)

    def _as_enter(self) -> Tuple[Any, ...]:
        """Become asyncio's running loop; return what _as_leave() needs to undo it."""
        # By their module, as asyncio does: whoever replaces them there means us, too.
        return self._as_enter_from(events._get_running_loop())

    def _as_enter_from(self, loop: Any) -> Tuple[Any, ...]:
        """Become the running loop after `loop`, which may be None."""
        task = own_task = None
        if loop is not None:
            task = _take_off(loop)
        handle = self._as_handle
        if handle is not None:
            if loop is not self:
                # A callback of ours is on the stack, and another loop runs in the Qt loop that it has opened, or has
                # failed to and has unpublished ours on its way out (Python 3.13).
                own_task = _take_off(self)
            self._as_stack.append(handle)
            self._as_handle = None
        elif self._debug:
            self._set_coroutine_origin_tracking(True)
        # A tuple of ours: the garbage collector does not look into Python's, and a traceback may keep our frame.
        hooks = tuple(sys.get_asyncgen_hooks())
        events._set_running_loop(self)
        sys.set_asyncgen_hooks(*self._as_hooks)
        is_open, self._as_is_open = self._as_is_open, False
        self._as_has_run = True
        self._as_depth += 1
        return loop, task, own_task, hooks, handle, is_open

    def _as_leave(self, outer: Tuple[Any, ...]) -> None:
        """Put back what _as_enter() found."""
        loop, task, own_task, hooks, handle, is_open = outer
        self._as_depth -= 1
        sys.set_asyncgen_hooks(*hooks)
        if events._get_running_loop() is not self:
            self._as_publish_again()
        if task is not None:
            pass  # its step is on the stack, and asyncio wants the loop to be its until that is over
        elif self._as_newcomer is not None:
            loop, self._as_newcomer = self._as_newcomer, None
        elif loop is None or loop.is_closed():
            loop = self._as_lasting if handle is None else self
        elif handle is not None and not loop.is_running():
            # Somebody has published a loop while a callback of ours is on the stack, which must find its own when it
            # goes on.
            self._as_newcomer, loop = loop, self
        events._set_running_loop(loop)
        self._as_handle = handle
        # What was run meanwhile has perhaps been called by Qt, and itself has opened a Qt loop; or a step was taken.
        self._as_is_open = handle is not None and (is_open or self._as_is_open)
        if self._as_is_open:
            self._as_nested = self._as_alert = True
        if handle is not None:
            self._as_stack.pop()
        else:
            self._as_alert = True  # a first step run at once may have found that a step is promised
            if self._coroutine_origin_tracking_enabled:
                self._set_coroutine_origin_tracking(False)
        if task is not None:
            _enter_task(loop, task)
        if own_task is not None:
            _put_back(self, own_task, loop)

    def _as_call_inside(self, handle: Handle, fn: Callable[[], Any]) -> Any:
        """Call `fn` as the running loop; `handle` stands for it on the stack."""
        outer = self._as_enter()
        alert, self._as_alert = self._as_alert, True
        self._as_handle = handle
        try:
            return fn()
        finally:
            self._as_alert = alert
            self._as_leave(outer)
            if self._as_nested:
                self._as_unnest()
                self._as_rest()
            if self._as_afters:
                self._as_unwind()

    def _as_publish_again(self) -> None:
        """Be the running loop again, after a callback that has made another one of it, or none.

        Another one: it has started a plug-in whose loop stays published (qasync); that one
        is put there when the step is over. None: it has run a loop that failed because
        ours is running, and on its way out unpublished ours (Python 3.13), or it has
        unloaded such a plug-in.
        """
        loop = events._get_running_loop()
        if loop is not None:
            self._as_newcomer = loop
        events._set_running_loop(self)

    def _as_run_now(self, handle: Handle) -> None:
        """Run a task's first step at once, inside whatever the caller is doing. Never raises."""
        outer = self._as_enter_from(events._get_running_loop())
        self._as_handle = handle
        try:
            handle._context.run(handle._callback)
        except (SystemExit, KeyboardInterrupt) as exc:
            self._as_interrupted(exc)
        except BaseException as exc:
            self._as_callback_failed(handle, exc)
        finally:
            del handle  # see _as_drain()
            self._as_leave(outer)
        if self._as_nested:
            self._as_unnest()
            self._as_rest()
        if self._as_afters:
            self._as_unwind()

    def _as_hold(self, handle: Handle) -> bool:
        """Set a handle aside if it cannot be entered because an outer step is in it."""
        for running in self._as_stack:
            if running is handle or running._context is handle._context or _is_same_method(running, handle):
                self._as_held.append(handle)
                self._as_nested = True
                return True
        return False

    def _as_when_unwound(self, fn: Callable[[], None]) -> None:
        """Call `fn` when the loop has been left as often as it was entered; now, if it has."""
        self._as_afters.append(fn)
        self._as_unwind()

    def _as_unwind(self) -> None:
        """Call what waits for the stack to unwind, if it has, one after the other. Never raises."""
        if self._as_is_unwinding:
            return  # what is being called has run the loop: one plug-in's end must not take place in another's time
        self._as_is_unwinding = True
        try:
            while self._as_afters and not self._as_depth:
                try:
                    # In an empty context: what was put off is the loop's, whoever has been on the stack.
                    Context().run(self._as_afters.pop(0))
                except BaseException as exc:
                    self._as_interrupted(exc)
        finally:
            self._as_is_unwinding = False

    def _as_on_stack(self) -> List[Handle]:
        """Return the callbacks that are being run, further out on the calling thread's stack."""
        if not self._as_depth:
            return []
        return [handle for handle in (*self._as_stack, self._as_handle) if handle is not None]

    def _as_unnest(self) -> None:
        """A callback has ended while something was held or muted: give all of it another chance.

        What is still on the stack of a step further out is held or muted again
        as soon as it turns up.
        """
        self._as_nested = self._as_is_open  # a callback further out
        self._as_unmute()
        self._as_batch.extendleft(reversed(self._as_held))
        self._as_held.clear()
        if self._as_idle and self._as_batch:
            self._as_wake()


def _take_off(loop: Any) -> Any:
    """Take a loop's current task off asyncio's books, and return it."""
    task = asyncio.current_task(loop)
    if task is not None:
        # Before the loops change: Python 3.14 checks that they fit.
        _leave_task(loop, task)
    return task


def _put_back(own: Any, task: Any, running: Any) -> None:
    """Make a task the current one of a loop of its own, whichever is the running one."""
    try:
        _enter_task(own, task)
    except RuntimeError:  # Python 3.14: only of the running loop
        events._set_running_loop(own)
        _enter_task(own, task)
        events._set_running_loop(running)


def _is_same_method(one: Handle, other: Handle) -> bool:
    """Whether two handles stand for the same method of one transport."""
    # A proactor transport reads on before its protocol gets the data of the last read.
    callback = one._callback
    return isinstance(getattr(callback, "__self__", None), asyncio.BaseTransport) and callback == other._callback

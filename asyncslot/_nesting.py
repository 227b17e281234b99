"""Steps within steps, loops within loops: who is the running loop, and which task the current one.

A callback may open a modal dialog: a Qt loop inside our step, in which the host
calls `_as_step()` again. That must work, or every other task would stand still
while the dialog is open:

- the task that is on the stack is taken off asyncio's books for the time being
  (asyncio knows one current task per loop) and put back afterwards;
- a callback that is on the stack is not entered again, nor is its context
  (contextvars forbid it); such handles are *held* until the outer step goes on,
  and the descriptors they stand for are muted.

Neighbours. Our loop is asyncio's running loop only while a step runs, and what
was running before (another plug-in's loop, a Jupyter console) is put back: unless
it was closed meanwhile, or a callback has started another one that is to stay.

Relies on these private parts of asyncio, read in Python 3.7, 3.8, 3.11, 3.12, 3.13:
`tasks._enter_task _leave_task`, `events._get_running_loop _set_running_loop`,
`Handle._context _callback`, `_debug`.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import events
from asyncio.tasks import _enter_task, _leave_task
from typing import Any, Callable, List, Optional, Tuple

from ._base import Handle, LoopBase


class NestingMixin(LoopBase):
    """The part of an event loop that enters and leaves steps, however deep.

    It wants from the class it is mixed into: `_as_without_running(events)` and
    `_as_unmute()`, for descriptors of what is on the stack; `_as_batch`, `_as_rest()`,
    `_as_callback_failed(handle, exc)` and `_as_interrupted(exc)`, as in `_steps`.
    """

    def __init__(self) -> None:
        self._as_handle: Optional[Handle] = None  # the one being run
        self._as_stack: List[Handle] = []  # those that outer steps are running
        self._as_held: List[Handle] = []
        self._as_nested = False  # something is held or muted, or waits for the stack to be empty
        self._as_later: Optional[Callable[[], None]] = None  # what waits for that
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
        task = None
        if loop is not None:
            task = asyncio.current_task(loop)
            if task is not None:
                # Before the loops change: Python 3.14 checks that they fit.
                _leave_task(loop, task)
        hooks = sys.get_asyncgen_hooks()
        handle = self._as_handle
        if handle is not None:
            self._as_stack.append(handle)
            self._as_handle = None
        elif self._debug:
            self._set_coroutine_origin_tracking(True)
        events._set_running_loop(self)
        sys.set_asyncgen_hooks(*self._as_hooks)
        return loop, task, hooks, handle

    def _as_leave(self, outer: Tuple[Any, ...]) -> None:
        """Put back what _as_enter() found."""
        loop, task, hooks, handle = outer
        sys.set_asyncgen_hooks(*hooks)
        if events._get_running_loop() is not self:
            self._as_publish_again()
        if task is not None:
            pass  # its step is on the stack, and asyncio wants the loop to be its until that is over
        elif self._as_newcomer is not None:
            loop, self._as_newcomer = self._as_newcomer, None
        elif loop is None or loop.is_closed():
            loop = self._as_lasting
        events._set_running_loop(loop)
        self._as_handle = handle
        if handle is not None:
            self._as_stack.pop()
        elif self._coroutine_origin_tracking_enabled:
            self._set_coroutine_origin_tracking(False)
        if task is not None:
            _enter_task(loop, task)

    def _as_call_inside(self, fn: Callable[[], Any]) -> Any:
        """Call `fn` as the running loop."""
        outer = self._as_enter()
        try:
            return fn()
        finally:
            self._as_leave(outer)

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

    def _as_hold(self, handle: Handle) -> bool:
        """Set a handle aside if it cannot be entered because an outer step is in it."""
        for running in self._as_stack:
            if running is handle or running._context is handle._context or _is_same_method(running, handle):
                self._as_held.append(handle)
                self._as_nested = True
                return True
        return False

    def _as_when_unwound(self, fn: Callable[[], None]) -> None:
        """Call `fn` when no callback is on the stack any more; now, if none is. One at a time."""
        if self._as_handle is None and not self._as_stack:
            fn()
        else:
            self._as_later = fn
            self._as_nested = True

    def _as_unnest(self) -> None:
        """A callback has ended while something was held or muted: give all of it another chance.

        What is still on the stack of a step further out is held or muted again
        as soon as it turns up.
        """
        self._as_nested = False
        self._as_unmute()
        self._as_batch.extendleft(reversed(self._as_held))
        self._as_held.clear()
        if self._as_idle and self._as_batch:
            self._as_wake()
        if self._as_later is not None:
            if self._as_stack:
                self._as_nested = True
            else:
                later, self._as_later = self._as_later, None
                later()


def _is_same_method(one: Handle, other: Handle) -> bool:
    """Whether two handles stand for the same method of one transport."""
    # A proactor transport reads on before its protocol gets the data of the last read.
    callback = one._callback
    return isinstance(getattr(callback, "__self__", None), asyncio.BaseTransport) and callback == other._callback

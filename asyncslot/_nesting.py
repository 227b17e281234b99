"""Steps within steps, loops within loops: which loop is the running one, and which task the current one.

A callback may open a modal dialog: a Qt loop inside our step, in which the host calls `_as_step()` again.
That must work, or every other task would stand still while the dialog is open:

- asyncio knows one current task per loop. So we take the task that is on the stack off asyncio's books,
  and put it back when the inner step is over;
- a context cannot be entered twice (contextvars). So we do not run a callback again that is on the stack,
  nor anything else in its context. Such handles are *held* until the outer step goes on, and the
  descriptors that they stand for are muted.

The stack. The loop is *entered* for a step, for the first step of a task that is run at once, and for as long
as somebody blocks (`_alone`). When it is *left* again, we put back the state that we found:

    depth       how often the loop is entered; 0: no frame of ours is on the stack
    handle      the callback that the innermost entry is running
    stack       the callbacks that the entries further out are running
    is_open     `handle` has called into Qt; we know because a step, or a caller who blocks, came in between

Work that must not be done under a callback that is on the stack (closing the loop, freezing a task that sits
in a dialog) is put off until depth is 0 again. The entry that is left last does it, because a host that has
quit runs no Qt loop any more.

Owners. Code that Qt calls from inside a callback runs in that callback's context, but may be another plug-in's
slot. `_owners` recognises it by its frames, and looks at them wherever call_soon() takes the slow way, as it
does while `is_open` is True. We notice that a callback has called into Qt only when the first step comes in
there. Callbacks that another plug-in's slot queues before that count as the callback's own.

Neighbours. Our loop is asyncio's running loop only while a step runs. Afterwards we put back the loop that was
running before (another plug-in's loop, a Jupyter console), unless it was closed meanwhile, or a callback has
started another loop that is to stay.
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

    It needs from the class that it is mixed into: `_as_unmute()`, for the descriptors of callbacks
    on the stack; `_as_batch`, `_as_idle`, `_as_alert`, `_as_rest()`, `_as_wake()`,
    `_as_callback_failed(handle, exc)` and `_as_interrupted(exc)`, as in `_steps`.
    """

    def __init__(self) -> None:
        self._as_depth = 0  # how often the loop has been entered and not left
        self._as_has_run = False  # it has been entered at least once
        self._as_handle: Optional[Handle] = None  # the callback that is being run
        self._as_stack: List[Handle] = []  # the callbacks that outer entries are running
        self._as_is_open = False  # the callback that is being run has called into Qt
        self._as_held: List[Handle] = []  # handles that cannot be run before an outer step goes on
        self._as_nested = False  # a handle is held, a descriptor is muted, or a callback is open
        self._as_afters: List[Callable[[], None]] = []  # functions to call when the stack has unwound
        self._as_is_unwinding = False
        self._as_lasting: Any = None  # this loop, if it is the running loop outside of steps, too
        self._as_newcomer: Any = None  # another loop, which a callback has published during the step
        super().__init__()
        self._as_hooks = (self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)

    def _as_enter(self) -> Tuple[Any, ...]:
        """Become asyncio's running loop; return what _as_leave() needs to undo it."""
        # We look the function up in its module, as asyncio does: whoever replaces it there means us, too.
        return self._as_enter_from(events._get_running_loop())

    def _as_enter_from(self, loop: Any) -> Tuple[Any, ...]:
        """Become the running loop in place of `loop`, which is None if there was none."""
        task = own_task = None
        if loop is not None:
            task = _take_off(loop)
        handle = self._as_handle
        if handle is not None:
            if loop is not self:
                # A callback of ours is on the stack, but our loop is not the running one. Another loop runs in the Qt
                # loop that the callback has opened, or has failed to and has unpublished ours (Python 3.13).
                own_task = _take_off(self)
            self._as_stack.append(handle)
            self._as_handle = None
        elif self._debug:
            self._set_coroutine_origin_tracking(True)
        # We copy the hooks into a tuple of our own. The garbage collector does not look into the one that Python
        # returns, and a traceback may keep our frame alive: such a cycle would never be freed.
        hooks = tuple(sys.get_asyncgen_hooks())
        events._set_running_loop(self)
        sys.set_asyncgen_hooks(*self._as_hooks)
        is_open, self._as_is_open = self._as_is_open, False
        self._as_has_run = True
        self._as_depth += 1
        return loop, task, own_task, hooks, handle, is_open

    def _as_leave(self, outer: Tuple[Any, ...]) -> None:
        """Put back the state that _as_enter() found."""
        loop, task, own_task, hooks, handle, is_open = outer
        self._as_depth -= 1
        sys.set_asyncgen_hooks(*hooks)
        if events._get_running_loop() is not self:
            self._as_publish_again()
        if task is not None:
            pass  # asyncio requires the task's own loop to be the running one until its step on the stack is over
        elif self._as_newcomer is not None:
            loop, self._as_newcomer = self._as_newcomer, None
        elif loop is None or loop.is_closed():
            loop = self._as_lasting if handle is None else self
        elif handle is not None and not loop.is_running():
            # Somebody has published another loop while a callback of ours is on the stack. That callback must find
            # our loop when it goes on, so the other one is published later.
            self._as_newcomer, loop = loop, self
        events._set_running_loop(loop)
        self._as_handle = handle
        # The callback has called into Qt if a step came in between, or if the code that ran meanwhile has opened a Qt
        # loop: Qt may have called that code.
        self._as_is_open = handle is not None and (is_open or self._as_is_open)
        if self._as_is_open:
            self._as_nested = self._as_alert = True
        if handle is not None:
            self._as_stack.pop()
        else:
            self._as_alert = True  # a first step run at once may have cleared it, as a step was promised
            if self._coroutine_origin_tracking_enabled:
                self._set_coroutine_origin_tracking(False)
        if task is not None:
            _enter_task(loop, task)
        if own_task is not None:
            _put_back(self, own_task, loop)

    def _as_call_inside(self, handle: Handle, fn: Callable[[], Any]) -> Any:
        """Call `fn` with ours as the running loop; on the stack `handle` stands for the call."""
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
        """Become the running loop again, after a callback that has published another loop, or none.

        Another one: the callback has started a plug-in whose loop stays published (qasync). We publish that loop
        again when the step is over. None: the callback has run a loop that failed because ours is running, and
        that unpublished ours on its way out (Python 3.13); or it has unloaded a plug-in such as above.
        """
        loop = events._get_running_loop()
        if loop is not None:
            self._as_newcomer = loop
        events._set_running_loop(self)

    def _as_run_now(self, handle: Handle) -> None:
        """Run a task's first step at once, inside the caller's own callback or slot. Never raises."""
        outer = self._as_enter_from(events._get_running_loop())
        self._as_handle = handle
        try:
            handle._context.run(handle._callback)
        except (SystemExit, KeyboardInterrupt) as exc:
            self._as_interrupted(exc)
        except BaseException as exc:
            self._as_callback_failed(handle, exc)
        finally:
            del handle  # see the end of _as_drain()
            self._as_leave(outer)
        if self._as_nested:
            self._as_unnest()
            self._as_rest()
        if self._as_afters:
            self._as_unwind()

    def _as_hold(self, handle: Handle) -> bool:
        """Set a handle aside if an outer step is inside its callback or its context; return whether it was."""
        for running in self._as_stack:
            if running is handle or running._context is handle._context or _is_same_method(running, handle):
                self._as_held.append(handle)
                self._as_nested = True
                return True
        return False

    def _as_when_unwound(self, fn: Callable[[], None]) -> None:
        """Call `fn` when the loop has been left as often as it was entered; at once if that is so now."""
        self._as_afters.append(fn)
        self._as_unwind()

    def _as_unwind(self) -> None:
        """If the stack has unwound, call the functions that waited for that, in their order. Never raises."""
        if self._as_is_unwinding:
            # A function that we are calling has run the loop. The end of one plug-in must not take place inside that
            # of another one, and use up its time.
            return
        self._as_is_unwinding = True
        try:
            while self._as_afters and not self._as_depth:
                try:
                    # In an empty context: the work is the loop's, and not of the callback that was on the stack.
                    Context().run(self._as_afters.pop(0))
                except BaseException as exc:
                    self._as_interrupted(exc)
        finally:
            self._as_is_unwinding = False

    def _as_on_stack(self) -> List[Handle]:
        """Return the callbacks that are being run, the outermost first."""
        if not self._as_depth:
            return []
        return [handle for handle in (*self._as_stack, self._as_handle) if handle is not None]

    def _as_unnest(self) -> None:
        """Queue all held handles, and report all muted descriptors again, after a callback has ended.

        Those that an outer step is still inside are held or muted again as soon as they turn up.
        """
        self._as_nested = self._as_is_open  # of a callback further out
        self._as_unmute()
        self._as_batch.extendleft(reversed(self._as_held))
        self._as_held.clear()
        if self._as_idle and self._as_batch:
            self._as_wake()


def _take_off(loop: Any) -> Any:
    """Take a loop's current task off asyncio's books, and return it."""
    task = asyncio.current_task(loop)
    if task is not None:
        # We do this while `loop` is still the running one: Python 3.14 checks that task and loop fit.
        _leave_task(loop, task)
    return task


def _put_back(own: Any, task: Any, running: Any) -> None:
    """Make `task` the current task of its loop `own` again, whichever loop is the running one."""
    try:
        _enter_task(own, task)
    except RuntimeError:  # Python 3.14 allows it for the running loop only
        events._set_running_loop(own)
        _enter_task(own, task)
        events._set_running_loop(running)


def _is_same_method(one: Handle, other: Handle) -> bool:
    """Whether two handles stand for the same method of one transport."""
    # A proactor transport starts the next read before its protocol gets the data of the last one. So the callback of
    # the next read is another handle, and can be due while that of the last one sits in a dialog.
    callback = one._callback
    return isinstance(getattr(callback, "__self__", None), asyncio.BaseTransport) and callback == other._callback

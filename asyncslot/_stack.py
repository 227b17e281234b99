"""Steps within steps, loops within loops: which loop is the running one, and which task the current one.

A callback may open a modal dialog: a Qt loop inside our step, in which the host calls `_as_step()` again.
That must work, or every other task would stand still while the dialog is open:

- asyncio knows one current task per loop. So we take the task that is on the stack off asyncio's books,
  and put it back when the inner step is over;
- a context cannot be entered twice (contextvars). So we do not run a callback again that is on the stack,
  nor anything else in its context. Such handles are *held* until the outer step goes on, and the
  descriptors that they stand for are muted.

The loop is *entered* for a step, for the first step of a task that is run at once, and for as long as somebody
blocks (`_alone`). When it is *left* again, we put back the state that we found.

Work that must not be done under a callback that is on the stack (closing the loop, freezing a task that sits
in a dialog) is put off until the loop has been left as often as it was entered. The entry that is left last
does it, because a host that has quit runs no Qt loop any more.

Owners. Code that Qt calls from inside a callback runs in that callback's context, but may be another plug-in's
slot. `_owners` recognises it by its frames, and looks at them wherever call_soon() takes the slow way, as it
does while `is_open` is True. We notice that a callback has called into Qt only when the first step comes in
there. Callbacks that another plug-in's slot queues before that count as the callback's own.

Neighbours. Our loop is asyncio's running loop only while a step runs. Afterwards we put back the loop that was
running before (another plug-in's loop, a Jupyter console), unless it was closed meanwhile, or a callback has
started another loop that is to stay.

Other threads. From Python 3.14 on call_soon_threadsafe() returns a handle of a class of its own. cancel() and
cancelled() of that, called in another thread, wait while the callback is being run. So a thread that has
cancelled a callback knows that it does not run any more. asyncio's own handle holds a lock while it runs, and
has a _run() of its own for that; the loop would have to look at the class of each handle. Ours costs the loop
nothing, because the loop publishes here anyway which callbacks it is running. Only the order matters:

    the loop        publishes the callback, and then reads whether it is cancelled
    another thread  marks it as cancelled, and then reads which callbacks are being run

So at least one of the two sees what the other has done.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from asyncio import events
from asyncio.tasks import _enter_task, _leave_task
from contextvars import Context
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Tuple

from ._asyncio import Handle

# Seconds from one check whether a callback is over to the next. Only other threads wait here, and seldom.
_LOOK_AGAIN = 0.001


class Stack:
    """The entries of one loop that are on the stack of its thread, and what waits until they are left.

    Args:
        loop: whose stack it is. Besides asyncio's own attributes we use of it:
            _as_alert                   we set it where call_soon() has to do more than queue
            _as_interrupted(exc)        is told of what a function raises that has waited for the stack to unwind

    Attributes:
        depth: how often the loop is entered; 0: no frame of ours is on the stack.
        has_run: it has been entered at least once.
        handle: the callback that the innermost entry is running; None: none.
        outer: the callbacks that the entries further out are running.
        is_open: `handle` has called into Qt; we know because a step, or a caller who blocks, came in between.
        held: handles that cannot be run before an outer step goes on.
        is_nested: a handle is held, a descriptor is muted, or a callback is open.
        afters: functions to call when the stack has unwound.
        published_loop: the loop itself, if it is the running loop outside of steps, too; else None.
    """

    __slots__ = (
        *("depth", "has_run", "handle", "outer", "is_open", "held", "is_nested", "afters", "published_loop"),
        *("_loop", "_hooks", "_is_unwinding", "_foreign_loop"),
    )

    def __init__(self, loop: Any) -> None:
        self.depth = 0
        self.has_run = False
        self.handle: Optional[Handle] = None
        self.outer: List[Handle] = []
        self.is_open = False
        self.held: List[Handle] = []
        self.is_nested = False
        self.afters: List[Callable[[], None]] = []
        self.published_loop: Any = None
        self._loop = loop
        self._hooks = (loop._asyncgen_firstiter_hook, loop._asyncgen_finalizer_hook)
        self._is_unwinding = False
        self._foreign_loop: Any = None  # another loop, which a callback has published during the step

    def handles(self) -> List[Handle]:
        """Return the callbacks that are being run, the outermost first."""
        if not self.depth:
            return []
        return [handle for handle in (*self.outer, self.handle) if handle is not None]

    # -- Entering and leaving ----------------------------------------------------

    def enter(self) -> Tuple[Any, ...]:
        """Become asyncio's running loop; return what leave() needs to undo it."""
        # We look the function up in its module, as asyncio does: whoever replaces it there means us, too.
        return self.enter_from(events._get_running_loop())

    def enter_from(self, running: Any) -> Tuple[Any, ...]:
        """Become the running loop in place of `running`, which is None if there was none."""
        loop = self._loop
        task = own_task = None
        if running is not None:
            task = _take_off(running)
        handle = self.handle
        if handle is not None:
            if running is not loop:
                # A callback of ours is on the stack, but our loop is not the running one. Another loop runs in the Qt
                # loop that the callback has opened, or has failed to and has unpublished ours (Python 3.13).
                own_task = _take_off(loop)
            self.outer.append(handle)
            self.handle = None
        elif loop._debug:
            loop._set_coroutine_origin_tracking(True)
        # We copy the hooks into a tuple of our own. The garbage collector does not look into the one that Python
        # returns, and a traceback may keep our frame alive: such a cycle would never be freed.
        hooks = tuple(sys.get_asyncgen_hooks())
        events._set_running_loop(loop)
        sys.set_asyncgen_hooks(*self._hooks)
        is_open, self.is_open = self.is_open, False
        self.has_run = True
        self.depth += 1
        return running, task, own_task, hooks, handle, is_open

    def leave(self, found: Tuple[Any, ...]) -> None:
        """Put back the state that enter() found."""
        running, task, own_task, hooks, handle, is_open = found
        loop = self._loop
        self.depth -= 1
        sys.set_asyncgen_hooks(*hooks)
        if events._get_running_loop() is not loop:
            self.publish_again()
        if task is not None:
            pass  # asyncio requires the task's own loop to be the running one until its step on the stack is over
        elif self._foreign_loop is not None:
            running, self._foreign_loop = self._foreign_loop, None
        elif running is None or running.is_closed():
            running = self.published_loop if handle is None else loop
        elif handle is not None and not running.is_running():
            # Somebody has published another loop while a callback of ours is on the stack. That callback must find
            # our loop when it goes on, so the other one is published later.
            self._foreign_loop, running = running, loop
        events._set_running_loop(running)
        self.handle = handle
        # The callback has called into Qt if a step came in between, or if the code that ran meanwhile has opened a Qt
        # loop: Qt may have called that code.
        self.is_open = handle is not None and (is_open or self.is_open)
        if self.is_open:
            self.is_nested = loop._as_alert = True
        if handle is not None:
            self.outer.pop()
        else:
            loop._as_alert = True  # a first step run at once may have cleared it, as a step was promised
            if loop._coroutine_origin_tracking_enabled:
                loop._set_coroutine_origin_tracking(False)
        if task is not None:
            _enter_task(running, task)
        if own_task is not None:
            _put_back(loop, own_task, running)

    def note_qt(self) -> None:
        """Note that the callback which is being run has called into Qt, where Qt may call code of any plug-in."""
        self.is_open = self.is_nested = True

    def publish_again(self) -> None:
        """Become the running loop again, after a callback that has published another loop, or none.

        Another one: the callback has started a plug-in whose loop stays published (qasync). We publish that loop
        again when the step is over. None: the callback has run a loop that failed because ours is running, and
        that unpublished ours on its way out (Python 3.13); or it has unloaded a plug-in such as above.
        """
        running = events._get_running_loop()
        if running is not None:
            self._foreign_loop = running
        events._set_running_loop(self._loop)

    # -- What has to wait --------------------------------------------------------

    def hold(self, handle: Handle) -> bool:
        """Set a handle aside if an outer step is inside its callback or its context; return whether it was."""
        for running in self.outer:
            if running is handle or running._context is handle._context or _is_same_method(running, handle):
                self.held.append(handle)
                self.is_nested = True
                return True
        return False

    def when_unwound(self, fn: Callable[[], None]) -> None:
        """Call `fn` when the loop has been left as often as it was entered; at once if that is so now."""
        self.afters.append(fn)
        self.unwind()

    def unwind(self) -> None:
        """If the stack has unwound, call the functions that waited for that, in their order. Never raises."""
        if self._is_unwinding:
            # A function that we are calling has run the loop. The end of one plug-in must not take place inside that
            # of another one, and use up its time.
            return
        self._is_unwinding = True
        try:
            while self.afters and not self.depth:
                try:
                    # In an empty context: the work is the loop's, and not of the callback that was on the stack.
                    Context().run(self.afters.pop(0))
                except BaseException as exc:
                    self._loop._as_interrupted(exc)
        finally:
            self._is_unwinding = False


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


if TYPE_CHECKING or not hasattr(events, "_ThreadSafeHandle"):
    ThreadSafeHandle = Handle
else:

    class ThreadSafeHandle(events._ThreadSafeHandle):
        """A handle that any thread may cancel."""

        __slots__ = ()

        # Those of the base class are for its lock.
        __init__ = Handle.__init__
        _run = Handle._run

        def cancel(self) -> None:
            """Cancel the callback. In another thread than the loop's, wait until it is over if it has begun."""
            is_news, self._cancelled = not self._cancelled, True
            _wait_for(self, self._loop)
            if is_news:
                if self._loop.get_debug():
                    self._repr = repr(self)
                self._callback = self._args = None

        def cancelled(self) -> bool:
            """Return whether it was cancelled. In another thread than the loop's, wait as cancel() does."""
            _wait_for(self, self._loop)
            return self._cancelled


def _wait_for(handle: Any, loop: Any) -> None:
    stack = loop._as_stack
    while loop._thread_id not in (None, threading.get_ident()):
        # We read both in one expression without a call, so that Python lets no other thread run in between. When a
        # callback runs a nested Qt loop, its handle moves to `outer` and back, and we could miss it.
        running = (*stack.outer, stack.handle)
        if not any(each is handle for each in running):
            break
        time.sleep(_LOOK_AGAIN)

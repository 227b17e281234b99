"""How the work of one owner is ended, in bounded time and whatever its code does.

We take these steps in this order, each of them whatever became of the one before:

    1. cancel the tasks that the plug-in made itself, stop its servers listening, and run asyncio
       alone until those tasks have ended
    2. cancel the other tasks, which libraries made for it, and wait for these
    3. close its async generators
    4. close what is left open, and give the protocols time to hear of it
    5. end the tasks and connections that were begun meanwhile, and drop the executor's jobs
    6. drop what is still scheduled or registered, and freeze the tasks that will not end

While a callback of the owner is on the stack, not everything can end. Its task may call detach(),
quit the application, or sit in a dialog; neither that task can end then, nor a task that waits for
it. So we cancel all tasks and give a moment to those that can end at once. We do the rest when the
stack has unwound.

This module does not know leases, only owners.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Callable, Dict, Iterable, List

from ._asyncio import Handle, monotonic
from ._loop import AsyncSlotEventLoop
from ._owners import Owner
from ._report import AbandonedTask, DetachReport, describe
from ._tasks import awaited_by, coro_of, freeze, in_order, is_alive, safe_repr, those_that_wait_for

# Phase deadlines, as fractions of `timeout` from the start. When one has passed we go on to the next phase, whether
# the last has succeeded or not. The time after the last one is for killing and reaping, which takes milliseconds.
_FOR_OWN_TASKS = 0.5
_FOR_CLOSING = 0.7
_FOR_TASKS = 0.8
_FOR_ASYNC_GENERATORS = 0.9

# Seconds that tasks which are made while others clean up may go on before they are cancelled, too. No longer, as a
# protocol that has lost its connection may have made a task that connects again for ever.
_FOR_NEWCOMERS = 0.1

# Seconds that connections have to hear of their end, and children to die, if the time was over before.
_FOR_TURNS = 0.05

# The same for tasks, as a fraction of `timeout`; _FOR_TURNS at most.
_MOMENT = 0.1

# Turns of the loop in which tasks that were cancelled can end: one to hear of it, and one for each task or group of
# tasks that has to end before. A task that has not had these is not unwilling, however late it is.
_TURNS_TO_END = 4

# Seconds that the turn of a task takes on a machine that is busy with other things.
_FOR_A_TURN = 0.0001

# Seconds that we wait under a callback of the owner's own: a task that takes longer may wait for that very callback.
_FOR_WHAT_CAN_END = 0.1


class Ending:
    """The end of one owner's work: begun while the caller waits, and over then, or when the stack has unwound.

    Args:
        own_tasks: the tasks that the plug-in made through its lease, without those that
            libraries made on its behalf; in the order in which they were made.
        timeout: seconds in all for which a caller may be blocked.
        process_events: let Qt's events through while begin() waits, user input excluded.
        then: called when all is over.
    """

    def __init__(
        self,
        loop: AsyncSlotEventLoop,
        owner: Owner,
        report: DetachReport,
        own_tasks: Iterable[asyncio.Task[Any]],
        timeout: float,
        process_events: bool,
        then: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._report = report
        self._own_tasks = list(own_tasks)
        self._timeout = timeout
        self._spent = 0.0  # seconds of `timeout` that are used up
        self._then = then
        self._run_alone = functools.partial(loop._as_run_alone, owner=owner, waits_for=self._waits_for)
        # Without the host's Qt loop unless that is asked for: the caller may be in the middle of tearing Qt down.
        self._run: Callable[[Callable[[], bool], float], bool] = (
            loop._as_run_with_events if process_events else self._run_alone
        )
        self._start = self._end = 0.0
        self._tasks: List[asyncio.Task[Any]] = []  # those of the owner at the beginning
        # By id(): a plug-in's own class of tasks may compare as it likes.
        self._cancelled: Dict[int, asyncio.Task[Any]] = {}
        self._abandoned: Dict[int, asyncio.Task[Any]] = {}
        self._stacks: Dict[Any, str] = {}  # a cache: of many abandoned tasks, most stand at the same few lines
        self._is_put_off = self._is_under_way = False
        self._is_settled = False  # there were no latecomers, so nothing has run since we looked for tasks

    def begin(self) -> None:
        """Do all that can be done now, and the rest when the stack has unwound. Never raises."""
        self._start = monotonic()
        self._end = self._start + self._timeout
        try:
            self._loop._as_notice_end_of_qt()
        except BaseException as exc:
            self._owner.report(f"{self._owner.name}: looking whether Qt has gone failed while it was detached", exc)
        self._tasks = self._try("looking for its tasks", self._pending) or []
        if not self._is_on_stack():
            self._finish()
            return
        self._is_put_off = True
        self._end = min(self._end, self._start + _FOR_WHAT_CAN_END)
        self._try("cancelling its tasks", self._end_what_can_end)
        self._note_time_spent()
        self._loop._as_stack.when_unwound(self.finish)

    def finish(self) -> None:
        """Do what begin() has put off, unless it is done or under way, or the owner's code is still on the stack."""
        if self._is_put_off and not self._is_under_way and not self._is_on_stack():
            self._run = self._run_alone  # the host may have quit meanwhile, and run no Qt loop any more
            self._start = monotonic()
            self._end = self._start + max(self._timeout - self._spent, _FOR_TURNS)
            self._finish()

    def _finish(self) -> None:
        self._is_under_way = True  # and stays so when all is over
        try:
            # Fast path: a plug-in that was only loaded and unloaded need not wait for turns in which nothing happens.
            if self._is_anything_left():
                self._end_work()
            try:
                self._report.closed += self._loop._as_forget(self._owner, self._report.kept)
            except BaseException as exc:
                self._owner.report(f"{self._owner.name}: dropping what it has scheduled failed", exc)
            self._note_time_spent()
            if self._abandoned:
                self._owner.report(str(self._report), None)
                self._try("freezing what would not end", self._freeze)
        finally:
            # We let go of the tasks, for we may live on: the lease keeps us, slots keep the lease, and Qt keeps slots,
            # which the garbage collector does not see.
            self._tasks = self._own_tasks = []
            self._cancelled.clear()
            self._abandoned.clear()
            self._stacks.clear()
            self._then()

    # -- time ------------------------------------------------------------------

    def _note_time_spent(self) -> None:
        self._spent += monotonic() - self._start
        self._report.seconds = self._spent

    def _run_until(self, is_done: Callable[[], bool], part: float = 1.0) -> None:
        """Run asyncio until `is_done()`, or until a part of the time is over.

        If somebody else's callback has taken all of the time, a task that we have just cancelled has a moment to end.
        """
        moment = monotonic() + min(_FOR_TURNS, self._timeout * _MOMENT)
        self._run(is_done, max(self._start + (self._end - self._start) * part, moment))

    def _wait_for(self, tasks: Iterable[asyncio.Task[Any]], part: float = 1.0) -> None:
        """Run asyncio until tasks have ended, or until a part of the time is over and all have had their turns.

        So many tasks may have been cancelled that the time is over before each has had a turn to end. We give them as
        much time again, and more if they are very many: to freeze a task runs its clean-up as well, and takes longer
        than its turn.
        """
        tasks = list(tasks)
        have_ended = _AllEnded(tasks)
        if not have_ended():
            turns = _Turns(self._loop, self._owner, _TURNS_TO_END)
            self._run_until(have_ended, part)
            more_time = max(self._end - self._start, len(tasks) * _FOR_A_TURN)
            self._run(lambda: have_ended() or turns.are_over, self._end + more_time)

    def _wait_for_newcomers(self, pending: List[asyncio.Task[Any]], part: float) -> List[asyncio.Task[Any]]:
        """Run asyncio for a while if there are tasks that were made since the beginning; return what is pending then.

        A library may clean up in a task of its own: serial_asyncio_fast (0.16) has one that flushes and closes the
        port, in a thread. Cancelled at once, such a task would leave open what it was made to close.
        """
        known = set(map(id, self._tasks))
        newcomers = [task for task in pending if id(task) not in known and id(task) not in self._cancelled]
        if not newcomers:
            return pending
        end = self._start + (self._end - self._start) * part
        self._run(_AllEnded(newcomers), min(end, monotonic() + _FOR_NEWCOMERS))
        return self._pending()

    def _is_time_over(self, part: float) -> bool:
        return monotonic() >= self._start + (self._end - self._start) * part

    def _take_turns(self, count: int) -> None:
        turns = _Turns(self._loop, self._owner, count)
        self._run(lambda: turns.are_over, monotonic() + _FOR_TURNS)

    # -- the steps -------------------------------------------------------------

    def _is_on_stack(self) -> bool:
        """Whether code of the owner is further out on the stack, called by our loop."""
        on_stack = self._loop._as_stack.handles()
        return bool(on_stack) and any(self._loop._as_owner_of_handle(handle) is self._owner for handle in on_stack)

    def _is_anything_left(self) -> bool:
        """Whether the owner has something that must end, or may have a callback that runs in the next turn."""
        owner = self._owner
        return bool(
            self._tasks
            or self._is_put_off
            or owner.executor
            or owner.resources
            or owner.async_generators
            or self._loop._as_has_ready()
        )

    def _end_what_can_end(self) -> None:
        """Cancel all tasks, and wait a moment for those that are not on the stack."""
        on_stack = tasks_on_stack(self._loop)
        for task in on_stack:
            self._try("watching a task", task.add_done_callback, _forget_cancellation)
        ids = set(map(id, on_stack))
        self._cancel(self._own_tasks)
        self._stop_accepting()
        self._run_until(_AllEnded(task for task in self._own_tasks if id(task) not in ids), _FOR_OWN_TASKS)
        self._cancel_others(in_order(self._tasks))
        self._run_until(_AllEnded(task for task in self._tasks if id(task) not in ids))
        # The owner's own callbacks are dropped, and not waited for. Those that asyncio or a library calls stay: the
        # tasks need them to clean up.
        self._report.closed += self._loop._as_forget(self._owner, None)
        if self._owner.executor is not None:
            self._report.jobs = self._owner.executor.running()
        self._count()

    def _end_work(self) -> None:
        # Tasks first and connections second, so that a task's clean-up can still say goodbye over its connection.
        for what, act in (
            ("cancelling its tasks", self._end_tasks),
            ("closing its async generators", self._close_async_generators),
            ("closing what it has left open", self._close_resources),
            ("ending what was begun meanwhile", self._end_latecomers),
            ("looking for what has not ended", self._note_what_has_not_ended),
            ("ending its executor's jobs", self._abandon_jobs),
            ("counting what has ended", self._count),
        ):
            self._try(what, act)

    def _end_tasks(self) -> None:
        # The plug-in's own tasks go first, as asyncio.run() ends its main task first. A library then ends its tasks
        # itself, in its own order. Cancelled under its feet, they leave things behind (grpc.aio 1.85 two epoll
        # descriptors, 2026-11).
        has_run = self._is_put_off or bool(self._own_tasks)
        self._cancel(self._own_tasks)
        has_run |= self._stop_accepting()
        self._wait_for(self._own_tasks, _FOR_OWN_TASKS)
        # Generators come next, for the tasks that their closing waits for must not be cancelled either.
        closing = self._closing() if has_run else [task for task in self._tasks if _closes_generator(task)]
        if closing:
            self._run_until(_AllEnded(closing, self._closing), _FOR_CLOSING)
        # Only the tasks that were there at the beginning: the closing of a generator may wait for those made meanwhile.
        waited_for = in_order(task for task in self._tasks if is_alive(task))
        self._cancel_others(waited_for)
        while True:
            self._wait_for(waited_for, _FOR_CLOSING)
            self._take_turns(2)  # asyncio makes the task that closes a generator one turn after it was dropped
            others = self._pending()
            waited_for = [task for task in others if _closes_generator(task)]
            if not waited_for or self._is_time_over(_FOR_CLOSING):
                break
        others = self._wait_for_newcomers(others, _FOR_TASKS)
        # Tasks may start others while they clean up, so we look again each time. We do so only when they have ended,
        # for they may wait for the tasks that they have started.
        while others and not self._is_time_over(_FOR_TASKS):
            self._cancel(others)
            self._wait_for(others, _FOR_TASKS)
            others = self._pending()
        # Some of these may still end when we close what they wait for. We count them as abandoned, for that is not in
        # time and not as they wanted. A task that closes a generator was not cancelled, and may still end well. One
        # that came too late to be cancelled here has its turn with the latecomers.
        self._note_abandoned(task for task in others if id(task) in self._cancelled)

    def _cancel_others(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel tasks in their order, but for those that clean up already.

        Those are tasks for which one of the plug-in's own, which was cancelled, still waits.
        """
        own = [task for task in self._own_tasks if is_alive(task)]
        clean_up = set(map(id, awaited_by(own, tasks))) if own else ()
        self._cancel(task for task in tasks if id(task) not in clean_up)

    def _waits_for(self, task: Any, _: Any) -> bool:
        """Whether we wait for a task that clean-up waits for, or that cleans up itself.

        Others we shall cancel. If such a task has just come to a dialog, it may wait there until then, and need not
        fail.
        """
        return any(id(each) in self._cancelled or _closes_generator(each) for each in those_that_wait_for(task))

    def _cancel(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel tasks, each once: a second time would interrupt the clean-up that the first has begun."""
        for task in tasks:
            if id(task) in self._cancelled or _closes_generator(task):
                continue  # to close an async generator is clean-up itself
            if self._try("cancelling a task", task.cancel) is not None:
                self._cancelled[id(task)] = task

    def _stop_accepting(self) -> bool:
        """Stop listening, then close the servers: a connection just accepted needs its server for two turns more.

        Returns:
            Whether there was a server, and so turns were taken.
        """
        servers = [resource for resource in self._owner.resources if isinstance(resource, asyncio.AbstractServer)]
        is_any_serving = any(self._try("asking a server", server.is_serving) for server in servers)
        if is_any_serving:
            # The clean-up of a generator may just be talking to one of the servers.
            self._run_until(_AllEnded(self._closing()), _FOR_OWN_TASKS)
            for server in servers:
                self._try("closing a server", self._loop._as_stop_accepting, server)
            self._take_turns(2)
            for server in servers:
                self._close(server)
            # The proactor's accept must have begun as well, or it cannot close its socket when it is cancelled.
            self._take_turns(2)
        return is_any_serving

    def _close_async_generators(self) -> None:
        """Have the owner's async generators run their `finally`, in the owner's name."""
        # Not those that are running: a task that has not ended in time stands in them.
        generators = list(self._owner.async_generators)
        generators = [agen for agen in generators if agen.ag_frame is not None and not agen.ag_running]
        if not generators:
            return
        task = self._loop._as_call_for(self._owner, self._loop.create_task, _close_all(self._loop, generators))
        # Generators that need not wait for anything get their turn, however little time there is.
        part = _FOR_ASYNC_GENERATORS
        self._run(task.done, max(self._start + (self._end - self._start) * part, monotonic() + _FOR_TURNS))
        cut_off = [agen for agen in generators if agen.ag_frame is not None]
        task.cancel()
        self._run(task.done, monotonic() + _FOR_TURNS)
        for agen in generators:
            end = ", whose clean-up did not end in time" if agen in cut_off else ""
            self._report.closed.append(describe(agen) + end)

    def _close_resources(self) -> None:
        self._close_what_is_open()
        turns = _Turns(self._loop, self._owner, 5)
        # Connections and children have a moment, however little time there was. Without it connections would stay
        # open, and children would be zombies.
        end = max(self._end, monotonic() + _FOR_TURNS)
        self._run(lambda: turns.are_over and _is_reaped(self._owner), end)
        self._take_turns(2)  # a protocol hears of its child's end after the transport knows of it
        for resource in list(self._owner.resources):
            if isinstance(resource, asyncio.SubprocessTransport) and resource.get_returncode() is None:
                # The child takes longer to die. The plug-in's protocol will not hear of that.
                self._try("forgetting a child", _silence, resource)

    def _close_what_is_open(self, is_told: bool = True) -> bool:
        """Close all servers and transports; return whether that has added any to the report.

        Args:
            is_told: False: protocols do not hear that their connection is lost.
        """
        count = len(self._report.closed)
        # Inside the loop, for a library's transport may make a task when it is closed (serial_asyncio_fast 0.16).
        close = functools.partial(self._close_each, is_told)
        self._loop._as_run_now(Handle(close, (), self._loop, self._owner.context()))
        return len(self._report.closed) > count

    def _close_each(self, is_told: bool) -> None:
        transports = self._try("looking for its transports", self._loop._as_transports_of, self._owner) or ()
        for resource in (*self._owner.resources, *transports):
            if not is_told and isinstance(resource, asyncio.BaseTransport) and not resource.is_closing():
                self._try("forgetting a connection", _silence, resource)
            self._close(resource)

    def _end_latecomers(self) -> None:
        """End what was begun meanwhile, by callbacks scheduled before and by protocols that heard of their end."""
        pending = self._wait_for_newcomers(self._pending(), 1.0)
        late = [task for task in pending if id(task) not in self._abandoned]
        self._cancel(late)
        self._wait_for(late)
        # Untold: a protocol that connects again whenever it has lost its connection would do so for ever.
        has_closed = self._close_what_is_open(is_told=False)
        if has_closed:
            self._take_turns(3)  # one of them is for TLS
        self._is_settled = not late and not has_closed

    def _note_what_has_not_ended(self) -> None:
        if not self._is_settled:
            self._note_abandoned(self._pending())

    def _abandon_jobs(self) -> None:
        if self._owner.executor is not None:
            self._report.jobs = self._owner.executor.abandon()

    def _freeze(self) -> None:
        for task in self._pending():
            error = self._try("freezing a task", freeze, task)
            if error is not None:
                what = f"closing the coroutine of {safe_repr(task)}, which would not end, failed"
                self._owner.report(f"{self._owner.name}: {what}", error)
        self._loop._as_forget(self._owner, [])  # callbacks that the tasks have scheduled while they were closed

    def _count(self) -> None:
        report = self._report
        ended = [task for task in self._tasks if task.done() and id(task) not in self._abandoned]
        report.ended = len(ended)
        report.cancelled = sum(task.cancelled() for task in ended)

    # -- helpers ---------------------------------------------------------------

    def _pending(self) -> List[asyncio.Task[Any]]:
        """Return the tasks of the owner that are alive: those of asyncio's registry, and those that the lease holds."""
        pending = self._loop._as_tasks_of(self._owner)
        if not self._own_tasks:
            return pending
        known = set(map(id, pending))
        # We let go of those that have ended, or each look at many tasks would ask all of them again.
        self._own_tasks = [task for task in self._own_tasks if id(task) in known or is_alive(task)]
        return pending + [task for task in self._own_tasks if id(task) not in known]

    def _closing(self) -> List[asyncio.Task[Any]]:
        """Return the tasks that close async generators which were dropped."""
        return [task for task in self._pending() if _closes_generator(task)]

    def _note_abandoned(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        for task in tasks:
            if id(task) not in self._abandoned:
                self._abandoned[id(task)] = task
                self._report.abandoned.append(AbandonedTask(task, self._owner.name, self._stacks))

    def _close(self, resource: Any) -> None:
        """Close one server or transport, if it is open, and note that in the report."""
        try:
            what = _close(resource)
        except BaseException as exc:  # a library's class may raise anything; the others must be closed all the same
            self._owner.report(f"{self._owner.name}: closing {safe_repr(resource)} failed", exc)
        else:
            if what:
                self._report.closed.append(what)

    def _try(self, what: str, act: Callable[..., Any], *args: Any) -> Any:
        """Call `act`, and report what it raises; nothing keeps us from the next step.

        All that we call is code of the plug-in, of a library or of an adapter, a `repr` included, and may raise.
        """
        try:
            return act(*args)
        except BaseException as exc:
            self._owner.report(f"{self._owner.name}: {what} failed while it was detached", exc)
            return None


class _AllEnded:
    """A condition: tasks have ended. It is asked in each turn, so it never looks again at a task that has ended.

    Args:
        tasks: the tasks to wait for.
        look_again: returns the tasks to wait for when these have ended. It looks at all tasks of the loop, so it is
            not called again once there are none to wait for.
    """

    def __init__(
        self,
        tasks: Iterable[asyncio.Task[Any]],
        look_again: Callable[[], List[asyncio.Task[Any]]] = list,
    ) -> None:
        self._tasks = list(tasks)
        self._look_again = look_again
        self._is_true = False

    def __call__(self) -> bool:
        while not self._is_true:
            while self._tasks and not is_alive(self._tasks[-1]):
                self._tasks.pop()
            if self._tasks:
                return False
            self._tasks = list(self._look_again())
            self._is_true = not self._tasks
        return True


def tasks_on_stack(loop: AsyncSlotEventLoop) -> List[asyncio.Task[Any]]:
    """Return the tasks that are being stepped right now, further out on the calling thread's stack."""
    stepped = (getattr(handle._callback, "__self__", None) for handle in loop._as_stack.handles())
    return [task for task in stepped if isinstance(task, asyncio.Task)]


def _closes_generator(task: Any) -> bool:
    """Whether a task does nothing but close an async generator: asyncio makes one for each that is dropped."""
    return type(coro_of(task)).__name__ == "async_generator_athrow"


def _forget_cancellation(task: Any) -> None:
    """Keep Python 3.7 quiet: a task that returns in the step in which it was cancelled counts as failed there."""
    if not task.cancelled() and isinstance(task._exception, asyncio.CancelledError):
        task._log_traceback = False


def _close(resource: Any) -> str:
    """Close one server or transport, and describe it; return nothing if it was closed already."""
    if isinstance(resource, asyncio.AbstractServer):
        if not resource.is_serving():
            return ""
        what = describe(resource)
        resource.close()
        return what
    if resource.is_closing():
        return ""
    what = "" if getattr(resource, "is_quiet", False) else describe(resource)
    try:
        # Not close(): it would wait for its buffer to drain, which may be never.
        getattr(resource, "abort", resource.close)()
    except NotImplementedError:  # the proactor's reading end of a pipe inherits abort(), and has no buffer
        resource.close()
    return what


def _silence(transport: asyncio.BaseTransport) -> None:
    """Have a transport tell a protocol that does nothing, and no longer the plug-in's."""
    is_child = isinstance(transport, asyncio.SubprocessTransport)
    try:
        transport.set_protocol(asyncio.SubprocessProtocol() if is_child else asyncio.Protocol())
    except NotImplementedError:
        pass  # a library's transport


async def _close_all(loop: Any, generators: List[Any]) -> None:
    """Close async generators side by side, and report what goes wrong."""
    outcomes = await asyncio.gather(*(agen.aclose() for agen in generators), return_exceptions=True)
    for agen, outcome in zip(generators, outcomes):
        if isinstance(outcome, Exception):
            message = f"An error occurred while the async generator {agen!r} was closed"
            loop.call_exception_handler({"message": message, "exception": outcome, "asyncgen": agen})


class _Turns:
    """A number of turns of the loop, in which protocols hear of their lost connections.

    asyncio tells a protocol in the next turn, and takes one turn for each layer (TLS). We count turns, for "until
    nothing is ready" may never come: the loop is shared, and others are at work. We count by callbacks and not in a
    task, for asyncio would report that a task was destroyed if its time did not suffice.
    """

    def __init__(self, loop: Any, owner: Owner, count: int) -> None:
        self._loop = loop
        self._left = count
        loop._as_call_for(owner, loop.call_soon, self._turn)

    @property
    def are_over(self) -> bool:
        return not self._left

    def _turn(self) -> None:
        self._left -= 1
        if self._left:
            self._loop.call_soon(self._turn)


def _is_reaped(owner: Owner) -> bool:
    """Whether the owner's children, which were killed, have ended."""
    return all(
        resource.get_returncode() is not None
        for resource in owner.resources
        if isinstance(resource, asyncio.SubprocessTransport)
    )

"""The default executor: threads that never keep the host from exiting.

concurrent.futures joins its threads when the interpreter ends, so a job that is
stuck in C code would keep the host's process alive after its window has closed.
The threads here are daemon threads, and nobody waits for them at exit.

This module knows nothing of Qt and of owners.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import itertools
import logging
import os
import threading
from concurrent.futures import Executor, Future
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, Optional, Set

if TYPE_CHECKING:
    from queue import SimpleQueue
    from typing import Tuple, TypeVar

    from typing_extensions import ParamSpec

    _P = ParamSpec("_P")
    _T = TypeVar("_T")

    # A Future or an _Awaited, the function, its arguments.
    _Job = Tuple[Any, Callable[..., Any], Tuple[Any, ...], Any]

_numbers = itertools.count()

# concurrent.futures logs here, too, what goes wrong in threads that are not its own.
_logger = logging.getLogger("concurrent.futures")


class _Awaited:
    """Stands for a loop's future in an executor: told of the result in a worker thread, it tells the loop.

    It has the methods of a concurrent.futures.Future that a worker calls.
    """

    __slots__ = ("_context", "_future", "_loop")

    def __init__(self, future: asyncio.Future[Any], loop: Any) -> None:
        self._future = future
        self._loop = loop
        self._context = copy_context()  # so that the callback with the result belongs to the caller's owner

    def set_running_or_notify_cancel(self) -> bool:
        return not self._future.cancelled()

    def cancel(self) -> None:
        self._tell(self._future.cancel)

    def set_result(self, result: Any) -> None:
        self._tell(_set_result, self._future, result)

    def set_exception(self, exc: BaseException) -> None:
        self._tell(_set_exception, self._future, exc)

    def _tell(self, fn: Callable[..., object], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(fn, *args, context=self._context)
        except RuntimeError:
            pass  # the loop was closed meanwhile, and nobody waits


def _set_result(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():  # it was cancelled while the job ran
        future.set_result(result)


def _set_exception(future: asyncio.Future[Any], exc: BaseException) -> None:
    if future.done():
        return
    try:
        future.set_exception(_in_terms_of_asyncio(exc))
    except TypeError as error:  # below Python 3.12 no future takes a StopIteration
        future.set_exception(error)


def _in_terms_of_asyncio(exc: BaseException) -> BaseException:
    """Return asyncio's exception in place of concurrent.futures' of the same name: some are two classes."""
    convert: Any = getattr(asyncio.futures, "_convert_future_exc", None)
    if convert is None:  # Python 3.7, where they are the same
        return exc
    converted: BaseException = convert(exc)
    return converted


class DaemonExecutor(Executor):
    """Run jobs in up to `max_workers` daemon threads, which start when needed and stay.

    We queue a job only if a living thread will come to it. So there is nothing to take back when a
    thread cannot be started, and a caller who is refused knows that the job never runs.
    """

    # When the executor is abandoned, nobody is left who could be told the result of a job that is under way.
    _is_abandoned = False

    def __init__(self, max_workers: Optional[int] = None) -> None:
        # Imported late, as asyncio does: a plug-in that runs nothing in threads need not load this when a host starts.
        from queue import SimpleQueue

        # The same bound as ThreadPoolExecutor's: these are I/O threads, which mostly wait.
        self._max_workers = max_workers or min(32, (os.cpu_count() or 1) + 4)
        # Guards the attributes below; never held while other code is called. Reentrant, for the garbage collector or a
        # signal handler may run code in between that submits a job, too.
        self._lock = threading.RLock()
        self._jobs: Deque[_Job] = collections.deque()  # those that wait for a thread
        self._threads: Set[threading.Thread] = set()  # the living ones that take jobs
        self._running: Dict[int, Callable[..., Any]] = {}  # by the thread's identifier
        self._is_shut_down = False
        self._on_end: Optional[Callable[[], object]] = None  # called by the last thread that ends
        # Threads wait for an item of this queue: there is one for each job, and one for the shutdown. More do no harm.
        self._news: SimpleQueue[None] = SimpleQueue()

    # Type checkers want `fn` to be positional-only, which takes the syntax of Python 3.8.
    def submit(  # type: ignore[override]
        self, fn: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Queue a job. Any thread.

        Raises:
            RuntimeError: after shutdown(), or when there is no thread and none can be started. The job never runs.
        """
        future: Future[_T] = Future()
        self._put((future, fn, args, kwargs))
        return future

    def submit_for(self, loop: Any, fn: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:
        """Queue a job of a loop's; return a future of that loop. The loop's thread only.

        The same as asyncio.wrap_future(submit(...)), without a second future, its lock, and the messages between the
        two. These take a sixth of the time of a job, from the call to the result (measured 2026-11).

        Raises:
            RuntimeError: as submit().
        """
        future: asyncio.Future[_T] = loop.create_future()
        self._put((_Awaited(future, loop), fn, args, {}))
        return future

    def _put(self, job: _Job) -> None:
        while not self._accept(job):
            try:
                self._add_thread()
            except Exception:  # RuntimeError or MemoryError: the process can have no more threads just now
                if not self._accept(job, may_wait=True):
                    raise
                return

    def _accept(self, job: _Job, may_wait: bool = False) -> bool:
        """Queue a job; return False, and do nothing, if another thread is needed first.

        Args:
            may_wait: do without another thread, as long as there is one at all.
        """
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            threads = len(self._threads)
            is_one_free = threads > len(self._running) + len(self._jobs)
            if not is_one_free and threads < self._max_workers and not (may_wait and threads):
                return False
            self._news.put(None)
            self._jobs.append(job)
            return True

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"asyncslot-{next(_numbers)}", daemon=True)
        thread.start()
        self._enlist(thread)

    def _enlist(self, thread: threading.Thread) -> bool:
        """Count a thread among ours, if it is still needed; return whether it is one of them.

        The new thread calls this itself, too: Ctrl+C may interrupt start() in the thread that has started it.
        """
        with self._lock:
            if thread in self._threads:
                return True
            if self._is_shut_down or len(self._threads) >= self._max_workers:
                return False  # several have been started at once, for too few jobs
            self._threads.add(thread)
            return True

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; threads end when the queued jobs are done. Any thread; called twice, it does no harm."""
        cancelled: List[_Job] = []
        with self._lock:
            self._is_shut_down = True
            if cancel_futures:
                cancelled += self._jobs
                self._jobs.clear()
            threads = [thread for thread in self._threads if thread.ident != threading.get_ident()]
        self._news.put(None)
        for future, _, _, _ in cancelled:
            try:
                future.cancel()
            except BaseException:  # a done-callback's own: concurrent.futures logs an Exception, and lets others out
                _log("exception calling callback for %r", future)
        if wait:
            for thread in threads:
                thread.join()

    def abandon(self) -> List[str]:
        """Drop the jobs that wait and the results of those that run; return the names of the latter.

        A thread cannot be ended from outside: a job under way runs to its end.
        """
        self._is_abandoned = True
        self.shutdown(wait=False, cancel_futures=True)
        return self.running()

    def when_ended(self, fn: Callable[[], object]) -> None:
        """After shutdown(), have the last thread that ends call `fn`; without a thread, call it now."""
        with self._lock:
            if self._threads:
                self._on_end = fn
                return
        fn()

    async def end_jobs(self, loop: Any, timeout: Optional[float]) -> None:
        """Take no more jobs, and wait for those there are; log and leave what still runs after `timeout` seconds."""
        ended = loop.create_future()
        self.shutdown(wait=False)
        with self._lock:
            threads = list(self._threads)
        self.when_ended(functools.partial(_Awaited(ended, loop).set_result, None))
        await asyncio.wait([ended], timeout=timeout)
        if ended.done():
            for thread in threads:
                thread.join()  # returns at once: to say so was the last thing that the last thread had to do
        else:
            waiting = self.waiting()
            dropped = f", and {waiting} that waited for a thread dropped" if waiting else ""
            still = ", ".join(self.abandon())
            logging.getLogger("asyncio").warning(
                "Still running after %s s, and left alone%s: %s", timeout, dropped, still
            )

    def running(self) -> List[str]:
        """Return the names of the functions that run in its threads now. Any thread."""
        with self._lock:
            running = list(self._running.values())
        return [_describe(fn) for fn in running]

    def waiting(self) -> int:
        """Return how many jobs wait for a thread. Any thread."""
        return len(self._jobs)

    def _work(self) -> None:
        """Run jobs until shutdown; each thread of the executor runs this."""
        thread = threading.current_thread()
        if not self._enlist(thread):
            return
        try:
            while True:
                try:
                    self._run_jobs(threading.get_ident())
                    return
                except BaseException:
                    # A done-callback has raised, or somebody has raised it in here from outside, as some debuggers do
                    # (PyThreadState_SetAsyncExc). We go on, for jobs may count on this thread. The thread may have
                    # taken the item of a job that has not run, so we put one back.
                    self._news.put(None)
                    _log("Exception in worker")
        finally:
            with self._lock:
                self._threads.discard(thread)
                on_end = None if self._threads else self._on_end
            self._news.put(None)  # so that the next thread ends as well, or runs the job that this one did not
            if on_end is not None:
                on_end()

    def _run_jobs(self, ident: int) -> None:
        while True:
            self._news.get()
            with self._lock:
                if not self._jobs:
                    if self._is_shut_down:
                        return
                    continue
                job: Any = self._jobs.popleft()
                self._running[ident] = job[1]
            try:
                future, fn, args, kwargs = job
                if future.set_running_or_notify_cancel():
                    self._run(future, fn, args, kwargs)
            finally:
                self._be_free()
                # A thread that waits must not keep the last job's data alive.
                job = future = fn = args = kwargs = None

    def _run(self, future: Any, fn: Callable[..., Any], args: Tuple[Any, ...], kwargs: Any) -> None:
        error: Optional[BaseException] = None
        try:
            result = fn(*args, **kwargs)
        except BaseException as exc:
            error = exc
        if isinstance(future, _Awaited):
            # Free before the loop is told, for a busy machine may not let this thread go on for long afterwards. A
            # detach() in that time must not report that the job still runs, and code that awaits one job after the
            # other must not get a thread more. Not so with a plain Future: its done-callbacks run in this thread, and
            # may themselves wait for a job.
            self._be_free()
        if self._is_abandoned:
            return  # the loop may be closed, and its future would complain
        try:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        finally:
            future = error = None  # or its traceback and this frame keep each other alive

    def _be_free(self) -> None:
        """Let the next job count on this thread."""
        with self._lock:
            self._running.pop(threading.get_ident(), None)


def _log(message: str, *args: Any) -> None:
    """Log the exception that is being handled. Never raises: logging handlers are the host's, or anybody's."""
    try:
        _logger.critical(message, *args, exc_info=True)
    except BaseException:
        pass


def _describe(fn: Callable[..., Any]) -> str:
    """Name a job's function, or the class of another callable. Its repr() may show the user's data, or raise."""
    try:
        fn = _unwrapped(fn)
        name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
        return f"{getattr(fn, '__module__', None) or 'builtins'}.{name}()"
    except BaseException:  # a plug-in's own class may raise anything
        return object.__repr__(fn)


def _unwrapped(fn: Any) -> Any:
    """Return the function itself of a job; lease.to_thread() wraps it twice."""
    while isinstance(fn, functools.partial):
        is_in_context = isinstance(getattr(fn.func, "__self__", None), Context) and fn.args
        fn = fn.args[0] if is_in_context else fn.func
    return fn

"""The default executor: threads that never keep the host from exiting.

concurrent.futures joins its threads when the interpreter ends, so a job that is
stuck in C code would keep the host's process alive after its window has closed.
The threads here are daemon threads, and nobody waits for them at exit.

A loop's own jobs have a future of that loop only. asyncio would chain it to one of
concurrent.futures, a sixth of the time that a job takes to and fro (measured 2026-11).

This module knows nothing of Qt. Relies on `asyncio.futures._convert_future_exc`, there
from Python 3.8 on.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import threading
from concurrent.futures import Executor, Future
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

if TYPE_CHECKING:
    from queue import SimpleQueue
    from typing import Tuple, TypeVar

    from typing_extensions import ParamSpec

    _P = ParamSpec("_P")
    _T = TypeVar("_T")

    # A Future or an _Awaited, the function, its arguments.
    _Job = Tuple[Any, Callable[..., Any], Tuple[Any, ...], Any]

_numbers = itertools.count()


class _Awaited:
    """A future of a loop, for an executor: told of the result in a thread, it tells the loop."""

    __slots__ = ("_context", "_future", "_loop")

    def __init__(self, future: asyncio.Future[Any], loop: Any) -> None:
        self._future = future
        self._loop = loop
        self._context = copy_context()  # by which the news is the caller's own

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
    except TypeError as error:  # StopIteration, below Python 3.12
        future.set_exception(error)


def _in_terms_of_asyncio(exc: BaseException) -> BaseException:
    """Return what was raised by concurrent.futures as asyncio's exception of that name: some are two classes."""
    convert: Any = getattr(asyncio.futures, "_convert_future_exc", None)
    if convert is None:  # Python 3.7, where they are the same
        return exc
    converted: BaseException = convert(exc)
    return converted


class DaemonExecutor(Executor):
    """Run jobs in up to `max_workers` daemon threads, which start when needed and stay."""

    # A job that is under way when the executor is abandoned has nobody left to tell its result.
    _is_abandoned = False

    def __init__(self, max_workers: Optional[int] = None) -> None:
        # As asyncio does it: who runs nothing in threads need not load this when a host starts.
        from queue import SimpleQueue

        # The same bound as ThreadPoolExecutor's: I/O threads, mostly waiting.
        self._max_workers = max_workers or min(32, (os.cpu_count() or 1) + 4)
        self._jobs: SimpleQueue[Optional[_Job]] = SimpleQueue()
        self._threads: List[threading.Thread] = []
        # Threads that wait for a job, or will when they have told a loop of the last one, less the jobs that wait for
        # a thread.
        self._idle = 0
        self._running: Dict[int, Callable[..., Any]] = {}  # by thread, each of which writes its own entry
        # Guards _idle and what is below against others that do so at once; held for no call out.
        self._lock = threading.Lock()
        self._is_shut_down = False

    # Checkers want `fn` positional-only, which takes the syntax of Python 3.8.
    def submit(  # type: ignore[override]
        self, fn: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Queue a job. Any thread.

        Raises:
            RuntimeError: after shutdown().
        """
        future: Future[_T] = Future()
        self._put((future, fn, args, kwargs))
        return future

    def submit_for(self, loop: Any, fn: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:
        """Queue a job of a loop's; return a future of that loop. The loop's thread only.

        As asyncio.wrap_future(submit(...)), without a second future, its lock, and their news of each other.

        Raises:
            RuntimeError: after shutdown().
        """
        future: asyncio.Future[_T] = loop.create_future()
        self._put((_Awaited(future, loop), fn, args, {}))
        return future

    def _put(self, job: _Job) -> None:
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._jobs.put(job)
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < self._max_workers:
                thread = threading.Thread(target=self._work, name=f"asyncslot-{next(_numbers)}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; threads end when the queued ones are done."""
        with self._lock:
            self._is_shut_down = True
        if cancel_futures:
            self._cancel_queued()
        for _ in self._threads:
            self._jobs.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def abandon(self) -> List[str]:
        """Drop the jobs that wait and the results of those that run; return what the latter are.

        A thread cannot be ended from outside: a job under way runs to its end.
        """
        self._is_abandoned = True
        self.shutdown(wait=False, cancel_futures=True)
        return self.running()

    def running(self) -> List[str]:
        """Return the names of the functions that run in its threads now."""
        return [_describe(fn) for fn in list(self._running.values())]

    def _cancel_queued(self) -> None:
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                job[0].cancel()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            future, fn, args, kwargs = job
            if future.set_running_or_notify_cancel():
                self._run(future, fn, args, kwargs)
            else:
                self._be_idle()
            # A thread that waits must not keep the last job's data alive.
            del job, future, fn, args, kwargs

    def _run(self, future: Any, fn: Callable[..., Any], args: Tuple[Any, ...], kwargs: Any) -> None:
        thread = threading.get_ident()
        self._running[thread] = fn
        error: Optional[BaseException] = None
        try:
            result = fn(*args, **kwargs)
        except BaseException as exc:
            error = exc
        # All this before the result is told, for a busy machine may not let this thread go on for long afterwards. Who
        # then detaches must not hear that the job still runs, and who awaits one job after the other must not get a
        # thread more. What is called when a Future has its result runs here, and may itself wait for a job.
        del self._running[thread]
        is_told_elsewhere = isinstance(future, _Awaited)
        if is_told_elsewhere:
            self._be_idle()
        try:
            if self._is_abandoned:
                pass  # the loop may be closed, and its future would complain
            elif error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        finally:
            future = error = None  # or its traceback and this frame keep each other alive
        if not is_told_elsewhere:
            self._be_idle()

    def _be_idle(self) -> None:
        with self._lock:
            self._idle += 1


def _describe(fn: Callable[..., Any]) -> str:
    """Name a job's function."""
    fn = unwrapped(fn)
    name = getattr(fn, "__qualname__", None)
    return repr(fn) if name is None else f"{getattr(fn, '__module__', None) or 'builtins'}.{name}()"


def unwrapped(fn: Any) -> Any:
    """Return the function itself of a job; lease.to_thread() wraps it twice."""
    while isinstance(fn, functools.partial):
        is_in_context = isinstance(getattr(fn.func, "__self__", None), Context) and fn.args
        fn = fn.args[0] if is_in_context else fn.func
    return fn

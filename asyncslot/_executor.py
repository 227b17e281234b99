"""The default executor: threads that never keep the host from exiting.

concurrent.futures joins its threads when the interpreter ends, so a job that is
stuck in C code would keep the host's process alive after its window has closed.
The threads here are daemon threads, and nobody waits for them at exit.

This module knows nothing of Qt and of the loop.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from concurrent.futures import Executor, Future
from contextvars import Context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple, TypeVar

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    _P = ParamSpec("_P")

_T = TypeVar("_T")

_Job = Tuple["Future[Any]", Callable[..., Any], Tuple[Any, ...], Any]

_numbers = itertools.count()


class DaemonExecutor(Executor):
    """Run jobs in up to `max_workers` daemon threads, which start when needed and stay."""

    # A job that is under way when the executor is abandoned has nobody left to tell its result.
    _is_abandoned = False

    def __init__(self, max_workers: Optional[int] = None) -> None:
        # The same bound as ThreadPoolExecutor's: I/O threads, mostly waiting.
        self._max_workers = max_workers or min(32, (os.cpu_count() or 1) + 4)
        self._jobs: SimpleQueue[Optional[_Job]] = SimpleQueue()
        self._threads: List[threading.Thread] = []
        self._idle = 0  # threads that wait for a job, less the jobs that wait for a thread
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
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            future: Future[_T] = Future()
            self._jobs.put((future, fn, args, kwargs))
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < self._max_workers:
                thread = threading.Thread(target=self._work, name=f"asyncslot-{next(_numbers)}", daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

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
                self._running[threading.get_ident()] = fn
                self._run(future, fn, args, kwargs)
                del self._running[threading.get_ident()]
            # A thread that waits must not keep the last job's data alive.
            del job, future, fn, args, kwargs
            with self._lock:
                self._idle += 1

    def _run(self, future: Future[Any], fn: Callable[..., Any], args: Tuple[Any, ...], kwargs: Any) -> None:
        error: Optional[BaseException] = None
        try:
            result = fn(*args, **kwargs)
        except BaseException as exc:
            error = exc
        if self._is_abandoned:
            return  # the loop may be closed, and its future would complain
        try:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        finally:
            error = None  # or its traceback and this frame keep each other alive


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

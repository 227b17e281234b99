"""The default executor: threads that never keep the host from exiting.

concurrent.futures joins its threads when the interpreter ends, so a job that is
stuck in C code would keep the host's process alive after its window has closed.
The threads here are daemon threads, and nobody waits for them at exit.

This module knows nothing of Qt and of the loop.
"""

from __future__ import annotations

import itertools
import os
import threading
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Tuple, TypeVar

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    _P = ParamSpec("_P")

_T = TypeVar("_T")

_Job = Tuple["Future[Any]", Callable[..., Any], Tuple[Any, ...], Any]

_numbers = itertools.count()


class DaemonExecutor(Executor):
    """Run jobs in up to `max_workers` daemon threads, which start when needed and stay."""

    def __init__(self, max_workers: Optional[int] = None) -> None:
        # The same bound as ThreadPoolExecutor's: I/O threads, mostly waiting.
        self._max_workers = max_workers or min(32, (os.cpu_count() or 1) + 4)
        self._jobs: SimpleQueue[Optional[_Job]] = SimpleQueue()
        self._threads: List[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        # Guards the two below against a submit() and a shutdown() at once; held for no call out.
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
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._max_workers:
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
                try:
                    result = fn(*args, **kwargs)
                except BaseException as exc:
                    future.set_exception(exc)
                else:
                    future.set_result(result)
            # A thread that waits must not keep the last job's data alive.
            del job, future, fn, args, kwargs
            result = None
            self._idle.release()

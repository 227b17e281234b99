"""AsyncSlotRunner: a context manager around `app.exec()`, for a program that owns its application.

    with AsyncSlotRunner():
        sys.exit(app.exec())

It attaches a loop, and on the way out cancels the tasks that are left, runs asyncio's
two shutdown coroutines and closes the loop. A plug-in does not own its application,
and uses attach() instead.
"""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Coroutine, Optional

from ._asyncio import monotonic
from ._loop import AsyncSlotEventLoop
from ._tasks import name_of, where

# Seconds that we wait beyond `shutdown_timeout`, for a shutdown that stops waiting by itself when that is over.
_GRACE = 1.0


class AsyncSlotRunner:
    """Run an AsyncSlotEventLoop, attached, for as long as the `with` block lasts.

    `with AsyncSlotRunner() as loop:` gives the loop, which is asyncio's running loop inside the block. Leaving
    the block cancels the tasks that are left and closes the loop. A runner that is entered again makes a new loop.

    Args:
        debug: asyncio's debug mode; None: as PYTHONASYNCIODEBUG and `-X dev` say.
        loop_factory: makes the loop; by default AsyncSlotEventLoop.
        timeout: seconds that leaving waits, at most: for tasks that it has cancelled, then for async generators, then
            for jobs in threads. What takes longer is named in the log, and left.

    Raises, on entering:
        NoApplicationError: there is no QCoreApplication yet.
        RuntimeError: another loop is running in this thread.

    On leaving, the exception that ended the loop is raised: KeyboardInterrupt, or the
    SystemExit of a task or callback.

    Thread: the loop belongs to the thread that enters the block.
    """

    def __init__(
        self,
        *,
        debug: Optional[bool] = None,
        loop_factory: Optional[Callable[[], AsyncSlotEventLoop]] = None,
        timeout: float = 10.0,
    ) -> None:
        self._debug = debug
        self._timeout = timeout
        self._loop_factory = loop_factory or AsyncSlotEventLoop
        self._loop: Optional[AsyncSlotEventLoop] = None

    def __enter__(self) -> AsyncSlotEventLoop:
        loop = self._loop_factory()
        if self._debug is not None:
            loop.set_debug(self._debug)
        try:
            loop.__enter__()
        except BaseException:
            loop.close()
            raise
        self._loop = loop
        return loop

    def __exit__(self, *exc_info: Any) -> None:
        loop, self._loop = self._loop, None
        assert loop is not None, "__exit__() follows __enter__()"
        try:
            loop.__exit__(*exc_info)
        finally:
            loop.shutdown_timeout = self._timeout
            try:
                _cancel_all_tasks(loop)
                _run(loop, "closing async generators", loop.shutdown_asyncgens())
                # This one stops waiting by itself, and says for which job it has waited.
                _run(loop, "waiting for threads", loop.shutdown_default_executor(), _GRACE)
            finally:
                loop.close()


def _run(loop: AsyncSlotEventLoop, what: str, coro: Coroutine[Any, Any, Any], more_time: float = 0.0) -> None:
    """Run a part of the clean-up: with Qt's events, so that the GUI stays alive, or without, if Qt has gone first."""
    task = loop.create_task(coro)
    if loop._as_run_until(task.done, monotonic() + loop.shutdown_timeout + more_time):
        task.result()
    else:
        _give_up(loop, task, what)


def _cancel_all_tasks(loop: AsyncSlotEventLoop) -> None:
    """Cancel the tasks that are still running, let them finish, and report what went wrong with them."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop._as_run_until(lambda: all(task.done() for task in tasks), monotonic() + loop.shutdown_timeout)
    for task in tasks:
        if not task.done():
            _give_up(loop, task, f"task {name_of(task)}, which was cancelled")
        elif not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {"message": "Exception during clean-up", "exception": task.exception(), "task": task}
            )


def _give_up(loop: AsyncSlotEventLoop, task: Any, what: str) -> None:
    task._log_destroy_pending = False  # asyncio would report the same later
    stack = where(task)
    place = f"; it stands at {stack}" if stack else ""
    loop.call_exception_handler({"message": f"Not ended within {loop.shutdown_timeout} s: {what}{place}", "task": task})

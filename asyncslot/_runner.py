"""AsyncSlotRunner: a context manager around `app.exec()`, for a program that owns its application.

    with AsyncSlotRunner():
        sys.exit(app.exec())

It attaches a loop, and on the way out cancels what is left, runs asyncio's two
shutdown coroutines and closes the loop. A plug-in does not own its application,
and uses attach() instead.
"""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Coroutine, Optional

from ._loop import AsyncSlotEventLoop


class AsyncSlotRunner:
    """Run an AsyncSlotEventLoop, attached, for as long as the `with` block lasts.

    Args:
        debug: asyncio's debug mode; None: as PYTHONASYNCIODEBUG and `-X dev` say.
        loop_factory: makes the loop; by default AsyncSlotEventLoop.

    Raises, on entering:
        NoApplicationError: there is no QCoreApplication yet.
        RuntimeError: another loop is running in this thread.

    On leaving, what ended the loop is raised: KeyboardInterrupt, or the SystemExit
    of a task or callback.
    """

    def __init__(
        self, *, debug: Optional[bool] = None, loop_factory: Optional[Callable[[], AsyncSlotEventLoop]] = None
    ) -> None:
        self._debug = debug
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
            try:
                _cancel_all_tasks(loop)
                _run(loop, loop.shutdown_asyncgens())
                shutdown_executor = getattr(loop, "shutdown_default_executor", None)  # Python 3.9
                if shutdown_executor is not None:
                    _run(loop, shutdown_executor())
            finally:
                loop.close()


def _run(loop: AsyncSlotEventLoop, coro: Coroutine[Any, Any, Any]) -> None:
    """Run a part of the clean-up: with a Qt loop, so that the GUI stays alive, or without, if Qt has gone first."""
    if loop._as_qt_core.QCoreApplication.instance() is not None:
        loop.run_until_complete(coro)
    else:
        task = loop.create_task(coro)
        loop._as_run_alone(task.done, None)
        task.result()


def _cancel_all_tasks(loop: AsyncSlotEventLoop) -> None:
    """Cancel what is still running, let it finish, and report what went wrong with it."""
    tasks = asyncio.all_tasks(loop)
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    # Waited for together by a task of its own: gather() would look for a running loop.
    _run(loop, _wait_for(tasks))
    for task in tasks:
        if not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {"message": "Exception during clean-up", "exception": task.exception(), "task": task}
            )


async def _wait_for(tasks: Any) -> None:
    await asyncio.wait(tasks)

"""A library's work in a task of a lease's, whosever lease that is: this module is no plug-in's."""

import contextlib


class Work:
    """A library's work in a task.

    Args:
        lease: the lease.
        work: the library's part, see `guest_stories`.
        closes: whether what was opened is closed when the task ends, as the library's pages tell.

    Attributes:
        ticks: how many pieces of work have been done.
        task: the task.
    """

    def __init__(self, lease, work, closes):
        self._work = work
        self._opened = contextlib.AsyncExitStack()
        self.ticks = 0
        self.task = lease.create_task(self._close_after() if closes else self._do())

    async def _do(self):
        await self._work(self._opened, self._tick)

    async def _close_after(self):
        async with self._opened:
            await self._do()

    def _tick(self):
        self.ticks += 1

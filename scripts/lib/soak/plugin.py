"""The plug-in of the soak that is reloaded: copied into a package of its own, beside its copy of asyncslot.

That package's `__init__` names the copy `aio`.
"""

from . import aio
from .work import Work


class Plugin:
    """A plug-in that is always at work, from `initGui` to `unload`, but for the rests that it is told to make."""

    def __init__(self, host, seconds=20.0):
        self.host = host
        self.seconds = seconds  # for detach()
        self.rounds = 0
        self.is_to_rest = self.is_resting = False

    def initGui(self):
        """Attach, under the name of this package, and begin."""
        self.lease = aio.attach(host=self.host)
        self.work = Work(aio, self.lease, self.host)
        self.task = self.lease.create_task(self._keep_working())
        self.task.add_done_callback(self._ended)

    def unload(self):
        """Detach, from whatever is being done."""
        report = aio.detach(timeout=self.seconds)
        self.work.let_go()
        return report

    def rest(self):
        """Make a rest after what is being done; `is_resting` and the host's go_on() tell that it has begun."""
        self.is_to_rest = True

    def go_on(self):
        """End the rest."""
        self.is_to_rest = self.is_resting = False
        self.resumed.set_result(None)

    async def _keep_working(self):
        await self.work.begin()
        while True:
            await self.work.do()
            self.rounds += 1
            if self.is_to_rest:
                self.resumed = self.lease.loop.create_future()
                self.is_resting = True
                self.host.go_on()
                await self.resumed
            self.host.go_on()

    def _ended(self, task):
        if not task.cancelled() and task.exception() is not None:
            self.host.fail(task.exception())

"""A plug-in that works with one library: what the toy host loads, unloads and reloads for `guest_stories`."""

import asyncslot
from guest_work import Work

# Seconds for detach(). It ends when all has ended; the machine that runs the tests may be busy.
TIMEOUT = 10


class Plugin:
    """The plug-in. The toy host calls initGui() and unload().

    Args:
        work, closes: as for Work.

    Attributes:
        at_work: the Work that was begun last.
        report: what detach() returned.
    """

    def __init__(self, work, closes):
        self._work = work
        self._closes = closes

    def initGui(self):
        self.lease = asyncslot.attach()
        self.begin()

    def unload(self):
        self.report = self.lease.detach(timeout=TIMEOUT)

    def begin(self):
        self.at_work = Work(self.lease, self._work, self._closes)

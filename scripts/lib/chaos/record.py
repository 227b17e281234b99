"""What the chaos program knows of one lease: what its plug-in's code has begun, promised and finished.

A record is the host's and outlives the plug-in. The plug-in's code (`work.py`) tells it of everything that the loop
calls, so that it can be judged when the lease has ended: nothing of the plug-in's may be called any more, and whatever
had the time to clean up has done so.

    attached -> detach() has been called: what is on the stack goes on -> closed: nothing may happen any more

When a record is closed, is told by `world.py`, which sees the stack. What is wrong with it is told by
`checks.py`.
"""

import itertools


class Planned(Exception):
    """What plug-ins raise on purpose. `str()` of it begins with PLANNED, as of SystemExit and KeyboardInterrupt."""


# How the text of each exception begins that is raised on purpose.
PLANNED = "on purpose: "

# Seconds of detach()'s from which on the clean-up of everything that is willing has time. Those in which the machine
# was busy with others do not count: see has_time.
ENOUGH = 0.45

# The same where a task does not end: until four fifths of the time are over, all wait for it, and async generators
# have a tenth. On a machine with three busy processes for each core, 0.05 s were not enough in a quarter of the runs.
ENOUGH_BESIDE_STUBBORN = 1.9

_numbers = itertools.count(1)


def queued_for_processor():
    """Return the seconds for which this thread could have gone on, while all processors were busy with others."""
    with open("/proc/thread-self/schedstat") as file:  # Linux's Documentation/scheduler/sched-stats
        return int(file.read().split()[1]) / 1e9


class Record:
    """One lease of one plug-in, from the attach() that gave it.

    Attributes:
        label: which plug-in, and which of its lives.
        lease: what attach() returned; None until then.
        heart: a task that does nothing but beat; beats: how often it has.
        lives, flows: the coroutines and asynchronous generators of the plug-in's; see work.py.
        promises: what must be called soon, as {number: (what, when)}, unless the lease ends first.
        detaching: how many calls of detach() are under way.
        timeout: seconds that the detach() which ended it had; the host's end takes the default.
        queued_at_end: what queued_for_processor() was when that began; None: the host's end has called it.
        live_at_end: how many tasks had begun and not ended when detach() was called first; None: nobody has looked.
        report: what the first detach() returned; None: the host's end has called it.
        is_closed: whether nothing of it may run any more.
        sockets, kept: what the plug-in has in its attributes.
        coroutines: with their lives, those that a thread has handed over, and that were perhaps never begun.
    """

    def __init__(self, world, label, name):
        self.world = world
        self.label = label
        self.name = name
        self.lease = self.heart = None
        self.beats = 0
        self.lives = []
        self.flows = []
        self.promises = {}
        self.detaching = 0
        self.timeout = 2.0
        self.queued_at_end = None
        self.live_at_end = None
        self.report = None
        self.is_closed = False
        self.plugin_name = label.rstrip("0123456789")
        self.sockets = []
        self.kept = []
        self.coroutines = []

    def release(self):
        """Let go of what the plug-in had, after its lease has ended."""
        for each in self.sockets:
            each.close()
        for life, coro in self.coroutines:
            if life.state == "made":
                coro.close()  # it was handed over by a thread and dropped by detach(): no warning
        for things in (self.sockets, self.kept, self.coroutines):
            things.clear()

    @property
    def is_attached(self):
        """Whether the lease still holds."""
        return self.lease is not None and self.lease.is_attached

    @property
    def has_time(self):
        """Whether everything that is willing had the time to clean up."""
        is_stubborn = any(life.kind == "stubborn" for life in self.lives)
        queued = 0.0 if self.queued_at_end is None else queued_for_processor() - self.queued_at_end
        return self.timeout - queued >= (ENOUGH_BESIDE_STUBBORN if is_stubborn else ENOUGH)

    def promise(self, what, after=0.0):
        """Note that something must be called in `after` seconds; return the number of this promise."""
        number = next(_numbers)
        self.promises[number] = (what, self.world.now() + after)
        return number

    def keep(self, number):
        """Note that it has been called, or need not be any more."""
        self.promises.pop(number, None)

    def overdue(self, before):
        """Return what should have been called before a time and was not, while the lease is attached."""
        if not self.is_attached:
            return []
        return [what for what, due in self.promises.values() if due < before]

    def state(self):
        """Describe it in a line, for the log of a seed that has failed."""
        lives = [life for life in self.lives if life.state == "runs"]
        kinds = ", ".join(sorted(life.kind for life in lives))
        if self.is_closed:
            state = "closed"
        elif self.is_attached:
            state = "attached"
        else:
            state = "ending" if self.lease is not None else "not attached"
        return f"{self.label} ({self.name}): {state}, {self.beats} beats; runs: {kinds or 'nothing'}"

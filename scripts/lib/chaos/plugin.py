"""The plug-in of the chaos program: copied into packages of its own, each beside a copy of asyncslot.

The package's `__init__` names the copy `aio`. What the plug-in does on the loop is in `work`, which is `work.py`.
Functions named `attach`, `detach`, `unload` and `reload` are what a host calls; all other functions of the two files,
seen on the stack, are code of the plug-in's that goes on.
"""

import asyncio
import random

from qtpy import QtCore

from . import aio
from .work import KINDS, WAYS, Call, Life, Work


class Sender(QtCore.QObject):
    """Something that emits."""

    number = QtCore.Signal(int)
    text = QtCore.Signal(str)


class Receiver(QtCore.QObject):
    """Something whose methods are slots."""

    def __init__(self, plugin):
        super().__init__()
        self.plugin = plugin
        self.record = plugin.record
        self.work = plugin.work
        self.is_cancelled = False
        self.is_deleted = False
        self.dialogs = 0  # that its slots have opened, and that are open

    @aio.asyncSlot
    async def on_number(self, number):
        """Answer, as a method that is decorated. It is the plug-in's, whichever lease that has by now."""
        if not self.plugin.is_succeeded():
            await self.plugin.answer(self, self.plugin.work)

    @aio.asyncSlot(on_repeat="queue")
    async def on_text(self, text):
        """Answer one after the other."""
        if not self.plugin.is_succeeded():
            await self.plugin.answer(self, self.plugin.work)

    async def on_anything(self):
        """Answer, as what a lease has made a slot of; it is dead with that lease."""
        await self.plugin.answer(self, self.work, self.is_cancelled)


class Plugin:
    """A plug-in.

    Attributes:
        name: which of the world's.
        record, work: those of the lease that it has, or had last; None before the first attach().
        answers: how often one of its slots has begun.
    """

    aio = aio

    def __init__(self, world, name, lease_name, adapter, seed):
        self.world = world
        self.name = name
        self.lease_name = lease_name
        self.adapter = adapter
        self.rng = random.Random(seed)
        self.record = self.work = self.lease = None
        self.sender = None
        self.receivers = []
        self.answers = 0

    # -- what the host calls -------------------------------------------------

    def attach(self):
        """Take a lease, and begin."""
        record = self.world.enlist(self)
        lease = record.lease = aio.attach(self.lease_name, host=self.adapter)
        self.world.check_lease(record)
        self.record, self.lease = record, lease
        self.work = Work(self, record)
        heart = Life(record, "heart")
        record.heart = lease.create_task(heart.run(self.work.heart), name=heart.name)
        self.sender = Sender()
        self.receivers = [self._receiver() for _ in range(2)]

    def detach(self, rng=None, timeout=None):
        """End the lease, in one of many ways."""
        rng = rng or self.rng
        record = self.record
        if record is None:
            return
        if timeout is None:
            timeout = rng.choice(self.world.timeouts)
        process_events = rng.random() < 0.2 and "process_events" not in self.world.plan.without
        # Not handed over as it is: it looks for the lease of whoever calls it.
        end = rng.choice((lambda **options: aio.detach(**options), record.lease.detach))
        self.world.detach(record, end, timeout, process_events)

    def unload(self, rng=None, timeout=None):
        """Detach, and let go of everything."""
        self.detach(rng, timeout)
        for each in self.receivers:
            self.world.bury(each)
        self.receivers = []
        if self.sender is not None:
            self.world.bury(self.sender)
            self.sender = None

    def reload(self, rng):
        """Have the host unload this and load it anew."""
        self.world.reload(self.name, rng)

    # -- slots ---------------------------------------------------------------

    def _receiver(self):
        receiver = Receiver(self)
        rng, lease = self.rng, self.lease
        self.sender.number.connect(receiver.on_number)
        self.sender.text.connect(receiver.on_text)
        on_repeat = rng.choice(("concurrent", "drop", "queue", "restart"))
        cancels = rng.random() < 0.5
        receiver.is_cancelled = cancels or on_repeat == "restart"
        slot = lease.slot(receiver.on_anything, on_repeat=on_repeat, cancel_with_receiver=cancels)
        for sender in (self.sender, self.world.sender):
            sender.number.connect(slot)
        if self.world.threads_may_emit:
            self.world.thread_sender.number.connect(receiver.on_number)
            self.world.thread_sender.number.connect(slot)
        return receiver

    def is_succeeded(self):
        """Tell whether the plug-in has been reloaded, where several share a copy.

        There a decorated slot of the old one is found to be the new one's, whose package has the same name; what the
        host has not let go of yet answers in its name.
        """
        return self.world.plugins.get(self.name) is not self and not aio.__name__.startswith(__package__)

    async def answer(self, receiver, work, is_cancelled=False):
        """Answer an emission."""
        self.answers += 1
        life = Life(work.record, "slot", is_cancelled, is_promised=False)
        life.is_cancelled_twice = is_cancelled  # by the next emission or its receiver's end, and by detach()
        await life.run(work.slot, self.rng, receiver)

    def emit(self, rng):
        """Emit, as somebody who clicks."""
        sender, record = self.sender, self.record
        if sender is None or not self.receivers or self.world.is_muted:
            return
        if rng.random() < 0.3:
            sender.text.emit("chaos")
            return
        before = self.answers
        must_answer = record.is_attached and not all(receiver.is_deleted for receiver in self.receivers)
        sender.number.emit(1)
        if must_answer and self.answers == before:
            self.world.find("a slot was not called", record.label)

    def delete_something(self, rng):
        """Delete a receiver or the sender, and make another."""
        if self.sender is None or not self.record.is_attached:
            return
        if rng.random() < 0.3:
            self.world.bury(self.sender, rng.random() < 0.5)
            self.sender = Sender()
            for each in self.receivers:
                self.world.bury(each)
            self.receivers = [self._receiver() for _ in range(2)]
            return
        receiver = self.receivers.pop(rng.randrange(len(self.receivers)))
        self.world.bury(receiver, rng.random() < 0.5 and not receiver.is_deleted)
        self.receivers.append(self._receiver())

    # -- plain code, that Qt calls -------------------------------------------

    def spawn(self, rng, is_plain=True):
        """Start a task of some kind."""
        kinds = dict(KINDS)
        if self.world.allows_stubborn:
            kinds["stubborn"] = 3
        for kind in ("detacher", "reloader", "quitter"):
            kinds[kind] = 3 * self.world.rate_of_ends
        for kind in self.world.plan.without:
            kinds.pop(kind, None)
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        way = "lease" if kind == "stubborn" else rng.choice(WAYS)
        if kind == "modal_of_nobody":
            way = "loop"
        self.work.spawn(kind, rng, way, is_plain=is_plain)

    def schedule(self, rng):
        """Schedule callbacks of all kinds."""
        loop, record = self.work.loop, self.record
        for _ in range(rng.randint(1, 3)):
            error = self.world.planned(rng, record) if rng.random() < 0.2 else None
            then = None
            if rng.random() < 0.3:
                then = self._spawn_if_attached
            way = rng.choice(("soon", "later", "at", "threadsafe"))
            delay = rng.choice((0, 0.001, 0.01, 0.05))
            if way == "soon" and not self.world.has_stepped:
                # Before its first step in a dialog, call_soon() takes whoever calls for the code that has opened it,
                # whose context it is: to look at the frames each time would cost everybody too much.
                way = "threadsafe"
            call = Call(record, way, 0 if way in ("soon", "threadsafe") else delay, error, then)
            if way == "soon":
                loop.call_soon(call)
            elif way == "threadsafe":
                loop.call_soon_threadsafe(call)
            elif way == "later":
                loop.call_later(delay, call)
            else:
                loop.call_at(loop.time() + delay, call)

    def _spawn_if_attached(self):
        if self.record.is_attached:
            self.spawn(self.rng, is_plain=False)

    def block(self, rng):
        """Wait in a plain function."""
        kind = rng.choice(("sleeper", "quick_job", "cleaner_child"))
        timeout = None if kind == "quick_job" and rng.random() < 0.5 else rng.choice((0, 0.01, 0.1))
        if rng.random() < 0.15 * self.world.rate_of_ends:
            if rng.random() < 0.3:
                kind, timeout = "stubborn" if self.world.allows_stubborn else "suppressor", None
            self.work.loop.call_soon(Call(self.record, "detach while it blocks", then=self._detach_inside))
        life = Life(self.record, kind, may_be_cancelled=True, is_promised=False)
        life.is_cancelled_twice = True  # when the time is over, and by detach()
        try:
            self.lease.run_until_complete(life.run(getattr(self.work, kind), rng), timeout=timeout)
        except (aio.TaskTimeoutError, aio.DetachedError):
            pass

    def _detach_inside(self):
        self.detach(self.rng)

    def run_foreign(self, rng):
        """Call asyncio.run(), which must work where no step is on the stack."""
        done = []

        async def main():
            await asyncio.sleep(rng.choice((0, 0.001)))
            done.append(True)

        coro = main()
        try:
            asyncio.run(coro)
        except RuntimeError as exc:
            coro.close()
            if "running event loop" not in str(exc):
                raise
        else:
            if not done:
                self.world.find("asyncio.run() did not run to its end", self.record.label)

    def attach_again(self, rng):
        """Attach once more, which gives the same lease."""
        other = aio.attach(rng.choice((None, self.lease_name)), host=self.adapter)
        if other is not self.lease:
            self.world.find("a second attach() gives another lease", f"{self.record.label}: {other!r}")
            other.detach(timeout=0.5)

    def plain(self, rng):
        """Do something in a plain slot."""
        if self.record is None or not self.record.is_attached:
            return
        wanted = {name: weight for name, weight in PLAIN.items() if name not in self.world.plan.without}
        if not wanted:
            return
        names, weights = zip(*wanted.items())
        name = rng.choices(names, weights)[0]
        self.world.log(f"{self.record.label}: {name}")
        if name in ("add_reader", "start_thread"):
            getattr(self.work, name)(rng)
        else:
            getattr(self, name)(rng)


PLAIN = {
    "schedule": 6,
    "spawn": 3,
    "block": 2,
    "run_foreign": 2,
    "attach_again": 1,
    "add_reader": 2,
    "start_thread": 2,
    "emit": 4,
    "delete_something": 2,
}

"""Part c of the soak: an hour of mixed traffic, by a clock that is sped up (see clock.py), in one process.

One plug-in is there for the whole hour, has a server, and asks it as the others do. Three more, each with a vendored
copy, come and go once or twice a minute, whatever they are doing. All share one loop, which lives as long as the hour.
A minute is a cycle: at its end the guests are gone and the resident rests for the sample, its server open.

All is drawn from a generator of random numbers with a fixed seed; what real sockets and threads make of it is not.
"""

import asyncio
import hashlib
import random
import threading
from collections import Counter

from qtpy import QtCore

# The clock's seconds for a real one: an hour takes three minutes.
FACTOR = 20.0

RESIDENT = "soak_resident"
GUESTS = ("soak_north", "soak_south", "soak_west")
PLUGINS = {RESIDENT: ("_vendor", "asyncslot"), **{name: ("_libs", f"{name}_aio") for name in GUESTS}}

# How many things a plug-in does at a time.
WORKERS = 4

# Seconds for detach(), by the fast clock.
TIMEOUT = 60.0

TICK_MS = 25  # real: the host's timer, which Qt fires

SIZE = 200_000  # of a download, bytes


class Traffic:
    """What one plug-in does, from attach to detach.

    Args:
        aio: its copy.
        host: see host.py.
        seed: for its random numbers.
        done: a Counter of what was done.
        port: of the resident's server; None: this one is the resident.
    """

    def __init__(self, aio, host, seed, done, port=None):
        self.aio, self.host, self.done, self.port = aio, host, done, port
        self.random = random.Random(seed)
        self.lease = aio.attach(host=host, owner=aio.__name__.partition(".")[0])
        self.parked = 0
        self.rest_wanted = None
        self._slot = self.lease.slot(self._on_number)
        host.sender.number.connect(self._slot)
        self.start = self.lease.create_task(self._start())

    async def _start(self):
        self.rest_wanted = asyncio.Event()
        self.resumed = asyncio.Event()
        if self.port is None:
            self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = self.server.sockets[0].getsockname()[1]
            # Its threads are made now: by chance, the last one would come in the middle of the hour.
            everybody = threading.Barrier(WORKERS)
            await asyncio.gather(*[self.lease.to_thread(everybody.wait) for _ in range(WORKERS)])
        self.lease.create_task(self._listen())
        for _ in range(WORKERS):
            self.lease.create_task(self._work()).add_done_callback(self._ended)
        self.host.go_on()

    @property
    def is_resting(self):
        """Whether all of it rests."""
        return self.parked == WORKERS

    def rest(self):
        """Make a rest after what is being done; `is_resting` and the host's go_on() tell that it has begun."""
        self.resumed.clear()
        self.rest_wanted.set()

    def go_on(self):
        """End the rest."""
        self.rest_wanted.clear()
        self.resumed.set()

    def leave(self):
        """Unload, from whatever is being done."""
        report = self.aio.detach(self.lease.owner, timeout=TIMEOUT)
        self.host.sender.number.disconnect(self._slot)
        return report

    def _ended(self, task):
        if not task.cancelled() and task.exception() is not None:
            self.host.fail(task.exception())

    async def _work(self):
        kinds = {
            self._ask: 30,
            self._download: 6,
            self._compute: 10,
            self._time_out: 20,
            self._change_mind: 20,
            self._await_signal: 10,
            self._stream: 10,
            self._run_child: 1,
            self._fail: 2,
        }
        while True:
            try:
                await asyncio.wait_for(self.rest_wanted.wait(), self.random.uniform(0.1, 10))
            except asyncio.TimeoutError:
                (kind,) = self.random.choices(list(kinds), list(kinds.values()))
                await kind()
                self.done[kind.__name__.strip("_").replace("_", " ")] += 1
            else:
                self.parked += 1
                self.host.go_on()
                await self.resumed.wait()
                self.parked -= 1

    async def _listen(self):
        async for _ in self.aio.asyncSignals(self.host.sender.number):
            self.done["emission taken"] += 1

    async def _on_number(self, number):
        await asyncio.sleep(self.random.uniform(0, 1))
        self.done["slot run"] += 1

    async def _serve(self, reader, writer):
        try:
            while True:
                line = await reader.readline()
                if not line:
                    break
                writer.write(b"x" * int(line) + b"\n")
                await writer.drain()
        except (asyncio.CancelledError, ConnectionError):
            pass  # the hour is over, or a guest has gone in the middle; see also _answer() in work.py
        finally:
            writer.close()

    async def _ask(self, size=100, count=3):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2 * SIZE)
        try:
            for _ in range(count):
                writer.write(b"%d\n" % size)
                answer = await asyncio.wait_for(reader.readline(), 600)
                assert len(answer) == size + 1, f"{len(answer)} bytes came instead of {size + 1}"
                await asyncio.sleep(self.random.uniform(0, 0.5))
        finally:
            writer.close()
        await writer.wait_closed()

    async def _download(self):
        await self._ask(SIZE, 1)

    async def _compute(self):
        data = bytes(SIZE)
        digest = await self.lease.to_thread(lambda: hashlib.sha256(data).hexdigest())
        assert digest == hashlib.sha256(data).hexdigest()

    async def _time_out(self):
        before = self.lease.loop.time()
        try:
            await asyncio.wait_for(self.lease.loop.create_future(), 2)
        except asyncio.TimeoutError:
            assert self.lease.loop.time() - before >= 2 - 1e-6, "a timer fired early"

    async def _change_mind(self):
        calls = [self.lease.loop.call_later(3600, self.host.complain, "a cancelled call was made") for _ in range(5)]
        await asyncio.sleep(self.random.uniform(0, 3))
        for call in calls:
            call.cancel()

    async def _await_signal(self):
        # Qt's own timer, which knows nothing of our clock.
        timer = QtCore.QTimer()
        timer.setSingleShot(True)
        emission = self.aio.asyncSignal(timer.timeout)
        timer.start(10)
        assert await asyncio.wait_for(emission, 600) == ()

    async def _stream(self):
        async def numbers():
            for number in range(5):
                await asyncio.sleep(self.random.uniform(0, 0.2))
                yield number

        assert [number async for number in numbers()] == [0, 1, 2, 3, 4]
        async for _ in numbers():
            break  # and leaves the rest to asyncio

    async def _run_child(self):
        child = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
        out, _ = await child.communicate(b"soak")
        assert (out, child.returncode) == (b"soak", 0)

    async def _fail(self):
        async def fail():
            raise ValueError("a plug-in's fault")

        self.lease.slot(fail)()


def run(host, samples, copies, clock):
    """Yield as Host.run() wants it, until all minutes are over.

    Args:
        copies: the copies of the plug-ins by the plug-ins' names, going by `clock`.
    """
    for name in PLUGINS:
        host.expect(f"{name}: Exception in a slot")
    chance = random.Random(samples.cycles)
    samples.done = done = Counter()
    ticks = QtCore.QTimer(host.app)
    ticks.timeout.connect(lambda: host.sender.number.emit(1))
    resident = Traffic(copies[RESIDENT], host, 0, done)
    yield from host.wait(resident.start.done)
    loop = resident.lease.loop
    for number in range(1, samples.cycles + 1):
        ticks.start(TICK_MS)
        begin = clock()
        guests = {}
        for when, name in _comings_and_goings(chance):
            yield from _wait_until(host, clock, begin + when)
            if name not in guests:
                guests[name] = Traffic(copies[name], host, chance.random(), done, resident.port)
                assert guests[name].lease.loop is loop, "there are two loops"
                done["guest came"] += 1
            else:
                report = guests.pop(name).leave()
                assert not report.abandoned, str(report)
        assert not guests, "each one that comes goes"
        yield from _wait_until(host, clock, begin + 60)
        ticks.stop()
        resident.rest()
        yield from host.wait(lambda: resident.is_resting)
        # Slots still run for a second, and connections end when the other side has heard of it.
        yield from _wait_until(host, clock, clock() + 5)
        yield from host.turns()
        host.leak(number)
        if samples.is_wanted(number):
            samples.take(number)
        resident.go_on()
    assert not resident.leave().abandoned
    assert loop.is_closed(), "all have left, and the loop is there"


def _comings_and_goings(chance):
    """Return when, in seconds of a minute, which guest comes or goes, in order."""
    events = []
    for name in GUESTS:
        times = sorted(chance.uniform(0, 59) for _ in range(2 * chance.choice([1, 1, 2])))
        events += [(when, name) for when in times]
    return sorted(events)


def _wait_until(host, clock, when):
    while clock() < when:
        # The host's own wait, by Qt's clock.
        QtCore.QTimer.singleShot(int((when - clock()) / clock.factor * 1000) + 1, host.go_on)
        yield

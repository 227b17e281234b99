"""What things cost, as counts and not as times: so that a slowdown shows on a machine that is busy, too.

COSTS is the table: for each kind of work, how much of it one unit may take. A unit is measured as the difference
between many of them and twice as many, divided by how many; what happens once drops out. What depends on the clock is
switched off meanwhile: a step's budget, and how often it polls.

Counted are steps; polls of the selector by the GUI thread; calls that start, stop, enable or disable something of Qt's;
Python functions that are entered, ours and asyncio's; and memory blocks that are still allocated afterwards. The
numbers are upper bounds, met exactly by one of the Python versions: asyncio's own part differs. They were measured on
the day of the last change to the table, with all four bindings and Python 3.7, 3.9, 3.10, 3.11 and 3.13.
"""

import asyncio
import gc
import select
import selectors
import socket
import sys
from pathlib import Path

import pytest

import asyncslot
from asyncslot import _steps

UNITS = 200

# How often that is tried, until no count is over the table's.
ROUNDS = 3

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a completion port costs something else; no table yet")

# Whose functions are counted.
COUNTED = (str(Path(asyncslot.__file__).parent), str(Path(asyncio.__file__).parent), selectors.__file__)

# Of one unit, at most:                     functions
#                             steps polls Qt calls
COSTS = {
    "callback":              (0,    0,    0,    2),
    "switch":                (0,    0,    0,    6),
    "wake-up by I/O":        (1,    1,    0,    9),
    "wake-up by a timer":    (1,    1,    1,    27),
    "emission":              (0,    0,    0,    14),
    "threadsafe call":       (0,    0,    0,    5),
    "attach and detach":     (0,    0,    3,    144),
    "task that detach ends": (0,    0,    0,    35),
}  # fmt: skip

# Where the loop waits in a thread.
COSTS_WITH_THREAD = {
    **COSTS,
    "wake-up by I/O":        (1,    1,    1,    16),
    "wake-up by a timer":    (1,    1,    1,    31),
    "attach and detach":     (0,    0,    2,    148),
}  # fmt: skip


class Counter:
    """A host that counts what is asked of its Qt, and what is called inside `with`."""

    NAME = "Counter"

    def __init__(self, core):
        self.counts = dict.fromkeys(("steps", "polls", "Qt", "functions"), 0)
        self._core = CountingCore(core, self.counts)

    def is_running(self):
        return True

    def qt_core(self):
        return self._core

    def gui_parent(self):
        return None

    def on_quit(self, callback):
        return lambda: None

    def report(self, message, exc):
        raise AssertionError(message) from exc

    def progress(self, title, cancel):
        return None

    def __enter__(self):
        gc.disable()  # closed loops are garbage, and what their end costs belongs to no unit
        sys.setprofile(self._profile)

    def __exit__(self, *_):
        sys.setprofile(None)
        gc.enable()

    def _profile(self, frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(COUNTED) and not _is_of_others(frame):
            self.counts["functions"] += 1
            name = frame.f_code.co_name
            if name == "_as_step":
                self.counts["steps"] += 1
            elif name == "_as_poll_now":
                self.counts["polls"] += 1


def _is_of_others(frame):
    """Whether asyncio.all_tasks(loop) looks at a task of another loop, which an earlier test has left."""
    if frame.f_code.co_name != "_get_loop" or "fut" not in frame.f_locals:
        return False
    return frame.f_locals["fut"].get_loop() is not frame.f_back.f_locals.get("loop")


class CountingCore:
    """A QtCore whose timers and notifiers count the calls that reach Qt."""

    def __init__(self, core, counts):
        self._core = core

        def counting(kind, *names):
            def count(name):
                method = getattr(kind, name)

                def call(self, *args):
                    counts["Qt"] += 1
                    return method(self, *args)

                return call

            return type(kind.__name__, (kind,), {name: count(name) for name in names})

        self.QTimer = counting(core.QTimer, "start", "stop")
        self.QSocketNotifier = counting(core.QSocketNotifier, "setEnabled")

    def __getattr__(self, name):
        return getattr(self._core, name)


class Work:
    """The kinds of work, each a method that begins `units` of it, and returns what tells whether they are done."""

    def __init__(self, lease, core):
        self.lease = lease
        self.loop = lease.loop
        self.core = core

    def callback(self, units):
        left = [units]

        def callback():
            left[0] -= 1
            if left[0]:
                self.loop.call_soon(callback)

        self.loop.call_soon(callback)
        return lambda: not left[0]

    def switch(self, units):
        async def switch():
            for _ in range(units):
                await asyncio.sleep(0)

        return self.lease.create_task(switch()).done

    def wake_up_by_io(self, units):
        left = [units]
        ours, theirs = socket.socketpair()

        timer = self.core.QTimer()  # singleShot() of PySide2 keeps something of each call
        timer.setSingleShot(True)
        timer.timeout.connect(lambda: theirs.send(b"x"))

        def read():
            ours.recv(1)
            left[0] -= 1
            if left[0]:
                timer.start(1)  # the loop is idle by then
            else:
                self.loop.remove_reader(ours.fileno())
                ours.close()
                theirs.close()

        self.loop.add_reader(ours.fileno(), read)
        timer.start(1)
        return lambda: not left[0]

    def wake_up_by_a_timer(self, units):
        left = [units]

        def fire():
            left[0] -= 1
            if left[0]:
                self.loop.call_later(0.001, fire)

        self.loop.call_later(0.001, fire)
        return lambda: not left[0]

    def emission(self, units):
        left = [units]

        class Sender(self.core.QObject):
            fired = (getattr(self.core, "pyqtSignal", None) or self.core.Signal)(int)

        async def receive(_):
            left[0] -= 1

        sender = Sender()
        sender.fired.connect(self.lease.slot(receive))
        for _ in range(units):
            sender.fired.emit(1)
        return lambda: not left[0]

    def threadsafe_call(self, units):
        left = [units]

        def callback():
            left[0] -= 1

        for _ in range(units):
            self.loop.call_soon_threadsafe(callback)
        return lambda: not left[0]

    def task_that_detach_ends(self, units):
        other = asyncslot.attach("other", host=self.lease.host)

        async def wait():
            await self.loop.create_future()

        for _ in range(units):
            other.run_task(wait())
        other.detach()
        return lambda: True

    def attach_and_detach(self, units):
        for _ in range(units):
            with asyncslot.attach("test", host=self.lease.host):
                pass
        return lambda: True


@pytest.fixture
def measure(app, spin, monkeypatch):
    """Return a function that does some units of work, and returns what they have cost."""
    from qtpy import QtCore

    core = sys.modules[QtCore.QObject.__module__]
    monkeypatch.setattr(_steps, "_POLL_INTERVAL", 3600.0)
    monkeypatch.setattr(_steps, "_DENSE", 0.0)
    monkeypatch.setattr(asyncslot.AsyncSlotEventLoop, "step_budget", 3600.0)

    def measure(kind, units):
        counter = Counter(core)
        lease = asyncslot.attach("test", host=counter)
        if kind == "attach and detach":
            lease.detach()
        try:
            work = getattr(Work(lease, core), kind.lower().replace(" ", "_").replace("-", "_").replace("/", ""))
            gc.collect()
            before = sys.getallocatedblocks()
            with counter:
                spin(work(units))
        finally:
            lease.detach()
        gc.collect()
        return {**counter.counts, "blocks": sys.getallocatedblocks() - before}

    return measure


@pytest.mark.parametrize("kind", COSTS)
def test_a_unit_of_work_costs_no_more_than_this(request, measure, kind):
    """More steps, polls, calls to Qt or functions than the table says are a slowdown; fewer are a new table."""
    waits_in_thread = request.config.getoption("--wait") == "thread" or not hasattr(select, "epoll")
    most = dict(zip(("steps", "polls", "Qt", "functions"), (COSTS_WITH_THREAD if waits_in_thread else COSTS)[kind]))
    measure(kind, UNITS)  # caches are filled
    rounds = []
    # What a unit costs, it costs each time. What an earlier test has left to Qt, or a thread of pytest's does, comes
    # into a round now and then: blocks by the hundred that an earlier test has left to be freed, say.
    for _ in range(ROUNDS):
        once, twice = measure(kind, UNITS), measure(kind, 2 * UNITS)
        rounds.append({name: (twice[name] - once[name]) / UNITS for name in once})
        least = {name: min(costs[name] for costs in rounds) for name in once}
        # One block that stays of each unit would be 1.
        if least["blocks"] < 0.5 and all(least[name] <= most[name] * 1.05 + 0.05 for name in most):
            return
    pytest.fail(f"{kind}: {rounds}, at most {most}")


async def blocks_of_a_connection():
    """Return how many memory blocks an idle connection keeps."""
    loop, kept = asyncio.get_running_loop(), []

    async def connect():
        for _ in range(UNITS):
            ours, theirs = socket.socketpair()
            kept.append((await loop.create_connection(asyncio.Protocol, sock=ours), theirs))
        gc.collect()

    await connect()
    before = sys.getallocatedblocks()
    await connect()
    blocks = sys.getallocatedblocks() - before
    for (transport, _), theirs in kept:
        transport.close()
        theirs.close()
    await asyncio.sleep(0)
    return blocks / UNITS


def test_an_idle_connection_keeps_little_more_than_in_asyncio(lease):
    """There may be ten thousand. Ours are how fast it reads, two readers for that, and who owns it."""
    loop = asyncio.new_event_loop()
    in_asyncio = loop.run_until_complete(blocks_of_a_connection())
    loop.close()
    assert lease.run_until_complete(blocks_of_a_connection()) < in_asyncio + 10

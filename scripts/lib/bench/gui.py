"""What scripts/bench.py measures of a GUI, and of beginning and ending.

See workloads.py for how these are written.
"""

import asyncio
import compileall
import importlib
import os
import shutil
import statistics
import sys
import tempfile

from lib.bench.screen import watch
from lib.bench.workloads import clock, echo_storm, resident, storm


async def gui(bench, work):
    """Frames and input while asyncio is kept busy: by sleep(0), by echo, or by bursts of callbacks; or not at all."""
    seconds = bench.seconds * 4  # frames are few: a 99th percentile wants a hundred
    if bench.contender.app is None:
        return await _WORK[work](seconds)
    screen = watch(bench.contender, seconds)
    try:
        while not screen.is_ready:  # noqa: ASYNC110 - a window is shown once; an Event of asyncio is not Qt's to set
            await asyncio.sleep(0.005)
        figures = await _WORK[work](seconds)
    finally:
        screen.close()
    return {**figures, **screen.figures()}


async def _bursts(seconds):
    """Ten thousand callbacks of 10 µs at once, again and again."""
    loop = asyncio.get_running_loop()
    count = 0
    start = clock()
    while clock() < start + seconds:
        done = loop.create_future()
        for _ in range(10_000):
            loop.call_soon(_ten_microseconds)
        loop.call_soon(done.set_result, None)
        await done
        count += 10_000
    return {"/s": count / (clock() - start)}


def _ten_microseconds():
    until = clock() + 10e-6
    while clock() < until:
        pass


async def _switches(seconds):
    return {"/s": await storm(clock() + seconds, 100) / seconds}


async def _echoes(seconds):
    return {"/s": await echo_storm(seconds, 100) / seconds}


async def _nothing(seconds):
    await asyncio.sleep(seconds)
    return {}


_WORK = {"idle": _nothing, "switch": _switches, "echo": _echoes, "burst": _bursts}


async def signal(bench):
    """Emissions that start a coroutine which ends in its first step; from a slot, outside of asyncio."""
    contender = bench.contender
    core = contender.core
    number = bench.amount(10_000)
    count = 0
    done = asyncio.get_running_loop().create_future()

    async def receive(_):
        nonlocal count
        count += 1
        if count == number:
            done.set_result(clock())

    class Sender(core.QObject):
        # With an argument: qasync 0.28 raises for a signal that has none.
        fired = (getattr(core, "pyqtSignal", None) or core.Signal)(int)

    sender = Sender()
    slot = contender.slot(receive)
    sender.fired.connect(slot)
    times = []

    def emit():
        times.append(clock())
        for _ in range(number):
            sender.fired.emit(1)
        times.append(clock())

    core.QTimer.singleShot(0, emit)
    end = await done
    if len(times) == 1:  # the last first step came before emit() returned
        await asyncio.sleep(0.01)
    start, emitted = times
    return {
        "µs emission": (emitted - start) / number * 1e6,
        "µs to the end": (max(end, emitted) - start) / number * 1e6,
    }


async def nested(bench):
    """A task that opens a nested Qt loop: how much of their rate other tasks keep."""
    core = bench.contender.core
    seconds = bench.seconds * 2  # one per cent must be many ticks
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.002)
            ticks += 1

    def rate(start, before):
        return (ticks - before) / (clock() - start)

    ticker = asyncio.ensure_future(tick())
    await asyncio.sleep(0.05)
    start, count = clock(), ticks
    await asyncio.sleep(seconds)
    usual = rate(start, count)
    qt_loop = core.QEventLoop()
    core.QTimer.singleShot(int(seconds * 1000), qt_loop.quit)
    start, count = clock(), ticks
    bench.contender.run_qt(qt_loop)
    inside = rate(start, count)
    start, count = clock(), ticks
    await asyncio.sleep(seconds / 2)
    after = rate(start, count)
    ticker.cancel()
    return {"% ticks in it": 100 * inside / usual, "% ticks after it": 100 * after / usual}


# -- Not coroutines: about what comes before and after one. ------------------------


def attach(bench):
    """Attaching and detaching, with nothing done in between."""
    taken = []
    for _ in range(bench.amount(50)):
        start = clock()
        with bench.contender.attached():
            pass
        taken.append(clock() - start)
    return {"ms first": taken[0] * 1000, "ms": statistics.median(taken[1:]) * 1000}


def copies(bench):
    """Fifty plug-ins, each with a copy of its own: what each takes to load and to unload, in time and memory."""
    number = bench.amount(50)
    package = bench.contender.package
    with tempfile.TemporaryDirectory() as directory:
        for copy in range(number):
            place = os.path.join(directory, f"copy_{copy}")
            shutil.copytree(os.path.dirname(package.__file__), place)
            if not os.path.isdir(os.path.join(place, "host_adapters")):  # in a checkout they lie beside the package
                adapters = os.path.dirname(package.host_adapters.__file__)
                shutil.copytree(adapters, os.path.join(place, "host_adapters"))
        # As hosts have it from the second start on. Compiled anew, since bytecode of another file's time is not used.
        compileall.compile_dir(directory, quiet=2)
        sys.path.insert(0, directory)
        memory, start = resident(), clock()
        leases = [importlib.import_module(f"copy_{copy}").attach(f"plug-in {copy}") for copy in range(number)]
        loaded = clock()
        memory = max(0, resident() - memory)
        for lease in leases:
            lease.detach()
        unloaded = clock()
        sys.path.remove(directory)
    return {
        "ms to load": (loaded - start) / number * 1000,
        "ms to unload": (unloaded - loaded) / number * 1000,
        "KiB each": memory / number / 1024,
    }


def importing(bench):
    """Importing the contender after asyncio and Qt: time; and with the first attach: time, modules, memory."""
    modules, memory = len(sys.modules), resident()
    start = clock()
    bench.contender.load()
    imported = clock()
    with bench.contender.attached():
        pass
    return {
        "ms": (imported - start) * 1000,
        "ms with attach": (clock() - start) * 1000,
        "modules": len(sys.modules) - modules,
        "KiB": (resident() - memory) // 1024,
    }

"""What scripts/bench.py measures of a GUI, and of beginning and ending: see _bench_workloads for how they are written.

A frame is a precise QTimer of 16 ms, as a plug-in that animates has it; its figure is the time from one to the next.
Input is a descriptor of Qt's own, into which another process writes the time, as an X server does. Offscreen; a window
is not needed for either.
"""

import asyncio
import os
import socket
import statistics
import struct
import sys

from _bench_workloads import clock, echo_storm, percentile, start_ticker, storm

FRAME_MS = 16


class Gui:
    """Frames and input while something else runs."""

    def __init__(self, core, seconds):
        self.frames = []
        self.delays = []
        self._last = None
        self._timer = core.QTimer()
        kinds = getattr(core.Qt, "TimerType", core.Qt)
        self._timer.setTimerType(kinds.PreciseTimer)
        self._timer.timeout.connect(self._on_frame)
        self._timer.start(FRAME_MS)
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        types = getattr(core.QSocketNotifier, "Type", core.QSocketNotifier)
        self._notifier = core.QSocketNotifier(self._ours.fileno(), types.Read)
        self._notifier.activated.connect(self._on_input)
        self._ticker = start_ticker(self._theirs, 0.007, int(seconds / 0.007))

    def _on_frame(self):
        now = clock()
        if self._last is not None:
            self.frames.append(now - self._last)
        self._last = now

    def _on_input(self, *_):
        try:
            data = self._ours.recv(8 * 64)
        except BlockingIOError:
            return
        now = clock()
        self.delays.extend(now - then for (then,) in struct.iter_unpack("d", data))

    def close(self):
        self._timer.stop()
        self._notifier.setEnabled(False)
        self._ticker.kill()
        self._ticker.wait()
        self._ours.close()
        self._theirs.close()

    def figures(self):
        found = {}
        for name, values in (("frame", self.frames), ("input", self.delays)):
            if values:
                found[f"{name} ms p50"] = percentile(values, 50) * 1000
                found[f"{name} ms p99"] = percentile(values, 99) * 1000
                found[f"{name} ms max"] = max(values) * 1000
        return found


async def gui(bench, work):
    """Frames and input while asyncio is kept busy: by sleep(0), by echo, or by bursts of callbacks."""
    seconds = bench.seconds * 4  # frames are few: a 99th percentile wants a hundred
    watch = None
    if bench.contender.app is not None:
        watch = Gui(bench.contender.core, seconds)
    try:
        start = clock()
        count = await _WORK[work](seconds)
        taken = clock() - start
    finally:
        if watch is not None:
            watch.close()
    return {"/s": count / taken, **(watch.figures() if watch else {})}


async def _bursts(seconds):
    """Ten thousand callbacks of 10 µs at once, again and again; returns how many have run."""
    loop = asyncio.get_running_loop()
    count = 0
    deadline = clock() + seconds
    while clock() < deadline:
        done = loop.create_future()
        for _ in range(10_000):
            loop.call_soon(_ten_microseconds)
        loop.call_soon(done.set_result, None)
        await done
        count += 10_000
    return count


def _ten_microseconds():
    until = clock() + 10e-6
    while clock() < until:
        pass


async def _switches(seconds):
    return await storm(clock() + seconds, 100)


async def _echoes(seconds):
    return await echo_storm(seconds, 100)


_WORK = {"switch": _switches, "echo": _echoes, "burst": _bursts}


async def signal(bench):
    """Emissions that start a coroutine which ends in its first step; from a slot, outside of asyncio."""
    contender = bench.contender
    core = contender.core
    number = bench.amount(3000)
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
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticker = asyncio.ensure_future(tick())
    await asyncio.sleep(bench.seconds)
    before, ticks = ticks, 0
    qt_loop = core.QEventLoop()
    core.QTimer.singleShot(int(bench.seconds * 1000), qt_loop.quit)
    bench.contender.run_qt(qt_loop)
    during, ticks = ticks, 0
    await asyncio.sleep(bench.seconds)
    after = ticks
    ticker.cancel()
    return {"% ticks in it": 100 * during / max(before, 1), "% ticks after it": 100 * after / max(before, 1)}


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


def importing(bench):
    """Importing the contender after asyncio and Qt, and attaching once: time, modules, memory."""
    modules, memory = len(sys.modules), _memory()
    start = clock()
    bench.contender.load()
    with bench.contender.attached():
        pass
    taken = clock() - start
    return {"ms": taken * 1000, "modules": len(sys.modules) - modules, "KiB": _memory() - memory}


def _memory():
    """Return how much of this process is in memory, in KiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

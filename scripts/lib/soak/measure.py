"""What the soak counts, and how it tells a leak from noise.

After every so many cycles a *sample* is taken, when the plug-in is detached, the garbage is collected and Qt has had
its turns. The first two fifths of all cycles are the warm-up (caches fill, allocators grow) and count for nothing. The
rest is cut into *windows*, and each window stands for the lowest of its samples: what has merely not gone yet when a
sample is taken raises one sample, a leak raises all that follow.

Two ways to judge, because there are two kinds of counters:

    exact   (descriptors, threads, child processes, QObjects, leases, modules, complaints)
            The last window must not be above the first one. One too many in the whole run is a leak.
    noisy   (objects of ours, the garbage collector's, allocated blocks, the C heap, resident memory)
            Leaks per cycle = the median of the growths from each window to the next, over the cycles of a window. A
            leak grows in every window; a cache that was filled late, or a dict that doubled, does so in one. The
            *resolution* is what the noise could pretend: three times the median distance of the windows from their
            straight line (times 1.4826, which makes it a standard deviation), over the cycles of a window, and at
            least the counter's own grain. A growth above the resolution, with growth in three windows of four and at
            least half as much from the first to the last, is a leak. A resolution above the counter's limit says that
            this run could not have seen a leak worth the name, and so do fewer than four windows of two samples.

It refuses to know what was done in a cycle.
"""

import asyncio
import ctypes
import gc
import linecache
import os
import re
import resource
import statistics
import sys
import tempfile
import threading
import time
import types
import typing
from array import array
from collections import Counter

from qtpy import QtCore

# Of the cycles, what is the warm-up.
WARM_UP = 0.4

# Windows, and samples in each, when there are cycles enough.
WINDOWS = 8
SAMPLES = 12

# In what part of the windows a leak must show.
STEADY = 0.75

# Seconds that threads and children which are ending have before they are counted: at one sample, and at all together.
SETTLE, SETTLE_IN_ALL = 1.0, 5.0

EXACT = ("descriptors", "threads", "children", "QObjects", "leases", "modules", "complaints")

# Of the noisy ones: the unit, the grain (what is less than that, in each cycle, is not told from nothing) and the limit
# (what is more must be seen by a run that is to prove something). A block is one Python object of at most 512 bytes;
# the C heap holds the larger ones and all of Qt's. Resident memory comes in pages and holds the allocators' fragments:
# it is for what the other two do not see (mmap). The arenas of Python's allocator are taken off it, as they are the
# blocks', come by the megabyte, and go when some chance has emptied one.
NOISY = {
    "our objects": ("", 0.02, 0.5),
    "gc objects": ("", 0.02, 0.5),
    "Python blocks": ("", 0.02, 0.5),
    "C heap": ("bytes", 4.0, 48.0),
    "resident": ("bytes", 32.0, 256.0),
}

COUNTERS = (*EXACT, *NOISY)

_PAGE = resource.getpagesize()


class _MallInfo2(ctypes.Structure):
    """glibc's struct mallinfo2."""

    # As in malloc.h: arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost.
    _fields_ = [("before", ctypes.c_size_t * 4), ("hblkhd", ctypes.c_size_t), ("between", ctypes.c_size_t * 2)]
    _fields_ += [("uordblks", ctypes.c_size_t), ("after", ctypes.c_size_t * 2)]


def _heap_function():
    """Return glibc's mallinfo2(), from glibc 2.33 on, else None."""
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if function is not None:
        function.restype = _MallInfo2
    return function


class Samples:
    """The samples of one run, in memory that is taken in advance.

    Args:
        host: see host.py.
        cycles: how many there will be.
        packages: names of top-level packages whose objects are ours.
        period: samples are taken after a multiple of so many cycles.
        weight: how many things are done in a cycle, roughly: GRAIN and LIMIT are for each of them.

    Attributes:
        done: how often what was done, by name; for those who want to tell.
    """

    def __init__(self, host, cycles, packages, period=1, weight=1):
        self._host = host
        self._packages = tuple(packages)
        self._mallinfo2 = _heap_function()
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        self.cycles = cycles
        self._weight = weight
        self.warm_up = int(cycles * WARM_UP)
        self.every = max(1, (cycles - self.warm_up) // (WINDOWS * SAMPLES * period)) * period
        room = cycles // self.every + 2
        self.values = {name: array("d", [0.0] * room) for name in COUNTERS}
        self.at = array("l", [0] * room)
        self.count = 0
        self.done = {}
        self.first_types = None
        self.last_types = None
        self._lowest = {}
        self._patience = SETTLE_IN_ALL
        # Once for nothing: to look at a type loads what PyQt has left for later.
        self.take(0)
        self.count, self.first_types = 0, None
        self._lowest.clear()

    def is_wanted(self, cycle):
        """Whether a sample is to be taken after this cycle (the first is 1)."""
        return cycle > self.warm_up and cycle % self.every == 0

    def take(self, cycle):
        """Take a sample, at rest."""
        # Caches of Python's own, which hold what they have seen last, are emptied, as in CPython's tests for leaks.
        for clean in getattr(typing, "_cleanups", []):
            clean()
        re.purge()
        linecache.clearcache()
        gc.collect()
        self._settle()
        gc.collect()
        blocks = sys.getallocatedblocks()
        if self._trim is not None:
            self._trim(0)  # or resident memory tells when glibc last gave some back
        heap = self._heap()
        resident = _resident() - _arenas()
        counts = Counter(map(type, gc.get_objects()))
        row = {
            "descriptors": _descriptors(),
            "threads": _threads(),
            "children": _children(),
            "QObjects": self._qobjects(counts),
            "leases": _leases(),
            "modules": len(sys.modules),
            "our objects": self._ours(counts),
            "complaints": self._host.complaint_count,
            "gc objects": sum(counts.values()),
            "Python blocks": blocks,
            "C heap": heap,
            "resident": resident,
        }
        for name, value in row.items():
            self.values[name][self.count] = value
        self.at[self.count] = cycle
        self.count += 1
        if self.first_types is None:
            self.first_types = _by_name(counts)
        if cycle + self.every > self.cycles:
            self.last_types = _by_name(counts)

    def judge(self):
        """Return a list of verdicts, one for each counter; see the head of this file."""
        at = self.at[: self.count]
        return [judge(name, at, self.values[name][: self.count], self._weight) for name in COUNTERS]

    def grown_types(self):
        """Return which types have more objects at the end than at the beginning, the most first, as text."""
        grown = Counter(self.last_types or {})
        grown.subtract(self.first_types or {})
        return [f"{name} +{count}" for name, count in grown.most_common(12) if count > 0]

    def _settle(self):
        """Wait until what is ending has ended: executor threads that have been told to, children being reaped."""
        begin = time.monotonic()
        deadline = begin + min(SETTLE, self._patience)
        for name, read in (("threads", _threads), ("children", _children), ("descriptors", _descriptors)):
            now = read()
            lowest = self._lowest.setdefault(name, now)
            while now > lowest and time.monotonic() < deadline:
                time.sleep(0.002)
                now = read()
            self._lowest[name] = min(lowest, now)
        self._patience -= time.monotonic() - begin

    def _heap(self):
        if self._mallinfo2 is None:
            return 0
        info = self._mallinfo2()
        return info.uordblks + info.hblkhd

    def _qobjects(self, counts):
        """Count Python's QObjects, and those that the application has as children, which may be C++'s own."""
        wrappers = sum(count for kind, count in counts.items() if issubclass(kind, QtCore.QObject))
        return wrappers + len(self._host.app.findChildren(QtCore.QObject))

    def _ours(self, counts):
        """Count instances of our classes, and our functions, classes and modules."""
        total = sum(count for kind, count in counts.items() if self._is_ours(_module(kind)))
        for thing in gc.get_objects():
            kind = type(thing)
            if kind is types.FunctionType or issubclass(kind, type):
                total += self._is_ours(_module(thing))
            elif kind is types.ModuleType:
                total += self._is_ours(thing.__name__)
        return total

    def _is_ours(self, module):
        return module.partition(".")[0] in self._packages


def judge(name, at, values, weight=1):
    """Judge one counter.

    Args:
        at: after which cycle each sample was taken.
        values: the samples, at least two.

    Returns:
        A dict: name, unit, lows (of the windows), leak (per cycle), resolution (likewise), verdict ("ok", "LEAK",
        "UNCLEAR").
    """
    windows = min(WINDOWS, max(4, len(values) // 3), len(values))
    size = len(values) // windows
    skipped = len(values) - windows * size  # what does not make a window is added to the warm-up
    lows = [min(values[skipped + i * size : skipped + (i + 1) * size]) for i in range(windows)]
    cycles = (at[-1] - at[0]) / (len(at) - 1) * size  # of a window
    result = {"name": name, "unit": "", "lows": lows}
    if name == "complaints":  # of which the first one counts
        leak = values[-1] / at[-1]
    elif name in EXACT:
        leak = max(0.0, (lows[-1] - lows[0]) / (cycles * (windows - 1)))
    if name in EXACT:
        return dict(result, leak=leak, resolution=0.0, verdict="LEAK" if leak else "ok")
    unit, grain, limit = NOISY[name]
    growths = [later - earlier for earlier, later in zip(lows, lows[1:])]
    growth = statistics.median(growths)
    line = [low - growth * i for i, low in enumerate(lows)]
    center = statistics.median(line)
    noise = 3 * 1.4826 * statistics.median(abs(low - center) for low in line)
    leak, resolution = growth / cycles, max(grain * weight, noise / cycles)
    is_steady = sum(each > 0 for each in growths) >= STEADY * len(growths) and sum(growths) >= growth * len(growths) / 2
    if windows < 4 or size < 2 or (resolution > limit * weight and leak <= resolution):
        verdict = "UNCLEAR"
    elif leak > resolution and is_steady:
        verdict = "LEAK"
    else:
        verdict = "ok"
    return dict(result, unit=unit, leak=leak, resolution=resolution, verdict=verdict)


def _module(thing):
    module = getattr(thing, "__module__", None)
    return module if isinstance(module, str) else ""


def _by_name(counts):
    names = Counter()
    for kind, count in counts.items():
        names[f"{_module(kind)}.{kind.__qualname__}"] += count
    return names


def _resident():
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE


def _arenas():
    """Return the bytes in the arenas of Python's allocator, which tells them only to stderr."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        found = re.search(rb"(\d+) arenas \* (\d+) bytes", file.read())
    return int(found[1]) * int(found[2]) if found else 0  # with PYTHONMALLOC there are none


def _descriptors():
    return len(os.listdir("/proc/self/fd"))


def _threads():
    """Count the system's threads: Qt's too, and those that Python has forgotten."""
    return max(len(os.listdir("/proc/self/task")), threading.active_count())


def _children():
    """Count child processes, those included that have ended and were not waited for."""
    me, count = str(os.getpid()), 0
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                with open(f"/proc/{pid}/stat") as file:
                    # The name, in brackets, may hold anything.
                    count += file.read().rpartition(")")[2].split()[1] == me
            except OSError:
                pass  # it has ended meanwhile
    return count


def _leases():
    """Count what is at the meeting point: places and leases, of every copy."""
    places = [place for name, each in vars(asyncio).items() if "asyncslot" in name for place in each.values()]
    return len(places) + sum(len(place["leases"]) for place in places)

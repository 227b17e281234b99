"""One sample of scripts/bench.py: one workload on one loop, in this process; prints one line of JSON.

    cd scripts; python3 -m lib.bench.worker '{"workload": "chain", "loop": "asyncslot", "binding": "PyQt5"}'

Further keys: `paths` (put in front of sys.path, for contenders that are not installed), `seconds` (how long to count)
and `size` (factor for fixed amounts).
"""

import functools
import json
import os
import sys

from lib.bench import gui, jobs, loops, reads
from lib.bench import workloads as core
from lib.bench.job_ways import WAYS

LOOPS = {**loops.LOOPS, **WAYS}

# Those that are this project.
OURS = {"asyncslot", "asyncslot-streams", "asyncslot-thread"}

# Jobs come first: that is what users feel.
JOBS = {
    "tiles-0ms": functools.partial(jobs.tiles, delay=0.0),
    "tiles-5ms": functools.partial(jobs.tiles, delay=0.005),
    "feed": jobs.feed,
    "server": jobs.calls,
}

# What there is to measure, in the order of the table. Those that are no coroutine functions run outside of the loop.
WORKLOADS = {
    **JOBS,
    "chain": core.chain,
    "switch1": functools.partial(core.switch, tasks=1),
    "switch100": functools.partial(core.switch, tasks=100),
    "switch1000": functools.partial(core.switch, tasks=1000),
    "burst100k": core.burst,
    "pending1000": functools.partial(core.pending, tasks=1000),
    "pending5000": functools.partial(core.pending, tasks=5000),
    "pending20000": functools.partial(core.pending, tasks=20_000),
    "pending100k": functools.partial(core.pending, tasks=100_000),
    "pending20000-event": functools.partial(core.pending, tasks=20_000, shared=True),
    "echo1": functools.partial(core.echo, connections=1),
    "echo100": functools.partial(core.echo, connections=100),
    "echo100-malloc": functools.partial(core.echo, connections=100),
    "echo1-untrimmed": functools.partial(core.echo, connections=1),
    "echo100-untrimmed": functools.partial(core.echo, connections=100),
    "streams-untrimmed": core.streams,
    "echo10-idle1000": functools.partial(core.echo, connections=10, idle=1000),
    "echo1000-idle10k": functools.partial(core.connections, busy=1000, idle=10_000),
    "streams": core.streams,
    "bulk1": functools.partial(reads.bulk, connections=1),
    "bulk100": functools.partial(reads.bulk, connections=100),
    "bulk1-tls": functools.partial(reads.bulk, connections=1, tls=True),
    "bulk100-tls": functools.partial(reads.bulk, connections=100, tls=True),
    "tokens-streams": functools.partial(reads.tokens, client="streams"),
    "tokens-streams-tls": functools.partial(reads.tokens, client="streams", tls=True, is_whole=False),
    "tokens-streams-tls-16k": functools.partial(reads.tokens, client="streams", tls=True),
    "tokens-httpx": functools.partial(reads.tokens, client="httpx"),
    "tokens-httpx-tls": functools.partial(reads.tokens, client="httpx", tls=True, is_whole=False),
    "tokens-httpx-tls-16k": functools.partial(reads.tokens, client="httpx", tls=True),
    "tokens-aiohttp": functools.partial(reads.tokens, client="aiohttp"),
    "tokens-aiohttp-tls": functools.partial(reads.tokens, client="aiohttp", tls=True, is_whole=False),
    "tokens-aiohttp-tls-16k": functools.partial(reads.tokens, client="aiohttp", tls=True),
    "tokens-websockets": functools.partial(reads.tokens, client="websockets"),
    "tokens-websockets-tls": functools.partial(reads.tokens, client="websockets", tls=True, is_whole=False),
    "tokens-websockets-tls-16k": functools.partial(reads.tokens, client="websockets", tls=True),
    "sleep-1ms": core.sleep_1ms,
    "timers10k": core.timers,
    "wake": core.wake,
    "wake-fds1000": functools.partial(core.wake, fds=1000),
    "wake-fds5000": functools.partial(core.wake, fds=5000),
    "wake-timers10k": functools.partial(core.wake, timers=10_000),
    "wake-timers100k": functools.partial(core.wake, timers=100_000),
    "executor": core.executor,
    "threadsafe": core.threadsafe,
    "threadsafe-latency": core.threadsafe_latency,
    "signal": gui.signal,
    "gui-idle": functools.partial(gui.gui, work="idle"),
    "gui-switch": functools.partial(gui.gui, work="switch"),
    "gui-echo": functools.partial(gui.gui, work="echo"),
    "gui-burst": functools.partial(gui.gui, work="burst"),
    "gui-idle-x": functools.partial(gui.gui, work="idle"),
    "gui-switch-x": functools.partial(gui.gui, work="switch"),
    "gui-echo-x": functools.partial(gui.gui, work="echo"),
    "gui-burst-x": functools.partial(gui.gui, work="burst"),
    "idle": core.idle,
    "attach": gui.attach,
    "copies50": gui.copies,
    "import": gui.importing,
    "nested": gui.nested,
    "nested-unix": gui.nested,
}
OUTSIDE = {"attach", "copies50", "import", *JOBS}
ONLY_WITH_QT = {"signal", "copies50", "gui-idle", "gui-idle-x", "import", "nested", "nested-unix"}
ONLY_WITH_QT |= {name for name in WORKLOADS if name.startswith("tokens-")}
ONLY_WITH_QT |= set(JOBS)
ON_SCREEN = {name for name in WORKLOADS if name.endswith("-x")}

WITH_WIDGETS = {*ON_SCREEN, *JOBS}

# The loops that are asked for a job, besides the ways that know nothing else.
USUAL = ["asyncslot", "qtinter", "qasync", "pump-20ms"]

# A workload may need a package.
PACKAGES = {
    name: reads.PACKAGES[package]
    for name in WORKLOADS
    for package in reads.PACKAGES
    if name.startswith(f"tokens-{package}")
}

# So may a way of fetching tiles; a loop does it by the last one.
_FETCHERS = {"asyncslot-streams": None, "Qt": None, "Qt-more": None, "threads": "urllib3"}

# Where it matters how our loop waits.
WAITING = {name for name in WORKLOADS if name.startswith("wake")}
WAITING |= {"echo1", "sleep-1ms", "executor", "threadsafe-latency", "idle"}

# Above it a buffer is memory of its own, and above the other the end of the heap is given back; bytes.
MMAP_THRESHOLD = "glibc.malloc.mmap_threshold=8388608"
UNTRIMMED = f"{MMAP_THRESHOLD}:glibc.malloc.trim_threshold=67108864"

# A workload may need something of its environment, before the process starts; None: that it is not set.
ENVIRONMENT = {
    "nested-unix": {"QT_NO_GLIB": "1"},
    "echo100-malloc": {"GLIBC_TUNABLES": None},
    **{name: {"GLIBC_TUNABLES": UNTRIMMED} for name in WORKLOADS if name.endswith("-untrimmed")},
    **{name: {"QT_QPA_PLATFORM": "xcb"} for name in ON_SCREEN},
}


def fits(loop, workload, binding):
    """Whether there is anything to measure."""
    if workload in JOBS:
        return _does_job(loop, workload, binding)
    if loop in WAYS:
        return False
    if loop == "QtAsyncio" and binding != "PySide6":
        return False
    if loop == "asyncslot-thread":
        return workload in WAITING
    if loop == "uvloop" and (workload.startswith("gui-") or workload == "idle"):
        return False  # it has no GUI, and is not what others are compared with
    if workload == "copies50":
        return loop == "asyncslot"  # others' plug-ins do not bring copies that meet
    if workload.startswith("gui-idle"):
        return loop in ("asyncslot", "qtinter")  # about the machine, and not the contender
    return not (loop in ("plain", "uvloop") and workload in ONLY_WITH_QT)


def needs(loop, workload):
    """Return the name of the package that has to be installed; None if there is none."""
    if workload.startswith("tiles-"):
        return _FETCHERS.get(loop, "aiohttp")
    return PACKAGES.get(workload)


def _does_job(loop, workload, binding):
    if loop in ("asyncslot-streams", "Qt-more") and not workload.startswith("tiles-"):
        return False  # in the other jobs there is one way only
    if loop == "Qt-more" and binding not in ("PyQt6", "PySide6"):
        return False
    return loop in WAYS or loop in USUAL


def environment(workload, **more):
    """Return the environment of a process that is to run this workload."""
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", **more, **ENVIRONMENT.get(workload, {})}
    return {name: value for name, value in env.items() if value is not None}


def sample(workload, loop, binding, seconds=0.4, size=1.0):
    """Run one workload and return its figures."""
    contender = LOOPS[loop](binding)
    contender.make_app(has_widgets=workload in WITH_WIDGETS)
    bench = core.Bench(contender, seconds, size)
    if workload != "import":
        contender.load()
    if workload in OUTSIDE:
        return WORKLOADS[workload](bench)
    return contender.run(WORKLOADS[workload](bench))


def main():
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    request = json.loads(sys.argv[1])
    sys.path[:0] = request.pop("paths", [])
    try:
        result = {"figures": sample(**request)}
    except Exception as exc:
        result = {"error": f"{type(exc).__name__}: {exc}"}
    # Not through exit handlers: what a contender leaves behind (threads, tasks, Qt objects) is not what is measured.
    sys.stdout.write("\n" + json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

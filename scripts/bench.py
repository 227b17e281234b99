"""Measure our loop beside plain asyncio and every other way of having asyncio in Qt: `python3 scripts/bench.py`.

Each sample is a process of its own. The samples of one round follow each other, so that whatever else the machine does
meets all contenders; each contender is compared with plain asyncio of the same round, and the table shows the median
of these ratios ("x1.25": 1.25 times worse than plain asyncio). Seven rounds by default. Keep the machine quiet.

Contenders: plain asyncio and uvloop (without Qt, for information), this project (as a vendored copy), and once more
where its way of waiting matters, waiting in a thread as on other systems; qtinter, PyPI's asyncslot 0.3.1, qasync,
PySide6's QtAsyncio, and the timer pumps of 20 ms and 0 ms that plug-ins use. They are installed by pip into
.work/bench/<binding>/, with the binding, and nowhere else. One that takes too long for a workload is asked only once
for it; the report says so. Those that are far from asyncio, near another's figures, or for information, are asked in
three rounds.

Workloads tiles-0ms, tiles-5ms, feed and server are jobs, which can be done without asyncio, too. They have contenders
of their own (lib/bench/job_ways.py): Qt's network classes, threads, and asyncio in a thread.

Workloads tokens-... have a naive loop over 2,000 tokens that are there at once, by each client: -tls with a record for
each, -tls-16k with as few records as can be.

Workloads whose name ends with -x have a window and a moving pointer, on an Xvfb of their own.

glibc's allocator gives large buffers back to the kernel, or not, by what happened before: asyncio's receive buffer
costs 4 or 26 µs by luck. So the threshold for memory of its own is fixed; `--malloc default` leaves it alone, as
echo100-malloc always does. Even so the end of the heap may move with each buffer of plain asyncio's, which asks for
256 KiB where we ask for 64; workloads whose name ends with -untrimmed show what is left without that.

    python3 scripts/bench.py                                      all of it, PyQt5 and PySide6, an hour
    python3 scripts/bench.py --quick                              the main things on PyQt5, two minutes
    python3 scripts/bench.py --workloads chain echo1 --loops asyncslot qasync --rounds 3
    python3 scripts/bench.py --json results.json --plot results.svg
    python3 scripts/bench.py --show results.json --plot results.svg     what an earlier run has found

Exit codes: 0; 1 if no sample of our own loop succeeded for some workload; 2 if the machine could not be set up.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from lib.bench.worker import JOBS, LOOPS, MMAP_THRESHOLD, ON_SCREEN, OURS, WORKLOADS, environment, fits
from lib.machine import (
    QT6_LIBRARIES,
    QT_LIBRARIES,
    WORK,
    XVFB,
    SetupError,
    display,
    find_interpreter,
    need_packages,
    need_venv,
    run_quietly,
    say,
    venv_packages,
)

BENCH = WORK / "bench"
SCRIPTS = Path(__file__).resolve().parent

# What is installed for each binding, and the Python that it runs on. PySide6 6.12 aborts on Pythons before 3.12.
BINDINGS = {
    "PyQt5": ("3.11", ["PyQt5"]),
    "PyQt6": ("3.13", ["PyQt6"]),
    "PySide2": ("3.10", ["PySide2"]),
    "PySide6": ("3.13", ["PySide6-Essentials", "PySide6-Addons"]),
}
# With these, another process moves the pointer.
XTEST = ["libx11-6", "libxtst6"]
CONTENDERS = ["qtinter==0.11.0", "qasync==0.28.0", "uvloop"]
# What streams tokens, and fetches tiles.
CLIENTS = ["aiohttp", "httpx", "urllib3", "websockets"]
NAMESAKE = "asyncslot==0.3.1"

QUICK_LOOPS = ["plain", "asyncslot", "qtinter", "qasync", "pump-0ms"]
QUICK_WORKLOADS = [
    *("chain", "switch1", "switch100", "echo1", "echo100", "wake", "executor", "threadsafe", "signal"),
    *("gui-switch", "gui-burst"),
]
QUICK_ROUNDS = 3

# Seconds that a sample may take; some contenders lose a task, and wait for it for ever.
TIMEOUT = 60
# Seconds after which one is not asked again: no figure is worth an hour. An idle loop takes a bit more than five.
PATIENCE = 5.8
# The same for a job, which is of a size, and not of a time.
JOB_PATIENCE = 30
# Whose figures are near another's, or far from all, or for information only: they are asked in the first rounds only.
SELDOM = ["QtAsyncio", "asyncslot-0.3.1", "pump-0ms", "pump-20ms", "qasync", "threads", "uvloop"]
# Where figures of peers are the same in each round: there, these only are asked in all.
SETTLED = ["idle", "nested", "nested-unix"]
ALWAYS = ["plain", "asyncslot", "asyncslot-thread"]
SELDOM_ROUNDS = 3


def main():
    options = _parse_arguments()
    try:
        if options.show:
            _show(need_venv("-e .[bench]"), options.show, options.plot)
            return 0
        on_screen = [*XVFB, *XTEST] if ON_SCREEN.intersection(options.workloads) else []
        need_packages([*venv_packages(), *QT_LIBRARIES, *QT6_LIBRARIES, *on_screen], "the bindings")
        reporter = need_venv("-e .[bench]")
        pythons = {binding: _need_contenders(binding) for binding in options.bindings}
        file = Path(options.json or BENCH / "results.json").resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        with _screen(options.workloads) as screen:
            result = _run(pythons, screen, file, options)
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    _show(reporter, file, options.plot)
    say(f"figures: {file}")
    return 0 if _ours_ran(result, options) else 1


def _parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the main workloads and contenders, three rounds")
    parser.add_argument("--bindings", nargs="+", choices=BINDINGS, help="default: PyQt5 PySide6")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, metavar="NAME", help=", ".join(WORKLOADS))
    parser.add_argument("--loops", nargs="+", choices=LOOPS, metavar="NAME", help=", ".join(LOOPS))
    parser.add_argument("--rounds", type=int, help="default: 7")
    parser.add_argument("--malloc", choices=["fixed", "default"], default="fixed", help="glibc's mmap threshold")
    parser.add_argument("--json", metavar="FILE", help="default: .work/bench/results.json")
    parser.add_argument("--plot", metavar="FILE", help="draw the ratios, as SVG")
    parser.add_argument("--show", metavar="FILE", help="measure nothing, but show these results")
    options = parser.parse_args()
    options.bindings = options.bindings or (["PyQt5"] if options.quick else ["PyQt5", "PySide6"])
    options.workloads = options.workloads or (QUICK_WORKLOADS if options.quick else list(WORKLOADS))
    options.loops = options.loops or (QUICK_LOOPS if options.quick else list(LOOPS))
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else 7)
    if "plain" not in options.loops:
        options.loops.insert(0, "plain")  # what the others are compared with
    return options


def _show(reporter, file, plot):
    """Print the tables, and draw the plot if there is a file for it."""
    files = [str(Path(each).resolve()) for each in (file, plot) if each]
    subprocess.run([reporter, "-m", "lib.bench.report", *files], cwd=str(SCRIPTS), check=True)


# -- set-up --------------------------------------------------------------------------


def _need_contenders(binding):
    """Install the binding and all contenders, unless they are there, copy ours anew; return the Python to use."""
    version, packages = BINDINGS[binding]
    place = BENCH / binding
    python = place / "venv" / "bin" / "python"
    note = place / "installed.txt"
    wanted = "\n".join([version, *packages, *CONTENDERS, *CLIENTS, NAMESAKE])
    if not note.exists() or note.read_text() != wanted:
        interpreter = find_interpreter(version)
        if interpreter is None:
            raise SetupError(f"{binding} is measured on Python {version}, which is neither among pyenv's nor on PATH.")
        say(f"set-up: installing {', '.join([*packages, *CONTENDERS, *CLIENTS, NAMESAKE])}")
        run_quietly([interpreter, "-m", "venv", "--clear", str(place / "venv")], timeout=300)
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        run_quietly([*pip, *packages, *CONTENDERS, *CLIENTS], timeout=1800)
        # Beside the environment: its name is ours.
        run_quietly([*pip, "--no-deps", "--upgrade", "--target", str(place / "namesake"), NAMESAKE], timeout=600)
        note.write_text(wanted)
    run_quietly([sys.executable, str(SCRIPTS / "vendor.py"), str(place / "ours"), "--force"], timeout=60)
    # Else the first sample would compile, and be the only one that does.
    run_quietly([str(python), "-m", "compileall", "-q", str(place / "ours"), str(SCRIPTS)], timeout=60)
    return str(python)


def _machine():
    cpus = len(os.sched_getaffinity(0))
    return {"system": platform.platform(), "cpus": cpus, "load at start": os.getloadavg()[0], "date": time.ctime()}


@contextlib.contextmanager
def _screen(workloads):
    """Give the environment variables of a display for those that want one; never the user's, as the pointer moves."""
    if not ON_SCREEN.intersection(workloads):
        yield {}
        return
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        os.environ.pop(name, None)
    with display() as (env, name):
        if "DISPLAY" not in env:
            raise SetupError(f"Workloads whose name ends with -x need Xvfb; there is only {name}.")
        yield {"DISPLAY": env["DISPLAY"]}


# -- samples ---------------------------------------------------------------------------


def _run(pythons, screen, file, options):
    """Take all samples, write them into the file, and return them."""
    result = {"machine": _machine(), "malloc": options.malloc, "rounds": options.rounds}
    if options.rounds > SELDOM_ROUNDS:
        result["first rounds only"] = {"rounds": SELDOM_ROUNDS, "loops": SELDOM, "peers in": SETTLED}
    result["bindings"] = {}
    hopeless = {}
    for number in range(options.rounds):
        for binding, python in pythons.items():
            say(f"round {number + 1} of {options.rounds}, {binding}")
            start = time.monotonic()
            samples = result["bindings"].setdefault(binding, [])
            samples.append(_round(binding, python, number, screen, hopeless.setdefault(binding, {}), options))
            file.write_text(json.dumps(result, indent=1), encoding="utf-8")  # now: a long run may be interrupted
            say(f"    {time.monotonic() - start:.0f} s")
    return result


def _round(binding, python, number, screen, hopeless, options):
    """Take one sample of everything; return {workload: {loop: figures or error}}.

    Args: hopeless: {(workload, loop): error} of those that took too long; they are not asked again, and added here.
    """
    samples = {}
    for workload in options.workloads:
        loops = [loop for loop in options.loops if fits(loop, workload, binding)]
        if number >= SELDOM_ROUNDS:
            usual = [] if workload in SETTLED else [loop for loop in loops if loop not in SELDOM]
            loops = [loop for loop in loops if loop in ALWAYS or loop in usual]
        # Another one is first in each round: no contender always meets what the one before has left behind.
        turn = number % len(loops) if loops else 0
        samples[workload] = {}
        for loop in loops[turn:] + loops[:turn]:
            if (workload, loop) in hopeless:
                samples[workload][loop] = hopeless[workload, loop]
                continue
            sample = _sample(python, binding, loop, workload, screen, options.malloc)
            samples[workload][loop] = sample
            if loop not in OURS and sample["seconds"] > (JOB_PATIENCE if workload in JOBS else PATIENCE):
                hopeless[workload, loop] = {"error": f"took {sample['seconds']:.0f} s, not asked again"}
    return samples


def _sample(python, binding, loop, workload, screen, malloc):
    place = "ours" if loop in OURS else "namesake" if loop == "asyncslot-0.3.1" else None
    request = {"workload": workload, "loop": loop, "binding": binding}
    request["paths"] = [str(BENCH / binding / place)] if place else []
    env = environment(workload, **screen, GLIBC_TUNABLES=MMAP_THRESHOLD if malloc == "fixed" else None)
    command = [python, "-m", "lib.bench.worker", json.dumps(request)]
    start = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=env, cwd=SCRIPTS)
        sample = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        sample = {"error": f"no end within {TIMEOUT} s"}
    except (IndexError, ValueError):
        sample = {"error": f"exit code {done.returncode}: {done.stderr[-300:]}"}
    return {**sample, "seconds": round(time.monotonic() - start, 2)}


def _ours_ran(result, options):
    """Return whether there is a figure of ours for everything, and name what failed."""
    if "asyncslot" not in options.loops:
        return True
    failed = {
        (binding, workload, samples[workload]["asyncslot"].get("error"))
        for binding, rounds in result["bindings"].items()
        for workload in options.workloads
        if not any("figures" in samples[workload]["asyncslot"] for samples in rounds)
        for samples in rounds
    }
    for binding, workload, error in sorted(failed):
        say(f"{binding}, {workload}: asyncslot failed: {error}")
    return not failed


if __name__ == "__main__":
    sys.exit(main())

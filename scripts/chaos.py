#!/usr/bin/env python3
"""Does it hold when everything happens at once? Run seeds of the chaos program: `python3 scripts/chaos.py`.

A *seed* is a small world that lives for about a second: three to five plug-ins, each with a copy of asyncslot or two
with one, that are loaded, reloaded and purged, attach and detach, make tasks, slots, servers, threads and dialogs in
dialogs; a neighbour who turns a loop of his own; collections at odd moments; a host that quits from anywhere. After
each lease and each seed it is judged what must hold. In scripts/lib/chaos, see world.py for the world, actions.py and
work.py for what happens in it, checks.py for what must hold.

Seeds run one after the other in a process, until one of them has a finding. That seed is run again, alone, to tell
whether it is the same each time: Qt and the system have a say in when things happen. A process that crashes or hangs is
a finding, too.

    python3 scripts/chaos.py --seeds 200                    200 seeds on each binding
    python3 scripts/chaos.py --minutes 15 --cells PyQt5     for a quarter of an hour, on one binding
    python3 scripts/chaos.py --cells PySide6-3.13 --seed 7  this seed, with all that it did
    python3 scripts/chaos.py --here --seed 7 --shrink       in this Python; with as few actions as still fail

Exit codes: 0; 1 if there was a finding; 2 if this machine could not be set up.
"""

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from lib.chaos import packages
from lib.machine import QT6_LIBRARIES, QT_LIBRARIES, ROOT, SetupError, need_packages, say
from matrix import TABLE, prepare

# One cell for each binding: a Python in the middle, and the newest, on which asyncio differs most.
CELLS = ("PyQt5-3.11", "PyQt6-3.12", "PySide2-3.10", "PySide6-3.13")

# Seeds that one process lives through at the most.
BATCH = 25

# Seconds that a seed may take. It takes one, and some more if it waits in vain for something.
LIMIT = 40

# How a seed that has failed is shown in a table of many.
MOST_SEEDS = 12


def main():
    options = _parse_arguments()
    if sys.platform != "linux":
        say("The chaos program reads /proc, which only Linux has.")
        return 2
    try:
        pythons = {"here": sys.executable} if options.here else _set_up(options.cells)
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    results = []
    with tempfile.TemporaryDirectory() as directory:
        packages.make(directory)
        for cell, python in pythons.items():
            chaos = Chaos(cell, python, Path(directory), options)
            if options.shrink:
                chaos.shrink(options.seed[0])
            else:
                chaos.run_all()
            results.append(chaos.result)
            say(f"\n{table(chaos.result)}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    bad = [result["cell"] for result in results if result["failed"]]
    say(f"\nFAILED: {', '.join(bad)}" if bad else "\nNothing was found.")
    return 1 if bad else 0


def _parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="how many; 200 by default")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="the first of them; 1 by default")
    parser.add_argument("--minutes", type=float, help="as many seeds as there is time for, on each binding")
    parser.add_argument("--seed", type=int, nargs="+", metavar="N", help="these seeds; one alone is shown with its log")
    parser.add_argument("--cells", nargs="+", metavar="CELL", help=f"cells of matrix.py; {' '.join(CELLS)} by default")
    parser.add_argument("--binding", metavar="NAME", help="one binding, on the Python that it has by default")
    parser.add_argument("--here", action="store_true", help="use this Python as it is; set nothing up")
    parser.add_argument("--again", type=int, default=2, metavar="N", help="how often a seed that fails is run again")
    parser.add_argument("--keep", help="with --seed: the numbers of the actions that are done, with commas")
    parser.add_argument("--shrink", action="store_true", help="with --seed: leave out what it does not need to fail")
    parser.add_argument("--kind", help="with --shrink: the finding that is to remain; the first one by default")
    parser.add_argument("--without", metavar="WORDS", help="what does not happen, with commas: see world.Plan")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE, too")
    parser.add_argument("--limit", type=float, default=LIMIT, help=f"seconds that a seed may take; {LIMIT} by default")
    parser.add_argument("--inject", metavar="FAULT", help="a fault on purpose, which must be found: see faults.py")
    options = parser.parse_args()
    if options.binding:
        options.cells = [name for name in CELLS if name.startswith(options.binding + "-")]
        if not options.cells:
            parser.error(f"There is no binding {options.binding!r}; {', '.join(CELLS)}")
    return options


def _set_up(words):
    """Return the Pythons of the cells that are wanted, by cell."""
    need_packages(QT_LIBRARIES + QT6_LIBRARIES, "the bindings")
    words = words or CELLS
    # A binding alone means its default cell, and not all that matrix.py has of it.
    names = [name for word in words for name in CELLS if name.partition("-")[0] == word] or words
    cells = [cell for cell in TABLE if not cell.options and any(cell.is_meant_by(name) for name in names)]
    if not cells:
        raise SetupError(f"No such cell: {', '.join(words)}. There are: {', '.join(cell.name for cell in TABLE)}")
    missing = [cell.name for cell in cells if not prepare(cell)]
    if missing:
        raise SetupError(f"These cells could not be made: {', '.join(missing)}")
    return {cell.name: str(cell.python) for cell in cells}


class Chaos:
    """Seeds in one cell.

    Attributes:
        result: what was found, as it goes into the JSON file.
    """

    def __init__(self, cell, python, directory, options):
        self._python = python
        self._directory = directory
        self._options = options
        self._log = directory / "log.txt"
        self._errors = directory / "stderr.txt"
        self._runtime = directory / "runtime"
        self._runtime.mkdir(mode=0o700, exist_ok=True)
        self.result = {"cell": cell, "what": self._ask(), "seeds": 0, "actions": 0, "seconds": 0, "counts": {}}
        self.result["failed"] = []

    def run_all(self):
        """Run all seeds that were asked for."""
        options, start = self._options, time.monotonic()
        if options.seed:
            seeds = iter(options.seed)
        elif options.minutes:
            seeds = itertools.count(options.first)
        else:
            seeds = iter(range(options.first, options.first + options.seeds))
        end = start + options.minutes * 60 if options.minutes else float("inf")
        counts = Counter()
        say(f"{self.result['cell']}: {self.result['what']}")
        left = list(itertools.islice(seeds, BATCH))
        while left and time.monotonic() < end:
            done = 0
            for result in self._run(left):
                done += 1
                self.result["seeds"] += 1
                self.result["actions"] += result["actions"]
                counts.update(result["counts"])
                if result["findings"]:
                    self._note(result)
                if time.monotonic() > end:
                    break
            left = left[done:] + list(itertools.islice(seeds, done))
        self.result["counts"] = dict(counts.most_common())
        self.result["seconds"] = round(time.monotonic() - start, 1)

    def _note(self, result):
        """Take up a seed that has failed, run it again, and say so."""
        kind, text = result["findings"][0]
        same = 0
        for _ in range(self._options.again):
            (other,) = self._run([result["seed"]])
            same += any(found[0] == kind for found in other["findings"])
        result["again"] = f"{same} of {self._options.again}"
        self.result["failed"].append(result)
        say(f"seed {result['seed']}: {kind}: {text[:300]}  (again: {result['again']})")
        for kind, text in result["findings"][1:5]:
            say(f"    then {kind}: {text[:160]}")
        if self._options.seed and len(self._options.seed) == 1:
            say("\n".join(["", *result["log"], "", *result["states"]]))

    def shrink(self, seed):
        """Find few actions with which a seed still fails in the same way, and run these."""
        options = self._options
        (first,) = self._run([seed])
        if not first["findings"]:
            say("It does not fail.")
            return
        kind = options.kind or first["findings"][0][0]
        numbers = list(range(first["planned"]))
        size = len(numbers) // 2
        while size:
            before = len(numbers)
            start = 0
            while start < len(numbers):
                fewer = numbers[:start] + numbers[start + size :]
                if any(self._has(seed, fewer, kind) for _ in range(1 + options.again)):
                    numbers = fewer
                else:
                    start += size
            say(f"{kind}: {len(numbers)} actions")
            if size > 1 or len(numbers) == before:
                size //= 2
        options.keep = ",".join(map(str, numbers))
        options.seed = [seed]
        self.run_all()
        say(f"--seed {seed} --keep {options.keep}")

    def _has(self, seed, numbers, kind):
        self._options.keep = ",".join(map(str, numbers))
        (result,) = self._run([seed])
        return any(found[0] == kind for found in result["findings"])

    # -- processes -----------------------------------------------------------

    def _ask(self):
        code = "import platform, qtpy; from qtpy import QtCore; print(qtpy.API_NAME, qtpy.PYQT_VERSION or "
        code += "qtpy.PYSIDE_VERSION, 'with Qt', QtCore.qVersion() + ', Python', platform.python_version())"
        done = subprocess.run([self._python, "-c", code], stdout=subprocess.PIPE, env=self._environment())
        return done.stdout.decode().strip()

    def _environment(self):
        mine = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") and name != "QT_API"}
        return {**mine, "QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(self._runtime)}

    def _run(self, seeds):
        """Yield the results of seeds in a process of their own, up to the first that has findings."""
        command = [self._python, "-X", "faulthandler", "-m", "lib.chaos.run"]
        command += [str(self._directory), str(self._log), ",".join(map(str, seeds)), f"--limit={self._options.limit}"]
        if self._options.keep is not None:
            command.append(f"--keep={self._options.keep}")
        if self._options.without:
            command.append(f"--without={self._options.without}")
        if self._options.inject:
            command.append(f"--inject={self._options.inject}")
        if self._log.exists():
            self._log.unlink()
        with open(self._errors, "wb") as errors:
            process = subprocess.Popen(
                command,
                cwd=str(ROOT / "scripts"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment(),
            )
        # faulthandler ends a seed that hangs; this is for what even that cannot end.
        watch = threading.Timer(self._options.limit * len(seeds) + 60, process.kill)
        watch.daemon = True
        watch.start()
        done = 0
        try:
            for line in process.stdout:
                result = json.loads(line.decode())
                done += 1
                yield result
                if result["findings"]:
                    return
            process.wait()
        finally:
            watch.cancel()
            process.stdout.close()
            if process.poll() is None:
                process.kill()
                process.wait()
        if done < len(seeds):
            yield self._describe_end(seeds[done], process.returncode)

    def _describe_end(self, seed, code):
        """Return the result of a seed whose process has ended."""
        errors = self._errors.read_text(encoding="utf-8", errors="replace")
        log = self._log.read_text(encoding="utf-8", errors="replace").splitlines() if self._log.exists() else []
        if "Timeout (" in errors:
            kind = "it hangs"
        elif code < 0:
            kind = f"it crashes: {signal.Signals(-code).name}"
        else:
            kind = f"the process ends: {code}"
        found = [line.partition("FOUND: ")[2].partition(": ") for line in log if "FOUND: " in line]
        findings = [[first, text] for first, _, text in found]
        stack = "\n".join(errors.splitlines()[-60:])
        where = [line.strip() for line in errors.splitlines() if line.startswith("  File ")][:4]
        return {
            "seed": seed,
            "seconds": 0,
            "plugins": [],
            "actions": sum(": " in line[9:] for line in log),
            "planned": 150,
            "counts": {},
            "findings": [[kind, " < ".join(where)], *findings],
            "log": log[-60:] + stack.splitlines(),
            "states": [],
        }


def table(result):
    """Return what was found in a cell as text."""
    failed = result["failed"]
    lines = [
        f"{result['cell']}: {result['what']}",
        f"{result['seeds']:,} seeds, {result['actions']:,} actions, {result['seconds']:,.0f} s; "
        f"{len(failed)} seeds with findings",
    ]
    kinds = {}
    for each in failed:
        kinds.setdefault(each["findings"][0][0], []).append(each["seed"])
    for kind, seeds in sorted(kinds.items(), key=lambda item: -len(item[1])):
        more = "" if len(seeds) <= MOST_SEEDS else ", ..."
        lines.append(f"{len(seeds):>5}  {kind:<60}  seeds {', '.join(map(str, seeds[:MOST_SEEDS]))}{more}")
    if result["counts"]:
        lines.append("done: " + ", ".join(f"{count:,} x {name}" for name, count in result["counts"].items()))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

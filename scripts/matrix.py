"""Run the tests on every binding and every Python that matter, and print one table: `python3 scripts/matrix.py`.

A *cell* is one binding on one Python, in a virtual environment and a process of its own, because two bindings in one
process are two Qts. The cells are those of TABLE: each binding on the Pythons that its hosts really embed, which
together are all Pythons from 3.7 to 3.13; and the oldest bindings in reach, on which attach() and detach() must work.

Interpreters are looked for among pyenv's and on PATH, and are not installed from here. What is missing is said at the
end, and is an error with --require. The environments lie under .work/matrix/ and are used again by the next run.

Python 3.14 is another matter: where it is missing, this is a Debian and we are root, a Debian that has it is made under
.work/ (scripts/lib/debian.py). It is not released yet, and moves: so its cells run only when they are named.

The slow tests, which start a host or a process for each case, run on one binding of each kind, PyQt5 (in
scripts/test.py) and PySide6, and on the two others those that are about Qt's objects and about hosts; --all-slow runs
all of them on each binding. One cell of each Python also runs CPython's own asyncio tests on our loop, nested and
attached. Their columns show passed/failed/skipped. A quick run leaves them out, and so does one with arguments for
pytest. One old and one new cell run the tests with real libraries (tests/neighbours/guests), too; what those need
besides Qt is the same everywhere.

    python3 scripts/matrix.py                             all of it
    python3 scripts/matrix.py --quick                     each binding once, with the oldest and the newest Python
    python3 scripts/matrix.py --cells PyQt5-3.7 PySide6   these only; a binding alone names all of its cells
    python3 scripts/matrix.py --cells PyQt6-3.14          a cell that runs only when it is named
    python3 scripts/matrix.py --cells PyQt6 -- -k slots   what follows -- goes to pytest

Exit codes: 0; 1 if a test failed or, with --require, a cell was missing; 2 if this machine could not be set up.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import textwrap
import time
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from lib.debian import can_have, need_python
from lib.machine import (
    PIP_INSTALL,
    QT6_LIBRARIES,
    QT_LIBRARIES,
    ROOT,
    WORK,
    SetupError,
    find_interpreter,
    need_packages,
    run_quietly,
    say,
)

# What tests/neighbours/guests needs besides what pip installs.
GUEST_PACKAGES = ["dbus", "mosquitto", "postgresql", "redis-server"]

# Seconds for all tests of one cell; each single test has a far shorter limit of its own in pyproject.toml.
TIMEOUT = 2400

# The tests for bindings that are only promised to import and to attach.
ATTACH_TESTS = tuple(f"tests/lease/test_{name}.py" for name in ("lease", "detach", "lease_errors"))

# Where the slow tests are in which a binding may differ from another one of its kind.
SLOW_OF_THE_BINDING = ("tests/hosts", "tests/surface")

# The tests to which it is something how the loop waits: not those of adapters, vendoring and examples.
WAITING_TESTS = ("tests/lease", "tests/loop", "tests/neighbours", "tests/surface")

# Characters of a failed test's message that are shown beside its name.
SHOWN = 600

# How CPython's own tests are run: see tests/cpython/run.py.
CPYTHON_MODES = ("nested", "attached")
CPYTHON_COUNTS = re.compile(r"^together +(\d+) +(\d+) +(\d+)", re.MULTILINE)

# Prints what a cell really runs, as JSON.
VERSIONS = """
import json, platform, sys
core = __import__(sys.argv[1] + ".QtCore").QtCore
binding = getattr(core, "PYQT_VERSION_STR", None) or sys.modules[sys.argv[1]].__version__
print(json.dumps({"python": platform.python_version(), "binding": binding, "qt": core.qVersion()}))
"""


class Cell:
    """One binding on one Python.

    Args:
        name: "<binding>-<Python>", or "<binding>==<version>-<Python>" for a binding that is not the newest.
        is_quick: whether --quick runs it.
        runs_slow: whether it runs the slow tests, too.
        slow_in: the directories whose slow tests it runs; empty: all.
        runs_cpythons: whether it runs CPython's own tests, too.
        has_guests: whether it runs the tests with real libraries, too.
        waits_in_thread: whether its loop waits as on other systems, in a thread. Such a cell shares the environment of
            the one that does not.
        is_named_only: whether it runs only when it is named.
        tests: paths for pytest; empty: all.

    Attributes:
        enter: what a command begins with that runs in the cell's Debian; empty: this system.
        result: what happened, as it goes into the JSON file. `status` is "passed", "failed" or "missing".
    """

    def __init__(
        self,
        name,
        *,
        is_quick=False,
        runs_slow=False,
        slow_in=(),
        runs_cpythons=False,
        has_guests=False,
        waits_in_thread=False,
        is_named_only=False,
        tests=(),
    ):
        self.options = ["--wait", "thread"] if waits_in_thread else []
        self.name = " ".join([name, *self.options])
        self.is_quick = is_quick
        self.runs_slow = runs_slow
        self.slow_in = slow_in
        self.runs_cpythons = runs_cpythons
        self.has_guests = has_guests
        self.is_named_only = is_named_only
        self.tests = tests
        self.enter = []
        self.place = WORK / "matrix" / name
        requirement, _, self.python_version = name.rpartition("-")
        self.binding, is_pinned, _ = requirement.partition("==")
        extras, pins = ["test"], []
        if has_guests:
            extras += ["guests", "stubs"]
            if self.binding == "PySide6":
                extras.append("guests-pyside6")
        if is_pinned:
            pins.append(f"{requirement}.*")
        else:
            # pyproject.toml's extra names the newest one, with its exceptions for some Pythons.
            extras.append(self.binding)
        self.requirements = ["-e", f".[{','.join(extras)}]", *pins]
        self.result = {"cell": self.name, "status": "missing"}

    @property
    def python(self):
        """The interpreter of the cell's environment."""
        return self.place / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def is_meant_by(self, word):
        """Whether a word from the command line names this cell."""
        return word.lower() == self.name.lower() or (word.lower() == self.binding.lower() and not self.is_named_only)


TABLE = [
    Cell("PyQt5-3.7", runs_cpythons=True, is_quick=True),
    Cell("PyQt5-3.8", runs_cpythons=True),
    # scripts/test.py runs the project's own tests on this Python and binding.
    Cell("PyQt5-3.11", runs_cpythons=True, has_guests=True, tests=("tests/neighbours",)),
    Cell("PyQt5-3.11", has_guests=True, waits_in_thread=True, tests=WAITING_TESTS),
    Cell("PySide2-3.7"),
    Cell("PySide2-3.10", runs_cpythons=True, is_quick=True, runs_slow=True, slow_in=SLOW_OF_THE_BINDING),
    Cell("PyQt6-3.9", runs_cpythons=True),
    Cell("PyQt6-3.12"),
    Cell("PyQt6-3.13", runs_cpythons=True, is_quick=True, runs_slow=True, slow_in=SLOW_OF_THE_BINDING),
    Cell("PySide6-3.9"),
    Cell("PySide6-3.11"),
    Cell("PySide6-3.12", runs_cpythons=True, is_quick=True, runs_slow=True),
    Cell("PySide6-3.13", has_guests=True),
    Cell("PyQt6-3.14", runs_cpythons=True, is_named_only=True),
    Cell("PySide6-3.14", is_named_only=True),
    Cell("PyQt5==5.12-3.7", tests=ATTACH_TESTS),
    Cell("PySide2==5.12-3.7", tests=ATTACH_TESTS),
]


def main():
    options = _parse_arguments()
    cells = _select(options.cells, options.quick)
    for cell in cells:
        if options.all_slow:
            cell.slow_in = ()
        # A run with arguments of its own is another row than one without.
        cell.result["cell"] = " ".join([cell.name, *options.pytest])
    start = time.monotonic()
    try:
        need_packages(QT_LIBRARIES + QT6_LIBRARIES, "the bindings")
        if any(cell.has_guests for cell in cells):
            need_packages(GUEST_PACKAGES, "the tests with real libraries")
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    # One after the other: all of them write the project's one egg-info directory.
    ready = [cell for cell in cells if prepare(cell)]
    prepared = time.monotonic()
    if options.setup_only:
        say(f"set-up: {prepared - start:.0f} s")
        return 1 if options.require and len(ready) < len(cells) else 0
    with_cpythons = not options.quick and not options.pytest
    with ThreadPoolExecutor(options.jobs) as pool:
        # The long ones first, or one of them is left alone at the end.
        ordered = sorted(ready, key=lambda cell: (not cell.runs_slow, not cell.runs_cpythons))
        list(pool.map(lambda cell: _run(cell, options.pytest, with_cpythons), ordered))
    done = time.monotonic()

    say(f"\n{table(cells)}\n\n{skips(cells)}set-up {prepared - start:.0f} s, tests {done - prepared:.0f} s")
    if options.json is not None:
        options.json.write_text(json.dumps([cell.result for cell in cells], indent=1) + "\n", encoding="utf-8")
    failed = [cell.name for cell in cells if cell.result["status"] == "failed"]
    if failed:
        say(f"FAILED: {', '.join(failed)}")
    missing = [cell.name for cell in cells if cell.result["status"] == "missing"]
    if missing:
        say(f"{'FAILED, ' if options.require else ''}not available: {', '.join(missing)}")
    return 1 if failed or (missing and options.require) else 0


def _parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="run one cell for each binding")
    parser.add_argument("--cells", nargs="+", metavar="CELL", help="run these cells, or all cells of these bindings")
    parser.add_argument("--setup-only", action="store_true", help="make the environments and run nothing")
    parser.add_argument("--all-slow", action="store_true", help="run all slow tests on each binding")
    parser.add_argument("--require", action="store_true", help="fail if a cell cannot be made here")
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time; 2 by default, as tests look at the clock")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE, too")
    parser.add_argument("pytest", nargs="*", help="after --: arguments for pytest")
    return parser.parse_args()


def _select(words, quick):
    """Return the cells that the command line asks for."""
    strangers = [word for word in words or () if not any(cell.is_meant_by(word) for cell in TABLE)]
    if strangers:
        sys.exit(f"No such cell: {', '.join(strangers)}. There are: {', '.join(cell.name for cell in TABLE)}")
    cells = [
        cell
        for cell in TABLE
        if (words is None and not cell.is_named_only) or any(cell.is_meant_by(word) for word in words or ())
    ]
    return [cell for cell in cells if cell.is_quick or not quick]


# -- set-up --------------------------------------------------------------------


def prepare(cell):
    """Make the cell's environment, unless it is there; return whether it can be used, and say so if not."""
    try:
        interpreter = find_interpreter(cell.python_version)
        if interpreter is None and can_have(cell.python_version):
            cell.enter = need_python(cell.python_version)
            interpreter = f"/usr/bin/python{cell.python_version}"
        if interpreter is None:
            raise SetupError(f"no Python {cell.python_version} with venv and ensurepip among pyenv's or on PATH")
        _need_venv(cell, interpreter)
    except SetupError as exc:
        cell.result["reason"] = str(exc)
    else:
        return True
    say(f"{cell.name}: not available: {cell.result['reason']}")
    return False


def _need_venv(cell, interpreter):
    """See that the cell's environment is there and is what pyproject.toml and the table say now."""
    note = cell.place / "made-from.txt"
    project = sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    made_from = [interpreter, " ".join(cell.requirements), project]
    noted = note.read_text(encoding="utf-8").splitlines() if note.exists() else []
    if noted == made_from:
        return
    if noted[:2] != made_from[:2]:
        say(f"{cell.name}: making its environment")
        cell.place.mkdir(parents=True, exist_ok=True)
        run_quietly([*cell.enter, interpreter, "-m", "venv", "--clear", str(cell.place / "venv")], timeout=300)
    run_quietly([*cell.enter, str(cell.python), *PIP_INSTALL, *cell.requirements], timeout=1800, cwd=ROOT)
    note.write_text("\n".join(made_from), encoding="utf-8")


# -- running -------------------------------------------------------------------


def _run(cell, for_pytest, with_cpythons):
    """Run the cell's tests, fill in its result, and say how it went."""
    # What this shell has set is for its own Python.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") and name != "QT_API"}
    start = time.monotonic()
    problems = _run_pytest(cell, env, for_pytest)
    if cell.runs_cpythons and with_cpythons:
        # Both at once: they wait for most of their time.
        with ThreadPoolExecutor(len(CPYTHON_MODES)) as pool:
            for found in pool.map(lambda mode: _run_cpythons(cell, env, mode), CPYTHON_MODES):
                problems += found
    cell.result.update(
        _read_versions(cell, env),
        system=f"{platform.system()} {platform.machine()}",
        seconds=round(time.monotonic() - start, 1),
        status="failed" if problems else "passed",
        problems=problems,
    )
    say(f"{cell.name}: {cell.result['status']}, {cell.result['seconds']:.0f} s")
    for line in [*problems, *cell.result["failures"]]:
        say(f"    {line}")


def _run_pytest(cell, env, for_pytest):
    """Run the project's tests, and return what is wrong altogether, in words."""
    report = cell.place / f"report{'-'.join(cell.options)}.xml"
    if report.exists():
        report.unlink()
    # Not the tests in the real QGIS, which have its Python and its binding and are scripts/test.py's, nor the soak,
    # and not CPython's, which have columns of their own. The others are offscreen; a process that crashes could not
    # end an Xvfb that it had started.
    left_out = ["qgis", "hosts", "soak", "once", "cpython"]
    if not cell.runs_slow:
        left_out += ["slow"] if cell.has_guests else ["slow", "neighbour"]
    command = ["-m", "pytest", f"--junitxml={report}", "-m", f"not ({' or '.join(left_out)})", "--no-xvfb"]
    command += ["--require-guests"] if cell.has_guests else ["--ignore=tests/neighbours/guests"]
    if cell.options:
        # Minutes, and how the loop waits is nothing to them. The other guests run in such a cell, too.
        command += ["--ignore=tests/neighbours/guests/test_plugins.py"]
    command += [f"--slow-in={place}" for place in cell.slow_in]
    command += [*cell.options, *cell.tests, *for_pytest]
    problems = _run_logged(cell, env, command, f"pytest{'-'.join(cell.options)}.log")
    cell.result.update(read_report(report))
    if problems and not cell.result["failures"]:
        cell.result["failed"] = None  # it did not come to its end, or not even to its beginning
    return problems


def _run_cpythons(cell, env, mode):
    """Run CPython's tests in one mode, and return what is wrong altogether, in words."""
    name = f"cpython-{mode}.log"
    problems = _run_logged(cell, env, ["tests/cpython/run.py", "--mode", mode, "--jobs", "1"], name)
    counts = CPYTHON_COUNTS.search((cell.place / name).read_text(encoding="utf-8", errors="replace"))
    cell.result[mode] = "/".join(counts.groups()) if counts else "crashed"
    return problems


def _run_logged(cell, env, arguments, log_name):
    log = cell.place / log_name
    with log.open("w", encoding="utf-8") as out:
        try:
            done = subprocess.run(
                [*cell.enter, str(cell.python), *arguments],
                cwd=ROOT,
                env=env,
                timeout=TIMEOUT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        except subprocess.TimeoutExpired:
            return [f"{log.relative_to(ROOT)}: ended after {TIMEOUT} s"]
    return [f"{log.relative_to(ROOT)}: exit code {done.returncode}"] if done.returncode else []


def _read_versions(cell, env):
    command = [*cell.enter, str(cell.python), "-c", VERSIONS, cell.binding]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def read_report(report):
    """Return the counts, the failed tests with what they said, and the reasons for skipped ones, from a JUnit file."""
    failures, skips, passed = {}, Counter(), 0
    # A process that crashed has written none.
    for case in ET.parse(report).iter("testcase") if report.exists() else ():
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        bad = [found for found in (case.find("failure"), case.find("error")) if found is not None]
        if skipped is not None:
            skips[skipped.get("message")] += 1
        elif bad:
            # One that fails, and fails to clean up too, is there twice: the first time counts. The log with the whole
            # of it is gone when the machine is.
            failures.setdefault(name, textwrap.shorten(bad[0].get("message"), SHOWN))
        else:
            passed += 1
    lines = [f"{name}: {message}" for name, message in failures.items()]
    return {"passed": passed, "failed": len(lines), "failures": lines, "skipped": dict(skips)}


# -- what is shown ---------------------------------------------------------------

HEADINGS = (
    "cell",
    "system",
    "Python",
    "binding",
    "Qt",
    "passed",
    "failed",
    "skipped",
    "CPython's nested",
    "attached",
    "seconds",
)


def table(cells):
    """Return the table of all results."""
    rows = [HEADINGS, *(_row(cell.result) for cell in cells)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * sum(widths, 2 * len(widths) - 2), *lines[1:]])


def _row(result):
    if result["status"] == "missing":
        return (result["cell"], "not available", *[""] * (len(HEADINGS) - 2))
    failed = "crashed" if result["failed"] is None else str(result["failed"])
    counts = (str(result["passed"]), failed, str(sum(result["skipped"].values())))
    cpythons = (result.get(mode, "-") for mode in CPYTHON_MODES)
    versions = (result.get(key, "?") for key in ("system", "python", "binding", "qt"))
    return (result["cell"], *versions, *counts, *cpythons, f"{result['seconds']:.0f}")


def skips(cells):
    """Say what was skipped and why: no silent skip."""
    reasons = Counter()
    for cell in cells:
        reasons.update(cell.result.get("skipped", {}))
    return "".join(f"skipped {count} x: {reason}\n" for reason, count in sorted(reasons.items()))


if __name__ == "__main__":
    sys.exit(main())

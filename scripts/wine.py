"""Run the tests on Windows, without one: `python3 scripts/wine.py`.

CPython's own Windows builds and Windows' Qt run under wine (`lib/wine.py` tells where they come from): the completion
port, named pipes, Qt's Windows event dispatcher, no Unix socket and no /proc. It proves that the code for Windows runs;
what only Windows' own kernel can show (races, consoles, moving a window by its frame) needs a real one.

    python3 scripts/wine.py                                   the cells that .ci/run runs
    python3 scripts/wine.py --cells PyQt5-3.8 PySide6-3.14    these
    python3 scripts/wine.py --cells PyQt5-3.11 --cpython      CPython's own tests of what Windows has, on our loop, too
    python3 scripts/wine.py -- -k subprocess                  what follows -- goes to pytest

The first run installs wine and a compiler from Debian (as root; else it says how) and makes each Python, all below
.work/wine/. Exit codes: 0; 1 if a test failed; 2 if this machine could not be set up.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lib.machine import ROOT, WORK, SetupError, say
from lib.wine import WindowsPython, desktop, end_wine, need_wine, windows_path
from matrix import CPYTHON_COUNTS, CPYTHON_MODES, VERSIONS, read_report, skips, table

# As pyproject.toml has it, and what pytest needs on Windows only: pip decides by the system that it runs on.
TEST_REQUIREMENTS = ["qtpy", "pytest", "pytest-timeout", "hypothesis", "setuptools", "wheel", "colorama"]

# Seconds for the tests of one cell, and for CPython's in one mode.
TIMEOUT = 1800

# CPython's tests of what is different on Windows.
CPYTHON_MODULES = [
    f"test_{name}"
    for name in ("windows_events", "events", "server", "streams", "subprocess", "sendfile", "sock_lowlevel")
]

# Tests of ours that are not run here, and why. What Windows itself does not have, the tests say themselves.
BOXES = "Qt's message boxes hang or crash under wine 8"
LINKS = "wine 8's symbolic links do not show"
NOT_UNDER_WINE = {
    "tests/house/test_examples.py::test_minimal_gui_says_hi_once_for_a_double_click": BOXES,
    "tests/tools/test_vendor.py::test_refuses_and_touches_nothing[link_to_source-plain]": LINKS,
    "tests/tools/test_vendor.py::test_refuses_and_touches_nothing[link_to_source-force]": LINKS,
}

# Boxes that are opened by open(); with Qt 6 they work.
NOT_WITH_QT5 = dict.fromkeys(
    (
        "tests/house/test_readme_cookbook.py::test_a_window_that_asks_before_it_closes",
        "tests/house/test_readme_cookbook.py::test_ask_the_user",
        "tests/house/test_readme_cookbook.py::test_be_cancelled_meanwhile",
        "tests/surface/test_dialog.py::test_a_dialog_opens_another",
        "tests/surface/test_dialog.py::test_two_dialogs_at_once_are_answered_in_any_order",
        "tests/surface/test_dialog_answers.py::test_a_box_that_deletes_itself_tells_which_button_closed_its_window",
        "tests/surface/test_dialog_answers.py::test_a_box_that_is_asked_again_does_not_give_its_old_answer",
        "tests/surface/test_dialog_answers.py::test_a_button_of_ones_own_can_be_the_one_for_escape",
        "tests/surface/test_dialog_answers.py::test_a_button_of_ones_own_is_the_answer_itself",
        "tests/surface/test_dialog_answers.py::test_a_click_that_the_box_refuses_is_no_answer",
        "tests/surface/test_dialog_answers.py::test_a_message_box_returns_the_button",
        "tests/surface/test_dialog_answers.py::test_any_other_dialog_returns_its_code",
        "tests/surface/test_dialog_answers.py::test_to_show_the_details_is_no_answer",
        "tests/surface/test_dialog_ends.py::test_deleted_under_the_task_it_ends_with_an_error",
    ),
    BOXES,
)

NOT_WITH_PYODIDE = dict.fromkeys(
    (
        "tests/loop/test_loop.py::test_tls[nested]",
        "tests/loop/test_loop.py::test_tls[attached]",
        "tests/loop/test_reads.py::test_what_came_before_the_end_of_a_tls_connection_is_handed_over[the peer]",
        "tests/loop/test_reads.py::test_what_came_before_the_end_of_a_tls_connection_is_handed_over[we]",
        "tests/loop/test_reads.py::test_what_a_tls_connection_had_left_when_its_reader_was_paused_is_handed_over",
        "tests/house/test_example_chat.py::test_detach_in_mid_stream_ends_all[https]",
        "tests/house/test_example_chat.py::test_a_host_that_deletes_the_panel_in_mid_stream_hears_no_error[https]",
    ),
    "the standard library is pyodide's, whose ssl is empty",
)

# Where much depends on the binding. The rest, adapters, vendoring and examples, depends on Windows: one cell runs that.
OF_THE_BINDING = ("tests/lease", "tests/loop", "tests/surface")


class Cell:
    """One binding on one Python for Windows.

    Args:
        name: "<binding>-<Python>".
        requirement: what pip knows the binding as.
        not_run: tests that cannot be run, each with the reason, besides NOT_UNDER_WINE.
        tests: directories for pytest, if it is given none; empty: all.

    Attributes:
        result: what happened, in the shape of matrix.py's.
    """

    def __init__(self, name, requirement, not_run=None, tests=()):
        self.name = name
        self.tests = tests
        self.binding, _, self.version = name.rpartition("-")
        self.place = WORK / "wine" / name
        self.python = WindowsPython(self.place / "python", self.version)
        self.requirements = [requirement, *TEST_REQUIREMENTS]
        self.not_run = {**NOT_UNDER_WINE, **(not_run or {})}
        self.result = {"cell": f"{name} wine", "status": "missing"}


TABLE = {
    cell.name: cell
    for cell in (
        Cell("PyQt5-3.8", "PyQt5", NOT_WITH_QT5),
        Cell("PyQt5-3.11", "PyQt5", NOT_WITH_QT5),
        Cell("PySide6-3.14", "PySide6-Essentials", NOT_WITH_PYODIDE, OF_THE_BINDING),
    )
}
IN_CI = ["PyQt5-3.11", "PySide6-3.14"]


def main():
    options = _parse_arguments()
    cells = [TABLE[name] for name in options.cells]
    start = time.monotonic()
    try:
        need_wine()
        for cell in cells:
            cell.python.need(cell.requirements)
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    prepared = time.monotonic()
    say(f"set-up: {prepared - start:.0f} s")
    if options.setup_only:
        return 0
    try:
        with desktop(cells[0].python), ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(lambda cell: _run(cell, options), cells))
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    finally:
        end_wine()

    say(f"\n{table(cells)}\n\n{skips(cells)}set-up {prepared - start:.0f} s, tests {time.monotonic() - prepared:.0f} s")
    for cell in cells:
        for name, reason in cell.not_run.items():
            say(f"not run in {cell.name}: {name}: {reason}")
    if options.json is not None:
        options.json.write_text(json.dumps([cell.result for cell in cells], indent=1) + "\n", encoding="utf-8")
    failed = [cell.name for cell in cells if cell.result["status"] == "failed"]
    if failed:
        say(f"FAILED: {', '.join(failed)}")
    return 1 if failed else 0


def _parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--cells", nargs="+", metavar="CELL", choices=TABLE, default=IN_CI, help=", ".join(TABLE))
    parser.add_argument("--setup-only", action="store_true", help="make the Pythons and run nothing")
    parser.add_argument("--cpython", action="store_true", help="run CPython's own tests on our loop, too")
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time; 2 by default, as tests look at the clock")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE, too")
    parser.add_argument("pytest", nargs="*", help="after --: arguments for pytest")
    return parser.parse_args()


def _run(cell, options):
    """Run the cell's tests, fill in its result, and say how it went."""
    start = time.monotonic()
    problems = _run_pytest(cell, options.pytest)
    if options.cpython:
        for mode in CPYTHON_MODES:
            problems += _run_cpythons(cell, mode)
    cell.result.update(
        _read_versions(cell),
        system="Windows x86_64, wine",
        seconds=round(time.monotonic() - start, 1),
        status="failed" if problems else "passed",
        problems=problems,
    )
    say(f"{cell.name}: {cell.result['status']}, {cell.result['seconds']:.0f} s")
    for line in [*problems, *cell.result["failures"]]:
        say(f"    {line}")


def _run_pytest(cell, for_pytest):
    """Run the project's tests, and return what is wrong altogether, in words."""
    report = cell.place / "report.xml"
    if report.exists():
        report.unlink()
    command = ["-X", "faulthandler", "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={windows_path(report)}"]
    command += ["-c", windows_path(ROOT / "pyproject.toml"), "--rootdir", windows_path(ROOT)]
    command += [
        "-m",
        "not (qgis or hosts or soak or once or cpython or slow or neighbour)",
        f"--ignore={windows_path(ROOT / 'tests' / 'neighbours' / 'guests')}",
    ]
    command += [f"--deselect={name}" for name in cell.not_run]
    # Paths are as seen from the project's directory, which is not the current one: there, the source would hide
    # what was installed.
    words = [windows_path(ROOT / word) if word.startswith("tests/") else word for word in for_pytest]
    if not any(word.startswith("tests/") for word in for_pytest):
        words += [windows_path(ROOT / place) for place in cell.tests or ["tests"]]
    problems = _run_logged(cell, [*command, *words], "pytest.log")
    cell.result.update(read_report(report))
    if problems and not cell.result["failures"]:
        cell.result["failed"] = None  # it did not come to its end, or not even to its beginning
    return problems


def _run_cpythons(cell, mode):
    """Run CPython's tests in one mode, and return what is wrong altogether, in words."""
    name = f"cpython-{mode}.log"
    script = windows_path(ROOT / "tests" / "cpython" / "run.py")
    problems = _run_logged(cell, [script, "--mode", mode, "--jobs", "1", *CPYTHON_MODULES], name)
    counts = CPYTHON_COUNTS.search((cell.place / name).read_text(encoding="utf-8", errors="replace"))
    cell.result[mode] = "/".join(counts.groups()) if counts else "crashed"
    return problems


def _run_logged(cell, arguments, log_name):
    log, empty = cell.place / log_name, cell.place / "empty"
    empty.mkdir(exist_ok=True)
    status = cell.python.run(arguments, cwd=empty, log=log, timeout=TIMEOUT)
    if status is None:
        return [f"{log.relative_to(ROOT)}: ended after {TIMEOUT} s"]
    return [f"{log.relative_to(ROOT)}: exit code {status}"] if status else []


def _read_versions(cell):
    log = cell.place / "versions.log"
    status = cell.python.run(["-c", VERSIONS, cell.binding], cwd=cell.place, log=log, timeout=60)
    return json.loads(log.read_text(encoding="utf-8")) if status == 0 else {}


if __name__ == "__main__":
    sys.exit(main())

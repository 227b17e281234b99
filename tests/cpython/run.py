"""Run CPython's own asyncio tests on our event loop.

    python tests/cpython/run.py                               all modules, nested mode
    python tests/cpython/run.py --mode attached test_events   one of them, attached
    python tests/cpython/run.py --mode plain                  asyncio without us, to compare

Each module of `test.test_asyncio` runs in a process of its own, as many at once
as there are processors, and in an empty directory. The result is a table, then
everything that was not as `expected.py` says, and the exit status:

    0    exactly what was expected
    1    a test failed that should pass, or passed that should fail, or ran on a
         loop that is not ours
    2    this Python has no test.test_asyncio: an error, for a run that tests
         nothing must not look like one that passed

Runs in the Python that has asyncslot and a Qt binding (QT_API chooses, if several).
"""

import argparse
import collections
import concurrent.futures
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time

import expected

_HERE = os.path.dirname(os.path.abspath(__file__))

# A module, with all the waiting that some tests do, takes a tenth of this.
_MODULE_TIMEOUT = 600

_NO_TESTS = """\
{python} (Python {version}) has no 'test.test_asyncio', so CPython's own tests cannot run on our loop.
It comes with pyenv and with python.org's installers. On Debian and Ubuntu, for the system's Python:
    apt-get install libpython{major_minor}-testsuite
"""


class Outcome:
    """What one module came to."""

    def __init__(self, module):
        self.module = module
        self.passed = []
        self.skipped = {}
        self.failed = collections.OrderedDict()
        self.on_ours = 0
        self.left_out = 0
        self.seconds = 0.0
        self.problems = []

    def read(self, report):
        """Take in what `one_module.py` wrote down; return whether it came to its end."""
        running = None
        for line in report:
            kind, test, detail = json.loads(line)
            if kind == "start":
                running = test
            elif kind == "stop":
                running = None
                self.on_ours += bool(detail)
            elif kind == "passed":
                self.passed.append(test)
            elif kind == "failed":
                self.failed[test] = self.failed.get(test, "") + detail
            elif kind == "skipped":
                self.skipped[test] = detail
            elif kind == "stranger":
                self.problems.append(f"{test} made a loop of asyncio's own")
            elif kind == "end":
                self.left_out = detail["left_out"]
                return True
        if running is not None:
            self.failed[running] = "the process ended, or was ended, while this test was running"
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("nested", "attached", "plain"), default="nested")
    parser.add_argument("--wait", choices=("native", "thread"), default="native", help="'thread' is other systems' way")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="modules to run at once")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="tests whose name contains TEXT")
    parser.add_argument("modules", nargs="*", metavar="module", help="as in test.test_asyncio, by default all")
    args = parser.parse_args()

    package = _find_tests()
    if package is None:
        print(
            _NO_TESTS.format(
                python=sys.executable,
                version=sys.version.split()[0],
                major_minor="{}.{}".format(*sys.version_info),
            ),
            file=sys.stderr,
        )
        return 2
    modules = args.modules or expected.modules_to_run(package)
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        outcomes = list(pool.map(lambda module: _run_module(module, args), modules))
    is_whole = not args.only
    problems = [problem for outcome in outcomes for problem in judge(outcome, args.mode, is_whole)]
    _print_table(outcomes, args, time.monotonic() - start)
    for problem in problems:
        print(f"\n* {problem}")
    return 1 if problems else 0


def _find_tests():
    """Return the directory of test.test_asyncio, or None. Importing it would do more than to look."""
    try:
        spec = importlib.util.find_spec("test.test_asyncio")
    except ImportError:
        return None
    return os.path.dirname(spec.origin) if spec is not None else None


def _run_module(module, args):
    outcome = Outcome(module)
    with tempfile.TemporaryDirectory(prefix="asyncslot-cpython-") as directory:
        report = os.path.join(directory, "report")
        command = [sys.executable, os.path.join(_HERE, "one_module.py"), "--report", report]
        command += ["--mode", args.mode, "--wait", args.wait, *(f"--only={text}" for text in args.only), module]
        workplace = os.path.join(directory, "cwd")
        os.mkdir(workplace)
        start = time.monotonic()
        try:
            done = subprocess.run(
                command,
                cwd=workplace,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_MODULE_TIMEOUT,
            )
            output, how = done.stdout, f"exit status {done.returncode}"
        except subprocess.TimeoutExpired as exc:
            output, how = exc.stdout or b"", f"killed after {_MODULE_TIMEOUT} s"
        outcome.seconds = time.monotonic() - start
        has_ended = False
        if os.path.exists(report):
            with open(report) as stream:
                has_ended = outcome.read(stream)
        if not has_ended or how != "exit status 0":
            tail = output.decode(errors="replace")[-4000:]
            outcome.problems.append(f"{module} did not come to a good end ({how}):\n{tail}")
    return outcome


def judge(outcome, mode, is_whole):
    """Yield, in words, whatever is not as expected.

    Args:
        is_whole: whether all tests of the module were to run.
    """
    yield from outcome.problems
    failures = expected.failures(outcome.module) if mode != "plain" else {}
    for test, detail in outcome.failed.items():
        if test not in failures:
            yield f"{test} failed:\n{detail}"
    for test in outcome.passed:
        if test in failures and test not in outcome.failed:
            yield f"{test} passed, though expected.py says that it fails: {failures[test]}"
    if mode == "plain" or not is_whole:
        return
    for test in sorted(set(failures) - set(outcome.passed) - set(outcome.failed)):
        yield f"{test} is in expected.py, but was not run"
    if outcome.on_ours == 0:
        yield f"{outcome.module}: not one test ran a loop of ours; name it in expected.NOT_OURS, or find out why"


def _print_table(outcomes, args, seconds):
    row = "{:<28}{:>8}{:>8}{:>8}{:>9}{:>9}{:>9}"
    waiting = ", waiting in a thread" if args.wait == "thread" else ""
    print(f"Python {sys.version.split()[0]}, {args.mode} mode{waiting}")
    print(row.format("", "passed", "failed", "skipped", "left out", "on ours", "seconds"))
    lines = [
        (o.module, len(o.passed), len(o.failed), len(o.skipped), o.left_out, o.on_ours, round(o.seconds, 1))
        for o in outcomes
    ]
    for line in lines:
        print(row.format(*line))
    sums = [sum(column) for column in zip(*(line[1:6] for line in lines))]
    print(row.format("together", *sums, round(seconds, 1)))


if __name__ == "__main__":
    sys.exit(main())

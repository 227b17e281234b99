"""CPython's own asyncio tests pass on our loop, nested and attached; and a run that tests nothing does not pass.

The runs themselves are tests/cpython/run.py, which takes some minutes: `-m "not cpython"` leaves them out.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CPYTHON = Path(__file__).parent


def run(*arguments, code=None, **kwargs):
    """Run tests/cpython/run.py, or a program that may import the modules beside it."""
    command = [sys.executable, str(CPYTHON / "run.py"), *arguments] if code is None else [sys.executable, "-c", code]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1500, **kwargs)


@pytest.fixture
def harness(monkeypatch):
    """tests/cpython/run.py, as a module."""
    monkeypatch.syspath_prepend(str(CPYTHON))
    monkeypatch.delitem(sys.modules, "run", raising=False)
    monkeypatch.delitem(sys.modules, "expected", raising=False)
    import run

    yield run
    for name in ("run", "expected"):
        sys.modules.pop(name, None)


@pytest.mark.cpython
@pytest.mark.timeout(1600)
@pytest.mark.parametrize("mode", ["nested", "attached"])
def test_cpythons_own_tests_pass(mode, request):
    """All of test.test_asyncio that makes a loop, with no failure but those that tests/cpython/expected.py explains."""
    done = run("--mode", mode, "--wait", request.config.getoption("--wait"))
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:]


def test_a_missing_test_package_is_an_error(tmp_path):
    """Debian's Python comes without test.test_asyncio: that is said, with what to do, and is not a success."""
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "__init__.py").write_text("")
    code = f"import sys; sys.path[:0] = [{str(CPYTHON)!r}, {str(tmp_path)!r}]; import run; sys.exit(run.main())"
    done = run(code=code)
    assert done.returncode == 2
    assert "has no 'test.test_asyncio'" in done.stdout
    assert "-testsuite" in done.stdout


REPORTS = {
    "as expected": ([["start", "m.C.t", ""], ["passed", "m.C.t", ""], ["stop", "m.C.t", 1]], {}, []),
    "a failure": ([["failed", "m.C.t", "why"], ["stop", "m.C.t", 1]], {}, ["m.C.t failed:\nwhy"]),
    "an expected failure": ([["failed", "m.C.t", "why"], ["stop", "m.C.t", 1]], {"m.C.t": "reason"}, []),
    "an unexpected pass": (
        [["passed", "m.C.t", ""], ["stop", "m.C.t", 1]],
        {"m.C.t": "reason"},
        ["m.C.t passed, though expected.py says that it fails: reason"],
    ),
    "an expected failure that is gone": (
        [["passed", "m.C.t", ""], ["stop", "m.C.t", 1]],
        {"m.C.gone": "reason"},
        ["m.C.gone is in expected.py, but was not run"],
    ),
    "no loop of ours": (
        [["passed", "m.C.t", ""], ["stop", "m.C.t", 0]],
        {},
        ["m: not one test ran a loop of ours; name it in expected.NOT_OURS, or find out why"],
    ),
    "a loop of asyncio's own": (
        [["passed", "m.C.t", ""], ["stranger", "m.C.t", ""], ["stop", "m.C.t", 1]],
        {},
        ["m.C.t made a loop of asyncio's own"],
    ),
}


@pytest.mark.parametrize(("report", "failures", "problems"), REPORTS.values(), ids=list(REPORTS))
def test_a_run_is_as_expected_or_says_why_not(harness, monkeypatch, report, failures, problems):
    """The verdict on a module, from what its process wrote down."""
    monkeypatch.setattr(harness.expected, "FAILURES", failures)
    outcome = harness.Outcome("m")
    assert outcome.read([json.dumps(line) for line in [*report, ["end", "", {"left_out": 0}]]])
    assert list(harness.judge(outcome, "nested", True)) == problems


def test_a_process_that_ends_early_fails_the_test_that_was_running(harness):
    """A crash or a hang is known by name."""
    outcome = harness.Outcome("m")
    assert not outcome.read(['["start", "m.C.t", ""]'])
    assert list(outcome.failed) == ["m.C.t"]


@pytest.mark.parametrize("mode", ["nested", "attached"])
def test_asyncio_makes_our_loops_while_its_tests_run(mode):
    """In every place where the tests get one; and what they get elsewhere is counted."""
    code = f"""
import sys
sys.path.insert(0, {str(CPYTHON)!r})
import asyncio, loops
own = loops._OWN_LOOP
replacement = loops.replace({mode!r})
made = [asyncio.new_event_loop(), getattr(asyncio, loops._OWN_NAME)(), getattr(loops._OWN_MODULE, loops._OWN_NAME)()]
if sys.version_info >= (3, 13):
    made.append(asyncio.EventLoop())
assert all(type(loop) is replacement.loop_class for loop in made), made
assert replacement.strangers == 0
made.append(own())
assert replacement.strangers == 1
assert replacement.runs == 0
for loop in made:
    loop.close()
"""
    done = run(code=code)
    assert done.returncode == 0, done.stdout

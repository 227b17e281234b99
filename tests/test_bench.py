"""scripts/bench.py: each workload runs on our loop and on plain asyncio, and its figures are possible.

Nothing here says how fast anything is: CI's machines have other work.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from qtpy import API_NAME

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")

# All workloads of one loop in one child process after another; prints {workload: result}.
SAMPLE_ALL = """
import json, os, subprocess, sys
import _bench_worker as worker

results = {}
for name in worker.WORKLOADS:
    if sys.argv[1] == "plain" and name in worker.ONLY_WITH_QT:
        continue
    request = {"workload": name, "loop": sys.argv[1], "binding": sys.argv[2], "seconds": 0.05, "size": 0.005}
    env = {**os.environ, **worker.ENVIRONMENT.get(name, {})}
    done = subprocess.run([sys.executable, worker.__file__, json.dumps(request)], env=env, stdout=subprocess.PIPE)
    results[name] = json.loads(done.stdout.splitlines()[-1])
print(json.dumps(results))
"""


@pytest.fixture
def report(monkeypatch):
    """The module that sums up."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import _bench_report

    return _bench_report


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["plain", "asyncslot"])
def test_every_workload_gives_possible_figures(loop):
    """None fails or hangs, and each figure is a finite number that is not negative."""
    done = subprocess.run(
        [sys.executable, "-c", SAMPLE_ALL, loop, API_NAME],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdout=subprocess.PIPE,
        timeout=100,
    )
    results = json.loads(done.stdout)
    assert len(results) > 20
    for workload, result in results.items():
        assert result.get("figures"), f"{workload}: {result}"
        for name, value in result["figures"].items():
            assert math.isfinite(value), f"{workload}: {name} {value}"
            # Memory may shrink, and a loop of asyncio is early by less than its clock can tell.
            assert value >= 0 or name in ("KiB", "ms late p50"), f"{workload}: {name} {value}"


@pytest.mark.slow
def test_our_timers_are_never_early():
    """A count, and not a time: one that fires early is wrong however busy the machine is."""
    request = {"workload": "timers10k", "loop": "asyncslot", "binding": API_NAME, "size": 0.02}
    command = [sys.executable, str(SCRIPTS / "_bench_worker.py"), json.dumps(request)]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60)
    assert json.loads(done.stdout.splitlines()[-1])["figures"]["ms too early"] == 0


def sample(plain, ours, figure="calls/s"):
    """One round of one workload."""
    return {"work": {"plain": {"figures": {figure: plain}}, "asyncslot": {"figures": {figure: ours}}}}


@pytest.mark.parametrize(
    ("figure", "expected"),
    [("calls/s", 2.0), ("% ticks in it", 2.0), ("ms", 0.5)],
)
def test_a_ratio_says_how_many_times_worse(report, figure, expected):
    """Half the rate is two times worse; half the time is half as bad."""
    table = report.summarise([sample(100.0, 50.0, figure)])
    assert table["work"][figure]["asyncslot"] == (50.0, expected)


def test_the_ratio_is_the_median_over_rounds_and_not_of_medians(report):
    """A round in which the machine was busy for everybody says as much as any other."""
    rounds = [sample(100.0, 50.0), sample(10.0, 5.0), sample(40.0, 40.0)]
    assert report.summarise(rounds)["work"]["calls/s"]["asyncslot"] == (40.0, 2.0)


def test_a_sample_that_failed_is_left_out(report):
    """And the others of its round still count."""
    rounds = [{"work": {"plain": {"figures": {"ms": 2.0}}, "qasync": {"error": "no end within 60 s"}}}]
    assert report.summarise(rounds)["work"]["ms"] == {"plain": (2.0, 1.0)}
    assert report._errors(rounds) == {"work, qasync: no end within 60 s"}


def test_without_plain_asyncio_qtinter_is_what_others_are_compared_with(report):
    """Signals and nested Qt loops are nothing that asyncio alone has."""
    figures = {"qtinter": {"figures": {"ms": 4.0}}, "asyncslot": {"figures": {"ms": 1.0}}}
    assert report.summarise([{"work": figures}])["work"]["ms"]["asyncslot"] == (1.0, 0.25)

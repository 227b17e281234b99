"""scripts/bench.py: each workload runs on our loop and on plain asyncio, and its figures are possible.

Nothing here says how fast anything is: CI's machines have other work.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from qtpy import API_NAME

from readme_reader import section

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")

# All workloads of one loop in one child process after another; prints {workload: result}.
SAMPLE_ALL = """
import importlib.util, json, subprocess, sys
from lib.bench import worker
from lib import machine

results = {}
with machine.display() as (screen, _):
    for name in worker.WORKLOADS:
        if not worker.fits(sys.argv[1], name, sys.argv[2]) or (name in worker.ON_SCREEN and "DISPLAY" not in screen):
            continue
        if importlib.util.find_spec(worker.PACKAGES.get(name, "json").partition(".")[0]) is None:
            continue
        request = {"workload": name, "loop": sys.argv[1], "binding": sys.argv[2], "seconds": 0.05, "size": 0.005}
        command = [sys.executable, "-m", "lib.bench.worker", json.dumps(request)]
        env = worker.environment(name, DISPLAY=screen.get("DISPLAY"))
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE)
        results[name] = json.loads(done.stdout.splitlines()[-1])
print(json.dumps(results))
"""


@pytest.fixture
def report(monkeypatch):
    """The module that sums up."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from lib.bench import report

    return report


@pytest.fixture
def goals(monkeypatch):
    """The module that says what is to be reached."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from lib.bench import goals

    return goals


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["plain", "asyncslot", "asyncslot-thread"])
def test_every_workload_gives_possible_figures(loop):
    """None fails or hangs, and each figure is a finite number that is not negative."""
    done = subprocess.run(
        [sys.executable, "-c", SAMPLE_ALL, loop, API_NAME],
        # Never the user's own display: the pointer is moved.
        env={**os.environ, "PYTHONPATH": str(SCRIPTS), "DISPLAY": "", "WAYLAND_DISPLAY": ""},
        stdout=subprocess.PIPE,
        timeout=100,
    )
    results = json.loads(done.stdout)
    assert len(results) >= (10 if loop == "asyncslot-thread" else 20)
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
    command = [sys.executable, "-m", "lib.bench.worker", json.dumps(request)]
    done = subprocess.run(command, cwd=str(SCRIPTS), stdout=subprocess.PIPE, timeout=60)
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


def test_each_goal_names_a_workload_and_a_contender(goals):
    """A goal of a workload that is not there would never be judged, and nobody would notice."""
    from lib.bench import worker

    for goal in goals.GOALS:
        assert {goal.workload, *([goal.to] if goal.how == "own" else [])} <= set(worker.WORKLOADS), goal.row
        assert {goal.loop, *([] if goal.how == "own" else [goal.to])} <= set(worker.LOOPS), goal.row


@pytest.mark.parametrize(
    ("how", "figure", "expected"),
    [("ratio", "calls/s", 2.0), ("ratio", "ms", 0.5), ("difference", "ms", -50.0), ("value", "ms", 50.0)],
)
def test_a_goal_is_measured_in_each_round(goals, how, figure, expected):
    """As ratio to the other, as difference from it, or as it is; always the median over the rounds."""
    goal = goals.Goal("row", "work", figure, 0, 0, how=how)
    assert goal.measure([sample(100.0, 50.0, figure)] * 3) == expected


def test_a_goal_may_compare_two_workloads_of_ours(goals):
    """Many descriptors against few: not with another loop."""
    rounds = [{"few": sample(1.0, 20.0, "ms")["work"], "many": sample(1.0, 30.0, "ms")["work"]}]
    assert goals.Goal("row", "many", "ms", 2, 1, how="own", to="few").measure(rounds) == 1.5


@pytest.mark.parametrize(
    ("figure", "value", "verdict"),
    [
        *[("ms", 1.0, "goal"), ("ms", 1.5, "floor"), ("ms", 2.5, "missed")],
        *[("%", 99.5, "goal"), ("%", 95.0, "floor"), ("%", 50.0, "missed")],
    ],
)
def test_the_verdict_knows_which_way_is_better(goals, figure, value, verdict):
    """Less time and more per cent."""
    floor, goal = (90, 99) if figure == "%" else (2.0, 1.0)
    assert goals.Goal("row", "work", figure, floor, goal, how="value").verdict(value) == verdict


def test_what_was_not_measured_is_not_judged(goals):
    """A short run shows the goals that it can say something about."""
    assert goals.judge([{"chain": sample(10.0, 20.0, "callbacks/s")["work"]}])[0][2] == "goal"
    assert len(goals.judge([{"chain": sample(10.0, 20.0, "callbacks/s")["work"]}])) == 1


class TestAnotherRound:
    """Not everybody is asked again."""

    @pytest.fixture
    def bench(self, monkeypatch):
        monkeypatch.syspath_prepend(str(SCRIPTS))
        import bench

        return bench

    @pytest.fixture
    def ask(self, bench, monkeypatch):
        """Take rounds in which qasync takes too long; return who was asked in each, and the samples."""

        def ask(loops, rounds, workload="chain"):
            asked = []

            def answer(python, binding, loop, *_):
                asked[-1].append(loop)
                return {"figures": {"ms": 1.0}, "seconds": 60.0 if loop == "qasync" else 1.0}

            monkeypatch.setattr(bench, "_sample", answer)
            options = argparse.Namespace(workloads=[workload], loops=loops, malloc="fixed")
            hopeless, samples = {}, []
            for number in range(rounds):
                asked.append([])
                samples.append(bench._round("python", "PyQt5", number, {}, hopeless, options)[workload])
            return [sorted(each) for each in asked], samples

        return ask

    def test_asks_all_but_those_that_take_too_long(self, ask):
        """The result says so, and has the one figure."""
        asked, samples = ask(["plain", "qasync"], 2)
        assert asked == [["plain", "qasync"], ["plain"]]
        assert samples[0]["qasync"]["figures"] == {"ms": 1.0}
        assert samples[1]["qasync"] == {"error": "took 60 s, not asked again"}

    def test_asks_those_for_information_in_the_first_rounds(self, ask):
        """What they have found is compared with the plain asyncio of these rounds."""
        asked, _ = ask(["plain", "uvloop"], 5)
        assert asked == [["plain", "uvloop"]] * 3 + [["plain"]] * 2

    def test_asks_peers_in_the_first_rounds_where_nothing_changes(self, ask):
        """Ours is asked in all of them."""
        asked, _ = ask(["asyncslot", "qtinter"], 4, "nested")
        assert asked == [["asyncslot", "qtinter"]] * 3 + [["asyncslot"]]


@pytest.mark.once
def test_readme_shows_what_was_measured(monkeypatch):
    """Each row of its table is that of the results to which it links."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from lib.bench import readme

    told = section("How fast")
    (results,) = set(re.findall(r"\((results-[\d-]+\.json)\)", told))
    rows = [line for line in told.splitlines() if line.startswith("|")][2:]
    assert rows == readme.table(json.loads((SCRIPTS / "bench" / results).read_text(encoding="utf-8")))

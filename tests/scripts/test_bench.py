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
from qtpy.QtGui import QImage

import patience
from readme_reader import section

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")

OTHERS = ["plain", "asyncslot-thread"]

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
        if importlib.util.find_spec((worker.needs(sys.argv[1], name) or "json").partition(".")[0]) is None:
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
def worker(monkeypatch):
    """The module that knows what is measured."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from lib.bench import worker

    return worker


@pytest.fixture
def goals(monkeypatch):
    """The module that says what is to be reached."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from lib.bench import goals

    return goals


def sample_all(loop):
    """Take a small sample of each workload of a loop; return {workload: result}, each of whose figures is possible."""
    done = subprocess.run(
        [sys.executable, "-c", SAMPLE_ALL, loop, API_NAME],
        # Never the user's own display: the pointer is moved.
        env={**os.environ, "PYTHONPATH": str(SCRIPTS), "DISPLAY": "", "WAYLAND_DISPLAY": ""},
        stdout=subprocess.PIPE,
        timeout=patience.FOR_A_PROGRAM,
    )
    results = json.loads(done.stdout)
    for workload, result in results.items():
        assert result.get("figures"), f"{workload}: {result}"
        for name, value in result["figures"].items():
            assert math.isfinite(value), f"{workload}: {name} {value}"
            # Memory may shrink, and a loop of asyncio is early by less than its clock can tell.
            assert value >= 0 or name in ("KiB", "ms late p50"), f"{workload}: {name} {value}"
    return results


# Ours on more than one binding; the others, of which less depends on the binding, once.
@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncslot", *(pytest.param(name, marks=pytest.mark.once) for name in OTHERS)])
def test_every_workload_gives_possible_figures(loop):
    """None fails or hangs, and each figure is a finite number that is not negative."""
    assert len(sample_all(loop)) >= (10 if loop == "asyncslot-thread" else 20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "jobs"),
    [
        ("asyncslot-streams", {"tiles-0ms", "tiles-5ms"}),
        ("asyncio-in-thread", {"feed", "server"}),  # and tiles, where there is aiohttp
        ("threads", {"feed", "server"}),  # and tiles, where there is urllib3
        ("Qt", {"tiles-0ms", "tiles-5ms", "feed", "server"}),
    ],
)
def test_every_way_does_the_jobs_that_are_its_own(way, jobs):
    """To the end: each tile is shown, each message is in the table, each call is answered."""
    results = sample_all(way)
    assert jobs <= set(results) <= {"tiles-0ms", "tiles-5ms", "feed", "server"}
    assert all({"frame ms p99", "frame ms max"} <= set(result["figures"]) for result in results.values())


def test_a_tile_is_a_picture_of_20_kilobytes(monkeypatch):
    """What the server of the tiles sends can be decoded."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from lib.bench import job_peer

    tile = job_peer.tile()
    image = QImage.fromData(tile)
    assert 20_000 <= len(tile) <= 21_000
    assert (image.width(), image.height()) == (job_peer.SIDE, job_peer.SIDE)


@pytest.mark.parametrize(
    ("loop", "workload", "binding", "expected"),
    [
        *[("asyncslot", job, "PyQt5", True) for job in ("tiles-0ms", "tiles-5ms", "feed", "server")],
        *[("Qt", "server", "PyQt5", True), ("Qt", "chain", "PyQt5", False), ("plain", "feed", "PyQt5", False)],
        *[("Qt-more", "tiles-0ms", binding, binding == "PySide6") for binding in ("PyQt5", "PySide2", "PySide6")],
        *[("asyncslot-streams", "tiles-0ms", "PyQt5", True), ("asyncslot-streams", "feed", "PyQt5", False)],
        *[("QtAsyncio", "feed", "PySide6", False), ("asyncslot-0.3.1", "feed", "PyQt5", False)],
    ],
)
def test_a_job_has_contenders_of_its_own(worker, loop, workload, binding, expected):
    """Those that can do it, and of those that are alike one."""
    assert worker.fits(loop, workload, binding) is expected


def test_every_contender_has_its_place_in_the_report(report, worker):
    """And what is drawn is measured."""
    assert sorted(report._ORDER) == sorted(worker.LOOPS)
    assert set(report.DRAWN) <= set(worker.LOOPS)
    assert {row[0] for _, rows in report.PLOTTED for row in rows} <= set(worker.WORKLOADS)


@pytest.mark.slow
def test_our_timers_are_never_early():
    """A count, and not a time: one that fires early is wrong however busy the machine is."""
    request = {"workload": "timers10k", "loop": "asyncslot", "binding": API_NAME, "size": 0.02}
    command = [sys.executable, "-m", "lib.bench.worker", json.dumps(request)]
    done = subprocess.run(command, cwd=str(SCRIPTS), stdout=subprocess.PIPE, timeout=patience.FOR_A_PROGRAM)
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

        def ask(loops, rounds, workload="chain", seconds=60.0):
            asked = []

            def answer(python, binding, loop, *_):
                asked[-1].append(loop)
                return {"figures": {"ms": 1.0}, "seconds": seconds if loop == "qasync" else 1.0}

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

    @pytest.mark.parametrize(("workload", "expected"), [("chain", 1), ("tiles-0ms", 3)])
    def test_lets_a_job_take_longer(self, ask, workload, expected):
        """It is of a size: a slow way takes its time for it."""
        asked, _ = ask(["asyncslot", "qasync"], 3, workload, seconds=20.0)
        assert sum("qasync" in each for each in asked) == expected

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


@pytest.mark.once
def test_readme_shows_the_jobs_in_all_ways(monkeypatch, worker):
    """A table for each binding, with a row for each way that there is in it."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from lib.bench import readme

    shown = {}
    for line in section("Jobs").splitlines():
        name, *cells = [cell.strip() for cell in line.split("|")[1:-1]] or [""]
        if cells == [column[0] for column in readme.JOB_COLUMNS]:
            rows = shown[name.split()[0]] = []
        elif cells and not name.startswith("---"):
            rows.append(name)
    assert list(shown) == ["PyQt5", "PySide6"]
    for binding, rows in shown.items():
        ways = [words for way, words in readme.JOB_WAYS.items() if worker.fits(way, "tiles-0ms", binding)]
        assert rows == ways, binding

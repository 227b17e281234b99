"""scripts/soak.py: each of its parts runs and finds nothing, and what is leaked on purpose it finds.

The runs here are short. What they cannot tell is whether memory leaks slowly; that is what the long ones are for.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from qtpy import API_NAME

import patience

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

# What even a few cycles must leave exactly as it was.
EXACT = {"descriptors", "threads", "children", "QObjects", "leases", "modules", "complaints"}

pytestmark = [pytest.mark.soak, pytest.mark.skipif(sys.platform != "linux", reason="the soak reads /proc")]


@pytest.fixture
def soak(tmp_path):
    """Return a function that runs soak.py in this Python and returns its exit code, its output and the one result."""

    def soak(*arguments):
        file = tmp_path / "soak.json"
        command = [sys.executable, str(SCRIPTS / "soak.py"), "--here", "--quick", "--binding", API_NAME]
        done = subprocess.run(
            [*command, "--json", str(file), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patience.FOR_A_PROGRAM,
        )
        assert file.exists(), done.stdout
        (result,) = json.loads(file.read_text(encoding="utf-8"))
        assert "error" not in result, done.stdout
        return done.returncode, done.stdout, result

    return soak


@pytest.fixture
def judge(monkeypatch):
    """Return the soak's judgement on the samples of one counter, one sample after each cycle, as a verdict."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from lib.soak import measure

    def judge(name, values):
        return measure.judge(name, range(1, len(values) + 1), values)["verdict"]

    return judge


@pytest.mark.parametrize(
    "arguments",
    [["--part=a", "--cycles=40"], ["--part=b", "--reloads=40"], ["--part=c", "--minutes=4"]],
    ids=["cycles", "reloads", "traffic"],
)
def test_each_part_runs_and_leaves_nothing(soak, arguments):
    """A short run of each: no descriptor, thread, child, QObject, lease or module more than before, no complaint."""
    _, output, result = soak(*arguments)
    verdicts = {counter["name"]: counter["verdict"] for counter in result["counters"]}
    assert {name: verdicts[name] for name in EXACT} == dict.fromkeys(EXACT, "ok"), output


@pytest.mark.parametrize(
    ("leak", "counter", "cycles"),
    [
        ("objects", "Python blocks", 600),
        ("containers", "gc objects", 600),
        ("memories", "C heap", 600),
        ("pages", "resident", 200),
        ("descriptor", "descriptors", 40),
        ("thread", "threads", 40),
        ("child", "children", 40),
        ("QObject", "QObjects", 40),
        ("module", "modules", 40),
        ("complaint", "complaints", 40),
    ],
)
def test_a_leak_in_each_cycle_is_found(soak, leak, counter, cycles):
    """A tool that cannot fail proves nothing: one descriptor, one thread, ten objects, 4,000 bytes ... per cycle."""
    exit_code, output, result = soak("--part=a", f"--cycles={cycles}", "--leak", leak)
    verdicts = {each["name"]: each["verdict"] for each in result["counters"]}
    assert verdicts[counter] == "LEAK", output
    assert exit_code == 1


NOISE = [3, 0, 2, 5, 1, 4, 0, 2]


@pytest.mark.parametrize(
    ("name", "values", "verdict"),
    [
        ("descriptors", [7] * 80, "ok"),
        ("descriptors", [7, 9] * 40, "ok"),
        ("descriptors", [7] * 75 + [8] * 5, "ok"),
        ("descriptors", [7] * 60 + [8] * 20, "LEAK"),
        ("complaints", [0] * 79 + [1], "LEAK"),
        ("gc objects", [500] * 80, "ok"),
        ("gc objects", [500] * 30 + [900] * 50, "ok"),
        ("gc objects", [500 + n for n in range(80)], "LEAK"),
        ("gc objects", [500 + n for n in range(800)], "LEAK"),
        ("gc objects", [500 + n // 10 for n in range(800)], "LEAK"),
        ("gc objects", [500 + n + NOISE[n % 8] for n in range(80)], "LEAK"),
        ("gc objects", [500 + NOISE[n % 8] for n in range(80)], "ok"),
        ("gc objects", [500 + 100 * NOISE[n // 10] for n in range(80)], "UNCLEAR"),
        ("gc objects", [500, 501, 502, 503], "UNCLEAR"),
    ],
    ids=[
        "steady",
        "what goes late is no leak",
        "what has come last may still go",
        "one that stays is a leak",
        "one complaint counts",
        "nothing at all",
        "one step is a cache",
        "one per cycle",
        "one per cycle for long",
        "one in ten cycles",
        "one per cycle under noise",
        "noise",
        "too much noise to tell",
        "too short to tell",
    ],
)
def test_a_leak_is_told_from_noise(judge, name, values, verdict):
    """The rules at the head of lib/soak/measure.py, on samples that are made up."""
    assert judge(name, values) == verdict

"""scripts/chaos.py: seeds of it run and find nothing, and what goes wrong on purpose they find.

Here are two seeds; who looks for faults runs many, by hand.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import patience

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

pytestmark = [pytest.mark.soak, pytest.mark.skipif(sys.platform != "linux", reason="the chaos program reads /proc")]


@pytest.fixture
def chaos(tmp_path):
    """Return a function that runs chaos.py in this Python and returns its exit code, its output and the one result."""

    def chaos(*arguments):
        file = tmp_path / "chaos.json"
        command = [sys.executable, str(SCRIPTS / "chaos.py"), "--here", "--again", "0", "--json", str(file)]
        done = subprocess.run(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patience.FOR_A_PROGRAM,
        )
        assert file.exists(), done.stdout
        (result,) = json.loads(file.read_text(encoding="utf-8"))
        return done.returncode, done.stdout, result

    return chaos


def test_seeds_run_and_find_nothing(chaos):
    """Two seeds with all that there is."""
    exit_code, output, result = chaos("--seeds", "2")
    assert (exit_code, result["seeds"], result["failed"]) == (0, 2, []), output
    assert result["actions"] > 60


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("call", "called after detach()"),
        ("cancellation", "a task was cancelled, and not by its plug-in"),
        ("clean-up", "a task's clean-up was cut off"),
        ("task", "a task has neither ended nor been closed"),
        ("exception", "raised into Qt"),
        ("stderr", "on stderr: a fault"),
        ("warning", "warning: RuntimeWarning"),
        ("report", "reported: a fault"),
        ("descriptor", "a descriptor is left"),
        ("thread", "a thread is left"),
        ("child", "a child is left"),
        ("attribute", "the meeting place is left"),
        ("crash", "it crashes: SIGSEGV"),
        ("exit", "the process ends: 3"),
        ("hang", "it hangs"),
    ],
)
def test_a_fault_is_found(chaos, fault, kind):
    """One fault on purpose is found as what it is, and the exit code says so."""
    exit_code, output, result = chaos("--seed", "3", "--inject", fault, "--limit", "8")
    (failed,) = result["failed"]
    assert kind in [found[0] for found in failed["findings"]], output
    assert exit_code == 1


def test_the_same_seed_is_the_same_plan(monkeypatch):
    """A seed decides what happens; an action that is left out changes no other."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from lib.chaos.world import Plan

    first, second, other = Plan(7), Plan(7), Plan(8)
    assert vars(first) == vars(second)
    assert first.actions != other.actions
    assert len({seed for *_, seed in first.actions}) == len(first.actions)

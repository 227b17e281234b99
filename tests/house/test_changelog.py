"""CHANGELOG.md goes with the version, and names what there is."""

import asyncio
import re
from pathlib import Path

import pytest

import asyncslot

pytestmark = pytest.mark.once

CHANGELOG = (Path(__file__).resolve().parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")


def test_changelog_begins_with_this_version():
    """With its date; what is on the way to the next version is "Unreleased", and calls itself .dev."""
    (title,) = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)[:1]
    is_released = re.fullmatch(rf"\[{re.escape(asyncslot.__version__)}\] - 20\d\d-\d\d-\d\d", title)
    assert is_released or (title == "[Unreleased]" and ".dev" in asyncslot.__version__)


def test_what_changelog_advises_in_the_place_of_other_names_exists():
    """Each name that is called in the second column of its tables."""
    cells = [row.split("|")[2] for row in CHANGELOG.splitlines() if row.startswith("| ")]
    called = set(re.findall(r"([\w.]*)\(", " ".join(re.findall("`([^`]*)`", " ".join(cells))))) - {"main"}
    assert {"attach", "asyncSignal", "lease.run_task"} <= called
    for name in called:
        owner, _, attribute = name.rpartition(".")
        places = {"": asyncslot, "lease": asyncslot.Lease, "loop": asyncslot.AsyncSlotEventLoop, "asyncio": asyncio}
        assert hasattr(places[owner], attribute), name

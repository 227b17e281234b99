"""That the host has its turns of the Qt loop while asyncio always has something to do.

Counted is how often a 0 ms timer of the host's fires between two steps: once in each turn. Steps have no budget, so
each of them leaves work behind.
"""

import asyncio
import math
import os

import pytest

from asyncslot import _wakeup

STEPS = 50


@pytest.fixture
def turns_between_steps(lease, spin, monkeypatch):
    """Return a function that keeps asyncio busy and tells how many turns there were between any two steps."""
    core = lease.host.qt_core()
    monkeypatch.setattr(lease.loop, "step_budget", 0.0)

    def count(turn_is_short_until):
        monkeypatch.setattr(_wakeup, "_SHORT_TURN", turn_is_short_until)
        wait = lease.loop._as_wait
        step = wait._step
        turns = 0
        seen = []

        def turn():
            nonlocal turns
            turns += 1

        def counted(running):
            seen.append(turns)
            step(running)

        async def storm():
            while len(seen) < STEPS:  # noqa: ASYNC110 - to be busy is the point
                await asyncio.sleep(0)

        monkeypatch.setattr(wait, "_step", counted)
        timer = core.QTimer()
        timer.timeout.connect(turn)
        timer.start(0)
        tasks = [lease.create_task(storm()) for _ in range(3)]
        spin(lambda: all(task.done() for task in tasks))
        timer.stop()
        # The first ones are from before everything was busy.
        return {later - earlier for earlier, later in zip(seen[5:STEPS], seen[6:STEPS])}

    return count


def test_a_step_that_leaves_work_behind_is_followed_by_a_turn_without_one(turns_between_steps):
    """Between two steps of a busy loop the host has two turns, the second of which brings the next step."""
    assert turns_between_steps(math.inf) == {2}


def test_a_host_whose_turns_are_long_has_a_step_in_each(turns_between_steps):
    """A turn that takes long counts as two: asyncio does not lose half of its steps where Qt is turned once a frame."""
    assert turns_between_steps(0.0) == {1}


@pytest.mark.skipif(os.name == "nt", reason="no descriptor is watched there")
def test_a_descriptor_that_is_readable_brings_no_second_step_into_a_turn(lease, turns_between_steps):
    """What is readable waits for the step that is promised anyway."""
    ours, theirs = os.pipe()
    os.write(theirs, b"x")
    lease.loop.add_reader(ours, lambda: None)
    try:
        assert turns_between_steps(0.0) == {1}
        assert turns_between_steps(math.inf) == {2}
    finally:
        lease.loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)

"""How the monitor measures steps, with a clock of its own in place of the real one."""

import pytest

from asyncslot.tools._watch import FRAME, Watch


class Loop:
    """As much of a loop as is measured."""

    _as_watch = None

    def step(self, inside):
        watch = self._as_watch
        running = watch.begin_step(None)
        inside()
        watch.end_step(running, None)


@pytest.fixture
def watched():
    loop, now = Loop(), [0.0]
    watch = Watch(loop, lambda: now[0])

    def step(seconds, inside=lambda: None):
        def run():
            now[0] += seconds / 2
            inside()
            now[0] += seconds / 2

        loop.step(run)

    watch.begin()
    return loop, watch, step


def test_steps_are_counted_in_tenths_of_a_second(watched):
    """How many, how long together, and the longest."""
    _, watch, step = watched
    for seconds in (0.01, 0.005, 0.09, 0.001):
        step(seconds)
    columns = [(column.steps, round(column.busy, 6), column.longest) for column in watch.columns()[-2:]]
    assert [(steps, busy) for steps, busy, _ in columns] == [(2, 0.015), (2, 0.091)]


def test_a_step_longer_than_a_frame_is_named_by_the_loop(watched):
    """What the loop says within the step is that step's."""
    loop, watch, step = watched
    step(0.5, lambda: loop._as_watch.overran(0.498, "block() of 'feed'"))
    step(FRAME / 2, lambda: loop._as_watch.overran(0.001, "quick()"))
    assert [(round(lost.seconds, 6), lost.frames, lost.what) for lost in watch.recently_lost()] == [
        (0.5, 30, "block() of 'feed'")
    ]


@pytest.mark.parametrize("sign", ["another step", "the monitor's timer"])
def test_a_step_in_which_a_qt_loop_runs_loses_no_frame(watched, sign):
    """A dialog that a coroutine opens is open for as long as the user likes."""
    loop, watch, step = watched
    step(5.0, lambda: loop.step(lambda: None) if sign == "another step" else watch.qt_is_alive())
    assert list(watch.lost) == []


def test_a_first_step_inside_a_step_is_that_steps(watched):
    """Its time is in the step's; outside of any it counts for itself."""
    _, watch, step = watched
    first = object()
    step(0.01, lambda: watch.begin_step(first) is None or pytest.fail("measured twice"))
    watch.end_step(watch.begin_step(first), first)
    assert [column.steps for column in watch.columns()[-1:]] == [2]


def test_a_step_in_which_another_one_begins_to_measure_is_counted_by_the_first():
    """It is told of the end of what it was told the beginning of; the second measures from the next step on."""
    loop = Loop()
    first, second = Watch(loop), Watch(loop)
    first.begin()
    loop.step(second.begin)
    first.end()
    loop.step(lambda: None)
    assert [sum(column.steps for column in watch.columns()) for watch in (first, second)] == [1, 1]
    second.end()
    assert loop._as_watch is None

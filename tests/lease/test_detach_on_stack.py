"""detach() while code of the plug-in's own is on the stack: its task calls it, or sits in a dialog.

It returns soon, and the rest is done when the stack has unwound: at once then, bounded, and with asyncio alone, for the
host's Qt loop may be over. Until then nothing is frozen or closed under the code that is still to return there.
"""

import asyncio
import sys

import pytest

from asyncslot import _detach
from on_stack import PLACES, ending_in, forever, in_some_places, sit, sitting, work
from stories import Nest, beats, closing, leave, opening, tell, turns

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore:coroutine 'work' was never awaited"),
]

in_all_places = pytest.mark.parametrize("place", PLACES)

WAYS_TO_END = {
    "lease.detach()": lambda alpha: alpha.lease.detach(),
    "asyncslot.detach()": lambda alpha: alpha.detach(),
    "the host quits": lambda alpha: alpha.host.quit(),
    "all of it": lambda alpha: (alpha.detach(), alpha.host.quit(), alpha.lease.detach()),
}


# -- what has become of it when the stack has unwound -----------------------------------------------------


@pytest.mark.parametrize("way", WAYS_TO_END)
@in_all_places
def test_detach_on_its_own_stack_is_finished_when_that_has_unwound(alpha, bravo, place, way):
    """Clean-up has run, the report that detach() returned is filled in, and the loop closed if it was the last."""
    lease, log, reports = alpha.lease, [], []

    def end():
        WAYS_TO_END[way](alpha)
        reports.append(lease.detach())

    def story():
        lease.run_task(work(log))
        yield from ending_in(place, alpha, end, log)

    tell(story())
    count = sitting(place)
    assert sorted(log) == ["returned"] * count + ["sit cleaned up"] * count + ["work cleaned up"]
    report = lease.detach()
    assert report is reports[0]
    assert report.abandoned == []
    assert report.ended >= count + 1
    assert lease.loop.is_closed() == (bravo is None)
    assert alpha.host.reports == []


@in_all_places
def test_others_go_on_when_a_plugin_has_detached_on_its_own_stack(alpha, clock, place):
    """While it is there, and after it; and the last to leave closes the loop."""
    log, loop = [], alpha.lease.loop

    def end():
        alpha.detach()
        before.append(clock.beats)

    before = []
    tell(ending_in(place, alpha, end, log))
    tell(wait(beats(clock)))
    assert clock.beats > before[0]
    assert clock.lease.run_until_complete(asyncio.sleep(0.001, "works")) == "works"
    assert not loop.is_closed()
    clock.detach()
    assert loop.is_closed()
    assert clock.host.reports == []


def test_what_was_put_off_ends_one_plugin_after_the_other(alpha, clock, monkeypatch):
    """The stack unwinds for both at once. None's end begins in another's, in whose time it would take place."""
    ends, finish = [], _detach.Ending._finish

    def tell_of(ending):
        name = ending._owner.name
        ends.append(f"{name} begins")
        finish(ending)
        ends.append(f"{name} is over")

    async def slow():
        try:
            await forever()
        finally:
            await asyncio.sleep(0.05)

    def open_another():
        clock.lease.create_task(sit(inner.open, log))
        outer.open()

    def story():
        for module in (alpha, clock):
            module.lease.run_task(slow())
        alpha.lease.create_task(sit(open_another, log))
        yield lambda: inner.is_open
        alpha.detach()
        clock.detach()
        assert ends == []
        inner.close()
        outer.close()
        leave()

    log, outer, inner = [], Nest(), Nest()
    monkeypatch.setattr(_detach.Ending, "_finish", tell_of)
    tell(story())
    assert ends in (
        ["alpha begins", "alpha is over", "clock begins", "clock is over"],
        ["clock begins", "clock is over", "alpha begins", "alpha is over"],
    )
    assert sorted(log) == ["returned", "returned", "sit cleaned up", "sit cleaned up"]


def wait(condition):
    """A story in which nothing happens until something is true."""
    yield condition


@pytest.mark.parametrize("seconds", [0.001, 0.8], ids=["soon", "not so soon"])
@in_some_places
def test_what_is_not_on_the_stack_ends_before_what_is(alpha, clock, place, seconds):
    """At once if it can, and while the dialog is open if it takes longer than a moment; it is not abandoned."""
    log, ended = [], []

    async def take_time():
        try:
            await forever()
        finally:
            await asyncio.sleep(seconds)
            log.append("ended")

    def end():
        alpha.detach()
        ended.extend(log)

    def story():
        alpha.lease.run_task(take_time())
        yield from ending_in(place, alpha, end, [])

    tell(story())
    assert ended == (["ended"] if seconds < 0.1 else [])
    assert log == ["ended"]
    assert alpha.lease.detach().abandoned == []


async def wait_for_all(*tasks):
    """Wait for tasks, cancel them with the waiting task, and wait again."""
    try:
        await asyncio.wait(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


WAYS_TO_WAIT = {
    "await": lambda task: task,
    "gather()": lambda task: asyncio.gather(task),
    "wait_for()": lambda task: asyncio.wait_for(task, 60),
    "gather() of gather()": lambda task: asyncio.gather(asyncio.gather(task)),
    "another task": lambda task: asyncio.ensure_future(wait_for_all(task)),
}


@pytest.mark.parametrize("way", WAYS_TO_WAIT)
@in_some_places
def test_clean_up_that_a_cancelled_parent_waits_for_is_not_interrupted(alpha, clock, place, way):
    """A task passes its cancellation on to the one that it waits for. That one is not cancelled a second time."""
    if way == "wait_for()" and sys.version_info < (3, 9):
        pytest.skip("a cancelled wait_for() does not wait for the task before Python 3.9")
    log = []

    async def child():
        try:
            await forever()
        finally:
            await asyncio.sleep(0.3)
            log.append("child cleaned up")

    async def parent():
        await WAYS_TO_WAIT[way](asyncio.ensure_future(child()))

    def story():
        alpha.lease.create_task(parent())
        yield from turns(5)
        yield from ending_in(place, alpha, alpha.detach, [])

    tell(story())
    assert log == ["child cleaned up"]
    assert alpha.lease.detach().abandoned == []


@in_some_places
def test_what_resists_is_frozen_when_the_stack_has_unwound_and_nothing_else_is(alpha, bravo, place):
    """In bounded time, and it is in the report; whoever was on the stack has cleaned up."""
    log, tasks = [], []

    async def resist():
        while True:
            try:
                await forever()
            except asyncio.CancelledError:
                log.append("resists")

    def story():
        tasks.append(alpha.lease.run_task(resist()))
        yield from ending_in(place, alpha, lambda: alpha.lease.detach(timeout=0.3), log)

    tell(story())
    assert "sit cleaned up" in log
    report = alpha.lease.detach()
    assert ["resist" in abandoned.stack for abandoned in report.abandoned] == [True]
    assert not tasks[0].done()
    assert tasks[0]._coro.cr_frame is None
    assert [exc for _, exc in alpha.host.reports] == [None]
    assert alpha.lease.loop.is_closed() == (bravo is None)


@in_some_places
def test_clean_up_on_the_stack_that_does_not_end_is_bounded(alpha, bravo, place):
    """It has as much time as detach() was given, from when the stack has unwound."""
    log = []
    tell(ending_in(place, alpha, lambda: alpha.lease.detach(timeout=0.3), log, at_last=forever))
    report = alpha.lease.detach()
    assert log == ["returned", "sit cleaned up"]
    assert ["sit" in abandoned.stack for abandoned in report.abandoned] == [True]
    assert alpha.lease.loop.is_closed() == (bravo is None)


def test_detach_in_anothers_dialog_need_not_wait_for_that(alpha, clock):
    """Nothing of its own is on the stack; it has ended when detach() returns."""
    log = []

    def story():
        alpha.lease.run_task(work(log))
        nests = yield from opening([(clock, "task", "QDialog.exec()")])
        report = alpha.detach()
        assert log == ["work cleaned up"]
        assert (report.ended, report.abandoned) == (1, [])
        yield from closing(nests)
        yield lambda: clock.log

    tell(story())
    assert clock.log == ["goes on"]

"""detach() while a dialog stays open: what is then old code, new code, and a neighbour's."""

import asyncio
import functools
import sys
import time

import pytest

from on_stack import sit, work
from plugin_body import WAYS
from stories import Nest, beats, goes_on, has_ended, later, plugin, tell

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore:coroutine 'work' was never awaited"),
]


# -- a dialog that stays open ------------------------------------------------------------------------


def test_a_dialog_that_is_open_for_longer_than_detach_may_take(alpha, bravo):
    """Its coroutine goes on when it is closed, and cleans up; until then nobody tries to close it under its feet."""
    log, nest = [], Nest()
    alpha.lease.create_task(sit(nest.open, log))
    alpha.lease.run_task(work(log))

    def story():
        yield lambda: nest.is_open
        alpha.lease.detach(timeout=0.3)
        over = time.monotonic() + 0.6
        yield lambda: time.monotonic() > over
        assert alpha.lease.detach().abandoned == []
        nest.close()

    tell(story())
    assert log == ["work cleaned up", "returned", "sit cleaned up"]
    assert alpha.lease.detach().abandoned == []
    assert alpha.host.reports == []
    assert alpha.lease.loop.is_closed() == (bravo is None)


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="there from Python 3.12 on")
def test_a_slots_eager_first_step_is_on_the_stack(alpha, bravo):
    """Whoever calls it, a factory as well as we."""
    log, nest = [], Nest()
    alpha.lease.loop.set_task_factory(asyncio.eager_task_factory)
    later(alpha.lease.slot(functools.partial(sit, nest.open, log)))

    def story():
        yield lambda: nest.is_open
        alpha.lease.detach()
        nest.close()

    tell(story())
    assert log == ["returned", "sit cleaned up"]
    assert alpha.lease.detach().abandoned == []
    assert alpha.host.reports == []


@pytest.mark.parametrize("with_events", [False, True])
def test_what_the_old_code_starts_when_it_was_reloaded_in_its_own_step_ends_with_the_old_lease(
    alpha, clock, monkeypatch, with_events
):
    """In that very step, when the dialog is closed: its modules were purged, and the new ones have another lease."""
    log, nest = [], Nest()
    new = plugin("alpha")
    new.host = alpha.host
    namespace = vars(alpha)
    exec("async def begin(work, log):\n    asyncio.get_event_loop().create_task(work(log))", namespace)

    def reload():
        monkeypatch.setitem(sys.modules, new.__name__, new)
        new.attach()

    async def sit_and_begin():
        nest.open()
        await namespace["begin"](work, log)

    def story():
        alpha.lease.create_task(sit_and_begin())
        yield lambda: nest.is_open
        alpha.lease.detach(process_events=with_events)
        reload()
        yield beats(clock)
        nest.close()
        yield lambda: nest.is_over
        yield beats(clock)

    try:
        tell(story())
        report = alpha.lease.detach()
        assert (report.abandoned, new.lease.detach().ended) == ([], 0)
    finally:
        new.lease.detach()


@pytest.mark.parametrize("count", [1, 3], ids=["once", "three times"])
@pytest.mark.parametrize("way", WAYS)
def test_what_a_plugin_starts_that_was_reloaded_in_its_own_dialog_is_the_new_leases(alpha, clock, way, count):
    """By plain code and threads; it does not end with the old lease, when the dialog closes, but with the new one."""
    log, ran, nest = [], [], Nest()
    alpha.lease.create_task(sit(nest.open, log))

    def story():
        yield lambda: nest.is_open
        leases = [alpha.lease]
        for _ in range(count):
            alpha.detach()
            leases.append(alpha.attach())
        assert len(set(leases)) == count + 1
        alpha.schedule(way, ran)
        nest.close()
        yield lambda: "sit cleaned up" in log
        yield beats(clock)
        yield goes_on(ran)
        report = alpha.detach()
        assert report is leases[-1].detach()
        assert report.abandoned == []
        yield from has_ended(ran, clock)

    try:
        tell(story())
    finally:
        alpha.stop_watching()
    assert alpha.host.reports == clock.host.reports == []


# What asks whose code calls even before a step has come in between; call_soon() does not, see _stack.
ASK_AT_ONCE = [
    way for way in WAYS if way not in ("call_soon", "ensure_future", "asyncio.Task", "a library's create_task")
]


@pytest.mark.parametrize("way", ASK_AT_ONCE)
def test_what_the_new_code_starts_before_the_first_step_in_the_old_ones_dialog_is_the_new_leases(
    alpha, clock, monkeypatch, way
):
    """Its modules were purged and imported anew: then they tell, though the context is that of the old one's task."""
    log, ran, nest = [], [], Nest()
    alpha.detach()
    monkeypatch.setitem(sys.modules, alpha.__name__, alpha)
    alpha.attach()
    new = plugin("alpha")
    new.host = alpha.host
    reloaded = alpha.lease.loop.create_future()

    async def go_on():
        log.append("goes on")
        while True:
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                break
        await reloaded
        new.schedule(way, ran)  # as Qt may, in a dialog that is opened here

    def story():
        alpha.lease.create_task(sit(nest.open, log))
        alpha.lease.create_task(go_on())
        yield lambda: nest.is_open and "goes on" in log
        alpha.detach()
        monkeypatch.setitem(sys.modules, new.__name__, new)
        new.attach()
        reloaded.set_result(None)
        yield lambda: ran
        nest.close()
        yield lambda: "sit cleaned up" in log
        yield beats(clock)
        yield goes_on(ran)
        assert new.detach().abandoned == []
        yield from has_ended(ran, clock)

    try:
        tell(story())
    finally:
        new.stop_watching()
        new.detach()
    assert alpha.host.reports == clock.host.reports == []


@pytest.mark.parametrize("way", WAYS)
def test_what_a_neighbour_starts_while_a_task_detaches_with_qts_events_is_the_neighbours(alpha, clock, way):
    """Qt calls the neighbour's plain code in the context of that task."""
    ran, log, neighbour = [], [], plugin("neighbour")

    async def clean_up_slowly():
        try:
            await asyncio.sleep(10)
        finally:
            while not ran:  # noqa: ASYNC110 - a list of the test's
                await asyncio.sleep(0.001)

    async def detach():
        later(neighbour.schedule, way, ran)
        alpha.lease.detach(process_events=True)
        log.append("detached")

    def story():
        tasks = [alpha.lease.create_task(clean_up_slowly())]
        yield beats(clock)
        tasks.append(alpha.lease.create_task(detach()))
        yield lambda: log and ran
        yield beats(clock)
        yield goes_on(ran)
        assert neighbour.detach().abandoned == []
        yield from has_ended(ran, clock)

    neighbour.attach()
    try:
        tell(story())
    finally:
        neighbour.stop_watching()
        neighbour.detach()

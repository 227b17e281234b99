"""Async generators end with their plug-in, and their `finally`, which may await, runs to its end.

However the generator is left: a loop over it is cancelled, which drops it, so that asyncio closes it in a task of its
own; or it is still held by somebody; or it was dropped just before. What had no time to end is not reported as closed.
"""

import asyncio
import gc
import re
import sys

import pytest

from generators import (
    CLEAN_UPS,
    DROPS,
    ENDED,
    USES,
    forever,
    keep_it,
    kept,
    loop_over_it,
    loop_over_it_forever,
    rows,
    sleep,
    take_the_first,
)
from stories import Nest, leave, plugin, tell, turns

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("error")]


@pytest.fixture
def alpha(app):
    alpha = plugin("alpha")
    alpha.attach()
    yield alpha
    alpha.detach()
    tell(turns(20))  # what a test that failed has left behind


@pytest.fixture(params=[False, True], ids=["alone", "with another"])
def bravo(request, app):
    """Another plug-in that shares the loop, or None."""
    if not request.param:
        yield None
        return
    bravo = plugin("bravo")
    bravo.start()
    yield bravo
    bravo.detach()


@pytest.fixture(autouse=True)
def keep_nothing():
    yield
    kept.clear()
    gc.collect()


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what fills it knows of no event
        await asyncio.sleep(0)


@pytest.mark.parametrize("clean_up", CLEAN_UPS)
@pytest.mark.parametrize("use", USES)
def test_a_generator_that_is_in_use_ends_with_its_plugin(alpha, use, clean_up):
    """Its `finally` runs to its end before detach() returns."""
    log = []
    alpha.lease.create_task(use(lambda: rows(log, clean_up)))
    alpha.lease.run_until_complete(until(lambda: log))
    report = alpha.detach()
    assert log == ENDED
    assert report.abandoned == []
    assert alpha.host.reports == []


@pytest.mark.parametrize("use", USES)
def test_a_generator_that_is_in_use_ends_with_its_plugin_and_not_with_others(alpha, bravo, use):
    """Two plug-ins use the same generator function."""
    log, others = [], []
    alpha.lease.create_task(use(lambda: rows(log, sleep)))
    alpha.lease.run_until_complete(until(lambda: log))
    if bravo is not None:
        bravo.lease.create_task(use(lambda: rows(others, sleep)))
        bravo.lease.run_until_complete(until(lambda: others))
    alpha.detach()
    gc.collect()
    assert log == ENDED
    if bravo is not None:
        assert others == ENDED[:1]
        bravo.detach()
        assert others == ENDED
        assert bravo.host.reports == []


async def take_one(box):
    await box[0].__anext__()


@pytest.mark.parametrize("begun", [False, True], ids=["", "begun"])
@pytest.mark.parametrize("clean_up", CLEAN_UPS)
@pytest.mark.parametrize("drop", DROPS)
def test_a_generator_that_was_just_dropped_ends_with_its_plugin(alpha, drop, clean_up, begun):
    """asyncio has made a task to close it, which may not have begun, or may be in the middle."""
    log, box = [], []
    box.append(rows(log, clean_up))
    alpha.lease.run_until_complete(take_one(box))
    drop(box)
    if begun:
        alpha.lease.run_until_complete(until(lambda: len(log) > 1))
    report = alpha.detach()
    assert log == ENDED
    assert report.abandoned == []
    assert alpha.host.reports == []


def test_a_generator_that_is_closing_still_has_its_server(alpha):
    """Its connection may not have been accepted when detach() begins."""
    log = []

    async def talk():
        heard = asyncio.Event()
        server = await asyncio.start_server(lambda reader, writer: (writer.close(), heard.set()), "127.0.0.1", 0)
        for _ in range(3000):  # turns, in one of which detach() begins
            log.append("turn")
            await asyncio.sleep(0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await heard.wait()
        writer.close()
        server.close()

    box = []
    box.append(rows(log, talk))
    alpha.lease.run_until_complete(take_one(box))
    box.clear()
    alpha.lease.run_until_complete(until(lambda: "turn" in log))
    report = alpha.detach()
    assert log[-1] == "has ended"
    assert report.abandoned == []
    assert alpha.host.reports == []


@pytest.mark.parametrize("drop", DROPS)
def test_a_generator_that_is_dropped_while_its_plugin_detaches_ends_with_it(alpha, drop):
    """By the clean-up of a task."""
    log, box = [], []
    box.append(rows(log, sleep))

    async def hold():
        await box[0].__anext__()
        try:
            await forever()
        finally:
            await asyncio.sleep(0.001)
            drop(box)

    alpha.lease.create_task(hold())
    alpha.lease.run_until_complete(until(lambda: log))
    report = alpha.detach()
    assert log == ENDED
    assert report.abandoned == []
    assert alpha.host.reports == []


# -- on the stack --------------------------------------------------------------------------------------


async def sit_in_the_loop(make, nest):
    async for _ in make():
        nest.open()
        await asyncio.sleep(0)


async def sit_in_the_generator(make, nest):
    async def outer():
        async for row in make():
            nest.open()
            yield row
            await asyncio.sleep(0)

    async for _ in outer():
        pass


async def sit_beside_it(make, nest):
    generator = make()
    await generator.__anext__()
    nest.open()
    await forever()


@pytest.mark.parametrize("is_open", [False, True], ids=["detaches itself", "sits in a dialog"])
@pytest.mark.parametrize("use", [sit_in_the_loop, sit_in_the_generator, sit_beside_it])
def test_a_generator_ends_when_the_stack_has_unwound(alpha, bravo, use, is_open):
    """With asyncio alone: Qt's loop is over by then."""
    log, nest = [], Nest()
    if not is_open:
        nest.open = lambda: (alpha.detach(), leave())

    def story():
        alpha.lease.create_task(use(lambda: rows(log, sleep), nest))
        yield lambda: nest.is_open
        alpha.detach()
        nest.close()

    tell(story())
    assert log == ENDED
    assert alpha.lease.detach().abandoned == []
    assert alpha.host.reports == []


# -- where there is no time ---------------------------------------------------------------------------


async def need_nothing():
    pass


@pytest.mark.parametrize("timeout", [0, 0.05])
@pytest.mark.parametrize("clean_up", [need_nothing, sleep, forever])
@pytest.mark.parametrize("use", [keep_it, loop_over_it_forever, take_the_first])
def test_a_generator_that_had_no_time_to_end_is_not_reported_as_closed(alpha, use, clean_up, timeout):
    """The report says of it that it did not end, exactly if it did not."""
    log = []
    alpha.lease.create_task(use(lambda: rows(log, clean_up)))
    alpha.lease.run_until_complete(until(lambda: log))
    report = alpha.lease.detach(timeout=timeout)
    lines = [line for line in str(report).splitlines() if "rows" in line]
    says_so = [line for line in lines if re.search("did not end|would not end|not closed|cut off|abandoned", line)]
    if log == ENDED:
        assert says_so == []
    else:
        assert says_so != [] or report.abandoned  # the task that was to close it
        assert [line for line in lines if "closed:" in line and line not in says_so] == []


async def rows_that_wait(log):
    try:
        log.append("waits")
        await forever()
        yield
    finally:
        log.append("cleans up")
        await forever()


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_a_generator_in_which_a_task_is_that_had_no_time_to_end_is_not_closed_a_second_time(alpha, timeout):
    """The task is told of, and closes it as it is closed itself."""
    log = []
    alpha.lease.create_task(loop_over_it(lambda: rows_that_wait(log)))
    alpha.lease.run_until_complete(until(lambda: log))
    report = alpha.lease.detach(timeout=timeout)
    assert log == ["waits", "cleans up"]
    assert len(report.abandoned) == 1
    assert report.closed == [] or sys.version_info < (3, 8)  # where it does not tell that it is in use
    assert [message for message, _ in alpha.host.reports if "while the async generator" in message] == []


@pytest.mark.parametrize("use", [keep_it, loop_over_it_forever, take_the_first])
def test_a_generator_that_had_no_time_to_end_is_not_the_next_leases(alpha, use):
    """Nothing of it goes on or is found when its plug-in attaches again and detaches."""
    log = []
    alpha.lease.create_task(use(lambda: rows(log, forever)))
    alpha.lease.run_until_complete(until(lambda: log))
    keeper = plugin("keeper")  # of the loop
    keeper.start()
    try:
        alpha.lease.detach(timeout=0)
        alpha.attach()
        before = list(log)
        kept.clear()
        gc.collect()
        tell(turns(20))
        report = alpha.lease.detach()
    finally:
        keeper.detach()
    assert (report.ended, report.abandoned, report.closed) == (0, [], [])
    assert log == before

"""Tasks that wait for one which sits in a dialog are not unwilling to end: they cannot, until the dialog closes.

Cancelled, `await task` cancels that task and goes on waiting; so do gather(), wait_for() and task groups. detach() does
not spend its time on them, nor does it give them up.
"""

import asyncio
import sys

import pytest

from stories import NESTS, Nest, beats, plugin, tell, turns

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("error")]


@pytest.fixture
def plugins(app):
    """The plug-in that detaches, and one by whose tasks time is measured."""
    alpha, clock = plugin("alpha"), plugin("clock")
    alpha.attach()
    clock.start()
    yield alpha, clock
    alpha.detach()
    tell(turns(20))  # what a test that failed has left behind
    clock.detach()


async def forever():
    await asyncio.get_event_loop().create_future()


async def sit(nest, log):
    try:
        nest.open()
        log.append("closed")
        await forever()
    finally:
        await asyncio.sleep(0.001)
        log.append("sit cleaned up")


# Each is given the coroutine that is going to sit in a dialog.


async def await_it(coro):
    await asyncio.ensure_future(coro)


async def await_it_through_another(coro):
    await asyncio.ensure_future(await_it(coro))


async def await_it_through_two_others(coro):
    await asyncio.gather(forever(), await_it_through_another(coro))


async def shield_it(coro):
    await asyncio.shield(coro)


async def gather_it(coro):
    await asyncio.gather(forever(), coro)


async def gather_it_with_exceptions(coro):
    await asyncio.gather(coro, forever(), return_exceptions=True)


async def wait_for_it(coro):
    await asyncio.wait_for(coro, 100)


async def wait_for_it_forever(coro):
    await asyncio.wait_for(coro, None)


async def wait_for_a_waiter(coro):
    await asyncio.wait_for(await_it(coro), 100)


async def wait(coro):
    await asyncio.wait([asyncio.ensure_future(coro)])


async def wait_as_completed(coro):
    for one in asyncio.as_completed([coro, forever()]):
        await one


async def wait_for_it_in_finally(coro):
    task = asyncio.ensure_future(coro)
    try:
        await forever()
    finally:
        await asyncio.wait([task])


async def cancel_and_await_it(coro):
    task = asyncio.ensure_future(coro)
    try:
        await forever()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def wait_for_its_callback(coro):
    ended = asyncio.Event()
    asyncio.ensure_future(coro).add_done_callback(lambda _: ended.set())
    try:
        await forever()
    finally:
        await ended.wait()


async def wait_for_its_lock(coro):
    lock = asyncio.Lock()

    async def hold():
        async with lock:
            await coro

    task = asyncio.ensure_future(hold())
    try:
        await forever()
    finally:
        async with lock:
            assert not task.done() or task.cancelled()


async def have_it_in_a_group(coro):
    async with asyncio.TaskGroup() as group:
        group.create_task(coro)
        group.create_task(forever())


async def have_it_in_a_group_within_a_group(coro):
    async with asyncio.TaskGroup() as group:
        group.create_task(have_it_in_a_group(coro))


async def await_it_with_a_timeout(coro):
    async with asyncio.timeout(100):
        await asyncio.ensure_future(coro)


WAITERS = [
    await_it,
    await_it_through_another,
    await_it_through_two_others,
    shield_it,
    gather_it,
    gather_it_with_exceptions,
    wait_for_it,
    wait_for_it_forever,
    wait_for_a_waiter,
    wait,
    wait_as_completed,
    wait_for_it_in_finally,
    cancel_and_await_it,
    wait_for_its_callback,
    wait_for_its_lock,
]
if sys.version_info >= (3, 11):
    WAITERS += [have_it_in_a_group, have_it_in_a_group_within_a_group, await_it_with_a_timeout]


async def wait_and_clean_up(waiter, coro, log):
    try:
        await waiter(coro)
    finally:
        await asyncio.sleep(0.001)
        log.append("waiter cleaned up")


@pytest.mark.parametrize("is_over", [False, True], ids=["Qt goes on", "Qt is over"])
@pytest.mark.parametrize("waiter", WAITERS)
def test_detach_neither_waits_for_nor_abandons_what_waits_for_the_stack(plugins, waiter, is_over):
    """It has five seconds, and spends none of them; when the dialog closes, both clean up, the waiter in its turn."""
    alpha, clock = plugins
    log, nest, reports, turns_of_the_clock = [], Nest(), [], []
    task = alpha.lease.create_task(wait_and_clean_up(waiter, sit(nest, log), log))

    def story():
        yield lambda: nest.is_open
        before = clock.beats
        reports.append(alpha.lease.detach(timeout=5))
        turns_of_the_clock.append(clock.beats - before)
        assert nest.is_open
        yield beats(clock)
        assert reports[0].abandoned == []
        nest.close()
        if not is_over:
            yield task.done

    tell(story())
    assert task.done()
    assert task.cancelled() or task.exception() is None
    assert sorted(log) == ["closed", "sit cleaned up", "waiter cleaned up"]
    assert alpha.lease.detach() is reports[0]
    assert reports[0].abandoned == []
    assert alpha.host.reports == clock.host.reports == []
    assert turns_of_the_clock[0] < 500  # of a millisecond each: it has not waited for half a second


@pytest.mark.parametrize("depth", [2, 3])
def test_detach_neither_waits_for_nor_abandons_a_chain_of_dialogs(plugins, depth):
    """Each task sits in a dialog, and then waits for the one that sits in the next."""
    alpha, clock = plugins
    log, nests, reports, turns_of_the_clock = [], [Nest(kind) for kind in NESTS[:depth]], [], []

    async def sit_and_wait(number):
        inner = asyncio.ensure_future(sit_and_wait(number + 1)) if number + 1 < depth else None
        try:
            nests[number].open()
            await (forever() if inner is None else asyncio.wait([inner]))
        finally:
            await asyncio.sleep(0.001)
            log.append(number)

    task = alpha.lease.create_task(sit_and_wait(0))

    def story():
        yield lambda: nests[-1].is_open
        before = clock.beats
        reports.append(alpha.lease.detach(timeout=5))
        turns_of_the_clock.append(clock.beats - before)
        for nest in reversed(nests):
            nest.close()
            yield lambda nest=nest: nest.is_over

    tell(story())
    assert task.cancelled()
    assert log == list(reversed(range(depth)))
    assert reports[0].abandoned == []
    assert alpha.host.reports == []
    assert turns_of_the_clock[0] < 500

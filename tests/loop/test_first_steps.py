"""First steps: a task's first one may run at once, and what it does in there ends as on asyncio's own loop.

Who runs it at once is run_task() and the slots, or a task factory of asyncio's (eager_task_factory, Python 3.12), or
both, one inside the other. A step may already be cancelled, or woken, before it has come to its first await.
"""

import asyncio
import sys

import pytest

from stories import Nest, later, plugin, tell

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("error")]


# -- what is done in a first step ---------------------------------------------------------------------


async def fail():
    raise KeyError("x")


async def fail_later():
    await asyncio.sleep(0)
    raise KeyError("x")


async def only_return(log):
    return 1


async def only_raise(log):
    raise KeyError("x")


async def sleep(log):
    await asyncio.sleep(0)
    log.append("slept")
    await asyncio.sleep(0.001)
    return 1


async def await_what_is_done(log):
    future = asyncio.get_event_loop().create_future()
    future.set_result(1)
    return await future


async def await_what_is_done_at_once(log):
    loop = asyncio.get_event_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, 1)
    return await future


async def await_what_is_cancelled(log):
    future = asyncio.get_event_loop().create_future()
    future.cancel()
    await future


async def cancel_oneself(log):
    asyncio.current_task().cancel()
    log.append("cancelled")
    await asyncio.sleep(10)


async def cancel_oneself_and_await_a_future(log):
    asyncio.current_task().cancel()
    await asyncio.get_event_loop().create_future()


async def cancel_oneself_and_go_on(log):
    asyncio.current_task().cancel()
    try:
        await asyncio.get_event_loop().create_future()
    except asyncio.CancelledError:
        log.append("cancelled")
    await asyncio.sleep(0.001)
    return 1


async def await_something_wrong(log):
    class Wrong:
        def __await__(self):
            yield 7

    try:
        await Wrong()
    except RuntimeError as exc:
        log.append("yield" in str(exc))
    await asyncio.sleep(0)
    return 1


async def await_oneself(log):
    try:
        await asyncio.current_task()
    except RuntimeError as exc:
        log.append("itself" in str(exc))
    return 1


async def await_a_child(log):
    return await asyncio.ensure_future(sleep(log))


async def await_a_child_that_is_cancelled(log):
    child = asyncio.ensure_future(sleep(log))
    child.cancel()
    await child


async def gather_with_a_failure(log):
    found = await asyncio.gather(sleep(log), fail(), fail_later(), return_exceptions=True)
    return [repr(one) for one in found]


async def gather_that_fails(log):
    try:
        await asyncio.gather(asyncio.sleep(0.001), fail())
    except KeyError:
        log.append("failed")
    await asyncio.sleep(0)
    return 1


async def wait_for_nothing(log):
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0)
    except asyncio.TimeoutError:
        log.append("timeout")
    await asyncio.sleep(0)
    return 1


async def wait_for_some_time(log):
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.001)
    except asyncio.TimeoutError:
        log.append("timeout")
    return 1


async def timeout_at_once(log):
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(10)
    except TimeoutError:
        log.append("timeout")
    await asyncio.sleep(0)
    return 1


async def group_with_a_failing_child(log):
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            log.append("made")
    except Exception as exc:
        log.append([repr(one) for one in exc.exceptions])
    await asyncio.sleep(0)
    return 1


async def group_whose_second_child_fails(log):
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(sleep(log))
            group.create_task(fail())
            await asyncio.sleep(10)
    except Exception as exc:
        log.append([repr(one) for one in exc.exceptions])
    await asyncio.sleep(0)
    return 1


async def group_with_a_child_that_fails_later(log):
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail_later())
            await asyncio.sleep(10)
    except Exception as exc:
        log.append([repr(one) for one in exc.exceptions])
    return 1


async def group_within_a_group(log):
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(group_with_a_failing_child(log))
            group.create_task(fail())
    except Exception as exc:
        log.append([repr(one) for one in exc.exceptions])
    return 1


FIRST_STEPS = [
    only_return,
    only_raise,
    sleep,
    await_what_is_done,
    await_what_is_done_at_once,
    await_what_is_cancelled,
    cancel_oneself,
    cancel_oneself_and_await_a_future,
    cancel_oneself_and_go_on,
    await_something_wrong,
    await_oneself,
    await_a_child,
    await_a_child_that_is_cancelled,
    gather_with_a_failure,
    gather_that_fails,
    wait_for_nothing,
    wait_for_some_time,
]
if sys.version_info >= (3, 11):
    FIRST_STEPS += [
        timeout_at_once,
        group_with_a_failing_child,
        group_whose_second_child_fails,
        group_with_a_child_that_fails_later,
        group_within_a_group,
    ]


# -- who makes the task, and how it is started ---------------------------------------------------------


def own_factory(loop, coro, **options):
    return asyncio.Task(coro, loop=loop, **options)


def own_eager_factory(loop, coro, **options):
    return asyncio.Task(coro, loop=loop, eager_start=True, **{"name": None, **options})


FACTORIES = {"no factory": None, "a factory": own_factory}
if sys.version_info >= (3, 12):
    FACTORIES["eager_task_factory"] = asyncio.eager_task_factory
    FACTORIES["a factory that starts at once"] = own_eager_factory


async def in_a_task(lease, make):
    return make()


STARTS = {
    "lease.run_task": lambda lease, coro: lease.run_task(coro),
    "loop.create_task": lambda lease, coro: lease.loop.create_task(coro),
    "run_task in a task": lambda lease, coro: lease.run_until_complete(in_a_task(lease, lambda: lease.run_task(coro))),
    "loop.create_task in a task": lambda lease, coro: lease.run_until_complete(
        in_a_task(lease, lambda: lease.loop.create_task(coro))
    ),
}


def outcome(task):
    if task.cancelled():
        return "is cancelled"
    return repr(task.exception() or task.result())


def on_asyncios_own_loop(first_step, factory):
    """Return what a first step logs and how its task ends there."""
    log = []

    async def main():
        loop = asyncio.get_event_loop()
        loop.set_task_factory(factory)
        task = loop.create_task(first_step(log))
        await asyncio.wait([task])
        return outcome(task)

    loop = asyncio.SelectorEventLoop()
    try:
        return loop.run_until_complete(main()), log
    finally:
        loop.close()


@pytest.fixture
def alpha(app):
    alpha = plugin("alpha")
    alpha.attach()
    yield alpha
    alpha.lease.loop.set_task_factory(None)
    alpha.detach()


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("first_step", FIRST_STEPS)
def test_a_first_step_ends_as_on_asyncios_own_loop(alpha, first_step, start, factory):
    """However it is started, and whatever happens to it in there."""
    factory, log = FACTORIES[factory], []
    expected = on_asyncios_own_loop(first_step, factory)
    alpha.lease.loop.set_task_factory(factory)

    def story():
        task = STARTS[start](alpha.lease, first_step(log))
        yield task.done
        assert (outcome(task), log) == expected

    tell(story())
    assert alpha.host.reports == []


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("first_step", FIRST_STEPS)
def test_a_slots_first_step_ends_as_on_asyncios_own_loop(alpha, first_step, factory):
    """Of which nobody has the task."""
    factory, log, ends = FACTORIES[factory], [], []
    expected = on_asyncios_own_loop(first_step, factory)
    alpha.lease.loop.set_task_factory(factory)

    async def slot():
        asyncio.current_task().add_done_callback(lambda task: ends.append(outcome(task)))
        return await first_step(log)

    def story():
        alpha.lease.slot(slot)()
        yield lambda: ends
        assert (ends[0], log) == expected

    tell(story())
    assert alpha.host.reports == []  # what it has raised, outcome() has asked for


@pytest.mark.parametrize("start", ["slot", "run_task"])
def test_what_plain_code_schedules_after_a_first_step_is_its_plugins(alpha, start):
    """The step has found that the next one is promised, and queued the fast way; outside of it that will not do."""

    async def schedule():
        asyncio.get_event_loop().call_soon(int)

    def story():
        if start == "slot":
            alpha.lease.slot(schedule)()
        else:
            alpha.lease.run_task(schedule())
        handle = alpha.call_soon(int)
        assert alpha.lease.loop._as_owner_of_handle(handle) is alpha.lease._owner
        yield lambda: True

    tell(story())


@pytest.mark.parametrize("start", ["lease.run_task", "lease.slot", "lease.create_task"])
@pytest.mark.parametrize("factory", FACTORIES)
def test_a_task_goes_on_whose_factory_was_taken_away_in_its_first_step(alpha, factory, start):
    """In a dialog, in which also something begins to wait for the stack to unwind that runs a task at once."""
    log, nest, tasks, loop = [], Nest(), [], alpha.lease.loop

    async def work():
        nest.open()
        log.append("closed")
        await asyncio.sleep(0)
        log.append("goes on")

    async def other():
        log.append("unwound")

    def make():
        if start == "lease.slot":
            alpha.lease.slot(work)()
        else:
            tasks.append(
                {"lease.run_task": alpha.lease.run_task, "lease.create_task": alpha.lease.create_task}[start](work())
            )

    def story():
        later(make)
        yield lambda: nest.is_open
        loop.set_task_factory(None)
        loop._as_stack.when_unwound(lambda: tasks.append(alpha.lease.run_task(other())))
        nest.close()
        yield lambda: sorted(log) == ["closed", "goes on", "unwound"]

    loop.set_task_factory(FACTORIES[factory])
    tell(story())


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="there from Python 3.12 on")
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_interrupts_a_slots_eager_first_step_does_not_go_out_into_qt(alpha, kind):
    """asyncio's factory lets it out; it is reported, as from any other first step."""
    alpha.lease.loop.set_task_factory(asyncio.eager_task_factory)

    async def leave():
        raise kind("x")

    alpha.lease.slot(leave)()
    assert {type(exc) for _, exc in alpha.host.reports} == {kind}

"""What the last step on the stack leaves, when its plug-in has detached meanwhile, ends as anything else."""

import asyncio
import gc
import sys
import threading

import pytest

from on_stack import clean_up, ending_in, in_some_places, work
from stories import tell

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore:coroutine 'work' was never awaited"),
]


# -- what the last step leaves ---------------------------------------------------------------------------


async def rows(log):
    try:
        while True:
            yield 1
    finally:
        await clean_up(log, "rows")


def start(coro):
    asyncio.ensure_future(coro)  # noqa: RUF006 - nobody keeps it, as happens


def leave_a_task(log):
    async def at_last():
        start(work(log))

    return at_last, []  # which has not begun: it may never do so


def leave_a_task_that_has_begun(log):
    async def at_last():
        start(work(log))
        await asyncio.sleep(0)

    return at_last, ["work"]


def leave_a_task_that_has_just_begun(log):
    async def at_last():
        asyncio.get_event_loop().run_task(work(log))

    return at_last, ["work"]


def leave_a_generator(log):
    async def at_last():
        async for _ in rows(log):
            break

    return at_last, ["rows"]


def leave_a_generator_of_old(log):
    generator = rows(log)

    async def at_last():
        nonlocal generator
        await generator.__anext__()
        generator = None

    return at_last, ["rows"]


def leave_an_aclose(log):
    async def at_last():
        generator = rows(log)
        await generator.__anext__()
        start(generator.aclose())

    return at_last, ["rows"]


def leave_a_connection(log):
    async def at_last():
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"goodbye")
        writer.close()
        server.close()

    return at_last, []


def leave_a_child_process(log):
    async def at_last():
        await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(100)")

    return at_last, []


LEFTOVERS = [
    leave_a_task,
    leave_a_task_that_has_begun,
    leave_a_task_that_has_just_begun,
    leave_a_generator,
    leave_a_generator_of_old,
    leave_an_aclose,
    leave_a_connection,
    leave_a_child_process,
]


@in_some_places
@pytest.mark.parametrize("leftover", LEFTOVERS)
def test_what_the_last_step_on_the_stack_leaves_ends_as_anything_else(alpha, bravo, place, leftover):
    """Begun coroutines clean up, generators too, descriptors are closed (see the fixture), and nothing is frozen."""
    log = []
    at_last, cleaned_up = leftover(log)
    tell(ending_in(place, alpha, alpha.detach, log, at_last=at_last))
    if leftover is leave_a_task and "work cleaned up" in log:
        log.remove("work cleaned up")
    assert log == ["returned", "sit cleaned up", *(f"{name} cleaned up" for name in cleaned_up)]
    assert alpha.lease.detach().abandoned == []
    assert alpha.host.reports == []
    assert alpha.lease.loop.is_closed() == (bravo is None)
    gc.collect()


@pytest.mark.parametrize("is_awaited", [True, False], ids=["awaited", "not awaited"])
@in_some_places
def test_a_job_in_the_clean_up_on_the_stack_leaves_no_thread(alpha, bravo, place, is_awaited):
    """Though detach() had ended the plug-in's threads before."""
    ran, threads = [], set(threading.enumerate())

    async def at_last():
        job = asyncio.get_event_loop().run_in_executor(None, lambda: ran.append(threading.current_thread()))
        if is_awaited:
            await job

    tell(ending_in(place, alpha, alpha.detach, [], at_last=at_last))
    assert len(ran) == 1 or not is_awaited
    left = [thread for thread in threading.enumerate() if thread not in threads]
    for thread in left:
        thread.join(10)
    assert [thread for thread in left if thread.is_alive()] == []

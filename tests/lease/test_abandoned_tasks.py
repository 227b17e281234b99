"""Tasks that will not end, and children, when their lease does."""

import asyncio
import gc
import sys
import time

import pytest

import asyncslot

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def leases(app):
    """Two leases: of the one that is detached, and of one that stays."""
    with asyncslot.attach("staying") as staying, asyncslot.attach("leaving") as leaving:
        yield leaving, staying


async def forever():
    """Wait until cancelled."""
    await asyncio.get_event_loop().create_future()


# -- abandoned tasks --------------------------------------------------------------------


async def swallow():
    """Ignore every cancellation."""
    while True:
        try:
            await forever()
        except asyncio.CancelledError:
            pass


async def cling():
    """Wait for ever in `finally`."""
    try:
        await forever()
    finally:
        await forever()


async def spin_for_ever():
    """Never rest, and ignore every cancellation."""
    while True:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass


@pytest.mark.parametrize("coro_fn", [swallow, cling, spin_for_ever])
def test_an_abandoned_task_is_named_and_never_goes_on(leases, coro_fn):
    """The loop lives on with another plug-in; the task is closed as Python closes a coroutine, and collected."""
    steps = []
    task = leases[0].create_task(coro_fn())
    leases[1].run_until_complete(asyncio.sleep(0.001))
    task.add_done_callback(steps.append)
    report = leases[0].detach(timeout=0.05)
    assert [(abandoned.owner, coro_fn.__name__ in abandoned.stack) for abandoned in report.abandoned] == [
        ("leaving", True)
    ]
    assert report.ended == 0
    assert task._coro.cr_frame is None
    task.cancel()
    leases[1].run_until_complete(asyncio.sleep(0.005))
    assert not task.done()
    assert steps == []
    del task, report
    gc.collect()  # says nothing, or the warning would fail this test


def test_what_an_abandoned_task_raises_when_it_is_closed_is_reported(app, recorder):
    """Nothing is swallowed."""

    async def fail_when_closed():
        while True:
            try:
                await forever()
            except asyncio.CancelledError:
                pass
            except GeneratorExit:
                raise KeyError("x") from None

    lease = asyncslot.attach("failing", host=recorder)
    lease.create_task(fail_when_closed())
    lease.run_until_complete(asyncio.sleep(0))
    assert len(lease.detach(timeout=0.05).abandoned) == 1
    assert [kind for _, kind in recorder.reports] == [type(None), KeyError]
    assert "would not end, failed" in recorder.reports[1][0]


def test_tasks_have_a_moment_to_end_where_a_neighbours_callback_has_taken_the_time(leases):
    """Those of the lease and those of libraries: they have only just been cancelled."""
    leaving, staying = leases
    log = []

    async def work(name):
        try:
            await forever()
        finally:
            await asyncio.sleep(0.005)
            log.append(name)

    async def begin():
        return asyncio.get_event_loop().create_task(work("a library's"))

    library = leaving.run_until_complete(begin())
    own = leaving.create_task(work("the lease's"))
    leaving.run_until_complete(asyncio.sleep(0))
    staying.loop.call_soon(time.sleep, 0.6)
    assert leaving.detach(timeout=0.5).abandoned == []
    assert [own.cancelled(), library.cancelled()] == [True, True]
    assert sorted(log) == ["a library's", "the lease's"]


@pytest.mark.parametrize(
    ("end", "ended", "cancelled"),
    [
        pytest.param(None, 1, 1, id="cancelled"),
        pytest.param("return", 1, 0, id="returns"),
        pytest.param("raise", 1, 0, id="raises"),
    ],
)
def test_the_report_tells_how_tasks_ended(app, recorder, end, ended, cancelled):
    """By being cancelled, or otherwise."""

    async def task():
        try:
            await forever()
        except asyncio.CancelledError:
            if end == "return":
                return
            if end == "raise":
                raise KeyError from None
            raise

    lease = asyncslot.attach("reporting", host=recorder)
    lease.create_task(task())
    lease.run_until_complete(asyncio.sleep(0))
    report = lease.detach()
    assert (report.ended, report.cancelled, report.abandoned) == (ended, cancelled, [])
    assert ("ended otherwise than by being cancelled: 1 task" in str(report)) == (cancelled == 0)


def test_no_descriptor_stays_open_for_a_child_that_was_just_killed(app):
    """The loop closes before it has heard of the child's end; see the fixture that looks for descriptors."""

    async def start():
        await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(100)")

    for _ in range(3):
        lease = asyncslot.attach("parent")
        lease.run_until_complete(start())
        lease.detach(timeout=0)


# -- what does not belong to anybody -----------------------------------------------------


def test_a_child_is_reaped_though_its_owner_has_left(leases, spin):
    """The watch is the loop's: a child that took longer to die than detach() waited leaves no zombie."""
    processes = []

    async def start():
        processes.append(await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(100)"))

    leases[0].run_until_complete(start())
    leases[0].detach(timeout=0)
    spin(lambda: processes[0].returncode is not None)

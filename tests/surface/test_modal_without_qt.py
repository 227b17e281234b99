"""asyncModal where no Qt loop runs: who is refused at once, and who may wait."""

import asyncio

import pytest

import asyncslot
from asyncslot import asyncModal

WAYS = {
    "await": lambda task: task,
    "gather()": lambda task: asyncio.gather(task),
    "wait()": lambda task: asyncio.wait([task]),
    "wait_for()": lambda task: asyncio.wait_for(task, 100),
    "shield()": lambda task: asyncio.shield(task),
    "gather() in gather()": lambda task: asyncio.gather(asyncio.gather(task)),
}


@pytest.fixture
def asker(lease):
    """A task of the lease that is to call asyncModal() in its next step, made by nobody who blocks."""

    async def ask():
        asked.append(True)
        await asyncModal(int)

    def start():
        return lease.create_task(ask())

    asked = []
    start.has_asked = lambda: bool(asked)
    return start


@pytest.mark.parametrize("has_asked", [True, False], ids=["has asked", "asks then"])
@pytest.mark.parametrize("way", WAYS)
def test_a_task_made_before_is_refused_however_it_is_waited_for(lease, asker, way, has_asked):
    """Both would wait for ever."""
    task = asker()
    if has_asked:
        lease.run_until_complete(asyncio.sleep(0))
        assert asker.has_asked()

    async def wait():
        await WAYS[way](task)
        await task

    with pytest.raises(asyncslot.NoQtLoopError):
        lease.run_until_complete(wait(), timeout=10)


@pytest.mark.parametrize("has_asked", [True, False], ids=["has asked", "asks then"])
def test_a_task_that_comes_to_a_dialog_while_its_plugin_goes_is_just_cancelled(attach_as, recorder, spin, has_asked):
    """It has not been cancelled yet, as the plug-in's own tasks go first, and has done nothing wrong."""
    made = []

    async def ask(in_clean_up, asked):
        if not has_asked:
            await in_clean_up.wait()
        asked.set()
        await asyncModal(pytest.fail, "there was no Qt loop to call it")

    async def main():
        in_clean_up, asked = asyncio.Event(), asyncio.Event()
        made.append(asyncio.ensure_future(ask(in_clean_up, asked)))
        try:
            await asyncio.Event().wait()
        finally:
            in_clean_up.set()
            await asked.wait()
            for _ in range(5):
                await asyncio.sleep(0)

    with attach_as(__name__, "test", host=recorder) as lease:
        lease.create_task(main())
        lease.run_until_complete(asyncio.sleep(0.01))
        report = lease.detach()
    assert made[0].cancelled()
    assert not report.abandoned
    assert recorder.reports == []


@pytest.mark.parametrize("who", ["the task itself", "a child", "a child by gather()", "an async generator"])
def test_clean_up_that_asks_is_refused(attach_as, recorder, who):
    """It would wait for a dialog until detach() gives up."""
    refused = []

    async def ask():
        try:
            await asyncModal(int)
        except asyncslot.NoQtLoopError:
            refused.append(who)

    async def generate():
        try:
            yield
        finally:
            await ask()

    async def main():
        if who == "an async generator":
            generator = generate()
            await generator.asend(None)
            lease.generator = generator
        try:
            await asyncio.Event().wait()
        finally:
            if who == "the task itself":
                await ask()
            elif who == "a child":
                await asyncio.ensure_future(ask())
            elif who == "a child by gather()":
                await asyncio.gather(ask())

    with attach_as(__name__, "test", host=recorder) as lease:
        lease.create_task(main())
        lease.run_until_complete(asyncio.sleep(0))
        report = lease.detach(timeout=20)
    assert refused == [who]
    assert not report.abandoned


def test_a_program_that_runs_its_loop_while_the_application_quits_is_refused(program):
    """Qt starts no loop any more then, and ours runs without it."""
    done = program(
        """
def ask():
    try:
        loop.run_until_complete(asyncslot.asyncModal(int))
    except asyncslot.NoQtLoopError:
        print("refused", flush=True)

later(lambda: (app.exit(0), ask()))
run(app)
""",
    )
    assert done.stdout.split() == ["refused"]

"""The running loop, when somebody else changes it while ours has it: a loop that fails, begins or ends in a step.

asyncio has one running loop per thread. Ours is it during steps, and what was it before is put back; but a step runs
other people's code, and that may be what starts or unloads a plug-in with a loop of its own, or nests a loop in ours.
"""

import importlib.util

import pytest

from neighbours import HOST

FAILS_TO_RUN = """
def fail_to_run():
    loop = asyncio.SelectorEventLoop()
    try:
        loop.run_forever()
    except RuntimeError as exc:
        assert "while another loop is running" in str(exc), exc
    else:
        raise AssertionError("two loops run at once")
    finally:
        loop.close()
"""


def test_a_loop_that_fails_to_run_in_one_task_leaves_others_theirs(run_python):
    """On Python 3.13 and later it unpublishes the running loop; the next callback of the same step has it again."""
    run_python(
        HOST
        + FAILS_TO_RUN
        + """
found = []
async def one():
    fail_to_run()
async def other():
    found.append(asyncio._get_running_loop())
    await asyncio.sleep(0.001)
    found.append(asyncio._get_running_loop())
first, second = asyncslot.attach("one"), asyncslot.attach("other")
loop = first.loop
tasks = [first.create_task(one()), second.create_task(other())]
spin(lambda: all(task.done() for task in tasks), "a task does not end")
for task in tasks:
    task.result()
assert found == [loop, loop], found
first.detach(), second.detach()
"""
    )


@pytest.mark.parametrize("way", ["AsyncSlotEventLoop", "AsyncSlotRunner"])
def test_a_loop_that_fails_to_run_leaves_the_owning_program_its_loop(run_python, way):
    """Where our loop is published throughout, it is again after the next step, and slots find it."""
    run_python(
        HOST
        + FAILS_TO_RUN
        + f"""
with asyncslot.{way}():
    loop, found = asyncio.get_running_loop(), []
    QtCore.QTimer.singleShot(0, lambda: (fail_to_run(), found.append(1)))
    spin(lambda: found, "the slot did not run")
    loop.call_soon_threadsafe(found.append, 2)
    spin(lambda: len(found) == 2, "no step")
    async def slot():
        found.append(asyncio.get_running_loop())
    asyncslot.asyncSlot(slot)()
    spin(lambda: len(found) == 3, "the slot does not find its loop")
    assert asyncio._get_running_loop() is loop
"""
    )


@pytest.mark.parametrize("way", ["create_task", "run_task"])
def test_a_loop_that_is_published_in_a_step_of_ours_stays_published(run_python, way):
    """A task of ours may be what loads another plug-in, and that one may start qasync."""
    run_python(
        HOST
        + f"""
theirs, lease = asyncio.SelectorEventLoop(), asyncslot.attach()
async def load_the_plugin():
    asyncio._set_running_loop(theirs)
task = lease.{way}(load_the_plugin())
spin(task.done, "it does not end")
task.result()
assert asyncio._get_running_loop() is theirs
asyncio._set_running_loop(None)
theirs.close()
lease.detach()
assert asyncio._get_running_loop() is None
"""
    )


@pytest.mark.parametrize("way", ["create_task", "run_task"])
def test_a_loop_that_ends_in_a_step_of_ours_is_not_put_back(run_python, way):
    """A task of ours may be what unloads it; put back, a loop that is closed would stand in everybody's way."""
    run_python(
        HOST
        + f"""
theirs, lease = asyncio.SelectorEventLoop(), asyncslot.attach()
async def unload_the_plugin():
    theirs.close()
asyncio._set_running_loop(theirs)
task = lease.{way}(unload_the_plugin())
spin(task.done, "it does not end")
task.result()
assert asyncio._get_running_loop() is None, asyncio._get_running_loop()
done = []
QtCore.QTimer.singleShot(0, lambda: asyncio.run(job(done)))
spin(lambda: done, "asyncio.run() does not work")
lease.detach()
"""
    )


NESTED_RUNS = {
    "asyncio.run()": "assert asyncio.run(small()) == 7",
    "run_until_complete()": "assert asyncio.get_running_loop().run_until_complete(small()) == 7",
    "work of the same turn": "assert asyncio.get_running_loop().run_until_complete(late[0]) == 7",
}


APPLIED_TO = pytest.mark.parametrize("applied_to", ["asyncio.SelectorEventLoop()", "loop"])


def need_nest_asyncio(guest_missing):
    if importlib.util.find_spec("nest_asyncio") is None:
        guest_missing("nest_asyncio is not installed (extra 'guests')")


@APPLIED_TO
@pytest.mark.parametrize("what", NESTED_RUNS)
def test_nest_asyncio_nests_in_a_task_of_ours(run_python, guest_missing, what, applied_to):
    """What it is for: a coroutine that blocks on another one."""
    need_nest_asyncio(guest_missing)
    run_python(
        HOST
        + f"""
import nest_asyncio, faulthandler
faulthandler.dump_traceback_later(20, exit=True)
lease = asyncslot.attach()
loop = lease.loop
nest_asyncio.apply({applied_to})
async def small():
    await asyncio.sleep(0)
    return 7
async def block():
    {NESTED_RUNS[what]}
late, tasks = [], [lease.create_task(block())]
late.append(lease.create_task(small()))
spin(tasks[0].done, "it does not end")
tasks[0].result()
lease.detach()
"""
    )


@APPLIED_TO
def test_nested_mode_runs_qt_after_nest_asyncio_too(run_python, guest_missing, applied_to):
    """It replaces run_until_complete() in the class of the loop that it is given, of which ours is a child."""
    need_nest_asyncio(guest_missing)
    run_python(
        HOST
        + f"""
import nest_asyncio, faulthandler
faulthandler.dump_traceback_later(20, exit=True)
loop = asyncslot.AsyncSlotEventLoop()
nest_asyncio.apply({applied_to})
fired = loop.create_future()
QtCore.QTimer.singleShot(1, lambda: fired.set_result(7))
assert loop.run_until_complete(fired) == 7
loop.close()
"""
    )

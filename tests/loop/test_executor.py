"""Jobs in threads: what becomes of their results, whenever who waits for them goes."""

import asyncio
import concurrent.futures
import gc
import sys
import threading
import weakref

import pytest

import asyncslot

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def stopped():
    """An event for which jobs wait, and which is set in the end."""
    event = threading.Event()
    yield event
    event.set()


def _raise(exc):
    raise exc


class Anything:
    """Something that can be held weakly."""


def test_a_job_that_was_cancelled_in_the_queue_does_not_run(lease, spin, stopped):
    """Its future is a loop's, and the threads look at it before they begin."""
    ran = []

    async def main():
        loop = asyncio.get_event_loop()
        await loop.run_in_executor(None, int)
        limit = lease._owner.executor._max_workers
        blocking = [loop.run_in_executor(None, stopped.wait) for _ in range(limit)]
        queued = loop.run_in_executor(None, ran.append, 1)
        queued.cancel()
        stopped.set()
        await asyncio.gather(*blocking)
        await loop.run_in_executor(None, int)
        return queued.cancelled()

    task = lease.create_task(main())
    spin(task.done)
    assert task.result()
    assert ran == []


@pytest.mark.parametrize("outcome", [lambda: 1, lambda: _raise(KeyError("late"))], ids=["result", "exception"])
def test_what_comes_of_a_job_that_nobody_waits_for_any_more_is_dropped(lease, spin, stopped, outcome, caplog):
    """It was cancelled while it ran; nothing is reported."""
    begun, ended = threading.Event(), threading.Event()

    def job():
        begun.set()
        stopped.wait()
        ended.set()
        return outcome()

    future = lease.to_thread(job)
    spin(begun.is_set)
    future.cancel()
    stopped.set()
    spin(ended.is_set)
    spin(lambda: not lease._owner.executor._running)
    spin(lease.to_thread(int).done)  # by the same thread, when it has told of the first
    assert future.cancelled()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (concurrent.futures.TimeoutError, asyncio.TimeoutError),
        (concurrent.futures.CancelledError, asyncio.CancelledError),
        (concurrent.futures.InvalidStateError if sys.version_info >= (3, 8) else KeyError, Exception),
        (StopIteration, (TypeError, RuntimeError)),  # which no future takes
        (SystemExit, SystemExit),
    ],
)
def test_an_exception_of_a_job_is_raised_where_it_is_awaited(lease, spin, raised, expected):
    """In the classes of asyncio, which code that awaits knows."""
    caught = []

    async def main():
        try:
            await lease.to_thread(_raise, raised("why"))
        except BaseException as exc:
            caught.append(exc)

    task = lease.create_task(main())
    spin(task.done)
    assert isinstance(caught[0], expected)


@pytest.mark.parametrize("fails", [False, True], ids=["result", "exception"])
def test_no_garbage_is_left_of_a_job(lease, spin, fails):
    """What it has returned or raised goes with its future, and does not wait for the garbage collector."""
    alive = []

    def job():
        thing = Anything()
        alive.append(weakref.ref(thing))
        if fails:
            raise KeyError(thing)
        return thing

    async def main():
        try:
            await lease.to_thread(job)
        except KeyError:
            pass

    gc.collect()
    gc.disable()
    try:
        task = lease.create_task(main())
        spin(task.done)
        del task
        spin(lambda: not lease._owner.executor._running)
        spin(lambda: alive[0]() is None)
    finally:
        gc.enable()


@pytest.fixture
def stalled(lease, stopped, monkeypatch):
    """Have each thread stall when it has told of a result, as on a machine that is busy with other things.

    Returns how many threads have stalled so far, as a list that gets longer.
    """
    loop, threads = lease.loop, []
    tell = loop.call_soon_threadsafe

    def tell_and_stall(*args, **kwargs):
        handle = tell(*args, **kwargs)
        threads.append(threading.get_ident())
        stopped.wait()
        return handle

    monkeypatch.setattr(loop, "call_soon_threadsafe", tell_and_stall)
    return threads


def test_one_thread_is_enough_for_one_job_at_a_time(lease, spin, stopped, stalled):
    """Who awaits each job before the next gets no thread more, however slowly the one goes on that told of the last."""

    async def main():
        await lease.to_thread(int)
        second = lease.to_thread(int)
        stopped.set()
        await second

    task = lease.create_task(main())
    spin(task.done)
    task.result()
    assert len(set(stalled)) == 1
    assert len(lease._owner.executor._threads) == 1


def test_a_job_whose_result_has_come_does_not_run_any_more(app, lease, spin, stalled):
    """A plug-in that is unloaded then is not told that it does."""
    job = lease.to_thread(int)
    spin(job.done)
    assert lease.detach().jobs == []


def test_a_job_after_detach_is_refused(app):
    """The loop is closed, or the owner's threads are told to end."""
    with asyncslot.attach("staying"):
        lease = asyncslot.attach("leaving")
        loop, owner = lease.loop, lease._owner
        context = owner.context()
        lease.run_until_complete(lease.to_thread(int))
        lease.detach()
        with pytest.raises(RuntimeError, match="shutdown"):
            context.run(loop.run_in_executor, None, int)

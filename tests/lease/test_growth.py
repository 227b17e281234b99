"""What grows with the number of tasks: each task costs the same, however many there are.

Counts, and not times. Where the standard library itself would walk past other tasks (an event looks for a waiter from
the oldest on), the order in which we ask it is what counts.
"""

import asyncio
import functools
import sys
from asyncio import futures

import pytest

import asyncslot
from asyncslot import _detach
from asyncslot.tools import _state

FEW, MANY = 50, 500


def make_tasks(lease, number, coro_fn, by_whom="the lease"):
    """Have a number of tasks made and begun, through the lease or as a library does it, and return them."""

    async def make():
        create_task = lease.create_task if by_whom == "the lease" else asyncio.create_task
        tasks = [create_task(coro_fn(i)) for i in range(number)]
        await asyncio.sleep(0)
        return tasks

    return lease.run_until_complete(make())


@pytest.fixture
def made(lease):
    """Return make_tasks() for this lease."""
    return functools.partial(make_tasks, lease)


def calls_of(fn):
    """Return how many functions are called by fn(), those written in C included."""
    count = 0

    def profile(_, event, __):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        fn()
    finally:
        sys.setprofile(None)
    return count


async def wait(_):
    await asyncio.get_event_loop().create_future()


async def resist(_):
    while True:
        try:
            await asyncio.get_event_loop().create_future()
        except asyncio.CancelledError:
            pass


WORK = {
    "tasks of the lease": ("the lease", wait, lambda lease: lease.detach()),
    "tasks made inside": ("asyncio", wait, lambda lease: lease.detach()),
    "tasks that resist": ("the lease", resist, lambda lease: lease.detach(timeout=0.0)),
    "the report": ("the lease", wait, lambda lease: asyncslot.report()),
    "a look at the owner's": ("asyncio", wait, lambda lease: lease._owner.pending()),
}


@pytest.mark.parametrize("what", WORK)
def test_a_task_costs_no_more_where_there_are_more(app, what):
    """Ten times as many tasks cost ten times as many calls, and not a hundred times."""
    by_whom, coro_fn, act = WORK[what]

    def cost(number):
        lease = asyncslot.attach("grows")
        try:
            tasks = make_tasks(lease, number, coro_fn, by_whom)
            calls = calls_of(lambda: act(lease))
            assert len(tasks) == number  # they have lived until now
            return calls
        finally:
            lease.detach()

    cost(FEW)  # caches are filled
    few, many = cost(FEW), cost(MANY)
    assert many < few * (MANY / FEW) * 1.2, (few, many)


def test_a_detach_looks_at_all_tasks_a_few_times(lease, made, monkeypatch):
    """The look is asyncio's own, through the tasks of the whole process."""
    looks = []
    look = asyncio.all_tasks
    monkeypatch.setattr(asyncio, "all_tasks", lambda *args: looks.append(1) or look(*args))
    made(FEW, wait)
    looks.clear()
    assert lease.detach().ended == FEW
    assert len(looks) <= 4


def test_a_report_describes_what_it_shows(app, monkeypatch):
    """And only counts the others; all owners' tasks are looked for once."""
    described, looks = [], []
    describe, look = _state.describe_task, asyncio.all_tasks
    monkeypatch.setattr(_state, "describe_task", lambda task: described.append(1) or describe(task))
    with asyncslot.attach("one") as one, asyncslot.attach("two") as two, asyncslot.attach("three"):
        tasks = make_tasks(one, FEW, wait) + make_tasks(two, FEW, wait)
        monkeypatch.setattr(asyncio, "all_tasks", lambda *args: looks.append(1) or look(*args))
        text = asyncslot.report()
        monkeypatch.undo()
    assert text.count(f"and {FEW - 20} more") == 2
    assert len(tasks) == 2 * FEW
    assert (len(described), len(looks)) == (2 * 20, 1)


@pytest.mark.skipif(sys.version_info < (3, 8), reason="tasks have no numbers there")
@pytest.mark.parametrize("by_whom", ["the lease", "asyncio"])
def test_tasks_are_cancelled_in_the_order_in_which_they_were_made(lease, made, by_whom):
    """So an event, a lock or a queue finds each waiter at once, and does not walk past half of the others."""
    heard = []

    async def listen(number):
        try:
            await wait(number)
        finally:
            heard.append(number)

    made(FEW, listen, by_whom)
    assert lease.detach().ended == FEW
    assert heard == list(range(FEW))


def test_a_future_that_many_wait_for_is_looked_at_once(lease, made):
    """Below Python 3.12 whose a task is stands in the future that it waits for, beside all others that wait for it."""
    looks = []

    class Shared(futures._PyFuture):
        @property
        def _callbacks(self):
            looks.append(1)
            return self._waiting

        @_callbacks.setter
        def _callbacks(self, waiting):
            self._waiting = waiting

    Shared._waiting = []
    shared = Shared(loop=lease.loop)
    shared._waiting = []

    async def wait_together(_):
        await shared

    made(FEW, wait_together, "asyncio")
    looks.clear()
    assert len(lease._owner.pending()) == FEW
    assert len(looks) <= 1


def test_tasks_of_a_class_of_their_own_are_not_compared_with_all_others(lease, made):
    """A factory may make what asyncio does not list; each of these was compared with each task that it does list."""
    compared = []

    class Own(futures._PyFuture):
        def __init__(self, coro, loop):
            super().__init__(loop=loop)
            self._coro = coro
            self._fut_waiter = None

        def set_name(self, name):
            pass  # asyncio names them from Python 3.8 to 3.13

        def __eq__(self, other):
            compared.append(1)
            return self is other

        def __hash__(self):
            return id(self)

    made(FEW, wait)
    lease.loop.set_task_factory(lambda loop, coro, **_: Own(coro, loop))
    own = [lease.create_task(wait(number)) for number in range(FEW)]
    lease.loop.set_task_factory(None)
    compared.clear()
    assert len(lease._owner.pending()) == 2 * FEW
    assert len(compared) <= 2 * FEW  # of one weak reference with another of the same hash
    for task in own:
        task._coro.close()
        task.cancel()


def test_tasks_that_only_lack_time_are_not_abandoned(lease, made, monkeypatch):
    """What makes progress and has merely not had its turn when the time is over is not unwilling."""
    monkeypatch.setattr(_detach, "_FOR_A_TURN", 10.0, raising=False)

    async def end_slowly(_):
        try:
            await wait(_)
        finally:
            pass_time(0.004)

    made(FEW, end_slowly)
    report = lease.detach(timeout=0.01)
    assert (report.ended, report.abandoned) == (FEW, [])


def test_the_report_says_of_whom_the_turn_did_not_come(lease, made, monkeypatch, recorder):
    """And does not say that they did not end when they were cancelled."""
    monkeypatch.setattr(_detach, "_FOR_A_TURN", 0.0)

    async def end_slowly(_):
        try:
            await wait(_)
        finally:
            pass_time(0.02)

    made(FEW, end_slowly)
    report = lease.detach(timeout=0.01)
    assert [task for task in report.abandoned if task.was_told] == []
    assert len(report.abandoned) > 10
    assert "more, whose turn to end did not come in time" in str(report)
    assert str(report).count("in end_slowly") <= 1  # tasks that stand at the same line are told together


def test_a_task_is_described_without_the_others(lease, made):
    """What keeps it alive is among its callbacks, which asyncio's repr of a task shows."""
    tasks = made(FEW, wait)
    assert len(repr(tasks[0])) < 2 * len(repr(made(1, wait)[0])) < 2000


def pass_time(seconds):
    """Keep the thread busy, as clean-up does that works; no task has its turn meanwhile."""
    end = asyncslot._asyncio.monotonic() + seconds
    while asyncslot._asyncio.monotonic() < end:
        pass


async def sleep(_):
    await asyncio.sleep(3600)


@pytest.mark.parametrize("coro_fn", [wait, sleep])
def test_a_pending_task_takes_hardly_more_memory_than_in_plain_asyncio(lease, made, coro_fn):
    """Blocks of memory: what a task, its coroutine and its future take, and nothing for each task besides."""

    async def plain(number):
        tasks = [asyncio.get_event_loop().create_task(coro_fn(i)) for i in range(number)]
        await asyncio.sleep(0)
        before = sys.getallocatedblocks()
        tasks += [asyncio.get_event_loop().create_task(coro_fn(i)) for i in range(number)]
        await asyncio.sleep(0)
        blocks = (sys.getallocatedblocks() - before) / number
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return blocks

    loop = asyncio.new_event_loop()
    try:
        of_plain = loop.run_until_complete(plain(MANY))
    finally:
        loop.close()
    tasks = made(MANY, coro_fn)
    before = sys.getallocatedblocks()
    tasks += made(MANY, coro_fn)
    more = (sys.getallocatedblocks() - before) / MANY - of_plain
    noted = 1 if sys.version_info < (3, 12) else 0  # a weak reference to each task
    # Python 3.11 makes an object of each frame that we look at, when the owner of a timer is looked for.
    frames = 2 if coro_fn is sleep and sys.version_info[:2] == (3, 11) else 0
    assert more <= noted + frames + 0.2

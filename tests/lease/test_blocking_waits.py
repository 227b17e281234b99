"""lease.run_until_complete(): the caller waits, and meanwhile a callback detaches, or quits, or fails.

The caller hears of the end of its lease as DetachedError, which `except Exception` catches, in bounded time: whether
what it waits for ends with the lease, resists, or is somebody else's. What can hang is told in a process of its own.
"""

import asyncio
import os
import time

import pytest

import asyncslot
from stories import IN_A_PROCESS, Nest, beats, later, opening, plugin, tell

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("error")]

# In a process of its own, which may import what lies beside this.
BESIDE_THIS = f"{IN_A_PROCESS}sys.path.insert(0, {os.path.dirname(__file__)!r})\n"

# Seconds that detach() may take here; what resists has that long.
TIMEOUT = 0.2


async def forever():
    await asyncio.get_event_loop().create_future()


# -- what is waited for --------------------------------------------------------------------------------


async def clean_up():
    try:
        await forever()
    finally:
        await asyncio.sleep(0.001)


async def resist():
    while True:
        try:
            await forever()
        except asyncio.CancelledError:
            pass


async def spin():
    while True:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass


async def cling():
    try:
        await forever()
    finally:
        await forever()


async def wait_for_others(*others):
    await asyncio.gather(*others)


AWAITED = {
    "a coroutine": lambda alpha, bravo: forever(),
    "one that cleans up": lambda alpha, bravo: clean_up(),
    "one that resists": lambda alpha, bravo: resist(),
    "one that spins": lambda alpha, bravo: spin(),
    "one that clings to its finally": lambda alpha, bravo: cling(),
    "one that waits for one that resists": lambda alpha, bravo: wait_for_others(resist(), forever()),
    "a task": lambda alpha, bravo: alpha.lease.create_task(forever()),
    "a future": lambda alpha, bravo: alpha.lease.loop.create_future(),
    "another plug-in's task": lambda alpha, bravo: bravo.lease.create_task(forever()),
    "a task that waits for another plug-in's": lambda alpha, bravo: wait_for_others(bravo.lease.create_task(forever())),
    "a job": lambda alpha, bravo: alpha.lease.to_thread(time.sleep, 5),
}

# -- and where -------------------------------------------------------------------------------------------


def in_plain_code(alpha, bravo, wait):
    later(wait)
    yield lambda: True


def in_a_task(alpha, bravo, wait):
    async def coro():
        wait()

    alpha.lease.create_task(coro())
    yield lambda: True


def in_a_slot(alpha, bravo, wait):
    async def coro():
        wait()

    later(alpha.lease.slot(coro))
    yield lambda: True


def in_a_callback(alpha, bravo, wait):
    alpha.call_loop("call_soon", wait)
    yield lambda: True


def in_its_own_dialog(alpha, bravo, wait):
    yield from in_a_dialog_of(alpha, wait)


def in_anothers_dialog(alpha, bravo, wait):
    yield from in_a_dialog_of(bravo, wait)


def in_a_dialog_of(plugin, wait):
    nests = yield from opening([(plugin, "task", "QDialog.exec()")])
    later(lambda: (wait(), nests[0].close()))
    yield lambda: nests[0].is_over


def in_another_wait(alpha, bravo, wait):
    async def coro():
        wait()

    def wait_for_it():
        try:
            alpha.lease.run_until_complete(coro())
        except asyncslot.DetachedError:
            pass

    later(wait_for_it)
    yield lambda: True


def in_another_plugins_wait(alpha, bravo, wait):
    async def coro():
        wait()

    later(lambda: bravo.lease.run_until_complete(coro()))
    yield lambda: True


PLACES = [
    in_plain_code,
    in_a_task,
    in_a_slot,
    in_a_callback,
    in_its_own_dialog,
    in_anothers_dialog,
    in_another_wait,
    in_another_plugins_wait,
]

# -- who does something meanwhile: `waiting` is empty until somebody waits ----------------------------------------


def in_a_callback_of(plugin, waiting, act):
    """Have the plug-in's callbacks look for it, from plain code of its own on."""
    if waiting:
        act()
    else:
        plugin.call_loop("call_later", 0.001, in_a_callback_of, plugin, waiting, act)


def in_a_task_of(plugin, waiting, act):
    async def look():
        while not waiting:  # noqa: ASYNC110 - what fills it knows of no event
            await asyncio.sleep(0.001)
        act()

    plugin.lease.create_task(look())


def in_a_first_step_of(plugin, waiting, act):
    async def first_step():
        act()

    in_a_callback_of(plugin, waiting, lambda: plugin.lease.run_task(first_step()) and None)


WHO = {
    "a callback": (in_a_callback_of, "alpha"),
    "a task": (in_a_task_of, "alpha"),
    "a first step": (in_a_first_step_of, "alpha"),
    "another plug-in's callback": (in_a_callback_of, "bravo"),
    "another plug-in's task": (in_a_task_of, "bravo"),
}


def wait_and_be_detached(awaited, place, who, timeout, is_last):
    """Wait in some place for something that does not end, and look what the caller hears and what is left."""
    alpha, bravo = plugin("alpha"), plugin("bravo")
    alpha.attach()
    bravo.start()
    loop, waiting, outcomes = alpha.lease.loop, [], []

    def detach():
        if is_last:
            bravo.lease.detach(timeout=TIMEOUT)
        alpha.lease.detach(timeout=TIMEOUT)

    def wait():
        waiting.append(1)
        try:
            outcomes.append(alpha.lease.run_until_complete(AWAITED[awaited](alpha, bravo), timeout=timeout))
        except BaseException as exc:
            outcomes.append(exc)

    def story():
        does, whose = WHO[who]
        does(alpha if whose == "alpha" else bravo, waiting, detach)
        yield from place(alpha, bravo, wait)
        yield lambda: outcomes
        if not is_last:
            yield beats(bravo)

    tell(story())
    assert [isinstance(outcome, asyncslot.DetachedError) for outcome in outcomes] == [True], outcomes
    assert isinstance(outcomes[0], Exception)
    assert not isinstance(outcomes[0], asyncio.CancelledError)
    assert not alpha.lease.is_attached
    assert bravo.host.reports == []
    assert loop.is_closed() == is_last
    # As if nothing had been.
    alpha.attach()
    assert alpha.lease.run_until_complete(asyncio.sleep(0.001, "works")) == "works"
    alpha.detach()
    bravo.detach()
    assert loop.is_closed()


def wait_for_what_sits_in_the_dialog(timeout):
    """Wait, in the dialog of a task, for that task: it cannot end before the wait does."""
    alpha, clock = plugin("alpha"), plugin("clock")
    alpha.attach()
    clock.start()
    nest, waiting, outcomes = Nest(), [], []
    task = alpha.lease.create_task(alpha.sit_in(nest))

    def wait():
        waiting.append(1)
        try:
            outcomes.append(alpha.lease.run_until_complete(task, timeout=timeout))
        except BaseException as exc:
            outcomes.append(exc)

    def story():
        in_a_callback_of(alpha, waiting, lambda: alpha.lease.detach(timeout=TIMEOUT))
        yield lambda: nest.is_open
        later(wait)
        yield lambda: outcomes
        yield beats(clock)
        assert nest.is_open
        nest.close()
        yield task.done

    tell(story())
    assert [isinstance(outcome, asyncslot.DetachedError) for outcome in outcomes] == [True], outcomes
    assert alpha.lease.detach().abandoned == []
    assert task.cancelled()
    assert alpha.host.reports == clock.host.reports == []
    clock.detach()
    assert alpha.lease.loop.is_closed()


def wait_in_another_plugins_wait():
    """Each waits in a callback of the other's wait; the first is detached by the innermost, and that one goes on."""
    alpha, bravo = plugin("alpha"), plugin("bravo")
    alpha.attach()
    bravo.start()
    waiting, outcomes = [], []

    async def detach_and_return():
        alpha.lease.detach(timeout=TIMEOUT)
        await asyncio.sleep(0.001)
        return "result"

    def wait_inside():
        outcomes.append(bravo.lease.run_until_complete(detach_and_return()))

    def wait():
        waiting.append(1)
        try:
            outcomes.append(alpha.lease.run_until_complete(resist()))
        except BaseException as exc:
            outcomes.append(type(exc))

    def story():
        in_a_callback_of(bravo, waiting, wait_inside)
        later(wait)
        yield lambda: len(outcomes) == 2
        yield beats(bravo)

    tell(story())
    assert outcomes == ["result", asyncslot.DetachedError]
    bravo.detach()
    assert alpha.lease.loop.is_closed()


def told(run_python, call):
    """Tell this in a process of its own: what never returns, or raises into Qt, must not end the tests."""
    source = f"{BESIDE_THIS}from test_blocking_waits import *\n{call}\nprint('fine')"
    assert run_python(source).stdout.split() == ["fine"]


def table_of_awaited():
    for awaited in AWAITED:
        for is_last in (False, True):
            # Whose task is waited for is there, too.
            if not (is_last and "another plug-in" in awaited):
                yield pytest.param(awaited, is_last, None, id=f"{awaited}{', last' * is_last}")
    for awaited in ("a coroutine", "one that resists"):
        yield pytest.param(awaited, True, 10, id=f"{awaited}, with a limit")


@pytest.mark.slow
@pytest.mark.parametrize(("awaited", "is_last", "timeout"), [*table_of_awaited()])
def test_a_wait_whose_lease_is_detached_ends_with_detached_error(run_python, awaited, is_last, timeout):
    """Whatever is waited for, with a limit or without."""
    told(run_python, f"wait_and_be_detached({awaited!r}, in_plain_code, 'a callback', {timeout}, {is_last})")


@pytest.mark.slow
@pytest.mark.parametrize("awaited", ["a coroutine", "one that resists"])
@pytest.mark.parametrize("place", PLACES)
def test_a_wait_whose_lease_is_detached_ends_so_wherever_it_waits(run_python, place, awaited):
    """In a step of its own, in a dialog, in another wait."""
    told(run_python, f"wait_and_be_detached({awaited!r}, {place.__name__}, 'a callback', None, False)")


@pytest.mark.slow
@pytest.mark.parametrize("awaited", ["a coroutine", "one that resists"])
@pytest.mark.parametrize("who", WHO)
def test_a_wait_whose_lease_is_detached_ends_so_whoever_detaches(run_python, who, awaited):
    """Code of its own, or of another plug-in's."""
    told(run_python, f"wait_and_be_detached({awaited!r}, in_plain_code, {who!r}, None, False)")


@pytest.mark.slow
@pytest.mark.parametrize("timeout", [None, 10])
def test_a_wait_for_what_sits_in_the_dialog_around_it_ends_when_it_is_detached(run_python, timeout):
    """What is waited for goes on afterwards, when its dialog closes, and is not abandoned."""
    told(run_python, f"wait_for_what_sits_in_the_dialog({timeout})")


@pytest.mark.slow
def test_a_wait_in_another_plugins_wait_is_not_ended_with_that(run_python):
    """Each hears of its own lease only."""
    told(run_python, "wait_in_another_plugins_wait()")


# -- what else a callback may do meanwhile -------------------------------------------------------------


@pytest.fixture
def plugins(app):
    alpha, bravo = plugin("alpha"), plugin("bravo")
    alpha.attach()
    bravo.start()
    yield alpha, bravo
    alpha.detach()
    bravo.detach()


def raise_(exc):
    raise exc


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_interrupt_in_a_callback_does_not_end_a_wait(plugins, kind, who, place):
    """It is reported, to its plug-in's users; the caller gets its result, and nothing goes out into Qt."""
    alpha, bravo = plugins
    waiting, outcomes = [], []
    does, whose = WHO[who]
    told, not_told = (alpha, bravo) if whose == "alpha" else (bravo, alpha)

    def wait():
        waiting.append(1)
        outcomes.append(alpha.lease.run_until_complete(asyncio.sleep(0.02, "result"), timeout=10))

    def story():
        does(told, waiting, lambda: raise_(kind(3)))
        yield from place(alpha, bravo, wait)
        yield lambda: outcomes

    tell(story())
    assert outcomes == ["result"]
    assert [type(exc) for _, exc in told.host.reports] == [kind]
    assert not_told.host.reports == []


@pytest.mark.parametrize("place", PLACES)
def test_a_wait_that_takes_too_long_ends_wherever_it_waits(plugins, place):
    """What is waited for is cancelled; an interrupt meanwhile prolongs nothing."""
    alpha, bravo = plugins
    waiting, outcomes, tasks = [], [], []

    def wait():
        waiting.append(1)
        tasks.append(alpha.lease.create_task(clean_up()))
        try:
            alpha.lease.run_until_complete(tasks[0], timeout=0.05)
        except asyncslot.TaskTimeoutError:
            outcomes.append("too long")

    def story():
        in_a_callback_of(bravo, waiting, lambda: raise_(SystemExit(3)))
        yield from place(alpha, bravo, wait)
        yield lambda: outcomes and tasks[0].done()

    tell(story())
    assert outcomes == ["too long"]
    assert tasks[0].cancelled()

"""Plug-ins whose own code is on the stack while they detach: by a task that calls it, or that sits in a dialog."""

import asyncio
import functools

import pytest

from stories import NESTS, Nest, later, leave, plugin, tell, turns

# Where the plug-in's code is on the stack: whose dialogs are open, the outermost first, and what detaches in there.
PLACES = {
    "a task": ([], "task"),
    "a slot": ([], "slot"),
    "a callback": ([], "callback"),
    "a task's dialog": (["task"], "plain"),
    "a slot's dialog": (["slot"], "plain"),
    "a callback's dialog": (["callback"], "plain"),
    "a task in a task's dialog": (["task"], "task"),
    "a slot in a callback's dialog in a task's": (["task", "callback"], "slot"),
    "a task's dialog in a slot's in a callback's": (["callback", "slot", "task"], "plain"),
}

in_some_places = pytest.mark.parametrize("place", ["a task", "a slot", "a task's dialog"])


@pytest.fixture
def alpha(app):
    """The plug-in whose code is on the stack."""
    alpha = plugin("alpha")
    alpha.attach()
    yield alpha
    alpha.detach()
    tell(turns(20))  # what a test that failed has left behind


async def forever():
    await asyncio.get_event_loop().create_future()


async def clean_up(log, name):
    """What a coroutine does in its `finally`: some of everything."""
    await asyncio.sleep(0.001)
    await asyncio.ensure_future(asyncio.sleep(0.001))
    log.append(f"{name} cleaned up")


async def work(log):
    try:
        await forever()
    finally:
        await clean_up(log, "work")


async def sit(act, log, at_last=None):
    """Do something on the stack, go on, and clean up; do something else in the last step of all."""
    try:
        act()
        log.append("returned")
        await forever()
    finally:
        await clean_up(log, "sit")
        if at_last is not None:
            await at_last()


def run_in(how, alpha, act, log, **options):
    """Have some kind of the plug-in's code call a function."""
    if how == "task":
        alpha.lease.create_task(sit(act, log, **options))
    elif how == "slot":
        later(alpha.lease.slot(functools.partial(sit, act, log, **options)))
    else:
        alpha.call_loop("call_soon", act)


def ending_in(place, alpha, end, log, **options):
    """Part of a story, its last: have `end()` called in a place; then the dialogs close, and Qt's loop is over."""
    dialogs, caller = PLACES[place]
    nests = []
    for how, kind in zip(dialogs, NESTS):
        nests.append(Nest(kind))
        run_in(how, alpha, nests[-1].open, log, **options)
        yield lambda: nests[-1].is_open

    def end_and_leave():
        end()
        for nest in reversed(nests):
            nest.close()
        leave()

    if caller == "plain":
        end_and_leave()
    else:
        run_in(caller, alpha, end_and_leave, log, **options)
        yield lambda: False


def sitting(place):
    """Return how many coroutines are on the stack in a place."""
    dialogs, caller = PLACES[place]
    return sum(how in ("task", "slot") for how in [*dialogs, caller])

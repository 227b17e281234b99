"""A plug-in as the stories need it: executed once for each, as a module of its own package (stories.plugin()).

All that a test wants to be *this plug-in's code* stands here: code with no owner in its context is known by its
package.
"""

import asyncio
import sys

import asyncslot
from stories import later

lease = None
host = None  # stories.plugin() sets it
beats = 0
log = []


def attach():
    global lease
    lease = asyncslot.attach(host=host)
    return lease


def detach(**options):
    return asyncslot.detach(**options)


def start():
    """Attach, and have a task that counts as long as this plug-in's tasks run."""
    attach()
    lease.create_task(beat())


async def beat():
    global beats
    while True:
        beats += 1
        await asyncio.sleep(0.001)


def open_in(how, nest):
    """Open a nested Qt loop from some kind of code, in Qt's next turn or in that of asyncio."""
    if how == "task":
        lease.create_task(sit_in(nest))
    elif how == "slot":
        later(lease.slot(sit_in), nest)
    elif how == "callback":
        lease.loop.call_soon(nest.open)
    else:
        later(nest.open)


def surroundings():
    """What a coroutine finds around it."""
    running = asyncio._get_running_loop()
    return running, running and asyncio.current_task(running), sys.get_asyncgen_hooks()


async def sit_in(nest):
    """Open a nested Qt loop, and note how it goes on afterwards."""
    before = surroundings()
    assert before[0] is lease.loop
    nest.open()
    after = [surroundings()]
    try:
        await asyncio.sleep(0.001)
        after.append(surroundings())
    except RuntimeError as exc:
        after.append(exc)
    log.append("goes on" if after == [before, before] else f"finds {after}, and not {before}")

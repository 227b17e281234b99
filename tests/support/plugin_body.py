"""A plug-in as the stories need it: executed once for each, as a module of its own package (stories.plugin()).

All that a test wants to be *this plug-in's code* stands here: code with no owner in its context is known by its
package.
"""

import asyncio
import socket
import sys
import threading

import asyncslot
from stories import later, library

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


# -- what the plug-in's plain code starts: each goes on until it is ended ------------------------------


def again(ran):
    ran.append(1)
    lease.loop.call_later(0.001, again, ran)


async def work(ran):
    while True:
        ran.append(1)
        await asyncio.sleep(0.001)


def in_a_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def watch(kind, ran):
    """Watch one end of a pair of sockets, which is readable and writable all the time."""
    ends.extend(socket.socketpair())
    ends[-1].send(b"x")
    getattr(lease.loop, f"add_{kind}")(ends[-2].fileno(), ran.append, 1)


ends = []

WAYS = {
    "call_soon": lambda ran: lease.loop.call_soon(again, ran),
    "call_later": lambda ran: lease.loop.call_later(0.001, again, ran),
    "call_at": lambda ran: lease.loop.call_at(lease.loop.time(), again, ran),
    "call_soon_threadsafe": lambda ran: lease.loop.call_soon_threadsafe(again, ran),
    "call_soon_threadsafe in a thread": lambda ran: in_a_thread(lease.loop.call_soon_threadsafe, again, ran),
    "loop.create_task": lambda ran: lease.loop.create_task(work(ran)),
    "ensure_future": lambda ran: asyncio.ensure_future(work(ran), loop=lease.loop),
    "asyncio.Task": lambda ran: asyncio.Task(work(ran), loop=lease.loop),
    "run_coroutine_threadsafe": lambda ran: asyncio.run_coroutine_threadsafe(work(ran), lease.loop),
    "run_coroutine_threadsafe in a thread": lambda ran: in_a_thread(
        lambda: asyncio.run_coroutine_threadsafe(work(ran), lease.loop)
    ),
    "add_reader": lambda ran: watch("reader", ran),
    "add_writer": lambda ran: watch("writer", ran),
    "a library's call_later": lambda ran: library.call_later(lease.loop, again, ran),
    "a library's create_task": lambda ran: library.create_task(lease.loop, work(ran)),
    "lease.create_task": lambda ran: lease.create_task(work(ran)),
    "lease.run_task": lambda ran: lease.run_task(work(ran)),
    "lease.slot": lambda ran: lease.slot(work)(ran),
    "asyncslot.create_task": lambda ran: asyncslot.create_task(work(ran)),
    "asyncSlot": lambda ran: asyncslot.asyncSlot(work)(ran),
}


def schedule(way, ran):
    """Start something that appends to a list for ever."""
    tasks.append(WAYS[way](ran))  # asyncio itself keeps no task alive


tasks = []


def call_soon(callback):
    """Schedule what may be in no module of ours: that it is this plug-in's is only known by who schedules it."""
    return lease.loop.call_soon(callback)


def stop_watching():
    """Close the sockets; remove_reader() is whoever's who has added one and was not ended."""
    for end in ends:
        if lease is not None and not lease.loop.is_closed():
            lease.loop.remove_reader(end)
            lease.loop.remove_writer(end)
        end.close()


async def fail_in_a_task():
    raise KeyError(__name__.partition(".")[0])


def fail_in_a_callback():
    raise KeyError(__name__.partition(".")[0])


FAILURES = {
    "call_soon": lambda: lease.loop.call_soon(fail_in_a_callback),
    "call_later": lambda: lease.loop.call_later(0.001, fail_in_a_callback),
    "call_soon_threadsafe": lambda: lease.loop.call_soon_threadsafe(fail_in_a_callback),
    "loop.create_task": lambda: lease.loop.create_task(fail_in_a_task()),
    "ensure_future": lambda: asyncio.ensure_future(fail_in_a_task(), loop=lease.loop),
    "lease.slot": lambda: lease.slot(fail_in_a_task)(),
}


def fail(way):
    """Schedule something that fails, naming this plug-in."""
    FAILURES[way]()


def start_job(way, job):
    if way == "run_in_executor":
        lease.loop.run_in_executor(None, job)
    else:
        lease.to_thread(job)


def call_loop(method, *args):
    """Call a method of the shared loop, as this plug-in's plain code does."""
    getattr(lease.loop, method)(*args)

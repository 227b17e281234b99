"""SystemExit, Ctrl+C and errors where steps lie in steps: nothing stays held or muted, and everybody else goes on.

While a callback is on the stack, further out than a nested Qt loop, it is not entered again: its descriptor is muted,
and callbacks that share its context are held. However it ends, they are let go.
"""

import asyncio
import contextvars
import os
import signal
import socket
import sys
import time

import pytest

from stories import Nest, beats, opening, plugin, tell, turns

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("error")]

needs_readers = pytest.mark.skipif(sys.platform == "win32", reason="asyncio's proactor loop has no add_reader()")


@pytest.fixture
def plugins(app):
    alpha, bravo = plugin("alpha"), plugin("bravo")
    alpha.start()
    bravo.start()
    yield alpha, bravo
    alpha.detach()
    bravo.detach()


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    left.setblocking(False)
    with left, right:
        yield left, right


def exit_():
    raise SystemExit(3)


def interrupt():
    raise KeyboardInterrupt


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(30)


def fail():
    raise KeyError("x")


def cancel():
    raise asyncio.CancelledError


def return_():
    pass


# How a callback ends, and what its plug-in's users are told.
ENDS = {
    "returns": (return_, []),
    "an error": (fail, [KeyError]),
    "CancelledError": (cancel, None),  # asyncio tells of it or not, as the Python likes
    "SystemExit": (exit_, [SystemExit]),
    "KeyboardInterrupt": (interrupt, [KeyboardInterrupt]),
    "Ctrl+C": pytest.param((ctrl_c, [KeyboardInterrupt]), marks=pytest.mark.skipif("sys.platform == 'win32'")),
}

INTERRUPTS = {end: ENDS[end] for end in ("SystemExit", "KeyboardInterrupt")}


def table(rows):
    """A table whose rows are known by their keys."""
    rows = [
        pytest.param(*row.values, id=name, marks=row.marks) if hasattr(row, "marks") else pytest.param(row, id=name)
        for name, row in rows.items()
    ]
    return pytest.mark.parametrize("end", rows)


debug_too = pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])


def kinds(host):
    return [type(exc) for _, exc in host.reports]


def sitting_once(nests, end, then):
    """Return a function that opens a nested Qt loop the first time and ends somehow; afterwards it is another one."""

    def call(*args):
        if nests:
            return then(*args)
        nests.append(Nest())
        nests[0].open()
        return end()

    return call


def story_of(nests, condition):
    """Open, let what is to be held or muted turn up inside, close, and wait for it: nothing else is going on."""
    yield lambda: nests and nests[0].is_open
    yield from turns(30)
    nests[0].close()
    yield lambda: nests[0].is_over
    yield condition


@pytest.fixture
def quiet(app):
    """A plug-in of which nothing runs, so that nothing lets go of what one callback has left held or muted."""
    quiet = plugin("quiet")
    quiet.attach()
    yield quiet
    quiet.lease.loop.set_debug(False)
    quiet.detach()


@needs_readers
@debug_too
@pytest.mark.parametrize("kind", ["reader", "writer"])
@table(ENDS)
def test_a_descriptor_is_heard_again_however_its_callback_ends(quiet, pair, end, kind, debug):
    """It is muted while its callback sits in a nested Qt loop."""
    left, right = pair
    ends, told = end
    nests, heard = [], []
    quiet.lease.loop.set_debug(debug)
    quiet.call_loop(f"add_{kind}", left.fileno(), sitting_once(nests, ends, lambda: heard.append(1)))
    right.send(b"x")
    tell(story_of(nests, lambda: heard))
    quiet.call_loop(f"remove_{kind}", left.fileno())
    assert told is None or kinds(quiet.host) == told


@table({end: ENDS[end] for end in ("returns", "SystemExit", "KeyboardInterrupt")})
def test_a_connection_is_heard_again_however_its_protocol_ends(quiet, end):
    """asyncio's own transports are no different."""
    ends, told = end
    nests, heard, transports = [], [], []

    class Protocol(asyncio.Protocol):
        connection_made = staticmethod(transports.append)
        data_received = staticmethod(sitting_once(nests, ends, heard.append))

    async def connect():
        server = await asyncio.get_event_loop().create_server(Protocol, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        return server, writer

    server, writer = quiet.lease.run_until_complete(connect())

    def story():
        writer.write(b"x")
        yield lambda: nests and nests[0].is_open
        writer.write(b"y")
        yield from story_of(nests, lambda: heard)

    tell(story())
    server.close()
    writer.close()
    assert heard == [b"y"]
    assert kinds(quiet.host) == told


@debug_too
@table(ENDS)
def test_a_callback_that_was_held_runs_however_the_one_ends_that_held_it(quiet, end, debug):
    """It shares the context of one that sits in a nested Qt loop, and contextvars forbid to enter that twice."""
    ends, told = end
    nests, ran = [], []
    context = contextvars.copy_context()
    loop = quiet.lease.loop
    loop.set_debug(debug)
    context.run(quiet.host.reports.clear)

    def sit():
        nests.append(Nest())
        loop.call_soon(ran.append, "held", context=context)
        nests[0].open()
        assert ran == []
        ends()

    loop.call_soon(sit, context=context)
    tell(story_of(nests, lambda: ran))
    assert told is None or kinds(quiet.host) == told


@needs_readers
@table(INTERRUPTS)
def test_what_an_outer_step_has_muted_is_heard_though_an_inner_one_was_interrupted(plugins, pair, end):
    """The inner one unmutes nothing for good that is still on the stack, and loses nothing."""
    alpha, bravo = plugins
    left, right = pair
    ends, told = end
    nests, heard = [], []
    alpha.call_loop("add_reader", left.fileno(), sitting_once(nests, return_, lambda: heard.append(left.recv(1))))
    right.send(b"x")

    def story():
        yield lambda: nests and nests[0].is_open
        inner = yield from opening([(bravo, "task", "QEventLoop.exec()")])
        bravo.call_loop("call_soon", ends)
        yield beats(alpha, bravo)
        inner[0].close()
        yield lambda: inner[0].is_over
        assert heard == []
        bravo.call_loop("call_soon", ends)
        yield from story_of(nests, lambda: heard)

    tell(story())
    alpha.call_loop("remove_reader", left.fileno())
    assert heard == [b"x"]
    assert kinds(alpha.host) + kinds(bravo.host) == told * 2


# -- who raises it in a nested Qt loop -----------------------------------------------------------------


def raise_in_a_task(lease, ends):
    async def coro():
        await asyncio.sleep(0)
        ends()

    lease.create_task(coro())


def raise_in_a_first_step(lease, ends):
    async def coro():
        ends()

    lease.run_task(coro())


def raise_in_a_slot(lease, ends):
    async def coro():
        ends()

    lease.slot(coro)()


def raise_in_a_done_callback(lease, ends):
    lease.create_task(asyncio.sleep(0)).add_done_callback(lambda _: ends())


RAISERS = {
    "a task": raise_in_a_task,
    "a first step": raise_in_a_first_step,
    "a slot": raise_in_a_slot,
    "a done-callback": raise_in_a_done_callback,
    "a callback": lambda lease, ends: lease.loop.call_soon(ends),
    "a timer": lambda lease, ends: lease.loop.call_later(0.001, ends),
    "a callback from a thread": lambda lease, ends: lease.loop.call_soon_threadsafe(ends),
}


@pytest.mark.parametrize("how", ["task", "slot", "callback"])
@pytest.mark.parametrize("who", RAISERS)
@table(INTERRUPTS)
def test_an_interrupt_in_a_nested_step_ends_nothing_but_what_raised_it(plugins, end, who, how):
    """It is reported, once; who sits in the nested Qt loop goes on when that is closed, and not before."""
    alpha, bravo = plugins
    ends, told = end

    def story():
        [nest] = yield from opening([(alpha, how, "QDialog.exec()")])
        RAISERS[who](bravo.lease, ends)
        yield lambda: alpha.host.reports or bravo.host.reports
        yield beats(alpha, bravo)
        assert nest.is_open
        nest.close()
        yield lambda: nest.is_over
        yield lambda: how == "callback" or alpha.log
        yield beats(alpha, bravo)

    tell(story())
    assert alpha.log == ([] if how == "callback" else ["goes on"])
    assert kinds(alpha.host) + kinds(bravo.host) == told


@pytest.mark.parametrize("way", ["create_task", "run_task", "slot", "call_soon"])
@table(INTERRUPTS)
def test_an_interrupt_in_who_sat_in_a_nested_qt_loop_ends_nothing_else(plugins, end, way):
    """Others have their current task and running loop afterwards as before."""
    alpha, bravo = plugins
    ends, told = end
    nest = Nest()

    async def sit():
        nest.open()
        ends()

    def story():
        outer = yield from opening([(bravo, "task", "QEventLoop.exec()")])
        if way == "call_soon":
            alpha.lease.loop.call_soon(lambda: (nest.open(), ends()))
        elif way == "slot":
            alpha.lease.loop.call_soon(alpha.lease.slot(sit))
        else:
            alpha.lease.loop.call_soon(lambda: getattr(alpha.lease, way)(sit()))
        yield lambda: nest.is_open
        yield beats(alpha, bravo)
        nest.close()
        yield lambda: alpha.host.reports or bravo.host.reports
        yield beats(alpha, bravo)
        outer[0].close()
        yield lambda: bravo.log

    tell(story())
    assert bravo.log == ["goes on"]
    assert kinds(alpha.host) + kinds(bravo.host) == told

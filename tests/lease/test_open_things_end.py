"""Async generators, servers and connections end with the lease under which they were begun."""

import asyncio
import gc
import socket
import time
import weakref

import pytest

import asyncslot
import patience

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def leases(app):
    """Two leases: of the one that is detached, and of one that stays."""
    with asyncslot.attach("staying") as staying, asyncslot.attach("leaving") as leaving:
        yield leaving, staying


async def forever():
    """Wait until cancelled."""
    await asyncio.get_event_loop().create_future()


async def first_of(generator):
    """Begin to iterate."""
    return await generator.__anext__()


def wait_for(condition):
    """Wait in a thread until something is in a list."""
    deadline = time.monotonic() + patience.FOR_THE_LOOP
    while not condition and time.monotonic() < deadline:
        time.sleep(0.001)


# -- async generators -------------------------------------------------------------


def test_async_generators_are_closed_with_their_lease(leases):
    """Their `finally` runs, and may await; another plug-in's are left alone."""
    log, generators = [], []

    async def numbers(name):
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0.001)
            log.append(name)

    async def begin(name):
        generators.append(numbers(name))
        await generators[-1].__anext__()

    for lease in leases:
        lease.run_until_complete(begin(lease.owner))
    report = leases[0].detach()
    assert log == ["leaving"]
    assert any("async generator" in what and "numbers()" in what for what in report.closed)
    assert generators[1].ag_frame is not None
    leases[1].detach()
    assert log == ["leaving", "staying"]


def test_an_async_generator_that_will_not_end_is_abandoned(leases):
    """Within the time, and its error goes to the report of whose it is."""

    async def clinging():
        try:
            yield 1
        finally:
            await forever()

    generator = clinging()
    leases[0].run_until_complete(first_of(generator))
    report = leases[0].detach(timeout=0.1)
    assert report.seconds < 10
    assert any("clinging()" in what for what in report.closed)


def test_a_dropped_async_generator_is_closed_in_its_owners_name(leases, spin):
    """Whoever's code is running when the garbage collector finds it; another plug-in's detach does not end that."""
    owners, box = [], []

    async def numbers():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            owners.append(leases[0].loop._as_owner.get())

    async def begin():
        box.append(numbers())
        await box[0].__anext__()

    async def drop():
        box.clear()
        gc.collect()

    leases[1].run_until_complete(begin())
    leases[0].run_until_complete(drop())
    leases[0].detach()
    spin(lambda: owners == [leases[1]._owner])


def test_owners_of_async_generators_are_not_kept_for_ever(leases):
    """However many generators run to their end."""

    async def numbers():
        yield 1

    async def run_many():
        kept = [numbers() for _ in range(50)]
        for generator in kept:
            await generator.__anext__()
        for _ in range(1000):
            async for _ in numbers():
                pass

    leases[0].run_until_complete(run_many())
    assert len(leases[0].loop._as_registry.generator_owners) < 400


def test_an_owner_that_has_left_is_not_kept_by_its_async_generators(app):
    """Not even by one that ran to its end, which asyncio does not hear of; or a purged plug-in stays in memory."""

    async def iterate():
        async def numbers():
            yield 1

        async for _ in numbers():
            pass

    with asyncslot.attach("staying"):
        leaving = asyncslot.attach("leaving")
        leaving.run_until_complete(iterate())
        owner = weakref.ref(leaving._owner)
        leaving.detach()
        del leaving
        gc.collect()
        assert owner() is None


def test_an_error_while_an_async_generator_is_closed_is_reported(app, recorder):
    """As asyncio does it, and it is nobody else's error."""

    async def failing():
        try:
            yield 1
        finally:
            raise KeyError("x")

    lease = asyncslot.attach("failing", host=recorder)
    generator = failing()
    lease.run_until_complete(first_of(generator))
    lease.detach()
    [(message, kind)] = recorder.reports
    assert message.startswith("failing: An error occurred while the async generator")
    assert kind is KeyError


# -- servers -----------------------------------------------------------------------


def test_a_servers_handlers_are_cancelled_without_a_word(app, recorder):
    """asyncio.streams of some Pythons take it for an error, which nobody's user has to see."""
    begun = []

    async def handle(reader, writer):
        begun.append(asyncio.current_task())
        await reader.readline()

    async def serve():
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        streams = await asyncio.open_connection(*server.sockets[0].getsockname())
        await lease.loop.run_in_executor(None, wait_for, begun)
        return server, streams

    lease = asyncslot.attach("serving", host=recorder)
    kept = lease.run_until_complete(serve())
    report = lease.detach()
    assert begun[0].cancelled()
    assert any(what.startswith("server on") for what in report.closed)
    assert recorder.reports == []
    assert not kept[0].is_serving()


@pytest.mark.parametrize("turns", [*range(12), 20, 40])
def test_a_connection_may_be_anywhere_between_accepted_and_answered(app, recorder, turns):
    """However few turns a server and its client have had: the garbage collector, which would tell, finds nothing."""

    async def answer(reader, writer):
        try:
            await reader.read()
        finally:
            writer.close()

    async def echo():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            await forever()
        finally:
            writer.close()

    async def wait():
        for _ in range(turns):
            await asyncio.sleep(0)

    for _ in range(5):
        lease = asyncslot.attach("serving", host=recorder)
        lease.create_task(echo())
        lease.run_until_complete(wait())
        lease.detach()
        gc.collect()
    assert recorder.reports == []


class Again(asyncio.Protocol, asyncio.DatagramProtocol):
    """Connects again whenever it has lost its connection."""

    def __init__(self, connect, told):
        self.connect, self.told = connect, told

    def connection_lost(self, exc):
        self.told.append(exc)
        asyncio.get_event_loop().create_task(self.connect())


class AgainInACallback(Again):
    def connection_lost(self, exc):
        self.told.append(exc)
        asyncio.get_event_loop().call_soon(lambda: asyncio.ensure_future(self.connect()))


@pytest.mark.parametrize("protocol", [Again, AgainInACallback])
@pytest.mark.parametrize("kind", ["stream", "datagrams"])
def test_a_connection_that_is_made_when_another_one_is_lost_is_closed(app, recorder, kind, protocol):
    """By a protocol that hears of the end that detach() has made. It does not hear of the next one."""
    told, kept = [], []

    async def connect():
        loop = asyncio.get_event_loop()
        if kind == "datagrams":
            await loop.create_datagram_endpoint(lambda: protocol(connect, told), local_addr=("127.0.0.1", 0))
        else:
            ours, other = socket.socketpair()
            kept.append(other)
            await loop.connect_accepted_socket(lambda: protocol(connect, told), ours)

    lease = asyncslot.attach("connecting", host=recorder)
    lease.run_until_complete(connect())
    report = lease.detach()
    for other in kept:
        other.close()
    gc.collect()
    assert told == [None]
    assert len(report.closed) == 2
    assert recorder.reports == []


@pytest.mark.parametrize("how", ["returns", "goes on"])
def test_a_task_that_detaches_itself_ends_without_a_word(app, spin, recorder, how):
    """Whether it returns at once or is cancelled where it waits next."""
    lease = asyncslot.attach("suicidal", host=recorder)

    async def leave():
        lease.detach()
        if how == "goes on":
            await asyncio.sleep(10)

    lease.create_task(leave())
    spin(lease.loop.is_closed)
    gc.collect()
    assert recorder.reports == []

"""That a transport reads as much at a time as its plug-in works off within a step's budget: _reads.

Time is a clock of the test's own, which goes on only where a token is worked off. So what is counted does not depend on
the machine: how many tokens are worked off between two turns of the host's Qt loop, and how large reads are.
"""

import asyncio
import contextlib
import gc
import socket
import ssl
import sys
import weakref

import pytest

from asyncslot import _reads, _signals, asyncSignals

TOKENS = 3000
TOKEN = b"data: a word or two, as they come\n"
# Seconds that the plug-in takes for one.
WORK = 0.0005

# In the first turn all of a first read, and over TLS two portions, which are half as large.
MOST_AT_FIRST = _reads._FIRST // len(TOKEN) + 2
# Later a smallest read, and over TLS two of them; none of it is longer than a frame.
MOST_LATER = 2 * _reads._LEAST // len(TOKEN) + 2

unix_only = pytest.mark.skipif(sys.platform == "win32", reason="a completion port reads otherwise")
needs_portions = pytest.mark.skipif(sys.version_info < (3, 11), reason="there a whole record is handed over")


class Screen:
    """The host's turns, and how many tokens were worked off before each."""

    def __init__(self, core, clock):
        self.turns = []
        self.seconds = WORK
        self._clock = clock
        self._shown = 0
        self._timer = core.QTimer()
        self._timer.timeout.connect(self._turn)
        self._timer.start(0)

    def show(self, *_):
        self._shown += 1
        self._clock.pass_(self.seconds)

    def _turn(self):
        if self._shown:
            self.turns.append(self._shown)
            self._shown = 0

    def close(self):
        self._turn()
        self._timer.stop()


@pytest.fixture
def screen(lease, clock):
    screen = Screen(lease.host.qt_core(), clock)
    yield screen
    screen.close()


@pytest.fixture
def run(lease, spin):
    """Return a function that runs a coroutine as a task of the lease, and returns its result."""

    def run(coro):
        task = lease.create_task(coro)
        spin(task.done)
        return task.result()

    return run


def send_all(sock, data, context=None):
    """Send data from a thread, and close."""

    def send():
        with sock, context.wrap_socket(sock, server_side=True) if context else sock as channel:
            channel.sendall(data)

    return asyncio.get_running_loop().run_in_executor(None, send)


def tcp_pair():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return ours, theirs


class Naive(asyncio.Protocol):
    """Works off all tokens that it gets."""

    def __init__(self, screen):
        self.screen = screen
        self.rest = b""
        self.sizes = []
        self.done = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.sizes.append(len(data))
        *tokens, self.rest = (self.rest + data).split(b"\n")
        for _ in tokens:
            self.screen.show()

    def connection_lost(self, exc):
        self.done.set_result(None)


class NaiveBuffer(asyncio.BufferedProtocol):
    """The same, with a buffer of its own, which it makes longer and shorter."""

    def __init__(self, screen):
        self.naive = Naive(screen)
        self.done = self.naive.done
        self.buffer = bytearray()

    def get_buffer(self, sizehint):
        self.buffer.extend(bytes(256 * 1024))
        return self.buffer

    def buffer_updated(self, count):
        data = bytes(self.buffer[:count])
        self.buffer.clear()
        self.naive.data_received(data)

    def connection_lost(self, exc):
        self.naive.connection_lost(exc)


async def by_stream(screen, reader):
    async for _ in reader:
        screen.show()


async def over_tcp(screen, tokens, certificate):
    ours, theirs = tcp_pair()
    sent = send_all(theirs, tokens)
    reader, writer = await asyncio.open_connection(sock=ours)
    await by_stream(screen, reader)
    writer.close()
    await sent


async def over_unix_sockets(screen, tokens, certificate):
    ours, theirs = socket.socketpair()
    sent = send_all(theirs, tokens)
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    await by_stream(screen, reader)
    writer.close()
    await sent


async def by_protocol(screen, tokens, certificate):
    ours, theirs = tcp_pair()
    sent = send_all(theirs, tokens)
    _, protocol = await asyncio.get_running_loop().create_connection(lambda: Naive(screen), sock=ours)
    await protocol.done
    await sent


async def by_buffer(screen, tokens, certificate):
    ours, theirs = tcp_pair()
    sent = send_all(theirs, tokens)
    _, protocol = await asyncio.get_running_loop().create_connection(lambda: NaiveBuffer(screen), sock=ours)
    await protocol.done
    await sent


def contexts(certificate):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    return server, ssl.create_default_context(cafile=certificate)


async def over_tls(screen, tokens, certificate):
    ours, theirs = tcp_pair()
    server, client = contexts(certificate)
    sent = send_all(theirs, tokens, server)
    reader, writer = await asyncio.open_connection(sock=ours, ssl=client, server_hostname="localhost")
    await by_stream(screen, reader)
    writer.close()
    await sent


async def over_tls_that_comes_later(screen, tokens, certificate):
    """By start_tls(), as over a proxy."""
    ours, theirs = tcp_pair()
    server, client = contexts(certificate)
    loop = asyncio.get_running_loop()
    sent = send_all(theirs, tokens, server)
    protocol = Naive(screen)
    transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
    await loop.start_tls(transport, protocol, client, server_hostname="localhost")
    await protocol.done
    await sent


async def from_a_pipe(screen, tokens, certificate):
    code = f"import sys; sys.stdout.buffer.write({TOKEN!r} * {TOKENS})"
    child = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", code, stdout=asyncio.subprocess.PIPE)
    await by_stream(screen, child.stdout)
    await child.wait()


WAYS = [
    pytest.param(over_tcp, id="TCP"),
    pytest.param(over_unix_sockets, id="unix socket", marks=unix_only),
    pytest.param(by_protocol, id="data_received"),
    pytest.param(by_buffer, id="get_buffer"),
    pytest.param(over_tls, id="TLS", marks=needs_portions),
    pytest.param(over_tls_that_comes_later, id="start_tls", marks=needs_portions),
    pytest.param(from_a_pipe, id="pipe", marks=unix_only),
]


@unix_only
@pytest.mark.parametrize("way", WAYS)
def test_a_naive_loop_over_much_that_is_there_at_once_costs_no_frame(run, screen, certificate, way):
    """Qt has its turn after some tokens, and nothing of the stream is lost."""
    run(way(screen, TOKEN * TOKENS, certificate))
    screen.close()
    assert sum(screen.turns) == TOKENS
    assert max(screen.turns[:2]) <= MOST_AT_FIRST
    assert max(screen.turns[2:]) <= MOST_LATER


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="there it is less than a record")
def test_before_python_3_11_a_record_of_tls_is_worked_off_at_once(run, screen, certificate):
    """And not all records that have come."""
    run(over_tls(screen, TOKEN * TOKENS, certificate))
    screen.close()
    assert sum(screen.turns) == TOKENS
    assert max(screen.turns) <= 2 * 16 * 1024 // len(TOKEN) + 2  # a read may end a record and bring a short one


@pytest.mark.parametrize("way", [by_protocol, by_buffer])
def test_a_reader_that_is_fast_gets_all_that_a_read_can_bring(run, screen, certificate, way, monkeypatch):
    """Reads grow while they come back full."""
    screen.seconds = 0.0
    sizes = []
    monkeypatch.setattr(Naive, "data_received", lambda self, data: sizes.append(len(data)))
    total = 16 * 1024 * 1024
    run(way(screen, bytes(total), certificate))
    assert sum(sizes) == total
    assert max(sizes) == _reads._MOST


@pytest.mark.parametrize("times", [1, 2])
def test_a_read_that_was_slow_once_may_have_met_another_program(times):
    """Only the second one in a row makes reads smaller, if no frame was lost; and there is a way back."""
    pace = _reads.Pace()
    pace._set(_reads._MOST)
    for _ in range(times):
        pace.adapt(pace.size)
        pace.got = pace.size
        pace.slow_down(0.008, 0.001)
    assert pace.size == (_reads._MOST if times == 1 else _reads._MOST // 8)
    for _ in range(20):
        pace.adapt(pace.size)
        pace.got = pace.size
    assert pace.size == _reads._MOST


def test_slow_reads_between_which_others_are_fast_change_nothing():
    """A machine that is busy interrupts one in some dozens."""
    pace = _reads.Pace()
    pace._set(_reads._MOST)
    for number in range(100):
        pace.adapt(pace.size)
        pace.got = pace.size
        if number % 4 == 0:
            pace.slow_down(0.008, 0.001)
    assert pace.size == _reads._MOST


@unix_only
def test_a_stream_that_trickles_is_ready_for_the_day_when_much_comes(run, screen, certificate):
    """After much that was read fast, and a while of single tokens, a burst is read as the first one is."""

    async def download_and_listen():
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        sending = asyncio.get_running_loop().run_in_executor(None, theirs.sendall, bytes(2**22))
        await reader.readexactly(2**22)
        await sending
        for _ in range(20):
            theirs.sendall(TOKEN)
            await reader.readline()
        screen.seconds = WORK
        sending = send_all(theirs, TOKEN * TOKENS)
        await by_stream(screen, reader)
        writer.close()
        await sending

    screen.seconds = 0.0
    run(download_and_listen())
    screen.close()
    assert sum(screen.turns) == TOKENS
    assert max(screen.turns) <= MOST_AT_FIRST


def test_a_task_that_computes_in_slices_does_not_slow_down_another_ones_reads(run, screen, certificate, clock):
    """What did not wait for a read is not what the read brought."""
    sizes = []

    async def compute():
        while True:
            clock.pass_(0.005)
            await asyncio.sleep(0)

    async def both():
        ours, theirs = tcp_pair()
        sent = send_all(theirs, bytes(8 * 1024 * 1024))
        computing = asyncio.ensure_future(compute())
        reader, writer = await asyncio.open_connection(sock=ours, limit=1024 * 1024)
        while True:
            data = await reader.read(1024 * 1024)
            if not data:
                break
            sizes.append(len(data))
        computing.cancel()
        writer.close()
        await sent

    run(both())
    assert max(sizes) >= _reads._MOST


@unix_only
def test_one_datagram_is_worked_off_in_a_turn(lease, run, screen):
    """asyncio reads one at a time; the others wait in the system."""

    class Datagrams(asyncio.DatagramProtocol):
        def __init__(self):
            self.queue = asyncio.Queue()

        def datagram_received(self, data, addr):
            self.queue.put_nowait(data)

    async def receive():
        screen.seconds = 0.002
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(50):
                sock.sendto(TOKEN, transport.get_extra_info("sockname"))
        for _ in range(50):
            await protocol.queue.get()
            screen.show()
        transport.close()

    run(receive())
    screen.close()
    assert max(screen.turns) <= 2


def test_emissions_that_are_there_at_once_give_way(lease, run, screen, clock, monkeypatch):
    """asyncSignals takes some of them, and then it is the host's turn."""
    monkeypatch.setattr(_signals, "perf_counter", clock)
    timer = lease.host.qt_core().QTimer()

    async def iterate():
        async with asyncSignals(timer.objectNameChanged) as emissions:
            for number in range(200):
                timer.setObjectName(f"name {number}")
            async for (name,) in emissions:
                screen.show()
                if name == "name 199":
                    break

    run(iterate())
    screen.close()
    assert sum(screen.turns) == 200
    assert max(screen.turns) <= 3


def test_emissions_that_are_dropped_while_it_gives_way_do_not_come(run, clock, monkeypatch, lease):
    """aclose() ends an iteration that has given way."""
    timer = lease.host.qt_core().QTimer()
    taken = []

    async def iterate():
        emissions = asyncSignals(timer.objectNameChanged)
        timer.setObjectName("one")

        async def take():
            async for (name,) in emissions:
                taken.append(name)

        task = asyncio.ensure_future(take())
        await asyncio.sleep(0)
        await emissions.aclose()
        await task

    run(iterate())
    assert taken == []


def test_a_transport_that_is_gone_is_kept_by_nobody(lease, run):
    """Neither by the loop nor by what reads for it, but for asyncio's own cycles."""

    async def connect():
        ours, theirs = tcp_pair()
        reader, writer = await asyncio.open_connection(sock=ours)
        theirs.sendall(TOKEN)
        await reader.readline()
        theirs.close()
        writer.close()
        await asyncio.sleep(0.01)
        return weakref.ref(writer.transport)

    transport = run(connect())
    gc.collect()
    assert transport() is None


@needs_portions
@pytest.mark.parametrize("who", ["the peer", "we"])
def test_what_came_before_the_end_of_a_tls_connection_is_handed_over(run, certificate, who):
    """All of it, when the peer closes behind much that has not been taken yet; no hang when we do."""

    async def close_early():
        ours, theirs = tcp_pair()
        server, client = contexts(certificate)
        sent = send_all(theirs, TOKEN * TOKENS, server)
        reader, writer = await asyncio.open_connection(sock=ours, ssl=client, server_hostname="localhost", limit=2**24)
        count = 0
        # When we close first, data comes after that, and asyncio passes OpenSSL's error on.
        with contextlib.suppress(OSError):
            if who == "we":
                await reader.readline()
                writer.close()
                await writer.wait_closed()
            async for _ in reader:
                count += 1
            writer.close()
        with contextlib.suppress(OSError):
            await sent
        return count

    count = run(close_early())
    assert count == TOKENS if who == "the peer" else count < TOKENS


@needs_portions
def test_what_a_tls_connection_had_left_when_its_reader_was_paused_is_handed_over(run, screen, certificate):
    """The peer has closed meanwhile, and asyncio asks only once for what is left."""

    class Pausing(Naive):
        def data_received(self, data):
            if not self.sizes:
                self.transport.pause_reading()
            super().data_received(data)

        def connection_made(self, transport):
            self.transport = transport

    async def pause():
        ours, theirs = tcp_pair()
        server, client = contexts(certificate)
        sent = send_all(theirs, TOKEN * TOKENS, server)
        transport, protocol = await asyncio.get_running_loop().create_connection(
            lambda: Pausing(screen), sock=ours, ssl=client, server_hostname="localhost"
        )
        await sent
        while not transport._ssl_protocol._eof_received:  # noqa: ASYNC110 - asyncio tells nobody
            await asyncio.sleep(0.001)
        transport.resume_reading()
        await protocol.done

    run(pause())
    screen.close()
    assert sum(screen.turns) == TOKENS

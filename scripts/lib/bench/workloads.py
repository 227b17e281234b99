"""What scripts/bench.py measures without a GUI: one coroutine function for each workload.

Each is given a `Bench` and returns a dict of figures. A figure's name says its unit; of those "/s" and "%" more is
better, of all others less. Most of them run for a fixed time and count, so that a slow contender takes no longer than a
fast one. They use asyncio's public interface only. What has to do with Qt is in gui.py.
"""

import asyncio
import contextlib
import gc
import os
import resource
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

clock = time.perf_counter


class Bench:
    """What a workload is told.

    Attributes:
        seconds: how long to count for.
        size: factor for fixed amounts: 1.0, or less in a test.
        contender: the `loops.Contender` under which the workload runs.
    """

    def __init__(self, contender, seconds, size):
        self.contender = contender
        self.seconds = seconds
        self.size = size

    def amount(self, number):
        """Scale a fixed amount."""
        return max(2, int(number * self.size))


def percentile(values, percent):
    """Return the value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


# -- callbacks, tasks and timers ---------------------------------------------


async def chain(bench):
    """A callback that calls call_soon() for itself."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    count = 0
    start = clock()
    deadline = start + bench.seconds

    def link():
        nonlocal count
        count += 1
        if clock() < deadline:
            loop.call_soon(link)
        else:
            done.set_result(clock() - start)

    loop.call_soon(link)
    taken = await done
    return {"callbacks/s": count / taken}


async def switch(bench, tasks):
    """Tasks that await sleep(0) all the time."""
    count = await storm(clock() + bench.seconds, tasks)
    return {"switches/s": count / bench.seconds}


async def storm(deadline, tasks):
    """Run tasks that await sleep(0) until the deadline, and return how often they did."""
    count = 0

    async def one():
        nonlocal count
        while clock() < deadline:
            count += 1
            await asyncio.sleep(0)

    await asyncio.gather(*(one() for _ in range(tasks)))
    return count


async def burst(bench):
    """Many call_soon() at once, until the last one has run."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    start = clock()
    for _ in range(bench.amount(100_000)):
        loop.call_soon(_nothing)
    loop.call_soon(done.set_result, None)
    await done
    return {"ms": (clock() - start) * 1000}


def _nothing():
    pass


async def sleep_1ms(bench):
    """sleep(0.001), one after the other: how long each takes really."""
    taken = []
    deadline = clock() + bench.seconds
    while clock() < deadline:
        start = clock()
        await asyncio.sleep(0.001)
        taken.append(clock() - start)
    # asyncio lets a timer fire early by the resolution of its clock, and both clocks tick on between two lines.
    early = sum(each < 0.001 - 2e-6 for each in taken)
    return {"ms mean": statistics.mean(taken) * 1000, "fired early": early}


async def timers(bench):
    """Timers spread over a second: how late each is, and what all of them cost."""
    loop = asyncio.get_running_loop()
    number = bench.amount(10_000)
    span = min(1.0, number / 10_000)
    late = []
    done = loop.create_future()

    def fire(due):
        late.append(loop.time() - due)
        if len(late) == number:
            done.set_result(None)

    cpu = time.process_time()
    start = loop.time() + 0.05
    for i in range(number):
        due = start + span * i / number
        loop.call_at(due, fire, due)
    await done
    cpu = time.process_time() - cpu
    # asyncio lets a timer fire early by the resolution of its clock.
    early = max(0.0, -min(late) - time.get_clock_info("monotonic").resolution)
    return {
        "ms late p50": percentile(late, 50) * 1000,
        "ms too early": early * 1000,
        "ms CPU": cpu * 1000,
    }


# -- sockets -------------------------------------------------------------------


class _EchoServer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class _EchoClient(asyncio.Protocol):
    """Sends a message back and forth until the deadline."""

    MESSAGE = b"x" * 64

    def __init__(self, deadline):
        self.deadline = deadline
        self.count = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.count += 1
        if clock() < self.deadline:
            self.transport.write(data)
        else:
            self.done.set_result(None)


async def echo(bench, connections, idle=0):
    """Round trips over TCP, both ends in the loop."""
    count = await echo_storm(bench.seconds, connections, idle)
    return {"round trips/s": count / bench.seconds}


async def echo_storm(seconds, connections, idle=0):
    """Have connections echo for some seconds, beside idle ones, and return how often they did."""
    allow_descriptors()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_EchoServer, "127.0.0.1", 0, backlog=1000)
    host, port = server.sockets[0].getsockname()
    clients = []
    for _ in range(connections + idle):
        _, client = await loop.create_connection(lambda: _EchoClient(0.0), host, port)
        clients.append(client)
    count = await _have_echo(clients[:connections], seconds)
    for client in clients:
        client.transport.close()
    server.close()
    return count


async def _have_echo(clients, seconds):
    """Have clients send a message back and forth for some seconds, and return how often they did."""
    deadline = clock() + seconds
    for client in clients:
        client.deadline = deadline
        client.transport.write(client.MESSAGE)
    await asyncio.wait([client.done for client in clients])
    return sum(client.count for client in clients)


# A process that sends back what it gets: its ends of the connections, and their memory, are not ours.
ECHO = """
import asyncio, resource

class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(data)

async def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextlib.contextmanager
def echo_server():
    """Give the port of a server in a process of its own, for as long as it is used."""
    with subprocess.Popen([sys.executable, "-S", "-c", ECHO], stdout=subprocess.PIPE) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def connections(bench, busy, idle):
    """Connections to another process, most of them idle: what each takes to open and to keep, and how the busy echo."""
    allow_descriptors()
    loop = asyncio.get_running_loop()
    busy, idle = bench.amount(busy), bench.amount(idle)
    with echo_server() as port:
        gc.collect()
        before, start = resident(), clock()
        clients = []
        for _ in range(busy + idle):
            _, client = await loop.create_connection(lambda: _EchoClient(0.0), "127.0.0.1", port)
            clients.append(client)
        opened = clock() - start
        gc.collect()
        memory = max(0, resident() - before)
        count = await _have_echo(clients[:busy], bench.seconds)
        for client in clients:
            client.transport.close()
        await asyncio.sleep(0)
    return {
        "round trips/s": count / bench.seconds,
        "µs to open": opened / len(clients) * 1e6,
        "B each": memory / len(clients),
    }


async def streams(bench):
    """Lines back and forth over asyncio's streams."""

    async def serve(reader, writer):
        while True:
            line = await reader.readline()
            if not line:
                break
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    count = 0
    deadline = clock() + bench.seconds
    while clock() < deadline:
        writer.write(b"a line of text\n")
        await writer.drain()
        await reader.readline()
        count += 1
    writer.close()
    server.close()
    return {"round trips/s": count / bench.seconds}


def allow_descriptors():
    """Allow this process as many descriptors as the machine lets it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def pending(bench, tasks, shared=False):
    """Tasks that wait, as many as there are pending; then all are ended: by detach(), or cancelled and gathered.

    Args: shared: whether all wait for one event, and not each for a future of its own.
    """
    loop = asyncio.get_running_loop()
    make, end = bench.contender.group()
    event = asyncio.Event()

    async def wait():
        await (event.wait() if shared else loop.create_future())

    number = bench.amount(tasks)
    gc.collect()
    before = resident()
    start = clock()
    for _ in range(number):
        make(wait())
    await asyncio.sleep(0)
    made = clock() - start
    gc.collect()
    memory = max(0, resident() - before)
    start = clock()
    await end()
    return {"ms to end": (clock() - start) * 1000, "µs to make": made / number * 1e6, "B each": memory / number}


def resident():
    """Return how much of this process is in memory, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# -- waking up -------------------------------------------------------------------

# Writes the time into its output, again and again, and not too regularly. A process of its own, so that its CPU time
# and its GIL are not ours.
TICKER = """
import os, struct, sys, time
period, number = float(sys.argv[1]), int(sys.argv[2])
for i in range(number):
    time.sleep(period * (0.75 + 0.5 * (i * 7 % 16) / 16))
    os.write(1, struct.pack("d", time.perf_counter()))
"""


def start_ticker(sock, period, number):
    """Start a process that writes the time into a socket, as eight bytes."""
    return subprocess.Popen([sys.executable, "-S", "-c", TICKER, str(period), str(number)], stdout=sock)


async def wake(bench, fds=10, timers=0):
    """Wake-ups of a loop that sleeps, with idle descriptors and timers pending: CPU time and latency of each."""
    loop = asyncio.get_running_loop()
    allow_descriptors()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    quiet, other = socket.socketpair()
    idle = [os.dup(quiet.fileno()) for _ in range(bench.amount(fds))]
    for fd in idle:
        loop.add_reader(fd, _nothing)
    pending = [loop.call_later(3600 + i, _nothing) for i in range(bench.amount(timers) if timers else 0)]
    number = max(20, int(bench.seconds / 0.004))
    late = []
    done = loop.create_future()
    cpu = 0.0

    def on_tick():
        nonlocal cpu
        data = ours.recv(8 * 64)
        now = clock()
        late.extend(now - then for (then,) in struct.iter_unpack("d", data))
        if len(late) == 5:
            cpu = time.process_time()  # the first ones warm up
        if len(late) >= number:
            done.set_result(time.process_time())

    loop.add_reader(ours.fileno(), on_tick)
    ticker = start_ticker(theirs, 0.004, number)
    cpu = await done - cpu
    loop.remove_reader(ours.fileno())
    for fd in idle:
        loop.remove_reader(fd)
        os.close(fd)
    for timer in pending:
        timer.cancel()
    ticker.wait(10)
    for each in (ours, theirs, quiet, other):
        each.close()
    return {"µs CPU": cpu / (number - 5) * 1e6, "µs latency p50": percentile(late[5:], 50) * 1e6}


async def executor(bench):
    """run_in_executor() of a function that does nothing, one after the other."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, _nothing)
    taken = []
    deadline = clock() + bench.seconds
    while clock() < deadline:
        start = clock()
        await loop.run_in_executor(None, _nothing)
        taken.append(clock() - start)
    return {"µs round trip p50": percentile(taken, 50) * 1e6}


async def threadsafe(bench):
    """call_soon_threadsafe() from another thread as fast as it can, until the last one has run."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    number = bench.amount(50_000)

    def flood():
        for _ in range(number):
            loop.call_soon_threadsafe(_nothing)
        loop.call_soon_threadsafe(done.set_result, None)

    start = clock()
    thread = threading.Thread(target=flood)
    thread.start()
    await done
    taken = clock() - start
    thread.join()
    return {"calls/s": number / taken}


async def threadsafe_latency(bench):
    """call_soon_threadsafe() from a thread that wakes now and then, into a loop that sleeps."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    late = []

    def knock():
        for _ in range(max(10, int(bench.seconds / 0.003))):
            time.sleep(0.003)
            loop.call_soon_threadsafe(lambda then: late.append(clock() - then), clock())
        loop.call_soon_threadsafe(done.set_result, None)

    thread = threading.Thread(target=knock)
    thread.start()
    await done
    thread.join()
    return {"µs latency p50": percentile(late, 50) * 1e6}


async def idle(bench):
    """A loop with a hundred descriptors and a timer, and nothing to do."""
    loop = asyncio.get_running_loop()
    quiet, other = socket.socketpair()
    fds = [os.dup(quiet.fileno()) for _ in range(100)]
    for fd in fds:
        loop.add_reader(fd, _nothing)
    timer = loop.call_later(3600, _nothing)
    seconds = 5 * bench.size
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.sleep(seconds)
    after = resource.getrusage(resource.RUSAGE_SELF)
    threads = len(os.listdir("/proc/self/task"))
    timer.cancel()
    for fd in fds:
        loop.remove_reader(fd)
        os.close(fd)
    quiet.close()
    other.close()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"ms CPU": cpu * 1000, "context switches": after.ru_nvcsw - before.ru_nvcsw, "threads": threads}

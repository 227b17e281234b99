"""A process that has no descriptors left, or whose epoll somebody closes; each in a process of its own."""

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the limits are those of POSIX")

EXHAUSTED = """
import asyncio, errno, gc, os, resource, socket, sys, time
from qtpy import QtCore, QtWidgets
import asyncslot
from asyncslot._hosts import PlainQt
app = QtWidgets.QApplication([])
reports = []

class Host(PlainQt):
    def report(self, message, exc):
        reports.append((message, exc))

def spin(until):
    loop, poll = QtCore.QEventLoop(), QtCore.QTimer()
    poll.timeout.connect(lambda: (until() or time.monotonic() > end) and loop.quit())
    end = time.monotonic() + 60
    poll.start(1)
    (getattr(loop, "exec", None) or loop.exec_)()
    assert until(), (until, reports)

def let_pass(seconds):
    end, before = time.monotonic() + seconds, len(steps)
    spin(lambda: time.monotonic() >= end)
    return len(steps) - before

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

def exhaust(free=0):
    "Leave room for `free` descriptors, which are the next ones that anybody gets."
    fillers = []
    while True:
        fillers.append(os.open(os.devnull, os.O_RDONLY))
        if fillers[-1] > 100:
            break
    resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1, hard))
    for _ in range(free):
        os.close(fillers.pop())
    return fillers

def restore(fillers):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for fd in fillers:
        os.close(fd)

async def ticking():
    while True:
        await asyncio.sleep(0.001)
        ticks.append(1)

def start():
    global lease, neighbour, loop, steps, ticks
    lease, neighbour = asyncslot.attach("faulty", host=Host()), asyncslot.attach("neighbour", host=Host())
    loop, steps, ticks = lease.loop, [], []
    step = loop._as_wait._step
    loop._as_wait._step = lambda running: (steps.append(1), step(running))

def finish():
    for each in (lease, neighbour):
        assert each.detach().abandoned == []
    assert loop.is_closed()
    gc.collect()

async def echo(reader, writer):
    writer.write(await reader.readline())
    writer.close()
"""

EXHAUSTED_PROGRAMS = {
    "accept": r"""
start()
server = lease.run_until_complete(asyncio.start_server(echo, "127.0.0.1", 0))
client = socket.socket()
client.setblocking(False)
let_pass(0.05)
fillers = exhaust()
try:
    client.connect(server.sockets[0].getsockname())
except BlockingIOError:
    pass
spin(lambda: reports)
assert let_pass(0.3) <= 100
ticker = neighbour.create_task(ticking())
spin(lambda: len(ticks) > 20)
ticker.cancel()
restore(fillers)
client.send(b"hello\n")
answer = lease.create_task(loop.sock_recv(client, 100))
spin(answer.done)
assert answer.result() == b"hello\n"
client.close()
assert all(message.startswith("faulty: ") and exc.errno == errno.EMFILE for message, exc in reports), reports
finish()
print("good")
""",
    "socket": r"""
start()
server = lease.run_until_complete(asyncio.start_server(echo, "127.0.0.1", 0))

async def ask():
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello\n")
    line = await reader.readline()
    writer.close()
    return line

fillers = exhaust()
task = lease.create_task(ask())
spin(task.done)
assert task.exception().errno == errno.EMFILE
assert let_pass(0.3) <= 5
restore(fillers)
task = lease.create_task(ask())
spin(task.done)
assert task.result() == b"hello\n"
finish()
assert not reports, reports
print("good")
""",
    "pipe": r"""
start()

async def run():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(7)", stdout=asyncio.subprocess.PIPE)
    return await process.communicate()

for free in range(0, 8):
    fillers = exhaust(free)
    task = lease.create_task(run())
    spin(task.done)
    restore(fillers)
    if task.exception() is None:
        assert task.result() == (b"7\n", None)
    else:
        assert task.exception().errno == errno.EMFILE, task.exception()
    gc.collect()
    let_pass(0.02)
    assert let_pass(0.1) <= 5
task = lease.create_task(run())
spin(task.done)
assert task.result() == (b"7\n", None)
finish()
assert not reports, reports
print("good")
""",
    "attach": r"""
app.processEvents()
before = sorted(os.listdir("/proc/self/fd"))
for free in range(0, 3):
    fillers = exhaust(free)
    try:
        start()
    except OSError as exc:
        assert exc.errno == errno.EMFILE, exc
    else:
        raise AssertionError(free)
    restore(fillers)
    gc.collect()
    assert sorted(os.listdir("/proc/self/fd")) == before, (free, sorted(os.listdir("/proc/self/fd")), before)
    assert not [name for name in vars(asyncio) if "asyncslot" in name]
start()
lease.run_until_complete(asyncio.sleep(0.001))
finish()
print("good")
""",
    "pidfd": r"""
start()
if hasattr(os, "pidfd_open"):
    def fail(pid):
        raise OSError(errno.EMFILE, "no descriptors")
    os.pidfd_open = fail

async def run():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)")
    return await process.wait()

task = lease.create_task(run())
spin(task.done)
assert task.result() == 3
finish()
assert not reports, reports
print("good")
""",
    "the epoll itself is closed": r"""
start()
task = lease.create_task(asyncio.sleep(3600))
ticker = neighbour.create_task(ticking())
spin(lambda: len(ticks) > 5)
os.close(loop._selector.fileno())
let_pass(0.3)
assert 1 <= len(reports) <= 100, len(reports)
ticker.cancel()
let_pass(0.05)
assert let_pass(0.3) <= 100, "spins"
began = time.monotonic()
for each in (lease, neighbour):
    each.detach(timeout=0.5)
assert time.monotonic() - began < 10
assert task.done() and ticker.done()
assert loop.is_closed()
start()
lease.run_until_complete(asyncio.sleep(0.001))
finish()
print("good")
""",
}


@pytest.mark.parametrize("what", list(EXHAUSTED_PROGRAMS))
def test_a_process_without_descriptors_recovers(run_python, what):
    """Whoever needs one is told so; nobody else is disturbed, nothing spins, and later everything works."""
    done = run_python(EXHAUSTED + EXHAUSTED_PROGRAMS[what])
    assert done.stdout == "good\n", done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr

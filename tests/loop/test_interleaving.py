"""Claims 36 to 43 of test_promises.py: the host's code runs between our steps, and may use the loop there.

*Interleaved code* is what Qt calls while our loop waits: slots, timers, event handlers. It runs in the GUI thread but
outside any step, and what it asks of the loop must take effect at once, although the loop is asleep.
"""

import asyncio
import sys
import threading
import time

import pytest
from qtpy import QtCore

from asyncslot import AsyncSlotEventLoop

# What "at once" means here: far more than it takes, far less than the minute for which an idle loop below would sleep.
SOON = 0.5


class Idle:
    """A loop that waits for nothing but a distant timer, with a Qt loop running underneath."""

    def __init__(self, loop, run):
        self.loop = loop
        self._run = run

    def run(self, interleaved, until):
        """Let the loop fall asleep, have Qt call `interleaved()`, return the seconds from there until `until()`."""
        times = []

        def call():
            times.append(time.perf_counter())
            interleaved()

        def is_over():
            if times and until():
                times.append(time.perf_counter())
            return len(times) > 1

        distant = self.loop.call_later(60, int)
        QtCore.QTimer.singleShot(30, call)
        self._run(is_over)
        distant.cancel()
        return times[1] - times[0]


@pytest.fixture(params=["attached", "nested"])
def idle(request, app):
    if request.param == "attached":
        lease = request.getfixturevalue("lease")
        yield Idle(lease.loop, request.getfixturevalue("spin"))
        return

    loop = AsyncSlotEventLoop()

    def run(is_over):
        poll = QtCore.QTimer()
        poll.timeout.connect(lambda: is_over() and loop.stop())
        poll.start(1)
        QtCore.QTimer.singleShot(5000, loop.stop)
        loop.run_forever()
        poll.stop()
        assert is_over(), "the loop ran for 5 s and the condition still does not hold"

    yield Idle(loop, run)
    loop.close()


class Witness(asyncio.Protocol):
    """Notes in which thread each of its methods is called."""

    def __init__(self, calls, lost):
        self.calls = calls
        self.lost = lost

    def note(self, what):
        self.calls.append((what, threading.current_thread()))

    def connection_made(self, transport):
        self.transport = transport
        self.note("connection_made")

    def data_received(self, data):
        self.note("data_received")
        self.transport.write(b"answer")
        self.transport.close()

    def connection_lost(self, exc):
        self.note("connection_lost")
        self.lost.release()


class ChildWitness(asyncio.SubprocessProtocol, Witness):
    def pipe_data_received(self, fd, data):
        self.note("pipe_data_received")

    def process_exited(self):
        self.note("process_exited")


def test_claim_36_everything_is_called_in_the_loops_own_thread(lease, spin):
    """Callbacks, protocols, futures of executor jobs and ends of child processes; only the job itself is elsewhere."""
    calls = []

    def note(what, *_):
        calls.append((what, threading.current_thread()))

    async def main():
        loop = asyncio.get_event_loop()
        lost = asyncio.Semaphore(0)
        server = await loop.create_server(lambda: Witness(calls, lost), "127.0.0.1", 0)
        client, _ = await loop.create_connection(lambda: Witness(calls, lost), *server.sockets[0].getsockname())
        client.write(b"question")
        print_1 = [sys.executable, "-c", "print(1)"]
        child, _ = await loop.subprocess_exec(lambda: ChildWitness(calls, lost), *print_1, stdin=None)
        loop.call_soon(note, "call_soon")
        loop.call_later(0.001, note, "call_later")
        job = loop.run_in_executor(None, loop.call_soon_threadsafe, note, "call_soon_threadsafe")
        job.add_done_callback(lambda _: note("done callback"))
        elsewhere = await loop.run_in_executor(None, threading.current_thread)
        for _ in ("client", "server", "child"):
            await lost.acquire()
        child.close()
        server.close()
        await server.wait_closed()
        return elsewhere

    task = lease.create_task(main())
    spin(task.done)
    assert {what for what, _ in calls} == {
        "connection_made",
        "data_received",
        "connection_lost",
        "pipe_data_received",
        "process_exited",
        "call_soon",
        "call_later",
        "call_soon_threadsafe",
        "done callback",
    }
    assert {thread for _, thread in calls} == {threading.main_thread()}
    assert task.result() is not threading.main_thread()


def test_claim_38_stop_from_interleaved_code_wakes_the_loop(app):
    """run_forever() returns within 50 ms, although nothing else happens."""
    loop = AsyncSlotEventLoop()
    stopped = []
    QtCore.QTimer.singleShot(30, lambda: (stopped.append(time.perf_counter()), loop.stop()))
    loop.run_forever()
    assert time.perf_counter() - stopped[0] < 0.05
    loop.close()


def test_claim_39_call_soon_from_interleaved_code_wakes_the_loop(idle):
    """And the callback runs in a step, not inside call_soon()."""
    running = []

    def interleaved():
        idle.loop.call_soon(lambda: running.append(asyncio._get_running_loop()))
        assert running == []

    assert idle.run(interleaved, until=lambda: running) < SOON
    assert running == [idle.loop]


@pytest.mark.parametrize("call", ["call_later", "call_at"])
def test_claim_40_a_nearer_timer_from_interleaved_code_is_in_time(idle, call):
    """Not too early, and not when the distant one that the loop slept for is due."""
    fired = []

    def interleaved():
        start = 0 if call == "call_later" else idle.loop.time()
        getattr(idle.loop, call)(start + 0.1, fired.append, 1)

    assert 0.1 <= idle.run(interleaved, until=lambda: fired) < 0.1 + SOON


@pytest.mark.skipif(sys.platform == "win32", reason="asyncio's proactor loop has no add_reader()")
@pytest.mark.skipif(sys.platform == "win32", reason="asyncio's proactor loop has no add_reader()")
def test_claim_41_readers_and_writers_from_interleaved_code_take_effect(idle, pair):
    """add_reader, add_writer beside it, another callback instead, and remove_reader, each while the loop sleeps."""
    left, right = pair
    log = []

    def read():
        log.append(left.recv(10))

    def write():
        log.append("writable")
        idle.loop.remove_writer(left)

    def add_reader():
        idle.loop.add_reader(left, read)
        right.send(b"1")

    assert idle.run(add_reader, until=lambda: log == [b"1"]) < SOON
    # The same descriptor, already watched for reading.
    assert idle.run(lambda: idle.loop.add_writer(left, write), until=lambda: log == [b"1", "writable"]) < SOON

    def replace_reader():
        idle.loop.add_reader(left, lambda: log.append((left.recv(10), "new")))
        right.send(b"2")

    assert idle.run(replace_reader, until=lambda: log[2:] == [(b"2", "new")]) < SOON

    def remove_reader():
        right.send(b"3")
        assert idle.loop.remove_reader(left)
        later.append(time.monotonic() + 0.05)

    later = []
    idle.run(remove_reader, until=lambda: time.monotonic() > later[0])
    assert len(log) == 3


def test_claim_42_interleaved_code_that_leaves_the_loop_alone_causes_no_step(idle, monkeypatch):
    """A busy host with an idle plug-in pays nothing for it."""
    steps, slots = [], []
    step = AsyncSlotEventLoop._as_drain
    monkeypatch.setattr(AsyncSlotEventLoop, "_as_drain", lambda loop, *times: (steps.append(1), step(loop, *times)))
    busy = QtCore.QTimer()
    busy.timeout.connect(lambda: slots.append(len(steps)))

    def interleaved():
        steps.clear()
        busy.start(0)

    idle.run(interleaved, until=lambda: len(slots) >= 100)
    busy.stop()
    assert slots[:100] == [0] * 100


@pytest.mark.parametrize("budget", [60, 0], ids=["in one step", "in a step for each callback"])
def test_claim_43_stop_is_heeded_after_a_full_iteration(app, budget):
    """What was ready when stop() was called still runs, what that queues does not: as in asyncio."""
    loop = AsyncSlotEventLoop()
    loop.step_budget = budget
    ran = []
    loop.call_soon(ran.append, "before")
    loop.call_soon(loop.stop)
    loop.call_soon(lambda: (ran.append("after"), loop.call_soon(ran.append, "next iteration")))
    loop.run_forever()
    assert ran == ["before", "after"]
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == ["before", "after", "next iteration"]
    loop.close()

"""Faults injected at named points: whatever fails once, no wake-up is lost, nothing hangs, nothing spins.

Here it is the poll that fails, the clock that jumps, the timer, notifier or thread that does not call back as it
should. test_fault_descriptors.py is about descriptors, test_fault_exhaustion.py about a process that has none left, and
test_steps.py does the same to the step alone, without Qt.
"""

import asyncio
import errno
import sys
import threading
import time

import pytest

import asyncslot
import faulty
from faulty import BOUNDED, Failing, Recording, fail_polls, round_trip

on_epoll = pytest.fixture(faulty.on_epoll)
on_thread = pytest.fixture(faulty.on_thread)
pair = pytest.fixture(faulty.pair)
scene = pytest.fixture(faulty.scene)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the faults are those of descriptors and selectors")


# -- the poll fails -------------------------------------------------------------------

POLL_FAILURES = {
    "EBADF": OSError(errno.EBADF, "bad descriptor"),
    "ENOMEM": OSError(errno.ENOMEM, "out of memory"),
    "EINTR": InterruptedError(errno.EINTR, "interrupted"),
    "MemoryError": MemoryError("no room for the list of events"),
    "RuntimeError": RuntimeError("a selector of somebody else's"),
    "SystemExit": SystemExit("from a signal handler, or a __del__"),
}
poll_failures = pytest.mark.parametrize("failure", list(POLL_FAILURES.values()), ids=list(POLL_FAILURES))


@poll_failures
@pytest.mark.parametrize("times", [1, 3], ids=["once", "three times"])
def test_a_poll_that_fails_loses_nothing(scene, pair, spin, failure, times):
    """What was ready, queued and due is served by the next poll."""
    left, right = pair
    served = []
    scene.loop.add_reader(left, lambda: served.append(left.recv(1)))
    scene.let_pass(0.02)
    failing = fail_polls(scene.selector, *[failure] * times)
    right.send(b"x")
    scene.loop.call_soon(served.append, "soon")
    scene.loop.call_later(0.002, served.append, "later")
    spin(lambda: len(served) == 3)
    assert set(served) == {b"x", "soon", "later"}
    assert failing.count == times
    assert set(scene.errors()) == {failure}
    scene.loop.remove_reader(left)
    scene.assert_works()


@poll_failures
def test_a_poll_that_goes_on_failing_does_not_spin(scene, pair, spin, failure):
    """The host keeps the processor, its log stays readable, and when the fault is over everything goes on."""
    left, right = pair
    served = []
    scene.loop.add_reader(left, lambda: served.append(left.recv(1)))
    scene.let_pass(0.02)
    failing = fail_polls(scene.selector, for_ever=failure)
    right.send(b"x")
    scene.loop.call_soon(served.append, "soon")
    assert scene.let_pass(0.3) <= BOUNDED
    assert 1 <= len(scene.reports) <= BOUNDED
    failing.is_over = True
    spin(lambda: len(served) == 2)
    scene.loop.remove_reader(left)
    scene.assert_works()


def test_what_needs_no_poll_goes_on_while_the_poll_fails(scene, spin):
    """Callbacks and timers of either plug-in want nothing of the selector."""
    failing = fail_polls(scene.selector, for_ever=POLL_FAILURES["ENOMEM"])

    async def ticks():
        for _ in range(3):
            await asyncio.sleep(0.001)
        return "done"

    tasks = [lease.create_task(ticks()) for lease in (scene.lease, scene.neighbour)]
    try:
        spin(lambda: all(task.done() for task in tasks))
    finally:
        failing.is_over = True
    scene.assert_works()


@pytest.mark.parametrize("times", [1, 3, None], ids=["once", "three times", "always"])
def test_detach_ends_in_time_though_the_poll_fails(scene, times):
    """It is reported, the tasks are ended, and the lease with them."""
    failure = POLL_FAILURES["ENOMEM"]
    cleaned = []

    async def work():
        try:
            await asyncio.get_event_loop().create_future()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    scene.lease.create_task(work())
    scene.let_pass(0.02)
    failing = fail_polls(scene.selector, *[failure] * (times or 0), for_ever=None if times else failure)
    start = time.monotonic()
    report = scene.lease.detach(timeout=1.0)
    assert time.monotonic() - start < 10, "detach has a timeout of one second"
    failing.is_over = True
    assert cleaned == [True]
    assert report.abandoned == []
    assert failure in scene.errors()
    assert len(scene.reports) <= BOUNDED
    scene.lease = asyncslot.attach("faulty", host=Recording(scene.reports))
    scene.assert_works()


def test_run_until_complete_survives_polls_that_fail(scene):
    """The caller is blocked for no longer than it takes."""
    fail_polls(scene.selector, *[POLL_FAILURES["ENOMEM"]] * 3)
    assert scene.lease.run_until_complete(round_trip(), timeout=20) == "done"
    scene.assert_works()


# -- the time ---------------------------------------------------------------------------


class Clock:
    """time.monotonic(), put forwards or stopped, in every module that reads it for steps and waits."""

    def __init__(self, monkeypatch, loop):
        self._ahead = 0.0
        self._stopped_at = None
        for name, module in list(sys.modules.items()):
            if name.startswith("asyncslot.") and hasattr(module, "monotonic"):
                monkeypatch.setattr(module, "monotonic", self)
        monkeypatch.setattr(loop, "time", self)

    def __call__(self):
        return self._ahead + (time.monotonic() if self._stopped_at is None else self._stopped_at)

    def jump(self, seconds):
        self._ahead += seconds

    def stop(self):
        self._stopped_at = time.monotonic()

    def go_on(self):
        self._stopped_at = None


def test_time_jumps_an_hour_forwards(scene, spin, monkeypatch):
    """What has become due runs at the next wake-up, in order, once; what comes later comes later."""
    clock = Clock(monkeypatch, scene.loop)
    ran = []
    for delay in (7200, 1800, 60, 3599):
        scene.loop.call_later(delay, ran.append, delay)
    scene.let_pass(0.02)
    clock.jump(3600)
    scene.assert_works()
    assert ran == [60, 1800, 3599]


def test_time_jumps_in_the_middle_of_a_step(scene, spin, monkeypatch):
    """The budget is spent then, and no more than that: the rest runs in the next step."""
    clock = Clock(monkeypatch, scene.loop)
    ran = []
    scene.loop.call_soon(clock.jump, 3600)
    for number in range(10):
        scene.loop.call_soon(ran.append, number)
    spin(lambda: len(ran) == 10)
    assert ran == list(range(10))
    scene.assert_works()


def test_time_stands_still(scene, spin, monkeypatch):
    """Callbacks and I/O go on; timers wait for their time, without a spin."""
    clock = Clock(monkeypatch, scene.loop)
    ran = []
    clock.stop()
    scene.loop.call_later(0.05, ran.append, "later")
    scene.loop.call_soon(ran.append, "soon")
    spin(lambda: ran)
    assert scene.let_pass(0.3) <= BOUNDED
    assert ran == ["soon"]
    clock.go_on()
    spin(lambda: len(ran) == 2)
    scene.assert_works()


# -- wake-ups ---------------------------------------------------------------------------


def test_the_notifier_is_late(on_epoll, pair, spin):
    """The host runs loops that leave sockets out (processEvents); timers go on, and I/O is there afterwards."""
    scene = on_epoll
    left, right = pair
    served = []
    scene.loop.add_reader(left, lambda: served.append(left.recv(1)))
    scene.let_pass(0.02)
    scene.wait._notifier.setEnabled(False)
    right.send(b"x")
    scene.loop.call_later(0.001, served.append, "later")
    spin(lambda: "later" in served)
    scene.let_pass(0.02)
    scene.wait._notifier.setEnabled(True)
    spin(lambda: b"x" in served)
    scene.loop.remove_reader(left)
    scene.assert_works()


@pytest.mark.parametrize("ready", [True, False], ids=["something is ready", "nothing is ready"])
@pytest.mark.parametrize("source", ["_take_step", "_on_deadline", "_on_soon"])
def test_a_wake_up_comes_twice_or_for_nothing(scene, pair, spin, source, ready):
    """A step finds out for itself what there is to do; each callback runs once."""
    left, right = pair
    served = []
    scene.loop.add_reader(left, lambda: served.append(left.recv(1)))
    scene.loop.call_later(3600, served.append, "in an hour")
    scene.let_pass(0.02)
    if ready:
        scene.loop.call_soon(served.append, "soon")
        right.send(b"x")
    for _ in range(5):
        getattr(scene.wait, source)()
    if ready:
        spin(lambda: len(served) == 2)
    scene.let_pass(0.05)
    assert sorted(map(str, served)) == (["b'x'", "soon"] if ready else [])
    scene.loop.remove_reader(left)
    scene.assert_works()


@pytest.mark.parametrize("recovery", ["I/O", "a call from another thread", "another plug-in's run_until_complete()"])
@pytest.mark.parametrize("wanted", ["soon", "later"])
def test_a_timeout_that_nobody_heard_is_made_good_by_the_next_event(scene, pair, spin, recovery, wanted):
    """Somebody has blocked our timer's signals while it fired, and it fires only once."""
    left, right = pair
    served = []
    scene.loop.add_reader(left, lambda: served.append(left.recv(1)))
    scene.let_pass(0.02)
    scene.wait._timer.blockSignals(True)
    if wanted == "soon":
        scene.loop.call_soon(served.append, wanted)
    else:
        scene.loop.call_later(0.005, served.append, wanted)
    scene.let_pass(0.05)
    scene.wait._timer.blockSignals(False)
    if recovery == "I/O":
        right.send(b"x")
    elif recovery == "a call from another thread":
        threading.Thread(target=scene.loop.call_soon_threadsafe, args=(int,), daemon=True).start()
    else:
        scene.neighbour.run_until_complete(asyncio.sleep(0.001))
    spin(lambda: wanted in served)
    scene.loop.remove_reader(left)
    scene.assert_works()


def test_no_call_from_a_thread_is_lost_while_the_loop_falls_asleep(scene, spin):
    """Four threads call, with pauses in which the loop goes idle, and it is asleep each time the next call comes."""
    calls = []

    def flood():
        for number in range(500):
            scene.loop.call_soon_threadsafe(calls.append, number)
            if number % 7 == 0:
                time.sleep(0.0005)

    threads = [threading.Thread(target=flood, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    spin(lambda: len(calls) == 2000)
    assert sorted(calls) == sorted(list(range(500)) * 4)
    for thread in threads:
        thread.join(5)
    scene.assert_works()


def test_the_self_pipe_is_full(scene, spin):
    """A byte that cannot be written is not needed: there are others to wake the loop."""
    scene.loop._csock.setblocking(False)
    try:
        while True:
            scene.loop._csock.send(bytes(4096))
    except BlockingIOError:
        pass
    called = []
    threading.Thread(target=scene.loop.call_soon_threadsafe, args=(called.append, True), daemon=True).start()
    spin(lambda: called)
    scene.assert_works()


# -- the thread that waits --------------------------------------------------------------

BLOCK_FAILURES = {
    "OSError": OSError(errno.EBADF, "bad descriptor"),
    "ValueError": ValueError("I/O operation on closed epoll object"),
    "MemoryError": MemoryError("no room for the list of events"),
    "RuntimeError": RuntimeError("a selector of somebody else's"),
    "SystemExit": SystemExit("raised in the thread by somebody else"),
}
block_failures = pytest.mark.parametrize("failure", list(BLOCK_FAILURES.values()), ids=list(BLOCK_FAILURES))


@block_failures
@pytest.mark.parametrize("times", [1, 3], ids=["once", "three times"])
def test_the_waiting_thread_survives_what_its_wait_raises(on_thread, pair, spin, failure, times):
    """I/O is heard of afterwards as before."""
    scene = on_thread
    left, right = pair
    served = []
    scene.wait._waiter._block = failing = Failing(scene.wait._waiter._block, *[failure] * times)
    scene.loop.add_reader(left, lambda: served.append(left.recv(1)))
    scene.loop._write_to_self()  # the thread may be in the real wait already
    spin(lambda: failing.count == times)
    right.send(b"x")
    spin(lambda: served)
    scene.loop.remove_reader(left)
    scene.assert_works()


@block_failures
def test_a_waiting_thread_whose_wait_goes_on_failing_does_not_spin(on_thread, pair, spin, failure):
    """The GUI thread is left alone, callbacks and timers go on, and so does I/O when the fault is over."""
    scene = on_thread
    left, right = pair
    served = []
    scene.wait._waiter._block = failing = Failing(scene.wait._waiter._block, for_ever=failure)
    scene.loop.add_reader(left, lambda: served.append(left.recv(1)))
    scene.loop._write_to_self()
    spin(lambda: failing.count)
    assert scene.let_pass(0.3) <= BOUNDED
    assert failing.count <= BOUNDED
    scene.loop.call_soon(served.append, "soon")
    spin(lambda: served)
    failing.is_over = True
    right.send(b"x")
    spin(lambda: len(served) == 2)
    scene.loop.remove_reader(left)
    scene.assert_works()


def test_a_thread_that_cannot_be_started_is_tried_again(on_thread, pair, spin, monkeypatch):
    """The process has no thread left when the first descriptor is registered; later it has."""
    scene = on_thread
    left, right = pair
    served = []
    scene.let_pass(0.02)
    start = Failing(threading.Thread.start, RuntimeError("can't start new thread"))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: start(thread))
    scene.loop.add_reader(left, lambda: served.append(left.recv(1)))
    right.send(b"x")
    scene.loop.call_soon(int)
    spin(lambda: served)
    assert start.count == 1
    scene.loop.remove_reader(left)
    scene.assert_works()


def test_interrupts_at_the_wrong_moment_cost_a_step_each(on_thread, pair, spin):
    """Nobody is blocked in the wait, or somebody is and there is nothing to poll for."""
    scene = on_thread
    left, right = pair
    served = []
    scene.loop.add_reader(left, lambda: served.append(left.recv(1)))
    for _ in range(10):
        scene.wait._interrupt()
        scene.let_pass(0.002)
        scene.wait.nudge_threadsafe()
    right.send(b"x")
    spin(lambda: served)
    scene.loop.remove_reader(left)
    scene.assert_works()


def test_a_job_whose_thread_cannot_be_started_is_refused(scene, monkeypatch):
    """to_thread() says so, and the next job runs."""
    start = Failing(threading.Thread.start, RuntimeError("can't start new thread"))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: start(thread))
    with pytest.raises(RuntimeError, match="can't start new thread"):
        scene.lease.to_thread(int)
    assert scene.lease.run_until_complete(scene.lease.to_thread(str, 7), timeout=10) == "7"
    scene.assert_works()

"""One loop per thread: in a QThread that runs a Qt loop of its own, beside the one in the GUI thread.

And what threads without a loop hold of one, while they call it or wait for it.
"""

import asyncio
import socket
import sys
import threading
import time

import pytest
from qtpy import API_NAME

import asyncslot
from asyncslot._wakeup import TimerWait


@pytest.fixture
def run_in_qthread(app, spin):
    """Return a function that calls another one in a QThread, which keeps spinning the GUI thread meanwhile."""
    from qtpy import QtCore

    def run(function):
        outcome = {}

        class Worker(QtCore.QThread):
            def run(self):
                try:
                    outcome["result"] = function(self)
                except BaseException as exc:
                    outcome["error"] = exc

        worker = Worker()
        worker.start()
        spin(worker.isFinished)
        worker.wait()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["result"]

    return run


async def job():
    """Use what needs the loop: a timer, a connection, a thread; return which thread it ran in."""
    loop = asyncio.get_event_loop()

    async def answer(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    writer.close()
    server.close()
    await asyncio.sleep(0.01)
    await loop.run_in_executor(None, int)
    return threading.get_ident()


def test_nested_mode_in_a_qthread(run_in_qthread, lease, spin):
    """run_until_complete() runs the thread's own Qt loop, while the GUI thread's lease works."""

    def in_thread(worker):
        loop = asyncslot.AsyncSlotEventLoop()
        try:
            return loop.run_until_complete(job()), threading.get_ident()
        finally:
            loop.close()

    task = lease.create_task(job())
    ran_in, worker = run_in_qthread(in_thread)
    assert ran_in == worker != threading.get_ident()
    spin(task.done)
    assert task.result() == threading.get_ident()


def test_nested_mode_in_a_thread_of_pythons(app):
    """Which Qt knows nothing of; twice, as what Qt makes for a thread goes with it."""
    results = []

    def in_thread():
        loop = asyncslot.AsyncSlotEventLoop()
        try:
            results.append(loop.run_until_complete(job()))
        finally:
            loop.close()

    for _ in range(2):
        thread = threading.Thread(target=in_thread, daemon=True)
        thread.start()
        thread.join(20)
        assert results == [thread.ident]
        results.clear()


def test_attached_mode_in_a_qthread(run_in_qthread):
    """The thread runs its Qt loop, and the loop is attached to that one."""

    def in_thread(worker):
        ran_in = []

        async def work():
            ran_in.append(await job())
            worker.exit(0)

        with asyncslot.AsyncSlotRunner() as loop:
            loop.run_task(work())
            (getattr(worker, "exec", None) or worker.exec_)()
        assert loop.is_closed()
        return ran_in == [threading.get_ident()]

    assert run_in_qthread(in_thread)


def test_an_exit_in_a_qthread_ends_that_thread_only(run_in_qthread):
    """SystemExit in a task reaches whoever runs the thread's loop; the GUI goes on."""

    def in_thread(worker):
        async def leave():
            await asyncio.sleep(0.01)
            raise SystemExit("enough")

        with pytest.raises(SystemExit, match="enough"):  # noqa: PT012 - leaving the block raises it
            with asyncslot.AsyncSlotRunner() as loop:
                loop.run_task(leave())
                (getattr(worker, "exec", None) or worker.exec_)()
        return True

    assert run_in_qthread(in_thread)


def test_a_lease_is_for_the_gui_thread(run_in_qthread):
    """A plug-in's lease in a worker thread would be a lease on a loop that nobody runs."""

    def in_thread(worker):
        with pytest.raises(asyncslot.ThreadError, match="GUI thread"):
            asyncslot.attach("in a worker")
        return True

    assert run_in_qthread(in_thread)


def owners_of_qt_objects(frame):
    """Return what a frame's variables hold that only the GUI thread may let go of."""
    from qtpy import QtCore

    return [value for value in frame.f_locals.values() if isinstance(value, (TimerWait, QtCore.QObject))]


@pytest.mark.skipif(not hasattr(asyncio.events, "_ThreadSafeHandle"), reason="Python 3.14's")
@pytest.mark.parametrize("is_debug", [False, True], ids=["", "debug mode"])
@pytest.mark.parametrize("is_nested", [False, True], ids=["", "with a Qt loop inside"])
@pytest.mark.parametrize("ask", ["cancel", "cancelled"])
def test_who_cancels_in_a_thread_waits_for_a_callback_that_has_begun(lease, spin, ask, is_nested, is_debug):
    """As Python 3.14 has it: what cancel() and cancelled() return to another thread is no news of the past."""
    loop, order, asked = lease.loop, [], threading.Event()
    begun = threading.Event()

    def callback():
        begun.set()
        asked.wait(10)
        if is_nested:
            inside = set()
            loop.call_soon(inside.add, 1)
            spin(lambda: inside)
        time.sleep(0.05)  # for a thread that does not wait to get ahead
        order.append("over")

    def elsewhere():
        handle = loop.call_soon_threadsafe(callback)
        assert isinstance(handle, asyncio.events._ThreadSafeHandle)
        begun.wait(10)
        asked.set()
        getattr(handle, ask)()
        order.append("answered")
        assert handle.cancelled() is (ask == "cancel")

    loop.set_debug(is_debug)
    loop.slow_callback_duration = 60
    thread = threading.Thread(target=elsewhere)
    thread.start()
    spin(lambda: not thread.is_alive())
    assert order == ["over", "answered"]


def test_what_a_thread_cancels_in_time_does_not_run(lease, spin):
    """And nobody waits: the loop is busy with something else, or sleeps."""
    loop, ran, done, busy = lease.loop, [], threading.Event(), threading.Event()

    def elsewhere():
        busy.wait(10)
        handle = loop.call_soon_threadsafe(ran.append, 1)
        handle.cancel()
        assert handle.cancelled()
        done.set()

    def callback():
        busy.set()
        assert done.wait(10)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    loop.call_soon(callback)
    spin(lambda: not thread.is_alive())
    loop.call_soon(ran.append, 2)
    spin(lambda: ran)
    assert ran == [2]


def test_a_callback_may_cancel_itself(lease, spin):
    """In the loop's own thread nobody waits for what is on his own stack."""
    handles, ran = [], []

    def callback():
        handles[0].cancel()
        ran.append(handles[0].cancelled())

    handles.append(lease.loop.call_soon_threadsafe(callback))
    spin(lambda: ran)
    assert ran == [True]


def test_a_thread_that_calls_a_loop_holds_nothing_of_qts(lease, spin):
    """Not for a moment: were it suspended, and the lease detached then, Qt objects would end in that thread.

    PySide2 5.15.2 ended the process in one such case, and the other bindings have to put the end off.
    """
    loop, called, held = lease.loop, set(), []

    def trace(frame, event, arg):
        called.add(frame.f_code.co_name)
        held.extend(owners_of_qt_objects(frame))
        return trace

    def call():
        sys.settrace(trace)
        loop.call_soon_threadsafe(called.add, "what was to be called")
        sys.settrace(None)

    spin(lambda: loop._as_idle)
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(10)
    spin(lambda: "what was to be called" in called)
    assert "_as_wake_threadsafe" in called
    assert held == []


def test_a_thread_that_waits_for_a_loop_holds_nothing_of_qts(lease, spin):
    """Neither the one that waits for I/O, where there is one, nor those for jobs: they may outlive the lease."""
    before = set(threading.enumerate())
    left, right = socket.socketpair()
    left.setblocking(False)
    with left, right:
        reading = lease.create_task(lease.loop.sock_recv(left, 1))
        job = lease.to_thread(right.recv, 1)  # until the other end is written to
        spin(lambda: lease.loop._as_idle)
        frames = sys._current_frames()
        ours = set(threading.enumerate()) - before
        assert ours
        for thread in ours:
            frame = frames[thread.ident]
            while frame is not None:
                assert owners_of_qt_objects(frame) == [], thread
                frame = frame.f_back
        right.send(b"x")
        left.send(b"y")
        spin(lambda: reading.done() and job.done())


def test_a_plugin_comes_and_goes_while_threads_are_busy_with_it(run_python):
    """They call its loop, emit what it awaits, end when it awaits that, and run its jobs; detach() is in the middle.

    The process ended in each of the ways that are told of in _binding and _wakeup.
    """
    # PySide2 may end without us: emit() of a signal that is defined in Python looks among the wrappers without the
    # GIL, while the GUI thread makes and deletes some (5.15.2; three of six runs of a program that does only that).
    emits = API_NAME != "PySide2"
    done = run_python(
        f"emits = {emits}"
        + """
import asyncio, threading, time
from qtpy import QtCore
app = QtCore.QCoreApplication([])
import asyncslot

class Sender(QtCore.QObject):
    fired = QtCore.Signal(int)

class Worker(QtCore.QThread):
    def run(self):
        for number in range(20 if emits else 0):
            sender.fired.emit(number)

sender, is_over, leases = Sender(), threading.Event(), []

def call():
    while not is_over.wait(0.00005):
        for lease in leases:
            try:
                lease.loop.call_soon_threadsafe(int)
            except RuntimeError:
                pass  # it is closed

def emit():
    while not is_over.wait(0.0002):
        sender.fired.emit(0)

async def iterate():
    async for _ in asyncslot.asyncSignals(sender.fired):
        pass

async def wait_again_and_again():
    while True:
        await asyncslot.asyncSignal(sender.fired)

async def run_a_worker():
    worker = Worker()
    try:
        finished = asyncslot.asyncSignal(worker.finished)
        worker.start()
        await finished
    finally:
        worker.wait()

async def work_in_threads(lease):
    while True:
        await lease.to_thread(time.sleep, 0.0001)

def come_and_go(number):
    while leases:
        assert leases.pop().detach().abandoned == []
    if number == 100:
        app.quit()
        return
    lease = asyncslot.attach("plugin")
    for coro in (iterate(), wait_again_and_again(), run_a_worker(), work_in_threads(lease), work_in_threads(lease)):
        lease.create_task(coro)
    leases.append(lease)
    QtCore.QTimer.singleShot(number % 4, lambda: come_and_go(number + 1))

threads = [threading.Thread(target=target) for target in [call, call] + [emit, emit] * emits]
for thread in threads:
    thread.start()
QtCore.QTimer.singleShot(0, lambda: come_and_go(0))
(getattr(app, "exec", None) or app.exec_)()
is_over.set()
for thread in threads:
    thread.join()
print("fine")
"""
    )
    assert done.stdout.split() == ["fine"]

"""How long a connection lives that a coroutine waits for: emission, timeout, dead sender, detach."""

import asyncio
import contextlib
import gc
import threading
import weakref

import pytest
from qtpy import API_NAME, QtCore

import asyncslot
from asyncslot import asyncSignal, asyncSignals
from asyncslot._binding import _Receiver
from senders import Sender, delete_at_once, is_disconnected, receivers


@pytest.fixture
def sender(app):
    return Sender()


# -- when the connection ends --------------------------------------------------


def test_it_is_disconnected_when_the_emission_has_come(sender, run_coro, spin):
    """And the sender has as many connections as before."""

    async def wait():
        emission = asyncSignal(sender.one)
        assert receivers(sender, sender.one, "one(int)") == 1
        sender.one.emit(1)
        return await emission

    run_coro(wait())
    spin(lambda: is_disconnected(sender, sender.one, "one(int)"))


def test_it_is_disconnected_when_cancelled(sender, lease, spin):
    """With the task that waits."""
    started = []

    async def wait():
        started.append(True)
        await asyncSignal(sender.one)

    task = lease.create_task(wait())
    spin(lambda: started)
    assert receivers(sender, sender.one, "one(int)") == 1
    task.cancel()
    spin(task.done)
    assert task.cancelled()
    spin(lambda: is_disconnected(sender, sender.one, "one(int)"))


def test_a_timeout_is_asyncios_own(sender, run_coro, spin):
    """wait_for() gives up, and the connection goes."""

    async def wait():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncSignal(sender.one), 0.01)

    run_coro(wait())
    spin(lambda: is_disconnected(sender, sender.one, "one(int)"))


def test_a_waiting_task_lives_as_long_as_its_sender(sender, app, spin):
    """asyncio keeps no task alive; here the connection does, although nobody else refers to it."""
    found = []

    async def wait():
        found.append(await asyncSignal(sender.one))

    with asyncslot.AsyncSlotEventLoop() as loop:
        loop.create_task(wait())
        spin(lambda: receivers(sender, sender.one, "one(int)") == 1)
        gc.collect()
        sender.one.emit(1)
        spin(lambda: found)
    loop.close()
    assert found == [(1,)]


@pytest.mark.parametrize("kind", ["asyncSignal", "asyncSignals"])
def test_a_waiting_task_lives_if_nobody_refers_to_it_or_to_its_sender(app, spin, kind):
    """As one does that sleeps; Qt's objects come to life by themselves."""
    found = []

    async def wait():
        timer = QtCore.QTimer()
        timer.start(1)
        if kind == "asyncSignal":
            found.append(await asyncSignal(timer.timeout))
        async for arguments in asyncSignals(timer.timeout):
            found.append(arguments)
            if len(found) == 2:
                return

    with contextlib.closing(asyncslot.AsyncSlotEventLoop()) as loop, loop:
        loop.run_task(wait())
        gc.collect()
        spin(lambda: len(found) == 2)


def let_go(sender_and_more):
    """Drop the last reference, which is Python's."""
    sender_and_more.clear()


def delete_later(sender_and_more):
    sender_and_more[0].deleteLater()


def delete_in_cpp(sender_and_more):
    delete_at_once(sender_and_more[0])


def delete_parent(sender_and_more):
    parent = QtCore.QObject()
    sender_and_more[0].setParent(parent)
    delete_at_once(parent)


def disconnect_everything(sender_and_more):
    if API_NAME == "PySide2":
        pytest.skip("PySide2 does not tell whether a connection stands, and keeps what it was connected to")
    sender_and_more[0].one.disconnect()


def end_thread(sender_and_more):
    """Let the sender die in a thread of its own, as workers do."""
    thread = QtCore.QThread()
    sender_and_more[0].moveToThread(thread)
    thread.finished.connect(sender_and_more[0].deleteLater)
    thread.start()
    thread.quit()
    thread.wait()
    sender_and_more.append(thread)


@pytest.mark.parametrize("kind", ["asyncSignal", "asyncSignals"])
@pytest.mark.parametrize("end", [let_go, delete_later, delete_in_cpp, delete_parent, disconnect_everything, end_thread])
def test_a_dead_sender_ends_the_wait_with_an_error(lease, spin, end, kind):
    """Whoever deletes it, and in whichever thread."""
    started = []

    async def wait(signal):
        started.append(True)
        if kind == "asyncSignal":
            await asyncSignal(signal)
        else:
            async for _ in asyncSignals(signal):
                pass

    sender_and_more = [Sender()]
    task = lease.create_task(wait(sender_and_more[0].one))
    spin(lambda: started)
    end(sender_and_more)
    spin(task.done)
    with pytest.raises(asyncslot.SenderDeletedError, match=rf"{kind}\(\) was waiting for .*Keep a reference") as caught:
        task.result()
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("end", [let_go, delete_later, delete_in_cpp, delete_parent, end_thread])
def test_cancelling_just_after_the_sender_died_is_safe(lease, spin, end):
    """No turn of Qt's loop in between. To disconnect a dead sender crashes most bindings."""
    started = []

    async def wait(signal):
        started.append(True)
        await asyncSignal(signal)

    sender_and_more = [Sender()]
    task = lease.create_task(wait(sender_and_more[0].one))
    spin(lambda: started)
    end(sender_and_more)
    del sender_and_more[:1]
    gc.collect()
    lease.detach()
    assert task.cancelled()


def test_a_sender_that_is_dead_already_is_an_error(sender, run_coro):
    """Not a wait for ever. PyQt raises RuntimeError before we are asked; ours is one."""
    delete_at_once(sender)

    async def wait():
        await asyncSignal(sender.one)

    with pytest.raises(RuntimeError, match="delete"):
        run_coro(wait())


def test_nobody_is_told_of_a_dead_sender_that_nobody_awaits(lease, spin, caplog):
    """A future that was not awaited is dropped without noise."""

    async def start(signal):
        asyncSignal(signal)

    sender = Sender()
    task = lease.create_task(start(sender.one))
    spin(task.done)
    del sender, task
    gc.collect()
    ticks = []
    spin(lambda: ticks.append(0) or len(ticks) > 20)
    gc.collect()
    assert caplog.records == []


# -- detach --------------------------------------------------------------------


def test_detach_ends_every_wait_and_says_so(app, sender, spin):
    """Those of tasks with their tasks; what an object of the plug-in's keeps is named in the report."""
    kept = []

    async def wait():
        kept.append(asyncSignals(sender.two))
        await asyncSignal(sender.one)

    with asyncslot.attach("a plug-in") as other, asyncslot.attach("test") as lease:
        task = lease.create_task(wait())
        spin(lambda: kept)
        report = lease.detach()
        assert other.is_attached
        assert task.cancelled()
        assert [what.split(" ")[0] for what in report.closed] == ["asyncSignals()"]
        spin(lambda: is_disconnected(sender, sender.one, "one(int)"))
        spin(lambda: is_disconnected(sender, sender.two, "two(int,QString)"))
        sender.one.emit(1)
        sender.two.emit(1, "one")


def test_after_the_last_detach_emissions_find_nobody(app, sender, spin):
    """The loop is closed; emit() is quiet, also in another thread."""
    kept = []

    async def wait():
        kept.append(asyncSignals(sender.two))
        kept.append(asyncSignal(sender.one))

    with asyncslot.attach("test") as lease:
        lease.create_task(wait())
        spin(lambda: len(kept) == 2)
    sender.one.emit(1)
    thread = threading.Thread(target=sender.two.emit, args=(1, "one"))
    thread.start()
    thread.join()
    assert kept[1].cancelled()
    spin(lambda: is_disconnected(sender, sender.two, "two(int,QString)"))


def test_a_thread_may_be_dropped_as_soon_as_its_finished_was_awaited(run_python):
    """Its destructor waits for the thread, which must be out of our code by then, or both wait for ever."""
    done = run_python(
        """
import asyncio, faulthandler
from qtpy import QtCore
faulthandler.dump_traceback_later(40, exit=True)
app = QtCore.QCoreApplication([])
import asyncslot

class Worker(QtCore.QThread):
    def run(self):
        pass

async def work():
    for _ in range(200):
        worker = Worker()
        finished = asyncslot.asyncSignal(worker.finished)
        worker.start()
        await finished
        del worker
    app.quit()

with asyncslot.attach("plugin") as lease:
    task = lease.create_task(work())
    (getattr(app, "exec", None) or app.exec_)()
    print(task.done())
"""
    )
    assert done.stdout.split() == ["True"]


@pytest.mark.parametrize(
    "wait",
    [
        "await asyncslot.asyncSignal(sender.fired)",
        """
        async with asyncslot.asyncSignals(sender.fired) as emissions:
            async for _ in emissions:
                break
        """,
        """
        try:
            await asyncio.wait_for(asyncslot.asyncSignal(sender.fired), 0)
        except asyncio.TimeoutError:
            await asyncio.sleep(0)
        """,
    ],
    ids=["asyncSignal", "asyncSignals", "timeout"],
)
def test_a_signal_can_be_left_while_threads_emit_it(run_python, wait):
    """A thread that is in the middle of an emission, and waits for the GIL, must find what it was to call.

    The process ended with direct connections, sooner or later (PyQt5 5.15.11, PyQt6 6.11.0, PySide2 5.15.2, PySide6
    6.5.3).
    """
    program = """
import asyncio, threading
from qtpy import QtCore
app = QtCore.QCoreApplication([])
import asyncslot

class Sender(QtCore.QObject):
    fired = QtCore.Signal(int)

sender, is_over = Sender(), threading.Event()

def emit():
    while not is_over.is_set():
        sender.fired.emit(1)
        is_over.wait(0.0001)

threads = [threading.Thread(target=emit) for _ in range(2)]

async def work():
    for thread in threads:
        thread.start()
    for _ in range(1000):
        {wait}
    is_over.set()
    for thread in threads:
        await lease.to_thread(thread.join)
    print("fine")

with asyncslot.attach("plugin") as lease:
    task = lease.create_task(work())
    task.add_done_callback(lambda _: (is_over.set(), app.quit()))
    (getattr(app, "exec", None) or app.exec_)()
    task.result()
"""
    assert run_python(program.replace("{wait}", wait.strip())).stdout.split() == ["fine"]


def test_a_wait_may_be_collected_with_its_sender_and_what_the_sender_has_emitted(run_python):
    """Qt still brings what threads have emitted, after the loop has been closed under the wait."""
    done = run_python(
        """
import gc, threading
from qtpy import QtCore
app = QtCore.QCoreApplication([])
import asyncslot

async def wait(signal, kind):
    if kind == "asyncSignal":
        await asyncslot.asyncSignal(signal)
    async for _ in asyncslot.asyncSignals(signal):
        pass

def come_and_go(kind):
    class Sender(QtCore.QObject):
        fired = QtCore.Signal(int)

    class Holder:
        pass

    holder = Holder()  # which is for the collector to find
    holder.itself, holder.sender = holder, Sender()
    sender = holder.sender
    with asyncslot.AsyncSlotEventLoop() as loop:
        task = loop.run_task(wait(sender.fired, kind))
        task._log_destroy_pending = False
        threads = [threading.Thread(target=lambda: [sender.fired.emit(1) for _ in range(50)]) for _ in range(2)]
        for thread in threads:
            thread.start()
            thread.join()
    loop.close()

for number in range(50):
    come_and_go(["asyncSignal", "asyncSignals"][number % 2])
    gc.collect()
    other = [type("Other", (QtCore.QObject,), {"fired": QtCore.Signal(str, str, str)}) for _ in range(10)]
    app.processEvents()
print("alive")
"""
    )
    assert done.stdout.split() == ["alive"]


def test_what_the_garbage_collector_has_emptied_may_be_called():
    """PyQt does, with an emission that was queued, when a receiver and its sender have been one garbage."""
    received = []
    receiver = _Receiver()
    receiver.receivers = [received.append]
    receiver(1, "one")
    vars(receiver).clear()  # as the collector does
    receiver(2, "two")
    assert received == [(1, "one")]


def test_nothing_of_a_closed_loop_is_kept_by_a_sender_that_lives(app):
    """PyQt keeps some of the receivers that were disconnected; they must not lead to anything."""
    sender, loops = Sender(), []

    async def wait():
        await asyncslot.asyncSignal(sender.none)

    for _ in range(50):
        lease = asyncslot.attach("plugin")
        lease.run_task(wait())
        loops.append(weakref.ref(lease.loop))
        lease.detach()
    del lease
    gc.collect()
    assert sum(reference() is not None for reference in loops) <= 1

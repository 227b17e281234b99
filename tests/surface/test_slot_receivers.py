"""A slot's receiver that ends: with emissions under way, in the first step, with a task that runs."""

import asyncio
import os
import threading

import pytest
from qtpy import API_NAME, QtCore

import asyncslot
import senders
from asyncslot import _binding, _slots
from senders import delete_at_once


class Receiver(QtCore.QObject):
    def __init__(self):
        super().__init__()
        self.seen = []

    async def method(self, number):
        self.seen.append(number)


# What the programs begin with: a receiver that may end in its first step. What goes out into Qt is printed, and
# PyQt does not end the process for it.
RECEIVER = f"""
import asyncio, sys
sys.path.insert(0, {os.path.dirname(senders.__file__)!r})
from qtpy import QtCore, QtWidgets
app = QtWidgets.QApplication([])
import asyncslot
from senders import delete_at_once

sys.excepthook = sys.unraisablehook = lambda *args: print("raised into Qt:", args)
log, futures = [], []  # the latter also keep the tasks alive

class Button(QtCore.QObject):
    clicked = QtCore.Signal(str)

class Dock(QtCore.QObject):
    async def work(self, how):
        ends[how](self)
        futures.append(asyncio.get_event_loop().create_future())
        try:
            await futures[0]
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    @asyncslot.asyncSlot(cancel_with_receiver=True)
    async def on_clicked(self, how):
        await self.work(how)

    @asyncslot.asyncSlot(cancel_with_receiver=True)
    async def __on_clicked(self, how):
        await self.work(how)

def delete_in_a_dialog(dock):
    dialog = QtWidgets.QDialog()
    dock.destroyed.connect(dialog.accept)
    QtCore.QTimer.singleShot(1, dock.deleteLater)
    (getattr(dialog, "exec", None) or dialog.exec_)()

ends = {{"not": lambda dock: None, "at once": delete_at_once, "in a dialog": delete_in_a_dialog}}
button, dock = Button(), Dock()
"""

each_way_to_connect = pytest.mark.parametrize(
    "slot",
    [
        pytest.param("dock.on_clicked", id="decorated"),
        pytest.param("dock._Dock__on_clicked", id="decorated, with a private name"),
        pytest.param("asyncslot.asyncSlot(dock.work, cancel_with_receiver=True)", id="wrapped"),
        pytest.param("asyncslot.asyncSlot(dock.work, cancel_with_receiver=True, on_repeat='queue')", id="in a queue"),
    ],
)


@each_way_to_connect
@pytest.mark.parametrize("how", ["at once", "in a dialog"])
def test_a_receiver_that_ends_in_the_first_step_takes_the_task_with_it(run_python, slot, how):
    """The task is cancelled, and nothing goes out into Qt."""
    done = run_python(
        f"""{RECEIVER}
with asyncslot.attach("test") as lease:
    button.clicked.connect({slot})
    button.clicked.emit({how!r})
    lease.run_until_complete(asyncio.sleep(0))
    print(*log)
"""
    )
    assert done.stdout.splitlines() == ["cancelled"]


@each_way_to_connect
def test_a_receiver_may_end_after_the_loop(run_python, slot):
    """Its task was left waiting; there is nothing to cancel it on."""
    done = run_python(
        f"""{RECEIVER}
with asyncslot.AsyncSlotEventLoop() as loop:
    button.clicked.connect({slot})
    button.clicked.emit("not")
    (task,) = asyncio.all_tasks(loop)
loop.close()
delete_at_once(dock)
print(*log)
task._log_destroy_pending = False
"""
    )
    assert done.stdout.split() == []


def test_detach_parts_a_task_that_would_not_end_from_its_receiver(app, monkeypatch):
    """There and then: the task may never tell that it is done. The report has better things to tell."""
    connections = []

    def connect(*args):
        connections.append(_binding.connect(*args))
        return connections[-1]

    async def cling(self):
        while True:
            try:
                await asyncio.get_event_loop().create_future()
            except asyncio.CancelledError:
                pass

    monkeypatch.setattr(_slots, "connect", connect)
    receiver = Receiver()
    with asyncslot.attach("other"), asyncslot.attach("test") as lease:
        lease.slot(cling.__get__(receiver), cancel_with_receiver=True)()
        assert [connection.stands() for connection in connections] == [True]
        report = lease.detach(timeout=0.01)
        assert [connection.stands() for connection in connections] == [False]
        assert (len(report.abandoned), report.closed) == (1, [])


def test_what_waits_in_a_queue_is_dropped_when_its_receiver_is_deleted(lease, spin):
    """It is not started with a dead object."""
    receiver, futures, seen = Receiver(), [], []

    async def wait(self, number):
        seen.append(number)
        futures.append(asyncio.get_event_loop().create_future())
        await futures[0]

    slot = lease.slot(wait.__get__(receiver), on_repeat="queue")
    slot(1)
    slot(2)
    delete_at_once(receiver)
    futures[0].set_result(None)
    spin(lambda: not lease._owner.pending())
    lease.run_until_complete(asyncio.sleep(0))  # and what hears of the first one's end
    assert seen == [1]


def test_what_a_thread_has_handed_over_is_dropped_when_its_receiver_is_deleted(lease, spin):
    """The same, of an emission that a direct connection has brought in another thread."""
    receiver, other = Receiver(), Receiver()
    for number, each in enumerate((receiver, other)):
        thread = threading.Thread(target=lease.slot(each.method), args=(number,))
        thread.start()
        thread.join()
    seen = receiver.seen
    delete_at_once(receiver)
    spin(lambda: other.seen)
    assert (seen, other.seen) == ([], [1])


def test_receivers_may_go_while_threads_emit(run_python):
    """Those of emissions that Qt has not brought yet; in PySide6 from 6.8 on, too, if they are QObjects."""
    if API_NAME == "PySide2":
        pytest.skip("it ends without us: see test_a_plugin_comes_and_goes_while_threads_are_busy_with_it")
    run_python(
        """
import gc, threading
from qtpy import QtCore
import asyncslot

app = QtCore.QCoreApplication([])
lease = asyncslot.attach("test")

class Sender(QtCore.QObject):
    fired = QtCore.Signal(int)

class Receiver(QtCore.QObject):
    async def on_fired(self, number):
        pass

sender, is_over = Sender(), threading.Event()

def emit():
    while not is_over.is_set():
        sender.fired.emit(1)
        is_over.wait(0.0001)

thread = threading.Thread(target=emit)
thread.start()
try:
    for _ in range(100):
        receivers = [Receiver() for _ in range(10)]
        for receiver in receivers:
            sender.fired.connect(lease.slot(receiver.on_fired))
        app.processEvents()
        del receivers, receiver
        app.processEvents()
finally:
    is_over.set()
    thread.join()
gc.collect()
assert not any(isinstance(item, Receiver) for item in gc.get_objects())
lease.detach()
"""
    )


# Slots of receivers that only garbage refers to, and a collector that runs whenever it may: when Qt calls them, too.
COLLECTED = """
import gc
from qtpy import QtCore
import asyncslot

app = QtCore.QCoreApplication([])
lease = asyncslot.attach("test")

class Sender(QtCore.QObject):
    fired = QtCore.Signal(int)

def make(sender):
    class Receiver(QtCore.QObject):
        @asyncslot.asyncSlot
        async def decorated(self, number):
            pass

        async def method(self, number):
            pass

        def plain(self, number):
            pass

    receiver = Receiver()
    receiver.itself = receiver
    sender.fired.connect(SLOT)

sender = Sender()
for _ in range(5):
    gc.disable()
    for _ in range(20):
        make(sender)
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    gc.enable()
    sender.fired.emit(1)
    sender.fired.emit(2)
    gc.set_threshold(*thresholds)
lease.detach()
"""


@pytest.mark.parametrize(
    "slot",
    [
        pytest.param("receiver.decorated", id="decorated"),
        pytest.param("asyncslot.asyncSlot(receiver.method)", id="wrapped"),
        pytest.param("lease.slot(receiver.method, on_repeat='queue')", id="in a queue"),
    ],
)
def test_a_receiver_may_be_collected_in_the_middle_of_an_emission(run_python, slot):
    """Wherever a plain method's may be: PyQt5 5.15 and PySide6 6.11, on Python 3.11, end the process for those."""
    if run_python(COLLECTED.replace("SLOT", "receiver.plain"), check=False).returncode:
        pytest.skip("this binding crashes there with a plain method")
    run_python(COLLECTED.replace("SLOT", slot))

"""How long a slot lives, where its errors go, and whose it is."""

import asyncio
import gc
import logging
import weakref

import pytest
from qtpy import QtCore

import asyncslot
from asyncslot import _lease, asyncSlot


class Sender(QtCore.QObject):
    none = QtCore.Signal()
    two = QtCore.Signal(int, str)


seen = []


@pytest.fixture(autouse=True)
def forget():
    seen.clear()


@pytest.fixture
def sender(app):
    return Sender()


@pytest.fixture(params=["asyncSlot", "Lease.slot"])
def wrap(request, lease):
    """Both ways to make a slot."""
    return {"asyncSlot": asyncSlot, "Lease.slot": lease.slot}[request.param]


async def function(number):
    seen.append(number)


class Plain:
    async def method(self, number):
        seen.append(number)

    async def other_method(self, number):
        seen.append(number)


class Receiver(QtCore.QObject):
    async def method(self, number):
        seen.append(number)


# -- lifetimes -----------------------------------------------------------------


@pytest.mark.parametrize("kind", [Receiver, Plain])
def test_a_slot_does_not_keep_its_receiver_alive(sender, wrap, kind):
    """The last reference gone, the receiver goes at once, and emissions find nobody."""
    receiver = kind()
    sender.two.connect(wrap(receiver.method))
    sender.two.emit(1, "one")
    watch = weakref.ref(receiver)
    del receiver
    assert watch() is None
    sender.two.emit(2, "two")
    assert seen == [1]


def test_a_receiver_deleted_by_qt_is_disconnected(sender, wrap, spin):
    """deleteLater() ends the connection although Python still has the wrapper."""
    receiver = Receiver()
    sender.two.connect(wrap(receiver.method))
    gone = []
    receiver.destroyed.connect(lambda *_: gone.append(True))
    receiver.deleteLater()
    spin(lambda: gone)
    sender.two.emit(1, "one")
    assert seen == []


def test_a_child_is_disconnected_when_qt_deletes_its_parent(sender, wrap, spin):
    """Qt owns it; nothing in Python refers to it but the connection."""
    parent = QtCore.QObject()
    receiver = Receiver(parent)
    sender.two.connect(wrap(receiver.method))
    watch = weakref.ref(receiver)
    del receiver
    sender.two.emit(1, "one")
    assert seen == [1]
    parent.deleteLater()
    del parent
    spin(lambda: watch() is None)
    sender.two.emit(2, "two")
    assert seen == [1]


def test_a_thousand_receivers_leave_nothing(sender, wrap):
    """Nothing of ours counts receivers or slots."""
    watches = []
    for number in range(1000):
        receiver = Receiver() if number % 2 else Plain()
        sender.two.connect(wrap(receiver.method))
        watches.append(weakref.ref(receiver))
    del receiver
    gc.collect()
    assert [watch() for watch in watches if watch() is not None] == []
    sender.two.emit(1, "one")
    assert seen == []


def test_a_dead_function_slot_is_collected(sender, lease, spin):
    """Disconnected and unreferenced, a slot made of a closure goes with what it refers to."""

    class Big:
        pass

    big = Big()
    watch = weakref.ref(big)

    async def closure(number, big=big):
        seen.append(number)

    slot = lease.slot(closure)
    sender.two.connect(slot)
    sender.two.disconnect(slot)
    del slot, closure, big
    # PyQt has an object of its own for each connection, which goes in the next turn.
    spin(lambda: watch() is None)


@pytest.mark.parametrize("kind", [Receiver, Plain])
def test_the_same_method_gives_equal_slots_so_disconnect_works(sender, wrap, kind):
    """disconnect() with a slot that was made anew finds what connect() was given."""
    receiver = kind()
    assert wrap(receiver.method) == wrap(receiver.method)
    sender.two.connect(wrap(receiver.method))
    sender.two.emit(1, "one")
    sender.two.disconnect(wrap(receiver.method))
    sender.two.emit(2, "two")
    assert seen == [1]


def test_slots_of_different_objects_and_methods_differ(wrap):
    """Equal methods give equal slots, and others do not."""
    first, second = Plain(), Plain()
    assert wrap(first.method) != wrap(second.method)
    assert wrap(first.method) != wrap(first.other_method)


def test_a_slot_may_delete_its_receiver_and_its_sender(run_python):
    """In its first step and later, by Qt and by Python: the process lives, and the task ends."""
    run_python(
        """
import asyncio, gc
from qtpy import QtCore, QtWidgets
import asyncslot

app = QtWidgets.QApplication([])
lease = asyncslot.attach("test")
ended = []

class Dialog(QtWidgets.QDialog):
    asked = QtCore.Signal(int)

    async def on_asked(self, how):
        if how == 0:
            self.deleteLater()
        if how == 1:
            dialogs.clear()
            gc.collect()
        await asyncio.sleep(0)
        if how == 2:
            self.deleteLater()
        if how == 3:
            dialogs.clear()
        del self
        gc.collect()
        await asyncio.sleep(0.01)
        ended.append(how)

dialogs = []
for how in range(4):
    dialogs.append(Dialog())
    dialogs[0].asked.connect(lease.slot(dialogs[0].on_asked))
    dialogs[0].asked.emit(how)
    for _ in range(3):
        lease.run_until_complete(asyncio.sleep(0.01))
        app.processEvents()
        app.sendPostedEvents(None, int(QtCore.QEvent.DeferredDelete.value)
                             if hasattr(QtCore.QEvent.DeferredDelete, "value") else QtCore.QEvent.DeferredDelete)
    dialogs.clear()
assert ended == [0, 1, 2, 3], ended
lease.detach()
"""
    )


# -- the end of the receiver ---------------------------------------------------


# -- errors --------------------------------------------------------------------


def test_an_exception_is_reported_at_once_and_names_the_owner(sender, wrap, spin, caplog):
    """Nobody awaits a slot's task, so its exception is told when it happens, not when it is collected."""
    kept = []

    async def slot():
        kept.append(asyncio.current_task())
        await asyncio.sleep(0)
        raise ValueError("what went wrong")

    connected = wrap(slot)
    sender.none.connect(connected)
    sender.none.emit()
    spin(kept[0].done)
    spin(lambda: caplog.records)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    record = caplog.records[0]
    assert record.getMessage().startswith("test: Exception in a slot")
    assert record.exc_info[1].args == ("what went wrong",)
    del kept[:], record
    caplog.clear()
    gc.collect()
    assert caplog.records == []


def test_an_exception_in_the_first_step_does_not_reach_the_emitter(sender, wrap, spin, caplog):
    """emit() returns as always; PyQt would abort the process for an exception that leaves a slot."""

    async def slot():
        raise ValueError("at once")

    connected = wrap(slot)
    sender.none.connect(connected)
    sender.none.emit()
    spin(lambda: caplog.records)
    assert [record.exc_info[1].args for record in caplog.records] == [("at once",)]


@pytest.mark.parametrize("steps", [0, 1])
def test_cancelled_error_makes_no_noise(sender, wrap, spin, caplog, steps):
    """A slot that raises CancelledError, at once or later, is a cancelled task and nothing else."""
    tasks = []

    async def slot():
        tasks.append(asyncio.current_task())
        for _ in range(steps):
            await asyncio.sleep(0)
        raise asyncio.CancelledError

    connected = wrap(slot)
    sender.none.connect(connected)
    sender.none.emit()
    spin(tasks[0].done)
    assert tasks[0].cancelled()
    del tasks[:]
    gc.collect()
    assert caplog.records == []


# -- whose it is ---------------------------------------------------------------


def test_after_detach_emissions_are_ignored(app, sender, spin):
    """The lease ended, its slots start nothing and say nothing; a new lease does not revive them."""
    with asyncslot.attach("a plug-in") as lease:
        slot = lease.slot(function)
        sender.two.connect(slot)
        sender.two.emit(1, "one")
    sender.two.emit(2, "two")
    with asyncslot.attach("a plug-in"):
        sender.two.emit(3, "three")
    assert seen == [1]


def _defined_in(module):
    """Return a coroutine function that looks as if a module had defined it."""

    async def where():
        seen.append(asyncio.get_event_loop()._as_owner.get())

    where.__module__ = module
    return where


def test_asyncslot_runs_under_the_lease_of_the_package_that_defined_the_function(attach_as, sender):
    """Two plug-ins, each with its own lease: each one's slots start under its own, until it detaches."""
    with attach_as("plugin_a") as a, attach_as("plugin_b", "whatever the name") as b:
        slots = [asyncSlot(_defined_in(module)) for module in ("plugin_a.dock", "plugin_b.dock")]
        for slot in slots:
            sender.none.connect(slot)
        sender.none.emit()
        assert seen == [a._owner, b._owner]
        del seen[:]
        a.detach()
        sender.none.emit()
        assert seen == [b._owner]
        del seen[:]


@pytest.fixture
def nobody_has_been_here(monkeypatch):
    """As in a process in which no lease has ended yet."""
    monkeypatch.setattr(_lease, "_ended", {})
    monkeypatch.setattr(_lease, "_hosts", [])


def test_asyncslot_does_not_guess_between_leases_of_others(attach_as, recorder, nobody_has_been_here):
    """A function of a third package, and two leases of one copy: it runs under neither, and the host's users hear."""
    with attach_as("plugin_c", host=recorder) as c, attach_as("plugin_d", host=recorder) as d:
        assert isinstance(asyncSlot(_defined_in("elsewhere.module"))().exception(), asyncslot.NoLoopError)
        assert c._owner.pending() + d._owner.pending() == seen == []
    [(message, kind)] = recorder.reports
    assert message.startswith("elsewhere: The slot ")
    assert kind is asyncslot.NoLoopError


def test_asyncslot_does_not_guess_between_two_leases_of_one_package(app, recorder):
    """That it got by giving two names: an error that names them."""
    with asyncslot.attach("plugin_c", host=recorder), asyncslot.attach("plugin_d", host=recorder):
        assert isinstance(asyncSlot(_defined_in(__name__))().exception(), asyncslot.AmbiguousLeaseError)
    [(_, kind)] = recorder.reports
    assert kind is asyncslot.AmbiguousLeaseError


def test_asyncslot_needs_a_loop(app, nobody_has_been_here):
    """Without a lease and without a running loop of ours the slot raises, and is a RuntimeError."""
    with pytest.raises(asyncslot.NoLoopError, match=r"function\(\).*attach\(\).*AsyncSlotRunner") as caught:
        asyncSlot(function)(1)
    assert isinstance(caught.value, RuntimeError)


def test_asyncslot_under_a_name_that_is_not_the_packages_is_ignored_after_detach(app, sender, nobody_has_been_here):
    """A plug-in may call its lease what it likes; its slots end with it all the same."""
    slot = asyncSlot(function)
    sender.two.connect(slot)
    with asyncslot.attach("My plug-in"):
        sender.two.emit(1, "one")
    sender.two.emit(2, "two")
    assert seen == [1]


def test_asyncslot_refuses_a_foreign_running_loop(app, nobody_has_been_here):
    """In asyncio.run() without a lease, the loop that is running is not ours and is named."""

    async def main():
        with pytest.raises(asyncslot.ForeignLoopError, match="is not an AsyncSlotEventLoop") as caught:
            asyncSlot(function)(1)
        assert isinstance(caught.value, RuntimeError)

    asyncio.run(main())


def test_asyncslot_starts_by_run_task_of_the_running_loop(app, sender, monkeypatch):
    """Under AsyncSlotRunner, where there is no lease, it is loop.run_task() that starts the coroutine."""
    calls = []
    run_task = asyncslot.AsyncSlotEventLoop.run_task

    def observed(loop, coro, **options):
        calls.append((loop, coro.cr_code.co_name))
        return run_task(loop, coro, **options)

    monkeypatch.setattr(asyncslot.AsyncSlotEventLoop, "run_task", observed)
    slot = asyncSlot(function)
    sender.two.connect(slot)
    with asyncslot.AsyncSlotRunner() as loop:
        sender.two.emit(7, "seven")
        assert calls == [(loop, "function")]
        assert seen == [7]

"""What a second emission does while the first one's task runs, and what the end of the receiver does to it."""

import asyncio

import pytest
from qtpy import QtCore

import asyncslot
from asyncslot import _binding, _slots, asyncSlot
from senders import delete_at_once


class Job:
    """A coroutine function to be emitted at: it starts, waits until it is let go, and ends."""

    def __init__(self):
        self.log = []
        self.gates = {}

    async def run(self, name):
        """Wait at the gate of this name."""
        self.log.append(f"{name} starts")
        gate = self.gates[name] = asyncio.get_event_loop().create_future()
        try:
            await gate
        except asyncio.CancelledError:
            self.log.append(f"{name} is cancelled")
            await asyncio.sleep(0.001)
            self.log.append(f"{name} has cleaned up")
            raise
        self.log.append(f"{name} ends")

    def let_go(self, name):
        self.gates[name].set_result(None)


@pytest.fixture
def job():
    return Job()


@pytest.mark.parametrize(
    ("policy", "then", "expected"),
    [
        pytest.param("concurrent", "abc", ["a starts", "b starts", "c starts", "a ends", "b ends", "c ends"]),
        pytest.param("drop", "a", ["a starts", "a ends"]),
        pytest.param("queue", "abc", ["a starts", "a ends", "b starts", "b ends", "c starts", "c ends"]),
        pytest.param(
            "restart", "c", ["a starts", "a is cancelled", "a has cleaned up", "c starts", "c ends"], id="restart"
        ),
    ],
)
def test_what_further_emissions_do(lease, spin, job, policy, then, expected):
    """Emitted as a, b and c before the first has ended."""
    slot = lease.slot(job.run, on_repeat=policy)
    for name in "abc":
        slot(name)
    for name in then:
        spin(lambda name=name: name in job.gates)
        job.let_go(name)
    spin(lambda: not lease._owner.pending())
    assert job.log == expected


@pytest.mark.parametrize("policy", ["drop", "queue", "restart"])
def test_when_the_first_has_ended_the_next_starts_at_once(lease, spin, job, policy):
    """Its first step runs inside the emission, as any slot's does."""
    slot = lease.slot(job.run, on_repeat=policy)
    for name in "ab":
        slot(name)
        assert job.log[-1] == f"{name} starts"
        job.let_go(name)
        spin(lambda: not lease._owner.pending())
    assert job.log == ["a starts", "a ends", "b starts", "b ends"]


def test_a_queue_that_is_done_in_first_steps_has_no_limit(lease, spin):
    """Thousands wait, and none of them takes its time: they are not started inside each other."""
    numbers, gate = [], lease.loop.create_future()

    async def count(number):
        if number == 0:
            await gate
        numbers.append(number)

    slot = lease.slot(count, on_repeat="queue")
    for number in range(5000):
        slot(number)
    gate.set_result(None)
    spin(lambda: len(numbers) == 5000)
    assert numbers == list(range(5000))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("concurrent", ["a starts", "b", "a ends"]),
        ("drop", ["a starts", "a ends"]),
        ("queue", ["a starts", "a ends", "b"]),
        ("restart", ["a starts", "a is cancelled", "b"]),
    ],
)
def test_an_emission_from_the_slots_own_first_step(lease, spin, policy, expected):
    """Which has no task yet that could be asked whether it runs."""
    log = []

    async def emit_again(name):
        if name == "b":
            log.append("b")
            return
        log.append("a starts")
        slot("b")
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            log.append("a is cancelled")
            raise
        log.append("a ends")

    slot = lease.slot(emit_again, on_repeat=policy)
    slot("a")
    spin(lambda: len(log) == len(expected))
    assert log == expected


def test_restart_cancels_the_running_task_once(lease, spin):
    """However many emissions come: a clean-up that takes its time is not cancelled again."""
    log = []

    async def search(text):
        try:
            await asyncio.sleep(0 if text == "last" else 10)
            log.append(text)
        finally:
            await asyncio.sleep(0.005)
            log.append(f"cleaned up after {text}")

    slot = lease.slot(search, on_repeat="restart")
    slot("first")
    lease.run_until_complete(asyncio.sleep(0))
    slot("second")
    lease.run_until_complete(asyncio.sleep(0))
    slot("last")
    spin(lambda: "cleaned up after last" in log)
    assert log == ["cleaned up after first", "last", "cleaned up after last"]


def test_a_failed_task_makes_way(app, spin, recorder):
    """An exception is reported, and the next emission starts."""
    ran = []

    async def fail(number):
        ran.append(number)
        await asyncio.sleep(0)
        raise KeyError(number)

    with asyncslot.attach("failing", host=recorder) as lease:
        slot = lease.slot(fail, on_repeat="queue")
        slot(1)
        slot(2)
        spin(lambda: len(recorder.reports) == 2)
    assert ran == [1, 2]


class Dock(QtCore.QObject):
    """A receiver whose slots are decorated in its class."""

    def __init__(self):
        super().__init__()
        self.log = []

    @asyncSlot(on_repeat="drop")
    async def on_click(self, number):
        self.log.append(number)
        await asyncio.get_event_loop().create_future()

    @asyncSlot(cancel_with_receiver=True)
    async def on_start(self):
        await self.note_the_end()

    async def note_the_end(self):
        log = self.log
        try:
            await asyncio.get_event_loop().create_future()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise


class SmallDock(Dock):
    """Calls the inherited slot."""

    def on_click(self, number):
        super().on_click(number + 10)


@pytest.mark.parametrize("kind", [Dock, SmallDock], ids=["own class", "subclass"])
def test_each_receiver_is_counted_for_itself(lease, kind):
    """One dock that is busy does not make another one's button dead, also where the class is decorated."""
    docks = [kind(), kind()]
    for dock in docks:
        dock.on_click(1)
        dock.on_click(2)
    first = 11 if kind is SmallDock else 1
    assert [dock.log for dock in docks] == [[first], [first]]


def test_bound_slots_are_counted_by_receiver_and_options(lease):
    """Where the method is wrapped as it is connected; made twice, it is the same slot."""
    dock = Dock()
    assert lease.slot(dock.note_the_end, on_repeat="drop") == lease.slot(dock.note_the_end, on_repeat="drop")
    assert lease.slot(dock.note_the_end, on_repeat="drop") != lease.slot(dock.note_the_end)


def test_what_waits_in_a_queue_is_dropped_by_detach(app, job):
    """Nothing starts after the lease has ended."""
    lease = asyncslot.attach("queueing")
    slot = lease.slot(job.run, on_repeat="queue")
    slot("a")
    slot("b")
    lease.detach()
    assert job.log == ["a starts", "a is cancelled", "a has cleaned up"]


def test_a_slot_of_which_a_task_was_abandoned_works_after_the_next_attach(app, attach_as):
    """A module that attaches again without being reloaded: its frozen task does not count as running."""
    runs = []

    async def clinging():
        runs.append(1)
        while True:
            try:
                await asyncio.get_event_loop().create_future()
            except asyncio.CancelledError:
                pass

    clinging.__module__ = "clinging_plugin"
    slot = asyncSlot(clinging, on_repeat="drop")
    for _ in range(2):
        with asyncslot.attach("other"):
            attach_as("clinging_plugin")
            slot()
            slot()
            assert len(asyncslot.detach("clinging_plugin", timeout=0.01).abandoned) == 1
    assert runs == [1, 1]


@pytest.mark.parametrize("policy", ["queue", "restart"])
def test_what_waits_while_the_loop_is_closed_never_starts_and_nothing_is_raised(app, attach_as, policy):
    """Behind a task that would not end: emissions after detach() are ignored, and the next lease begins anew."""
    runs = []

    async def clinging(name):
        runs.append(name)
        while name != "at last":
            try:
                await asyncio.get_event_loop().create_future()
            except asyncio.CancelledError:
                pass

    clinging.__module__ = "clinging_plugin"
    slot = asyncSlot(clinging, on_repeat=policy)
    attach_as("clinging_plugin")
    slot("first")
    waiting = slot("second")
    assert len(asyncslot.detach("clinging_plugin", timeout=0.01).abandoned) == 1
    assert waiting.get_loop().is_closed()
    slot("third")
    attach_as("clinging_plugin")
    slot("at last")
    asyncslot.detach("clinging_plugin")
    assert runs == ["first", "at last"]


@pytest.mark.parametrize("policy", ["once", None, 1])
def test_an_unknown_policy_is_refused_when_the_slot_is_made(lease, policy):
    """With the four that there are."""
    with pytest.raises(ValueError, match=r"on_repeat=.* 'concurrent', 'drop', 'queue', 'restart'"):
        lease.slot(Job().run, on_repeat=policy)


# -- the end of the receiver ----------------------------------------------------------


@pytest.mark.parametrize(
    "connect",
    [
        pytest.param(lambda dock, lease: dock.on_start, id="decorated"),
        pytest.param(lambda dock, lease: lease.slot(dock.note_the_end, cancel_with_receiver=True), id="wrapped"),
    ],
)
def test_tasks_are_cancelled_with_their_receiver(lease, spin, connect):
    """When Qt deletes it; its Python side lives on in the coroutine."""
    dock, other = Dock(), Dock()
    for each in (dock, other):
        connect(each, lease)()
        connect(each, lease)()
    log = dock.log
    delete_at_once(dock)
    spin(lambda: log == ["cancelled", "cancelled"])
    assert len(lease._owner.pending()) == 2
    assert other.log == []


def test_nothing_stays_connected_to_a_receiver_that_has_no_task(lease, spin, monkeypatch):
    """PyQt would call it when the receiver and a purged copy of ours are garbage together, and crash."""
    connections = []

    def connect(*args):
        connections.append(_binding.connect(*args))
        return connections[-1]

    monkeypatch.setattr(_slots, "connect", connect)
    dock = Dock()
    for _ in range(2):
        dock.on_start()
    assert [connection.stands() for connection in connections] == [True, True]
    for task in lease._owner.pending():
        task.cancel()
    spin(lambda: not any(connection.stands() for connection in connections))


def test_tasks_outlive_their_receiver_by_default(lease, spin):
    """A task that was started goes on."""
    dock = Dock()
    lease.slot(dock.note_the_end)()
    log = dock.log
    delete_at_once(dock)
    lease.run_until_complete(asyncio.sleep(0.001))
    assert log == []
    assert len(lease._owner.pending()) == 1


def test_the_receiver_is_not_kept_alive_for_its_tasks_end(lease, spin):
    """A dock whose tasks have ended goes when nobody refers to it."""
    import gc
    import weakref

    dock = Dock()
    dock.on_start()
    for task in lease._owner.pending():
        task.cancel()
    spin(lambda: not lease._owner.pending())
    reference = weakref.ref(dock)
    del dock, task

    def is_gone():  # not at once: the callbacks of a task that has ended are called in the next step
        gc.collect()
        return reference() is None

    spin(is_gone)


def test_only_a_qobject_can_be_deleted_by_qt(lease):
    """Said when the slot is made; a plain object would wait in vain."""
    with pytest.raises(ValueError, match=r"cancel_with_receiver=True .* a method of a QObject, and <.*Job object"):
        lease.slot(Job().run, cancel_with_receiver=True)

"""What the call of a slot returns: who awaits it has the result or the exception, and Qt ignores it.

In every mode: attached, with both ways to make a slot, under AsyncSlotRunner, and nested.
"""

import asyncio
import functools
import gc
import threading
import weakref

import pytest
import qtpy
from qtpy import QtCore

from asyncslot import asyncSlot
from slot_modes import MODES, some_turns

pytestmark = pytest.mark.slow


@pytest.fixture(params=MODES)
def mode(request, app, spin, recorder):
    with MODES[request.param](request.param, spin, recorder, __name__) as mode:
        yield mode


@pytest.fixture(params=["in the first step", "later"])
def when(request):
    """Return what a slot awaits before it does what the test is about."""

    async def when():
        if request.param == "later":
            await asyncio.sleep(0)

    return when


# -- the task ------------------------------------------------------------------


def test_a_call_returns_its_task(mode, when):
    """Of which the slot's coroutine is the task, and whose result is that of the coroutine."""
    seen = []

    async def slot(number):
        await when()
        seen.append(asyncio.current_task())
        return number + 1

    async def main():
        task = mode.wrap(slot)(6)
        assert await task == 7
        assert seen == [task]

    mode.run(main())
    assert mode.reports == []


def test_a_task_that_nobody_refers_to_is_not_collected(mode):
    """Qt drops what the slot returns, and the task waits for something that only it knows."""
    ends = []

    async def slot():
        future = asyncio.get_event_loop().create_future()
        seen.append(weakref.ref(future))
        await future
        ends.append("ended")

    async def main():
        mode.wrap(slot)()
        gc.collect()
        future = seen.pop()()
        future.set_result(None)
        del future
        await some_turns()

    seen = []
    mode.run(main())
    assert ends == ["ended"]


def test_a_decorated_method_is_awaited_like_an_undecorated_one(mode):
    """With its keyword arguments and defaults."""

    class Dock:
        @asyncSlot
        async def refresh(self, rows, *, fast=False):
            await asyncio.sleep(0)
            return rows, fast

    async def main():
        dock = Dock()
        return [await dock.refresh(1), await dock.refresh(rows=2), await dock.refresh(3, fast=True)]

    assert mode.run(main()) == [(1, False), (2, False), (3, True)]


def test_who_awaits_and_is_cancelled_cancels_the_slots_task(mode):
    """As with any task that is awaited."""
    ends = []

    async def slot():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(mode.wrap(slot)(), 0.001)

    mode.run(main())
    assert ends == ["cancelled"]


# -- its exception ---------------------------------------------------------------


async def with_await(call):
    await call


async def with_gather(call):
    await asyncio.gather(call)


async def with_wait(call):
    done, _ = await asyncio.wait([call])
    for future in done:
        future.result()


async def with_wait_for(call):
    await asyncio.wait_for(call, 60)


async def with_wait_for_twice(call):
    await asyncio.wait_for(asyncio.wait_for(call, 60), 60)


async def with_shield(call):
    await asyncio.shield(call)


async def with_as_completed(call):
    for future in asyncio.as_completed([call]):
        await future


async def through_another_slot(call):
    @asyncSlot
    async def outer():
        await call

    await outer()


WAYS = [
    with_await,
    with_gather,
    with_wait,
    with_wait_for,
    with_wait_for_twice,
    with_shield,
    with_as_completed,
    through_another_slot,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.replace("_", " "))
def test_an_exception_reaches_who_awaits_and_is_not_reported(mode, when, way):
    """However it is awaited, and whenever it is raised."""

    async def slot():
        await when()
        raise KeyError("x")

    async def main():
        with pytest.raises(KeyError):
            await way(mode.wrap(slot)())
        await some_turns()

    mode.run(main())
    gc.collect()
    assert mode.reports == []


def test_an_exception_that_nobody_awaits_is_reported_once(mode, when):
    """And at once, though somebody keeps the task, or only wants to know when it is done."""
    kept = []

    async def slot():
        await when()
        raise KeyError("x")

    async def main():
        task = mode.wrap(slot)()
        task.add_done_callback(kept.append)
        await some_turns()
        assert [type(exc) for exc in mode.reports] == [KeyError]

    mode.run(main())
    assert len(kept) == 1
    kept.clear()
    gc.collect()
    assert len(mode.reports) == 1


def test_who_awaits_too_late_has_it_besides_the_report(mode, when):
    """Nobody was waiting when the task failed."""

    async def slot():
        await when()
        raise KeyError("x")

    async def main():
        task = mode.wrap(slot)()
        await some_turns()
        assert len(mode.reports) == 1
        with pytest.raises(KeyError):
            await task

    mode.run(main())
    assert len(mode.reports) == 1


def test_who_awaits_and_fails_of_it_is_reported_in_its_stead(mode):
    """Once, for the slot that Qt has called."""

    async def inner():
        await asyncio.sleep(0)
        raise KeyError("x")

    async def outer():
        await mode.wrap(inner)()

    async def main():
        mode.wrap(outer)()
        await some_turns()

    mode.run(main())
    gc.collect()
    assert [type(exc) for exc in mode.reports] == [KeyError]


# -- Qt ------------------------------------------------------------------------------


class Sender(QtCore.QObject):
    happened = QtCore.Signal(int)


class Receiver(QtCore.QObject):
    def __init__(self):
        super().__init__()
        self.tasks = []

    @asyncSlot
    async def plain(self, number=0):
        self.tasks.append(asyncio.current_task())

    @QtCore.Slot(int)
    @QtCore.Slot()
    @asyncSlot
    async def declared(self, number=0):
        self.tasks.append(asyncio.current_task())

    @QtCore.Slot(int, result="QVariant")
    @asyncSlot
    async def with_result(self, number=0):
        self.tasks.append(asyncio.current_task())


def connection_type(name):
    kinds = getattr(QtCore.Qt, "ConnectionType", QtCore.Qt)
    return getattr(kinds, name)


@pytest.mark.parametrize("kind", ["DirectConnection", "QueuedConnection", "BlockingQueuedConnection"])
@pytest.mark.parametrize("name", ["plain", "declared", "with_result"])
def test_qt_ignores_what_a_slot_returns(lease, spin, recwarn, capfd, name, kind):
    """Declared or not, and through each kind of connection; nothing is said, and nothing is kept."""
    if name == "with_result" and qtpy.API_NAME == "PySide2":
        pytest.skip("PySide2 5.15.2 crashes on any object that a connected slot with result= returns")
    sender, receiver = Sender(), Receiver()
    sender.happened.connect(getattr(receiver, name), connection_type(kind))
    emit = functools.partial(sender.happened.emit, 7)
    if kind == "BlockingQueuedConnection":
        thread = threading.Thread(target=emit)
        thread.start()
        spin(lambda: not thread.is_alive())
    else:
        emit()
    spin(lambda: receiver.tasks)
    assert len(receiver.tasks) == 1
    assert capfd.readouterr().err == ""
    assert len(recwarn) == 0


def test_invoke_method_ignores_it(lease, spin, capfd):
    """As for any slot that Qt calls by its name."""
    receiver = Receiver()
    for kind in ("DirectConnection", "QueuedConnection"):
        QtCore.QMetaObject.invokeMethod(receiver, "declared", connection_type(kind))
    QtCore.QTimer.singleShot(0, receiver.plain)
    spin(lambda: len(receiver.tasks) == 3)
    assert capfd.readouterr().err == ""

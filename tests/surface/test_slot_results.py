"""What the call of a slot returns: who awaits it has the result or the exception, and Qt ignores it.

In every mode: attached, with both ways to make a slot, under AsyncSlotRunner, and nested.
"""

import asyncio
import contextlib
import functools
import gc
import threading
import weakref

import pytest
import qtpy
from qtpy import QtCore

import asyncslot
from asyncslot import asyncSlot
from senders import delete_at_once

pytestmark = pytest.mark.slow


class Mode:
    """A mode in which slots run.

    Attributes:
        wrap: makes a slot.
        run: runs a coroutine, with Qt, and returns its result.
        reports: the exceptions that were reported.
    """

    def __init__(self, wrap, run, reports):
        self.wrap, self.run, self.reports = wrap, run, reports


class Reporting:
    """A host that keeps the exceptions that are reported to it."""

    NAME = "Reporting"

    def __init__(self, qt_core, reports):
        self._qt_core = qt_core
        self._reports = reports

    def is_running(self):
        return True

    def qt_core(self):
        return self._qt_core

    def gui_parent(self):
        return None

    def on_quit(self, callback):
        return lambda: None

    def report(self, message, exc):
        self._reports.append(exc)

    def progress(self, title, cancel):
        return None


@contextlib.contextmanager
def attached(name, spin, recorder):
    """In a host."""
    reports = []
    with asyncslot.attach("slot results", host=Reporting(recorder.qt_core(), reports)) as lease:

        def run(coro):
            task = lease.create_task(coro)
            spin(task.done)
            return task.result()

        yield Mode(lease.slot if name == "Lease.slot" else asyncSlot, run, reports)


@contextlib.contextmanager
def owned(name, spin, recorder):
    """In a program that owns its application."""
    reports = []
    loop = asyncslot.AsyncSlotEventLoop()
    loop.set_exception_handler(lambda loop, context: reports.append(context.get("exception")))
    if name == "nested":
        with contextlib.closing(loop):
            yield Mode(asyncSlot, loop.run_until_complete, reports)
        return
    with asyncslot.AsyncSlotRunner(loop_factory=lambda: loop):

        def run(coro):
            task = loop.create_task(coro)
            spin(task.done)
            return task.result()

        yield Mode(asyncSlot, run, reports)


MODES = {"asyncSlot": attached, "Lease.slot": attached, "AsyncSlotRunner": owned, "nested": owned}


@pytest.fixture(params=MODES)
def mode(request, app, spin, recorder):
    with MODES[request.param](request.param, spin, recorder) as mode:
        yield mode


@pytest.fixture(params=["in the first step", "later"])
def when(request):
    """Return what a slot awaits before it does what the test is about."""

    async def when():
        if request.param == "later":
            await asyncio.sleep(0)

    return when


async def some_turns():
    """Wait until what is to be reported has been."""
    for _ in range(10):
        await asyncio.sleep(0)


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


# -- calls while an earlier one's task runs ----------------------------------------


class Job:
    """A slot that waits until it is let go."""

    def __init__(self):
        self.started = []
        self.gates = {name: asyncio.get_event_loop().create_future() for name in "abc"}

    async def run(self, name):
        self.started.append(name)
        await self.gates[name]
        return name

    def let_go(self, *names):
        for name in names:
            self.gates[name].set_result(None)


def test_a_call_that_is_dropped_returns_the_task_that_runs(mode):
    """Who awaits it has that one's result."""

    async def main():
        job = Job()
        slot = mode.wrap(job.run, on_repeat="drop")
        first, second = slot("a"), slot("b")
        assert second is first
        job.let_go("a")
        assert await second == "a"
        assert job.started == ["a"]

    mode.run(main())


def test_a_call_that_is_queued_returns_a_promise_of_its_task(mode):
    """Who awaits it has its own result; who cancels it before it has started takes it out of the queue."""

    async def main():
        job = Job()
        slot = mode.wrap(job.run, on_repeat="queue")
        calls = [slot(name) for name in "abc"]
        calls[1].cancel()
        job.let_go("a", "c")
        assert [await calls[2], await calls[0]] == ["c", "a"]
        assert job.started == ["a", "c"]

    mode.run(main())


def test_a_promise_that_is_cancelled_cancels_the_task_that_it_has_become(mode):
    """As the task itself would be."""

    async def main():
        job = Job()
        slot = mode.wrap(job.run, on_repeat="queue")
        first, second, third = [slot(name) for name in "abc"]
        job.let_go("a", "c")
        assert await first == "a"
        await some_turns()
        assert job.started == ["a", "b"]
        second.cancel()
        assert await third == "c"
        assert job.gates["b"].cancelled()

    mode.run(main())


def test_restarted_calls_are_cancelled_and_the_newest_has_its_result(mode):
    """The one that ran, and those that waited to be the next."""

    async def main():
        job = Job()
        slot = mode.wrap(job.run, on_repeat="restart")
        calls = [slot(name) for name in "abc"]
        job.let_go("c")
        assert await calls[2] == "c"
        assert [call.cancelled() for call in calls] == [True, True, False]
        assert job.started == ["a", "c"]

    mode.run(main())


@pytest.mark.parametrize("is_awaited", [True, False], ids=["awaited", "not awaited"])
def test_a_promises_exception_is_reported_unless_it_is_awaited(mode, when, is_awaited):
    """As a task's is."""
    gates = []

    async def fail():
        if not gates:
            gates.append(asyncio.get_event_loop().create_future())
            await gates[0]
        await when()
        raise KeyError("x")

    async def main():
        slot = mode.wrap(fail, on_repeat="queue")
        first, second = slot(), slot()
        gates[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        if is_awaited:
            with pytest.raises(KeyError):
                await second
        await some_turns()

    mode.run(main())
    gc.collect()
    assert [type(exc) for exc in mode.reports] == ([] if is_awaited else [KeyError])


@pytest.mark.parametrize("policy", ["drop", "queue", "restart"])
def test_a_call_from_its_own_first_step_does_not_wait_for_itself_for_ever(mode, policy):
    """There is no task yet that could be returned: dropped, the call is cancelled; else it waits for its turn."""
    calls = []

    async def slot():
        if not calls:
            calls.append(None)
            calls[0] = again()
        await asyncio.sleep(0)

    again = mode.wrap(slot, on_repeat=policy)

    async def main():
        again()
        await asyncio.wait(calls)
        assert calls[0].cancelled() == (policy == "drop")

    mode.run(main())


# -- calls that start nothing --------------------------------------------------------


@pytest.mark.parametrize("is_awaited", [True, False], ids=["awaited", "not awaited"])
def test_a_call_with_too_few_arguments_fails_for_who_awaits_it(app, spin, recorder, is_awaited):
    """In a host, where Qt may be the caller; else it is reported."""

    async def slot(needed):
        pass

    async def main():
        call = asyncSlot(slot)()
        if is_awaited:
            with pytest.raises(TypeError, match="needed"):
                await call
        await some_turns()

    with attached("asyncSlot", spin, recorder) as mode:
        mode.run(main())
    assert [type(exc) for exc in mode.reports] == ([] if is_awaited else [TypeError])


def test_after_detach_who_awaits_is_told(app, spin, recorder):
    """And who does not need not look at it: nothing is reported, nothing raised."""

    class Dock:
        @asyncSlot
        async def refresh(self):
            pass

        @asyncSlot(on_repeat="queue")
        async def refresh_in_turn(self):
            pass

        async def bare(self):
            pass

    dock = Dock()
    outcomes, started = [], []

    async def main():
        try:
            started.append(True)
            await asyncio.sleep(3600)
        finally:
            for refresh in (dock.refresh, dock.refresh_in_turn, lease.slot(dock.bare)):
                try:
                    await refresh()
                except asyncslot.DetachedError as exc:
                    outcomes.append(str(exc))

    reports = []
    with asyncslot.attach("slot results", host=Reporting(recorder.qt_core(), reports)) as lease:
        lease.create_task(main())
        spin(lambda: started)
    assert len(outcomes) == 3
    assert "Dock.refresh()" in outcomes[0]
    call = dock.refresh()  # a plain slot
    call.add_done_callback(lambda call: outcomes.append(call))
    assert call.done()
    assert call.cancel() is False
    del call
    gc.collect()
    assert len(outcomes) == 3
    assert reports == []


def test_a_slot_of_a_deleted_object_is_cancelled(mode):
    """It does not start, and who awaits it goes no further."""

    class Dock(QtCore.QObject):
        async def refresh(self):
            raise AssertionError("it was started")

    async def main():
        dock = Dock()
        refresh = mode.wrap(dock.refresh)
        delete_at_once(dock)
        with pytest.raises(asyncio.CancelledError):
            await refresh()

    mode.run(main())


def test_in_another_thread_the_result_is_not_to_be_had(app, spin, recorder):
    """The call is handed over and runs, and who awaits it there is told how to have its result."""
    errors, ran = [], []

    async def slot():
        ran.append(threading.current_thread())

    wrapped = asyncSlot(slot)

    async def elsewhere():
        with pytest.raises(asyncslot.ThreadError, match="slot") as caught:
            await wrapped()
        errors.append(str(caught.value))

    with attached("asyncSlot", spin, recorder) as mode:
        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        spin(lambda: ran and errors)
        thread.join()
    assert ran == [threading.main_thread()]
    assert mode.reports == []


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

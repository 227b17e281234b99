"""What the call of a slot returns while an earlier one's task runs, and where it starts nothing.

In every mode, as in test_slot_results.py.
"""

import asyncio
import gc
import threading

import pytest
from qtpy import QtCore

import asyncslot
from asyncslot import asyncSlot
from senders import delete_at_once
from slot_modes import MODES, Reporting, attached, some_turns

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

    with attached("asyncSlot", spin, recorder, __name__) as mode:
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

    with attached("asyncSlot", spin, recorder, __name__) as mode:
        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        spin(lambda: ran and errors)
        thread.join()
    assert ran == [threading.main_thread()]
    assert mode.reports == []

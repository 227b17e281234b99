"""What goes wrong under a lease is told to the host, and names the plug-in."""

import asyncio
import functools
import gc
import socket
import threading
import time

import pytest

import asyncslot


async def forever():
    """Wait until cancelled."""
    await asyncio.get_event_loop().create_future()


# -- errors ----------------------------------------------------------------------------


async def fail():
    """Raise at once."""
    raise KeyError("x")


async def leave():
    """Call sys.exit() at once."""
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("start", "exc_type"),
    [
        pytest.param(lambda lease: lease.slot(fail)(), KeyError, id="in a slot's first step"),
        pytest.param(lambda lease: lease.create_task(fail()), KeyError, id="in a forgotten task"),
        pytest.param(lambda lease: lease.slot(leave)(), SystemExit, id="sys.exit() in a slot's first step"),
        pytest.param(lambda lease: lease.create_task(leave()), SystemExit, id="sys.exit() in a task"),
        pytest.param(lambda lease: lease.run_task(add_failing_callback()), ZeroDivisionError, id="in a callback"),
    ],
)
def test_errors_are_reported_to_the_host_and_name_the_owner(app, spin, recorder, start, exc_type):
    """Where the host's users look, not only when the garbage is collected; and the loop lives on."""
    with asyncslot.attach(__name__, host=recorder) as lease, asyncslot.attach("innocent"):
        start(lease)
        spin(lambda: (gc.collect() and False) or recorder.reports)
        assert [kind for _, kind in recorder.reports] == [exc_type]
        assert recorder.reports[0][0].startswith(f"{__name__}: ")
        spin(lease.create_task(asyncio.sleep(0.001)).done)


@pytest.mark.parametrize("delay", [None, 0.001], ids=["at once", "after a sleep"])
@pytest.mark.parametrize("way", ["create_task", "run_task", "loop.create_task"])
def test_a_forgotten_tasks_failure_waits_for_no_garbage_collector(app, spin, recorder, way, delay):
    """Nothing of ours keeps a failed task alive, so asyncio reports it as soon as it has ended."""

    async def fail_later():
        if delay is not None:
            await asyncio.sleep(delay)
        raise KeyError("x")

    gc.collect()
    gc.disable()
    try:
        with asyncslot.attach(__name__, host=recorder) as lease:
            functools.reduce(getattr, way.split("."), lease)(fail_later())
            spin(lambda: recorder.reports)
    finally:
        gc.enable()
    assert [kind for _, kind in recorder.reports] == [KeyError]


async def add_failing_callback():
    """Leave a callback behind that fails."""
    asyncio.get_event_loop().call_soon(lambda: 1 / 0)


def test_an_adapter_that_fails_to_report_is_logged_with_what_it_was_to_report(app, recorder, caplog):
    """A broken adapter hides no error."""
    recorder.report = lambda message, exc: 1 / 0
    with asyncslot.attach("unlucky", host=recorder) as lease:
        lease.slot(fail)()
        lease.run_until_complete(asyncio.sleep(0))
    assert any("unlucky: Exception in a slot" in message for message in caplog.messages)
    assert any("adapter for Recorder failed" in message for message in caplog.messages)


def test_another_threads_call_raises_a_clear_error(lease):
    """Everything of a lease belongs to the GUI thread."""
    errors = []

    def elsewhere():
        for call in (
            lambda: asyncslot.attach("elsewhere"),
            lambda: lease.create_task(forever()),
            lambda: lease.run_task(forever()),
            lambda: lease.run_until_complete(forever()),
            lease.detach,
        ):
            try:
                call()
            except asyncslot.ThreadError as exc:
                errors.append(str(exc))

    thread = threading.Thread(target=elsewhere, name="worker-1")
    thread.start()
    thread.join()
    assert len(errors) == 5
    assert all("'worker-1'" in error and "GUI thread" in error for error in errors)
    assert lease.is_attached


def test_repeated_attach_and_detach_leaves_nothing(app):
    """A hundred reloads: descriptors, threads and objects are as before."""

    def cycle():
        lease = asyncslot.attach("cycle")
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            lease.create_task(lease.loop.sock_recv(left, 1))
            lease.run_until_complete(lease.to_thread(int))
            lease.detach()

    def census():
        app.processEvents()
        app.sendPostedEvents(None, 52)  # QEvent.DeferredDelete
        gc.collect()
        return sum(str(type(thing).__module__).startswith("asyncslot") for thing in gc.get_objects())

    cycle()
    before = census()
    for _ in range(100):
        cycle()
    deadline = time.monotonic() + 5  # the last executor's thread has been told to end
    while census() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert census() <= before

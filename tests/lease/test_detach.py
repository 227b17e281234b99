"""detach: what ends with a lease, and when, also where code of the plug-in's own is on the stack."""

import asyncio
import functools
import sys
import time

import pytest

import asyncslot
from asyncslot import _meeting
from faulty import Recording

# What a killed child's returncode is.
KILLED = 1 if sys.platform == "win32" else -9


async def forever():
    """Wait until cancelled."""
    await asyncio.get_event_loop().create_future()


async def stubborn():
    """Ignore every cancellation."""
    while True:
        try:
            await forever()
        except asyncio.CancelledError:
            pass


# -- detach ----------------------------------------------------------------------------


def test_detach_cancels_only_own_tasks_and_their_children(app, spin):
    """Children inherit the owner; another plug-in's tasks go on."""
    log, children = [], []

    async def parent(name):
        children.append(asyncio.ensure_future(child(name)))
        await note(name)

    async def child(name):
        await note(f"child of {name}")

    async def note(name):
        try:
            await forever()
        except asyncio.CancelledError:
            log.append(name)
            raise

    with asyncslot.attach("two") as two:
        one = asyncslot.attach("one")
        one.create_task(parent("one"))
        task = two.create_task(parent("two"))
        spin(lambda: len(two._owner.pending()) == 2)
        report = one.detach()
        assert sorted(log) == ["child of one", "one"]
        assert (report.ended, report.abandoned) == (2, [])
        assert not task.done()
    assert sorted(log) == ["child of one", "child of two", "one", "two"]


def test_clean_up_may_await(lease, spin):
    """A cancelled task may take its time, within the timeout."""
    log = []

    async def coro():
        try:
            await forever()
        finally:
            await asyncio.sleep(0.02)
            log.append("cleaned up")

    lease.create_task(coro())
    lease.run_until_complete(asyncio.sleep(0))
    report = lease.detach()
    assert log == ["cleaned up"]
    assert report.ended == 1


def test_a_task_that_will_not_end_is_abandoned_and_named(lease):
    """detach() takes its timeout and no more, and says where the task stands."""
    lease.create_task(stubborn(), name="clinging")
    lease.run_until_complete(asyncio.sleep(0))
    start = time.monotonic()
    report = lease.detach(timeout=0.2)
    # Not a measurement: without a bound, it would be for ever.
    assert time.monotonic() - start < 10
    assert [task.name for task in report.abandoned if hasattr(asyncio.Task, "get_name")] in ([], ["clinging"])
    assert "in stubborn" in report.abandoned[0].stack
    assert "1 task abandoned" in str(report)
    assert "in stubborn" in str(report)


def test_what_is_left_open_is_closed(app):
    """Servers, connections, datagram endpoints and subprocesses, and only the owner's."""
    found = {}
    accepted = []

    async def open_everything(name):
        loop = asyncio.get_event_loop()
        server = await asyncio.start_server(lambda *streams: accepted.append(streams), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        datagrams, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        sleep = (sys.executable, "-c", "import time; time.sleep(100)")
        process = await asyncio.create_subprocess_exec(*sleep, stdout=-1)
        found[name] = server, writer, datagrams, process
        await asyncio.sleep(0.05)  # until the server has accepted

    with asyncslot.attach("two") as two, asyncslot.attach("one") as one:
        for lease in (one, two):
            lease.run_until_complete(open_everything(lease.owner))
        report = one.detach()
        server, writer, datagrams, process = found["one"]
        assert not server.is_serving()
        assert writer.transport.is_closing()
        assert datagrams.is_closing()
        assert process.returncode == KILLED
        # Both ends of the connection, and the subprocess's pipe, which it closes itself or not.
        kinds = [line.split()[0] for line in report.closed]
        assert kinds.count("server") == 1
        assert kinds.count("connection") == 2
        assert kinds.count("subprocess") == 1

        server, writer, datagrams, process = found["two"]
        assert server.is_serving()
        assert not writer.transport.is_closing()
        assert not datagrams.is_closing()
        assert process.returncode is None


def test_detach_does_not_wait_for_other_plugins_to_be_idle(app):
    """Another plug-in's task that never rests shares the loop; closing a connection takes a few turns all the same."""
    accepted, turns = [], []

    async def spin():
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    async def connect():
        server = await asyncio.start_server(lambda *streams: accepted.append(streams), "127.0.0.1", 0)
        accepted.append(await asyncio.open_connection(*server.sockets[0].getsockname()))

    with asyncslot.attach("restless") as restless:
        lease = asyncslot.attach("leaving")
        restless.create_task(spin())
        lease.run_until_complete(connect())
        report = lease.detach(timeout=30)
    assert len(report.closed) >= 2
    # Not a measurement: it would be the whole timeout.
    assert report.seconds < 15


def test_an_adapter_that_fails_to_unhook_does_not_stop_detach(app, recorder):
    """The plug-in is unloaded, and the error is reported."""
    recorder.on_quit = lambda callback: lambda: 1 / 0
    lease = asyncslot.attach("unhooked", host=recorder)
    assert lease.detach().abandoned == []
    assert lease.loop.is_closed()
    assert recorder.reports == [("unhooked: the adapter for Recorder failed to unhook", ZeroDivisionError)]


def test_detach_twice_is_detach_once(app):
    """The second call returns the first one's report, also through the function."""
    lease = asyncslot.attach("twice")
    report = lease.detach()
    assert lease.detach() is report
    assert asyncslot.detach("twice") is report


def test_detach_without_attach_is_a_no_op(app):
    """unload() may be called whatever happened before."""
    report = asyncslot.detach("never attached")
    assert (report.owner, report.ended, report.abandoned, report.closed) == ("never attached", 0, [], [])


def test_detach_inside_an_own_task_finishes_after_its_step(app, spin):
    """A plug-in may unload itself from its own coroutine."""
    log = []
    lease = asyncslot.attach("suicidal")

    async def coro():
        log.append(lease.detach().ended)
        log.append(lease.loop.is_closed())
        try:
            await asyncio.sleep(10)
        finally:
            log.append("cancelled")

    lease.create_task(forever())
    task = lease.create_task(coro())
    spin(lease.loop.is_closed)
    assert log == [1, False, "cancelled"]
    assert task.cancelled()


def test_detach_inside_a_dialog_that_an_own_task_opened(app, spin):
    """The task is on the stack; the loop is closed when it is not any more."""
    from qtpy import QtCore, QtWidgets

    log = []
    lease = asyncslot.attach("modal")

    async def coro():
        dialog = QtWidgets.QDialog()

        def unload():
            if not dialog.isVisible():
                QtCore.QTimer.singleShot(1, unload)
                return
            log.append(lease.detach().abandoned)
            QtCore.QTimer.singleShot(40, dialog.accept)

        unload()
        (getattr(dialog, "exec", None) or dialog.exec_)()
        log.append("closed")
        await asyncio.sleep(10)

    lease.create_task(coro())
    spin(lease.loop.is_closed)
    assert log == [[], "closed"]


def in_a_dialog_of_an_own_task(lease, spin, *acts):
    """Have a task of the lease open a dialog; call the acts one after the other in there, and then let it go on."""
    from qtpy import QtWidgets

    async def coro():
        dialog = QtWidgets.QDialog()
        asyncio.get_event_loop().call_soon(act, dialog, list(acts))
        (getattr(dialog, "exec", None) or dialog.exec_)()

    def act(dialog, acts):
        from qtpy import QtCore

        acts.pop(0)()
        QtCore.QTimer.singleShot(5, functools.partial(act, dialog, acts) if acts else dialog.accept)

    task = lease.create_task(coro())
    spin(task.done)
    return task


def test_a_plugin_that_is_reloaded_in_a_dialog_of_its_own_task_keeps_the_loop_open(app, spin):
    """Its first lease waits for the task, which is on the stack; that of the reloaded one must not close the loop."""
    reports, loops = [], []

    def reload():
        asyncslot.attach("reloaded").detach()
        loops.append(asyncslot.attach("reloaded", host=Recording(reports)).loop)

    lease = asyncslot.attach("reloaded", host=Recording(reports))
    task = in_a_dialog_of_an_own_task(lease, spin, reload, reload, lambda: asyncslot.detach("reloaded"))
    assert loops == [lease.loop, lease.loop]
    spin(lease.loop.is_closed)
    assert task.done()
    assert reports == []


def test_a_loop_is_not_closed_under_a_task_for_which_there_was_no_time(app, spin):
    """Qt objects would be deleted in whose signal the task is; it is abandoned, and the loop closed afterwards."""
    is_closed = []
    lease = asyncslot.attach("hurried", host=Recording([]))
    detach = functools.partial(lease.detach, timeout=0)
    in_a_dialog_of_an_own_task(lease, spin, detach, int, lambda: is_closed.append(lease.loop.is_closed()))
    spin(lease.loop.is_closed)
    assert is_closed == [False]
    assert _meeting.here() is None


def test_whoever_attaches_before_the_loop_is_closed_has_the_same(app, spin):
    """Inside of a dialog whose coroutine was abandoned."""
    leases, tasks = [], []

    def attach_again():
        leases.append(asyncslot.attach("again"))
        tasks.append(leases[0].create_task(asyncio.sleep(0.001, "done")))

    lease = asyncslot.attach("hurried", host=Recording([]))
    detach = functools.partial(lease.detach, timeout=0)
    in_a_dialog_of_an_own_task(lease, spin, detach, int, attach_again, int)
    spin(tasks[0].done)
    assert leases[0].loop is lease.loop
    assert tasks[0].result() == "done"
    assert leases[0].run_until_complete(asyncio.sleep(0, "more")) == "more"
    assert leases[0].detach().abandoned == []
    assert lease.loop.is_closed()
    assert asyncio._get_running_loop() is None


def test_a_signal_that_fires_after_detach_is_ignored(app):
    """No coroutine, no error, no crash."""
    from qtpy import QtCore

    ran = []

    class Sender(QtCore.QObject):
        happened = QtCore.Signal()

    async def coro():
        ran.append(1)

    sender = Sender()
    lease = asyncslot.attach(__name__)
    sender.happened.connect(lease.slot(coro))
    sender.happened.connect(asyncslot.asyncSlot(coro))
    lease.detach()
    sender.happened.emit()
    assert ran == []


def test_a_lease_that_has_ended_says_so(app):
    """Whoever keeps using it hears what to do."""
    lease = asyncslot.attach("gone")
    lease.detach()
    with pytest.raises(asyncslot.DetachedError, match=r"'gone' has ended\. Call attach\(\) again"):
        lease.create_task(forever())


def test_the_quitting_host_detaches_everything(run_python):
    """aboutToQuit ends every lease; unload(), called later, finds the report. Nothing hangs, rc 0."""
    out = run_python(
        """
import asyncio, time
from qtpy import QtCore, QtWidgets
import asyncslot

app = QtWidgets.QApplication([])
lease = asyncslot.attach("plugin")

async def busy():
    await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    lease.to_thread(time.sleep, 1000)
    while not lease._owner.executor.running():
        await asyncio.sleep(0.001)
    QtCore.QTimer.singleShot(0, app.quit)
    await asyncio.sleep(1000)

lease.create_task(busy())
(getattr(app, "exec", None) or app.exec_)()
print(lease.is_attached, lease.loop.is_closed())
print(asyncslot.detach("plugin"))
"""
    ).stdout
    first, second, third, fourth = out.splitlines()
    assert first == "False True"
    # asyncio's proactor loop accepts connections in a task of its own.
    tasks = "2 tasks" if sys.platform == "win32" else "1 task"
    assert f"{tasks} ended, 0 tasks abandoned, 1 resource closed" in second
    assert third.startswith("  closed: server on ('127.0.0.1'")
    assert fourth == "  still runs in a thread: time.sleep()"

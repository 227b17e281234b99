"""attach, Lease and detach: one plug-in's hold on the loop, on any Qt application."""

import asyncio
import functools
import gc
import socket
import sys
import threading
import time
import types
import weakref

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


# -- attach -----------------------------------------------------------------------


def test_the_same_owner_gets_the_same_lease(app):
    """attach() is idempotent, and two owners share one loop."""
    with asyncslot.attach("one") as one, asyncslot.attach("two") as two:
        assert asyncslot.attach("one") is one
        assert two is not one
        assert two.loop is one.loop


def test_the_owner_is_the_callers_package(app):
    """A plug-in need not say its name."""
    namespace = {"__name__": "my_plugin.gui.dock"}
    exec("import asyncslot\nlease = asyncslot.attach()\nagain = asyncslot.attach()", namespace)
    assert namespace["lease"].owner == "my_plugin"
    assert namespace["lease"] is namespace["again"]
    assert asyncslot.detach("my_plugin").owner == "my_plugin"
    assert not namespace["lease"].is_attached


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        pytest.param(["/one"], "suite", id="a package"),
        pytest.param(["/one", "/two"], "suite.tool", id="spread over directories, as FreeCAD's"),
        pytest.param([], "suite.tool", id="in no directory, as calibre's"),
        pytest.param(None, "suite", id="no package"),
    ],
)
def test_plugins_that_share_a_package_are_told_apart(app, monkeypatch, path, owner):
    """In the name of a lease, and in whose a slot is; a package of the plug-in's own is one plug-in."""
    package = types.ModuleType("suite")
    package.__path__ = path
    monkeypatch.setitem(sys.modules, "suite", package)
    inside = types.ModuleType("suite.tool")
    inside.__path__ = path  # in calibre, nothing has a directory
    monkeypatch.setitem(sys.modules, "suite.tool", inside)
    namespace = {"__name__": "suite.tool.gui"}
    source = """
import asyncio
import asyncslot
lease = asyncslot.attach()
async def fn():
    await asyncio.sleep(60)
slot = asyncslot.asyncSlot(fn)
"""
    exec(source, namespace)
    lease = namespace["lease"]
    with asyncslot.attach("suite.other"), lease:
        assert lease.owner == owner
        namespace["slot"]()
        assert len(lease._owner.pending()) == 1


def test_attach_after_detach_is_a_new_lease(app):
    """A plug-in that is reloaded starts anew."""
    first = asyncslot.attach("reloaded")
    first.detach()
    with asyncslot.attach("reloaded") as second:
        assert second is not first
        assert second.is_attached
        assert not first.is_attached


def test_the_loop_lives_as_long_as_the_last_lease(app):
    """And is closed with it."""
    one, two = asyncslot.attach("one"), asyncslot.attach("two")
    one.detach()
    assert not one.loop.is_closed()
    two.detach()
    assert one.loop.is_closed()
    assert _meeting.here() is None


def test_nothing_runs_before_the_hosts_loop_does(lease, spin):
    """attach() works before exec(), as in QGIS's initGui(); tasks wait for it."""
    ran = []

    async def coro():
        ran.append(1)

    task = lease.create_task(coro())
    time.sleep(0.01)
    assert ran == []
    spin(task.done)
    assert ran == [1]


def test_a_lease_is_not_published_as_the_running_loop(lease):
    """attach() leaves asyncio's running loop alone."""
    assert asyncio._get_running_loop() is None


# -- tasks ----------------------------------------------------------------------------


def test_tasks_are_kept_alive_until_they_are_done(lease, spin):
    """asyncio keeps weak references only; a forgotten task must not vanish half-way."""
    done = []

    async def coro():
        future = asyncio.get_event_loop().create_future()
        reference = weakref.ref(future)
        asyncio.get_event_loop().call_later(0.05, lambda: reference() and reference().set_result(None))
        await future
        done.append(1)

    lease.create_task(coro())
    gc.collect()
    spin(lambda: done)


def test_create_task_works_in_a_plain_slot(lease, spin):
    """Where asyncio.create_task() finds no running loop."""
    from qtpy import QtCore

    made = []
    QtCore.QTimer.singleShot(0, lambda: made.append(lease.create_task(asyncio.sleep(0.001, "slept"), name="mine")))
    spin(lambda: made and made[0].done())
    assert made[0].result() == "slept"
    if hasattr(made[0], "get_name"):  # Python 3.8
        assert made[0].get_name() == "mine"


def test_the_packages_create_task_finds_its_lease(app, spin):
    """asyncslot.create_task() uses the lease of the package that calls it, else the only one."""
    with asyncslot.attach("other"):
        task = asyncslot.create_task(asyncio.sleep(0, "by the only lease"))
        spin(task.done)
        with asyncslot.attach():  # in the name of this module
            mine = asyncslot.create_task(forever())
        assert mine.cancelled()


def test_run_task_takes_its_first_step_at_once(lease, spin):
    """The effect is there when run_task() returns."""
    log = []

    async def coro():
        log.append("first")
        await asyncio.sleep(0)
        log.append("second")

    task = lease.run_task(coro())
    assert log == ["first"]
    spin(task.done)
    assert log == ["first", "second"]


def test_to_thread_runs_elsewhere_with_the_callers_context(lease, spin):
    """On every Python, with context variables."""
    import contextvars

    variable = contextvars.ContextVar("variable")

    async def coro():
        variable.set("seen")
        return await lease.to_thread(lambda: (variable.get(), threading.current_thread()))

    task = lease.create_task(coro())
    spin(task.done)
    assert task.result()[0] == "seen"
    assert task.result()[1] is not threading.current_thread()


def test_run_until_complete_blocks_without_a_qt_loop(lease):
    """For unload(): asyncio goes on, Qt does not."""
    from qtpy import QtCore

    ticks = []
    timer = QtCore.QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(1)
    assert lease.run_until_complete(asyncio.sleep(0.05, "slept")) == "slept"
    timer.stop()
    assert ticks == []


def test_run_until_complete_inside_a_step(lease, spin):
    """Also in a callback or a coroutine of ours, where asyncio itself would refuse."""

    async def coro():
        return lease.run_until_complete(asyncio.sleep(0.01, "inner"))

    task = lease.create_task(coro())
    spin(task.done)
    assert task.result() == "inner"


def test_run_until_complete_gives_up_in_time(lease):
    """And says where the coroutine stood."""
    with pytest.raises(TimeoutError, match=r"(?s)'test'.*forever\(\)"):
        lease.run_until_complete(forever(), timeout=0.05)


def test_run_until_complete_raises_what_the_coroutine_raises(lease):
    """An exception is the caller's."""

    async def fail():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        lease.run_until_complete(fail())


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
    await asyncio.sleep(1000)

lease.create_task(busy())
QtCore.QTimer.singleShot(100, app.quit)
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

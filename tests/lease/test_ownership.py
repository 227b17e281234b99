"""Whatever is scheduled, registered and set under a lease ends with that lease, and only with it."""

import asyncio
import concurrent.futures
import functools
import gc
import os
import socket
import sys
import threading
import time
import types

import pytest

import asyncslot
from stories import plugin, tell

pytestmark = pytest.mark.filterwarnings("error")

needs_readers = pytest.mark.skipif(sys.platform == "win32", reason="asyncio's proactor loop has no add_reader()")


@pytest.fixture
def leases(app):
    """Two leases: of the one that is detached, and of one that stays."""
    with asyncslot.attach("staying") as staying, asyncslot.attach("leaving") as leaving:
        yield leaving, staying


def in_both(leases, start):
    """Run start(loop, log) in a task of each lease; return the two logs."""
    logs = [], []
    for lease, log in zip(leases, logs):

        async def call(log=log):
            start(asyncio.get_event_loop(), log)

        lease.run_until_complete(call())
    return logs


# -- callbacks, timers, readers ------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(lambda loop, log: loop.call_later(0.01, log.append, 1), id="call_later"),
        pytest.param(lambda loop, log: loop.call_at(loop.time() + 0.01, log.append, 1), id="call_at"),
        pytest.param(lambda loop, log: again_and_again(loop, log), id="call_soon for ever"),
    ],
)
def test_callbacks_end_with_their_lease(leases, spin, start):
    """What is scheduled is not called any more; what others have scheduled is."""
    leaving, staying = in_both(leases, start)
    leases[0].detach()
    del leaving[:]
    spin(lambda: staying)
    leases[1].run_until_complete(asyncio.sleep(0.02))
    assert leaving == []


def again_and_again(loop, log):
    """A callback that schedules itself, as some libraries' heartbeats do."""
    log.append(1)
    loop.call_soon(again_and_again, loop, log)


@needs_readers
@pytest.mark.parametrize("kind", ["reader", "writer"])
def test_readers_and_writers_end_with_their_lease(leases, spin, kind):
    """The descriptor stays open, for whoever opened it, and is watched no more."""
    pairs = [socket.socketpair() for _ in leases]
    for lease, (left, right) in zip(leases, pairs):
        left.setblocking(False)
        right.send(b"x")

        async def watch(left=left):
            getattr(asyncio.get_event_loop(), f"add_{kind}")(left.fileno(), int)

        lease.run_until_complete(watch())
    report = leases[0].detach()
    assert report.closed == [f"{kind} of descriptor {pairs[0][0].fileno()}"]
    watched = leases[1].loop._selector.get_map()
    assert pairs[0][0].fileno() not in watched
    assert pairs[1][0].fileno() in watched
    for pair in pairs:
        for end in pair:
            getattr(leases[1].loop, f"remove_{kind}")(end.fileno())
            end.close()


@needs_readers
def test_a_reader_of_an_installed_library_stays(leases, monkeypatch):
    """The library is everybody's, and may serve another plug-in with it; a copy in the plug-in's own package is not."""
    library = types.ModuleType("library")
    library.__file__ = "/usr/lib/python3/dist-packages/library/__init__.py"
    monkeypatch.setitem(sys.modules, "library", library)
    left, right = socket.socketpair()
    with left, right:
        callbacks = [lambda: None, lambda: None]
        callbacks[0].__module__ = "library.aio"
        callbacks[1].__module__ = "leaving._vendor.library.aio"

        async def watch():
            loop = asyncio.get_event_loop()
            loop.add_reader(left, callbacks[0])
            loop.add_reader(right, functools.partial(callbacks[1]))

        leases[0].run_until_complete(watch())
        assert leases[0].detach().closed == [f"reader of descriptor {right.fileno()}"]
        assert leases[1].loop.remove_reader(left)


@needs_readers
def test_a_reader_is_found_while_it_is_muted(leases, spin):
    """Detached from inside its own callback, in a nested Qt loop: the descriptor is not heard again afterwards."""
    from qtpy import QtCore

    left, right = socket.socketpair()
    left.setblocking(False)
    calls, reports = [], []

    def on_readable():
        calls.append(1)
        nested = QtCore.QEventLoop()
        QtCore.QTimer.singleShot(20, lambda: (reports.append(leases[0].detach()), nested.quit()))
        (getattr(nested, "exec", None) or nested.exec_)()

    async def watch():
        asyncio.get_event_loop().add_reader(left.fileno(), on_readable)

    leases[0].run_until_complete(watch())
    right.send(b"x")
    spin(lambda: reports)
    leases[1].run_until_complete(asyncio.sleep(0.02))
    assert calls == [1]
    left.close()
    right.close()


# -- code that carries no owner ---------------------------------------------------------


LEAVING = """
import asyncio, asyncslot, threading

lease = asyncslot.attach()
log = []

async def coro():
    log.append("starts")
    await asyncio.sleep(10)

def from_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()

WAYS = {
    "call_soon": lambda: lease.loop.call_soon(log.append, "ran"),
    "call_later": lambda: lease.loop.call_later(0.001, log.append, "ran"),
    "create_task": lambda: lease.loop.create_task(coro()),
    "ensure_future": lambda: asyncio.ensure_future(coro(), loop=lease.loop),
    "call_soon_threadsafe": lambda: from_a_thread(lambda: lease.loop.call_soon_threadsafe(log.append, "ran")),
    "run_coroutine_threadsafe": lambda: from_a_thread(
        lambda: asyncio.run_coroutine_threadsafe(coro(), lease.loop)
    ),
}
"""


@pytest.mark.parametrize(
    "way",
    [
        "call_soon",
        "call_later",
        "create_task",
        "ensure_future",
        "call_soon_threadsafe",
        pytest.param("run_coroutine_threadsafe", marks=pytest.mark.filterwarnings("ignore:coroutine")),
    ],
)
@pytest.mark.parametrize("begun", [False, True], ids=["before it has begun", "when it has begun"])
def test_what_a_plain_slot_or_thread_starts_is_its_packages(app, spin, way, begun):
    """By the raw loop, outside of any task: it ends with the lease of the package whose code has called."""
    namespace = {"__name__": "leaving_plugin.module"}
    with asyncslot.attach("staying") as staying:
        exec(LEAVING, namespace)
        log = namespace["log"]
        namespace["WAYS"][way]()
        if begun:
            spin(lambda: log)
        asyncslot.detach("leaving_plugin")
        log_before = list(log)
        staying.run_until_complete(asyncio.sleep(0.01))
        assert log == log_before
        assert not [task for task in asyncio.all_tasks(staying.loop) if not task.done()]


@needs_readers
def test_a_reader_that_a_plain_slot_adds_is_its_packages(app):
    """And so is the error that its callback raises."""
    namespace = {"__name__": "leaving_plugin.module"}
    left, right = socket.socketpair()
    with left, right, asyncslot.attach("staying"):
        exec("import asyncslot\nlease = asyncslot.attach()\n", namespace)
        namespace["left"] = left
        exec("lease.loop.add_reader(left.fileno(), print)", namespace)
        assert asyncslot.detach("leaving_plugin").closed == [f"reader of descriptor {left.fileno()}"]


def test_a_package_with_two_leases_has_no_owner_by_its_name(app, spin):
    """Nobody can tell which; tasks that are made through a lease are that lease's, as ever."""
    done = []
    with asyncslot.attach("one") as one, asyncslot.attach("two"):
        one.loop.call_later(0.001, done.append, 1)
        asyncslot.detach("two")
        spin(lambda: done)


# -- executor jobs --------------------------------------------------------------------


def test_jobs_end_with_their_lease(leases, spin):
    """Those that wait for a thread are not begun; those that run are named, and their results are dropped."""
    gate, begun = threading.Event(), []

    def job(number):
        begun.append(number)
        gate.wait(30)

    try:
        for number in range(100):
            leases[0].to_thread(job, number)
        deadline = time.monotonic() + 20
        while len(begun) < min(32, (os.cpu_count() or 1) + 4) and time.monotonic() < deadline:
            time.sleep(0.001)
        running = len(begun)
        done = leases[1].to_thread(int)
        spin(done.done)  # another owner's threads are its own, however many hang
        report = leases[0].detach()
        assert len(report.jobs) == running
        assert report.jobs[0].endswith("test_jobs_end_with_their_lease.<locals>.job()")
        assert "  still runs in a thread: " in str(report)
    finally:
        gate.set()
    assert len(begun) == running


def test_a_job_that_ends_after_its_lease_says_nothing(run_python):
    """Neither to a loop that is closed, nor on stderr."""
    done = run_python(
        """
import threading
from qtpy import QtCore
import asyncslot
app = QtCore.QCoreApplication([])
lease = asyncslot.attach("plugin")
begun, gate, over = threading.Event(), threading.Event(), threading.Event()
def job():
    begun.set()
    gate.wait(30)
    threading.current_thread().on_end = over  # gone when the thread drops the job
future = lease.to_thread(job)
assert begun.wait(30)
print(lease.detach().jobs)
gate.set()
for thread in threading.enumerate():
    if thread.name.startswith("asyncslot"):
        thread.join(30)
"""
    )
    assert done.stdout.strip() == "['__main__.job()']"
    assert done.stderr == ""


def test_an_executor_of_ones_own_choice_is_used_by_all_until_its_givers_detach(leases, spin):
    """Set by set_default_executor(), which asyncio means for the whole loop."""

    async def choose(executor):
        asyncio.get_event_loop().set_default_executor(executor)

    def where_jobs_run():
        jobs = [lease.to_thread(lambda: threading.current_thread().name) for lease in leases if lease.is_attached]
        spin(lambda: all(job.done() for job in jobs))
        return {job.result().rstrip("0123456789_-") for job in jobs}

    with concurrent.futures.ThreadPoolExecutor(1, "chosen") as executor:
        leases[0].run_until_complete(choose(executor))
        assert where_jobs_run() == {"chosen"}
        leases[0].detach()
        assert where_jobs_run() == {"asyncslot"}


def test_a_task_factory_is_used_until_its_givers_detach(leases):
    """It would otherwise go on making tasks in code that has been unloaded."""
    made = []

    def factory(loop, coro, **options):
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **options)

    async def choose():
        asyncio.get_event_loop().set_task_factory(factory)

    leases[0].run_until_complete(choose())
    leases[1].run_until_complete(asyncio.sleep(0))
    assert len(made) == 1
    leases[0].detach()
    del made[:]
    leases[1].run_until_complete(asyncio.sleep(0))
    assert made == []


# -- exception handlers ------------------------------------------------------------------


def test_an_exception_handler_is_its_owners(app, spin, recorder):
    """It hears of the owner's errors and nobody else's, and is gone with the lease."""
    heard = []

    async def set_handler():
        loop = asyncio.get_event_loop()
        handler = lambda loop, context: heard.append(type(context["exception"]))  # noqa: E731 - compared below
        loop.set_exception_handler(handler)
        assert loop.get_exception_handler() is handler

    async def fail():
        raise KeyError

    with asyncslot.attach("other", host=recorder) as other:
        with asyncslot.attach("handling", host=recorder) as handling:
            handling.run_until_complete(set_handler())
            assert handling.loop.get_exception_handler() is None  # outside of the owner's code
            handling.slot(fail)()
            other.slot(fail)()
            spin(lambda: heard and recorder.reports)
        with asyncslot.attach("handling", host=recorder) as handling:
            handling.slot(fail)()
            spin(lambda: len(recorder.reports) == 2)
    assert heard == [KeyError]
    assert [message.partition(":")[0] for message, _ in recorder.reports] == ["other", "handling"]


class Cycle:
    """A thing that only the garbage collector ends."""

    def __init__(self, kept):
        self.kept, self.me = kept, self


@pytest.mark.parametrize("kind", ["task", "future"])
def test_an_error_that_comes_to_light_after_its_lease_is_not_blamed_on_who_runs_then(app, kind):
    """The garbage collector finds it while another plug-in's code runs."""
    alpha, bravo = plugin("alpha"), plugin("bravo")
    alpha.attach()
    bravo.attach()

    def story():
        gc.disable()
        failed = alpha.lease.create_task(alpha.fail_in_a_task())
        yield failed.done
        if kind == "future":
            task, failed = failed, alpha.lease.loop.create_future()
            failed.set_exception(task.exception())
            del task
        Cycle(failed)
        del failed
        alpha.detach()
        bravo.call_loop("call_soon", gc.collect)
        yield lambda: alpha.host.reports or bravo.host.reports

    try:
        tell(story())
    finally:
        gc.enable()
        bravo.detach()
    ((message, exc),) = alpha.host.reports + bravo.host.reports
    # From Python 3.12 on a task tells its owner, also after that has left.
    name = "alpha" if kind == "task" and sys.version_info >= (3, 12) else "asyncslot"
    assert message.startswith(f"{name}: {kind.title()} exception was never retrieved")
    assert repr(exc) == "KeyError('alpha')"


def test_a_wrong_exception_handler_is_refused_in_asyncios_words(lease):
    """Where it is set, and not when there is an error to be handled."""

    async def set_handler():
        asyncio.get_event_loop().set_exception_handler(1)

    with pytest.raises(TypeError, match="A callable object or None is expected, got 1"):
        lease.run_until_complete(set_handler())

"""Whatever is made under a lease ends with that lease, and only with it."""

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
import weakref

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


async def forever():
    """Wait until cancelled."""
    await asyncio.get_event_loop().create_future()


async def first_of(generator):
    """Begin to iterate."""
    return await generator.__anext__()


def wait_for(condition, timeout=20):
    """Wait in a thread until something is in a list."""
    deadline = time.monotonic() + timeout
    while not condition and time.monotonic() < deadline:
        time.sleep(0.001)


def in_both(leases, start):
    """Run start(loop, log) in a task of each lease; return the two logs."""
    logs = [], []
    for lease, log in zip(leases, logs):

        async def call(log=log):
            start(asyncio.get_event_loop(), log)

        lease.run_until_complete(call())
    return logs


# -- async generators -------------------------------------------------------------


def test_async_generators_are_closed_with_their_lease(leases):
    """Their `finally` runs, and may await; another plug-in's are left alone."""
    log, generators = [], []

    async def numbers(name):
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0.001)
            log.append(name)

    async def begin(name):
        generators.append(numbers(name))
        await generators[-1].__anext__()

    for lease in leases:
        lease.run_until_complete(begin(lease.owner))
    report = leases[0].detach()
    assert log == ["leaving"]
    assert any("async generator" in what and "numbers()" in what for what in report.closed)
    assert generators[1].ag_frame is not None
    leases[1].detach()
    assert log == ["leaving", "staying"]


def test_an_async_generator_that_will_not_end_is_abandoned(leases):
    """Within the time, and its error goes to the report of whose it is."""

    async def clinging():
        try:
            yield 1
        finally:
            await forever()

    generator = clinging()
    leases[0].run_until_complete(first_of(generator))
    report = leases[0].detach(timeout=0.1)
    assert report.seconds < 10
    assert any("clinging()" in what for what in report.closed)


def test_a_dropped_async_generator_is_closed_in_its_owners_name(leases, spin):
    """Whoever's code is running when the garbage collector finds it; another plug-in's detach does not end that."""
    owners, box = [], []

    async def numbers():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            owners.append(leases[0].loop._as_owner.get())

    async def begin():
        box.append(numbers())
        await box[0].__anext__()

    async def drop():
        box.clear()
        gc.collect()

    leases[1].run_until_complete(begin())
    leases[0].run_until_complete(drop())
    leases[0].detach()
    spin(lambda: owners == [leases[1]._owner])


def test_owners_of_async_generators_are_not_kept_for_ever(leases):
    """However many generators run to their end."""

    async def numbers():
        yield 1

    async def run_many():
        kept = [numbers() for _ in range(50)]
        for generator in kept:
            await generator.__anext__()
        for _ in range(1000):
            async for _ in numbers():
                pass

    leases[0].run_until_complete(run_many())
    assert len(leases[0].loop._as_registry.generator_owners) < 400


def test_an_owner_that_has_left_is_not_kept_by_its_async_generators(app):
    """Not even by one that ran to its end, which asyncio does not hear of; or a purged plug-in stays in memory."""

    async def iterate():
        async def numbers():
            yield 1

        async for _ in numbers():
            pass

    with asyncslot.attach("staying"):
        leaving = asyncslot.attach("leaving")
        leaving.run_until_complete(iterate())
        owner = weakref.ref(leaving._owner)
        leaving.detach()
        del leaving
        gc.collect()
        assert owner() is None


def test_an_error_while_an_async_generator_is_closed_is_reported(app, recorder):
    """As asyncio does it, and it is nobody else's error."""

    async def failing():
        try:
            yield 1
        finally:
            raise KeyError("x")

    lease = asyncslot.attach("failing", host=recorder)
    generator = failing()
    lease.run_until_complete(first_of(generator))
    lease.detach()
    [(message, kind)] = recorder.reports
    assert message.startswith("failing: An error occurred while the async generator")
    assert kind is KeyError


# -- servers -----------------------------------------------------------------------


def test_a_servers_handlers_are_cancelled_without_a_word(app, recorder):
    """asyncio.streams of some Pythons take it for an error, which nobody's user has to see."""
    begun = []

    async def handle(reader, writer):
        begun.append(asyncio.current_task())
        await reader.readline()

    async def serve():
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        streams = await asyncio.open_connection(*server.sockets[0].getsockname())
        await lease.loop.run_in_executor(None, wait_for, begun)
        return server, streams

    lease = asyncslot.attach("serving", host=recorder)
    kept = lease.run_until_complete(serve())
    report = lease.detach()
    assert begun[0].cancelled()
    assert any(what.startswith("server on") for what in report.closed)
    assert recorder.reports == []
    assert not kept[0].is_serving()


@pytest.mark.parametrize("turns", [*range(12), 20, 40])
def test_a_connection_may_be_anywhere_between_accepted_and_answered(app, recorder, turns):
    """However few turns a server and its client have had: the garbage collector, which would tell, finds nothing."""

    async def answer(reader, writer):
        try:
            await reader.read()
        finally:
            writer.close()

    async def echo():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            await forever()
        finally:
            writer.close()

    async def wait():
        for _ in range(turns):
            await asyncio.sleep(0)

    for _ in range(5):
        lease = asyncslot.attach("serving", host=recorder)
        lease.create_task(echo())
        lease.run_until_complete(wait())
        lease.detach()
        gc.collect()
    assert recorder.reports == []


class Again(asyncio.Protocol, asyncio.DatagramProtocol):
    """Connects again whenever it has lost its connection."""

    def __init__(self, connect, told):
        self.connect, self.told = connect, told

    def connection_lost(self, exc):
        self.told.append(exc)
        asyncio.get_event_loop().create_task(self.connect())


class AgainInACallback(Again):
    def connection_lost(self, exc):
        self.told.append(exc)
        asyncio.get_event_loop().call_soon(lambda: asyncio.ensure_future(self.connect()))


@pytest.mark.parametrize("protocol", [Again, AgainInACallback])
@pytest.mark.parametrize("kind", ["stream", "datagrams"])
def test_a_connection_that_is_made_when_another_one_is_lost_is_closed(app, recorder, kind, protocol):
    """By a protocol that hears of the end that detach() has made. It does not hear of the next one."""
    told, kept = [], []

    async def connect():
        loop = asyncio.get_event_loop()
        if kind == "datagrams":
            await loop.create_datagram_endpoint(lambda: protocol(connect, told), local_addr=("127.0.0.1", 0))
        else:
            ours, other = socket.socketpair()
            kept.append(other)
            await loop.connect_accepted_socket(lambda: protocol(connect, told), ours)

    lease = asyncslot.attach("connecting", host=recorder)
    lease.run_until_complete(connect())
    report = lease.detach()
    for other in kept:
        other.close()
    gc.collect()
    assert told == [None]
    assert len(report.closed) == 2
    assert recorder.reports == []


@pytest.mark.parametrize("how", ["returns", "goes on"])
def test_a_task_that_detaches_itself_ends_without_a_word(app, spin, recorder, how):
    """Whether it returns at once or is cancelled where it waits next."""
    lease = asyncslot.attach("suicidal", host=recorder)

    async def leave():
        lease.detach()
        if how == "goes on":
            await asyncio.sleep(10)

    lease.create_task(leave())
    spin(lease.loop.is_closed)
    gc.collect()
    assert recorder.reports == []


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


# -- abandoned tasks --------------------------------------------------------------------


async def swallow():
    """Ignore every cancellation."""
    while True:
        try:
            await forever()
        except asyncio.CancelledError:
            pass


async def cling():
    """Wait for ever in `finally`."""
    try:
        await forever()
    finally:
        await forever()


async def spin_for_ever():
    """Never rest, and ignore every cancellation."""
    while True:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass


@pytest.mark.parametrize("coro_fn", [swallow, cling, spin_for_ever])
def test_an_abandoned_task_is_named_and_never_goes_on(leases, coro_fn):
    """The loop lives on with another plug-in; the task is closed as Python closes a coroutine, and collected."""
    steps = []
    task = leases[0].create_task(coro_fn())
    leases[1].run_until_complete(asyncio.sleep(0.001))
    task.add_done_callback(steps.append)
    report = leases[0].detach(timeout=0.05)
    assert [(abandoned.owner, coro_fn.__name__ in abandoned.stack) for abandoned in report.abandoned] == [
        ("leaving", True)
    ]
    assert report.ended == 0
    assert task._coro.cr_frame is None
    task.cancel()
    leases[1].run_until_complete(asyncio.sleep(0.005))
    assert not task.done()
    assert steps == []
    del task, report
    gc.collect()  # says nothing, or the warning would fail this test


def test_what_an_abandoned_task_raises_when_it_is_closed_is_reported(app, recorder):
    """Nothing is swallowed."""

    async def fail_when_closed():
        while True:
            try:
                await forever()
            except asyncio.CancelledError:
                pass
            except GeneratorExit:
                raise KeyError("x") from None

    lease = asyncslot.attach("failing", host=recorder)
    lease.create_task(fail_when_closed())
    lease.run_until_complete(asyncio.sleep(0))
    assert len(lease.detach(timeout=0.05).abandoned) == 1
    assert [kind for _, kind in recorder.reports] == [type(None), KeyError]
    assert "would not end, failed" in recorder.reports[1][0]


def test_tasks_have_a_moment_to_end_where_a_neighbours_callback_has_taken_the_time(leases):
    """Those of the lease and those of libraries: they have only just been cancelled."""
    leaving, staying = leases
    log = []

    async def work(name):
        try:
            await forever()
        finally:
            await asyncio.sleep(0.005)
            log.append(name)

    async def begin():
        return asyncio.get_event_loop().create_task(work("a library's"))

    library = leaving.run_until_complete(begin())
    own = leaving.create_task(work("the lease's"))
    leaving.run_until_complete(asyncio.sleep(0))
    staying.loop.call_soon(time.sleep, 0.6)
    assert leaving.detach(timeout=0.5).abandoned == []
    assert [own.cancelled(), library.cancelled()] == [True, True]
    assert sorted(log) == ["a library's", "the lease's"]


@pytest.mark.parametrize(
    ("end", "ended", "cancelled"),
    [
        pytest.param(None, 1, 1, id="cancelled"),
        pytest.param("return", 1, 0, id="returns"),
        pytest.param("raise", 1, 0, id="raises"),
    ],
)
def test_the_report_tells_how_tasks_ended(app, recorder, end, ended, cancelled):
    """By being cancelled, or otherwise."""

    async def task():
        try:
            await forever()
        except asyncio.CancelledError:
            if end == "return":
                return
            if end == "raise":
                raise KeyError from None
            raise

    lease = asyncslot.attach("reporting", host=recorder)
    lease.create_task(task())
    lease.run_until_complete(asyncio.sleep(0))
    report = lease.detach()
    assert (report.ended, report.cancelled, report.abandoned) == (ended, cancelled, [])
    assert ("ended otherwise than by being cancelled: 1 task" in str(report)) == (cancelled == 0)


def test_no_descriptor_stays_open_for_a_child_that_was_just_killed(app):
    """The loop closes before it has heard of the child's end; see the fixture that looks for descriptors."""

    async def start():
        await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(100)")

    for _ in range(3):
        lease = asyncslot.attach("parent")
        lease.run_until_complete(start())
        lease.detach(timeout=0)


# -- what does not belong to anybody -----------------------------------------------------


def test_a_child_is_reaped_though_its_owner_has_left(leases, spin):
    """The watch is the loop's: a child that took longer to die than detach() waited leaves no zombie."""
    processes = []

    async def start():
        processes.append(await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(100)"))

    leases[0].run_until_complete(start())
    leases[0].detach(timeout=0)
    spin(lambda: processes[0].returncode is not None)

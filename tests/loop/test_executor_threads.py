"""The threads that run jobs: those that cannot be started, and what else goes wrong in them."""

import ctypes
import functools
import gc
import itertools
import queue
import random
import threading
import time
import weakref

import pytest

import asyncslot
from asyncslot._executor import DaemonExecutor

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def stopped():
    """An event for which jobs wait, and which is set in the end."""
    event = threading.Event()
    yield event
    event.set()


def _raise(exc):
    raise exc


class Anything:
    """Something that can be held weakly."""


def test_a_callback_may_wait_for_another_job(stopped):
    """It runs in the thread of the job that it belongs to, which is not free meanwhile, though the job has ended."""
    executor, outcomes = DaemonExecutor(max_workers=2), queue.SimpleQueue()
    executor.submit(stopped.wait).add_done_callback(lambda _: outcomes.put(executor.submit(int).result(timeout=20)))
    stopped.set()
    try:
        assert outcomes.get(timeout=20) == 0
    finally:
        executor.shutdown(wait=False)


# -- threads that cannot be started, and what else goes wrong in them ---------


class Starting:
    """What becomes of an executor's threads when they are started.

    Attributes:
        failures: one is taken from it for each, and raised unless it is None.
        before, after: called before a thread is started, and after.
        started: the threads that were.
    """

    def __init__(self):
        self.failures = []
        self.before = self.after = lambda: None
        self.started = []

    def fail(self, times=1, failure=RuntimeError):
        """Have no thread started the next `times`."""
        self.failures = [failure("can't start new thread")] * times


@pytest.fixture
def starting(monkeypatch):
    starting, start = Starting(), threading.Thread.start

    def start_or_not(thread):
        if thread.name.startswith("asyncslot-"):
            starting.before()
            failure = starting.failures.pop() if starting.failures else None
            if failure is not None:
                raise failure
            start(thread)
            starting.started.append(thread)
            starting.after()
        else:
            start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_not)
    yield starting
    for thread in starting.started:
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def executor(starting, stopped):
    """One of two threads, which end with the test."""
    executor = DaemonExecutor(2)
    yield executor
    stopped.set()
    executor.shutdown(wait=False)


def occupy(executor, stopped, threads=1):
    """Have so many threads busy until `stopped`; return their jobs."""
    begun = threading.Semaphore(0)
    jobs = [executor.submit(lambda: begun.release() or stopped.wait()) for _ in range(threads)]
    for _ in jobs:
        assert begun.acquire(timeout=10)
    return jobs


def wait_until_idle(executor):
    """A result is there a moment before its thread is free again."""
    end = time.monotonic() + 10
    while executor._running:
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize("failure", [RuntimeError, MemoryError, KeyboardInterrupt])
def test_a_job_is_refused_and_gone_where_there_is_no_thread_for_it(executor, starting, failure):
    """It does not run later, and nothing keeps what it was given."""
    ran, thing = [], Anything()
    alive = weakref.ref(thing)
    starting.fail(failure=failure)
    with pytest.raises(failure, match="can't start new thread"):
        executor.submit(ran.append, thing)
    starting.failures.clear()
    del thing
    gc.collect()
    assert alive() is None
    assert executor.submit(int).result(10) == 0
    assert ran == []


def test_to_thread_raises_where_there_is_no_thread_for_it(app, starting):
    """As submit(), out of whatever calls it; the next one may do better."""
    ran = []
    with asyncslot.attach("test") as lease:
        starting.fail()
        with pytest.raises(RuntimeError, match="can't start new thread"):
            lease.to_thread(ran.append, 1)
        assert lease.run_until_complete(lease.to_thread(int)) == 0
    assert ran == []


def test_a_thread_that_could_not_be_started_is_none(executor, starting, stopped):
    """However often that fails, there are later as many as there may be."""
    starting.fail(times=10)
    for _ in range(10):
        with pytest.raises(RuntimeError):
            executor.submit(int)
    occupy(executor, stopped, threads=2)
    assert len(starting.started) == 2


def test_a_job_waits_for_a_living_thread_where_no_other_can_be_started(executor, starting, stopped):
    """It is not refused; and once threads can be started again, the next job brings one for those that wait."""
    order = []
    occupy(executor, stopped)
    starting.fail(times=2)
    waiting = [executor.submit(order.append, number) for number in range(2)]
    assert not any(job.done() for job in waiting)
    executor.submit(order.append, 2).result(10)
    assert order == [0, 1, 2]
    assert len(starting.started) == 2


@pytest.mark.parametrize("is_one_alive", [False, True], ids=["no thread", "a thread"])
@pytest.mark.parametrize("cancel_futures", [False, True], ids=["run", "cancel"])
@pytest.mark.parametrize("wait", [False, True], ids=["at once", "wait"])
def test_shutdown_works_after_a_thread_could_not_be_started(
    executor, starting, stopped, is_one_alive, cancel_futures, wait
):
    """It ends what there is, and waits for nothing else."""
    busy = occupy(executor, stopped) if is_one_alive else []
    starting.fail()
    try:
        waiting = [executor.submit(int)]
    except RuntimeError:
        waiting = []
    assert len(waiting) == is_one_alive
    if cancel_futures:
        executor.shutdown(wait=False, cancel_futures=True)
    stopped.set()
    executor.shutdown(wait=wait)
    for job in busy:
        job.result(10)
    for job in waiting:
        assert job.cancelled() if cancel_futures else job.result(10) == 0
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(int)


@pytest.mark.parametrize("wait", [False, True], ids=["at once", "wait"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_job_for_which_a_thread_starts_during_a_shutdown_is_refused(executor, starting, when, wait):
    """Who shuts down is promised that nothing begins any more."""
    ran = []
    setattr(starting, when, functools.partial(executor.shutdown, wait=wait))
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(ran.append, 1)
    for thread in starting.started:
        thread.join(10)
    assert ran == []


def test_a_job_may_shut_down_what_runs_it(executor):
    """It does not wait for itself."""
    assert executor.submit(executor.shutdown).result(10) is None


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fails", [False, True], ids=["", "and it fails"])
def test_a_job_that_comes_while_a_thread_starts_is_run(starting, when, fails):
    """One thread there may be, which several begin to start; and no job waits for one that does not come."""
    executor, ran, inner = DaemonExecutor(1), [], []

    def submit_another():
        setattr(starting, when, lambda: None)
        inner.append(executor.submit(lambda: ran.append("inner") or threading.current_thread()))
        if fails:
            starting.fail()

    setattr(starting, when, submit_another)
    outer = executor.submit(lambda: ran.append("outer") or threading.current_thread())
    assert outer.result(10) is inner[0].result(10)
    assert ran == ["inner", "outer"]
    executor.shutdown()


def test_jobs_submitted_by_many_while_most_threads_cannot_be_started(executor, starting):
    """What was accepted runs once, what was refused never, and never more at once than there may be threads."""
    numbers, dice = itertools.count(), random.Random(13)
    refused, accepted, ran, now, most = [], [], [], set(), []

    def before():
        starting.failures = [RuntimeError("can't start new thread")] if dice.random() < 0.9 else []

    def job(number):
        now.add(number)
        most.append(len(now))
        ran.append(number)
        now.remove(number)

    def submit_many():
        for number in itertools.islice(numbers, 200):
            try:
                accepted.append((number, executor.submit(job, number)))
            except RuntimeError:
                refused.append(number)

    starting.before = before
    submitters = [threading.Thread(target=submit_many) for _ in range(4)]
    for thread in submitters:
        thread.start()
    for thread in submitters:
        thread.join(30)
    for _, future in accepted:
        future.result(10)
    assert sorted(ran) == sorted(number for number, _ in accepted)
    assert sorted(ran + refused) == list(range(800))
    assert max(most) <= 2


def test_ctrl_c_while_a_thread_starts_costs_the_job_and_nothing_else(executor, starting, stopped):
    """The thread is there all the same, and is used and ended like others."""
    ran = []

    def interrupt():
        starting.after = lambda: None
        raise KeyboardInterrupt

    starting.after = interrupt
    with pytest.raises(KeyboardInterrupt):
        executor.submit(ran.append, 1)
    occupy(executor, stopped, threads=2)
    assert ran == []


def raise_in(thread, exc):
    """Have an exception raised in a thread, as soon as it runs Python code."""
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(exc)) == 1


@pytest.mark.parametrize("exc", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_exception_from_outside_ends_a_job_and_not_its_thread(executor, starting, exc):
    """Debuggers and stop buttons bring one in."""
    begun = threading.Event()

    def endless():
        begun.set()
        while True:
            pass

    job = executor.submit(endless)
    begun.wait()
    raise_in(starting.started[0], exc)
    assert isinstance(job.exception(10), exc)
    wait_until_idle(executor)
    assert executor.submit(threading.current_thread).result(10) is starting.started[0]


@pytest.mark.parametrize("exc", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_exception_from_outside_in_an_idle_thread_costs_no_job(executor, starting, exc, caplog):
    """It is raised when the next job comes, which runs."""
    executor.submit(int).result(10)
    wait_until_idle(executor)
    raise_in(starting.started[0], exc)
    assert executor.submit(threading.current_thread).result(10) is starting.started[0]
    assert [record.getMessage() for record in caplog.records] == ["Exception in worker"]


@pytest.mark.parametrize("exc", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_a_done_callback_raises_costs_no_thread(executor, starting, stopped, exc, caplog):
    """concurrent.futures takes care of an Exception, and of nothing else."""
    for _ in range(3):
        (job,) = occupy(executor, stopped)
        job.add_done_callback(lambda _: _raise(exc()))
        stopped.set()
        assert job.result(10)
        wait_until_idle(executor)
        stopped.clear()
    occupy(executor, stopped, threads=2)
    assert len(starting.started) == 2
    stopped.set()
    executor.shutdown()
    assert [record.getMessage() for record in caplog.records] == ["Exception in worker"] * 3


def test_what_a_done_callback_raises_keeps_no_other_job_from_being_cancelled(executor, stopped, caplog):
    """Those of jobs that wait are called by abandon(), which never raises."""
    occupy(executor, stopped, threads=2)
    waiting = [executor.submit(int) for _ in range(2)]
    waiting[0].add_done_callback(lambda _: _raise(SystemExit()))
    assert len(executor.abandon()) == 2
    assert [job.cancelled() for job in waiting] == [True, True]
    assert [record.getMessage() for record in caplog.records] == [f"exception calling callback for {waiting[0]!r}"]


class Nameless:
    """A function that does not answer one of the questions that are asked to describe it, until `stopped`."""

    def __init__(self, question, exc, begun, stopped):
        self._question, self._exc, self._begun, self._stopped = question, exc, begun, stopped

    def __call__(self):
        self._begun.set()
        self._stopped.wait()

    def __getattribute__(self, name):
        attribute = functools.partial(object.__getattribute__, self)
        if name == attribute("_question") and not attribute("_stopped").is_set():
            raise attribute("_exc")("no answer")
        return attribute(name)

    def __repr__(self):
        return self.__repr__ and "nameless"  # instances are not asked for it by repr()


@pytest.mark.parametrize("exc", [ValueError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("question", ["__class__", "__qualname__", "__repr__"])
def test_a_job_that_cannot_be_described_is_reported_all_the_same(executor, stopped, question, exc):
    """Its function is a plug-in's object, which may raise whatever it likes when it is asked who it is."""
    begun = threading.Event()
    executor.submit(Nameless(question, exc, begun, stopped))
    begun.wait()
    try:
        (described,) = executor.abandon()
    finally:
        stopped.set()
    assert described.startswith((f"<{__name__}.Nameless object at ", f"{__name__}.Nameless()"))


def test_a_job_may_be_submitted_in_the_middle_of_anything(executor):
    """A finalizer does so, or a signal handler, while its thread has the executor's lock."""
    with executor._lock:
        job = executor.submit(int)
    assert job.result(10) == 0


def test_nobody_is_called_who_could_need_the_executor_meanwhile(executor, starting, stopped):
    """Whatever it calls, another thread can submit a job then."""
    called = {}

    def note(what):
        def ask():
            answers.append(executor._lock.acquire(False))
            if answers[0]:
                executor._lock.release()

        answers = []
        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(10)
        called.setdefault(what, []).extend(answers)

    class Noting:
        def __init__(self, what):
            self._what = what

        def __call__(self, *args):
            note(self._what)

        def __del__(self):
            note(f"{self._what} goes")

        def __repr__(self):
            note(f"repr() of {self._what}")
            return self._what

    starting.before = functools.partial(note, "thread starts")
    job = executor.submit(Noting("job"), Noting("argument"))
    job.add_done_callback(Noting("callback"))
    job.result(10)
    del job
    wait_until_idle(executor)
    occupy(executor, stopped)
    begun = threading.Event()
    stuck = type("Stuck", (Noting,), {"__call__": lambda self: begun.set() or stopped.wait()})("stuck")
    executor.submit(stuck)
    begun.wait()
    executor.submit(Noting("dropped")).add_done_callback(Noting("callback of the cancelled"))
    assert f"{__name__}.Stuck()" in executor.abandon()
    stopped.set()
    wait_until_idle(executor)
    assert set(called) >= {
        "thread starts", "job", "job goes", "argument goes", "callback", "dropped goes",
        "callback of the cancelled",
    }  # fmt: skip
    assert all(answer for answers in called.values() for answer in answers), called

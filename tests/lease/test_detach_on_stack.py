"""detach() while code of the plug-in's own is on the stack: its task calls it, or sits in a dialog.

It returns soon, and the rest is done when the stack has unwound: at once then, bounded, and with asyncio alone, for the
host's Qt loop may be over. Until then nothing is frozen or closed under the code that is still to return there.
"""

import asyncio
import functools
import gc
import sys
import threading
import time

import pytest

from asyncslot import _detach
from plugin_body import WAYS
from stories import NESTS, Nest, beats, closing, goes_on, has_ended, later, leave, opening, plugin, tell, turns

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore:coroutine 'work' was never awaited"),
]

# Where the plug-in's code is on the stack: whose dialogs are open, the outermost first, and what detaches in there.
PLACES = {
    "a task": ([], "task"),
    "a slot": ([], "slot"),
    "a callback": ([], "callback"),
    "a task's dialog": (["task"], "plain"),
    "a slot's dialog": (["slot"], "plain"),
    "a callback's dialog": (["callback"], "plain"),
    "a task in a task's dialog": (["task"], "task"),
    "a slot in a callback's dialog in a task's": (["task", "callback"], "slot"),
    "a task's dialog in a slot's in a callback's": (["callback", "slot", "task"], "plain"),
}

in_all_places = pytest.mark.parametrize("place", PLACES)
in_some_places = pytest.mark.parametrize("place", ["a task", "a slot", "a task's dialog"])

WAYS_TO_END = {
    "lease.detach()": lambda alpha: alpha.lease.detach(),
    "asyncslot.detach()": lambda alpha: alpha.detach(),
    "the host quits": lambda alpha: alpha.host.quit(),
    "all of it": lambda alpha: (alpha.detach(), alpha.host.quit(), alpha.lease.detach()),
}


@pytest.fixture
def alpha(app):
    """The plug-in whose code is on the stack."""
    alpha = plugin("alpha")
    alpha.attach()
    yield alpha
    alpha.detach()
    tell(turns(20))  # what a test that failed has left behind


@pytest.fixture(params=[False, True], ids=["alone", "with another"])
def bravo(request, app):
    """Another plug-in that shares the loop, or None."""
    if not request.param:
        yield None
        return
    bravo = plugin("bravo")
    bravo.start()
    yield bravo
    bravo.detach()


@pytest.fixture
def clock(app):
    """Another plug-in, by whose tasks the others' time is measured."""
    clock = plugin("clock")
    clock.start()
    yield clock
    clock.detach()


async def forever():
    await asyncio.get_event_loop().create_future()


async def clean_up(log, name):
    """What a coroutine does in its `finally`: some of everything."""
    await asyncio.sleep(0.001)
    await asyncio.ensure_future(asyncio.sleep(0.001))
    log.append(f"{name} cleaned up")


async def work(log):
    try:
        await forever()
    finally:
        await clean_up(log, "work")


async def sit(act, log, at_last=None):
    """Do something on the stack, go on, and clean up; do something else in the last step of all."""
    try:
        act()
        log.append("returned")
        await forever()
    finally:
        await clean_up(log, "sit")
        if at_last is not None:
            await at_last()


def run_in(how, alpha, act, log, **options):
    """Have some kind of the plug-in's code call a function."""
    if how == "task":
        alpha.lease.create_task(sit(act, log, **options))
    elif how == "slot":
        later(alpha.lease.slot(functools.partial(sit, act, log, **options)))
    else:
        alpha.call_loop("call_soon", act)


def ending_in(place, alpha, end, log, **options):
    """Part of a story, its last: have `end()` called in a place; then the dialogs close, and Qt's loop is over."""
    dialogs, caller = PLACES[place]
    nests = []
    for how, kind in zip(dialogs, NESTS):
        nests.append(Nest(kind))
        run_in(how, alpha, nests[-1].open, log, **options)
        yield lambda: nests[-1].is_open

    def end_and_leave():
        end()
        for nest in reversed(nests):
            nest.close()
        leave()

    if caller == "plain":
        end_and_leave()
    else:
        run_in(caller, alpha, end_and_leave, log, **options)
        yield lambda: False


def sitting(place):
    """Return how many coroutines are on the stack in a place."""
    dialogs, caller = PLACES[place]
    return sum(how in ("task", "slot") for how in [*dialogs, caller])


# -- what has become of it when the stack has unwound -----------------------------------------------------


@pytest.mark.parametrize("way", WAYS_TO_END)
@in_all_places
def test_detach_on_its_own_stack_is_finished_when_that_has_unwound(alpha, bravo, place, way):
    """Clean-up has run, the report that detach() returned is filled in, and the loop closed if it was the last."""
    lease, log, reports = alpha.lease, [], []

    def end():
        WAYS_TO_END[way](alpha)
        reports.append(lease.detach())

    def story():
        lease.run_task(work(log))
        yield from ending_in(place, alpha, end, log)

    tell(story())
    count = sitting(place)
    assert sorted(log) == ["returned"] * count + ["sit cleaned up"] * count + ["work cleaned up"]
    report = lease.detach()
    assert report is reports[0]
    assert report.abandoned == []
    assert report.ended >= count + 1
    assert lease.loop.is_closed() == (bravo is None)
    assert alpha.host.reports == []


@in_all_places
def test_others_go_on_when_a_plugin_has_detached_on_its_own_stack(alpha, clock, place):
    """While it is there, and after it; and the last to leave closes the loop."""
    log, loop = [], alpha.lease.loop

    def end():
        alpha.detach()
        before.append(clock.beats)

    before = []
    tell(ending_in(place, alpha, end, log))
    tell(wait(beats(clock)))
    assert clock.beats > before[0]
    assert clock.lease.run_until_complete(asyncio.sleep(0.001, "works")) == "works"
    assert not loop.is_closed()
    clock.detach()
    assert loop.is_closed()
    assert clock.host.reports == []


def test_what_was_put_off_ends_one_plugin_after_the_other(alpha, clock, monkeypatch):
    """The stack unwinds for both at once. None's end begins in another's, in whose time it would take place."""
    ends, finish = [], _detach.Ending._finish

    def tell_of(ending):
        name = ending._owner.name
        ends.append(f"{name} begins")
        finish(ending)
        ends.append(f"{name} is over")

    async def slow():
        try:
            await forever()
        finally:
            await asyncio.sleep(0.05)

    def open_another():
        clock.lease.create_task(sit(inner.open, log))
        outer.open()

    def story():
        for module in (alpha, clock):
            module.lease.run_task(slow())
        alpha.lease.create_task(sit(open_another, log))
        yield lambda: inner.is_open
        alpha.detach()
        clock.detach()
        assert ends == []
        inner.close()
        outer.close()
        leave()

    log, outer, inner = [], Nest(), Nest()
    monkeypatch.setattr(_detach.Ending, "_finish", tell_of)
    tell(story())
    assert ends in (
        ["alpha begins", "alpha is over", "clock begins", "clock is over"],
        ["clock begins", "clock is over", "alpha begins", "alpha is over"],
    )
    assert sorted(log) == ["returned", "returned", "sit cleaned up", "sit cleaned up"]


def wait(condition):
    """A story in which nothing happens until something is true."""
    yield condition


@pytest.mark.parametrize("seconds", [0.001, 0.8], ids=["soon", "not so soon"])
@in_some_places
def test_what_is_not_on_the_stack_ends_before_what_is(alpha, clock, place, seconds):
    """At once if it can, and while the dialog is open if it takes longer than a moment; it is not abandoned."""
    log, ended = [], []

    async def take_time():
        try:
            await forever()
        finally:
            await asyncio.sleep(seconds)
            log.append("ended")

    def end():
        alpha.detach()
        ended.extend(log)

    def story():
        alpha.lease.run_task(take_time())
        yield from ending_in(place, alpha, end, [])

    tell(story())
    assert ended == (["ended"] if seconds < 0.1 else [])
    assert log == ["ended"]
    assert alpha.lease.detach().abandoned == []


async def wait_for_all(*tasks):
    """Wait for tasks, cancel them with the waiting task, and wait again."""
    try:
        await asyncio.wait(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


WAYS_TO_WAIT = {
    "await": lambda task: task,
    "gather()": lambda task: asyncio.gather(task),
    "wait_for()": lambda task: asyncio.wait_for(task, 60),
    "gather() of gather()": lambda task: asyncio.gather(asyncio.gather(task)),
    "another task": lambda task: asyncio.ensure_future(wait_for_all(task)),
}


@pytest.mark.parametrize("way", WAYS_TO_WAIT)
@in_some_places
def test_clean_up_that_a_cancelled_parent_waits_for_is_not_interrupted(alpha, clock, place, way):
    """A task passes its cancellation on to the one that it waits for. That one is not cancelled a second time."""
    if way == "wait_for()" and sys.version_info < (3, 9):
        pytest.skip("a cancelled wait_for() does not wait for the task before Python 3.9")
    log = []

    async def child():
        try:
            await forever()
        finally:
            await asyncio.sleep(0.3)
            log.append("child cleaned up")

    async def parent():
        await WAYS_TO_WAIT[way](asyncio.ensure_future(child()))

    def story():
        alpha.lease.create_task(parent())
        yield from turns(5)
        yield from ending_in(place, alpha, alpha.detach, [])

    tell(story())
    assert log == ["child cleaned up"]
    assert alpha.lease.detach().abandoned == []


@in_some_places
def test_what_resists_is_frozen_when_the_stack_has_unwound_and_nothing_else_is(alpha, bravo, place):
    """In bounded time, and it is in the report; whoever was on the stack has cleaned up."""
    log, tasks = [], []

    async def resist():
        while True:
            try:
                await forever()
            except asyncio.CancelledError:
                log.append("resists")

    def story():
        tasks.append(alpha.lease.run_task(resist()))
        yield from ending_in(place, alpha, lambda: alpha.lease.detach(timeout=0.3), log)

    tell(story())
    assert "sit cleaned up" in log
    report = alpha.lease.detach()
    assert ["resist" in abandoned.stack for abandoned in report.abandoned] == [True]
    assert not tasks[0].done()
    assert tasks[0]._coro.cr_frame is None
    assert [exc for _, exc in alpha.host.reports] == [None]
    assert alpha.lease.loop.is_closed() == (bravo is None)


@in_some_places
def test_clean_up_on_the_stack_that_does_not_end_is_bounded(alpha, bravo, place):
    """It has as much time as detach() was given, from when the stack has unwound."""
    log = []
    tell(ending_in(place, alpha, lambda: alpha.lease.detach(timeout=0.3), log, at_last=forever))
    report = alpha.lease.detach()
    assert log == ["returned", "sit cleaned up"]
    assert ["sit" in abandoned.stack for abandoned in report.abandoned] == [True]
    assert alpha.lease.loop.is_closed() == (bravo is None)


def test_detach_in_anothers_dialog_need_not_wait_for_that(alpha, clock):
    """Nothing of its own is on the stack; it has ended when detach() returns."""
    log = []

    def story():
        alpha.lease.run_task(work(log))
        nests = yield from opening([(clock, "task", "QDialog.exec()")])
        report = alpha.detach()
        assert log == ["work cleaned up"]
        assert (report.ended, report.abandoned) == (1, [])
        yield from closing(nests)
        yield lambda: clock.log

    tell(story())
    assert clock.log == ["goes on"]


# -- what the last step leaves ---------------------------------------------------------------------------


async def rows(log):
    try:
        while True:
            yield 1
    finally:
        await clean_up(log, "rows")


def start(coro):
    asyncio.ensure_future(coro)  # noqa: RUF006 - nobody keeps it, as happens


def leave_a_task(log):
    async def at_last():
        start(work(log))

    return at_last, []  # which has not begun: it may never do so


def leave_a_task_that_has_begun(log):
    async def at_last():
        start(work(log))
        await asyncio.sleep(0)

    return at_last, ["work"]


def leave_a_task_that_has_just_begun(log):
    async def at_last():
        asyncio.get_event_loop().run_task(work(log))

    return at_last, ["work"]


def leave_a_generator(log):
    async def at_last():
        async for _ in rows(log):
            break

    return at_last, ["rows"]


def leave_a_generator_of_old(log):
    generator = rows(log)

    async def at_last():
        nonlocal generator
        await generator.__anext__()
        generator = None

    return at_last, ["rows"]


def leave_an_aclose(log):
    async def at_last():
        generator = rows(log)
        await generator.__anext__()
        start(generator.aclose())

    return at_last, ["rows"]


def leave_a_connection(log):
    async def at_last():
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"goodbye")
        writer.close()
        server.close()

    return at_last, []


def leave_a_child_process(log):
    async def at_last():
        await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(100)")

    return at_last, []


LEFTOVERS = [
    leave_a_task,
    leave_a_task_that_has_begun,
    leave_a_task_that_has_just_begun,
    leave_a_generator,
    leave_a_generator_of_old,
    leave_an_aclose,
    leave_a_connection,
    leave_a_child_process,
]


@in_some_places
@pytest.mark.parametrize("leftover", LEFTOVERS)
def test_what_the_last_step_on_the_stack_leaves_ends_as_anything_else(alpha, bravo, place, leftover):
    """Begun coroutines clean up, generators too, descriptors are closed (see the fixture), and nothing is frozen."""
    log = []
    at_last, cleaned_up = leftover(log)
    tell(ending_in(place, alpha, alpha.detach, log, at_last=at_last))
    if leftover is leave_a_task and "work cleaned up" in log:
        log.remove("work cleaned up")
    assert log == ["returned", "sit cleaned up", *(f"{name} cleaned up" for name in cleaned_up)]
    assert alpha.lease.detach().abandoned == []
    assert alpha.host.reports == []
    assert alpha.lease.loop.is_closed() == (bravo is None)
    gc.collect()


@pytest.mark.parametrize("is_awaited", [True, False], ids=["awaited", "not awaited"])
@in_some_places
def test_a_job_in_the_clean_up_on_the_stack_leaves_no_thread(alpha, bravo, place, is_awaited):
    """Though detach() had ended the plug-in's threads before."""
    ran, threads = [], set(threading.enumerate())

    async def at_last():
        job = asyncio.get_event_loop().run_in_executor(None, lambda: ran.append(threading.current_thread()))
        if is_awaited:
            await job

    tell(ending_in(place, alpha, alpha.detach, [], at_last=at_last))
    assert len(ran) == 1 or not is_awaited
    left = [thread for thread in threading.enumerate() if thread not in threads]
    for thread in left:
        thread.join(10)
    assert [thread for thread in left if thread.is_alive()] == []


# -- a dialog that stays open ------------------------------------------------------------------------


def test_a_dialog_that_is_open_for_longer_than_detach_may_take(alpha, bravo):
    """Its coroutine goes on when it is closed, and cleans up; until then nobody tries to close it under its feet."""
    log, nest = [], Nest()
    alpha.lease.create_task(sit(nest.open, log))
    alpha.lease.run_task(work(log))

    def story():
        yield lambda: nest.is_open
        alpha.lease.detach(timeout=0.3)
        over = time.monotonic() + 0.6
        yield lambda: time.monotonic() > over
        assert alpha.lease.detach().abandoned == []
        nest.close()

    tell(story())
    assert log == ["work cleaned up", "returned", "sit cleaned up"]
    assert alpha.lease.detach().abandoned == []
    assert alpha.host.reports == []
    assert alpha.lease.loop.is_closed() == (bravo is None)


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="there from Python 3.12 on")
def test_a_slots_eager_first_step_is_on_the_stack(alpha, bravo):
    """Whoever calls it, a factory as well as we."""
    log, nest = [], Nest()
    alpha.lease.loop.set_task_factory(asyncio.eager_task_factory)
    later(alpha.lease.slot(functools.partial(sit, nest.open, log)))

    def story():
        yield lambda: nest.is_open
        alpha.lease.detach()
        nest.close()

    tell(story())
    assert log == ["returned", "sit cleaned up"]
    assert alpha.lease.detach().abandoned == []
    assert alpha.host.reports == []


@pytest.mark.parametrize("with_events", [False, True])
def test_what_the_old_code_starts_when_it_was_reloaded_in_its_own_step_ends_with_the_old_lease(
    alpha, clock, monkeypatch, with_events
):
    """In that very step, when the dialog is closed: its modules were purged, and the new ones have another lease."""
    log, nest = [], Nest()
    new = plugin("alpha")
    new.host = alpha.host
    namespace = vars(alpha)
    exec("async def begin(work, log):\n    asyncio.get_event_loop().create_task(work(log))", namespace)

    def reload():
        monkeypatch.setitem(sys.modules, new.__name__, new)
        new.attach()

    async def sit_and_begin():
        nest.open()
        await namespace["begin"](work, log)

    def story():
        alpha.lease.create_task(sit_and_begin())
        yield lambda: nest.is_open
        alpha.lease.detach(process_events=with_events)
        reload()
        yield beats(clock)
        nest.close()
        yield lambda: nest.is_over
        yield beats(clock)

    try:
        tell(story())
        report = alpha.lease.detach()
        assert (report.abandoned, new.lease.detach().ended) == ([], 0)
    finally:
        new.lease.detach()


@pytest.mark.parametrize("count", [1, 3], ids=["once", "three times"])
@pytest.mark.parametrize("way", WAYS)
def test_what_a_plugin_starts_that_was_reloaded_in_its_own_dialog_is_the_new_leases(alpha, clock, way, count):
    """By plain code and threads; it does not end with the old lease, when the dialog closes, but with the new one."""
    log, ran, nest = [], [], Nest()
    alpha.lease.create_task(sit(nest.open, log))

    def story():
        yield lambda: nest.is_open
        leases = [alpha.lease]
        for _ in range(count):
            alpha.detach()
            leases.append(alpha.attach())
        assert len(set(leases)) == count + 1
        alpha.schedule(way, ran)
        nest.close()
        yield lambda: "sit cleaned up" in log
        yield beats(clock)
        yield goes_on(ran)
        report = alpha.detach()
        assert report is leases[-1].detach()
        assert report.abandoned == []
        yield from has_ended(ran, clock)

    try:
        tell(story())
    finally:
        alpha.stop_watching()
    assert alpha.host.reports == clock.host.reports == []


# What asks whose code calls even before a step has come in between; call_soon() does not, see _stack.
ASK_AT_ONCE = [
    way for way in WAYS if way not in ("call_soon", "ensure_future", "asyncio.Task", "a library's create_task")
]


@pytest.mark.parametrize("way", ASK_AT_ONCE)
def test_what_the_new_code_starts_before_the_first_step_in_the_old_ones_dialog_is_the_new_leases(
    alpha, clock, monkeypatch, way
):
    """Its modules were purged and imported anew: then they tell, though the context is that of the old one's task."""
    log, ran, nest = [], [], Nest()
    alpha.detach()
    monkeypatch.setitem(sys.modules, alpha.__name__, alpha)
    alpha.attach()
    new = plugin("alpha")
    new.host = alpha.host
    reloaded = alpha.lease.loop.create_future()

    async def go_on():
        log.append("goes on")
        while True:
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                break
        await reloaded
        new.schedule(way, ran)  # as Qt may, in a dialog that is opened here

    def story():
        alpha.lease.create_task(sit(nest.open, log))
        alpha.lease.create_task(go_on())
        yield lambda: nest.is_open and "goes on" in log
        alpha.detach()
        monkeypatch.setitem(sys.modules, new.__name__, new)
        new.attach()
        reloaded.set_result(None)
        yield lambda: ran
        nest.close()
        yield lambda: "sit cleaned up" in log
        yield beats(clock)
        yield goes_on(ran)
        assert new.detach().abandoned == []
        yield from has_ended(ran, clock)

    try:
        tell(story())
    finally:
        new.stop_watching()
        new.detach()
    assert alpha.host.reports == clock.host.reports == []


@pytest.mark.parametrize("way", WAYS)
def test_what_a_neighbour_starts_while_a_task_detaches_with_qts_events_is_the_neighbours(alpha, clock, way):
    """Qt calls the neighbour's plain code in the context of that task."""
    ran, log, neighbour = [], [], plugin("neighbour")

    async def clean_up_slowly():
        try:
            await asyncio.sleep(10)
        finally:
            while not ran:  # noqa: ASYNC110 - a list of the test's
                await asyncio.sleep(0.001)

    async def detach():
        later(neighbour.schedule, way, ran)
        alpha.lease.detach(process_events=True)
        log.append("detached")

    def story():
        tasks = [alpha.lease.create_task(clean_up_slowly())]
        yield beats(clock)
        tasks.append(alpha.lease.create_task(detach()))
        yield lambda: log and ran
        yield beats(clock)
        yield goes_on(ran)
        assert neighbour.detach().abandoned == []
        yield from has_ended(ran, clock)

    neighbour.attach()
    try:
        tell(story())
    finally:
        neighbour.stop_watching()
        neighbour.detach()

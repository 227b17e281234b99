"""Whose is what plain code schedules that Qt calls while another plug-in's code sits in a nested Qt loop.

Its own plug-in's: it ends with that one, and not with the one whose dialog is open, whose context such code runs in.
"""

import asyncio
import itertools
import sys
import threading

import pytest

from plugin_body import FAILURES, WAYS
from stories import NESTS, Nest, beats, closing, goes_on, has_ended, later, opening, plugin, tell

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("error"),
    # run_coroutine_threadsafe() has given its coroutine to nobody yet when its plug-in detaches.
    pytest.mark.filterwarnings("ignore:coroutine 'work' was never awaited"),
]

if sys.platform == "win32":  # asyncio's proactor loop has none
    WAYS = {way: how for way, how in WAYS.items() if way not in ("add_reader", "add_writer")}

# What is on the stack when bravo's plain code is called, the outermost first.
STACKS = {
    "alpha's task": [("alpha", "task")],
    "alpha's slot": [("alpha", "slot")],
    "alpha's callback": [("alpha", "callback")],
    "alpha's task twice": [("alpha", "task"), ("alpha", "task")],
    "charlie's task in alpha's": [("alpha", "task"), ("charlie", "task")],
    "alpha's task in charlie's": [("charlie", "task"), ("alpha", "task")],
    "alpha's task in bravo's": [("bravo", "task"), ("alpha", "task")],
    "alpha's task in bravo's dialog in charlie's": [("charlie", "task"), ("bravo", "plain"), ("alpha", "task")],
    "bravo's dialog in alpha's task": [("alpha", "task"), ("bravo", "plain")],
}

# One of each kind of those ways, for the tables that have another dimension.
FEW_WAYS = ["call_soon", "call_soon_threadsafe in a thread", "loop.create_task", "a library's call_later", "add_reader"]
FEW_WAYS = [way for way in FEW_WAYS if way in WAYS]


def in_all_cases(ways, few_ways):
    """Every way on the simplest stack, and on the others some."""
    first, *others = STACKS
    cases = [(first, way) for way in ways] + [(stack, way) for stack in others for way in few_ways]
    return pytest.mark.parametrize(("stack", "way"), cases)


@pytest.fixture
def plugins(app):
    """Three plug-ins, by their names."""
    plugins = {name: plugin(name) for name in ("alpha", "bravo", "charlie")}
    for each in plugins.values():
        each.start()
    yield plugins
    for each in plugins.values():
        each.stop_watching()
        each.detach()


def opened(plugins, stack):
    """Part of a story: open the nested loops of a stack, of all kinds, and have a step taken in there.

    Until then call_soon(), and with it asyncio.Task(), takes plain code in there for the opener's: see _stack.
    """
    levels = [(plugins[name], how, kind) for (name, how), kind in zip(STACKS[stack], itertools.cycle(NESTS))]
    nests = yield from opening(levels)
    yield beats(plugins["charlie"])
    return nests


@pytest.mark.parametrize("begun", [False, True], ids=["before it has begun", "when it has begun"])
@in_all_cases(WAYS, FEW_WAYS[:3])
def test_what_plain_code_schedules_under_anothers_dialog_ends_with_its_own_plugin(plugins, stack, way, begun):
    """While the dialog is open; where its own task sits there, too, when that is over."""
    bravo, ran = plugins["bravo"], []

    def story():
        nests = yield from opened(plugins, stack)
        bravo.schedule(way, ran)
        if begun:
            yield goes_on(ran)
        bravo.detach()
        if ("bravo", "task") in STACKS[stack]:
            yield from closing(nests)
            yield beats(plugins["charlie"])
            yield from has_ended(ran, plugins["charlie"])
        else:
            yield from has_ended(ran, plugins["charlie"])
            yield from closing(nests)
            yield from has_ended(ran, plugins["charlie"])

    tell(story())
    assert [each.host.reports for each in plugins.values()] == [[], [], []]


@in_all_cases(WAYS, FEW_WAYS)
def test_what_plain_code_schedules_under_anothers_dialog_does_not_end_with_that(plugins, stack, way):
    """Neither when the other one detaches in its dialog, nor when that is over; it ends with its own."""
    alpha, bravo, ran = plugins["alpha"], plugins["bravo"], []

    def story():
        nests = yield from opened(plugins, stack)
        bravo.schedule(way, ran)
        alpha.detach()
        yield goes_on(ran)
        yield from closing(nests)
        yield goes_on(ran)
        bravo.detach()
        yield from has_ended(ran, plugins["charlie"])

    tell(story())
    assert [each.host.reports for each in plugins.values()] == [[], [], []]


WHERE = {
    "in the coroutine, when its dialog has closed": ("task", "after"),
    "in the slot, when its dialog has closed": ("slot", "after"),
    "in the callback, when its dialog has closed": ("callback", "after"),
    "in plain code, when the dialog has closed": ("task", "plain after"),
    "in plain code under its own dialog": ("task", "inside"),
    "in plain code under a plain dialog of its own": ("plain", "inside"),
}


@pytest.mark.parametrize("way", FEW_WAYS)
@pytest.mark.parametrize("where", WHERE)
def test_what_code_schedules_around_its_own_dialog_is_its_own_plugins(plugins, where, way):
    """Though others' plain code was called in there, which has scheduled things of its own."""
    alpha, bravo, charlie = plugins.values()
    how, when = WHERE[where]
    ran, others = [], []
    nest = Nest()

    def sit():
        nest.open()
        if when == "after":
            alpha.schedule(way, ran)

    async def sit_in_a_task():
        sit()

    def open_dialog():
        if how == "task":
            alpha.lease.create_task(sit_in_a_task())
        elif how == "slot":
            later(alpha.lease.slot(sit_in_a_task))
        elif how == "callback":
            alpha.call_loop("call_soon", sit)
        else:
            later(sit)

    def story():
        open_dialog()
        yield lambda: nest.is_open
        bravo.schedule("call_soon", others)
        bravo.schedule("loop.create_task", others)
        if when == "inside":
            alpha.schedule(way, ran)
        yield goes_on(others)
        nest.close()
        yield lambda: nest.is_over
        if when == "plain after":
            alpha.schedule(way, ran)
        bravo.detach()
        yield goes_on(ran)
        alpha.detach()
        yield from has_ended(ran, charlie)

    tell(story())
    assert [each.host.reports for each in plugins.values()] == [[], [], []]


# -- what else is somebody's -----------------------------------------------------------------------


async def schedule_some(loop):
    for _ in range(3):
        loop.call_soon(int)


async def sit_in(nest):
    nest.open()


@pytest.mark.parametrize("way", ["call_soon", "ensure_future", "asyncio.Task", "loop.create_task"])
@pytest.mark.parametrize("before", ["a dialog, and a first step", "a first step with a dialog"])
def test_what_plain_code_schedules_after_anothers_first_step_under_a_dialog_is_its_own_plugins(plugins, before, way):
    """That code of Qt's is about is seen once and for all, whatever is run in between."""
    alpha, bravo, charlie = plugins.values()
    nest, ran = Nest(), []

    async def call_as_qt_does():
        if before == "a dialog, and a first step":
            nest.open()
            charlie.lease.run_task(schedule_some(charlie.lease.loop))
        else:
            charlie.lease.run_task(sit_in(nest))
        bravo.schedule(way, ran)

    def story():
        task = alpha.lease.create_task(call_as_qt_does())
        yield lambda: nest.is_open
        yield beats(charlie)
        nest.close()
        yield task.done
        yield goes_on(ran)
        alpha.detach()
        yield goes_on(ran)
        bravo.detach()
        yield from has_ended(ran, charlie)

    tell(story())
    assert [each.host.reports for each in plugins.values()] == [[], [], []]


@in_all_cases(FAILURES, ["call_soon"])
def test_an_error_of_what_plain_code_schedules_under_anothers_dialog_is_its_own_plugins(plugins, stack, way):
    """The users of the plug-in whose dialog is open are not told that it has failed."""
    bravo = plugins["bravo"]

    def story():
        nests = yield from opened(plugins, stack)
        bravo.fail(way)
        yield lambda: any(each.host.reports for each in plugins.values())
        yield from closing(nests)

    tell(story())
    assert [len(each.host.reports) for each in plugins.values()] == [0, 1, 0]
    [(message, exc)] = bravo.host.reports
    assert message.startswith("bravo: ")
    assert repr(exc) == "KeyError('bravo')"


@in_all_cases(["run_in_executor", "to_thread"], ["run_in_executor"])
def test_a_job_that_plain_code_starts_under_anothers_dialog_is_its_own_plugins(plugins, stack, way):
    """It is in the report of the plug-in that has started it."""
    alpha, bravo, charlie = plugins.values()
    gate, begun, reports = threading.Event(), threading.Event(), []

    def job():
        begun.set()
        gate.wait(30)

    def story():
        nests = yield from opened(plugins, stack)
        bravo.start_job(way, job)
        yield begun.is_set
        yield from closing(nests)
        reports.extend(each.detach() for each in (alpha, charlie, bravo))

    try:
        tell(story())
    finally:
        gate.set()
    assert [len(report.jobs) for report in reports] == [0, 0, 1]


def test_an_exception_handler_that_plain_code_sets_under_anothers_dialog_is_its_own_plugins(plugins):
    """It hears of no errors of the plug-in whose dialog is open, and stays when that one detaches."""
    alpha, bravo, charlie = plugins.values()
    heard = []

    def story():
        nests = yield from opened(plugins, "alpha's task")
        bravo.call_loop("set_exception_handler", lambda loop, context: heard.append(context["exception"]))
        yield from closing(nests)
        alpha.fail("call_soon")
        yield lambda: alpha.host.reports or heard
        alpha.detach()
        bravo.fail("call_soon")
        yield lambda: bravo.host.reports or len(heard) == 1
        yield beats(charlie)

    tell(story())
    assert [repr(exc) for _, exc in alpha.host.reports] == ["KeyError('alpha')"]
    assert [repr(exc) for exc in heard] == ["KeyError('bravo')"]


def test_a_task_factory_that_plain_code_sets_under_anothers_dialog_is_its_own_plugins(plugins):
    """It stays when the plug-in detaches whose dialog is open, and goes with its own."""
    alpha, bravo, charlie = plugins.values()
    made, found = [], []

    def factory(loop, coro, **options):
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **options)

    def story():
        nests = yield from opened(plugins, "alpha's task")
        bravo.call_loop("set_task_factory", factory)
        yield from closing(nests)
        for each in (alpha, bravo):
            each.detach()
            del made[:]
            yield charlie.lease.create_task(asyncio.sleep(0)).done
            found.append(len(made))

    tell(story())
    assert found == [1, 0]


def test_what_a_slot_goes_on_with_that_was_emitted_under_anothers_dialog_is_its_own_plugins(plugins):
    """What waits in its queue starts when the first is done, and is not on the other one's stack."""
    alpha, bravo = plugins["alpha"], plugins["bravo"]
    begun, released, nest = [], [], Nest()

    async def answer():
        begun.append(1)
        if len(begun) == 1:
            while not released:  # noqa: ASYNC110 - what fills it knows of no event
                await asyncio.sleep(0.001)
        else:
            nest.open()

    def story():
        nests = yield from opened(plugins, "alpha's task")
        slot = bravo.lease.slot(answer, on_repeat="queue")
        slot()
        slot()
        yield from closing(nests)
        released.append(1)
        yield lambda: nest.is_open
        assert alpha.detach().ended == 1  # at once: nothing of alpha's is on the stack
        nest.close()
        yield lambda: nest.is_over

    tell(story())
    assert [each.host.reports for each in plugins.values()] == [[], [], []]

"""A foreign loop that runs, or fails to run, while a coroutine sits in a nested Qt loop: it harms no task.

A plug-in that pumps a private loop from a timer (krita-ai-diffusion does) fails as long as our loop is the running one,
and on its way out Python 3.13 unpublishes ours; another one unpublishes what is running first, and really runs its own.
Either way what comes afterwards in that dialog finds no running loop, while a task of ours is on the stack.
"""

import asyncio
from asyncio import events

import pytest

from stories import NESTS, Nest, beats, closing, opening, plugin, tell

pytestmark = pytest.mark.slow


@pytest.fixture
def plugins(app):
    """Two plug-ins: one whose code sits in dialogs, and one that goes on beside it."""
    alpha, bravo = plugin("alpha"), plugin("bravo")
    alpha.start()
    bravo.start()
    yield alpha, bravo
    alpha.detach()
    bravo.detach()


@pytest.fixture
def private_loop():
    loop = asyncio.SelectorEventLoop()
    yield loop
    loop.close()


# -- what neighbours do from their timers ---------------------------------------------


def check_refusal(exc):
    """Raise an exception that is not asyncio's own refusal to run a loop inside another one."""
    if "while another loop is running" not in str(exc) and "from a running event loop" not in str(exc):
        raise exc


def pump(loop):
    """As krita-ai-diffusion does; it fails where a loop is running."""
    loop.call_soon(loop.stop)
    try:
        loop.run_forever()
    except RuntimeError as exc:
        check_refusal(exc)


def wait_for_a_coroutine(loop):
    coro = asyncio.sleep(0)
    try:
        loop.run_until_complete(coro)
    except RuntimeError as exc:
        check_refusal(exc)
        coro.close()


def asyncio_run(_):
    coro = asyncio.sleep(0)
    try:
        asyncio.run(coro)
    except RuntimeError as exc:
        check_refusal(exc)
        coro.close()


def unpublished(run):
    """Make whatever is running not be it, and run: it works, and leaves no loop published."""

    def unpublish_and_run(loop):
        events._set_running_loop(None)
        run(loop)

    return unpublish_and_run


def put_back(run):
    """The same, by somebody with better manners."""

    def replace(loop):
        before = events._get_running_loop()
        events._set_running_loop(None)
        try:
            run(loop)
        finally:
            events._set_running_loop(before)

    return replace


def nested(loop):
    """As nest_asyncio runs a loop inside another one."""
    before = events._get_running_loop()
    task = loop.create_task(asyncio.sleep(0.001))
    events._set_running_loop(loop)
    try:
        while not task.done():
            loop._run_once()
    finally:
        events._set_running_loop(before)


def fails_with_a_loop_published(loop):
    """Publish a loop of one's own and let go of it, without a thought for what was there."""
    events._set_running_loop(loop)
    events._set_running_loop(None)


PUMPS = {
    "run_forever() that fails": pump,
    "run_until_complete() that fails": wait_for_a_coroutine,
    "asyncio.run()": asyncio_run,
    "run_forever(), unpublished before": unpublished(pump),
    "run_until_complete(), unpublished before": unpublished(wait_for_a_coroutine),
    "asyncio.run(), unpublished before": unpublished(asyncio_run),
    "run_forever(), put back afterwards": put_back(pump),
    "asyncio.run(), put back afterwards": put_back(asyncio_run),
    "as nest_asyncio does": nested,
    "published and unpublished": fails_with_a_loop_published,
}

# Who sits in what: the outermost first.
STACKS = {
    "a task in a dialog": [("task", 0)],
    "a task in a QEventLoop": [("task", 1)],
    "a task that calls processEvents()": [("task", 2)],
    "a slot's first step": [("slot", 0)],
    "a callback": [("callback", 0)],
    "two tasks": [("task", 0), ("task", 1)],
    "a task in a slot in a callback": [("callback", 1), ("slot", 0), ("task", 2)],
}


def told_with(plugins, stack, inside):
    """A story: open the nested loops, tell what is done inside, close them, and look whether all go on."""
    alpha, bravo = plugins
    levels = [(alpha, how, NESTS[kind]) for how, kind in STACKS[stack]]
    tasks = [how for how, _ in STACKS[stack] if how != "callback"]
    yield beats(alpha, bravo)
    nests = yield from opening(levels)
    yield from inside()
    yield from closing(nests)
    yield lambda: len(alpha.log) >= len(tasks)
    assert alpha.log == ["goes on"] * len(tasks)
    yield beats(alpha, bravo)
    assert alpha.host.reports == bravo.host.reports == []


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("way", PUMPS)
def test_a_foreign_loop_in_a_nested_qt_loop_harms_no_task(plugins, private_loop, way, stack):
    """Tasks of all plug-ins run on, slots start theirs, and who sat there goes on as the current task of our loop.

    From the next step of ours on: between a neighbour's timer and the end of the dialog nothing of ours need run.
    """
    alpha, bravo = plugins
    answered = []

    async def answer():
        answered.append(events._get_running_loop())
        await asyncio.sleep(0)
        answered.append(events._get_running_loop())

    def inside():
        for number in range(3):
            PUMPS[way](private_loop)
            yield beats(alpha, bravo)
            PUMPS[way](private_loop)
            bravo.lease.slot(answer)()
            yield lambda number=number: len(answered) == 2 * number + 2

    tell(told_with(plugins, stack, inside))
    assert set(answered) == {bravo.lease.loop}
    assert events._get_running_loop() is None


@pytest.mark.parametrize("end", ["in the dialog", "after it"])
@pytest.mark.parametrize("stack", STACKS)
def test_a_foreign_loop_that_stays_published_in_a_nested_qt_loop_harms_no_task(plugins, private_loop, stack, end):
    """As qasync's does from its start to its end, in a dialog from which somebody loads a plug-in that uses it."""
    alpha, bravo = plugins

    def inside():
        events._set_running_loop(private_loop)
        yield beats(alpha, bravo)
        yield beats(alpha, bravo)
        if end == "in the dialog":
            events._set_running_loop(None)
            yield beats(alpha, bravo)

    try:
        tell(told_with(plugins, stack, inside))
    finally:
        events._set_running_loop(None)


@pytest.mark.parametrize("stack", STACKS)
def test_a_foreign_loop_that_is_closed_in_a_nested_qt_loop_harms_no_task(plugins, stack):
    """It was published when the dialog was opened; put back, it would stand in everybody's way."""
    theirs = asyncio.SelectorEventLoop()

    def story():
        events._set_running_loop(theirs)
        yield from told_with(plugins, stack, lambda: iter([theirs.close()]))

    try:
        tell(story())
    finally:
        theirs.close()
        events._set_running_loop(None)


@pytest.mark.parametrize("way", PUMPS)
def test_a_foreign_loop_under_a_plain_slots_dialog_harms_no_task(plugins, private_loop, way):
    """Nothing of asyncio's is on the stack; a neighbour finds none running, and neither do others after it."""
    alpha, bravo = plugins

    def inside():
        for _ in range(3):
            PUMPS[way](private_loop)
            yield beats(alpha, bravo)
            assert events._get_running_loop() is None

    def story():
        nests = yield from opening([(alpha, "plain", NESTS[0])])
        yield from inside()
        yield from closing(nests)
        yield beats(alpha, bravo)

    tell(story())
    assert alpha.host.reports == bravo.host.reports == []


def test_our_loop_is_what_a_task_finds_that_opens_one_dialog_after_the_other(plugins, private_loop):
    """However often a neighbour has unpublished it meanwhile."""
    alpha, bravo = plugins
    found, nests = [], []

    async def answer_questions():
        for _ in range(5):
            nests.append(Nest())
            nests[-1].open()
            found.append((asyncio.get_event_loop(), asyncio.current_task()))
            await asyncio.sleep(0)

    def story():
        task = alpha.lease.create_task(answer_questions())
        for number in range(5):
            yield lambda number=number: len(nests) > number and nests[number].is_open
            unpublished(pump)(private_loop)
            yield beats(bravo)
            nests[number].close()
            yield lambda number=number: nests[number].is_over
        yield task.done
        assert found == [(alpha.lease.loop, task)] * 5

    tell(story())
    assert alpha.host.reports == bravo.host.reports == []


FACTORIES = {"no factory": None}
if hasattr(asyncio, "eager_task_factory"):
    FACTORIES["eager tasks"] = asyncio.eager_task_factory


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("way", PUMPS)
@pytest.mark.parametrize("factory", FACTORIES)
def test_a_foreign_loop_in_a_nested_qt_loop_harms_no_task_that_is_made_then(plugins, private_loop, factory, way, stack):
    """By plain code of the plug-in whose dialog it is, and by another's, before a step of ours comes in between."""
    alpha, _ = plugins
    found = []

    async def work():
        found.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        found.append(asyncio.get_running_loop())

    def inside():
        alpha.lease.loop.set_task_factory(FACTORIES[factory])
        for maker in plugins:
            PUMPS[way](private_loop)
            maker.lease.run_until_complete(work())
            PUMPS[way](private_loop)
            task = maker.lease.create_task(work())
            yield task.done
            task.result()

    tell(told_with(plugins, stack, inside))
    assert found == [alpha.lease.loop] * 8

"""Everything on the loop is somebody's, and ends with him: tasks that have passed no door of ours.

They are made by asyncio's own classes and by libraries, in eager first steps, in contexts that were emptied, and are of
classes that task factories invent. In each case a neighbour does the same, and is left alone.
"""

import asyncio
import collections
import gc
import importlib
import sys

import pytest

import copies
import somebodys
from copies import begins, ends
from somebodys import attached_with_own_copies, both_attached

pytestmark = pytest.mark.slow

roots = pytest.fixture(somebodys.roots, scope="module")
plugins = pytest.fixture(copies.plugins_here)
keeper = pytest.fixture(somebodys.keeper)
attached = pytest.fixture(somebodys.attached)

# -- tasks ---------------------------------------------------------------------

since_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="tasks take a context from Python 3.11 on")
since_3_12 = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")

WAYS = [
    "by_task",
    pytest.param("by_eager_task", marks=since_3_12),
    pytest.param("by_eager_factory", marks=since_3_12),
    pytest.param("with_an_empty_context", marks=since_3_11),
    "in_an_empty_context",
    "in_a_callback",
    "in_a_callback_without_context",
    "by_a_library",
    "in_a_protocol",
    pytest.param("eagerly_in_a_protocol", marks=since_3_12),
]
OF_A_LIBRARY = ("of_a_library", "a task")
FROM = ["a task", "a task of that kind", "plain code"]


def start(module, place, way, *args):
    """Have a plug-in make a task, in one of those ways."""
    module.FROM[place](module.lease, way, *args)


def start_in_each(attached, log, spin, place, way):
    """Have both plug-ins make a task, and wait until only these two are left of all tasks, both at work.

    The tasks that make a connection, here and at the server, end some turns after the protocol's task has begun.
    """
    for number, module in enumerate(attached):
        start(module, place, way)
        spin(lambda number=number: len(log) > number)
    spin(lambda: len(asyncio.all_tasks(attached[0].lease.loop)) == len(attached))


def pending(module):
    """Return the tasks that a plug-in keeps and that are not done."""
    return [task for task in module.kept if isinstance(task, asyncio.Task) and not task.done()]


def ways_and_places(places):
    """Return all ways from these places, and the one that is a plug-in's only by where it is called."""
    found = []
    for way in WAYS:
        name, marks = (way.values[0], way.marks) if hasattr(way, "marks") else (way, ())
        found += [pytest.param(name, place, marks=marks, id=f"{name}, from {place}") for place in places]
    return [*found, pytest.param(*OF_A_LIBRARY, id="of_a_library, from a task")]


every_way = pytest.mark.parametrize(("way", "place"), ways_and_places(FROM))
every_way_at_once = pytest.mark.parametrize(("way", "place"), ways_and_places(["a task", "plain code"]))


@every_way
@both_attached
def test_a_task_ends_with_its_plugin_however_it_was_made(plugins, attached, spin, way, place):
    """It is cancelled and waited for, its `finally` runs, it is counted; a neighbour's goes on."""
    plugin, neighbour = attached
    start_in_each(attached, plugins.log, spin, place, way)
    tasks = pending(plugin)
    report = plugin.detach()
    assert plugins.log == begins(plugin, neighbour) + ends(plugin)
    assert (report.ended, report.cancelled, report.abandoned) == (1, 1, [])
    assert tasks[0].cancelled()
    assert len(pending(neighbour)) == 1
    assert neighbour.detach().ended == 1
    assert plugins.log[3:] == ends(neighbour)


STANDS = {
    # how many tasks there are: its own, and those that it waits for
    "begin_only": 1,
    "sleep": 1,
    "yield_for_ever": 1,
    "wait_for_a_task": 2,
    "wait_for_many": 3,
    "wait_for_a_child": 4,
    "iterate": 1,
    "hold_a_lock": 1,
    "be_about_to_go_on": 1,
}


@pytest.mark.parametrize("stands", STANDS)
@pytest.mark.parametrize("way", ["by_task", "in_an_empty_context"])
@both_attached
def test_a_task_ends_with_its_plugin_wherever_it_stands(plugins, attached, spin, way, stands):
    """Not begun, about to go on, or waiting for whatever it may be."""
    plugin, neighbour = attached
    for module in attached:
        start(module, "plain code", way, getattr(module, stands))
    if stands not in ("begin_only", "be_about_to_go_on"):
        spin(lambda: sleeps(plugin, neighbour))
    [task], [neighbours] = pending(plugin)[:1], pending(neighbour)[:1]
    report = plugin.detach()
    assert (report.ended, report.cancelled, report.abandoned) == (STANDS[stands], STANDS[stands], [])
    assert task.cancelled()
    assert not neighbours.cancelled()
    assert neighbour.detach().ended == (0 if stands == "begin_only" else STANDS[stands])


def sleeps(*modules):
    """Whether the tasks that these keep have begun to wait."""
    return all(task._coro.cr_await is not None for module in modules for task in pending(module))


@every_way_at_once
@attached_with_own_copies
def test_what_a_task_raises_is_reported_to_its_plugins_user_however_it_was_made(plugins, attached, spin, way, place):
    """Also if nobody awaits it, and the garbage collector tells."""
    if way == "of_a_library" and sys.version_info < (3, 12):
        pytest.skip("a task that is done does not tell its context, and there is no code of the plug-in's in it")
    plugin, neighbour = attached
    start(plugin, place, way, plugin.fail)
    start(neighbour, "plain code", "by_task")
    reports = plugins.reports[plugin.__name__]

    def is_reported():
        plugin.kept[:] = [thing for thing in plugin.kept if not isinstance(thing, asyncio.Task)]
        gc.collect()
        return reports

    spin(is_reported)
    [(message, exc)] = reports
    assert message.startswith(f"{plugin.lease.owner}: ")
    assert isinstance(exc, ZeroDivisionError)
    assert plugins.reports[neighbour.__name__] == []


@every_way_at_once
@attached_with_own_copies
def test_a_task_is_shown_under_its_plugin_however_it_was_made(plugins, attached, windows, spin, way, place):
    """In report() and in the monitor, and nobody's are none."""
    start_in_each(attached, plugins.log, spin, place, way)
    owners = [module.lease.owner for module in attached]
    text = attached[0].asyncslot.report()
    assert "Nobody's in particular" not in text
    for owner in owners:
        [section] = [part for part in text.split("\n\n") if part.startswith(f"Owner {owner!r}\n")]
        assert len([line for line in section.splitlines() if "wait() at " in line or "work() at " in line]) == 1
    window = attached[0].asyncslot.monitor()
    try:
        assert shown_tasks(window) == collections.Counter(owners)
    finally:
        window.close()


def shown_tasks(window):
    """Return how many tasks a monitor shows for whom."""
    from qtpy import QtWidgets

    [tree] = [tree for tree in window.findChildren(QtWidgets.QTreeWidget) if "owner" in tree.accessibleName()]
    items = [tree.topLevelItem(row) for row in range(tree.topLevelItemCount())]
    return collections.Counter({item.text(0): item.childCount() for item in items if item.childCount()})


@pytest.mark.parametrize("way", ["by_task", "in_an_empty_context", "by_a_library"])
@both_attached
def test_the_toy_host_tells_whose_task_it_is_however_it_was_made(plugins, attached, spin, way):
    """When what a test waits for does not come."""
    plugin, _ = attached
    start(plugin, "a task", way)
    spin(lambda: plugins.log)
    testing = importlib.import_module(f"{plugin.asyncslot.__name__}.testing")
    with pytest.raises(AssertionError) as caught:
        with testing.Host() as host:
            host.run_until(lambda: False, timeout=0.01)
    assert f"of {plugin.lease.owner!r} stands in:" in str(caught.value)


@pytest.mark.parametrize("way", ["by_task", pytest.param("by_eager_task", marks=since_3_12), "in_an_empty_context"])
@pytest.mark.parametrize("then", ["returns", "goes on"])
@both_attached
def test_a_task_that_detaches_its_own_plugin_ends_however_it_was_made(plugins, attached, spin, way, then):
    """It is on the stack then; what is left is done when its step is over."""
    plugin, neighbour = attached
    reports = []

    async def leave(loop):
        await asyncio.sleep(0)
        reports.append(plugin.detach())
        if then == "goes on":
            await plugin.wait(loop)

    start(plugin, "a task", way, leave)
    spin(lambda: reports)
    spin(lambda: not pending(plugin))
    assert plugins.log == (begins(plugin) + ends(plugin) if then == "goes on" else [])
    assert reports[0].abandoned == []
    assert neighbour.lease.is_attached
    assert plugin.lease.detach() is reports[0]


# -- tasks of other classes ----------------------------------------------------


class WithoutCoro(asyncio.Task):
    """A task that does not tell what it runs."""

    @property
    def _coro(self):
        raise AttributeError("_coro")


class TakesTurns(asyncio.Future):
    """A future that runs a coroutine by itself, and is in no list of asyncio's."""

    def __init__(self, coro, loop):
        super().__init__(loop=loop)
        self._iterator = coro.__await__()
        self._waits_for = None
        loop.call_soon(self._go_on)

    def _go_on(self, exc=None):
        self._waits_for = None
        try:
            awaited = self._iterator.send(None) if exc is None else self._iterator.throw(exc)
        except StopIteration as stop:
            self.set_result(stop.value)
        except asyncio.CancelledError:
            super().cancel()
        else:
            if awaited is None:
                self._loop.call_soon(self._go_on)
            else:
                awaited._asyncio_future_blocking = False
                self._waits_for = awaited
                awaited.add_done_callback(self._wake)

    def set_name(self, name):
        """Ignore what Python 3.13 calls without asking."""

    def _wake(self, future):
        self._go_on(asyncio.CancelledError() if future.cancelled() else future.exception())

    def cancel(self, *args, **options):
        if self._waits_for is not None:
            return self._waits_for.cancel()
        if self.done():
            return False
        self._loop.call_soon(self._go_on, asyncio.CancelledError())
        return True


class LikeAFuture:
    """Neither a task nor a future, but it can be used as one."""

    _source_traceback = None  # Python 3.7 asks for it

    def __init__(self, coro, loop):
        self._task = asyncio.Task(coro, loop=loop)

    def __await__(self):
        return self._task.__await__()

    def set_name(self, name):
        """As above."""

    for name in ("add_done_callback", "remove_done_callback", "cancel", "cancelled", "done", "exception", "result"):
        exec(f"def {name}(self, *args, **options): return self._task.{name}(*args, **options)")


CLASSES = {
    "a subclass": type("Subclass", (asyncio.Task,), {}),
    "in Python": asyncio.tasks._PyTask,
    "without _coro": WithoutCoro,
    "a future that runs a coroutine": TakesTurns,
    "only like a future": LikeAFuture,
}


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("way", ["create_task of the lease", "create_task of the loop", "a child", "a slot"])
@both_attached
def test_a_task_ends_with_its_plugin_whatever_its_class(plugins, attached, spin, way, cls):
    """A task factory may return anything that can be awaited and cancelled."""
    plugin, neighbour = attached
    loop = plugin.lease.loop
    neighbour.lease.create_task(neighbour.wait(loop))

    async def choose():
        loop.set_task_factory(lambda loop, coro, **_: cls(coro, loop=loop))

    async def make():
        plugin.keep(asyncio.ensure_future(plugin.wait(loop)))

    plugin.lease.run_until_complete(choose())
    if way == "create_task of the lease":
        plugin.lease.create_task(plugin.wait(loop))
    elif way == "create_task of the loop":
        plugin.by_loop(loop)
    elif way == "a child":
        plugin.lease.create_task(make())
    else:
        plugin.lease.slot(plugin.wait_here)()
    spin(lambda: begins(plugin)[0] in plugins.log)
    report = plugin.detach()
    assert sorted(plugins.log) == sorted(begins(plugin, neighbour) + ends(plugin))
    assert report.ended in ((1, 2) if cls is LikeAFuture else (1,))
    assert report.abandoned == []
    assert plugins.reports == {plugin.__name__: [], neighbour.__name__: []}
    assert neighbour.detach().ended == 1

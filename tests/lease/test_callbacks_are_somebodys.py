"""Everything on the loop is somebody's, and ends with him: callbacks, readers and writers.

After detach() the loop calls no code of the plug-in's, whatever context it was scheduled in, and also if a library
stands between. In each case a neighbour does the same, and is left alone.
"""

import asyncio
import sys

import pytest

import copies
import somebodys
from somebodys import both_attached

pytestmark = pytest.mark.slow

needs_readers = pytest.mark.skipif(sys.platform == "win32", reason="asyncio's proactor loop has no add_reader()")

roots = pytest.fixture(somebodys.roots, scope="module")
plugins = pytest.fixture(copies.plugins_here)
keeper = pytest.fixture(somebodys.keeper)
attached = pytest.fixture(somebodys.attached)
pairs = pytest.fixture(somebodys.pairs)

# -- callbacks -----------------------------------------------------------------

SCHEDULES = (
    "call_soon",
    "call_later",
    "call_at",
    "call_soon_threadsafe",
    "call_soon_threadsafe, in a thread",
    "call_soon, called in an empty context",
    "call_later, called in an empty context",
    "add_done_callback",
)
FUNCTIONS = ("function", "lambda", "method", "callable object", "partial", "partial of a partial of a method")


@pytest.mark.parametrize(
    ("schedule", "function"),
    [(schedule, "function") for schedule in SCHEDULES] + [("call_soon", function) for function in FUNCTIONS[1:]],
)
@both_attached
def test_a_callback_ends_with_its_plugin_though_its_context_is_empty(
    plugins, attached, keeper, spin, schedule, function
):
    """By its code: here it asks for the next call each time, and is called no more."""
    plugin, neighbour = attached
    for module in attached:
        module.lease.create_task(module.call_again(module.lease.loop, schedule, function))
    spin(lambda: {(module.__name__, "called") for module in attached} <= set(plugins.log))
    plugin.detach()
    del plugins.log[:]
    spin(lambda: len(plugins.log) > 5)
    assert set(plugins.log) == {(neighbour.__name__, "called")}
    neighbour.detach()
    del plugins.log[:]
    keeper.run_until_complete(asyncio.sleep(0.01))
    assert plugins.log == []


# -- readers and writers -------------------------------------------------------


# Which a library watches for a plug-in only in its tasks; called from anywhere else it is the library's alone.
OPENERS = {
    "a library's transport": ["a task"],
    "a library's transport that writes": ["a task"],
    "a library's function": ["a task"],
    "its own function": ["a task", "plain code"],
    "its own function, in an empty context": ["a task", "plain code"],
}


@needs_readers
@pytest.mark.parametrize(("opener", "place"), [(opener, place) for opener in OPENERS for place in OPENERS[opener]])
@both_attached
def test_a_plugin_hears_of_no_descriptor_after_detach(plugins, attached, pairs, spin, opener, place):
    """Whoever watches it for the plug-in, and the report names it; a neighbour's data still comes."""
    plugin, neighbour = attached
    loop = plugin.lease.loop

    async def call(function, *args):
        function(*args)

    for module, (left, right) in zip(attached, pairs):
        if place == "a task":
            module.lease.create_task(call(module.OPENERS[opener], loop, left))
        else:
            module.open_in_plain_code(opener, loop, left)
        right.send(b"before")
    spin(lambda: {(module.__name__, b"before") for module in attached} <= set(plugins.log))
    report = plugin.detach()
    del plugins.log[:]
    for _, right in pairs:
        right.send(b"after")
    spin(lambda: (neighbour.__name__, b"after") in plugins.log)
    assert plugin.__name__ not in {name for name, _ in plugins.log}
    fd = pairs[0][0].fileno()
    kinds = ["reader", "writer"] if "writes" in opener else ["reader"]
    assert sorted(report.closed) == [f"{kind} of descriptor {fd}" for kind in kinds]
    assert report.kept == []
    neighbour.detach()


@needs_readers
@both_attached
def test_a_library_that_serves_another_plugin_keeps_its_reader_and_the_report_says_so(plugins, attached, pairs, spin):
    """The library has registered it in the task of the plug-in that leaves; the other one still gets its answers."""
    plugin, neighbour = attached
    left, right = pairs[0]
    for module in attached:
        module.lease.create_task(module.call_remotely(module.lease.loop, left))
    spin(lambda: plugin.an_installed_library.poller and len(plugin.an_installed_library.poller.waiting) == 2)
    report = plugin.detach()
    assert report.ended == 1
    assert [what for what in report.kept if f"descriptor {left.fileno()}" in what] == report.kept
    assert len(report.kept) == 1
    assert report.kept[0] in str(report)
    assert report.closed == []
    right.send(b"x")
    spin(lambda: plugins.log)
    assert plugins.log == [(neighbour.__name__, "answered")]


@needs_readers
@both_attached
def test_a_librarys_reader_that_another_plugin_has_brought_is_not_spoken_of(plugins, attached, pairs, spin):
    """It is not the leaving one's to close, or to keep."""
    plugin, neighbour = attached
    left, right = pairs[0]
    for module in (neighbour, plugin):
        module.lease.create_task(module.call_remotely(module.lease.loop, left))
    spin(lambda: plugin.an_installed_library.poller and len(plugin.an_installed_library.poller.waiting) == 2)
    report = plugin.detach()
    assert (report.ended, report.closed, report.kept) == (1, [], [])
    right.send(b"x")
    spin(lambda: plugins.log)
    assert plugins.log == [(neighbour.__name__, "answered")]

"""Where the coroutine of an asyncSlot runs, and that the slot raises nothing into Qt where it runs nowhere.

test_copy_is_plugin.py has how a plug-in's lease is found; here there is none any more, or not yet, or the function that
is wrapped is not the plug-in's, or the slot is called somewhere else.
"""

import asyncio
import functools
import threading
import types

import pytest

import copies
from copies import PAIRS, begins, both_kinds, ends

pytestmark = pytest.mark.slow

roots = pytest.fixture(copies.write_plugins, scope="module")
plugins = pytest.fixture(copies.plugins_here)

HERE = "here"
IN_ASYNCIO = "here, in asyncio.run()"
IN_A_THREAD = "in a thread"
IN_A_THREAD_WITH_ASYNCIO = "in a thread that runs asyncio"
anywhere = pytest.mark.parametrize("where", [HERE, IN_ASYNCIO, IN_A_THREAD, IN_A_THREAD_WITH_ASYNCIO])

function_or_method = pytest.mark.parametrize(
    "start",
    [lambda plugin: plugin.slot(), lambda plugin: plugin.receiver.decorated()],
    ids=["function", "method"],
)


def call(where, function):
    """Call a function, somewhere; return what it raised."""
    errors = []

    def run():
        try:
            function()
        except Exception as exc:
            errors.append(exc)

    async def run_in_a_loop():
        run()

    target = (lambda: asyncio.run(run_in_a_loop())) if "asyncio" in where else run
    if where.startswith("here"):
        target()
    else:
        thread = threading.Thread(target=target)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
    return errors[0] if errors else None


# -- never attached ------------------------------------------------------------


# id: which copies, what happened before, whether the slot of a plug-in that never attached raises
NEVER = {
    "own copy, beside another": ("own copies", lambda neighbour: neighbour.attach(), True),
    "own copy, alone": ("own copies", lambda neighbour: None, True),
    "shared copy, alone": ("a shared copy", lambda neighbour: None, True),
    "shared copy, which has a lease": ("a shared copy", lambda neighbour: neighbour.attach(), False),
    "shared copy, which had one": ("a shared copy", lambda neighbour: (neighbour.attach(), neighbour.detach()), False),
}


@anywhere
@pytest.mark.parametrize(("kind", "happens", "raises"), NEVER.values(), ids=NEVER)
def test_a_slot_of_a_plugin_that_never_attached(plugins, spin, kind, happens, raises, where):
    """It raises RuntimeError where its copy never had a lease; else that is reported, and names the package."""
    plugin, neighbour = plugins.pair(kind)
    happens(neighbour)
    reports = plugins.reports[neighbour.__name__]
    error = call(where, plugin.slot)
    assert isinstance(error, RuntimeError if raises else type(None)), error
    if not raises:
        spin(lambda: reports)
        [(message, _)] = reports
        assert plugin.__name__ in message
    neighbour.detach()
    assert plugins.log == []
    assert len(reports) == (0 if raises else 1)


# -- detached ------------------------------------------------------------------


@anywhere
@pytest.mark.parametrize("name", [None, "A Plug-in"])
@pytest.mark.parametrize("other", ["alone", "beside another"])
@both_kinds
def test_a_slot_of_a_plugin_that_has_left_is_silent(plugins, kind, other, name, where):
    """In whichever thread: neither does its coroutine run, nor is anything raised or reported."""
    plugin, neighbour = plugins.pair(kind)
    plugin.attach(name)
    if other == "beside another":
        neighbour.attach()
    plugin.detach()
    assert call(where, plugin.slot) is None
    assert neighbour.detach().ended == 0
    assert plugins.log == []
    assert plugins.reports == {plugin.__name__: [], neighbour.__name__: []}


def with_a_runner(plugin, spin, start, is_done):
    with plugin.asyncslot.AsyncSlotRunner():
        start()
        spin(is_done)


def with_a_loop(plugin, spin, start, is_done):
    loop = plugin.asyncslot.AsyncSlotEventLoop()
    try:
        with loop:
            start()
            spin(is_done)
    finally:
        loop.close()


def with_a_nested_run(plugin, spin, start, is_done):
    async def main():
        start()
        for _ in range(1000):
            if is_done():
                return
            await asyncio.sleep(0)

    loop = plugin.asyncslot.AsyncSlotEventLoop()
    try:
        loop.run_until_complete(main())
        assert is_done()
    finally:
        loop.close()


MODES = {"a Runner": with_a_runner, "with a loop": with_a_loop, "a nested run": with_a_nested_run}


@pytest.mark.parametrize("way", ["a slot", "a decorated method"])
@pytest.mark.parametrize("run", MODES.values(), ids=MODES)
@both_kinds
def test_a_slot_of_a_plugin_that_has_left_lives_in_a_program_that_owns_its_loop(plugins, spin, kind, run, way):
    """The end of a lease silences no slot on another loop of ours; when that is over, it is silent again."""
    plugin, _ = plugins.pair(kind)
    plugin.attach()
    plugin.detach()
    slot = plugin.brief_slot if way == "a slot" else plugin.receiver.brief

    def start():
        slot()
        assert plugins.log == begins(plugin)

    for _ in range(2):
        run(plugin, spin, start, lambda: plugins.log == begins(plugin) + ends(plugin))
        del plugins.log[:]
        slot()
        assert plugins.log == []


@function_or_method
@pytest.mark.parametrize("names", [(None, None), ("A Plug-in", None), (None, "A Plug-in"), ("A Plug-in", "Another")])
@both_kinds
def test_a_slot_lives_again_when_its_plugin_attaches_again(plugins, kind, names, start):
    """Whatever the leases are named; its task is of the new one."""
    plugin, neighbour = plugins.pair(kind)
    neighbour.attach()
    plugin.attach(names[0])
    plugin.detach()
    plugin.attach(names[1])
    start(plugin)
    assert plugins.log == begins(plugin)
    assert neighbour.detach().ended == 0
    assert plugin.detach().ended == 1
    assert plugins.log == begins(plugin) + ends(plugin)


# -- in other threads ----------------------------------------------------------


@anywhere
@pytest.mark.parametrize("way", ["a slot", "a decorated method", "a slot of the lease"])
@both_kinds
def test_a_slot_is_handed_over_to_its_leases_thread(plugins, spin, kind, way, where):
    """From a thread in which asyncio runs as well as from one in which nothing does."""
    plugin, neighbour = plugins.pair(kind)
    neighbour.attach()
    lease = plugin.attach("A Plug-in")
    ways = {
        "a slot": plugin.slot,
        "a decorated method": plugin.receiver.decorated,
        "a slot of the lease": plugin.lease_slot(lease),
    }
    assert call(where, ways[way]) is None
    spin(lambda: plugins.log)
    assert plugins.library.threads == [threading.current_thread()]
    assert neighbour.detach().ended == 0
    assert plugin.detach().ended == 1
    assert plugins.log == begins(plugin) + ends(plugin)


# -- whose function ------------------------------------------------------------


def without_a_module(plugin):
    fn = types.FunctionType(plugin.library.work.__code__, vars(plugin.library), "work", (plugin.library.__name__,))
    fn.__kwdefaults__ = {"is_brief": False}
    fn.__module__ = None
    return fn


FUNCTIONS = {
    "a function of a library": lambda plugin: plugin.library.work,
    "a partial of one": lambda plugin: functools.partial(plugin.library.work),
    "a partial of a partial": lambda plugin: functools.partial(functools.partial(plugin.library.work)),
    "an object of a library": lambda plugin: plugin.library.Worker(),
    "a method of a library": lambda plugin: plugin.library.keep(plugin.library.Worker()).method,
    "a function without a module": without_a_module,
}


@pytest.mark.parametrize("make", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("name", [None, "A Plug-in"])
@both_kinds
def test_a_function_that_is_nobodys_runs_for_whoever_has_made_it_a_slot(plugins, kind, name, make):
    """asyncSlot() is called by the plug-in, so it is its lease's, also beside another plug-in."""
    plugin, neighbour = plugins.pair(kind)
    neighbour.attach()
    plugin.attach(name)
    plugin.library = plugins.library
    plugin.make_slot(make(plugin))()
    assert plugins.log == begins(plugins.library)
    assert neighbour.detach().ended == 0
    assert plugin.detach().ended == 1
    assert plugins.log == begins(plugins.library) + ends(plugins.library)


@pytest.mark.parametrize("make", FUNCTIONS.values(), ids=FUNCTIONS)
@both_kinds
def test_a_function_that_is_nobodys_is_silent_after_its_plugin_has_left(plugins, kind, make):
    """It neither runs for another plug-in, nor raises."""
    plugin, neighbour = plugins.pair(kind)
    neighbour.attach()
    plugin.attach()
    plugin.library = plugins.library
    slot = plugin.make_slot(make(plugin))
    plugin.detach()
    slot()
    assert neighbour.detach().ended == 0
    assert plugins.log == []
    assert plugins.reports == {plugin.__name__: [], neighbour.__name__: []}


@pytest.mark.parametrize(
    ("kind", "owner"), [("own copies", "whoever makes the slot"), ("a shared copy", "whoever defines the function")]
)
def test_a_function_of_another_plugin_is_that_ones_if_they_share_a_copy(plugins, kind, owner):
    """With copies of their own, the slot's copy knows nothing of the other plug-in's lease."""
    maker, definer = plugins.pair(kind)
    leases = {"whoever makes the slot": maker.attach(), "whoever defines the function": definer.attach()}
    maker.make_slot(definer.receiver.method)()
    assert plugins.log == begins(definer)
    assert leases.pop(owner).detach().ended == 1
    [other] = leases.values()
    assert other.detach().ended == 0


# -- into Qt -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("state", ["attached, named", "has left", "has left, named", "has never attached"])
@pytest.mark.parametrize("kind", PAIRS)
def test_no_slot_stops_a_host_that_has_two_plugins(run_python, roots, kind, state):
    """In a host without an excepthook, where PyQt ends the process when an exception leaves a slot."""
    plugin, neighbour = PAIRS[kind]
    acts = {
        "attached, named": "plugin.attach('A Plug-in')",
        "has left": "plugin.attach(); plugin.detach()",
        "has left, named": "plugin.attach('A Plug-in'); plugin.detach('A Plug-in')",
        "has never attached": "",
    }
    if state == "has never attached" and kind == "own copies":
        pytest.skip("a copy that never had a lease raises, as README promises")
    done = run_python(
        f"""
import sys
sys.path.insert(0, {str(roots[0])!r})
from qtpy import QtCore
app = QtCore.QCoreApplication([])
import {plugin} as plugin, {neighbour} as neighbour, a_library

class Sender(QtCore.QObject):
    happened = QtCore.Signal()

sender = Sender()
neighbour.attach()
{acts[state]}
sender.happened.connect(plugin.slot)
sender.happened.connect(plugin.receiver.decorated)
sender.happened.emit()
print(len(a_library.log))
neighbour.detach()
plugin.detach()
"""
    )
    assert done.stdout.split() == ["2" if state.startswith("attached") else "0"]

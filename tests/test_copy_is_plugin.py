"""The copy is the plug-in: which copy is called says who calls; the package does so only where several share a copy.

Plug-ins with copies of their own, and plug-ins that share one at the top level. What runs under whose lease is seen by
what ends with it.
"""

import asyncio
import threading

import pytest

import copies
from copies import PAIRS

roots = pytest.fixture(copies.write_plugins, scope="module")
plugins = pytest.fixture(copies.plugins_here)


def begins(*modules):
    """What the log has when work of these has begun."""
    return [(module.__name__, "begins") for module in modules]


def ends(*modules):
    """What the log has when work of these has ended."""
    return [(module.__name__, "ends") for module in modules]


both_kinds = pytest.mark.parametrize("kind", PAIRS)

# Ways to start work in a plug-in's name, none of which has a lease at hand.
DOORS = {
    "create_task": lambda plugin: plugin.create_task(),
    "a slot": lambda plugin: plugin.slot(),
    "a decorated method": lambda plugin: plugin.receiver.decorated(),
    "a method, wrapped later": lambda plugin: plugin.make_slot(plugin.receiver.method)(),
}

every_door = pytest.mark.parametrize("start", DOORS.values(), ids=DOORS)


# -- finding the lease ---------------------------------------------------------


NAMES = {"its package's": None, "words": "A Plug-in", "that of the neighbour's package": "neighbour"}


@every_door
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("comes", ["first", "last"])
@both_kinds
def test_a_lease_is_found_whatever_it_is_named(plugins, spin, kind, comes, name, start):
    """By each function without a name, beside another plug-in, too; what it starts ends with it, and no sooner."""
    plugin, neighbour = plugins.pair(kind)
    given = neighbour.__name__ if NAMES[name] == "neighbour" else NAMES[name]
    if comes == "last":
        neighbour.attach()
    lease = plugin.attach(given)
    if comes == "first":
        neighbour.attach()
    assert plugin.attach() is lease
    start(plugin)
    spin(lambda: plugins.log)
    assert neighbour.detach().ended == 0
    assert plugins.log == begins(plugin)
    report = plugin.detach()
    assert (report.owner, report.ended) == (lease.owner, 1)
    assert not lease.is_attached
    assert plugins.log == begins(plugin) + ends(plugin)


@pytest.mark.parametrize("name", [None, "A Plug-in"])
def test_whoever_calls_a_vendored_copy_means_its_plugin(plugins, spin, name):
    """The host's code, say, or another plug-in that has a lease in its own copy."""
    plugin, neighbour = plugins.pair("own copies")
    lease, other = plugin.attach(name), neighbour.attach()
    for caller in ("a_host.menus", neighbour.__name__):
        namespace = {"__name__": caller, "copy": plugin.asyncslot, "work": plugin.work}
        exec("task = copy.create_task(work())\nreport = copy.detach()", namespace)
        assert namespace["task"].done()
        assert namespace["report"].owner == lease.owner
        assert not lease.is_attached
        assert other.is_attached
        lease = plugin.attach(name)


def test_one_caller_has_as_many_leases_as_it_gives_names(plugins):
    """detach() of one of the names ends that one."""
    plugin = plugins.load("own_plugin")
    one, two = plugin.attach("one"), plugin.attach("two")
    assert two is not one
    assert plugin.attach("one") is one
    assert plugin.detach("one").owner == "one"
    assert (one.is_attached, two.is_attached) == (False, True)


# -- no lease ------------------------------------------------------------------


STATES = {
    "has never attached": lambda plugin: None,
    "has detached": lambda plugin: (plugin.attach(), plugin.detach()),
    "has detached, named": lambda plugin: (plugin.attach("A Plug-in"), plugin.detach("A Plug-in")),
}


@pytest.mark.parametrize("reach", STATES.values(), ids=STATES)
@both_kinds
def test_a_plugin_without_a_lease_does_not_run_under_anothers(plugins, kind, reach):
    """create_task() says that there is no loop and closes the coroutine, detach() does nothing."""
    plugin, neighbour = plugins.pair(kind)
    other = neighbour.attach()
    reach(plugin)
    with pytest.raises(plugin.asyncslot.NoLoopError):
        plugin.close_create_task()
    report = plugin.detach()
    assert (report.ended, report.closed, report.abandoned) == (0, [], [])
    assert other.is_attached
    assert neighbour.detach().ended == 0
    assert plugins.log == []


NAMELESS = pytest.mark.parametrize("start", [DOORS["a slot"], DOORS["a decorated method"]], ids=["function", "method"])

# Which plug-ins have been there, and are there, when a slot of one that never was attached is called.
WITHOUT = {
    # id: kind, what happened before, whether the slot raises
    "own copy": ("own copies", lambda neighbour: neighbour.attach(), True),
    "own copy, alone": ("own copies", lambda neighbour: None, True),
    "shared copy, which has a lease": ("a shared copy", lambda neighbour: neighbour.attach(), False),
    "shared copy, which had one": ("a shared copy", lambda neighbour: (neighbour.attach(), neighbour.detach()), False),
    "shared copy, alone": ("a shared copy", lambda neighbour: None, True),
}


@pytest.mark.parametrize("where", ["here", "in a thread", "in a thread that runs asyncio", "here, in asyncio.run()"])
@NAMELESS
@pytest.mark.parametrize(("kind", "happens", "raises"), WITHOUT.values(), ids=WITHOUT)
def test_a_slot_of_a_plugin_that_never_attached(plugins, kind, happens, raises, start, where):
    """It raises RuntimeError where its copy never had a lease; else it is reported, and names the package."""
    plugin, neighbour = plugins.pair(kind)
    happens(neighbour)
    error = call(where, lambda: start(plugin))
    neighbour.detach()
    assert plugins.log == []
    assert isinstance(error, RuntimeError if raises else type(None)), error
    found = [message for message, _ in plugins.reports[neighbour.__name__]]
    assert len(found) == (0 if raises else 1)
    assert all(plugin.__name__ in message for message in found)


@pytest.mark.parametrize("where", ["here", "in a thread", "in a thread that runs asyncio", "here, in asyncio.run()"])
@NAMELESS
@pytest.mark.parametrize("name", [None, "A Plug-in"])
@pytest.mark.parametrize("other", ["no neighbour", "a neighbour"])
@both_kinds
def test_a_slot_of_a_plugin_that_has_left_is_silent(plugins, kind, other, name, start, where):
    """In whichever thread: neither does its coroutine run, nor is anything raised or reported."""
    plugin, neighbour = plugins.pair(kind)
    plugin.attach(name)
    if other == "a neighbour":
        neighbour.attach()
    plugin.detach()
    assert call(where, lambda: start(plugin)) is None
    assert neighbour.detach().ended == 0
    assert plugins.log == []
    assert plugins.reports == {plugin.__name__: [], neighbour.__name__: []}


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

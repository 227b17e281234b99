"""The copy is the plug-in: which copy is called says who calls; the package does so only where several share a copy.

Plug-ins with copies of their own, and plug-ins that share one at the top level. What runs under whose lease is seen by
what ends with it.
"""

import asyncio

import pytest

import copies
from copies import PICARDS, SUITES, begins, both_kinds, ends
from faulty import Recording

pytestmark = pytest.mark.slow

roots = pytest.fixture(copies.write_plugins, scope="module")
plugins = pytest.fixture(copies.plugins_here)


# Ways to start work in a plug-in's name, none of which has a lease at hand.
DOORS = {
    "create_task": lambda plugin: plugin.create_task(),
    "a slot": lambda plugin: plugin.slot(),
    "a decorated method": lambda plugin: plugin.receiver.decorated(),
    "a method, wrapped later": lambda plugin: plugin.make_slot(plugin.receiver.method)(),
}

every_door = pytest.mark.parametrize("start", DOORS.values(), ids=DOORS)
two_doors = pytest.mark.parametrize("start", [DOORS["create_task"], DOORS["a slot"]], ids=["create_task", "a slot"])


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


# -- create_task ---------------------------------------------------------------


async def hold_dialog(plugin, act):
    """Open a dialog in a task, call `act` in it."""
    from qtpy import QtCore

    dialog = QtCore.QEventLoop()
    QtCore.QTimer.singleShot(0, act)
    QtCore.QTimer.singleShot(30, dialog.quit)
    (getattr(dialog, "exec", None) or dialog.exec_)()


def in_the_adapter(plugin, spin, create):
    """While attach() asks the adapter to tell of the host's end."""
    host = Recording([])
    on_quit = host.on_quit
    host.on_quit = lambda callback: (create(), on_quit(callback))[1]
    plugin.asyncslot.attach(plugin.__name__, host=host).detach()


def in_the_adapters_unhook(plugin, spin, create):
    """While detach() tells the adapter that it need not tell any more."""
    host = Recording([])
    host.on_quit = lambda callback: create
    plugin.asyncslot.attach(plugin.__name__, host=host).detach()


def in_an_own_task(plugin, spin, create):
    """After a task has detached its own lease, which goes when the task's step is over."""
    lease = plugin.attach()

    async def leave():
        plugin.detach()
        create()

    lease.create_task(leave())
    spin(lease.loop.is_closed)


def in_a_dialog(plugin, spin, create):
    """In a dialog whose task was given up: there is a loop, and no lease."""
    lease = plugin.attach()

    def leave():
        lease.detach(timeout=0)
        QtCore.QTimer.singleShot(5, create)

    from qtpy import QtCore

    lease.create_task(hold_dialog(plugin, leave))
    spin(lease.loop.is_closed)


def in_anothers_dialog(plugin, spin, create):
    """The same, where the loop is that of another copy."""
    neighbour = plugin.neighbour
    lease = neighbour.attach()

    def leave():
        lease.detach(timeout=0)
        QtCore.QTimer.singleShot(5, create)

    from qtpy import QtCore

    lease.create_task(hold_dialog(neighbour, leave))
    spin(lease.loop.is_closed)


WHILE = {
    "nobody was attached": lambda plugin, spin, create: create(),
    "everybody has left": lambda plugin, spin, create: (plugin.attach(), plugin.detach(), create()),
    "attach() calls the adapter": in_the_adapter,
    "detach() calls the adapter": in_the_adapters_unhook,
    "the task that has detached goes on": in_an_own_task,
    "the dialog of an abandoned task is open": in_a_dialog,
    "the dialog of another's abandoned task is open": in_anothers_dialog,
}


@pytest.mark.parametrize("reach", WHILE.values(), ids=WHILE)
@both_kinds
def test_without_a_lease_create_task_says_so_whenever_it_is_called(plugins, spin, kind, reach):
    """Half-way through attach() and detach(), too, and always with an error of ours, or there is a lease."""
    plugin, plugin.neighbour = plugins.pair(kind)
    outcomes = []

    def create():
        try:
            outcomes.append(plugin.close_create_task())
        except Exception as exc:
            outcomes.append(exc)

    reach(plugin, spin, create)
    assert len(outcomes) == 1
    if reach is in_the_adapter and isinstance(outcomes[0], asyncio.Task):
        assert outcomes[0].cancelled()  # the lease that is being made has it, and has ended since
    else:
        assert isinstance(outcomes[0], plugin.asyncslot.AsyncSlotError), outcomes


# -- names ---------------------------------------------------------------------

# Plug-ins, with the names that they give.
EQUAL = {
    "all in one package": [(name, None) for name in PICARDS],
    "all in one package, the last first": [(name, None) for name in reversed(PICARDS)],
    "one of their own choice": [("own_plugin", "A Plug-in"), ("own_neighbour", "A Plug-in"), (PICARDS[0], "A Plug-in")],
    "that of another's package": [("own_plugin", "own_neighbour"), ("own_neighbour", None)],
}


@pytest.fixture(params=EQUAL.values(), ids=EQUAL)
def namesakes(request, plugins):
    """Plug-ins with copies of their own, all attached, whose names would be the same."""
    modules = [plugins.load(name) for name, _ in request.param]
    for module, (_, name) in zip(modules, request.param):
        module.lease = module.attach(name)
    return modules


def test_plugins_of_equal_names_have_leases_with_names_of_their_own(namesakes):
    """The first has the name as it is; those who come later have it with the place of their copy."""
    assert [module.attach() for module in namesakes] == [module.lease for module in namesakes]
    names = [module.lease.name for module in namesakes]
    assert len(set(names)) == len(names)
    assert names == [module.lease.owner for module in namesakes]
    for module, name in list(zip(namesakes, names))[1:]:
        assert name.startswith(names[0])
        assert module.__name__ in name


@two_doors
def test_plugins_of_equal_names_are_found_by_their_copies(plugins, namesakes, spin, start):
    """What each starts ends with it, in whichever order they leave, and its report is of its name."""
    for module in namesakes:
        start(module)
    spin(lambda: len(plugins.log) == len(namesakes))
    order = namesakes[1:] + namesakes[:1]
    for module in order:
        del plugins.log[:]
        report = module.detach()
        assert plugins.log == ends(module)
        assert (report.owner, report.ended) == (module.lease.name, 1)
        assert str(report).startswith(f"{module.lease.name}: ")
        assert not module.lease.is_attached
    assert module.lease.loop.is_closed()


def test_plugins_of_equal_names_are_told_apart_wherever_they_are_named(plugins, namesakes, windows, spin):
    """In messages about errors, in report(), in the monitor."""
    from qtpy import QtWidgets

    names = [module.lease.name for module in namesakes]
    for module in namesakes:
        module.failing_slot()
        module.slot()
    # An exception is reported some turns later: somebody might await the task.
    spin(lambda: len(plugins.log) == len(namesakes) and all(plugins.reports[module.__name__] for module in namesakes))
    for module in namesakes:
        [(message, exc)] = plugins.reports[module.__name__]
        assert message.startswith(f"{module.lease.name}: ")
        assert isinstance(exc, ZeroDivisionError)
    text = namesakes[0].asyncslot.report()
    assert [line for line in text.splitlines() if line.startswith("Owner ")] == [f"Owner {name!r}" for name in names]
    window = namesakes[-1].asyncslot.monitor()
    trees = [tree for tree in window.findChildren(QtWidgets.QTreeWidget) if "owner" in tree.accessibleName()]
    assert [trees[0].topLevelItem(row).text(0) for row in range(trees[0].topLevelItemCount())] == names
    window.close()


def test_a_name_that_is_free_again_is_given_again(namesakes):
    """And those who stay keep theirs."""
    names = [module.lease.name for module in namesakes]
    first = namesakes[0]
    first.detach()
    assert first.attach(names[0]).name == names[0]
    assert [module.attach().name for module in namesakes] == names


def test_detach_by_a_name_ends_no_lease_of_another_copy(namesakes):
    """Whatever it is called."""
    first, second = namesakes[:2]
    second.detach(first.lease.name)
    assert first.lease.is_attached


# -- packages that change ------------------------------------------------------


@two_doors
@pytest.mark.parametrize("change", ["grows", "shrinks"])
@pytest.mark.parametrize("name", [None, "A Plug-in"])
@pytest.mark.parametrize("kind", SUITES)
def test_a_lease_is_found_after_its_package_has_changed(plugins, roots, spin, kind, name, change, start):
    """A package without a file of its own is spread over more directories than before, or over fewer."""
    if change == "shrinks":
        plugins.loader.add_root(roots[1])
    plugin = plugins.load(f"{SUITES[kind]}.tool")
    lease = plugin.attach(name)
    (plugins.loader.add_root if change == "grows" else plugins.loader.remove_root)(roots[1])
    assert plugin.attach() is lease
    start(plugin)
    spin(lambda: plugins.log)
    assert plugin.detach().ended == 1
    assert not lease.is_attached
    assert plugins.log == begins(plugin) + ends(plugin)


@two_doors
@pytest.mark.parametrize("change", ["the second comes with its directory", "the directory of the second goes"])
@pytest.mark.parametrize("kind", SUITES)
def test_plugins_of_a_package_that_changes_are_told_apart(plugins, roots, spin, kind, change, start):
    """Whether they are two plug-ins or one package is known by then, or is not known any more."""
    if "goes" in change:
        plugins.loader.add_root(roots[1])
    plugin = plugins.load(f"{SUITES[kind]}.tool")
    lease = plugin.attach()
    if "comes" in change:
        plugins.loader.add_root(roots[1])
    second = plugins.load(f"{SUITES[kind]}.other")
    other = second.attach()
    if "goes" in change:
        plugins.loader.remove_root(roots[1])
    assert other is not lease
    assert (plugin.attach(), second.attach()) == (lease, other)
    start(plugin)
    start(second)
    spin(lambda: len(plugins.log) == 2)
    assert second.detach().ended == 1
    assert (lease.is_attached, other.is_attached) == (True, False)
    assert plugin.detach().ended == 1
    assert plugins.log == begins(plugin, second) + ends(second, plugin)


@pytest.mark.parametrize("comes", ["first", "last"])
def test_what_a_plugin_begins_while_it_leaves_is_not_that_of_another_in_the_same_package(plugins, comes):
    """The host's own package holds both (Picard 3); one of them makes a task as it cleans up."""
    leaver, other = map(plugins.load, PICARDS[:2])
    leases = {plugin: plugin.attach() for plugin in ((leaver, other) if comes == "first" else (other, leaver))}
    code = """
import asyncio
from a_library import keep

async def leave():
    try:
        await asyncio.sleep(3600)
    finally:
        keep(asyncio.get_event_loop().create_task(work(__name__)))
"""
    exec(code, vars(leaver))
    lease = leases[leaver]
    lease.create_task(leaver.leave())
    lease.run_until_complete(asyncio.sleep(0.01))
    leaver.detach()
    plugins.library.kept.clear()
    assert plugins.log in (begins(leaver) + ends(leaver), [])
    assert other.detach().ended == 0


@pytest.mark.parametrize("comes", ["first", "last"])
def test_what_a_plugin_begins_when_it_has_left_is_not_that_of_another_in_the_same_package(plugins, comes):
    """Its timers may still fire; the only lease in the host's package is another plug-in's."""
    leaver, other = map(plugins.load, PICARDS[:2])
    leases = {plugin: plugin.attach() for plugin in ((leaver, other) if comes == "first" else (other, leaver))}
    exec("def begin(loop): keep(asyncio.Task(work(__name__), loop=loop))\nimport asyncio", vars(leaver))
    vars(leaver)["keep"] = plugins.library.keep
    loop = leases[leaver].loop
    leaver.detach()
    leaver.begin(loop)
    leases[other].run_until_complete(asyncio.sleep(0.01))
    assert other.detach().ended == 0
    plugins.library.kept.clear()

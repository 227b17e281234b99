"""Several vendored copies in one process: one loop, leases of their own, any order of coming and going."""

import itertools
import random
import sys

import pytest

import copies
from asyncslot import _meeting
from copies import PRELUDE

make_plugin = pytest.fixture(copies.make_plugin)
plugins = pytest.fixture(copies.plugins)


@pytest.fixture
def run(run_python, plugins):
    """A function that runs a program with those plug-ins and returns what it printed."""
    return lambda source: run_python(PRELUDE.replace("{plugins!r}", repr(str(plugins))) + source).stdout.splitlines()


@pytest.mark.parametrize("leaving", list(itertools.permutations(["one", "two", "three"])), ids="-".join)
def test_copies_share_one_loop_in_any_order_of_leaving(run, leaving):
    """Whoever leaves first, the others' tasks go on, and the last one closes the loop."""
    out = run(
        f"""
copies = {{name: load(name) for name in ("one", "two", "three")}}
assert len(set(map(id, copies.values()))) == 3
leases = {{name: copy.attach(name) for name, copy in copies.items()}}
loop = leases["one"].loop
assert all(lease.loop is loop for lease in leases.values())
tasks = {{name: lease.create_task(forever()) for name, lease in leases.items()}}
for name in {leaving!r}:
    results = []
    for staying, lease in leases.items():
        lease.create_task(work(results, staying))
    spin(lambda: len(results) == len(leases))
    assert sorted(results) == sorted(leases), results
    report = copies[name].detach(name)
    assert report.ended == 1, report
    assert tasks.pop(name).cancelled()
    assert not any(task.done() for task in tasks.values())
    del leases[name]
print(loop.is_closed(), [name for name in vars(asyncio) if "asyncslot" in name])
"""
    )
    assert out == ["True []"]


def test_the_copy_that_made_the_loop_may_be_purged(run):
    """A plug-in is reloaded: its modules go, the loop they made lives on with the others."""
    out = run(
        """
one, two = load("one"), load("two")
lease = one.attach("one")
other = two.attach("two")
loop = lease.loop
lease.create_task(forever())
for _ in range(5):
    one.detach("one")
    del one, lease
    purge("one")
    results = []
    other.create_task(work(results, "two"))
    spin(lambda: results)
    one = load("one")
    lease = one.attach("one")
    assert lease.loop is loop
    lease.create_task(work(results, "one"))
    spin(lambda: len(results) == 2)
one.detach("one")
print(two.detach("two").abandoned, loop.is_closed())
"""
    )
    assert out == ["[] True"]


def test_children_belong_to_the_copy_whose_task_made_them(run):
    """The owner is carried across copies: the loop of one notes the tasks of the other."""
    out = run(
        """
one, two = load("one"), load("two")
first, second = one.attach("one"), two.attach("two")

async def parent():
    child = asyncio.ensure_future(forever())  # referred to, or the garbage collector may end it
    await forever()

task = second.create_task(parent())
spin(lambda: len(second._owner.pending()) == 2)
print(len(first._owner.pending()), two.detach("two").ended, one.detach("one").ended)
"""
    )
    assert out == ["0 2 0"]


def test_errors_name_the_owner_whichever_copy_made_the_loop(run):
    """And go to that owner's host adapter."""
    out = run(
        """
class Host:
    NAME = "Host"
    def __init__(self, name): self.name = name
    def is_running(self): return True
    def qt_core(self): return sys.modules[app.__class__.__module__.rpartition(".")[0] + ".QtCore"]
    def gui_parent(self): return None
    def on_quit(self, callback): return lambda: None
    def report(self, message, exc): print(self.name, "|", message.splitlines()[0], "|", repr(exc))
    def progress(self, title, cancel): return None

one, two = load("one"), load("two")
first, second = one.attach("one", host=Host("first")), two.attach("two", host=Host("second"))

async def fail():
    raise KeyError("x")

second.slot(fail)()
spin(lambda: not second._owner.pending())
app.processEvents()
first.loop._as_run_alone(lambda: not first.loop._ready and not first.loop._as_batch, None)
second.detach(), first.detach()
"""
    )
    assert out == ["second | two: Exception in a slot | KeyError('x')"]


@pytest.mark.parametrize("version", ["0.3.9", "9.9.9"], ids=["an older copy", "a newer copy"])
def test_copies_of_different_versions_share_if_their_protocol_is_the_same(run, make_plugin, version):
    """The version is for people; the protocol decides."""
    make_plugin("two", pretend=version)
    out = run(
        """
one, two = load("one"), load("two")
first, second = two.attach("two"), one.attach("one")
print(first.loop is second.loop, two.__version__ != one.__version__)
second.detach(), first.detach()
"""
    )
    assert out == ["True True"]


def test_a_copy_with_another_protocol_says_so(run, plugins, make_plugin):
    """Naming both versions and both paths, and disturbing nobody."""
    make_plugin("two", pretend=f"0.9.0:{_meeting.PROTOCOL + 1}")
    out = run(
        """
one, two = load("one"), load("two")
lease = one.attach("one")
try:
    two.attach("two")
except two.IncompatibleCopyError as exc:
    assert isinstance(exc, ImportError)
    print(exc)
results = []
lease.create_task(work(results, "one"))
spin(lambda: results)
lease.detach()
print(two.attach("two").is_attached)
two.detach("two")
"""
    )
    assert len(out) == 2
    assert "version 0.9.0 in" in out[0]
    assert f"(protocol {_meeting.PROTOCOL + 1})" in out[0]
    assert f"(protocol {_meeting.PROTOCOL})" in out[0]
    for name in ("one", "two"):
        assert repr(str(plugins / name / "_vendor" / "asyncslot")) in out[0] or sys.platform == "win32"
    assert out[1] == "True"


def test_called_by_nobody_a_copy_speaks_for_its_plugin(run):
    """By Qt or atexit, with no code of the plug-in's on the stack."""
    out = run(
        """
import functools
one, two = load("one"), load("two")
for copy in (one, two):
    copy.attach(copy.__name__.split(".")[0])
task = one.create_task(forever())  # by a module of the host's
QtCore.QTimer.singleShot(0, one.detach)
spin(lambda: task.cancelled())
print(one.detach().ended, two.attach("two").is_attached, two.detach().owner)
"""
    )
    assert out == ["1 True two"]


NAMES = ["one", "two", "three", "four", "five"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_five_copies_of_different_names_and_versions_come_go_and_are_reloaded_at_random(run, make_plugin, seed):
    """Whoever attaches, detaches, is purged and loaded again, and made the loop: all who are there have one loop."""
    copies = {name: ["asyncslot", f"aio_{name}"][number % 2] for number, name in enumerate(NAMES)}
    for number, name in enumerate(NAMES):
        make_plugin(name, copies[name], pretend=f"0.{number}.0")
    chance = random.Random(seed)
    events = [(chance.choice(NAMES), chance.choice(["attach", "detach", "reload"])) for _ in range(60)]
    out = run(
        f"""
copies, leases = {copies!r}, {{}}
modules = {{name: load(name, copy) for name, copy in copies.items()}}
assert len(set(module.__version__ for module in modules.values())) == 5

def detach(name):
    lease = leases.pop(name, None)
    report = modules[name].detach(name)
    # The one that never ends; what it did besides may have been done.
    assert lease is None or (report.ended >= 1 and not report.abandoned), report

for name, event in {events!r}:
    if event == "attach":
        leases[name] = modules[name].attach(name)
        leases[name].create_task(forever())
    else:
        detach(name)
    if event == "reload":
        del modules[name]
        purge(name)
        modules[name] = load(name, copies[name])
    results = []
    for owner, lease in leases.items():
        assert lease.is_attached and lease.loop is next(iter(leases.values())).loop
        lease.create_task(work(results, owner))
    spin(lambda: len(results) == len(leases))
    assert sorted(results) == sorted(leases), results
    assert any("asyncslot" in name for name in vars(asyncio)) == bool(leases)
for name in list(leases):
    detach(name)
print([name for name in vars(asyncio) if "asyncslot" in name])
"""
    )
    assert out == ["[]"]


# -- purged, with something of Qt's left -----------------------------------------

# A plug-in of one module, which is garbage all at once when it has been purged.
MODULE = """
import asyncio, threading
from qtpy import QtCore, QtWidgets
from ._vendor import asyncslot

class Sender(QtCore.QObject):
    fired = QtCore.Signal(int)

class Dock(QtWidgets.QWidget):
    async def cling(self):
        while True:
            try:
                await asyncio.get_event_loop().create_future()
            except asyncio.CancelledError:
                pass

lease = asyncslot.attach()
window = QtWidgets.QWidget()
dock = Dock(window)
senders = [Sender() for _ in range(4)]
timers = [QtCore.QTimer() for _ in range(4)]
heard = []

def tick():
    pass

for timer in timers:
    timer.timeout.connect(tick)

async def listen(sender):
    async for _ in asyncslot.asyncSignals(sender.fired):
        heard.append(True)

def emit_in_a_thread():
    thread = threading.Thread(target=emit)
    thread.start()
    thread.join()

def emit():
    for _ in range(50):
        for sender in senders:
            sender.fired.emit(1)

def unload():
    for timer in timers:
        timer.timeout.disconnect(tick)
    return lease.detach(timeout=0.01)
"""


@pytest.fixture
def run_module(run, plugins):
    """A function that runs a program with such a module, `one.module`; what goes out into Qt is printed."""
    (plugins / "one" / "module.py").write_text(MODULE)
    prelude = "\nsys.excepthook = sys.unraisablehook = lambda *args: print('raised into Qt:', args)\n"
    return lambda source: run(prelude + source)


def test_a_purged_plugin_may_leave_a_task_that_would_not_end(run_module):
    """When it is collected, Qt deletes the receiver with which the task was to be cancelled, and calls nothing."""
    out = run_module(
        """
for _ in range(5):
    from one import module
    module.lease.slot(module.dock.cling, cancel_with_receiver=True)()
    gc.collect()
    print(len(module.unload().abandoned))
    del module
    purge("one")
"""
    )
    assert out == ["1"] * 5


@pytest.mark.slow
@pytest.mark.parametrize("hear", ["pass", "spin(lambda: module.heard)"], ids=["none heard yet", "some heard"])
def test_a_purged_plugin_may_leave_emissions_in_a_queue(run_module, hear):
    """Qt brings them to what PyQt has made for a signal whose class is no more."""
    out = run_module(
        f"""
for _ in range(20):
    from one import module
    app.processEvents()  # now that there is something else where the last one's signals were
    tasks = [module.lease.run_task(module.listen(sender)) for sender in module.senders]
    module.emit_in_a_thread()
    {hear}
    module.emit_in_a_thread()
    module.unload()
    del module, tasks
    purge("one")
print("alive")
"""
    )
    assert out == ["alive"]

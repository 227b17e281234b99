"""attach and Lease: one plug-in's hold on the loop, on any Qt application."""

import asyncio
import gc
import sys
import threading
import time
import types
import weakref

import pytest

import asyncslot
from asyncslot import _meeting


async def forever():
    """Wait until cancelled."""
    await asyncio.get_event_loop().create_future()


# -- attach -----------------------------------------------------------------------


def test_the_same_owner_gets_the_same_lease(app):
    """attach() is idempotent, and two owners share one loop."""
    with asyncslot.attach("one") as one, asyncslot.attach("two") as two:
        assert asyncslot.attach("one") is one
        assert two is not one
        assert two.loop is one.loop


def test_the_owner_is_the_callers_package(app):
    """A plug-in need not say its name."""
    namespace = {"__name__": "my_plugin.gui.dock"}
    exec("import asyncslot\nlease = asyncslot.attach()\nagain = asyncslot.attach()", namespace)
    assert namespace["lease"].owner == "my_plugin"
    assert namespace["lease"] is namespace["again"]
    assert asyncslot.detach("my_plugin").owner == "my_plugin"
    assert not namespace["lease"].is_attached


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        pytest.param(["/one"], "suite", id="a package"),
        pytest.param(["/one", "/two"], "suite.tool", id="spread over directories, as FreeCAD's"),
        pytest.param([], "suite.tool", id="in no directory, as calibre's"),
        pytest.param(None, "suite", id="no package"),
    ],
)
def test_plugins_that_share_a_package_are_told_apart(app, monkeypatch, path, owner):
    """In the name of a lease, and in whose a slot is; a package of the plug-in's own is one plug-in."""
    package = types.ModuleType("suite")
    package.__path__ = path
    monkeypatch.setitem(sys.modules, "suite", package)
    inside = types.ModuleType("suite.tool")
    inside.__path__ = path  # in calibre, nothing has a directory
    monkeypatch.setitem(sys.modules, "suite.tool", inside)
    namespace = {"__name__": "suite.tool.gui"}
    source = """
import asyncio
import asyncslot
lease = asyncslot.attach()
async def fn():
    await asyncio.sleep(60)
slot = asyncslot.asyncSlot(fn)
"""
    exec(source, namespace)
    lease = namespace["lease"]
    with asyncslot.attach("suite.other"), lease:
        assert lease.owner == owner
        namespace["slot"]()
        assert len(lease._owner.pending()) == 1


def test_attach_after_detach_is_a_new_lease(app):
    """A plug-in that is reloaded starts anew."""
    first = asyncslot.attach("reloaded")
    first.detach()
    with asyncslot.attach("reloaded") as second:
        assert second is not first
        assert second.is_attached
        assert not first.is_attached


def test_the_loop_lives_as_long_as_the_last_lease(app):
    """And is closed with it."""
    one, two = asyncslot.attach("one"), asyncslot.attach("two")
    one.detach()
    assert not one.loop.is_closed()
    two.detach()
    assert one.loop.is_closed()
    assert _meeting.here() is None


def test_nothing_runs_before_the_hosts_loop_does(lease, spin):
    """attach() works before exec(), as in QGIS's initGui(); tasks wait for it."""
    ran = []

    async def coro():
        ran.append(1)

    task = lease.create_task(coro())
    time.sleep(0.01)
    assert ran == []
    spin(task.done)
    assert ran == [1]


def test_a_lease_is_not_published_as_the_running_loop(lease):
    """attach() leaves asyncio's running loop alone."""
    assert asyncio._get_running_loop() is None


# -- tasks ----------------------------------------------------------------------------


def test_tasks_are_kept_alive_until_they_are_done(lease, spin):
    """asyncio keeps weak references only; a forgotten task must not vanish half-way."""
    done = []

    async def coro():
        future = asyncio.get_event_loop().create_future()
        reference = weakref.ref(future)
        asyncio.get_event_loop().call_later(0.05, lambda: reference() and reference().set_result(None))
        await future
        done.append(1)

    lease.create_task(coro())
    gc.collect()
    spin(lambda: done)


def test_create_task_works_in_a_plain_slot(lease, spin):
    """Where asyncio.create_task() finds no running loop."""
    from qtpy import QtCore

    made = []
    QtCore.QTimer.singleShot(0, lambda: made.append(lease.create_task(asyncio.sleep(0.001, "slept"), name="mine")))
    spin(lambda: made and made[0].done())
    assert made[0].result() == "slept"
    if hasattr(made[0], "get_name"):  # Python 3.8
        assert made[0].get_name() == "mine"


def test_the_packages_create_task_finds_its_lease(app, spin):
    """asyncslot.create_task() uses the lease of the package that calls it, else the only one."""
    with asyncslot.attach("other"):
        task = asyncslot.create_task(asyncio.sleep(0, "by the only lease"))
        spin(task.done)
        with asyncslot.attach():  # in the name of this module
            mine = asyncslot.create_task(forever())
        assert mine.cancelled()


def test_run_task_takes_its_first_step_at_once(lease, spin):
    """The effect is there when run_task() returns."""
    log = []

    async def coro():
        log.append("first")
        await asyncio.sleep(0)
        log.append("second")

    task = lease.run_task(coro())
    assert log == ["first"]
    spin(task.done)
    assert log == ["first", "second"]


def test_to_thread_runs_elsewhere_with_the_callers_context(lease, spin):
    """On every Python, with context variables."""
    import contextvars

    variable = contextvars.ContextVar("variable")

    async def coro():
        variable.set("seen")
        return await lease.to_thread(lambda: (variable.get(), threading.current_thread()))

    task = lease.create_task(coro())
    spin(task.done)
    assert task.result()[0] == "seen"
    assert task.result()[1] is not threading.current_thread()


def test_run_until_complete_blocks_without_a_qt_loop(lease):
    """For unload(): asyncio goes on, Qt does not."""
    from qtpy import QtCore

    ticks = []
    timer = QtCore.QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(1)
    assert lease.run_until_complete(asyncio.sleep(0.05, "slept")) == "slept"
    timer.stop()
    assert ticks == []


def test_run_until_complete_inside_a_step(lease, spin):
    """Also in a callback or a coroutine of ours, where asyncio itself would refuse."""

    async def coro():
        return lease.run_until_complete(asyncio.sleep(0.01, "inner"))

    task = lease.create_task(coro())
    spin(task.done)
    assert task.result() == "inner"


def test_run_until_complete_gives_up_in_time(lease):
    """And says where the coroutine stood."""
    with pytest.raises(TimeoutError, match=r"(?s)'test'.*forever\(\)"):
        lease.run_until_complete(forever(), timeout=0.05)


def test_run_until_complete_raises_what_the_coroutine_raises(lease):
    """An exception is the caller's."""

    async def fail():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        lease.run_until_complete(fail())


# -- errors ----------------------------------------------------------------------------


async def fail():
    """Raise at once."""
    raise KeyError("x")

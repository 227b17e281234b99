"""asyncslot.monitor(): the window that shows whose tasks there are, where they stand, and what was too long a step."""

import asyncio
import gc
import shutil
import time
import weakref
from pathlib import Path

import pytest

import asyncslot
from asyncslot.tools import _monitor
from asyncslot.tools._watch import Watch


@pytest.fixture
def host(recorder):
    """A host with widgets and no window of its own."""
    return recorder


@pytest.fixture
def leases(app, host, windows):
    """Two plug-ins, of which the first is this module's."""
    with asyncslot.attach(host=host) as own, asyncslot.attach("feed", host=host) as feed:
        yield own, feed


@pytest.fixture
def main_window(app):
    from qtpy import QtWidgets

    window = QtWidgets.QMainWindow()
    window.resize(900, 600)
    window.show()
    yield window
    window.hide()
    window.deleteLater()


async def listen():
    await asyncio.get_running_loop().create_future()


def trees(window):
    """Return the list of tasks and the list of steps that were too long."""
    from qtpy import QtWidgets

    found = {tree.accessibleName(): tree for tree in window.findChildren(QtWidgets.QTreeWidget)}
    return found["Tasks by owner"], found["Steps that were longer than a frame"]


def rows_of(lost, name):
    """Return the rows of a function; on a busy machine others lose frames, too."""
    rows = [lost.topLevelItem(row) for row in range(lost.topLevelItemCount())]
    return [row for row in rows if name in row.text(3)]


def texts(tree):
    """Return the first column, tasks below their owner."""
    owners = [tree.topLevelItem(row) for row in range(tree.topLevelItemCount())]
    return {owner.text(0): [owner.child(row).text(0) for row in range(owner.childCount())] for owner in owners}


def button(window):
    from qtpy import QtWidgets

    [found] = [each for each in window.findChildren(QtWidgets.QPushButton) if each.text() == "Cancel task"]
    return found


def click(widget, position=None):
    from qtpy import QtCore, QtTest

    left = getattr(QtCore.Qt, "MouseButton", QtCore.Qt).LeftButton
    none = getattr(QtCore.Qt, "KeyboardModifier", QtCore.Qt).NoModifier
    if position is None:
        position = widget.rect().center()
    QtTest.QTest.mouseClick(widget, left, none, position)


def click_task(window, name):
    from qtpy import QtCore

    tree, _ = trees(window)
    wanted = getattr(QtCore.Qt, "MatchFlag", QtCore.Qt)
    [item] = tree.findItems(name, wanted.MatchExactly | wanted.MatchRecursive)
    click(tree.viewport(), tree.visualItemRect(item).center())


def is_gone(window):
    """Whether a window is closed; Qt may have deleted it meanwhile."""
    try:
        return not window.isVisible()
    except RuntimeError:
        return True


def is_measured(loop):
    """Whether the loop knows of a monitor, or of anything that measures it."""
    return loop._as_watch is not None or hasattr(loop, "_as_monitor")


def test_tasks_are_shown_by_owner_with_where_they_stand(leases, spin):
    """Those of every plug-in that shares the loop, by name, with the plug-in's own line and what that awaits."""
    own, feed = leases
    tasks = [own.create_task(listen(), name="tile"), feed.create_task(listen(), name="news")]
    spin(lambda: all(task._fut_waiter for task in tasks))
    window = asyncslot.monitor()
    tree, _ = trees(window)
    names = {name: [getattr(task, "get_name", lambda: "_asyncio.Task")()] for name, task in zip("ab", tasks)}
    assert texts(tree) == {own.owner: names["a"], "feed": names["b"]} or not hasattr(tasks[0], "get_name")
    line = listen.__code__.co_firstlineno + 1
    owner = tree.topLevelItem(0)
    assert owner.text(2) == "1 task"
    assert owner.child(0).text(2) == f"listen() in test_monitor.py:{line}"
    assert owner.child(0).toolTip(2) == f"listen() ({__file__}:{line})"
    window.close()


@pytest.mark.skipif(not hasattr(asyncio.Task, "get_name"), reason="tasks have no names before Python 3.8")
def test_the_list_follows_what_begins_and_ends(leases, spin):
    """A task that has ended goes, one that is new comes, and the owner goes with its lease."""
    own, feed = leases
    first = own.create_task(listen(), name="first")
    window = asyncslot.monitor()
    tree, _ = trees(window)
    assert texts(tree) == {own.owner: ["first"], "feed": []}
    first.cancel()
    feed.create_task(listen(), name="second")
    spin(lambda: texts(tree) == {own.owner: [], "feed": ["second"]})
    feed.detach()
    spin(lambda: texts(tree) == {own.owner: []})
    window.close()


def test_of_many_tasks_some_are_listed_and_all_are_counted(leases, spin, monkeypatch):
    """Each row costs the host's time. Those that are listed stay; where one ends, another takes its place."""
    monkeypatch.setattr(_monitor, "_MOST_ROWS", 3)
    own, _ = leases
    tasks = {own.create_task(listen()) for _ in range(5)}
    window = asyncslot.monitor()
    monitor = own.loop._as_monitor
    tree, _ = trees(window)
    owner = next(tree.topLevelItem(row) for row in range(2) if tree.topLevelItem(row).childCount())
    listed = set(monitor._places)
    assert (owner.childCount(), owner.text(2)) == (3, "5 tasks, 3 of them shown")
    spin(lambda: all(task._fut_waiter is not None for task in tasks))
    monitor._refresh()
    assert set(monitor._places) == listed
    (first, *_) = [task for task in tasks if id(task) in listed]
    first.cancel()
    spin(lambda: owner.text(2) == "4 tasks, 3 of them shown")
    assert len(set(monitor._places) & listed) == 2


def test_what_takes_long_to_show_is_shown_less_often(leases, monkeypatch):
    """A refresh is the host's time, of which the monitor takes a small share, however much there is to show."""
    from qtpy import QtCore

    monkeypatch.setattr(_monitor, "_SHARE", 1e-5)
    [timer] = asyncslot.monitor().findChildren(QtCore.QTimer)
    assert timer.interval() > _monitor._PERIOD_MS


@pytest.mark.skipif(not hasattr(asyncio.Task, "get_name"), reason="tasks have no names before Python 3.8")
def test_the_button_cancels_the_selected_task_of_another_plug_in(leases, spin):
    """With the mouse: the row, then the button, which is off while no task is selected."""
    own, feed = leases
    kept, wanted = own.create_task(listen(), name="kept"), feed.create_task(listen(), name="wanted")
    spin(lambda: kept._fut_waiter and wanted._fut_waiter)
    window = asyncslot.monitor()
    assert not button(window).isEnabled()
    click_task(window, "feed")
    assert not button(window).isEnabled()
    click_task(window, "wanted")
    assert button(window).isEnabled()
    click(button(window))
    spin(wanted.done)
    assert wanted.cancelled()
    assert not kept.done()
    spin(lambda: texts(trees(window)[0]) == {own.owner: ["kept"], "feed": []})
    assert not button(window).isEnabled()
    window.close()


def test_nothing_is_measured_before_and_after(leases, spin):
    """The loop's way in is the loop's own again, whoever closes the window."""
    loop = leases[0].loop
    assert not is_measured(loop)
    window = asyncslot.monitor()
    assert is_measured(loop)
    window.close()
    assert not is_measured(loop)
    assert is_gone(window)
    assert leases[0].detach().closed == []


def test_a_second_call_raises_the_first_window(leases):
    """There is one for each loop, and after it was closed there can be another."""
    first = asyncslot.monitor()
    assert asyncslot.monitor() is first
    first.close()
    second = asyncslot.monitor()
    assert second is not first
    second.close()


def test_in_a_main_window_it_is_a_dock(leases, main_window, spin):
    """Closed by its own button, it is closed for good."""
    from qtpy import QtCore, QtWidgets

    dock = asyncslot.monitor(main_window)
    assert isinstance(dock, QtWidgets.QDockWidget)
    spin(dock.isVisible)
    close = dock.findChild(QtWidgets.QAbstractButton, "qt_dockwidget_closebutton")
    QtCore.QTimer.singleShot(0, lambda: click(close))  # within Qt's loop, as a user does
    spin(lambda: not is_measured(leases[0].loop))
    spin(lambda: not main_window.findChildren(QtWidgets.QDockWidget))


def test_behind_another_dock_it_is_not_updated_and_not_closed(leases, main_window, spin):
    """Its timer runs only while it can be seen."""
    from qtpy import QtCore, QtWidgets

    dock = asyncslot.monitor(main_window)
    [timer] = dock.findChildren(QtCore.QTimer)
    other = QtWidgets.QDockWidget("other", main_window)
    main_window.tabifyDockWidget(dock, other)
    spin(timer.isActive)
    other.raise_()
    spin(lambda: not timer.isActive())
    assert is_measured(leases[0].loop)
    dock.raise_()
    spin(timer.isActive)
    dock.close()


def test_the_parent_is_the_hosts_by_default(leases, host, main_window):
    """The adapter knows it."""
    host.gui_parent = lambda: main_window
    dock = asyncslot.monitor()
    assert dock.parentWidget() is main_window
    dock.close()


def test_it_ends_with_the_lease_of_who_opened_it(leases, spin):
    """Not with another's; and the report tells of it, as of anything that was left open."""
    own, feed = leases
    window = asyncslot.monitor()
    assert feed.detach().closed == []
    assert window.isVisible()
    report = own.detach()
    assert report.closed == ["task monitor"]
    assert is_gone(window)


def test_nothing_of_it_is_left(leases, spin):
    """Neither Qt's objects nor ours, once Qt's loop has come round."""
    from qtpy import QtCore

    own, _ = leases
    gone = []
    asyncslot.monitor().destroyed.connect(lambda *_: gone.append(True))
    left = weakref.ref(own.loop._as_monitor)
    QtCore.QTimer.singleShot(0, own.detach)  # within Qt's loop, which deletes what it was told to when it comes round
    spin(lambda: gone)
    gc.collect()
    assert left() is None


def test_opened_by_nobody_it_ends_with_the_last_lease(attach_as, host, windows):
    """From a console, say."""
    one, other = attach_as("one", host=host), attach_as("other", host=host)
    loop = one.loop
    window = asyncslot.monitor()
    assert one.detach().closed == []
    assert is_measured(loop)
    assert other.detach().closed == ["task monitor"]
    assert is_gone(window)


def test_it_can_be_closed_by_a_task(leases, spin):
    """That is, inside a step that is being measured."""
    own, _ = leases
    window = asyncslot.monitor()

    async def close():
        await asyncio.sleep(0)
        window.close()
        await asyncio.sleep(0)
        return is_measured(own.loop)

    task = own.create_task(close())
    spin(task.done)
    assert task.result() is False


def test_with_its_parent_gone_another_can_be_opened(leases, spin):
    """Qt has deleted the first one with its parent."""
    from qtpy import QtWidgets

    parent = QtWidgets.QMainWindow()
    first = asyncslot.monitor(parent)
    gone = []
    first.destroyed.connect(lambda: gone.append(True))
    parent.deleteLater()
    del parent
    spin(lambda: gone)
    second = asyncslot.monitor()
    assert second is not first
    second.close()
    assert not is_measured(leases[0].loop)


def test_in_a_program_that_owns_its_application(app, windows, spin):
    """Without any lease; it is closed when the loop is left."""
    with asyncslot.AsyncSlotEventLoop() as loop:
        task = loop.create_task(listen())
        window = asyncslot.monitor()
        tree, _ = trees(window)
        spin(lambda: list(texts(tree)) == ["(nobody)"])
        task.cancel()
        spin(lambda: texts(tree) == {})
    spin(lambda: is_gone(window))
    loop.close()


def test_a_monitor_that_fails_is_closed_and_reported(leases, host, spin, monkeypatch):
    """And no more than that: raised in a slot, PyQt would end the process."""
    window = asyncslot.monitor()
    monkeypatch.setattr(Watch, "columns", lambda self: [])
    spin(lambda: host.reports)
    assert host.reports == [("asyncslot: the task monitor has failed, and was closed", ValueError)]
    assert not is_measured(leases[0].loop)
    assert is_gone(window)


def test_without_a_loop_there_is_nothing_to_show(app):
    """And the error says what to do."""
    with pytest.raises(asyncslot.NoLoopError, match=r"monitor\(\)"):
        asyncslot.monitor()


def test_a_slot_that_blocks_is_named(leases, spin):
    """Its first step runs inside the emission, and takes its frames there."""
    own, _ = leases
    window = asyncslot.monitor()

    async def block():
        time.sleep(0.05)  # noqa: ASYNC251 - that is the fault

    own.slot(block)()
    _, lost = trees(window)
    spin(lambda: rows_of(lost, "block"))
    (row,) = rows_of(lost, "block")
    assert int(row.text(1)) >= 50
    assert int(row.text(2)) >= 3
    assert "block, its first step" in row.text(3)
    window.close()


def test_a_callback_that_blocks_is_named(leases, spin):
    """By the loop, which knows whom it was calling when the step's budget was over."""
    own, _ = leases
    window = asyncslot.monitor()

    async def block():
        await asyncio.sleep(0)
        time.sleep(0.05)  # noqa: ASYNC251 - that is the fault

    own.create_task(block())
    _, lost = trees(window)
    spin(lambda: rows_of(lost, "block"))
    window.close()


def test_what_it_shows_is_also_there_in_words(leases, spin):
    """For who sees no colours, or nothing."""
    from qtpy import QtWidgets

    window = asyncslot.monitor()
    labels = {label.accessibleName(): label for label in window.findChildren(QtWidgets.QLabel)}
    strip = labels["The longest step in each tenth of a second"]
    assert "steps/s" in strip.accessibleDescription()
    assert "frames lost to 0 callbacks" in strip.accessibleDescription()
    window.close()


# -- on a screen

REAL = """
import os, subprocess
from qtpy import QtCore, QtWidgets
app = QtWidgets.QApplication([])
import asyncio, asyncslot

lease = asyncslot.attach("plugin")

async def listen():
    await lease.loop.create_future()

task = lease.create_task(listen(), name="listening")
window = asyncslot.monitor()
window.move(0, 0)
tree = [each for each in window.findChildren(QtWidgets.QTreeWidget) if each.accessibleName() == "Tasks by owner"][0]
[button] = [each for each in window.findChildren(QtWidgets.QPushButton) if each.text() == "Cancel task"]

async def play():
    while not window.windowHandle() or not window.windowHandle().isExposed():
        await asyncio.sleep(0.05)
    await click(tree.viewport(), tree.visualItemRect(tree.topLevelItem(0).child(0)).center())
    while not button.isEnabled():
        await asyncio.sleep(0.05)
    await click(button, button.rect().center())
    await asyncio.wait([task])
    window.close()
    app.quit()

async def click(widget, position):
    point = widget.mapToGlobal(position)
    where = ["mousemove", str(point.x()), str(point.y()), "click", "1"]
    process = await asyncio.create_subprocess_exec("xdotool", *where)
    assert await process.wait() == 0

driver = asyncslot.attach("user").create_task(play())
(app.exec if hasattr(app, "exec") else app.exec_)()
print("cancelled" if task.cancelled() else task, driver)
"""


@pytest.mark.slow
def test_a_real_mouse_cancels_a_task(run_python, host_missing, monkeypatch):
    """On an X server, where a window must be mapped and lie where it says to be clicked."""
    scripts = Path(__file__).resolve().parents[2] / "scripts"
    monkeypatch.syspath_prepend(str(scripts))
    from lib import hosts

    if shutil.which("xdotool") is None or shutil.which("Xvfb") is None:
        host_missing("xdotool or Xvfb is not installed (Debian: apt-get install xvfb xdotool)")
    with hosts.lasting_display() as variables:
        done = run_python(REAL, env={"QT_QPA_PLATFORM": "xcb", **variables})
    assert done.stdout.startswith("cancelled"), done.stdout + done.stderr

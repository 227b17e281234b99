"""The adapters of hosts that cannot run here, each in a stand-in made from the stubs of its host.

The stand-in takes what the real host takes, as far as the stubs know (stand_ins.py), and Qt is a real one. What no
stub tells is how a host behaves; stand_ins_actors.py plays that as the hosts' references have it.
"""

import asyncio
import functools
import gc
import importlib
import sys
import threading

import pytest
from asyncslot.host_adapters import _qt

import asyncslot
from asyncslot import host_adapters
from stand_ins import HOSTS, NoStubs, World
from stand_ins_actors import Ida, Maya, Nuke, enter


@pytest.fixture(params=HOSTS)
def actor(request, monkeypatch, app):
    """One host's stand-in, with its GUI up, and its adapter as `.adapter`."""
    from qtpy import QtWidgets

    window = QtWidgets.QMainWindow()
    try:
        actor = enter(request.param, window, monkeypatch)
    except NoStubs as exc:
        pytest.skip(str(exc))
    yield actor
    window.setObjectName("")  # whoever looks for the next one must not find this


@pytest.fixture
def quitting(monkeypatch, app):
    """A function that plays the end of Qt: `aboutToQuit` is emitted, and the application lives on for other tests."""
    from qtpy import QtCore

    class Application(QtCore.QObject):
        aboutToQuit = QtCore.Signal()

    application = Application()
    core = sys.modules[QtCore.QObject.__module__]

    class Core:
        QObject, QEvent, QThread = core.QObject, core.QEvent, core.QThread

        class QCoreApplication:
            postEvent = core.QCoreApplication.postEvent
            instance = staticmethod(lambda: application)

    for host in HOSTS:
        adapter = importlib.import_module(f"asyncslot.host_adapters.{host}")
        monkeypatch.setattr(adapter, "qt_core", lambda: Core)
    return application.aboutToQuit.emit


def error():
    try:
        raise ValueError("spoilt")
    except ValueError as exc:
        return exc


# -- the stand-ins ------------------------------------------------------------


WRONG = {
    "a function that Maya lacks": ("maya", "from maya import cmds; cmds.progressBars()", AttributeError),
    "a flag that progressBar lacks": (
        "maya",
        "from maya import cmds; cmds.progressBar('x', endProgres=True)",
        TypeError,
    ),
    "a flag of another mode": ("maya", "from maya import cmds; cmds.progressBar('x', isCancelled=True)", TypeError),
    "nothing to execute": ("maya", "import maya.utils; maya.utils.executeDeferred()", TypeError),
    "a message for Maya's end": (
        "maya",
        "from maya.api.OpenMaya import MSceneMessage as m; m.kMayaExits",
        AttributeError,
    ),
    "a severity that Houdini lacks": ("houdini", "import hou; hou.severityType.Catastrophe", AttributeError),
    "a status that is no text": ("houdini", "import hou; hou.ui.setStatusMessage(3)", TypeError),
    "an argument that an operation lacks": (
        "houdini",
        "import hou; hou.InterruptableOperation('x', modal=True)",
        TypeError,
    ),
    "a member that a task lacks": ("nuke", "import nuke; nuke.ProgressTask('x').setTitle('y')", AttributeError),
    "progress that is no number": ("nuke", "import nuke; nuke.ProgressTask('x').setProgress('y')", TypeError),
    "a callback without a function": ("max3ds", "from pymxs import runtime as rt; rt.callbacks.addScript()", TypeError),
    "a message that is no text": ("ida", "import ida_kernwin; ida_kernwin.msg(3)", TypeError),
    "a task's member that is read-only": (
        "binary_ninja",
        "import binaryninja as b; b.BackgroundTask('x', True).cancelled = True",
        AttributeError,
    ),
    "a function that Painter lacks": (
        "substance_painter",
        "import substance_painter.logging as l; l.fatal('')",
        AttributeError,
    ),
    "an error without a text": ("substance_painter", "import substance_painter.logging as l; l.error()", TypeError),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_stand_in_refuses_what_the_host_lacks(monkeypatch, mistake):
    """Else a test against it would show nothing."""
    host, source, expected = WRONG[mistake]
    try:
        world = World(host)
    except NoStubs as exc:
        pytest.skip(str(exc))
    for name, module in world.modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(expected):
        exec(source)


# -- who is there ------------------------------------------------------------


def test_the_host_is_found_and_its_binding_is_the_loaded_one(actor, app):
    """With the GUI up, find() returns this host's adapter and no other; nothing of Qt is imported for that."""
    from qtpy import QtCore

    before = set(sys.modules)
    assert host_adapters.find() is actor.adapter
    assert host_adapters.find_batch_hint() is None
    assert actor.adapter.qt_core() is sys.modules[QtCore.QObject.__module__]
    assert {name for name in set(sys.modules) - before if name.startswith(("PyQt", "PySide"))} == set()


def test_without_its_gui_the_host_is_not_found(actor):
    """Its modules are loaded and its window is not there: find() returns None, and the batch modes have advice."""
    actor.start(is_gui=False)
    assert host_adapters.find() is None
    hint = host_adapters.find_batch_hint()
    if actor.has_batch:
        assert "no Qt loop runs" in hint
        assert "asyncio" in hint
    else:
        assert hint is None


def test_a_maya_that_is_not_initialized_is_in_batch_mode(actor):
    """In mayapy, maya.cmds is empty until maya.standalone.initialize() has been called."""
    if not isinstance(actor, Maya):
        pytest.skip("of Maya")
    sys.modules["maya.cmds"].__dict__["_sources"] = []
    assert "mayapy" in actor.adapter.batch()
    assert not actor.adapter.is_running()


def test_the_main_window_is_the_parent(actor, app):
    """By the host's own function, or as the widget that has the name or the class of the main window."""
    found = actor.adapter.gui_parent()
    # Nuke's class cannot be made here: its name has colons. IDA's is in test_adapter_ida.py.
    assert found is (None if isinstance(actor, (Nuke, Ida)) else actor.window)


# -- errors ------------------------------------------------------------------


def test_report_is_in_the_hosts_own_log(actor, app, capsys):
    """With its traceback, and whatever characters it has."""
    actor.adapter.report("my_plugin: <Task 'ü'> failed\nmore of it", error())
    [text] = actor.log
    assert text.startswith("my_plugin: <Task 'ü'> failed\nmore of it\n\nTraceback (most recent call last)")
    assert text.endswith("ValueError: spoilt\n")


def test_report_from_a_thread_is_logged_by_the_gui_thread(actor, app, spin, capsys):
    """Where the host has a function for that, by that; else by an event of Qt's."""
    threads = []
    log = actor.log
    for name, answer in list(actor.world.answers.items()):
        if name.rpartition(".")[2] in ("displayError", "log", "tprint", "logEntry", "error", "msg", "log_error"):
            actor.world.answers[name] = lambda *args, answer=answer, **kwargs: (
                threads.append(threading.current_thread()),
                answer(*args, **kwargs),
            )
    unhook = actor.adapter.on_quit(lambda: None)
    thread = threading.Thread(target=actor.adapter.report, args=("my_plugin: in a thread", error()))
    thread.start()
    thread.join(5)
    assert log == []
    actor.run_deferred()
    spin(lambda: log)
    unhook()
    assert threads == [threading.main_thread()]
    assert "ValueError: spoilt" in log[0]


def test_report_with_nothing_left_of_the_host_does_not_raise(actor, app, monkeypatch, capsys):
    """Its functions fail: the text goes to stderr, and without one nowhere."""

    def fail(*_args, **_kwargs):
        raise RuntimeError("Internal C++ object already deleted")

    actor.world.answers.update(dict.fromkeys(list(actor.world.answers), fail))
    for called in ("nuke._nuke.tprint", "nuke._nuke.error"):
        actor.world.answers[called] = fail
    actor.adapter.report("my_plugin: late", error())
    assert "my_plugin: late" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stderr", None)
    actor.adapter.report("my_plugin: into the void", error())


# -- the end -----------------------------------------------------------------


@pytest.mark.parametrize("order", ["host, Qt", "Qt, host", "Qt"])
def test_on_quit_calls_once(actor, quitting, order):
    """Whichever of the two hooks is first, and if the host's own is not called at all."""
    calls = []
    unhook = actor.adapter.on_quit(lambda: calls.append("quit"))
    assert bool(actor.quit_hooks) == actor.has_quit_hook
    for who in order.split(", "):
        {"host": actor.quit, "Qt": quitting}[who]()
    assert calls == ["quit"]
    unhook()


def test_after_unhook_nothing_is_called_and_nothing_is_left(actor, quitting):
    """A callback that is left in Maya when its plug-in is unloaded is a fatal error."""
    calls = []
    unhooks = [actor.adapter.on_quit(lambda: calls.append("quit")) for _ in range(3)]
    kept = list(actor.quit_hooks.values())
    for unhook in unhooks:
        unhook()
        unhook()
    assert actor.quit_hooks == {}
    for hook in kept:  # as if the host had not let go of it
        hook()
    quitting()
    assert calls == []
    assert not getattr(actor.adapter, "_relays", None)


@pytest.mark.parametrize("who", ["host", "Qt"])
def test_unhook_may_be_called_from_the_callback(actor, quitting, who):
    """As a lease does that ends with the host."""
    unhooks = []
    unhooks.append(actor.adapter.on_quit(lambda: unhooks[0]()))
    {"host": actor.quit, "Qt": quitting}[who]()
    unhooks[0]()
    assert actor.quit_hooks == {} or (who == "host" and not actor.has_quit_hook)


def test_on_quit_reports_what_the_callback_raises(actor, app, capsys):
    """An exception that goes back into a host ends it, or opens a dialog."""

    def fail():
        raise ValueError("spoilt")

    unhook = actor.adapter.on_quit(fail)
    if actor.has_quit_hook:
        actor.quit()
    else:
        app.aboutToQuit.emit()
    unhook()
    [text] = actor.log
    assert "ValueError: spoilt" in text


# -- progress ----------------------------------------------------------------


@pytest.fixture
def display(actor, app):
    """The host's own progress display, with `.cancelled`; nothing of it is left afterwards."""
    cancelled = []
    display = actor.adapter.progress("Tiles", lambda: cancelled.append(True))
    if not actor.has_progress:
        assert display is None
        pytest.skip("this host has no display of its own")

    class Handle:
        update, close = staticmethod(display.update), staticmethod(display.close)

    Handle.cancelled = cancelled
    Handle.display = display
    del display
    yield Handle
    Handle.close()
    del Handle.display, Handle.update, Handle.close
    gc.collect()
    assert actor.shown() is None


def test_progress_shows_fraction_and_text(actor, display, spin):
    """In the host's own units; and not inside update(), where the host may process events."""
    calls = len(actor.world.calls)
    display.update(0.25, "60 of 240")
    assert len(actor.world.calls) == calls
    spin(lambda: "60 of 240" in actor.shown()[1] and actor.shown()[0] == pytest.approx(0.25))
    display.update(None, "")
    spin(lambda: "60 of 240" not in actor.shown()[1])
    display.update(1.0, "")
    spin(lambda: actor.shown()[0] == pytest.approx(1.0))
    assert display.cancelled == []


def test_cancel_is_seen_while_nothing_is_updated(actor, display, spin):
    """The host has no event for it, so it is asked. Cancelled once, however long the user presses."""
    turns = (
        "maya.cmds.progressBar",
        "hou.InterruptableOperation.updateProgress",
        "nuke.ProgressTask.isCancelled",
        "binaryninja.BackgroundTask.cancelled",
    )
    actor.press_cancel()
    spin(lambda: display.cancelled)
    actor.press_cancel()
    calls = sum(len(actor.world.called(name)) for name in turns)
    spin(lambda: sum(len(actor.world.called(name)) for name in turns) > calls + 1)
    assert display.cancelled == [True]


def test_a_host_that_processes_events_does_not_call_itself(actor, display, spin):
    """The timer that tells it of progress fires inside, and must not be told again there."""
    from qtpy import QtCore

    depth, deepest = [], []

    def process_events(*args, answer, **kwargs):
        depth.append(None)
        deepest.append(len(depth))
        QtCore.QThread.msleep(_qt._TURN_MS + 10)
        QtCore.QCoreApplication.processEvents()
        depth.pop()
        return answer(*args, **kwargs)

    for name in (
        "maya.cmds.progressBar",
        "hou.InterruptableOperation.updateProgress",
        "nuke.ProgressTask.setMessage",
        "binaryninja.BackgroundTask.progress=",
    ):
        if name in actor.world.answers:
            answer = actor.world.answers[name]
            actor.world.answers[name] = functools.partial(process_events, answer=answer)
    display.update(0.5, "half")
    spin(lambda: len(deepest) >= 1)
    assert set(deepest) == {1}


def test_update_and_close_after_close_do_nothing(actor, display):
    """And after the host has taken its display away."""
    display.close()
    display.close()
    calls = len(actor.world.calls)
    display.update(0.5, "into the void")
    assert len(actor.world.calls) == calls
    assert display.cancelled == []


def test_a_display_that_the_host_took_away_can_be_updated_and_closed(actor, display, spin):
    """Its functions raise then."""
    calls = []

    def gone(*_args, **_kwargs):
        calls.append(None)
        raise RuntimeError("Object not found")

    kept = dict(actor.world.answers)
    actor.world.answers.update(dict.fromkeys(kept, gone))
    display.update(0.5, "into the void")
    spin(lambda: calls)
    display.close()
    actor.world.answers.update(kept)
    actor.take_away()


# -- the whole ---------------------------------------------------------------


def test_a_task_in_the_host_from_attach_to_detach(actor, spin, windows, capsys):
    """Found by attach(); progress with cancel; an exception in the host's log; the host's end detaches."""
    lease = asyncslot.attach("my_plugin")
    assert lease.host is actor.adapter
    steps = []

    async def work():
        async with lease.progress("Tiles", total=4) as progress:
            progress.advance()
            steps.append("shown")
            await asyncio.sleep(3600)

    async def fail():
        raise ValueError("spoilt")

    task = lease.create_task(work())
    spin(lambda: steps)
    if actor.has_progress:
        actor.press_cancel()
        spin(task.done)
        assert task.cancelled()
        gc.collect()
        assert actor.shown() is None
    lease.create_task(fail())
    spin(lambda: actor.log)
    assert "my_plugin" in actor.log[0]
    assert "ValueError: spoilt" in actor.log[0]
    if actor.has_quit_hook:
        actor.quit()
        assert not lease.is_attached
    lease.detach()
    assert task.done()
    assert actor.quit_hooks == {}

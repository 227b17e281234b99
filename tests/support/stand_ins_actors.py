"""How the hosts behave that have stand-ins: what no stub tells.

When a host calls, in which order it ends, what it shows. Written from the hosts' references, and to be seen in the
real ones; tests look at it through `log`, `shown()` and `quit_hooks`.
"""

import importlib
import re
import sys
import weakref

from stand_ins import World


class Actor:
    """How one host behaves. `log` has what its users would see, `quit_hooks` what its own hook for the end calls."""

    switch = None  # what tells whether there is a GUI, its answer if so, its answer if not
    has_batch = True
    has_progress = True
    has_quit_hook = False

    def __init__(self, world, window):
        self.world = world
        self.window = window
        self.log = []
        self.quit_hooks = {}
        self.deferred = []  # what other threads want done in the GUI thread
        self.play(world.answers)

    def play(self, answers):
        """Prepare the answers of the stand-in."""

    def start(self, is_gui=True):
        name, with_gui, without = self.switch
        self.world.answers[name] = with_gui if is_gui else without

    def quit(self):
        for hook in list(self.quit_hooks.values()):
            hook()

    def take_away(self):
        """End the progress display, whatever its owner does."""

    def run_deferred(self):
        while self.deferred:
            self.deferred.pop(0)()


class Maya(Actor):
    switch = ("maya.cmds.about", False, True)
    has_quit_hook = True
    bar = None
    is_cancelled = is_hidden = False

    def play(self, answers):
        answers["maya.mel.eval"] = "MainProgressBar"
        answers["maya.api.OpenMaya.MGlobal.displayError"] = self.log.append
        answers["maya.api.OpenMaya.MSceneMessage.addCallback"] = self.add
        answers["maya.api.OpenMaya.MMessage.removeCallback"] = self.quit_hooks.pop
        answers["maya.utils.executeDeferred"] = lambda call, *args: self.deferred.append(lambda: call(*args))
        answers["maya.cmds.progressBar"] = self.progress_bar

    def add(self, message, function):
        assert message is self.world.modules["maya.api.OpenMaya"].MSceneMessage.kMayaExiting
        identifier = len(self.world.calls)
        self.quit_hooks[identifier] = lambda: function(None)
        return identifier

    def progress_bar(self, name, query=False, **options):
        assert name == "MainProgressBar"
        if query:
            return self.is_hidden if "isObscured" in options else self.is_cancelled
        if options.pop("beginProgress", False):
            assert self.bar is None, "the bar is taken"
            self.bar = {}
        if options.pop("endProgress", False):
            self.bar, self.is_cancelled = None, False
        elif self.bar is not None:
            self.bar.update(options)
        return ""

    def shown(self):
        return None if self.bar is None else (self.bar["progress"] / self.bar["maxValue"], self.bar["status"])

    def take_away(self):
        self.bar = None

    def press_cancel(self):
        self.is_cancelled = True


class Houdini(Actor):
    switch = ("hou.isUIAvailable", True, False)
    fraction = None
    status = ""
    is_interrupted = False

    def play(self, answers):
        answers["hou.logging.log"] = lambda entry, source: self.log.append(self.entries[-1])
        answers["hou._logging_LogEntry.__init__"] = lambda entry, message, severity: self.entries.append(message)
        answers["hou.ui.setStatusMessage"] = self.set_status
        answers["hou.InterruptableOperation.__init__"] = self.init
        answers["hou.InterruptableOperation.__enter__"] = self.enter
        answers["hou.InterruptableOperation.__exit__"] = self.exit
        answers["hou.InterruptableOperation.updateProgress"] = self.update
        self.entries = []
        self.title = None

    def set_status(self, message, severity=None):
        self.status = message

    def init(self, operation, title, open_interrupt_dialog):
        assert not open_interrupt_dialog, "that one is modal"
        self.title = title

    def enter(self, operation):
        self.fraction = -1.0
        return operation

    def exit(self, operation, *exc_info):
        self.fraction = None

    def update(self, operation, fraction):
        self.fraction = fraction
        if self.is_interrupted:
            self.is_interrupted = False  # told once
            raise self.world.modules["hou"].OperationInterrupted()

    def shown(self):
        return None if self.fraction is None else (self.fraction, self.status)

    def take_away(self):
        self.fraction = None

    def press_cancel(self):
        self.is_interrupted = True


class Nuke(Actor):
    def play(self, answers):
        self.tasks = []
        answers["nuke._nuke.tprint"] = self.log.append
        answers["nuke.executeInMainThread"] = lambda call, args: self.deferred.append(lambda: call(*args))
        answers["nuke.ProgressTask.__init__"] = self.init
        answers["nuke.ProgressTask.setProgress"] = lambda task, percent: self.set(0, percent)
        answers["nuke.ProgressTask.setMessage"] = lambda task, message: self.set(1, message)
        answers["nuke.ProgressTask.isCancelled"] = lambda task: self.tasks[-1][3]

    def start(self, is_gui=True):
        self.world.modules["nuke"].GUI = is_gui

    def init(self, task, name):
        self.tasks.append([0, name, weakref.ref(task), False])

    def set(self, index, value):
        self.tasks[-1][index] = value

    def shown(self):
        self.tasks = [task for task in self.tasks if task[2]() is not None]
        return (self.tasks[-1][0] / 100, self.tasks[-1][1]) if self.tasks else None

    def press_cancel(self):
        self.tasks[-1][3] = True


class Max3ds(Actor):
    switch = ("pymxs._MaxOps.isInNonInteractiveMode", False, True)
    has_progress = False
    has_quit_hook = True

    def play(self, answers):
        answers["pymxs._LogSystem.logEntry"] = lambda system, text, error: self.log.append(text)
        answers["pymxs._Runtime.Name"] = lambda runtime, name: name
        answers["pymxs._Callbacks.addScript"] = self.add
        answers["pymxs._Callbacks.removeScripts"] = lambda callbacks, event, id: self.quit_hooks.pop(id)

    def add(self, callbacks, event, script, id):
        assert event == "preSystemShutdown"
        assert script.__code__.co_argcount == 0
        self.quit_hooks[id] = script


class Ida(Actor):
    switch = ("ida_kernwin.is_idaq", True, False)
    has_progress = False
    has_quit_hook = True

    def play(self, answers):
        api = self.world.modules["ida_idaapi"]
        api.NW_TERMIDA, api.NW_REMOVE = 8, 16
        answers["ida_kernwin.msg"] = self.log.append
        answers["ida_idaapi.notify_when"] = self.notify_when

    def notify_when(self, when, callback):
        if when & 16:
            return self.quit_hooks.pop(callback, None) is not None
        assert when == 8
        self.quit_hooks[callback] = lambda: callback(8)
        return True


class BinaryNinja(Actor):
    switch = ("binaryninja.core_ui_enabled", True, False)
    text = None
    is_cancelled = False

    def play(self, answers):
        answers["binaryninja.log_error"] = self.log.append
        answers["binaryninja.BackgroundTask.__init__"] = lambda task, text, can_cancel: self.set(text)
        answers["binaryninja.BackgroundTask.progress="] = self.set
        answers["binaryninja.BackgroundTask.finish"] = lambda task: self.set(None)
        answers["binaryninja.BackgroundTask.cancelled"] = lambda: self.is_cancelled
        answers["binaryninjaui.UIContext.mainWindow"] = self.window

    def set(self, text):
        self.text = text

    def shown(self):
        if self.text is None:
            return None
        share = re.search(r"(\d+) %", self.text)
        return (int(share.group(1)) / 100 if share else None, self.text)

    def take_away(self):
        self.text = None

    def press_cancel(self):
        self.is_cancelled = True


class SubstancePainter(Actor):
    has_batch = False
    has_progress = False

    def play(self, answers):
        answers["substance_painter.logging.error"] = self.log.append

    def start(self, is_gui=True):
        self.world.answers["substance_painter.ui.get_main_window"] = self.window if is_gui else None


ACTORS = {
    "maya": Maya,
    "houdini": Houdini,
    "nuke": Nuke,
    "max3ds": Max3ds,
    "ida": Ida,
    "binary_ninja": BinaryNinja,
    "substance_painter": SubstancePainter,
}


def enter(host, window, monkeypatch):
    """Return the actor of a host whose stand-ins are in sys.modules from now on, with its GUI up.

    Args:
        host: the name of its adapter, which is the actor's `adapter`.
        window: a QMainWindow, for its main window.

    Raises: NoStubs.
    """
    world = World(host)
    for name, module in world.modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    world.answers["hou.qt.mainWindow"] = world.answers["qtmax.GetQMaxMainWindow"] = window
    window.setObjectName("MayaWindow")
    actor = ACTORS[host](world, window)
    actor.adapter = importlib.import_module(f"asyncslot.host_adapters.{host}")
    actor.start()
    return actor

"""Stories: what Qt calls, one after the other, while coroutines sit in dialogs.

A story is a generator of plain code. At each `yield` it waits, with Qt's loop running, until what it yields (a
function) is true; `tell()` runs it in the place of the host. What it opens is a `Nest`, a nested Qt loop of one kind or
another, and its plug-ins are modules of packages of their own (`plugin()`), each with a host that keeps what it is told
to report.
"""

import importlib
import linecache
import sys
import types
from pathlib import Path

import patience

NESTS = ["QDialog.exec()", "QEventLoop.exec()", "processEvents()"]

# In a process of its own: run_python(IN_A_PROCESS + source).
IN_A_PROCESS = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import asyncio
from qtpy import QtCore, QtWidgets
import asyncslot
from stories import Nest, later, plugin, run_qt, tell
app = QtWidgets.QApplication([])
"""

_open = []  # the nests, outermost first
_tellers = []  # who tells the story, while there is one

# A library that is nobody's, through which plug-ins call asyncio.
library = types.ModuleType("library")
exec(
    """
def call_later(loop, callback, *args):
    return loop.call_later(0.001, callback, *args)

def create_task(loop, coro):
    return loop.create_task(coro)
""",
    vars(library),
)


def run_qt(qt_loop):
    """Call exec(), as this binding spells it."""
    return (getattr(qt_loop, "exec", None) or qt_loop.exec_)()


def later(function, *args):
    """Have Qt call a function in its next turn, as it calls a plain slot."""
    from qtpy import QtCore

    QtCore.QTimer.singleShot(0, lambda: function(*args))


class Nest:
    """A nested Qt loop: open() returns when close() has been called.

    Attributes:
        is_open: it runs, or one that was opened in it does.
        is_over: open() has returned.
    """

    def __init__(self, kind="QDialog.exec()"):
        self._kind = kind
        self._close = lambda: None
        self.is_open = self.is_over = False

    def open(self):
        from qtpy import QtCore, QtWidgets

        self.is_open = True
        _open.append(self)
        try:
            if self._kind == "QDialog.exec()":
                dialog = QtWidgets.QDialog()
                self._close = dialog.accept
                run_qt(dialog)
            elif self._kind == "QEventLoop.exec()":
                qt_loop = QtCore.QEventLoop()
                self._close = qt_loop.quit
                run_qt(qt_loop)
            else:
                while self.is_open:
                    QtCore.QCoreApplication.processEvents(QtCore.QEventLoop.AllEvents, 5)
        finally:
            _open.remove(self)
            self.is_open, self.is_over = False, True

    def close(self):
        self.is_open = False
        self._close()


class Host:
    """An adapter that keeps what it is told to report, and quits when it is told to."""

    NAME = "Story"

    def __init__(self):
        self.reports = []
        self._on_quit = []

    def is_running(self):
        return True

    def qt_core(self):
        from qtpy import API_NAME

        return importlib.import_module(f"{API_NAME}.QtCore")

    def gui_parent(self):
        return None

    def on_quit(self, callback):
        self._on_quit.append(callback)
        return lambda: self._on_quit.remove(callback) if callback in self._on_quit else None

    def quit(self):
        for callback in list(self._on_quit):
            callback()

    def report(self, message, exc):
        self.reports.append((message, exc))

    def progress(self, title, cancel):
        return None


def plugin(name):
    """Return a plug-in: what plugin_body.py says, as a module of the package `name`, with a host of its own."""
    path = Path(__file__).with_name("plugin_body.py")
    module = types.ModuleType(f"{name}.module")
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))
    module.host = Host()
    return module


def leave():
    """End the story, from a coroutine on the stack or from the story itself: Qt's loop ends when that has unwound."""
    _tellers[-1].leave()


def tell(story, app=None):
    """Run a story to its end with Qt's loop; raise what it raises, and what anybody has let out into Qt.

    With its last line Qt's loop ends, too; what is on the stack then has unwound when this returns.

    Args:
        app: an application to run, as a host does; the story quits it in a way of its own.
    """
    from qtpy import QtCore

    qt_loop, clock, limit = app or QtCore.QEventLoop(), QtCore.QTimer(), QtCore.QTimer()
    teller = _Teller(story, qt_loop.quit, quits_itself=app is not None)
    clock.timeout.connect(teller.go_on)
    limit.timeout.connect(teller.give_up)
    hook, sys.excepthook = sys.excepthook, teller.note_escaped  # with another one than Python's PyQt does not abort
    _tellers.append(teller)
    try:
        clock.start(1)
        limit.start(int(patience.FOR_THE_LOOP * 1000))
        run_qt(qt_loop)
    finally:
        _tellers.remove(teller)
        clock.stop()
        limit.stop()
        sys.excepthook = hook
    if teller.error is not None:
        raise teller.error
    assert teller.escaped == [], f"this went out into Qt: {teller.escaped}"
    assert teller.is_over, "something has ended the Qt loop in which the story is told"


class _Teller:
    def __init__(self, story, leave_qt, quits_itself):
        self._story = story
        self._leave_qt = leave_qt
        self._quits_itself = quits_itself
        self._may_go_on = None
        self.is_over = False
        self.error = None
        self.escaped = []

    def go_on(self):
        """Tell what comes next, if that is due."""
        if self.is_over:
            if _open and (self.error or _open[-1].is_open):
                self.error = self.error or AssertionError("the story is over, and a nested loop is still open")
                _open[-1].close()
            if self.error is not None or not self._quits_itself:
                self._leave_qt()
        elif not self._story.gi_running:
            try:
                if self._may_go_on is None or self._may_go_on():
                    self._may_go_on = next(self._story)
            except StopIteration:
                self.leave()
            except BaseException as exc:
                self._end(exc)

    def leave(self):
        self.is_over = True
        if self.error is not None or not self._quits_itself:
            self._leave_qt()

    def give_up(self):
        if self.is_over:
            self._end(AssertionError("the story is over, and the application has not quit"))
        else:
            inner = self._story
            while getattr(inner, "gi_yieldfrom", None) is not None:
                inner = inner.gi_yieldfrom
            code, line = inner.gi_code, inner.gi_frame.f_lineno
            source = linecache.getline(code.co_filename, line).strip()
            self._end(AssertionError(f"the story stands still at line {line}: {source}"))

    def note_escaped(self, kind, exc, traceback):
        self.escaped.append(exc)

    def _end(self, exc):
        if self.escaped:
            exc = AssertionError(f"{exc!r}; and this went out into Qt: {self.escaped}")
        self.error = self.error or exc
        self.leave()


def beats(*plugins, count=3):
    """Return what is true when the tasks of all these plug-ins have run some times more."""
    goals = [(plugin, plugin.beats + count) for plugin in plugins]
    return lambda: all(plugin.beats >= goal for plugin, goal in goals)


def goes_on(ran):
    """Return what is true when something has run some times more."""
    goal = len(ran) + 3
    return lambda: len(ran) >= goal


def has_ended(ran, clock):
    """Part of a story: look whether something runs while the tasks of a plug-in that is there do."""
    before = len(ran)
    yield beats(clock, count=10)
    assert len(ran) == before, "it goes on"


def opening(stack):
    """Part of a story (`nests = yield from`): open nested loops inside each other.

    Args:
        stack: for each, outermost first, the plug-in, which of its code opens it ("plain", or what
            plugin_body.open_in() takes) and its kind.
    """
    nests = []
    for plugin, how, kind in stack:
        nest = Nest(kind)
        plugin.open_in(how, nest)
        yield lambda nest=nest: nest.is_open
        nests.append(nest)
    return nests


def closing(nests):
    """Part of a story: close nested loops, the innermost first."""
    for nest in reversed(nests):
        nest.close()
        yield lambda nest=nest: nest.is_over


def turns(count):
    """Part of a story: let Qt's loop turn some times, for something of which nothing is to be seen."""
    for _ in range(count):
        yield lambda: True

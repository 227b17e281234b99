"""The host of the soak: a Qt application that plug-ins are loaded into, and the adapter for it.

What happens in the host is a generator, run inside `app.exec()`: each time it yields, Qt's loop runs until somebody
calls `go_on()`. So plug-ins are loaded and unloaded where a host does it, in a slot, and what they leave to Qt
(deleteLater) is done by the loop in which it was asked for.

It also keeps the complaints: what asyncio logs, what cannot be raised, what plug-ins report and should not. And, for
the test of the soak itself, it makes leaks on purpose.
"""

import asyncio
import ctypes
import faulthandler
import gc
import logging
import os
import subprocess
import sys
import threading
import types
import warnings

from qtpy import QtCore, QtWidgets

from lib.soak.clock import FastQtCore

# Seconds without progress after which the run has failed.
STUCK = 60


class Sender(QtCore.QObject):
    """Something of the host's that plug-ins listen to."""

    number = QtCore.Signal(int)
    text = QtCore.Signal(str)
    nothing = QtCore.Signal()


class Host(logging.Handler):
    """The host, its adapter, and everything that is complained of.

    Attributes:
        sender: a QObject that outlives every plug-in.
        complaints: the first few, as text; `complaint_count` is how many there were.
        expected: beginnings of reports that are wanted, by how often each has come.
    """

    NAME = "soak"

    def __init__(self, leak=None):
        super().__init__()
        self.app = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["soak"])
        self.app.setQuitOnLastWindowClosed(False)
        self.sender = Sender()
        self.complaints = []
        self.complaint_count = 0
        self.expected = {}
        self._qt_core = sys.modules[QtCore.QObject.__module__]
        self._leak = LEAKS[leak] if leak else None
        self._kept = []
        self._program = None
        self._failure = None
        self._resume = self._timer(self._turn)
        self._watch = self._timer(self._stuck)
        logging.getLogger().addHandler(self)
        logging.getLogger().setLevel(logging.WARNING)
        logging.captureWarnings(True)
        warnings.simplefilter("always")
        sys.unraisablehook = lambda what: self.complain(f"unraisable: {what.exc_value!r} in {what.object!r}")

    # -- running -------------------------------------------------------------

    def run(self, program):
        """Run a generator inside `app.exec()`; raise what it raises."""
        self._program = program
        self._resume.start(0)
        (getattr(self.app, "exec", None) or self.app.exec_)()
        if self._failure is not None:
            raise self._failure

    def go_on(self, *_):
        """Let the generator go on, in a turn of its own."""
        self._resume.start(0)

    def wait(self, condition):
        """Let Qt's loop run until a condition holds; whoever may make it hold calls go_on()."""
        while not condition():
            yield

    def turns(self, count=5):
        """Let Qt's loop take some turns."""
        for _ in range(count):
            self.go_on()
            yield

    def leak(self, number):
        """Make the leak that was asked for, if any."""
        if self._leak is not None:
            self._kept.append(self._leak(self, number))

    def _timer(self, slot):
        timer = QtCore.QTimer(self.app)
        timer.setSingleShot(True)
        timer.timeout.connect(slot)
        return timer

    def _turn(self):
        self._watch.start(STUCK * 1000)
        try:
            next(self._program)
        except StopIteration:
            self.app.quit()
        except BaseException as exc:
            self.fail(exc)

    def fail(self, exc):
        """End the run, which then raises this."""
        self._failure = exc
        self.app.quit()

    def _stuck(self):
        faulthandler.dump_traceback(all_threads=True)
        for thing in gc.get_objects():
            if isinstance(thing, asyncio.Task) and not thing.done():
                thing.print_stack()
        self.fail(RuntimeError(f"nothing has happened for {STUCK} s"))

    def make_sender(self):
        """Return a sender for a plug-in, which the application deletes if the plug-in does not."""
        return Sender(self.app)

    # -- complaints ----------------------------------------------------------

    def expect(self, beginning):
        """Take reports that begin like this for granted, from now on."""
        self.expected.setdefault(beginning, 0)

    def complain(self, text):
        """Note a complaint."""
        self.complaint_count += 1
        if len(self.complaints) < 10:
            self.complaints.append(text)

    def emit(self, record):
        """Take a log record; logging.Handler's method."""
        self.complain(self.format(record))

    # -- the adapter ---------------------------------------------------------

    def is_running(self):
        """Return True."""
        return True

    def qt_core(self):
        """Return QtCore itself, and not QtPy's view of it; in part c, one with a faster QTimer."""
        return self._qt_core

    def speed_up(self, factor):
        """Have the loop's timers run `factor` times as fast."""
        self._qt_core = FastQtCore(self._qt_core, factor)

    def gui_parent(self):
        """Return None: there is no window."""
        return None

    def on_quit(self, callback):
        """As the adapter for plain Qt does it."""
        self.app.aboutToQuit.connect(callback)
        return lambda: self.app.aboutToQuit.disconnect(callback)

    def report(self, message, exc):
        """Count what was expected, and take the rest for a complaint."""
        for beginning in self.expected:
            if message.startswith(beginning):
                self.expected[beginning] += 1
                return
        self.complain(f"reported: {message} {exc!r}")

    def progress(self, title, cancel):
        """Return None: there is no place for it."""
        return None


def _leak_child(host, _):
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # so that it is a zombie by now
    return child


def _leak_thread(host, _):
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()
    return thread


def _leak_module(host, number):
    sys.modules[f"soak_leak_{number}"] = types.ModuleType("soak_leak")


# What the soak must find: one more after each cycle. The plural ones are for short runs, whose resolution is coarser.
LEAKS = {
    "objects": lambda host, _: [object() for _ in range(10)],
    "containers": lambda host, _: [[] for _ in range(10)],
    "memories": lambda host, _: ctypes.CDLL(None).malloc(4000),
    "object": lambda host, _: object(),
    "container": lambda host, _: [],
    "memory": lambda host, _: ctypes.CDLL(None).malloc(64),
    "pages": lambda host, _: bytearray(b"x") * 8192,
    "descriptor": lambda host, _: os.open(os.devnull, os.O_RDONLY),
    "thread": _leak_thread,
    "child": _leak_child,
    "QObject": lambda host, _: QtCore.QTimer(host.app),
    "module": _leak_module,
    "complaint": lambda host, number: host.report(f"a complaint, number {number}", None),
}

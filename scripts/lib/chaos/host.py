"""The process in which the chaos program's plug-ins live: Qt, timers that can be entered again, and all complaints.

It is made once in a process, and serves one seed after the other. What is complained of (logged, warned of, written to
stderr, raised into Qt or where nobody can catch it) is handed to whoever listens.
"""

import gc
import logging
import os
import sys
import threading
import warnings

from qtpy import API_NAME, QtCore, QtWidgets

from lib.chaos.checks import where

# What Qt says of its own offscreen platform.
HARMLESS = ("This plugin does not support",)


class Sender(QtCore.QObject):
    """Something of the host's that plug-ins listen to."""

    number = QtCore.Signal(int)
    text = QtCore.Signal(str)


class QtThread(QtCore.QThread):
    """A QThread that calls a function."""

    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def run(self):
        """Be called by Qt."""
        self.fn()


class Host(logging.Handler):
    """The application, and everything that is complained of.

    Attributes:
        listener: takes complaints: `find(kind, text)` and `on_report(message, exc, adapter)`.
    """

    def __init__(self):
        super().__init__()
        self.app = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["chaos"])
        self.app.setQuitOnLastWindowClosed(False)
        self.is_pyside = API_NAME.startswith("PySide")
        self.qt_core = sys.modules[QtCore.QObject.__module__]
        self.listener = None
        self._all_timers = []
        self._timers = []  # those that are free
        self._stderr_seen = 0
        root = logging.getLogger()
        root.addHandler(self)
        root.setLevel(logging.WARNING)
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=PendingDeprecationWarning)
        warnings.showwarning = self._on_warning
        sys.excepthook = self._on_exception
        sys.unraisablehook = self._on_unraisable
        threading.excepthook = self._on_thread_exception

    # -- Qt ------------------------------------------------------------------

    def after(self, delay_ms, fn):
        """Have Qt call a function later, from whichever of its loops runs then, also from within such a call.

        A QTimer that is still in its own slot does not fire again, so each has one to itself.
        """
        if not self._timers:
            timer = _Timer(self.app)
            self._all_timers.append(timer)
        else:
            timer = self._timers.pop()
        timer.start(delay_ms, lambda: self._call(fn), self._timers)

    def _call(self, fn):
        try:
            fn()
        except Exception as exc:
            self.listener.find("the chaos program fails", f"{exc!r} in {where(exc)}")
            self.app.quit()

    def exec_app(self):
        """Run the application."""
        run(self.app)

    def settle(self):
        """Let Qt do what it has been asked for."""
        for _ in range(3):
            self.app.processEvents()
            self.app.sendPostedEvents(None, event_type("DeferredDelete"))
        gc.collect()
        self.app.sendPostedEvents(None, event_type("DeferredDelete"))
        self.app.processEvents()

    # -- complaints ----------------------------------------------------------

    def emit(self, record):
        """Take a log record; logging.Handler's method."""
        exc = record.exc_info[1] if record.exc_info else None
        self.listener.on_report(record.getMessage(), exc, None)

    def _on_warning(self, message, category, filename, lineno, *_):
        self.listener.find(f"warning: {category.__name__}", f"{message} ({os.path.basename(filename)}:{lineno})")

    def _on_exception(self, kind, exc, traceback):
        self.listener.find("raised into Qt", f"{exc!r} in {where(exc)}")

    def _on_unraisable(self, what):
        self.listener.find("unraisable", f"{what.exc_value!r} in {what.object!r}: {what.err_msg}")

    def _on_thread_exception(self, what):
        name = what.thread.name if what.thread else "?"
        self.listener.find("raised in a thread", f"{what.exc_value!r} in {name}")

    def read_stderr(self):
        """Return the lines that have come to stderr since the last call; it must be a file."""
        sys.stderr.flush()
        with open("/proc/self/fd/2", "rb") as file:
            file.seek(self._stderr_seen)
            data = file.read()
        self._stderr_seen += len(data)
        lines = data.decode("utf-8", "replace").splitlines()
        return [line for line in lines if line.strip() and not line.startswith(HARMLESS)]


class Adapter:
    """The host's, one for each plug-in."""

    NAME = "chaos"

    def __init__(self, world, name):
        self._world = world
        self.name = name

    def is_running(self):
        """Return True."""
        return True

    def qt_core(self):
        """Return QtCore itself, and not QtPy's view of it."""
        return self._world.host.qt_core

    def gui_parent(self):
        """Return None: there is no window."""
        return None

    def on_quit(self, callback):
        """As the adapter for plain Qt does it; the chaos program keeps the application."""
        app = self._world.host.app
        app.aboutToQuit.connect(callback)

        def unhook():
            try:
                app.aboutToQuit.disconnect(callback)
            except (RuntimeError, TypeError):
                pass

        return unhook

    def report(self, message, exc):
        """Hand it on."""
        self._world.on_report(message, exc, self)

    def progress(self, title, cancel):
        """Return None: there is no place for it."""
        return None


class _Timer:
    def __init__(self, app):
        self._timer = QtCore.QTimer(app)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._fire)
        self._fn = self._home = None

    def start(self, delay_ms, fn, home):
        self._fn, self._home = fn, home
        self._timer.start(delay_ms)

    def _fire(self):
        fn, home = self._fn, self._home
        self._fn = self._home = None
        try:
            fn()
        finally:
            home.append(self)


def run(thing):
    """Call `exec()`, which older bindings know under another name only."""
    return (getattr(thing, "exec", None) or thing.exec_)()


def event_type(name):
    """Return the number of a type of QEvent."""
    kind = getattr(QtCore.QEvent, "Type", QtCore.QEvent)
    value = getattr(kind, name, None) or getattr(QtCore.QEvent, name)
    return getattr(value, "value", value)

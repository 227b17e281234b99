"""What the steps of the scenario share: QGIS and the plug-ins on it, ways to wait, and a look at what is left over."""

import asyncio
import gc
import os
import sys
import threading
import time
from pathlib import Path

import qgis.utils
from qgis.core import Qgis, QgsApplication, QgsProject
from qgis.PyQt.QtCore import QCoreApplication, QEvent, QProcess, Qt
from qgis.PyQt.QtWidgets import QPushButton

# The guests have copies of different names and versions.
GUESTS = ("qgis_guest", "qgis_guest_two", "qgis_guest_three")
PLUGINS = ("async_download", *GUESTS)


class Stage:
    """QGIS and the plug-ins on it, as the steps need them."""

    def __init__(self, iface):
        self.iface = iface
        self.window = iface.mainWindow()
        self.directory = Path(os.environ["ASYNCSLOT_RECORD"]).parent
        self.server = os.environ["ASYNCSLOT_SERVER"]
        self.log = []
        received = QgsApplication.messageLog().messageReceived[str, str, Qgis.MessageLevel]
        received.connect(lambda message, tag, level: self.log.append((tag, message)))

    @property
    def guest(self):
        return qgis.utils.plugins["qgis_guest"]

    @property
    def dock(self):
        return qgis.utils.plugins["async_download"]._dock

    def start_download(self, path, name):
        self.dock.url.setText(self.server + path)
        self.dock.file.setFilePath(str(self.directory / name))
        self.dock.download_button.click()

    def is_downloading(self):
        return self.dock.cancel_button.isEnabled()

    def screenshot(self, name):
        self.window.grab().save(str(self.directory / name))

    def quit(self):
        QgsProject.instance().setDirty(False)  # or QGIS asks whether to save
        self.iface.actionExit().trigger()


class RealButton(QPushButton):
    """A button on the screen, above all else, which a real click reaches by way of the X server.

    Attributes:
        presses: how many times Qt was told that it was pressed.
    """

    def __init__(self):
        super().__init__("Click me")
        self.presses = 0
        self.pressed.connect(self._count)
        self.setWindowFlags(Qt.WindowType.X11BypassWindowManagerHint | Qt.WindowType.WindowStaysOnTopHint)
        self.setGeometry(20, 20, 120, 60)
        self.show()
        self.raise_()

    def _count(self):
        self.presses += 1

    def command(self, clicks=1):
        """Return the command line that clicks the button."""
        point = self.mapToGlobal(self.rect().center()) * self.devicePixelRatioF()
        repeat = ["--repeat", str(clicks), "--delay", "50"]
        return ["xdotool", "mousemove", str(point.x()), str(point.y()), "click", *repeat, "1"]

    def click_for_real(self, clicks=1):
        """Have it clicked: `yield from button.click_for_real()` waits until Qt has heard of it."""
        wanted = self.presses + clicks
        program, *arguments = self.command(clicks)
        QProcess.startDetached(program, arguments)
        yield from until(lambda: self.presses >= wanted, 5, "Qt has heard of the clicks")


def until(condition, timeout, what):
    """Wait for a condition, within a step: `yield from until(...)`."""
    yield condition, timeout
    assert condition(), f"waited {timeout} s in vain until {what}"


def pause(seconds):
    end = time.monotonic() + seconds
    yield lambda: time.monotonic() >= end, seconds + 10


# Types of which a plug-in could leave objects behind: its own, and those by which Qt calls a loop.
_WATCHED = ("DownloadDock", "Guest", "AsyncSlotEventLoop", "QTimer", "QSocketNotifier")


def best_of_three(attempt, is_good):
    """Repeat what a machine that is busy with something else can spoil; return the facts of each attempt."""
    attempts = []
    while not attempts or (len(attempts) < 3 and not is_good(attempts[-1])):
        attempts.append((yield from attempt()))
    return attempts


def tick_rate(guest):
    """Return how many times a second the guest's task ticks."""
    from_ticks, started = guest.ticks, time.monotonic()
    yield from pause(1.0)
    return (guest.ticks - from_ticks) / (time.monotonic() - started)


def footprint():
    """Return what a plug-in could have left behind in this process."""
    yield from pause(0.3)  # what was told to end, ends
    deliver_deletions()
    gc.collect()
    return {
        "tasks": sorted(each.get_coro().__qualname__ for each in gc.get_objects() if _is_pending_task(each)),
        "objects": sorted(type(each).__name__ for each in gc.get_objects() if type(each).__name__ in _WATCHED),
        "modules": sorted(name for name in sys.modules if name.partition(".")[0] in PLUGINS),
        "python_threads": sorted(thread.name for thread in threading.enumerate()),
        "native_threads": sorted(_native_threads()),
        "fds": sorted(_descriptors()),
    }


def deliver_deletions():
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def _is_pending_task(thing):
    return isinstance(thing, asyncio.Task) and not thing.done()


def _native_threads():
    for thread in Path("/proc/self/task").iterdir():
        yield (thread / "comm").read_text().strip()


def _descriptors():
    """What is open, by kind: socket and pipe numbers differ each time."""
    for fd in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink("/proc/self/fd/" + fd).partition(":[")[0]
        except OSError:
            pass  # the one that listdir() itself had open

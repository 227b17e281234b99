"""The commands. Each is a generator: it yields conditions that are waited for, and returns facts."""

import asyncio
import gc
import os
import sys
import time

import qgis.utils
from qgis.core import (
    QgsApplication,
    QgsProcessingAlgorithm,
    QgsProcessingParameterNumber,
    QgsProcessingProvider,
    QgsProject,
    QgsRectangle,
    QgsSettings,
)
from qgis.PyQt.QtCore import QCoreApplication, QEvent, Qt, QTimer
from qgis.PyQt.QtGui import QImage
from qgis.PyQt.QtWidgets import QApplication, QDialog, QInputDialog, QMessageBox, QPushButton

WAIT = 20.0  # seconds, for whatever is waited for
HEARTBEAT_MS = 16


def until(condition, what):
    deadline = time.monotonic() + WAIT
    yield lambda: condition() or time.monotonic() > deadline
    assert condition(), f"waited {WAIT} s in vain until {what}"


def reload(iface, name):
    started = time.monotonic()
    is_reloaded = qgis.utils.reloadPlugin(name)
    yield lambda: True
    return {"is_reloaded": is_reloaded, "seconds": time.monotonic() - started}


def load(iface, name):
    qgis.utils.loadPlugin(name)
    qgis.utils.startPlugin(name)
    yield lambda: True


def unload(iface, name):
    started = time.monotonic()
    qgis.utils.unloadPlugin(name)
    seconds = time.monotonic() - started
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    yield lambda: True
    return {"seconds": seconds, "boxes": _texts_of(QMessageBox)}


def footprint(iface):
    """What the plug-ins could have left behind."""
    quiet = time.monotonic() + 0.3
    yield lambda: time.monotonic() > quiet
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    return {
        "tasks": [repr(each) for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()],
        "modules": [name for name in sys.modules if name.startswith("qgis_mcp") and "driver" not in name],
        "fds": sorted(_descriptors()),
    }


def _descriptors():
    for fd in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink("/proc/self/fd/" + fd).partition(":[")[0]
        except OSError:
            pass  # the one that listdir() itself had open


# -- what the user sees and clicks ---------------------------------------------


def answer_question(iface, answer):
    """Click a button of the box that asks; wait for the box first."""
    yield from until(lambda: _visible(QMessageBox), "a box asks")
    (box,) = _visible(QMessageBox)
    facts = {"text": box.text(), "is_default_no": box.defaultButton() == box.button(QMessageBox.StandardButton.No)}
    box.button(getattr(QMessageBox.StandardButton, answer)).click()
    yield from until(lambda: box not in _visible(QMessageBox), "the box is closed")
    return facts


def wait_for_question(iface, is_there):
    yield from until(lambda: bool(_visible(QMessageBox)) == is_there, f"a box is there: {is_there}")


def click_cancel(iface):
    """Click Cancel beside the progress bar; wait for it first."""
    bar = iface.messageBar()
    yield from until(lambda: _buttons(bar, "Cancel"), f"there is a Cancel button, and not only {_messages(iface)}")
    _buttons(bar, "Cancel")[0].click()


def wait_for_message(iface, text):
    """Wait for a message in the bar that has these words."""
    yield from until(lambda: any(text in each for each in _messages(iface)), f"{text!r} in {_messages(iface)}")
    return {"messages": _messages(iface)}


def wait_for_no_message(iface, text):
    yield from until(lambda: not any(text in each for each in _messages(iface)), f"{text!r} not in {_messages(iface)}")


def choose_port(iface, port):
    """Use the button of the notice, or the menu's entry where there is none, and enter a port."""
    buttons = _buttons(iface.messageBar(), "Port...")
    (buttons[0].click if buttons else _menu_entry(iface, "Port...").trigger)()
    yield from until(lambda: _visible(QInputDialog), "a dialog asks for the port")
    (dialog,) = _visible(QInputDialog)
    dialog.setIntValue(port)
    dialog.accept()
    yield from until(lambda: not _visible(QDialog), "the dialog is closed")
    return {"port": QgsSettings().value("qgis_mcp/port", type=int)}


def copied_settings(iface):
    """Use the entry of the menu that copies address and token; return what it copies."""
    QApplication.clipboard().clear()
    _menu_entry(iface, "Copy settings for clients").trigger()
    yield lambda: True
    return {"text": QApplication.clipboard().text()}


def _menu_entry(iface, text):
    """Return the last one of that name: both copies have the same menu, and the first was loaded anew."""
    (menu,) = [action.menu() for action in iface.pluginMenu().actions() if action.text().replace("&", "") == "QGIS MCP"]
    return [action for action in menu.actions() if action.text() == text][-1]


def set_asking(iface, name, value):
    QgsSettings().setValue(f"{name}/ask", value)
    yield lambda: True


def forget_token(iface, name):
    QgsSettings().remove(f"{name}/token")
    yield lambda: True


def token(iface, name):
    yield lambda: True
    return {"token": QgsSettings().value(f"{name}/token")}


def zoom_to(iface, west, south, east, north):
    iface.mapCanvas().setExtent(QgsRectangle(west, south, east, north))
    yield lambda: True


def color_in(iface, path):
    """Return the colour in the middle of a picture."""
    image = QImage(path)
    yield lambda: True
    return {"color": image.pixelColor(image.width() // 2, image.height() // 2).name()}


def screenshot(iface, path):
    QApplication.primaryScreen().grabWindow(0).save(path)
    yield lambda: True


def clear(iface):
    """Take away the layers, and the messages."""
    QgsProject.instance().removeAllMapLayers()
    iface.messageBar().clearWidgets()
    yield lambda: True


def quit(iface):
    # Or QGIS asks whether to save it, and what is in memory only.
    QgsProject.instance().clear()
    QgsProject.instance().setDirty(False)
    QTimer.singleShot(200, iface.actionExit().trigger)  # not before this is written down
    yield lambda: True


def _visible(kind):
    return [each for each in QApplication.topLevelWidgets() if isinstance(each, kind) and each.isVisible()]


def _texts_of(kind):
    return [each.text() for each in _visible(kind)]


def _buttons(bar, text):
    return [each for each in bar.findChildren(QPushButton) if each.text().replace("&", "") == text and each.isVisible()]


def _messages(iface):
    return [f"{each.title()}: {each.text()}" for each in iface.messageBar().items()]


# -- frames --------------------------------------------------------------------


class Heartbeat:
    """A timer of QGIS's that should tick every 16 ms, and the gaps between its ticks in milliseconds."""

    def __init__(self):
        self.gaps = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(HEARTBEAT_MS)

    def _tick(self):
        now = time.perf_counter()
        self.gaps.append((now - self._last) * 1000)
        self._last = now

    def facts(self):
        self._timer.stop()
        gaps = sorted(self.gaps) or [0.0]
        return {"ticks": len(gaps), "p99_ms": gaps[int(len(gaps) * 0.99)], "max_ms": gaps[-1]}


_heartbeats = []


def begin_heartbeat(iface):
    _heartbeats.append(Heartbeat())
    yield lambda: True


def end_heartbeat(iface):
    yield lambda: True
    return _heartbeats.pop().facts()


# -- an algorithm that takes as long as it is told to --------------------------


_ended = []  # whether each run was cancelled


class Wait(QgsProcessingAlgorithm):
    """Waits, in a thread of QGIS's, and says how far it is."""

    def name(self):
        return "wait"

    def displayName(self):
        return "Wait a while"

    def createInstance(self):
        return Wait()

    def initAlgorithm(self, configuration=None):
        self.addParameter(QgsProcessingParameterNumber("SECONDS", "Seconds"))

    def processAlgorithm(self, parameters, context, feedback):
        seconds = self.parameterAsDouble(parameters, "SECONDS", context)
        started = time.monotonic()
        while not feedback.isCanceled() and time.monotonic() < started + seconds:
            feedback.setProgress((time.monotonic() - started) / seconds * 100)
            time.sleep(0.02)
        _ended.append(feedback.isCanceled())
        return {"WAITED": not feedback.isCanceled()}


class Provider(QgsProcessingProvider):
    def id(self):
        return "asyncslot_test"

    def name(self):
        return "asyncslot's test"

    def loadAlgorithms(self):
        self.addAlgorithm(Wait())


_provider = None


def add_algorithm():
    global _provider
    _provider = Provider()
    QgsApplication.processingRegistry().addProvider(_provider)


def wait_for_algorithm(iface, runs):
    """Wait until that many runs have ended; return which were cancelled."""
    yield from until(lambda: len(_ended) >= runs, f"{runs} runs have ended")
    return {"cancelled": _ended}

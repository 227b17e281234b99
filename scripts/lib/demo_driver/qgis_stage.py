"""How the demo's user works in QGIS: two copies of examples/qgis_plugin."""

import hashlib
import sys
import time
from pathlib import Path

import qgis.utils
from qgis.core import QgsProject
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtWidgets import QApplication


class QgisStage:
    names = ("download_a", "download_b")

    def __init__(self, iface, script):
        self._iface = iface
        self._script = script
        self.heartbeat = Heartbeat()

    def start_timer(self, interval_ms, callback):
        timer = QTimer(self.window())
        timer.timeout.connect(callback)
        timer.start(interval_ms)
        return timer

    def window(self):
        return self._iface.mainWindow()

    def prepare(self):
        self.window().resize(1200, 800)
        # Without a window manager no window is active, and QGIS then shows errors in a modal dialog.
        QApplication.setActiveWindow(self.window())

    def both_run(self):
        return all(name in qgis.utils.active_plugins for name in self.names)

    def reload(self, name):
        # unload() would do the same and keep the report for itself.
        print(sys.modules[name + "._vendor.asyncslot"].detach(name), flush=True)
        return qgis.utils.reloadPlugin(name) is not False and name in qgis.utils.active_plugins

    def quit(self):
        QgsProject.instance().setDirty(False)  # or QGIS asks whether to save
        self._iface.actionExit().trigger()

    def fill_in(self, name):
        self._dock(name).url.setText(self._script["server"] + "/file")
        self._dock(name).file.setFilePath(str(self._target(name)))

    def start(self, name):
        self._dock(name).download_button.click()

    def stop(self, name):
        self._dock(name).cancel_button.click()

    def is_busy(self, name):
        return self._dock(name).cancel_button.isEnabled()

    def progress(self, name):
        bar = self._dock(name).progress
        return max(0, bar.value()) / max(1, bar.maximum())

    def verdict(self, name):
        """Return whether all of it has come, and what there is to say about it."""
        data = self._target(name).read_bytes()
        is_right = hashlib.sha256(data).hexdigest() == self._script["sha256"]
        return is_right, f"{name}: {len(data):,} bytes, their SHA-256 is {'right' if is_right else 'wrong'}"

    def verdict_stopped(self, name):
        shown = self._dock(name).status.text()
        return shown == "Cancelled.", f"{name}, after its Cancel button: {shown}"

    def _dock(self, name):
        return qgis.utils.plugins[name]._dock

    def _target(self, name):
        return Path(self._script["directory"]) / f"{name}.bin"


class Heartbeat:
    """The gaps between the ticks of a timer that QGIS's loop should call every 16 ms, in seconds."""

    def __init__(self):
        self.gaps = []
        self._last = None
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(16)

    def reset(self):
        self.gaps = []
        self.skip()

    def skip(self):
        self._last = None

    def _tick(self):
        now = time.monotonic()
        if self._last is not None:
            self.gaps.append(now - self._last)
        self._last = now

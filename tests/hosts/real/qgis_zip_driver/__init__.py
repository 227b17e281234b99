"""Plays the user of test_qgis_zip.py: installs one zip after the other with QGIS's own installer, and looks.

A step is a generator, which yields while Qt's loop is to run; plain Qt throughout, as in tests/hosts/real/qgis_driver.
"""

import asyncio
import json
import os
import sys
import traceback

import qgis.utils
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QApplication

NAME = "async_search"
COPY = NAME + "._vendor.asyncslot"
TICK_MS = 20
TICKS = 250  # the longest that is waited for anything


def classFactory(iface):
    return Driver(iface)


class Driver:
    def __init__(self, iface):
        self._iface = iface
        self._timer = QTimer()
        self._play = self._play_all()

    def initGui(self):
        self._timer.timeout.connect(self._step)
        self._iface.initializationCompleted.connect(lambda: self._timer.start(TICK_MS))

    def unload(self):
        self._timer.stop()

    def _step(self):
        self._timer.stop()  # the installer may let events through
        try:
            next(self._play)
        except StopIteration:
            write(step="quitting")
            self._iface.actionExit().trigger()
        else:
            self._timer.start(TICK_MS)

    def _play_all(self):
        for path in os.environ["ASYNCSLOT_ZIPS"].split(os.pathsep):
            try:
                facts = yield from use(path)
            except Exception:
                facts = {"error": traceback.format_exc()}
            write(step=os.path.basename(os.path.dirname(path)), **facts)


def use(path):
    """Install a zip, let its copy run a task, and uninstall the plug-in again."""
    import pyplugin_installer

    installer = pyplugin_installer.instance()
    installer.installFromZipFile(path)
    copy = sys.modules[COPY]
    facts = {
        "is_active": NAME in qgis.utils.active_plugins,
        "file": copy.__file__,
        "adapter": sys.modules[COPY + ".host_adapters"].find().NAME,
    }
    lease = copy.attach("qgis_zip_driver")
    task = lease.create_task(sleep(lease))
    for _ in range(TICKS):
        if task.done():
            break
        yield
    facts["result"] = task.result() if task.done() else "not done"
    lease.detach()
    facts["docks"] = [dock.objectName() for dock in docks()]
    installer.uninstallPlugin(NAME, quiet=True)
    yield
    facts["docks_after"] = [dock.objectName() for dock in docks()]
    return facts


async def sleep(lease):
    await asyncio.sleep(0.01)
    return await lease.to_thread(int, "42")


def docks():
    return [each for each in QApplication.allWidgets() if each.objectName() == "AsyncSearchDock"]


def write(**facts):
    with open(os.environ["ASYNCSLOT_RECORD"], "a", encoding="utf-8") as record:
        record.write(json.dumps(facts) + "\n")

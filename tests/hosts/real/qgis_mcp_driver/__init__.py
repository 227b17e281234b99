"""What the user of QGIS does in test_qgis_mcp.py and test_qgis_mcp_serving.py, when it is told to.

The test is the MCP client, in a process of its own. What it wants done here it writes to a file of commands, a JSON
object each; what came of it is written to the record. Plain Qt throughout, as in tests/hosts/real/qgis_driver.
"""

import json
import os
import sys
import time
import traceback

from qgis.PyQt.QtCore import QThread, QTimer

from . import commands

TICK_MS = 5


def classFactory(iface):
    return Driver(iface)


class Driver:
    def __init__(self, iface):
        self._iface = iface
        self._read_up_to = 0
        self._timer = QTimer()
        self._play = self._play_all()
        self._is_wanted = lambda: True

    def initGui(self):
        commands.add_algorithm()
        self._timer.timeout.connect(self._step)
        self._timer.start(TICK_MS)

    def unload(self):
        self._timer.stop()

    def _step(self):
        if self._is_wanted():
            self._timer.stop()
            self._is_wanted = next(self._play)
            self._timer.start(TICK_MS)

    def _play_all(self):
        yield lambda: QThread.currentThread().loopLevel() > 0 and self._iface.mainWindow().isVisible()
        write(step="ready", python=sys.version)
        while True:
            with open(os.environ["ASYNCSLOT_COMMANDS"], encoding="utf-8") as file:
                file.seek(self._read_up_to)
                line = file.readline()
                if not line.endswith("\n"):  # there is none, or it is still being written
                    yield lambda: True
                    continue
                self._read_up_to = file.tell()
            command = json.loads(line)
            try:
                facts = yield from getattr(commands, command["do"])(self._iface, **command["with"])
            except Exception:
                facts = {"error": traceback.format_exc()}
            write(step=command["number"], at=time.monotonic(), **(facts or {}))


def write(**facts):
    with open(os.environ["ASYNCSLOT_RECORD"], "a", encoding="utf-8") as record:
        record.write(json.dumps(facts) + "\n")

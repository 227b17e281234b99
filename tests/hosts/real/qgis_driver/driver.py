"""Plays the scenario step by step and writes down what each step found, one JSON object per line.

A step is a generator: it does something, yields a condition to wait for, and returns its facts. Plain Qt throughout:
whether asyncio works here is not for asyncio to say. A step that fails is written down, and the next one is played.
"""

import json
import os
import time
import traceback

from qgis.PyQt.QtCore import QTimer

from . import scenario

CHECK_MS = 5


class Driver:
    def __init__(self, iface):
        self._stage = scenario.Stage(iface)
        self._play = self._play_all()
        self._wanted = None
        self._deadline = None
        self._timer = None

    def initGui(self):
        self._timer = QTimer()
        self._timer.timeout.connect(self._check)
        self._timer.start(CHECK_MS)

    def unload(self):
        self._timer.stop()
        write(step="driver unloaded")

    def _check(self):
        self._timer.stop()  # a step may open a nested Qt loop, and must not be entered from there
        if self._wanted is not None and not self._wanted() and time.monotonic() < self._deadline:
            self._timer.start(CHECK_MS)
            return
        try:
            self._wanted, timeout = next(self._play)
        except StopIteration:
            return
        self._deadline = time.monotonic() + timeout
        self._timer.start(CHECK_MS)

    def _play_all(self):
        for step in scenario.STEPS:
            try:
                facts = yield from step(self._stage)
            except Exception:
                write(step=step.__name__, error=traceback.format_exc())
            else:
                write(step=step.__name__, **facts)
        write(step="quitting", at=time.monotonic())
        self._stage.quit()


def write(**facts):
    with open(os.environ["ASYNCSLOT_RECORD"], "a", encoding="utf-8") as record:
        record.write(json.dumps(facts) + "\n")

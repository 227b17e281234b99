"""The plug-in under test: what the scenario makes it do, it does as any plug-in would."""

import asyncio
import json
import os
import threading
import time

from qgis.PyQt.QtCore import QThread, QTimer
from qgis.PyQt.QtWidgets import QDialog

from ._vendor import asyncslot

TICK = 0.01


class Guest:
    def __init__(self, iface):
        self.iface = iface
        self.lease = None
        self.loop_level_at_start = None
        self.ticks = 0
        self.finished = []

    def initGui(self):
        self.lease = asyncslot.attach()
        self.loop_level_at_start = QThread.currentThread().loopLevel()
        self.lease.create_task(self._tick())

    def unload(self):
        report = asyncslot.detach()
        with open(os.environ["ASYNCSLOT_RECORD"], "a", encoding="utf-8") as record:
            facts = {
                "step": "guest unloaded",
                "loop_level": QThread.currentThread().loopLevel(),
                "report": str(report),
                "abandoned": [task.name for task in report.abandoned],
                "is_attached": self.lease.is_attached,
            }
            record.write(json.dumps(facts) + "\n")

    async def _tick(self):
        while True:
            await asyncio.sleep(TICK)
            self.ticks += 1

    def adapter(self):
        return self.lease.host

    def open_modal(self, seconds):
        """Open a modal dialog, as any slot might, and close it after `seconds`."""
        dialog = QDialog(self.iface.mainWindow())
        QTimer.singleShot(round(seconds * 1000), dialog.accept)
        run = getattr(dialog, "exec", None) or dialog.exec_
        run()
        dialog.deleteLater()

    def start_modal_in_coroutine(self, seconds):
        self.lease.create_task(self._open_modal(seconds))

    async def _open_modal(self, seconds):
        await asyncio.sleep(0)
        self.open_modal(seconds)
        await asyncio.sleep(0)
        self.finished.append("modal in coroutine")

    def start_failing_task(self):
        self.lease.create_task(self._fail(), name="failing")

    async def _fail(self):
        await asyncio.sleep(0)
        raise ValueError("<spoilt> on purpose")

    def start_exiting_task(self):
        self.lease.create_task(self._exit(), name="exiting")

    async def _exit(self):
        await asyncio.sleep(0)
        raise SystemExit(3)

    def connect_and_detach(self, signal):
        """Connect a slot to `signal`, let go of the lease it belongs to, and return the list that it would fill."""
        calls = []

        async def slot():
            calls.append("called")

        lease = asyncslot.attach("departed plug-in")
        signal.connect(lease.slot(slot))
        lease.detach()
        return calls

    def attach_in_thread(self):
        """Return what attach() raises when it is called from another thread, as text."""
        raised = []

        def call():
            try:
                asyncslot.attach()
            except Exception as exc:
                raised.append(f"{type(exc).__name__}: {exc}")

        thread = threading.Thread(target=call, name="worker-1")
        thread.start()
        thread.join(5)
        return raised

    def detach_with_stubborn_task(self, timeout):
        """Detach from a second lease, one of whose tasks will not end; return the report as text."""
        lease = asyncslot.attach("stubborn plug-in")
        lease.run_task(_never_end(), name="stubborn")
        started = time.monotonic()
        report = asyncslot.detach("stubborn plug-in", timeout=timeout)
        return {
            "seconds": time.monotonic() - started,
            "text": str(report),
            "names": [task.name for task in report.abandoned],
            "stacks": [task.stack for task in report.abandoned],
        }

    def be_busy(self):
        """Have a task, a server with a connection, and an executor job in the middle of their work."""
        self.lease.create_task(self._serve(), name="busy server")
        self.lease.create_task(asyncio.sleep(60), name="busy task")
        self.lease.to_thread(time.sleep, 60)

    async def _serve(self):
        async def answer(reader, writer):
            await reader.read()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        await asyncio.open_connection(*server.sockets[0].getsockname())
        self.finished.append("server is up")
        await asyncio.sleep(60)


async def _never_end():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

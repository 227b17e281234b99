"""The plug-in under test: what the scenario makes it do, it does as any plug-in would."""

import asyncio
import json
import os
import threading
import time

from qgis.core import QgsNetworkAccessManager
from qgis.PyQt.QtCore import QProcess, QThread, QTimer, QUrl, qVersion
from qgis.PyQt.QtNetwork import QNetworkRequest
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
        self.go_on = None

    def initGui(self):
        self.lease = asyncslot.attach()
        self.loop_level_at_start = QThread.currentThread().loopLevel()
        self.lease.create_task(self._tick())

    def unload(self):
        was_attached = self.lease.is_attached  # not where the host's quitting has ended the lease before
        goodbye = self.lease.run_until_complete(_say_goodbye()) if was_attached else None
        report = asyncslot.detach()
        with open(os.environ["ASYNCSLOT_RECORD"], "a", encoding="utf-8") as record:
            facts = {
                "step": __name__.partition(".")[0] + " unloaded",
                "goodbye": goodbye,
                "was_attached": was_attached,
                "loop_level": QThread.currentThread().loopLevel(),
                "qt": qVersion(),
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

    def report(self):
        return asyncslot.report()

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

    def detach_when(self, signal):
        """Let go of a second lease in a plain slot of `signal`; return a dict of what came of it."""
        lease = asyncslot.attach("clicked plug-in")
        task = lease.run_task(asyncio.sleep(3600))
        facts = {}

        def leave():
            report = lease.detach()
            facts.update(ended=report.ended, abandoned=len(report.abandoned), is_attached=lease.is_attached)
            facts["is_cancelled"] = task.cancelled()

        signal.connect(leave)
        return facts

    def detach_with_slow_task(self, timeout):
        """Let go of a second lease, one of whose tasks needs 5 s to clean up, and one a little longer than it gets."""
        lease = asyncslot.attach("slow plug-in")
        cleaned_up = []
        lease.run_task(_clean_up_slowly(5, cleaned_up), name="five seconds")
        lease.run_task(_clean_up_slowly(timeout + 0.2, cleaned_up), name="a little longer")
        report = lease.detach(timeout=timeout)
        return {
            "text": str(report),
            "names": sorted(task.name for task in report.abandoned),
            "owners": [task.owner for task in report.abandoned],
            "cleaned_up": cleaned_up,
        }

    def detach_with_qt_clean_up(self, what, *arguments, **options):
        """Let go of a second lease, whose task needs something of Qt's to clean up; return the report."""
        lease = asyncslot.attach("cleaning plug-in")
        cleaned_up = []
        lease.run_task(_clean_up_with_qt(what, arguments, cleaned_up), name="cleaner")
        report = lease.detach(**options)
        return {
            "cleaned_up": cleaned_up,
            "names": [task.name for task in report.abandoned],
            "text": str(report),
        }

    def connect_dropping(self, signal):
        """Answer `signal` by a task that waits for `go_on`, one at a time; return the list that it fills."""
        calls = []
        self.go_on = self.lease.loop.create_future()

        async def slot():
            calls.append("begin")
            await self.go_on
            calls.append("end")

        signal.connect(asyncslot.asyncSlot(slot, on_repeat="drop"))
        return calls

    def be_busy(self, is_short=False):
        """Have a task, a server with a connection, a subprocess and an executor job in the middle of their work."""
        self.lease.create_task(self._serve(), name="busy server")
        self.lease.create_task(asyncio.sleep(60), name="busy task")
        self.lease.to_thread(time.sleep, 0.3 if is_short else 3600)

    async def _serve(self):
        async def answer(reader, writer):
            await reader.read()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        await asyncio.open_connection(*server.sockets[0].getsockname())
        await asyncio.create_subprocess_exec("/bin/sleep", "3600")
        self.finished.append("server is up")
        await asyncio.sleep(60)


async def _never_end():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass


async def _say_goodbye():
    await asyncio.sleep(0.001)
    return "goodbye"


async def _clean_up_slowly(seconds, cleaned_up):
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(seconds)
        cleaned_up.append(seconds)


async def _clean_up_with_qt(what, arguments, cleaned_up):
    try:
        await asyncio.sleep(3600)
    finally:
        if what == "QProcess":
            process = QProcess()
            program, *options = arguments
            process.start(program, options)
            await asyncslot.asyncSignal(process.finished)
        if what == "QNetworkReply":
            reply = QgsNetworkAccessManager.instance().get(QNetworkRequest(QUrl(*arguments)))
            await asyncslot.asyncSignal(reply.finished)
            reply.deleteLater()
        timer = QTimer()
        timer.start(100)  # the time that it takes a click from the X server to Qt, if that was the process
        await asyncslot.asyncSignal(timer.timeout)
        cleaned_up.append(what)

"""The checks, in the order in which they are played; each returns what it found."""

import asyncio
import hashlib
import os
import platform
import sys
import threading
import time
from pathlib import Path

from . import host, qt
from ._vendor import asyncslot
from .plain import of_host
from .qt import KEPT, Heartbeat, loop_level, pause, until

TICK = 0.01
MODAL_SECONDS = 0.4
# What a subprocess is given and gives back: more than a pipe holds.
CARGO = b"asyncslot " * 50000


def attach():
    return asyncslot.attach()


def detach():
    asyncslot.detach()


class Stage:
    """The guest's lease, and its task that ticks throughout."""

    def __init__(self, lease):
        self.lease = lease
        self.ticks = 0
        self.server = os.environ["ASYNCSLOT_SERVER"]
        self.directory = Path(os.environ["ASYNCSLOT_RECORD"]).parent
        lease.create_task(self._tick(), name="ticking")
        # Connected after attach(), so called after the lease has heard of it.
        of_host("when_quitting")(self._about_to_quit)

    async def _tick(self):
        while True:
            await asyncio.sleep(TICK)
            self.ticks += 1

    def _about_to_quit(self):
        from .story import write

        write(step="about to quit", is_attached=self.lease.is_attached)

    def run(self, coro, timeout, what):
        """Run a coroutine as a task of the lease, within a check; return its result."""
        task = self.lease.create_task(coro)
        yield from until(task.done, timeout, what)
        return task.result()


def load(stage):
    """The plug-in was loaded before the host's loop ran, and its task goes on."""
    adapter = stage.lease.host
    yield from until(lambda: stage.ticks > 2, 5, "the task ticks")
    parent = adapter.gui_parent()
    return {
        "NAME": adapter.NAME,
        "owner": stage.lease.owner,
        "is_running": adapter.is_running(),
        "is_qt_core": adapter.qt_core() is host.QtCore or adapter.qt_core().QObject is host.QtCore.QObject,
        "qt_core": adapter.qt_core().__name__,
        "qt": host.QtCore.qVersion(),
        "python": platform.python_version(),
        "version": host.version(),
        "is_parent_the_window": parent is not None and int(parent.winId()) == int(host.window().winId()),
        "loop_level": loop_level(),
        "ticks": stage.ticks,
    }


def idle(stage):
    """Nothing but the task that ticks, and the watching timer."""
    return (yield from qt.idle())


def download_and_subprocess(stage):
    """A download over HTTP and a subprocess, while the GUI goes on."""
    with Heartbeat() as heartbeat:
        found = yield from stage.run(_download_and_subprocess(stage.server), 30, "both have ended")
    return {**found, **heartbeat.facts()}


async def _download_and_subprocess(server):
    (status, digest), (code, is_same) = await asyncio.gather(_download(server, "/file"), _cat())
    return {"status": status, "sha256": digest, "exit_code": code, "is_same": is_same}


async def _download(server, path):
    address, _, port = server.partition("//")[2].partition(":")
    reader, writer = await asyncio.open_connection(address, int(port))
    writer.write(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    digest = hashlib.sha256()
    piece = await reader.read(65536)
    while piece:
        digest.update(piece)
        piece = await reader.read(65536)
    writer.close()
    return head.split()[1].decode(), digest.hexdigest()


async def _cat():
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("/bin/cat", stdin=pipe, stdout=pipe)
    output, _ = await process.communicate(CARGO)
    return process.returncode, output == CARGO


def modal_dialog(stage):
    """A dialog that a coroutine opens, on its own stack and with asyncModal, while another task goes on."""
    facts = {}
    for way in (_open_modal, _open_modal_outside):
        yield from pause(0.1)
        facts[way.__name__.strip("_")] = yield from stage.run(way(stage), 10, "the dialog is closed")
    return facts


async def _open_modal(stage):
    await asyncio.sleep(0)
    facts = _exec_dialog(stage)
    await asyncio.sleep(0)
    return facts


async def _open_modal_outside(stage):
    return await asyncslot.asyncModal(_exec_dialog, stage)


def _exec_dialog(stage):
    dialog = host.QtWidgets.QDialog(host.window())
    host.QtCore.QTimer.singleShot(round(MODAL_SECONDS * 1000), dialog.accept)
    ticks = stage.ticks
    started = time.monotonic()
    result = (getattr(dialog, "exec", None) or dialog.exec_)()
    facts = {"result": int(result), "ticks": stage.ticks - ticks, "seconds": time.monotonic() - started}
    dialog.deleteLater()
    return facts


def error_in_task(stage):
    """An exception that nobody catches."""
    stage.lease.create_task(_fail(), name="failing")
    yield from pause(0.3)
    is_modal = host.QtWidgets.QApplication.activeModalWidget() is not None
    return {"log": of_host("log_text")(), "is_modal": is_modal, "owner": stage.lease.owner}


async def _fail():
    await asyncio.sleep(0)
    raise ValueError("<spoilt> on purpose")


def report_from_thread(stage):
    """The adapter's report() is called from another thread, with what looks like HTML in several lines."""
    arguments = ("<b>from a thread</b> &\n<i>in two lines", None)
    thread = threading.Thread(target=stage.lease.host.report, args=arguments)
    thread.start()
    yield lambda: not thread.is_alive(), 5
    yield from pause(0.2)
    return {"log": of_host("log_text")(), "has_returned": not thread.is_alive()}


def progress(stage):
    """Progress in the host's display, cancelled there."""
    outcome = []
    task = stage.lease.create_task(_work(stage.lease, outcome), name="working")
    find_display = of_host("progress_display")
    yield from until(lambda: find_display() is not None, 5, "progress is shown")
    yield from pause(0.4)
    display = find_display()
    [bar] = [bar for bar in display.findChildren(host.QtWidgets.QProgressBar) if bar.isVisible()]
    texts = [label.text() for label in display.findChildren(host.QtWidgets.QLabel)]
    texts += [browser.toPlainText() for browser in display.findChildren(host.QtWidgets.QTextEdit)]
    facts = {"fraction": bar.value() / bar.maximum(), "texts": texts}
    of_host("grab")(str(stage.directory / "progress.png"))
    facts["cancelled_by"] = yield from _press_cancel(display, task)
    yield from until(task.done, 5, "the task is cancelled")
    yield from pause(0.1)
    return {**facts, "outcome": outcome, "is_gone": find_display() is None}


async def _work(lease, outcome):
    try:
        async with lease.progress("Downloading tiles", total=240) as shown:
            for _ in range(100):
                shown.advance(1, "of the old town")
            await asyncio.sleep(3600)
    except asyncio.CancelledError:
        outcome.append("cancelled")
        raise
    outcome.append("done")


def _press_cancel(display, task):
    """Press what cancels in this host: by a real click, if the display has a button and a click gets there."""
    if hasattr(host, "press_cancel"):
        host.press_cancel()
        return "the host's own way"
    [button] = display.findChildren(host.QtWidgets.QAbstractButton)
    point = button.mapToGlobal(button.rect().center()) * button.devicePixelRatioF()
    host.QtCore.QProcess.startDetached("xdotool", ["mousemove", str(point.x()), str(point.y()), "click", "1"])
    yield task.done, 2
    if task.done():
        return "the mouse"
    button.click()
    return "its button"


def reload(stage):
    """The host unloads this plug-in, in the middle of its work, and loads it again."""
    if not hasattr(host, "reload"):
        return {}
    yield from pause(0)
    old = stage.lease
    task = old.create_task(asyncio.sleep(3600))
    host.reload()
    old_ticks = stage.ticks
    new = vars(sys)[KEPT][-1]
    yield from until(lambda: new.ticks > 2, 5, "the new module's task ticks")
    facts = {
        "is_new_code": type(new) is not type(stage),
        "old_is_attached": old.is_attached,
        "is_cancelled": task.cancelled(),
        "old_ticks_on": stage.ticks - old_ticks,
        "new_ticks": new.ticks,
    }
    stage.lease = new.lease
    return facts


def quit_while_busy(stage):
    """A task, a server with a connection, a subprocess and an executor job are in the middle of their work."""
    busy = []
    stage.lease.create_task(_be_busy(busy), name="busy")
    stage.lease.to_thread(time.sleep, 3600)
    yield from until(lambda: busy, 5, "everything is under way")
    return {"busy": busy}


async def _be_busy(busy):
    async def answer(reader, writer):
        await reader.read()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    process = await asyncio.create_subprocess_exec("/bin/sleep", "3600")
    busy.extend(["server", "connection", "subprocess"])
    await asyncio.sleep(3600)
    writer.close()
    await process.wait()


# Quitting comes last, and is story.py's.
CHECKS = [
    load,
    idle,
    download_and_subprocess,
    modal_dialog,
    error_in_task,
    report_from_thread,
    progress,
    reload,
    quit_while_busy,
]

"""What is done in QGIS, and what is noted of it; tests/hosts/test_qgis.py judges the notes.

Four plug-ins are there besides this driver: `async_download` is examples/qgis_plugin, `qgis_guest` does whatever is
asked for here, and has two twins, for when it takes several. Each has its own vendored copy of asyncslot; the driver
has none. What is about leaving and being clicked is in leaving.py.
"""

import asyncio
import threading
import time

import qgis.utils
from qgis.PyQt.QtCore import Qt, QThread, QTimer
from qgis.PyQt.QtWidgets import QApplication, QProgressBar, QPushButton

from . import leaving
from .stage import PLUGINS, Stage, best_of_three, deliver_deletions, footprint, pause, tick_rate, until

__all__ = ["STEPS", "Stage"]

HEARTBEAT_MS = 16
RELOADS = 5


class Heartbeat:
    """A timer of QGIS that should tick every 16 ms, and the gaps between its ticks in milliseconds."""

    def __init__(self):
        self.gaps = []
        self._last = None
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def __enter__(self):
        self._last = time.perf_counter()
        self._timer.start(HEARTBEAT_MS)
        return self

    def __exit__(self, *_exc_info):
        self._timer.stop()

    def _tick(self):
        now = time.perf_counter()
        self.gaps.append((now - self._last) * 1000)
        self._last = now

    def facts(self):
        gaps = sorted(self.gaps)
        return {"ticks": len(gaps), "p99_ms": gaps[int(len(gaps) * 0.99)], "max_ms": gaps[-1]}


# -- the steps, in this order ------------------------------------------------


def start(stage):
    yield from until(lambda: QThread.currentThread().loopLevel() > 0, 60, "QGIS runs its event loop")
    yield from until(lambda: stage.window.isVisible(), 60, "the main window is there")
    # Without a window manager no window is active, and QGIS then shows errors in a modal dialog.
    QApplication.setActiveWindow(stage.window)
    yield from pause(1.0)
    return {
        "active": [name for name in PLUGINS if qgis.utils.isPluginLoaded(name)],
        "loop_level_at_init": stage.guest.loop_level_at_start,
        "ticks": stage.guest.ticks,
    }


def download(stage):
    def attempt():
        with Heartbeat() as idle:
            yield from pause(2.0)
        with Heartbeat() as heartbeat:
            stage.start_download("/file", "downloaded.bin")
            yield from until(lambda: stage.dock.progress.value() > 40, 30, "the download is half way")
            yield from until(lambda: not stage.is_downloading(), 30, "the download has ended")
        return dict(heartbeat.facts(), idle_p99_ms=idle.facts()["p99_ms"])

    attempts = yield from best_of_three(attempt, is_smooth)
    return {"status": stage.dock.status.text(), "attempts": attempts, "is_smooth": is_smooth(attempts[-1])}


def is_smooth(attempt):
    """Whether no frame is lost; on a machine so busy that QGIS stutters when idle, whether it stutters little more."""
    return attempt["p99_ms"] < max(25, 1.5 * attempt["idle_p99_ms"])


def cancelled_download(stage):
    stage.start_download("/stalls", "cancelled.bin")
    is_disabled_at_once = not stage.dock.download_button.isEnabled()
    yield from until(lambda: stage.dock.progress.value() > 0, 30, "the download is under way")
    stage.screenshot("downloading.png")
    stage.dock.cancel_button.click()
    yield from until(lambda: not stage.is_downloading(), 5, "the download has ended")
    return {
        "is_disabled_at_once": is_disabled_at_once,
        "status": stage.dock.status.text(),
        "file_exists": (stage.directory / "cancelled.bin").exists(),
    }


def failed_download(stage):
    stage.start_download("/nothing-here", "failed.bin")
    yield from until(lambda: not stage.is_downloading(), 10, "the download has ended")
    return {"status": stage.dock.status.text()}


def bug_report(stage):
    """What a user would paste, in the middle of a download."""
    stage.start_download("/stalls", "reported.bin")
    yield from until(lambda: stage.dock.progress.value() > 0, 10, "the download is under way")
    text = stage.guest.report()
    stage.dock.cancel_button.click()
    yield from until(lambda: not stage.is_downloading(), 5, "the download has ended")
    return {"text": text}


def reloads(stage):
    """Reload the example five times, each time in the middle of a download."""
    answers = []
    yield from pause(0.5)
    before = yield from footprint()
    for _ in range(RELOADS):
        stage.start_download("/stalls", "reloaded.bin")
        yield from until(lambda: stage.dock.progress.value() > 0, 10, "the download is under way")
        old_task = stage.dock._task
        answers.append([qgis.utils.reloadPlugin("async_download"), old_task.cancelled()])
        del old_task
    after = yield from footprint()
    return {"answers": answers, "before": before, "after": after}


def unloads(stage):
    """Unload the plug-ins and load them again: what is there in between must be the same each time."""
    for name in PLUGINS:
        qgis.utils.unloadPlugin(name)
    before = yield from footprint()
    for _ in range(RELOADS):
        for name in PLUGINS:
            qgis.utils.loadPlugin(name)
            qgis.utils.startPlugin(name)
        stage.start_download("/stalls", "unloaded.bin")
        yield from until(lambda: stage.dock.progress.value() > 0, 10, "the download is under way")
        for name in PLUGINS:
            qgis.utils.unloadPlugin(name)
    after = yield from footprint()
    for name in PLUGINS:
        qgis.utils.loadPlugin(name)
        qgis.utils.startPlugin(name)
    yield from until(lambda: stage.guest.ticks > 0, 5, "the guest runs again")
    return {"before": before, "after": after}


def foreign_asyncio_run(stage):
    """asyncio.run() in a plain slot of a plug-in that knows nothing of asyncslot."""

    async def main():
        await asyncio.sleep(0.05)
        return "done"

    answers = []
    button = QPushButton()
    button.clicked.connect(lambda: answers.append(asyncio.run(main())))
    running_before = asyncio._get_running_loop()
    button.click()
    running_after = asyncio._get_running_loop()
    ticks = stage.guest.ticks
    yield from until(lambda: stage.guest.ticks > ticks + 10, 5, "the guest's task goes on")
    return {"answers": answers, "running": [repr(running_before), repr(running_after)]}


def modal_in_slot(stage):
    def attempt():
        rate_without = yield from tick_rate(stage.guest)
        guest = stage.guest
        from_ticks, started = guest.ticks, time.monotonic()
        guest.open_modal(1.0)
        return {"rate_without": rate_without, "rate": (guest.ticks - from_ticks) / (time.monotonic() - started)}

    return {"attempts": (yield from best_of_three(attempt, keeps_its_rate))}


def modal_in_coroutine(stage):
    def attempt():
        rate_without = yield from tick_rate(stage.guest)
        guest = stage.guest
        del guest.finished[:]
        guest.start_modal_in_coroutine(1.5)
        yield from until(lambda: QApplication.activeModalWidget() is not None, 5, "the dialog is open")
        rate = yield from tick_rate(guest)
        assert QApplication.activeModalWidget() is not None, "the dialog was to be open for as long as it was measured"
        yield from until(lambda: guest.finished == ["modal in coroutine"], 5, "the coroutine goes on after the dialog")
        return {"rate_without": rate_without, "rate": rate}

    return {"attempts": (yield from best_of_three(attempt, keeps_its_rate))}


def keeps_its_rate(facts):
    return facts["rate"] > 0.9 * facts["rate_without"]


def error_in_task(stage):
    del stage.log[:]
    stage.guest.start_failing_task()
    yield from until(lambda: len(stage.log) > 0, 5, "something is in the message log")
    yield from pause(0.2)
    item = stage.iface.messageBar().currentItem()
    stage.screenshot("error.png")
    stage.iface.messageBar().clearWidgets()
    return {
        "log": stage.log,
        "bar": None if item is None else item.text(),
        "is_modal": QApplication.activeModalWidget() is not None,
    }


def exit_in_task(stage):
    del stage.log[:]
    stage.guest.start_exiting_task()
    yield from until(lambda: len(stage.log) > 0, 5, "something is in the message log")
    ticks = stage.guest.ticks
    yield from until(lambda: stage.guest.ticks > ticks + 10, 5, "the guest's other task goes on")
    stage.iface.messageBar().clearWidgets()
    return {"log": stage.log}


def slot_after_detach(stage):
    del stage.log[:]
    button = QPushButton()
    calls = stage.guest.connect_and_detach(button.clicked)
    button.click()
    yield from pause(0.1)
    return {"calls": calls, "log": stage.log}


def attach_in_thread(stage):
    yield from pause(0)
    return {"raised": stage.guest.attach_in_thread()}


def stubborn_task(stage):
    del stage.log[:]
    facts = stage.guest.detach_with_stubborn_task(0.5)
    yield from pause(0.2)
    stage.iface.messageBar().clearWidgets()
    return {**facts, "log": stage.log}


def adapter_facts(stage):
    adapter = stage.guest.adapter()
    yield from pause(0)
    return {
        "NAME": adapter.NAME,
        "is_running": adapter.is_running(),
        "qt_core": adapter.qt_core().__name__,
        "is_parent_the_window": adapter.gui_parent() == stage.window,
    }


def adapter_report_from_thread(stage):
    del stage.log[:]
    thread = threading.Thread(target=stage.guest.adapter().report, args=("from a thread", None))
    thread.start()
    yield from until(lambda: len(stage.log) > 0, 5, "the message is in the log")
    thread.join(5)
    return {"log": stage.log, "bar_items": len(stage.iface.messageBar().items())}


def adapter_progress(stage):
    cancelled = []
    progress = stage.guest.adapter().progress("Tiles <of> Bohemia", lambda: cancelled.append(True))
    progress.update(0.4, "96 of 240 & more")
    item = stage.iface.messageBar().currentItem()
    yield from pause(0.5)
    stage.screenshot("progress.png")
    meter = item.findChild(QProgressBar)
    share = meter.value() / meter.maximum()
    progress.update(None, "still looking")
    is_endless = meter.maximum() == 0
    [button] = [each for each in item.findChildren(QPushButton) if each.text() == "Cancel"]
    button.click()
    progress.close()
    progress.close()
    # The user dismisses a second one.
    dismissed = stage.guest.adapter().progress("Dismissed", lambda: cancelled.append(True))
    stage.iface.messageBar().clearWidgets()
    yield from pause(0.5)
    deliver_deletions()
    dismissed.update(0.5, "into the void")
    dismissed.close()
    return {
        "share": share,
        "is_endless": is_endless,
        "cancelled": len(cancelled),
        "bar_items": len(stage.iface.messageBar().items()),
    }


def busy(stage):
    """The last step: leave everything in the middle of its work; QGIS is asked to quit next."""
    stage.guest.be_busy()
    stage.start_download("/stalls", "quitting.bin")
    yield from until(lambda: "server is up" in stage.guest.finished, 5, "the guest's server is up")
    yield from until(lambda: stage.dock.progress.value() > 0, 10, "the download is under way")
    return {"threads": [thread.name for thread in threading.enumerate()], "is_downloading": stage.is_downloading()}


STEPS = [
    start,
    download,
    cancelled_download,
    failed_download,
    bug_report,
    reloads,
    unloads,
    *leaving.STEPS,
    foreign_asyncio_run,
    modal_in_slot,
    modal_in_coroutine,
    error_in_task,
    exit_in_task,
    slot_after_detach,
    attach_in_thread,
    stubborn_task,
    adapter_facts,
    adapter_report_from_thread,
    adapter_progress,
    busy,
]

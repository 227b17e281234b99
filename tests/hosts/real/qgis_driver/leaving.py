"""The steps of the scenario that are about leaving: one plug-in, in unpleasant situations, or several, in any order.

And those for which QGIS must be as it was, or be clicked.
"""

import asyncio
import itertools
import os
import shutil
import signal
import sys
import threading

import qgis.utils
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QPushButton

from .stage import GUESTS, PLUGINS, RealButton, deliver_deletions, footprint, pause, until

CYCLES = 30


def process_state(stage):
    """What belongs to the process and not to a plug-in: before anybody attaches, while they are, afterwards."""
    for name in PLUGINS:
        qgis.utils.unloadPlugin(name)
    before = _state()
    load(*PLUGINS)
    yield from all_tick(GUESTS)
    attached = _state()
    for name in PLUGINS:
        qgis.utils.unloadPlugin(name)
    after = _state()
    load(*PLUGINS)
    yield from all_tick(GUESTS)
    return {"before": before, "attached": attached, "after": after}


def _state():
    fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd)
    policy = asyncio.get_event_loop_policy()
    hooks = [sys.excepthook, getattr(threading, "excepthook", None), getattr(sys, "unraisablehook", None)]
    state = {
        "policy": policy,
        "current event loop": getattr(policy._local, "_loop", None),
        "running loop": asyncio._get_running_loop(),
        "wakeup fd": fd,
        "handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
        "hooks": hooks,
        "async generator hooks": sys.get_asyncgen_hooks(),
        "import hooks": [sys.meta_path, sys.path_hooks],
        "environment": sorted(os.environ.items()),
    }
    return {key: repr(value) for key, value in state.items()}


def copies(stage):
    """Three guests come and go in every order."""
    qgis.utils.unloadPlugin("async_download")
    loops, places = [], []
    for coming, going in zip(itertools.permutations(GUESTS), itertools.permutations(GUESTS[::-1])):
        for name in GUESTS:
            qgis.utils.unloadPlugin(name)
        places.append([name for name in vars(asyncio) if "asyncslot" in name])
        load(*coming)
        loops.append(len({id(qgis.utils.plugins[name].lease.loop) for name in GUESTS}))
        for number, name in enumerate(going):
            yield from all_tick(going[number:])
            qgis.utils.unloadPlugin(name)
    load("async_download", *GUESTS)
    yield from all_tick(GUESTS)
    return {"loops": loops, "places": places}


def reload_amid_others(stage):
    """The first that attached is reloaded, and its copy has made the loop; the others go on."""
    loop = id(qgis.utils.plugins[GUESTS[1]].lease.loop)
    answers = []
    for name in GUESTS:
        answers.append(qgis.utils.reloadPlugin(name))
        yield from all_tick(GUESTS)
    return {
        "answers": answers,
        "same_loop": {id(qgis.utils.plugins[name].lease.loop) for name in GUESTS} == {loop},
    }


def cycles(stage):
    """Thirty times attached, at work, and detached."""
    answers = [qgis.utils.reloadPlugin(GUESTS[1])]
    yield from all_tick(GUESTS)
    before = yield from footprint()
    for _ in range(CYCLES):
        qgis.utils.plugins[GUESTS[1]].be_busy(is_short=True)  # the job ends a little after the lease
        yield from until(lambda: "server is up" in qgis.utils.plugins[GUESTS[1]].finished, 5, "the server is up")
        answers.append(qgis.utils.reloadPlugin(GUESTS[1]))
    yield from all_tick(GUESTS)
    after = yield from footprint()
    return {"answers": answers, "before": before, "after": after}


def detach_in_click(stage):
    """A plain slot detaches; it goes on, and so does QGIS."""
    button = QPushButton()
    facts = stage.guest.detach_when(button.clicked)
    later = []
    QTimer.singleShot(0, lambda: later.append("QGIS's timer"))
    button.click()
    yield from until(lambda: later, 5, "QGIS's loop runs")
    yield from all_tick(GUESTS)
    return facts


def slow_clean_up(stage):
    """A task needs 5 s to clean up."""
    del stage.log[:]
    facts = stage.guest.detach_with_slow_task(0.3)
    yield from pause(0.5)  # more than it needed still
    stage.iface.messageBar().clearWidgets()
    return {**facts, "log": stage.log}


def clean_up_without_qt(stage):
    facts = stage.guest.detach_with_qt_clean_up("QTimer", process_events=False, timeout=0.3)
    yield from pause(0.2)
    stage.iface.messageBar().clearWidgets()
    return facts


def clean_up_with_qt(stage):
    facts = {}
    for what in ("QTimer", "QProcess", "QNetworkReply"):
        arguments = {"QProcess": ["/bin/true"], "QNetworkReply": [stage.server + "/nothing-here"]}.get(what, [])
        facts[what] = stage.guest.detach_with_qt_clean_up(what, *arguments, process_events=True, timeout=20)
    yield from pause(0)
    return facts


def clicks_meanwhile(stage):
    """While detach() lets Qt's events through, the user clicks."""
    if shutil.which("xdotool") is None:
        return {"missing": "xdotool"}
    button = RealButton()
    yield from pause(0.2)
    yield from button.click_for_real()
    facts = stage.guest.detach_with_qt_clean_up("QProcess", *button.command(), process_events=True, timeout=20)
    meanwhile = button.presses - 1
    yield from until(lambda: button.presses == 2, 5, "the click is delivered")
    button.deleteLater()
    deliver_deletions()
    return {**facts, "meanwhile": meanwhile}


def repeated_clicks(stage):
    """With on_repeat="drop", a click is ignored while the first one's task runs."""
    if shutil.which("xdotool") is None:
        return {"missing": "xdotool"}
    button = RealButton()
    calls = stage.guest.connect_dropping(button.clicked)
    yield from pause(0.2)
    yield from button.click_for_real(2)
    yield from pause(0.1)  # released, too
    first = list(calls)
    stage.guest.go_on.set_result(None)
    yield from until(lambda: calls[-1] == "end", 5, "the slot's task has ended")
    yield from button.click_for_real()
    yield from until(lambda: len(calls) == 4, 5, "the third click is answered")
    button.deleteLater()
    deliver_deletions()
    return {"first": first, "all": calls}


def foreign_loops(stage):
    """Another plug-in pumps a loop of its own every 20 ms, and runs it in a slot."""
    loop = asyncio.new_event_loop()
    done, errors = [], []

    async def count():
        while True:
            await asyncio.sleep(0.001)
            done.append("tick")

    def run(end):
        try:
            end()
            loop.run_forever()
        except Exception as exc:
            errors.append(repr(exc))

    task = loop.create_task(count())
    timer = QTimer()
    timer.timeout.connect(lambda: run(lambda: loop.call_soon(loop.stop)))
    timer.start(20)
    yield from until(lambda: len(done) > 5, 5, "the pumped loop goes on")
    yield from all_tick(GUESTS)
    timer.stop()
    button = QPushButton()
    button.clicked.connect(lambda: run(lambda: loop.call_later(0.05, loop.stop)))
    button.click()
    yield from all_tick(GUESTS)
    task.cancel()
    run(lambda: loop.call_soon(loop.stop))
    loop.close()
    return {"errors": errors}


STEPS = [
    process_state,
    copies,
    reload_amid_others,
    cycles,
    detach_in_click,
    slow_clean_up,
    clean_up_without_qt,
    clean_up_with_qt,
    clicks_meanwhile,
    repeated_clicks,
    foreign_loops,
]

# -- helpers -----------------------------------------------------------------


def load(*names):
    for name in names:
        qgis.utils.loadPlugin(name)
        qgis.utils.startPlugin(name)


def all_tick(names):
    """Wait until the tasks of these guests have gone on for a little."""
    guests = [qgis.utils.plugins[name] for name in names]
    enough = [guest.ticks + 2 for guest in guests]
    condition = lambda: all(guest.ticks >= ticks for guest, ticks in zip(guests, enough))  # noqa: E731
    yield from until(condition, 5, f"the tasks of {', '.join(names)} go on")

"""Faults for the test of the chaos program: what goes wrong on purpose must be found.

A tool that cannot fail proves nothing. Each fault happens once in a seed, as soon as it can: when a lease has been
given, has been closed, or is judged. None depends on how asyncslot is made.
"""

import asyncio
import os
import signal
import threading
import time
import warnings

from lib.chaos.host import QtCore

# What a fault returns that could not happen yet.
WAIT = object()


def inject(name, world):
    """Have a fault happen in this world, once."""
    when, fault = FAULTS[name]
    original, left = getattr(world, when), [fault]

    def changed(record, *args):
        if when == "close":
            original(record, *args)
        if left and left[0](world, record) is not WAIT:
            left.clear()
        if when != "close":
            original(record, *args)

    setattr(world, when, changed)


def _call(world, record):
    """What belongs to a lease that has ended is called by Qt, as a loop would that had forgotten to forget it."""
    world.host.after(0, record.lives[0].tick)


def _cancel_another(world, record):
    # Before its first step it would not notice.
    others = [other for other in world.records if other is not record and other.is_attached and other.beats]
    if not others:
        return WAIT
    others[0].heart.cancel()
    return None


def _cut_off(world, record):
    """A task's clean-up is not gone on with."""
    life = record.lives[0]
    life.clean_up_state = "begun"
    life.outcome = "cancelled"
    record.timeout = 2.0


def _keep_running(world, record):
    record.lives[0].state = "runs"


def _raise(*_):
    raise RuntimeError("a fault")


def _raise_in_qt(world, _):
    timer = QtCore.QTimer(world.host.app)
    timer.setSingleShot(True)
    timer.timeout.connect(_raise)
    timer.start(0)


def _start_thread(*_):
    threading.Thread(target=time.sleep, args=(60,), name="asyncslot-fault", daemon=True).start()


def _start_child(*_):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)


def _hang(*_):
    time.sleep(3600)


# When each happens, and what it is.
FAULTS = {
    "call": ("close", _call),
    "cancellation": ("check_lease", _cancel_another),
    "clean-up": ("judge", _cut_off),
    "task": ("judge", _keep_running),
    "exception": ("close", _raise_in_qt),
    "stderr": ("close", lambda *_: os.write(2, b"a fault\n")),
    "warning": ("close", lambda *_: warnings.warn("a fault", RuntimeWarning, stacklevel=1)),
    "report": ("close", lambda world, _: world.on_report("a fault", None, None)),
    "descriptor": ("close", lambda *_: os.open(os.devnull, os.O_RDONLY)),
    "thread": ("close", _start_thread),
    "child": ("close", _start_child),
    "attribute": ("close", lambda *_: setattr(asyncio, "_asyncslot_fault", 1)),
    "crash": ("close", lambda *_: os.kill(os.getpid(), signal.SIGSEGV)),
    "exit": ("close", lambda *_: os._exit(3)),
    "hang": ("close", _hang),
}

"""Plays the checks inside a host, one after the other, and writes down what each one found; test_hosts.py judges.

It knows no host. What there is to know is in the module `host`, which the outside has put beside this one:

    QtCore, QtWidgets   the binding's modules
    version()           the host's version, as text
    window()            the main window
    quit()              what the user does to quit
    is_ready()          only if it takes more than a main window and a running event loop, see plain.py for these five
    when_quitting(fn)   only if it does not emit aboutToQuit: have fn called at the end, after the lease has heard of it
    log_text()          only if the host has a log of its own: what it shows
    progress_display()  only if the host has one: the widget with a visible QProgressBar, or None
    grab(path)          only if that window cannot be grabbed: write a PNG of it
    press_cancel()      only if the host has its own way of cancelling: otherwise the display's only button is clicked
    reload()            only if the host has a way to: unload the guest and load it again
    begin()             only if something must be done when the host is ready: close a greeting, open a document

A check is a generator: it does something, yields a condition to wait for, and returns its facts. Plain Qt throughout:
whether asyncio works here is not for asyncio to say. A check that fails is written down, and the next one is played.
"""

import compileall
import json
import os
import sys
import time
import traceback

from . import host
from .plain import of_host
from .qt import CHECK_MS, KEPT, idle, loop_level, until


class Player:
    """Goes on with a story every few milliseconds, never from within itself."""

    def __init__(self, play):
        self._play = play
        self._wanted = None
        self._deadline = 0.0
        self._timer = host.QtCore.QTimer()
        self._timer.timeout.connect(self._check)
        self._timer.start(CHECK_MS)

    def _check(self):
        self._timer.stop()  # a check may open a nested Qt loop, and must not be entered from there
        if self._wanted is not None and not self._wanted() and time.monotonic() < self._deadline:
            self._timer.start(CHECK_MS)
            return
        try:
            self._wanted, timeout = next(self._play)
        except StopIteration:
            return
        self._deadline = time.monotonic() + timeout
        self._timer.start(CHECK_MS)


def start():
    """Begin the story that the environment names: "bare" is idle for a while and quits, with nothing of ours loaded."""
    kept = vars(sys).setdefault(KEPT, [])
    if os.environ["ASYNCSLOT_STORY"] == "bare":
        kept.append(Player(_quit_bare()))
        return
    # Everything that this plug-in adds to the host's start, and how much of it is Python's own asyncio. It is the time
    # that this thread has worked: where it waits for a processor, it is other programs that are slow.
    started = time.thread_time()
    import asyncio  # noqa: F401

    has_asyncio = time.thread_time()
    from . import checks

    lease = checks.attach()
    attached = time.thread_time()
    times = {"asyncio_ms": (has_asyncio - started) * 1000, "attach_ms": (attached - has_asyncio) * 1000}
    is_reloaded = bool(kept)
    stage = checks.Stage(lease)
    kept.append(stage)
    if not is_reloaded:  # else the story goes on where it is being played
        kept.append(Player(_play_all(checks, stage, times)))


def stop():
    """Detach, if there was anything to attach."""
    if os.environ["ASYNCSLOT_STORY"] != "bare":
        from . import checks

        checks.detach()


def _quit_bare():
    yield from _until_ready()
    # As it is for users from the second start on.
    compileall.compile_dir(os.path.dirname(__file__), quiet=2)
    write(step="idle", **(yield from idle()))
    _quit()


def _play_all(checks, stage, times):
    facts = {"loop_level": loop_level(), "loaded_ms": _age_ms(), **times}
    facts["ready_ms"] = yield from _until_ready()
    write(step="ready", **facts)
    for check in checks.CHECKS:
        try:
            found = yield from check(stage)
        except Exception:
            write(step=check.__name__, error=traceback.format_exc())
        else:
            write(step=check.__name__, **found)
    _quit()


def _until_ready():
    yield from until(of_host("is_ready"), 60, "the host is ready")
    ready = _age_ms()
    if hasattr(host, "begin"):
        host.begin()
    yield (lambda: False), 0.3  # the host's own late initialization
    return ready


def _quit():
    getattr(sys.stderr, "flush", int)()  # Anki's has none
    # What the host writes from here on is looked at: nothing of it may be ours.
    write(step="quitting", at=time.monotonic(), output_size=os.fstat(2).st_size)
    host.quit()


def _age_ms():
    """Return for how long this process has been running."""
    with open("/proc/self/stat", encoding="ascii", errors="replace") as stat:
        started = int(stat.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return (time.clock_gettime(time.CLOCK_BOOTTIME) - started) * 1000


def write(**facts):
    with open(os.environ["ASYNCSLOT_RECORD"], "a", encoding="utf-8") as record:
        record.write(json.dumps(facts) + "\n")

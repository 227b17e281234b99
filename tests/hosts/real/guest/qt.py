"""Plain Qt for the checks: ways to wait, and a timer that shows whether the GUI goes on."""

import time

from . import host

CHECK_MS = 5
HEARTBEAT_MS = 16
IDLE_TICKS = 120

# The name of a list in `sys`: what has to live on when the host reloads this plug-in, and until the process ends, for
# a binding may hold a slot's object weakly.
KEPT = "_asyncslot_guest_kept"


def until(condition, timeout, what):
    """Wait for a condition, within a check: `yield from until(...)`."""
    yield condition, timeout
    assert condition(), f"waited {timeout} s in vain until {what}"


def pause(seconds):
    end = time.monotonic() + seconds
    yield lambda: time.monotonic() >= end, seconds + 10


def loop_level():
    """Return how many Qt loops run here, one within the other."""
    return host.QtCore.QThread.currentThread().loopLevel()


class Heartbeat:
    """A timer of the GUI's that should tick every 16 ms, and the longest gap between two of its ticks."""

    def __init__(self):
        self._gaps = []
        self._last = None
        self._timer = host.QtCore.QTimer()
        self._timer.setTimerType(getattr(host.QtCore.Qt, "TimerType", host.QtCore.Qt).PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def __enter__(self):
        self._started = self._last = time.perf_counter()
        self._timer.start(HEARTBEAT_MS)
        return self

    def __exit__(self, *_exc_info):
        self._timer.stop()

    def _tick(self):
        now = time.perf_counter()
        self._gaps.append(now - self._last)
        self._last = now

    def has_ticked(self):
        return len(self._gaps) >= IDLE_TICKS

    def facts(self):
        gaps = sorted(self._gaps) or [0.0]
        return {
            "ticks": len(self._gaps),
            "ms": round((self._last - self._started) * 1000),
            "longest_gap_ms": round(gaps[-1] * 1000, 1),
            "p99_ms": round(gaps[len(gaps) * 99 // 100] * 1000, 1),
        }


def idle():
    """Do nothing for a while, and return how the GUI went on: the same with and without anything of ours."""
    with Heartbeat() as heartbeat:
        yield from until(heartbeat.has_ticked, 60, f"the GUI has ticked {IDLE_TICKS} times")
    return heartbeat.facts()

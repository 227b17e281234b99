"""A host loop in a few lines, without Qt and without time: what `_steps` is tested on.

The host is told when to call back, as one of `_wakeup` would be, and does so when the
test says `turn()`. It writes down what it was asked for.
"""

import asyncio

from asyncslot._owners import OwningMixin
from asyncslot._selector import MutableSelector, SelectorMixin
from asyncslot._steps import SteppingMixin


class ToyWait:
    """Notes what the loop asks for: "soon", ("at", when) or "rest"."""

    def __init__(self):
        self.asked = []

    def wake_soon(self):
        self.asked.append("soon")

    def wake_at(self, when):
        self.asked.append(("at", when))

    def pause(self, when):
        self.asked.append(("pause", when))

    def rest(self, until):
        self.asked.append("rest" if until is None else ("at", until))

    def take(self):
        """Return what was asked for since the last time."""
        asked, self.asked = self.asked, []
        return asked


class PlainLoop(SelectorMixin, asyncio.SelectorEventLoop):
    """asyncio's own loop, with descriptors that can be muted."""

    def __init__(self):
        super().__init__(MutableSelector())
        self._clock_resolution = 1e-9  # the time is the test's; Windows' own is too coarse for it


class ToyLoop(SteppingMixin, OwningMixin, PlainLoop):
    """A stepping loop on a toy host."""

    def __init__(self):
        super().__init__()
        self.interrupts = []
        self._as_wait = ToyWait()
        self._as_rest()
        self._as_wait.take()

    def _as_interrupted(self, exc):
        self.interrupts.append(exc)

    def _as_stop(self):
        pass

    def _as_wake_threadsafe(self):
        self._write_to_self()

    def turn(self):
        """Let the host call back once."""
        self._as_step(asyncio._get_running_loop())

    def turns(self, most=100):
        """Let the host call back until nothing is ready, descriptors included, which a host watches by itself."""
        for _ in range(most):
            self.turn()
            if self._as_idle and not self._selector.select(0):
                return
        raise AssertionError(f"still busy after {most} steps")


class Clock:
    """time.monotonic() for tests: stands still until it is told to go on."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        self.now += seconds

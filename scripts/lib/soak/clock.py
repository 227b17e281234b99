"""A faster clock for asyncio: what waits for time to pass waits less.

Sped up is the loop's clock and with it all that asyncio counts in seconds: sleep(), wait_for(), call_later(), the
timeout of detach(). Where such a wait is handed to somebody who has a clock of his own, it is handed over divided:
to the loop's QTimer, by way of the adapter's QtCore, and to select(), where the loop blocks alone. A step's budget is
multiplied, so that a step does as much as it always does.

Not sped up is everything that is real: sockets, threads, child processes, Qt's own timers, the work of the processor.
So an hour is compressed where nothing would happen in it, and nowhere else. To jump from one deadline to the next would
be faster still and no longer honest: it would overtake data that is on its way.

It knows some of asyncslot's private names, and says so if they are gone.
"""

import math
import sys
import time


class FastClock:
    """Seconds since some moment, `factor` times as many as there are."""

    def __init__(self, factor):
        self.factor = factor
        self._start = time.monotonic()

    def __call__(self):
        return self._start + (time.monotonic() - self._start) * self.factor


class FastQtCore:
    """A QtCore whose QTimer is told seconds of the fast clock; all else is the real one's."""

    def __init__(self, qt_core, factor):
        self._qt_core = qt_core

        class FastTimer(qt_core.QTimer):
            def start(self, delay_ms):
                super().start(math.ceil(delay_ms / factor))

        self.QTimer = FastTimer

    def __getattr__(self, name):
        return getattr(self._qt_core, name)


def speed_up(package, clock):
    """Have a copy of asyncslot, which is imported and not attached, go by this clock.

    Raises: RuntimeError if it is not made as this file expects.
    """
    prefix = package.__name__ + "."
    modules = {name[len(prefix) :]: module for name, module in sys.modules.items() if name.startswith(prefix)}
    reading = [module for module in modules.values() if vars(module).get("monotonic") is time.monotonic]
    for name in ("_asyncio", "_steps", "_wakeup", "_lease"):
        if modules.get(name) not in reading:
            raise RuntimeError(
                f"{prefix}{name} reads no `monotonic` any more; lib/soak/clock.py must learn where the time is"
            )
    for module in reading:
        module.monotonic = clock
    loop_class = modules["_loop"].AsyncSlotEventLoop
    loop_class.time = lambda loop: clock()
    loop_class.step_budget *= clock.factor
    selector_class = modules["_selector"].MutableSelector
    select = selector_class.select

    def select_less(selector, timeout=None):
        return select(selector, timeout / clock.factor if timeout and timeout > 0 else timeout)

    selector_class.select = select_less

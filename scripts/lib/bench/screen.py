"""Frames and input, as scripts/bench.py looks at them while something else runs.

A frame is begun by a precise QTimer of 16 ms, as a plug-in that animates has it. Input comes from another process.
There are two ways to see both: `Offscreen` has no window (a frame is its timer, input a descriptor of Qt's own into
which the other process writes the time, as an X server does); `OnScreen` has a window that is painted in each frame,
and real events of an X server. Neither knows what else runs.
"""

import importlib
import itertools
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

from lib.bench.workloads import clock, percentile, start_ticker

FRAME_MS = 16
INPUT_PERIOD = 0.007
POINTER = Path(__file__).resolve().with_name("pointer.py")


class Frames:
    """Frames: the gaps from one tick of the timer to the next.

    Args: core: the binding's QtCore; begin_frame: what is called for each tick.
    """

    def __init__(self, core, begin_frame):
        self._gaps = []
        self._last = clock()
        self._begin_frame = begin_frame
        self._timer = core.QTimer()
        kinds = getattr(core.Qt, "TimerType", core.Qt)
        self._timer.setTimerType(kinds.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def start(self):
        """Begin. The first gap is from now to the first tick."""
        self._last = clock()
        self._timer.start(FRAME_MS)

    def _tick(self):
        now = clock()
        self._gaps.append(now - self._last)
        self._last = now
        self._begin_frame()

    def stop(self):
        """End. The last gap is from the last tick to now."""
        self._timer.stop()
        self._gaps.append(clock() - self._last)

    def figures(self):
        """Return the figures of what was seen."""
        return summarise("frame", self._gaps)


def summarise(name, seconds):
    """Return the figures of what took some seconds each."""
    return {
        f"{name} ms p50": percentile(seconds, 50) * 1000,
        f"{name} ms p99": percentile(seconds, 99) * 1000,
        f"{name} ms max": max(seconds) * 1000,
    }


class Offscreen:
    """Frames and input without a window.

    Args: contender: whose Qt it is; seconds: how long there is input.
    """

    is_ready = True

    def __init__(self, contender, seconds):
        self.core = core = contender.core
        self._frames = []
        self._last = None
        self._timer = core.QTimer()
        kinds = getattr(core.Qt, "TimerType", core.Qt)
        self._timer.setTimerType(kinds.PreciseTimer)
        self._timer.timeout.connect(self.begin_frame)
        self._inputs = int(seconds / INPUT_PERIOD)
        self.open()

    def open(self):
        self._delays = []
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        types = getattr(self.core.QSocketNotifier, "Type", self.core.QSocketNotifier)
        self._notifier = self.core.QSocketNotifier(self._ours.fileno(), types.Read)
        self._notifier.activated.connect(self._on_input)
        self._ticker = start_ticker(self._theirs, INPUT_PERIOD, self._inputs)
        self._timer.start(FRAME_MS)

    def begin_frame(self):
        self.end_frame()

    def end_frame(self):
        now = clock()
        if self._last is not None:
            self._frames.append(now - self._last)
        self._last = now

    def _on_input(self, *_):
        try:
            data = self._ours.recv(8 * 1024)
        except BlockingIOError:
            return
        now = clock()
        self._delays.extend(now - then for (then,) in struct.iter_unpack("d", data))

    def close(self):
        """Stop looking. What has not been seen yet is as late as it is now."""
        self._timer.stop()
        self._notifier.setEnabled(False)
        self._ticker.kill()
        self._ticker.wait()
        self._on_input()
        self._ours.close()
        self._theirs.close()

    def figures(self):
        """Return the figures of what was seen."""
        found = {}
        for name, values in (("frame", self._frames), ("input", self._delays)):
            if values:
                found.update(summarise(name, values))
        return found


class OnScreen(Offscreen):
    """Frames and input of a window, on a display that is nobody's: its pointer is moved."""

    is_ready = False
    WIDTH, HEIGHT = 400, 300

    def __init__(self, contender, seconds):
        self._widgets = importlib.import_module(contender.binding + ".QtWidgets")
        self._gui = importlib.import_module(contender.binding + ".QtGui")
        contender.app.setQuitOnLastWindowClosed(False)  # the contender decides when to end
        super().__init__(contender, seconds)

    def open(self):
        watch = self

        class Window(self._widgets.QWidget):
            def paintEvent(self, event):
                watch.paint(self)

            def mouseMoveEvent(self, event):
                watch.move(event.position() if hasattr(event, "position") else event.localPos())

        self._moves = []  # (which, when it was seen)
        self._painted = 0
        self._pointer = None
        self._window = Window()
        self._window.setMouseTracking(True)
        self._window.setGeometry(0, 0, self.WIDTH, self.HEIGHT)
        self._window.show()
        self._timer.start(FRAME_MS)

    def begin_frame(self):
        self._window.update()

    def paint(self, window):
        painter = self._gui.QPainter(window)
        painter.fillRect(0, 0, self.WIDTH, self.HEIGHT, self._gui.QColor(40, 40, 40))
        painter.fillRect(self._painted % self.WIDTH, 0, 20, self.HEIGHT, self._gui.QColor(250, 200, 0))
        painter.end()
        self._painted += 1
        self.end_frame()
        if self._pointer is None and self._painted > 5:  # it has been shown, and warmed up
            arguments = [str(INPUT_PERIOD), str(self._inputs), str(self.WIDTH)]
            command = [sys.executable, "-S", str(POINTER), *arguments]
            self._pointer = subprocess.Popen(command, stdout=subprocess.PIPE)
            self._frames.clear()
            self.is_ready = True

    def move(self, place):
        self._moves.append((int(place.x()) + int(place.y()) * self.WIDTH, clock()))

    def close(self):
        """Stop looking. A move that Qt has left out for a later one was seen with that one."""
        end = clock()
        self._timer.stop()
        self._pointer.kill()
        times = self._pointer.communicate()[0]
        self._window.close()
        moves = itertools.chain(self._moves, itertools.repeat((float("inf"), end)))
        seen, when = -1, end
        self._delays = []
        for index, (then,) in enumerate(struct.iter_unpack("d", times[: len(times) // 8 * 8])):
            while seen < index:
                seen, when = next(moves)
            if then < end:
                self._delays.append(when - then)


def watch(contender, seconds):
    """Begin to look at frames and input; on a display where there is one."""
    kind = OnScreen if os.environ["QT_QPA_PLATFORM"] == "xcb" else Offscreen
    return kind(contender, seconds)

"""A widget that shows whether the GUI thread is free: it moves once a frame, and draws what each frame cost.

A precise timer asks for a tick every 16 ms (about 60 frames a second). Whatever keeps the GUI thread busy makes a tick
late. The gaps between ticks are kept, so that "the host never froze" is a number and not an impression.
"""

import time
from collections import deque

from qtpy.QtCore import QPointF, QRectF, Qt, QTimer
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

TICK_MS = 16
SHOWN_S = 0.050  # the gap that fills the graph's height
LATE_S = 0.025  # the gap from which an eye sees a stutter

CALM = QColor("#2f9e77")
LATE = QColor("#d9534f")


class Heartbeat(QWidget):
    """A dot that swings to and fro above a graph of the most recent gaps between ticks."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.gaps = []  # every gap since the last reset(), in seconds
        self._recent = deque(maxlen=400)
        self._last = None
        self.setMinimumHeight(96)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def reset(self):
        """Forget the gaps so far, including the one that is open now."""
        self.gaps = []
        self.skip()

    def skip(self):
        """Leave the gap that is open now out of the count."""
        self._last = None

    def _tick(self):
        now = time.monotonic()
        if self._last is not None:
            self.gaps.append(now - self._last)
            self._recent.append(now - self._last)
        self._last = now
        self.update()

    def paintEvent(self, event):
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor("#16212b"))
        graph = QRectF(self.rect()).adjusted(12, 30, -12, -8)
        self._draw_dot(painter, graph.left(), graph.right())
        self._draw_gaps(painter, graph)
        self._draw_numbers(painter, graph)
        painter.end()

    def _draw_dot(self, painter, left, right):
        phase = time.monotonic() % 2.0
        place = phase if phase < 1.0 else 2.0 - phase
        painter.setPen(QPen(QColor("#31424f"), 2))
        painter.drawLine(QPointF(left, 16), QPointF(right, 16))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(CALM)
        painter.drawEllipse(QPointF(left + place * (right - left), 16), 7, 7)

    def _draw_gaps(self, painter, graph):
        width = graph.width() / self._recent.maxlen
        for index, gap in enumerate(self._recent):
            height = min(1.0, gap / SHOWN_S) * graph.height()
            bar = QRectF(graph.left() + index * width, graph.bottom() - height, max(1.0, width - 0.5), height)
            painter.fillRect(bar, LATE if gap > LATE_S else CALM)
        limit = graph.bottom() - LATE_S / SHOWN_S * graph.height()
        painter.setPen(QPen(QColor("#9fb3c1"), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(graph.left(), limit), QPointF(graph.right(), limit))
        painter.drawText(QPointF(graph.left() + 4, limit - 4), f"{LATE_S * 1000:.0f} ms between two frames")

    def _draw_numbers(self, painter, graph):
        if not self._recent:
            return
        ordered = sorted(self._recent)
        p99 = ordered[int(len(ordered) * 0.99)]
        text = f"last {len(ordered)} frames: 99 % within {p99 * 1000:.0f} ms, longest {ordered[-1] * 1000:.0f} ms"
        painter.drawText(graph.adjusted(0, -2, -4, 0), Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop, text)

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
        """Forget the gaps so far, including the one that is still open."""
        self.gaps = []
        self._last = None

    def percentile(self, percent):
        """Return the gap in seconds that this share of all gaps does not exceed, or 0.0 before the second tick."""
        if not self.gaps:
            return 0.0
        ordered = sorted(self.gaps)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

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

"""The plug-in and its dock: everything that touches Qt.

Where the downloader connects its button to a coroutine function, this one has a plain slot that starts a task when
there is none and cancels it when there is one. While the tiles come, a second task shows how long it has taken.
"""

import asyncio
import time

from qtpy.QtCore import QRect, Qt
from qtpy.QtGui import QColor, QPainter, QPixmap
from qtpy.QtWidgets import QDockWidget, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from ._vendor import asyncslot
from .tiles import TileError, fetch_tiles

COLUMNS, ROWS = 8, 6
CONNECTIONS = 4


class MosaicPlugin:
    def __init__(self, host):
        self._host = host
        self.dock = None

    def initGui(self):
        lease = asyncslot.attach()
        self.dock = MosaicDock(lease)
        self._host.add_dock(self.dock)

    def unload(self):
        # First our tasks, while everything that they use is still there; then the dock.
        report = asyncslot.detach()
        self._host.log(str(report))
        self._host.remove_dock(self.dock)
        self.dock = None


class MosaicDock(QDockWidget):
    def __init__(self, lease):
        super().__init__("Mosaic")
        self._lease = lease
        self._task = None
        self.url = QLineEdit()
        self.url.setPlaceholderText("http://.../{x}/{y}.png")
        self.button = QPushButton("Load")
        self.button.clicked.connect(self._start_or_stop)
        self.picture = Picture()
        self.elapsed = QLabel()
        self.state = QLabel("Nothing loaded yet")

        below = QHBoxLayout()
        below.addWidget(self.state, 1)
        below.addWidget(self.elapsed)
        column = QVBoxLayout()
        column.addWidget(self.url)
        column.addWidget(self.button)
        column.addWidget(self.picture, 1)
        column.addLayout(below)
        body = QWidget()
        body.setLayout(column)
        self.setWidget(body)

    def _start_or_stop(self):
        if self._task is None or self._task.done():
            # A plain slot runs outside asyncio, where asyncio.create_task() finds no running loop: the lease has one.
            self._task = self._lease.create_task(self._load())
        else:
            self._task.cancel()

    async def _load(self):
        self.button.setText("Stop")
        # In a coroutine all of asyncio is as usual.
        clock = asyncio.create_task(self._show_elapsed())
        self.picture.clear()
        self._show_count()
        cells = [(column, row) for row in range(ROWS) for column in range(COLUMNS)]
        try:
            await fetch_tiles(self.url.text(), cells, self._add_tile, CONNECTIONS)
        except asyncio.CancelledError:
            self.state.setText("Stopped")
            raise
        except (OSError, TileError) as exc:
            self.state.setText(f"Failed: {exc}")
        finally:
            clock.cancel()
            self.button.setText("Load")

    async def _show_elapsed(self):
        start = time.monotonic()
        while True:
            self.elapsed.setText(f"{time.monotonic() - start:.1f} s")
            await asyncio.sleep(0.1)

    def _add_tile(self, cell, data):
        self.picture.add(cell, data)
        self._show_count()

    def _show_count(self):
        self.state.setText(f"{len(self.picture.tiles)} of {COLUMNS * ROWS} tiles, {CONNECTIONS} at a time")


class Picture(QWidget):
    """The tiles that have come so far, fitted to the widget's size."""

    def __init__(self):
        super().__init__()
        self.tiles = {}  # (column, row) -> QPixmap
        self.setMinimumSize(320, 240)

    def clear(self):
        self.tiles = {}
        self.update()

    def add(self, cell, data):
        tile = QPixmap()
        if not tile.loadFromData(data):
            raise TileError(f"tile {cell} is not a picture")
        self.tiles[cell] = tile
        self.update()

    def paintEvent(self, event):
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self.rect(), QColor("#16212b"))
        for (column, row), tile in self.tiles.items():
            painter.drawPixmap(self._area(column, row), tile)
        painter.setPen(QColor("#31424f"))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for row in range(ROWS):
            for column in range(COLUMNS):
                if (column, row) not in self.tiles:
                    painter.drawRect(self._area(column, row))
        painter.end()

    def _area(self, column, row):
        left, right = (self.width() * edge // COLUMNS for edge in (column, column + 1))
        top, bottom = (self.height() * edge // ROWS for edge in (row, row + 1))
        return QRect(left, top, right - left, bottom - top)

"""Plays, inside QGIS, a plug-in that downloads three files in a slot, in one of two ways; see story.py.

The ways are named by ASYNCSLOT_PICTURE_WAY: "blocked" calls urllib, as anybody would at first; "awaited" is a coroutine
function with the same downloads, shown in the message bar. While it goes on, the picture is taken from outside, by
camera.py: it is told where to click, and afterwards how the GUI has fared.
"""

import asyncio
import os
import time
import urllib.request
from urllib.parse import urlsplit

import qgis.utils
from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QPoint
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QAction

from . import host
from .qt import Heartbeat, pause, until
from .story_of_checks import write

SIZE = (1024, 620)
# Enough for the camera, which is done in half of the time that they take.
FILES = 3
BLOCK_SIZE = 64 * 1024


def play():
    iface = qgis.utils.iface
    world = QgsApplication.pkgDataPath() + "/resources/data/world_map.gpkg|layername=countries"
    iface.addVectorLayer(world, "world", "ogr")
    iface.mapCanvas().setCanvasColor(QColor("#d5e6f3"))
    yield from until(lambda: not iface.mapCanvas().isDrawing(), 20, "the map is drawn")
    yield from pause(2.0)
    done = []
    action = QAction("Download", iface.mainWindow())
    action.triggered.connect(WAYS[os.environ["ASYNCSLOT_PICTURE_WAY"]](done.append))
    with Heartbeat() as heartbeat:
        yield from pause(0.5)
        write(
            step="working",
            at=time.monotonic(),
            size=[host.window().width(), host.window().height()],
            menu=_middle_of(iface.pluginMenu()),
        )
        action.trigger()
        yield from until(lambda: done, 60, "all is downloaded")
        write(step="worked", at=time.monotonic(), sizes=done[0])
        yield from pause(0.5)
    write(step="measured", **heartbeat.facts())


def _middle_of(menu):
    """Return where a menu of the menu bar is opened, in pixels of the screen."""
    bar = host.window().menuBar()
    point = bar.mapToGlobal(QPoint(0, 0)) + bar.actionGeometry(menu.menuAction()).center()
    return [point.x(), point.y()]


def blocked(tell):
    """Return the slot as it is written without an event loop for it."""
    url = os.environ["ASYNCSLOT_SERVER"] + "/file"

    def slot():
        sizes = []
        qgis.utils.iface.messageBar().pushMessage("Downloading", f"{FILES} files", duration=0)
        for _ in range(FILES):
            with urllib.request.urlopen(url) as answer:
                sizes.append(len(answer.read()))
        tell(sizes)

    return slot


def awaited(tell):
    """Return the slot as a coroutine function."""
    from ._vendor import asyncslot

    lease = asyncslot.attach()
    url = urlsplit(os.environ["ASYNCSLOT_SERVER"] + "/file")

    async def slot():
        sizes = []
        async with lease.progress("Downloading", total=FILES) as progress:
            while len(sizes) < FILES:
                sizes.append(await _download(url, progress, f"file {len(sizes) + 1} of {FILES}"))
        tell(sizes)

    return lease.slot(slot)


async def _download(url, progress, text):
    """Download one file; return its size."""
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        writer.write(f"GET {url.path} HTTP/1.0\r\nHost: {url.netloc}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.partition("content-length:")[2].split()[0])
        received = 0
        while received < size:
            block = await reader.readexactly(min(BLOCK_SIZE, size - received))
            received += len(block)
            progress.advance(len(block) / size, text)
        return received
    finally:
        writer.close()


WAYS = {"blocked": blocked, "awaited": awaited}

"""Plays what is to be seen in a picture, inside a host; pictures.py puts it into the guest, in the place of its story.

A picture is a generator, like the checks of tests/hosts/guest: it does something, yields a condition to wait for, and
what it returns is grabbed, or the host's main window if that is None. It knows no host; see story.py there.
"""

import asyncio
import os
import sys
import time

from . import host, story_of_checks
from .qt import KEPT, pause, until
from .story_of_checks import Player, write

# Of the host's window, in pixels: wide enough for its toolbars, small enough for a page.
SIZE = (1000, 700)


def start():
    """Begin as soon as the host's event loop runs."""
    vars(sys).setdefault(KEPT, []).append(Player(_play(PICTURES[os.environ["ASYNCSLOT_PICTURE"]])))


def stop():
    """The leases are of other names than the guest's, and end when the host quits."""


def _play(picture):
    yield from until(host.is_ready, 60, "the host is ready")
    host.window().setGeometry(0, 0, *SIZE)
    yield from pause(1.0)
    widget = yield from picture()
    grabbed = (widget or host.window()).grab()
    _save(grabbed.toImage(), os.environ["ASYNCSLOT_PICTURE_FILE"])
    write(step="picture", size=[grabbed.width(), grabbed.height()])
    story_of_checks._quit()


def _save(image, path):
    """Write an image without its alpha channel, as small as PNG gets."""
    formats = getattr(type(image), "Format", type(image))
    image.convertToFormat(formats.Format_RGB888).save(path, "PNG", 0)


# -- the task monitor, with two plug-ins at work


def monitor():
    """Two owners at work, a slot and a callback that cost frames, and the monitor that tells of it."""
    from ._vendor import asyncslot

    tiles, feed = asyncslot.attach("tile_downloads"), asyncslot.attach("live_feed")
    asyncslot.monitor()
    for number in range(5):
        tiles.create_task(download(0.05 * (number + 1)), name=f"tile {number}")
    tiles.create_task(index(), name="index")
    feed.create_task(listen(), name="listen")
    feed.create_task(download(0.3), name="heartbeat")
    yield from pause(4.5)
    feed.slot(parse)()
    yield from pause(2.5)


async def download(seconds):
    while True:  # noqa: ASYNC110 - it stands for work
        await asyncio.sleep(seconds)


async def listen():
    await asyncio.get_running_loop().create_future()


async def index():
    await asyncio.sleep(2.5)
    time.sleep(0.24)  # noqa: ASYNC251 - that is the fault that the monitor shows
    await asyncio.sleep(3600)


async def parse():
    time.sleep(0.06)  # noqa: ASYNC251 - as above
    await asyncio.sleep(3600)


PICTURES = {"monitor": monitor}

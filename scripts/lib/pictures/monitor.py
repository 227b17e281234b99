"""Plays, inside any host, two plug-ins at work, with the task monitor that tells of it; see story.py.

One slot and one callback take longer than a frame, for the monitor to mark and name. It knows no host.
"""

import asyncio
import time

from . import host
from ._vendor import asyncslot
from .qt import pause

# Wide enough for the hosts' toolbars, small enough for a page.
SIZE = (1000, 700)


def play():
    tiles, feed = asyncslot.attach("tile_downloads"), asyncslot.attach("live_feed")
    asyncslot.monitor()
    for number in range(5):
        tiles.create_task(download(0.05 * (number + 1)), name=f"tile {number}")
    tiles.create_task(index(), name="index")
    feed.create_task(listen(), name="listen")
    feed.create_task(download(0.3), name="heartbeat")
    yield from pause(6.5)
    feed.slot(parse)()
    yield from pause(1.5)
    return host.window()


async def download(seconds):
    while True:  # noqa: ASYNC110 - it stands for work
        await asyncio.sleep(seconds)


async def listen():
    await asyncio.get_running_loop().create_future()


async def index():
    await asyncio.sleep(1.0)  # so long before the other that their names stand apart
    time.sleep(0.24)  # noqa: ASYNC251 - that is the fault that the monitor shows
    await asyncio.sleep(3600)


async def parse():
    time.sleep(0.06)  # noqa: ASYNC251 - as above
    await asyncio.sleep(3600)

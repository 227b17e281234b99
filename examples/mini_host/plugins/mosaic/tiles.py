"""Fetch many small files over a few connections with asyncio: no Qt, nothing of the host.

Each connection takes the next file that nobody has taken, until none is left. All of it runs in one thread, so the
shared list needs no lock: nothing else runs between two `await`s.
"""

import asyncio
import http.client
import io
from collections import deque
from urllib.parse import urlsplit


class TileError(Exception):
    """The server's answer is not a tile; the text is fit to be shown."""


async def fetch_tiles(template, cells, on_tile, connections):
    """Fetch the tiles of all cells, several at the same time.

    Args:
        template: a URL with {x} and {y} in it.
        cells: (x, y) of each tile.
        on_tile(cell, data) is called for each tile, in the order in which they come.
        connections: how many to use.
    Raises: TileError, or OSError when there is no connection. The first failure ends all.
    """
    waiting = deque(cells)
    workers = [asyncio.create_task(_fetch_in_turn(template, waiting, on_tile)) for _ in range(connections)]
    try:
        await asyncio.gather(*workers)
    finally:
        # One has failed, or we are cancelled: none of the others stays behind.
        for worker in workers:
            worker.cancel()


async def _fetch_in_turn(template, waiting, on_tile):
    parts = urlsplit(template)
    if parts.scheme != "http" or not parts.hostname:
        raise TileError(f"{template!r} is not an http:// address")
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        while waiting:
            x, y = cell = waiting.popleft()
            path = parts.path.replace("{x}", str(x)).replace("{y}", str(y))
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode("ascii"))
            on_tile(cell, await _read_answer(reader))
    except asyncio.IncompleteReadError:
        raise TileError("the connection ended in the middle") from None
    finally:
        writer.close()


async def _read_answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    status_line, _, fields = head.partition(b"\r\n")
    if b" 200 " not in status_line:
        raise TileError(f"the server answers {status_line.decode('latin-1')!r}")
    length = http.client.parse_headers(io.BytesIO(fields))["Content-Length"]
    return await reader.readexactly(int(length or 0))

"""The server that the demo downloads from: on this machine only, slow on purpose.

Slow, because progress is to be seen and something is to be under way when a plug-in is reloaded: the file comes in
small pieces with pauses, and each tile takes a moment. The tiles are a map of a made-up country, painted here so that
the demo needs neither files nor a network.
"""

import contextlib
import hashlib
import math
import struct
import time
import zlib
from http.server import BaseHTTPRequestHandler

from lib import http_server

COLUMNS, ROWS = 8, 6
TILE_SIZE = 64  # pixels
TILE_SECONDS = 0.15
PIECE = 16 * 1024  # bytes
PIECE_SECONDS = 0.02

FILE = bytes(range(256)) * 12 * 1024  # 3 MB, about 4 s at this pace
FILE_SHA256 = hashlib.sha256(FILE).hexdigest()


def serving():
    """Serve `/file` and `/tiles/X/Y.png` on a free port; a context manager with the address to put in front."""
    return http_server.serving(_Handler, waits=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # a connection may ask for one tile after another
    timeout = 5.0  # seconds until a silent connection is given up

    def handle(self):
        # A client that goes away in the middle is what the demo is about, and no error.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self):
        parts = self.path.strip("/").split("/")
        if parts == ["file"]:
            self._answer("application/octet-stream", FILE, pause=PIECE_SECONDS)
        elif len(parts) == 3 and parts[0] == "tiles":
            time.sleep(TILE_SECONDS)
            self._answer("image/png", _tile(int(parts[1]), int(parts[2].partition(".")[0])))
        else:
            self.send_error(404)

    def _answer(self, kind, body, pause=0.0):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for start in range(0, len(body), PIECE):
            self.wfile.write(body[start : start + PIECE])
            if pause:
                time.sleep(pause)

    def log_message(self, format, *args):
        pass  # the demo tells what happened, once


def _tile(column, row):
    """Paint a tile as PNG: the height of the land at each pixel, in the colours of a school atlas."""
    lines = []
    for y in range(row * TILE_SIZE, (row + 1) * TILE_SIZE):
        colours = (_colour(x, y) for x in range(column * TILE_SIZE, (column + 1) * TILE_SIZE))
        lines.append(b"\0" + b"".join(colours))
    size = struct.pack(">IIBBBBB", TILE_SIZE, TILE_SIZE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(b"".join(lines), 1)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        png += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return png


# (from this height on, red, green, blue)
_ATLAS = (
    (-9.0, b"\x2b\x5f\x8f"),
    (-0.55, b"\x3f\x7f\xb0"),
    (-0.15, b"\x7f\xb6\xd6"),
    (0.0, b"\xe9\xdc\xae"),
    (0.08, b"\x8f\xbf\x6f"),
    (0.45, b"\x5f\x9a\x55"),
    (0.85, b"\xa8\x8b\x5a"),
    (1.25, b"\x86\x68\x4c"),
    (1.6, b"\xf4\xf4\xf2"),
)


def _colour(x, y):
    across, down = x / (COLUMNS * TILE_SIZE), y / (ROWS * TILE_SIZE)
    height = 1.9 * math.sin(math.pi * across) * math.sin(math.pi * down) - 0.85
    height += 0.45 * math.sin(9 * across + 4 * down) + 0.25 * math.sin(21 * down - 13 * across)
    height += 0.12 * math.sin(47 * across + 31 * down) * math.sin(38 * down)
    return next(colour for start, colour in reversed(_ATLAS) if height >= start)

"""The other side of the jobs in jobs.py: a program, so that its time and its GIL are not ours.

    python -m lib.bench.job_peer tiles <seconds>            a server of tiles; each answer comes that much later
    python -m lib.bench.job_peer feed <messages a second>   a server that sends to whoever connects, one line each
    python -m lib.bench.job_peer calls <seconds> <port>     CALLERS clients, each calls again when it is answered

A server writes its port into its output, and ends when it is killed. The clients write what they have seen, as JSON.
It is asyncio without Qt, with protocols instead of streams, or a thread: as little as will do. For on a machine with
few processors all that it spends is missing elsewhere.
"""

import asyncio
import json
import random
import socketserver
import struct
import sys
import time

from lib.bench.workloads import clock, percentile

CALLERS = 50
# Rows of the feed's table.
ROWS = 500
# How often the feed sends what is due; seconds.
TICK = 0.001

# Pixels; three bytes each make 20 KB.
SIDE = 82


def tile():
    """Return a picture of 20 KB, as a BMP: nearly nothing to decode, so that it does not hide all else."""
    width = 3 * SIDE + -3 * SIDE % 4  # lines are aligned
    pixels = random.Random(1).getrandbits(8 * width * SIDE).to_bytes(width * SIDE, "little")
    info = struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 14 + len(info) + len(pixels), 0, 0, 14 + len(info)) + info + pixels


# -- tiles -----------------------------------------------------------------------


class _TileServer(asyncio.Protocol):
    """Answers each request with a tile."""

    def __init__(self, delay, answer):
        self._delay = delay
        self._answer = answer
        self._request = b""

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._request += data
        if self._request.endswith(b"\r\n\r\n"):
            self._request = b""
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._transport.write, self._answer)
            else:
                self._transport.write(self._answer)


async def _serve_tiles(delay):
    picture = tile()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: image/bmp\r\nContent-Length: %d\r\n\r\n" % len(picture) + picture
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _TileServer(delay, answer), "127.0.0.1", 0)
    _tell(server.sockets[0].getsockname()[1])
    await server.serve_forever()


# -- the feed --------------------------------------------------------------------


class _Feed(socketserver.BaseRequestHandler):
    """Sends lines at a rate; those that are due after a sleep are sent by one call."""

    def handle(self):
        start, count = clock(), 0
        try:
            while True:
                time.sleep(TICK)
                now = clock()
                due = int((now - start) * self.server.rate)
                lines = [b'{"row": %d, "value": %d, "sent": %a}\n' % (i % ROWS, i, now) for i in range(count, due)]
                self.request.sendall(b"".join(lines))
                count = due
        except OSError:
            pass  # the client has gone


def _serve_feed(rate):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Feed) as server:
        server.daemon_threads = True
        server.rate = rate
        _tell(server.server_address[1])
        server.serve_forever()


# -- calls -----------------------------------------------------------------------


class _Caller(asyncio.Protocol):
    """Calls, waits for the answer, and calls again, until the deadline."""

    def __init__(self):
        self.taken = []
        self.is_over = asyncio.get_running_loop().create_future()
        self._answer = b""

    def connection_made(self, transport):
        self._transport = transport

    def begin(self, deadline):
        self._deadline = deadline
        self._call()

    def _call(self):
        self._called = clock()
        self._transport.write(b"call %d\n" % len(self.taken))

    def data_received(self, data):
        self._answer += data
        if self._answer.endswith(b"\n"):
            if self._answer != b"answer to call %d\n" % len(self.taken):
                sys.exit(f"call {len(self.taken)} was answered by {self._answer!r}")
            self._answer = b""
            now = clock()
            self.taken.append(now - self._called)
            if now < self._deadline:
                self._call()
            else:
                self._transport.close()

    def connection_lost(self, exc):
        self.is_over.set_result(None)


async def _call(seconds, port):
    loop = asyncio.get_running_loop()
    callers = [(await loop.create_connection(_Caller, "127.0.0.1", port))[1] for _ in range(CALLERS)]
    start = clock()
    for caller in callers:
        caller.begin(start + seconds)
    await asyncio.wait([caller.is_over for caller in callers])
    seconds = clock() - start
    taken = [each for caller in callers for each in caller.taken]
    seen = {f"ms p{percent}": percentile(taken, percent) * 1000 for percent in (50, 99)}
    _tell(json.dumps({"calls/s": len(taken) / seconds, **seen}))


def _tell(what):
    print(what, flush=True)


def main():
    job, number, *more = sys.argv[1:]
    if job == "tiles":
        asyncio.run(_serve_tiles(float(number)))
    elif job == "feed":
        _serve_feed(float(number))
    else:
        asyncio.run(_call(float(number), int(more[0])))


if __name__ == "__main__":
    main()

"""What scripts/bench.py measures of reading: a GUI beside a stream of tokens that are all there at once, and bulk.

The server is this file, run as a program, so that its time is not ours. It answers GET:

    /tokens         an event stream of TOKENS lines, sent by one call; with `Upgrade: websocket` as many messages
    /bulk           zeros, until the client has gone

See workloads.py for how workloads are written.
"""

import asyncio
import base64
import hashlib
import importlib
import socket
import socketserver
import ssl
import subprocess
import sys
import time
from pathlib import Path

from lib.bench.workloads import clock

CERTIFICATE = Path(__file__).resolve().parents[3] / "tests" / "support" / "localhost.pem"

TOKENS = 2000
# What the plug-in does with each of them, in seconds.
WORK = 0.0005
FRAME_MS = 16

PIECE = bytes(1024 * 1024)


# -- a screen, and the naive loops ---------------------------------------------


class _Screen:
    """The gaps between the ticks of a 16 ms timer, and the tokens that were shown in each, until figures() is called.

    Time is also counted as CPU time of this thread, for machines that have other work, too.
    """

    def __init__(self, core):
        self._shown = 0
        self._ticks = []
        self._first = 0  # which gap has the first token
        self._timer = core.QTimer()
        self._timer.setTimerType(getattr(core.Qt, "TimerType", core.Qt).PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(FRAME_MS)
        self._tick()

    def _tick(self):
        self._ticks.append((clock(), time.thread_time(), self._shown))

    def show(self, token):
        """Do some work for a token, as a widget does that lays out its text anew."""
        until = time.thread_time() + WORK
        self._shown += 1
        if self._shown == 1:
            self._first = len(self._ticks) - 1
        while time.thread_time() < until:
            pass

    def figures(self):
        self._timer.stop()
        self._tick()
        gaps = [[to - from_ for from_, to in zip(*ends)] for ends in zip(self._ticks, self._ticks[1:])]
        first, *later = gaps[self._first :]
        return {
            "ms longest gap": max(gap[0] for gap in gaps) * 1000,
            "ms longest gap after the first token's": max((gap[0] for gap in later), default=0.0) * 1000,
            "ms CPU in a gap after the first token's": max((gap[1] for gap in later), default=0.0) * 1000,
            "tokens in the first gap": first[2],
            "tokens in a later gap": max((gap[2] for gap in later), default=0),
        }


async def tokens(bench, client, tls=False, is_whole=True):
    """A naive loop over a stream of tokens that are all there at once: the longest gap of a 16 ms timer.

    Args:
        is_whole: they are sent by one call, and over TLS in records of 16 KiB; else each by a call of its own.
    """
    count = bench.amount(TOKENS)
    if client in PACKAGES:
        importlib.import_module(PACKAGES[client])
    with _Server(count, tls, is_whole) as port:
        screen = _Screen(bench.contender.core)
        async for token in _CLIENTS[client](port, _client_context() if tls else None):
            screen.show(token)
            count -= 1
            if not count:
                break
        return screen.figures()


async def _streams(port, context):
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    writer.write(b"GET /tokens HTTP/1.1\r\n\r\n")
    async for line in reader:
        if line.startswith(b"data:"):
            yield line
    writer.close()


async def _httpx(port, context):
    import httpx

    async with httpx.AsyncClient(verify=context or False, trust_env=False) as client:
        async with client.stream("GET", _url("http", port, context)) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield line


async def _aiohttp(port, context):
    import aiohttp

    async with aiohttp.ClientSession() as session:
        async with session.get(_url("http", port, context), ssl=context or False) as response:
            async for line in response.content:
                if line.startswith(b"data:"):
                    yield line


async def _websockets(port, context):
    import websockets.asyncio.client

    async with websockets.asyncio.client.connect(_url("ws", port, context), ssl=context, proxy=None) as connection:
        async for message in connection:
            yield message


_CLIENTS = {"streams": _streams, "httpx": _httpx, "aiohttp": _aiohttp, "websockets": _websockets}

# What a client needs, by the name to import.
PACKAGES = {"httpx": "httpx", "aiohttp": "aiohttp", "websockets": "websockets.asyncio.client"}


def _url(scheme, port, context):
    return f"{scheme}{'s' if context else ''}://localhost:{port}/tokens"


def _client_context():
    return ssl.create_default_context(cafile=str(CERTIFICATE))


# -- bulk ------------------------------------------------------------------------


class _Counting(asyncio.Protocol):
    count = 0

    def data_received(self, data):
        self.count += len(data)


async def bulk(bench, connections, tls=False):
    """As much as there comes, over some connections."""
    loop = asyncio.get_running_loop()
    with _Server(0, tls, True) as port:
        context = _client_context() if tls else None
        pairs = [await loop.create_connection(_Counting, "localhost", port, ssl=context) for _ in range(connections)]
        for transport, _ in pairs:
            transport.write(b"GET /bulk HTTP/1.1\r\n\r\n")
        await asyncio.sleep(bench.seconds / 4)  # all of them have begun
        before, start, cpu = sum(protocol.count for _, protocol in pairs), clock(), time.process_time()
        await asyncio.sleep(bench.seconds * 2)
        count, taken = sum(protocol.count for _, protocol in pairs) - before, clock() - start
        cpu = time.process_time() - cpu
        for transport, _ in pairs:
            transport.abort()
    return {"MB/s": count / taken / 1e6, "ms CPU of 1 GB": cpu / count * 1e12}


# -- the server ------------------------------------------------------------------


class _Server:
    """The server, in a process of its own; `with` gives the port."""

    def __init__(self, tokens, tls, is_whole):
        options = ["tls" if tls else "", "whole" if is_whole else ""]
        command = [sys.executable, "-m", "lib.bench.reads", str(tokens), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def __enter__(self):
        return int(self._process.stdout.readline())

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()


def _answer(request, tokens):
    """Return the parts of an answer."""
    path = request.split()[1]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    if path == b"/bulk":
        return [head]
    texts = [b'{"index": %d, "token": "word"}' % i for i in range(tokens)]
    lines = request.split(b"\r\n")
    key = next((line[18:].strip() for line in lines if line.lower().startswith(b"sec-websocket-key")), None)
    if key is None:
        return [head, *(b"data: %s\n\n" % text for text in texts)]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    head += b"Sec-WebSocket-Accept: %s\r\n\r\n" % accept
    return [head, *(b"\x81%c%s" % (len(text), text) for text in texts)]


class _Handler(socketserver.BaseRequestHandler):
    def handle(self):
        sock = self.request
        try:
            if self.server.context is not None:
                sock = self.server.context.wrap_socket(sock, server_side=True)
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += sock.recv(4096)
            parts = _answer(request, self.server.tokens)
            for part in [b"".join(parts)] if self.server.is_whole else parts:
                sock.sendall(part)
            while request.startswith(b"GET /bulk"):
                sock.sendall(PIECE)
            sock.recv(4096)  # until the client has gone
        except OSError:
            pass


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 200

    def __init__(self, tokens, tls, is_whole):
        self.tokens = tokens
        self.is_whole = is_whole
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(str(CERTIFICATE))
        super().__init__(("127.0.0.1", 0), _Handler)


def main():
    server = _Listener(int(sys.argv[1]), *map(bool, sys.argv[2:]))
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

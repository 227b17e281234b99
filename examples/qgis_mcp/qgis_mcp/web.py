"""HTTP/1.1 on asyncio's streams, as much of it as an MCP server needs. Knows nothing of MCP, Qt and QGIS.

Whoever can open a connection to a port on this machine can write anything into it, and so can a web page that the user
looks at: a browser sends its requests to 127.0.0.1, too. So before a request's body is read we look at

    its head's size, Host, Origin, path, token, method, its body's size

in this order, and what is wrong first is answered and ends the connection. A web page is known by its Origin, and one
whose name was made to mean 127.0.0.1 (DNS rebinding) by its Host.

    async def answer(exchange):  # called for each request
        exchange.reply(200, {"seen": exchange.body.decode()})

    await WebServer(answer, token="...").serve(listen(8642))

If the client hangs up meanwhile, the future exchange.gone() is done; nothing is cancelled, that is for `answer` to do.
"""

import asyncio
import hmac
import json
import os
import re
import socket

HOST = "127.0.0.1"

MAX_HEAD = 16 * 1024  # bytes
MAX_BODY = 1024 * 1024  # bytes
MAX_CONNECTIONS = 200
MAX_UNREAD = 256 * 1024  # bytes of events that wait for a client to read them, before more are dropped
REQUEST_TIMEOUT = 60.0  # seconds until a request has arrived, from the end of the one before
LINGER_TIMEOUT = 1.0  # seconds for a client to read why it is refused

_BLOCK = 64 * 1024
_REASONS = {
    200: "OK",
    202: "Accepted",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*)")


def listen(port):
    """Return a socket that listens on a port for this machine alone.

    Args:
        port: 0 for any that is free.

    Raises:
        OSError: the port is taken, or this user may not have it.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # On Windows SO_REUSEADDR would let another program have our port as well. Elsewhere it only means not to wait
        # until the system has forgotten the connections of the server that was here before a reload.
        option = socket.SO_EXCLUSIVEADDRUSE if os.name == "nt" else socket.SO_REUSEADDR
        sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind((HOST, port))
        sock.listen(MAX_CONNECTIONS)
    except BaseException:
        sock.close()
        raise
    return sock


class Refusal(Exception):
    """What a client is told instead of an answer, before the connection is closed."""

    def __init__(self, status, text, *headers):
        super().__init__(text)
        self.status = status
        self.headers = headers


class WebServer:
    """Serves one path to clients on this machine that have the token.

    Args:
        answer: a coroutine function, called with an `Exchange` for each request.
        token: what clients send as `Authorization: Bearer <token>`.
        path: where they send it.
        methods: those that `answer` takes.
        origins: web pages that may send requests, such as "http://localhost:6274"; by default none.
    """

    def __init__(self, answer, token, *, path="/mcp", methods=("POST",), origins=()):
        self._answer = answer
        self._token = token.encode("ascii")
        self._path = path
        self._methods = methods
        self._origins = set(origins)
        self._hosts = set()
        self._connections = set()

    async def serve(self, sock):
        """Serve until this is cancelled, and close everything then; `sock` is what listen() returned."""
        port = sock.getsockname()[1]
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        server = await asyncio.start_server(self._connected, sock=sock, backlog=MAX_CONNECTIONS)
        try:
            await asyncio.get_running_loop().create_future()  # which nobody ever sets
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()

    async def _connected(self, reader, writer):
        connection = asyncio.current_task()
        self._connections.add(connection)
        try:
            stream = _Stream(reader, writer)
            try:
                if len(self._connections) > MAX_CONNECTIONS:
                    raise Refusal(503, f"more than {MAX_CONNECTIONS} connections")
                while not stream.is_last:
                    await self._serve_one(stream)
            except Refusal as refusal:
                stream.is_last = True
                stream.send(refusal.status, str(refusal).encode(), "text/plain; charset=utf-8", *refusal.headers)
                await stream.linger()
        except (EOFError, OSError):
            pass  # the client has hung up
        except asyncio.CancelledError:
            pass  # the server ends. Some Pythons' streams take a cancelled connection for an error (3.11.7, 3.12.1)
        finally:
            self._connections.discard(connection)
            writer.close()

    async def _serve_one(self, stream):
        with stream.time_limit(REQUEST_TIMEOUT):
            method, target, headers = await stream.read_head()
            self._check(method, target, headers)
            body = await stream.read_body(headers)
        exchange = Exchange(stream, method, headers, body)
        try:
            await self._answer(exchange)
        finally:
            await exchange.end()
        with stream.time_limit(REQUEST_TIMEOUT):
            await stream.drain()

    def _check(self, method, target, headers):
        """Refuse who is not to be answered; he learns nothing of what would have been looked at next."""
        if headers.get("host", "").lower() not in self._hosts:
            raise Refusal(403, "the Host is not this server")
        if "origin" in headers and headers["origin"] not in self._origins:
            raise Refusal(403, "no requests of web pages are answered here")
        if target.partition("?")[0] != self._path:
            raise Refusal(404, "there is nothing here")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        # The time that this takes does not tell how much of a guess is right.
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode("latin-1"), self._token):
            raise Refusal(401, "the token is missing, or is not the right one", ("WWW-Authenticate", "Bearer"))
        if method not in self._methods:
            raise Refusal(405, "not this method", ("Allow", ", ".join(self._methods)))


class Exchange:
    """One request, and its answer: either reply(), or start_events(), send_event() and return.

    Attributes:
        method: POST, say.
        headers: a dict, the names in lower case.
        body: bytes.
    """

    def __init__(self, stream, method, headers, body):
        self.method = method
        self.headers = headers
        self.body = body
        self._stream = stream
        self._has_events = False
        self._is_answered = False
        self._is_over = False
        self._gone = None

    def gone(self):
        """Return a future that is done when the client has hung up, the same each time."""
        if self._gone is None:
            self._gone = asyncio.ensure_future(self._stream.watch())
        return self._gone

    def reply(self, status, content=None, *headers):
        """Answer with a status, and with JSON if there is content."""
        self._is_answered = True
        if content is None:
            self._stream.send(status, b"", None, *headers)
        else:
            self._stream.send(status, json.dumps(content, allow_nan=False).encode(), "application/json", *headers)

    def start_events(self):
        """Begin an answer that consists of events, server-sent ones, and ends with the connection."""
        if not self._has_events:
            self._has_events = self._is_answered = self._stream.is_last = True
            self._stream.send(200, None, "text/event-stream", ("Cache-Control", "no-store"))

    def send_event(self, content, *, may_be_dropped=False):
        """Send JSON as one more event, or not if all is said already.

        One that may be dropped is, if the client does not read them as fast.
        """
        if self._is_over:  # what comes now would be in the middle of the next answer
            return
        self.start_events()
        self._stream.send_event(b"data: " + json.dumps(content, allow_nan=False).encode(), may_be_dropped)

    def finish(self, content):
        """Answer with JSON: as the last event if there were any, and alone otherwise."""
        if self._has_events:
            self.send_event(content)
        else:
            self.reply(200, content)
        self._is_over = True

    def send_sign_of_life(self):
        """Send a comment, which clients ignore, for those who take a long silence for the end."""
        self.start_events()
        self._stream.send_event(b":", may_be_dropped=True)

    async def end(self):
        """Leave the connection to the next request; for the server."""
        if self._gone is not None:
            self._gone.cancel()
            await asyncio.wait({self._gone})  # a stream has one reader at a time
        if not self._is_answered:  # `answer` has failed
            self.reply(500)
        self._is_over = True


class _Stream:
    """A connection: requests are read from it, one after the other, and answers are written to it."""

    def __init__(self, reader, writer):
        self.is_last = False  # no more requests after the one that is served now
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()

    def time_limit(self, seconds):
        return _Limit(seconds, self._writer)

    async def _read_more(self):
        block = await self._reader.read(_BLOCK)
        if not block:
            raise EOFError
        self._buffer += block

    def _take(self, count):
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def read_head(self):
        """Return method, target, and the headers by their names in lower case."""
        while b"\r\n\r\n" not in self._buffer[: MAX_HEAD + 4]:
            if len(self._buffer) > MAX_HEAD:
                raise Refusal(431, f"more than {MAX_HEAD} bytes of headers")
            await self._read_more()
        lines = self._take(self._buffer.index(b"\r\n\r\n") + 4).decode("latin-1")[:-4].split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/"):
            raise Refusal(400, "this is not HTTP")
        method, target, version = words
        if version != "HTTP/1.1":
            raise Refusal(505, "HTTP/1.1 is spoken here")
        headers = {}
        for line in lines[1:]:
            match = _HEADER.fullmatch(line)
            if match is None:
                raise Refusal(400, "a header is not one")
            name, value = match.group(1).lower(), match.group(2).strip()
            # What comes twice counts as a list. So two hosts, tokens or lengths are none, instead of one of the two.
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self.is_last = headers.get("connection", "").lower() == "close"
        return method, target, headers

    async def read_body(self, headers):
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers:
            raise Refusal(411, "a body needs a Content-Length, and comes in one piece")
        if not (length.isascii() and length.isdigit()):
            raise Refusal(400, "the Content-Length is no number")
        if len(length) > 15 or int(length) > MAX_BODY:
            raise Refusal(413, f"more than {MAX_BODY} bytes")
        while len(self._buffer) < int(length):
            await self._read_more()
        return self._take(int(length))

    async def watch(self):
        """Return when the client has hung up; what it sends meanwhile is kept for later, if it is not too much."""
        try:
            while len(self._buffer) <= MAX_HEAD:
                await self._read_more()
        except (EOFError, OSError):
            pass

    def send(self, status, content, kind, *headers):
        """Send an answer; if `content` is None, only its beginning."""
        lines = [f"HTTP/1.1 {status} {_REASONS[status]}", *(f"{name}: {value}" for name, value in headers)]
        if kind is not None:
            lines.append(f"Content-Type: {kind}")
        if content is not None:
            lines.append(f"Content-Length: {len(content)}")
        if self.is_last:
            lines.append("Connection: close")
        self._writer.write("\r\n".join([*lines, "\r\n"]).encode("latin-1") + (content or b""))

    async def drain(self):
        await self._writer.drain()

    def send_event(self, line, may_be_dropped):
        if not (may_be_dropped and self._writer.transport.get_write_buffer_size() > MAX_UNREAD):
            self._writer.write(line + b"\n\n")

    async def linger(self):
        """Let a client that is refused read why.

        If we closed at once, what it has sent and we have not read would reset the connection, our answer with it.
        """
        self._writer.write_eof()
        with self.time_limit(LINGER_TIMEOUT):
            while await self._reader.read(_BLOCK):
                pass


class _Limit:
    """A block that is left by EOFError or OSError when its time is over, because the connection is closed then.

    Cheaper than asyncio.wait_for(), which makes a task before Python 3.12: each request is read in such a block.
    """

    def __init__(self, seconds, writer):
        self._timer = asyncio.get_running_loop().call_later(seconds, writer.transport.abort)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._timer.cancel()

"""Asks a language model over HTTP and yields its answer as it comes, with nothing but asyncio. Knows no Qt and no host.

Any server will do that understands OpenAI's `POST /v1/chat/completions`: llama.cpp, Ollama, vLLM, a provider's. We ask
it to stream: the answer is then a series of server-sent events, of which each has a few letters in it.

    data: {"choices": [{"delta": {"content": "Hel"}}]}

    data: {"choices": [{"delta": {"content": "lo"}}]}

    data: [DONE]

Kept small enough to be read at one go. One connection for each question. No proxy is asked, whatever the environment
says. A redirect is not followed, for it would take the key to another address. Lines end with LF or CR LF, and not with
CR alone, which server-sent events may, and no server that we know of does.
"""

import asyncio
import contextlib
import errno
import json
import socket
import ssl
from urllib.parse import urlsplit

CONNECT_TIMEOUT = 10.0  # seconds
SILENCE_TIMEOUT = 120.0  # seconds without a word; a server that loads its model first needs most of them

MAX_SIZE = 1024 * 1024  # bytes, of one event, and of an answer that does not come in events
MAX_WORDS = 300  # letters of an error of the server's that are shown

# Why a server may end an answer, besides "stop".
CUT_OFF = {
    "length": "it has reached the longest that the server allows",
    "content_filter": "the server has filtered the rest",
}


class ChatError(Exception):
    """There is no answer, or no end of it; the message is for the user."""


class Service:
    """Where to ask, for which model, and with which key.

    The key is not shown by repr(), and no exception of ours carries it: what ends in a log must not have it.

    Args:
        address: http://host:port/v1 or the like; what is missing of /v1/chat/completions is added.
        model: as the server names it; empty if it has only one.
        key: sent as a bearer token; empty if none is needed.
    """

    def __init__(self, address, model="", key=""):
        self.address = address
        self.model = model
        self._key = key

    def __repr__(self):
        key = "a key" if self._key else "no key"
        return f"<Service: {self.model!r} at {self.address!r}, {key}>"

    def locate(self):
        """Return whether TLS is wanted, the host, the port, what to write after "Host:", and the path.

        Raises: ChatError when the address is none.
        """
        try:
            parts = urlsplit(self.address)
            host, port = parts.hostname, parts.port
        except ValueError as exc:  # the port is not a number, a bracket is missing
            raise ChatError(f"{self.address!r} is not an address: {exc}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ChatError(f"{self.address!r} is not an address that starts with http:// or https://")
        if "@" in parts.netloc:
            raise ChatError("The address has a name or a password before the @, where no key belongs")
        path = parts.path.rstrip("/")
        if not path.endswith("/chat/completions"):
            path = (path or "/v1") + "/chat/completions"
        if parts.query:
            path += "?" + parts.query
        if not _is_plain(path + parts.netloc):
            raise ChatError(f"{self.address!r} has characters that must be written as %XX")
        is_secure = parts.scheme == "https"
        return is_secure, host, port or (443 if is_secure else 80), parts.netloc, path

    def request(self, host, path, messages):
        """Return the request, as bytes."""
        question = {"model": self.model, "messages": messages, "stream": True}
        if not self.model:
            del question["model"]
        body = json.dumps(question).encode("ascii")
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {host}",
            "User-Agent: async-chat",
            "Content-Type: application/json",
            "Accept: text/event-stream, application/json",
            "Accept-Encoding: identity",
            "Connection: close",
            f"Content-Length: {len(body)}",
        ]
        if self._key:
            if not _is_plain(self._key):  # the error that encode() raises would have all of it
                raise ChatError("The key has characters in it that no key has: a space, a line end, a letter with dots")
            lines.append(f"Authorization: Bearer {self._key}")
        return "\r\n".join([*lines, "", ""]).encode("ascii") + body

    def without_key(self, text):
        """Return a text of the server's without our key, should it have repeated that."""
        return text.replace(self._key, "(the key)") if self._key else text


async def stream_answer(service, messages):
    """Yield the answer piece by piece, as text.

    The connection is closed when the answer ends, and when this generator is closed or its task is cancelled; a server
    learns from that that it need not go on.

    Args:
        service: a Service.
        messages: the conversation so far, and at its end the question: a list of {"role": "user" or "assistant" or
            "system", "content": text}.

    Raises: ChatError, with what has gone wrong in plain words. Pieces may have come before.
    """
    is_secure, host, port, name, path = service.locate()
    request = service.request(name, path, messages)
    reader, writer = await _connect(is_secure, host, port, name)
    try:
        writer.write(request)
        del request  # it has the key, which a traceback with variables in it would show
        with _plainly(name):
            with _limit(SILENCE_TIMEOUT, f"{name} has not answered for {SILENCE_TIMEOUT:g} s"):
                status, headers = await _read_head(reader)
        body = _Body(reader, headers)
        if status != 200:
            raise ChatError(_refusal(service, name, status, headers, await _read_message(body)))
        if headers.get("content-type", "").startswith("application/json"):
            yield _whole_answer(service, await _read_message(body))  # it does not stream
            return
        events = _Events()
        is_whole = False
        while True:
            with _plainly(name, "broke off in the middle of its answer"):
                with _limit(SILENCE_TIMEOUT, f"{name} has said nothing more for {SILENCE_TIMEOUT:g} s"):
                    block = await body.read()
            if not block:
                break
            for event in events.take(block):
                if event == "[DONE]":
                    return
                piece, reason = _read_event(service, event)
                is_whole = is_whole or reason is not None
                if piece:
                    yield piece
                if reason in CUT_OFF:
                    raise ChatError(f"The answer is cut off: {CUT_OFF[reason]}")
        if not is_whole:
            raise ChatError(f"{name} broke off in the middle of its answer")
    finally:
        # Also when the task is cancelled. Not close(): with TLS that waits for the server's goodbye, behind whatever
        # it is still sending.
        writer.transport.abort()


# -- the connection ----------------------------------------------------------


async def _connect(is_secure, host, port, name):
    context = None
    with _plainly(name):
        if is_secure:
            # Reads all certificates of this machine, a frame or more: not in the thread of the user interface.
            loop = asyncio.get_running_loop()
            context = await loop.run_in_executor(None, ssl.create_default_context)
        with _limit(CONNECT_TIMEOUT, f"No connection to {name} within {CONNECT_TIMEOUT:g} s"):
            return await asyncio.open_connection(host, port, ssl=context)


@contextlib.contextmanager
def _limit(seconds, message):
    """End what is awaited inside after so many seconds, with a ChatError. (asyncio.timeout() came with Python 3.11.)

    Not wait_for(), which before Python 3.12 makes a task each time, and may lose a connection when it is cancelled.
    """
    task, is_over = asyncio.current_task(), False

    def end():
        nonlocal is_over
        is_over = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, end)
    try:
        yield
    except asyncio.CancelledError:
        # From Python 3.11 on a task counts who has cancelled it. Somebody besides us? Then that is what holds.
        if not is_over or getattr(task, "uncancel", int)():
            raise
        raise ChatError(message) from None
    finally:
        timer.cancel()


@contextlib.contextmanager
def _plainly(name, what_broke="hung up without an answer"):
    """Say in a ChatError what has gone wrong with the connection."""
    try:
        yield
    except asyncio.IncompleteReadError:
        raise ChatError(f"{name} {what_broke}") from None
    except asyncio.LimitOverrunError:
        raise ChatError(f"What {name} sends is not HTTP: a line without end") from None
    except UnicodeError:  # an empty part between two dots, or a very long one
        raise ChatError(f"{name} cannot be found: no host can have that name") from None
    except OSError as exc:
        raise ChatError(_in_words(exc, name, what_broke)) from None


def _in_words(exc, name, what_broke):
    # For a name with several addresses, at none of which anybody listens, asyncio makes one error of them.
    if isinstance(exc, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(exc):
        return f"Nothing answers at {name}: the connection was refused. Is the server running?"
    if isinstance(exc, ConnectionError):
        return f"{name} {what_broke}"
    if isinstance(exc, socket.gaierror):
        return f"{name} cannot be found: {exc.strerror}"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"The certificate of {name} is not to be trusted: {exc.verify_message}"
    if isinstance(exc, ssl.SSLError):
        return f"No secure connection to {name}: {exc.reason or exc}. Is it http:// there?"
    return f"No connection to {name}: {exc.strerror or exc}"


# -- HTTP --------------------------------------------------------------------


async def _read_head(reader):
    """Return the status code and the headers, named in lower case."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    protocol, _, status = lines[0].partition(" ")
    if not protocol.startswith("HTTP/1.") or not status[:3].isdigit():
        raise ChatError(f"This is not HTTP: {lines[0][:60]!r}")
    pairs = (line.partition(":") for line in lines[1:])
    return int(status[:3]), {name.lower(): value.strip() for name, _, value in pairs}


class _Body:
    """What comes after the head, however the server marks its end."""

    def __init__(self, reader, headers):
        self._reader = reader
        self._is_chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = headers.get("content-length", "")
        # Bytes until the end, or until that of the chunk; None if that is where the server hangs up.
        self._left = 0 if self._is_chunked else int(length) if length.isdigit() else None
        self._is_first = True

    async def read(self):
        """Return what has come, at least a byte; b"" at the end.

        Raises: asyncio.IncompleteReadError when the server hangs up before.
        """
        if self._is_chunked and self._left == 0:
            await self._begin_chunk()
        if self._left == 0:
            return b""
        size = 64 * 1024
        block = await self._reader.read(size if self._left is None else min(size, self._left))
        if self._left is not None:
            if not block:
                raise asyncio.IncompleteReadError(b"", self._left)
            self._left -= len(block)
        return block

    async def _begin_chunk(self):
        """Read a chunk's size, in hexadecimal; behind every chunk is a line end. One of size 0 is the end."""
        if not self._is_first:
            await self._reader.readexactly(2)
        self._is_first = False
        line = await self._reader.readuntil(b"\n")
        try:
            self._left = int(line.partition(b";")[0], 16)
        except ValueError:
            self._left = -1
        if self._left < 0:
            raise ChatError(f"This is not HTTP: {line[:60]!r}")


async def _read_message(body):
    """Return all of an answer that is no stream of events, or as much as comes."""
    content = b""
    with _limit(SILENCE_TIMEOUT, f"The server has not come to an end within {SILENCE_TIMEOUT:g} s"):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while len(content) < MAX_SIZE:
                block = await body.read()
                if not block:
                    break
                content += block
    return content.decode("utf-8", "replace")


# -- what the server says ----------------------------------------------------


class _Events:
    """Server-sent events: cuts what comes into lines, and returns the data of each event that is there as a whole."""

    def __init__(self):
        self._rest = b""
        self._data = []

    def take(self, block):
        *lines, self._rest = (self._rest + block).split(b"\n")
        if len(self._rest) > MAX_SIZE:
            raise ChatError("The server sends a line without end")
        found = []
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                # Whole lines only: the bytes of one letter may come in two blocks.
                self._data.append(line[5:].decode("utf-8", "replace").lstrip(" "))
            elif not line and self._data:
                found.append("\n".join(self._data))
                self._data.clear()
            # Else a comment, with which servers keep connections alive, or a field that does not concern us.
        return found


def _read_event(service, text):
    """Return the piece of an answer that an event brings, and why the answer ends with it, or None."""
    try:
        event = json.loads(text)
        if event.get("error"):  # the server had said 200 already
            said = service.without_key(_message_in(event))[:MAX_WORDS]
            raise ChatError(f"The server broke off: {said}")
        if not event.get("choices"):  # figures about the answer, say
            return "", None
        choice = event["choices"][0]
        delta = choice.get("delta") or {}
        return _printable(delta.get("content") or ""), choice.get("finish_reason")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ChatError(f"The server sends what is no answer: {service.without_key(text)[:60]!r}") from None


def _whole_answer(service, text):
    """Return the answer of a server that has sent it at once."""
    try:
        return _printable(json.loads(text)["choices"][0]["message"]["content"] or "")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise ChatError(f"The server sends what is no answer: {service.without_key(text)[:60]!r}") from None


def _printable(text):
    """Return the text without halves of letters, which a server that cuts JSON badly may send, and no Qt can show."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _refusal(service, name, status, headers, text):
    """Return what to tell the user when the server answers with another status than 200."""
    if status in (301, 302, 303, 307, 308):
        return f"{name} sends us on to {headers.get('location', 'nowhere')} ({status}); if you trust it, enter that"
    if status == 401 or status == 403:
        what = f"{name} refuses the key, or wants one ({status})"
    elif status == 404:
        what = f"{name} does not know the model {service.model!r}, or the address is wrong (404)"
    elif status == 429:
        what = f"{name} is asked too much (429)"
    else:
        what = f"{name} answers with status {status}"
    try:
        said = _message_in(json.loads(text))
    except ValueError:  # a page of HTML says nothing that could be read here
        said = "" if "<" in text else text.strip()
    said = service.without_key(said)[:MAX_WORDS]
    return f"{what}: {said}" if said else what


def _message_in(answer):
    """Return the words in an error: servers put them in different places."""
    for key in ("error", "message", "detail"):
        if isinstance(answer, dict) and answer.get(key):
            answer = answer[key]
    return answer if isinstance(answer, str) else json.dumps(answer)


def _is_plain(text):
    """Tell whether a text can stand in the head of a request: printable ASCII, without spaces."""
    return all("!" <= letter <= "~" for letter in text)

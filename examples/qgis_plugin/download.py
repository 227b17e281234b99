"""Downloads over HTTP/1.1, with nothing but asyncio. Knows nothing of Qt: it runs in any asyncio program.

It is here to show asyncio's streams at work, and is kept small enough to be read at one go: GET only, one connection
per request, the content in memory. No proxies, no cookies, no compression, no cache. For more, put an HTTP library for
asyncio into your plug-in: it will run on the same loop.
"""

import asyncio
import ssl
from urllib.parse import urljoin, urlsplit

MAX_REDIRECTS = 5
BLOCK_SIZE = 64 * 1024
ANSWER_TIMEOUT = 30.0  # seconds until a server must have sent the head of its answer; the content may take any time


class DownloadError(Exception):
    """The server cannot be asked, or its answer is not the file; the message is for the user."""


async def download(url, show_progress):
    """Return what lies at `url`, as a bytearray.

    Args:
        url: http:// or https://
        show_progress: called as show_progress(received, total) after each block, in bytes. `total` is None when the
            server does not say how much there is.

    Raises:
        DownloadError: the URL is not one, or the server answered with something other than the file.
        OSError: no connection, or it broke.
    """
    for _ in range(1 + MAX_REDIRECTS):
        reader, writer, request = await _connect(url)
        try:
            writer.write(request)
            try:
                status, headers = await asyncio.wait_for(_read_head(reader), ANSWER_TIMEOUT)
                if status == 200:
                    return await _read_content(reader, headers, show_progress)
            except asyncio.TimeoutError:
                raise DownloadError(f"no answer within {ANSWER_TIMEOUT:g} s") from None
            except asyncio.IncompleteReadError:
                raise DownloadError("the server hung up too early") from None
            except ValueError as exc:  # a number that is none, or a line without end
                raise DownloadError(f"this is not HTTP: {exc}") from exc
        finally:
            # Also when the task is cancelled: an `await` is where CancelledError comes out, and this runs after it.
            writer.close()
        if status not in (301, 302, 303, 307, 308) or "location" not in headers:
            raise DownloadError(f"the server answered with status {status}")
        url = urljoin(url, headers["location"])
    raise DownloadError(f"more than {MAX_REDIRECTS} redirects")


async def _connect(url):
    """Return a reader, a writer, and the request to write."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:  # the port is not a number, a bracket is missing
        raise DownloadError(f"not a URL: {url} ({exc})") from None
    if parts.scheme not in ("http", "https") or not host:
        raise DownloadError(f"not a URL that starts with http:// or https://: {url!r}")
    target = parts.path or "/"
    if parts.query:
        target += "?" + parts.query
    request = (
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: async-download\r\nAccept-Encoding: identity\r\n"
        "Connection: close\r\n\r\n"
    ).format(target, parts.netloc.rpartition("@")[2])
    if not request.isascii() or " " in target:
        raise DownloadError(f"the URL has characters that must be written as %XX: {url}")

    context = ssl.create_default_context() if parts.scheme == "https" else None
    connecting = asyncio.open_connection(host, port or (443 if context else 80), ssl=context)
    try:
        reader, writer = await asyncio.wait_for(connecting, ANSWER_TIMEOUT)
    except asyncio.TimeoutError:
        raise DownloadError(f"no connection to {host} within {ANSWER_TIMEOUT:g} s") from None
    return reader, writer, request.encode("ascii")


async def _read_head(reader):
    """Return the status code and the headers, named in lower case."""
    protocol, status, *_reason = (await _read_line(reader)).split(" ", 2)
    if not protocol.startswith("HTTP/1."):
        raise ValueError(protocol)
    headers = {}
    while True:
        line = await _read_line(reader)
        if not line:
            return int(status), headers
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()


async def _read_content(reader, headers, show_progress):
    total = int(headers["content-length"]) if "content-length" in headers else None
    if headers.get("transfer-encoding", "").lower() == "chunked":
        total, blocks = None, _chunks(reader)
    else:
        blocks = _blocks(reader, total)
    content = bytearray()
    async for block in blocks:
        content += block
        show_progress(len(content), total)
    return content


async def _blocks(reader, total):
    """Yield `total` bytes in blocks, or all until the server hangs up when `total` is None."""
    left = total
    while left != 0:
        block = await reader.read(BLOCK_SIZE if left is None else min(BLOCK_SIZE, left))
        if not block:
            if left is None:
                return
            raise asyncio.IncompleteReadError(b"", left)
        if left is not None:
            left -= len(block)
        yield block


async def _chunks(reader):
    """Yield the chunks of a chunked content: each comes after its size in hexadecimal, and one of size 0 ends it."""
    while True:
        size = int((await _read_line(reader)).partition(";")[0], 16)
        if size == 0:
            return
        yield await reader.readexactly(size)
        await reader.readexactly(2)  # the line end after the chunk


async def _read_line(reader):
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise asyncio.IncompleteReadError(line, None)
    return line.rstrip(b"\r\n").decode("latin-1")

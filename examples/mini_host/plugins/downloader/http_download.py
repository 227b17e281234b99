"""Download over HTTP with asyncio's streams: no Qt, nothing of the host, so it can be tested alone.

As small as can be honest: one GET, no redirects, and only servers that say how long the body is. For anything more,
use a library; every asyncio library runs on this loop.
"""

import asyncio
import http.client
import io
from urllib.parse import urlsplit

CHUNK = 64 * 1024  # bytes asked for at a time
CONNECT_TIMEOUT = 10.0  # seconds


class DownloadError(Exception):
    """The server's answer is not a file that we can download; the text is fit to be shown."""


async def download(url, on_progress):
    """Return the body that a GET of the URL brings.

    Args: on_progress(done, total), both in bytes, is called whenever some bytes have come.
    Raises: DownloadError, or OSError when there is no connection.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DownloadError(f"{url!r} is not an http:// or https:// address")
    use_tls = parts.scheme == "https"
    port = parts.port or (443 if use_tls else 80)
    connecting = asyncio.open_connection(parts.hostname, port, ssl=use_tls or None)
    try:
        reader, writer = await asyncio.wait_for(connecting, CONNECT_TIMEOUT)
    except asyncio.TimeoutError:
        raise DownloadError(f"{parts.hostname} does not answer") from None
    try:
        path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode("ascii"))
        return await _read_answer(reader, on_progress)
    except asyncio.IncompleteReadError:
        raise DownloadError("the connection ended in the middle") from None
    finally:
        # Also when we are cancelled: the connection does not outlive the download.
        writer.close()


async def _read_answer(reader, on_progress):
    head = await reader.readuntil(b"\r\n\r\n")
    status_line, _, fields = head.partition(b"\r\n")
    status = status_line.decode("latin-1").split(" ", 1)[-1]
    if not status.startswith("200"):
        raise DownloadError(f"the server answers {status!r}")
    length = http.client.parse_headers(io.BytesIO(fields)).get("Content-Length")
    if length is None:
        raise DownloadError("the server does not say how long the file is")
    total = int(length)
    body = bytearray()
    while len(body) < total:
        chunk = await reader.read(min(CHUNK, total - len(body)))
        if not chunk:
            raise DownloadError(f"the connection ended after {len(body):,} of {total:,} bytes")
        body += chunk
        on_progress(len(body), total)
    return bytes(body)

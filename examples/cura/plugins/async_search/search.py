"""Asks a search service over HTTP, with nothing but asyncio. Knows nothing of Qt, and nothing of the host.

The service answers with JSON, page by page, as Openverse does, which is asked by default:

    {"page_count": 3, "results": [{"title": ..., "creator": ..., "license": ..., "foreign_landing_url": ...}, ...]}

Kept small enough to be read at one go: one connection for each page, no proxies, no cookies, no compression. For
more, put an HTTP library for asyncio into your plug-in: it runs on the same loop.
"""

import asyncio
import json
import ssl
from urllib.parse import quote, urljoin, urlsplit

# Pictures that anyone may use. The service is free and shared by many: ask it for what a user wants to see, no more.
SERVICE = "https://api.openverse.org/v1/images/?q={words}&page={page}"

MAX_PAGES = 8
MAX_BYTES = 4 * 1024 * 1024  # of one page
MAX_REDIRECTS = 3
TIMEOUT = 30.0  # seconds, for one page


class SearchError(Exception):
    """The service cannot be asked, or its answer is of no use; the message is for the user."""


class Result:
    """One thing that was found.

    Attributes: title, creator, license, link: text, empty where the service does not say.
    """

    def __init__(self, entry):
        self.title, self.creator, self.license, self.link = (
            str(entry.get(key) or "") for key in ("title", "creator", "license", "foreign_landing_url")
        )


async def fetch_page(service, words, page):
    """Return the results on one page, and how many pages there are to ask for.

    Args:
        service: a URL with {words} and {page} in it.
        words: what to search for.
        page: its number, from 1.

    Raises:
        SearchError: the URL is none, or the answer is not what it should be.
        OSError: no connection, or it broke.
    """
    url = service.replace("{words}", quote(words, safe="")).replace("{page}", str(page))
    try:
        body = await asyncio.wait_for(_get(url), TIMEOUT)
    except asyncio.TimeoutError:
        raise SearchError(f"no answer within {TIMEOUT:g} s") from None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise SearchError("the answer is cut off") from None
    try:
        answer = json.loads(body.decode("utf-8"))
        results = [Result(entry) for entry in answer["results"]]
        return results, min(int(answer.get("page_count", 1)), MAX_PAGES)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SearchError(f"the answer is not JSON with a list of results: {body[:60]!r}") from None


async def _get(url):
    """Return what lies at `url`, as bytes."""
    for _ in range(1 + MAX_REDIRECTS):
        secure, host, port, request = _prepare(url)
        # `ssl=True` would do on a machine whose Python finds its certificates; a context is where you add your own.
        context = ssl.create_default_context() if secure else None
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        try:
            writer.write(request)
            status, headers = await _read_head(reader)
            if status == 200:
                return await _read_body(reader, headers)
        finally:
            # Also when the task is cancelled: an `await` is where CancelledError comes out, and this runs after it.
            writer.close()
        if status not in (301, 302, 303, 307, 308) or "location" not in headers:
            raise SearchError(f"the service answered with status {status}")
        url = urljoin(url, headers["location"])
    raise SearchError(f"more than {MAX_REDIRECTS} redirects")


def _prepare(url):
    """Return whether TLS is wanted, the host, the port, and the request to send."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:  # the port is not a number, a bracket is missing
        raise SearchError(f"not a URL: {url} ({exc})") from None
    secure = parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not host:
        raise SearchError(f"not a URL that starts with http:// or https://: {url!r}")
    target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\nUser-Agent: async-search\r\n"
        "Accept: application/json\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
    )
    try:
        if " " in target:
            raise ValueError(target)
        return secure, host, port or (443 if secure else 80), request.encode("ascii")
    except ValueError:
        raise SearchError(f"the URL has characters that must be written as %XX: {url}") from None


async def _read_head(reader):
    """Return the status code and the headers, named in lower case."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    protocol, _, status = lines[0].partition(" ")
    if not protocol.startswith("HTTP/1.") or not status[:3].isdigit():
        raise SearchError(f"this is not HTTP: {lines[0][:60]!r}")
    pairs = (line.partition(":") for line in lines[1:])
    return int(status[:3]), {name.lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader, headers):
    if headers.get("transfer-encoding", "").lower() != "chunked":
        length = headers.get("content-length", "")
        if length.isdigit():
            return await reader.readexactly(_allowed(int(length)))
        return await _read_all(reader)
    body = b""
    while True:  # each chunk comes after its size in hexadecimal, and one of size 0 ends the body
        line = await reader.readline()
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            raise SearchError(f"this is not HTTP: {line[:60]!r}") from None
        if size == 0:
            return body
        body += await reader.readexactly(_allowed(size, len(body)))
        await reader.readexactly(2)  # the line end after the chunk


async def _read_all(reader):
    """Return what comes until the service hangs up."""
    body = b""
    while True:
        block = await reader.read(64 * 1024)
        if not block:
            return body
        _allowed(len(block), len(body))
        body += block


def _allowed(size, so_far=0):
    if size < 0 or so_far + size > MAX_BYTES:
        raise SearchError(f"a page of more than {MAX_BYTES:,} bytes")
    return size

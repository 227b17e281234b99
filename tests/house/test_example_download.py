"""examples/qgis_plugin/download.py on plain asyncio: what servers answer, and what comes of it."""

import asyncio
import importlib.util
import socket
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "qgis_plugin" / "download.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("example_download", str(EXAMPLE))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask(example, answer, path="/file?x=1"):
    """Download from a server that gives this answer to every request; return (content, progress, requests)."""
    progress, requests = [], []

    async def serve(reader, writer):
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            url = f"http://127.0.0.1:{port}{path}"
            return await example.download(url, lambda *so_far: progress.append(so_far))
        finally:
            server.close()

    return asyncio.run(main()), progress, requests


HEAD = b"HTTP/1.1 200 OK\r\n"
LONG = b"0123456789abcdef" * 10000

GOOD = {
    "length is known": (HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello", 5),
    "nothing in it": (HEAD + b"Content-Length: 0\r\n\r\n", b"", None),
    "more than a block": (HEAD + b"Content-Length: 160000\r\n\r\n" + LONG, LONG, 160000),
    "what comes after its end is left alone": (HEAD + b"Content-Length: 5\r\n\r\nhello world", b"hello", 5),
    "until the server hangs up": (HEAD + b"\r\nhello", b"hello", None),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello", None),
    "no reason phrase": (b"HTTP/1.1 200\r\n\r\nhello", b"hello", None),
    "in chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;note=1\r\n, chunked!\r\n0\r\n\r\n",
        b"hello, chunked!",
        None,
    ),
}


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_content_arrives(example, case):
    """The content is returned whole, and the last progress that was shown is that of the whole."""
    answer, content, total = GOOD[case]
    received, progress, _ = ask(example, answer)
    assert received == content
    assert progress[-1:] == ([(len(content), total)] if content else [])


BAD = {
    "not found": (b"HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
    "redirect to nowhere": (b"HTTP/1.1 302 Found\r\n\r\n", "status 302"),
    "redirect without end": (b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n", "more than 5 redirects"),
    "redirect out of HTTP": (b"HTTP/1.1 301 Moved\r\nLocation: ftp://x/\r\n\r\n", "starts with http"),
    "half of it": (HEAD + b"Content-Length: 10\r\n\r\nhello", "hung up"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", "hung up"),
    "nothing": (b"", "hung up"),
    "half a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nA\r\nhello", "hung up"),
    "a chunk of no size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "not HTTP"),
    "a chunk of less than nothing": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n", "not HTTP"),
    "a length that is no number": (HEAD + b"Content-Length: many\r\n\r\nhello", "not HTTP"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
    "a line without end": (b"x" * 200000, "not HTTP"),
}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_answer_that_is_not_the_file_is_an_error(example, case):
    """Whatever a server says, the user gets one sentence."""
    answer, words = BAD[case]
    with pytest.raises(example.DownloadError, match=words):
        ask(example, answer)


URLS = {
    "": "starts with http",
    "ftp://example.com/": "starts with http",
    "http://": "starts with http",
    "http://example.com:many/": "not a URL",
    "http://[::1/": "not a URL",
    "http://example.com/a b": "written as %XX",
    "http://example.com/ä": "written as %XX",
}


@pytest.mark.parametrize("url", URLS, ids=repr)
def test_text_that_is_not_a_url_is_an_error(example, url):
    """Before anything is sent."""
    with pytest.raises(example.DownloadError, match=URLS[url]):
        asyncio.run(example.download(url, None))


def test_request_names_host_and_target(example):
    """The request is HTTP/1.1's: path and query, the host with its port, and no compression."""
    _, _, [request] = ask(example, HEAD + b"\r\n", path="/a/b?c=d#e")
    first, *headers = request.decode("ascii").rstrip().split("\r\n")
    assert first == "GET /a/b?c=d HTTP/1.1"
    names = [header.partition(":")[0] for header in headers]
    assert names == ["Host", "User-Agent", "Accept-Encoding", "Connection"]


def test_server_that_does_not_answer_is_given_up(example, monkeypatch):
    """A server that takes the connection and stays silent costs ANSWER_TIMEOUT, not for ever."""
    monkeypatch.setattr(example, "ANSWER_TIMEOUT", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)  # the kernel connects, and nobody ever reads
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(example.DownloadError, match=r"no answer within 0\.1 s"):
            asyncio.run(example.download(url, None))

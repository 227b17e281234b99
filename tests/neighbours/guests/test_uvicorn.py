"""uvicorn, as COOKBOOK.md has it serve in a host: it takes no signal, ends no process, and leaves with the lease."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from readme_reader import blocks


@pytest.fixture
def serve(guest):
    """The recipe's coroutine function."""
    names = {"uvicorn": guest("uvicorn"), "asyncio": asyncio, "contextlib": contextlib, "socket": socket}
    (code,) = blocks("Serve with uvicorn", "python")
    exec(code, names)
    return names["serve"]


async def answer(scope, receive, send):
    """Be an ASGI application, of which one path never ends."""
    if scope["type"] != "http":
        raise RuntimeError("this application has no lifespan")
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello", "more_body": scope["path"] == "/endless"})
    if scope["path"] == "/endless":
        await asyncio.Event().wait()


def free_port():
    """Return a port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


async def get(port, path, until):
    """Ask until the server is there, and return what it says up to `until`."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except OSError:
            await asyncio.sleep(0.01)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    try:
        return await reader.readuntil(until)
    finally:
        writer.close()


def test_it_serves_and_leaves_with_the_lease(app, attach_as, spin, serve, caplog, monkeypatch):
    """With a request that never ends, and without a console; the next load has the port again."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    caplog.set_level(logging.INFO)
    port = free_port()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for _ in range(2):
        lease = attach_as(__name__, "test")
        serving = lease.create_task(serve(answer, port))
        task = lease.create_task(get(port, "/", b"hello"))
        spin(task.done)
        assert task.result().startswith(b"HTTP/1.1 200")
        endless = lease.create_task(get(port, "/endless", b"hello"))
        spin(endless.done)
        assert {number: signal.getsignal(number) for number in handlers} == handlers
        caplog.clear()
        report = lease.detach()
        assert report.abandoned == []
        assert serving.done()
        assert "Finished server process" in caplog.text


def test_a_port_that_is_taken_is_an_error_and_not_the_end(app, lease, spin, serve):
    """Not SystemExit, which uvicorn raises by itself."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        task = lease.create_task(serve(answer, taken.getsockname()[1]))
        spin(task.done)
        with pytest.raises(OSError, match="in use"):
            task.result()

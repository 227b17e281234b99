"""httpx: its client runs on anyio, whose cancel scopes are its timeouts."""

import asyncio
import contextlib

import pytest


@pytest.fixture
def httpx(guest):
    """The library."""
    return guest("httpx")


@contextlib.asynccontextmanager
async def served(answer, tls=None):
    """An HTTP server on asyncio's streams, whose bodies come from `answer(path)`; gives its URL."""
    tasks = []

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                async for data in answer(head.split()[1].decode()):
                    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                    await writer.drain()
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            # The client or the server closes. The streams of Python 3.11.7 and 3.12.1 report a cancelled task as
            # an error (gh-113538), so it must end like any other.
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "localhost", 0, ssl=tls)
    try:
        yield f"http{'s' if tls else ''}://localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await server.wait_closed()


async def echo_path(path):
    """Answer with the path."""
    await asyncio.sleep(0.001)
    yield path.encode()


def test_requests_share_connections(run, httpx):
    """A hundred requests wait their turn for five connections that are kept alive."""

    async def main():
        limits = httpx.Limits(max_connections=5)
        async with served(echo_path) as url, httpx.AsyncClient(limits=limits, trust_env=False) as client:
            answers = await asyncio.gather(*(client.get(f"{url}/{number}") for number in range(100)))
        return [answer.text for answer in answers]

    assert run(main()) == [f"/{number}" for number in range(100)]


def test_a_response_is_streamed(run, httpx):
    """Four MiB arrive piece by piece."""
    piece = bytes(range(256)) * 256

    async def answer(_path):
        for _ in range(64):
            yield piece

    async def main():
        async with served(answer) as url, httpx.AsyncClient(trust_env=False) as client:
            async with client.stream("GET", url) as response:
                return b"".join([data async for data in response.aiter_bytes()])

    assert run(main()) == piece * 64


def test_tls(run, httpx, tls):
    """The same over TLS, which anyio speaks by itself over a plain connection."""
    there, here = tls

    async def main():
        async with served(echo_path, tls=there) as url, httpx.AsyncClient(verify=here, trust_env=False) as client:
            return (await client.get(f"{url}/safe")).text

    assert run(main()) == "/safe"


def test_a_timeout_ends_a_request_and_the_client_goes_on(run, httpx):
    """A read that takes too long is given up by a cancel scope, which cancels nothing else."""
    asked = []

    async def answer(path):
        asked.append(path)
        if path == "/never":
            await asyncio.Event().wait()
        yield b"done"

    async def main():
        async with served(answer) as url, httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(f"{url}/never", timeout=0.1)
            return (await client.get(f"{url}/again")).text

    assert run(main()) == "done"
    assert asked == ["/never", "/again"]

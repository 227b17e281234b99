"""aiohttp, client and server: connections, TLS, sendfile, timeouts, web sockets."""

import asyncio
import contextlib

import pytest

import asyncslot

# Seconds. aiohttp gives up a peer that does not answer within half of it, which a busy machine may take.
HEARTBEAT = 2.0


@pytest.fixture
def aiohttp(guest):
    """The library, with its server half."""
    guest("aiohttp.web")
    return guest("aiohttp")


@contextlib.asynccontextmanager
async def served(aiohttp, handler, **options):
    """A server with one handler for every path, and a client session; gives session and URL."""
    app = aiohttp.web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = aiohttp.web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        site = aiohttp.web.TCPSite(runner, "localhost", 0, **options)
        await site.start()
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession() as session:
            yield session, f"http{'s' if options else ''}://localhost:{port}"
    finally:
        await runner.cleanup()


def test_requests_in_parallel(run, aiohttp):
    """A hundred requests over ten connections, each answered with its own path."""

    async def handler(request):
        await asyncio.sleep(0.001)
        return aiohttp.web.Response(text=request.path)

    async def main():
        async with served(aiohttp, handler) as (session, url):

            async def get(number):
                async with session.get(f"{url}/{number}") as response:
                    return await response.text()

            return await asyncio.gather(*map(get, range(100)))

    assert run(main()) == [f"/{number}" for number in range(100)]


def test_bodies_are_streamed_both_ways(run, aiohttp):
    """Eight MiB go up and come back without being held at once: the transports' flow control works."""
    chunk = bytes(range(256)) * 256

    async def handler(request):
        response = aiohttp.web.StreamResponse()
        await response.prepare(request)
        async for data in request.content.iter_any():
            await response.write(data)
        return response

    async def body():
        for _ in range(128):
            yield chunk

    async def main():
        async with served(aiohttp, handler) as (session, url):
            async with session.post(url, data=body()) as response:
                return await response.read()

    assert run(main()) == chunk * 128


def test_a_file_is_sent(run, aiohttp, tmp_path, monkeypatch):
    """FileResponse reads nothing of the file itself: it asks for loop.sendfile()."""
    content = b"0123456789abcdef" * 2**16
    path = tmp_path / "file"
    path.write_bytes(content)
    sendfile = asyncslot.AsyncSlotEventLoop.sendfile
    sent = []

    async def noted_sendfile(*args, **kwargs):
        sent.append(await sendfile(*args, **kwargs))

    # Where a loop cannot, aiohttp quietly goes another way.
    monkeypatch.setattr(asyncslot.AsyncSlotEventLoop, "sendfile", noted_sendfile)

    async def handler(_request):
        return aiohttp.web.FileResponse(path)

    async def main():
        async with served(aiohttp, handler) as (session, url), session.get(url) as response:
            return await response.read()

    assert run(main()) == content
    assert sent == [len(content)]


def test_tls(run, aiohttp, tls):
    """The same handler over TLS, the certificate verified."""
    there, here = tls

    async def handler(request):
        return aiohttp.web.Response(text=request.scheme)

    async def main():
        async with served(aiohttp, handler, ssl_context=there) as (session, url):
            async with session.get(url, ssl=here) as response:
                return await response.text()

    assert run(main()) == "https"


@contextlib.asynccontextmanager
async def tunnelled():
    """A proxy that connects a client with whatever server it asks for; gives its URL."""
    tasks = []

    async def pump(reader, writer):
        try:
            while not reader.at_eof():
                writer.write(await reader.read(2**16))
                await writer.drain()
        except ConnectionError:
            pass  # the other side was quicker
        finally:
            writer.close()

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        head = await reader.readuntil(b"\r\n\r\n")
        host, _, port = head.split()[1].decode().rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))

    proxy = await asyncio.start_server(serve, "localhost", 0)
    try:
        yield f"http://localhost:{proxy.sockets[0].getsockname()[1]}"
    finally:
        proxy.close()
        await asyncio.wait(tasks)
        await proxy.wait_closed()


def test_tls_through_a_proxy(run, aiohttp, tls):
    """TLS begins on a connection that is open already: loop.start_tls()."""
    there, here = tls

    async def handler(request):
        return aiohttp.web.Response(text=request.scheme)

    async def main():
        async with tunnelled() as proxy, served(aiohttp, handler, ssl_context=there) as (session, url):
            async with session.get(url, ssl=here, proxy=proxy) as response:
                return await response.text()

    assert run(main()) == "https"


def test_a_timeout_ends_a_request(run, aiohttp):
    """A server that never answers is given up, and its handler is cancelled."""
    cancelled = []

    async def handler(_request):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    async def main():
        async with served(aiohttp, handler) as (session, url):
            with pytest.raises(asyncio.TimeoutError):
                await session.get(url, timeout=aiohttp.ClientTimeout(total=0.1))

    run(main())
    assert cancelled == [True]


def test_web_sockets(run, aiohttp):
    """Messages both ways, heartbeats, and an orderly end."""

    async def handler(request):
        socket = aiohttp.web.WebSocketResponse(heartbeat=HEARTBEAT)
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data.upper())
        return socket

    async def main():
        async with served(aiohttp, handler) as (session, url):
            async with session.ws_connect(url, heartbeat=HEARTBEAT) as socket:
                answers = []
                for word in ("one", "two", "three"):
                    await socket.send_str(word)
                    answers.append(await socket.receive_str())
                await asyncio.sleep(HEARTBEAT * 1.1)
                await socket.send_str("four")
                return [*answers, await socket.receive_str()]

    assert run(main()) == ["ONE", "TWO", "THREE", "FOUR"]


def test_detach_ends_a_busy_server_and_its_clients(unload, aiohttp):
    """A plug-in that is unloaded in the middle of requests leaves no connection."""
    arrived = []

    async def handler(_request):
        arrived.append(True)
        await asyncio.Event().wait()

    async def main():
        async with served(aiohttp, handler) as (session, url):
            await asyncio.gather(*(session.get(url) for _ in range(5)))

    unload(main(), lambda: len(arrived) == 5)

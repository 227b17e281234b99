"""Libraries in a plug-in that is cancelled, unloaded in mid-work and reloaded: what each of them does there.

The stories that every library goes through are in guest_stories, the servers in guest_servers. Here is what each works.
"""

import asyncio
import contextlib
import multiprocessing
import os
import selectors
import socket
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import resource_tracker

import pytest

import guest_servers
import guest_stories
from lib import http_server  # from scripts/, which `vendored` has put on the path when conftest imported it

must_close = pytest.mark.parametrize("live", guest_stories.CLOSING, indirect=True, ids=lambda story: story.__name__)


@pytest.fixture(scope="module", autouse=True)
def helper_process():
    """Start the process that multiprocessing keeps beside this one for good, before descriptors are counted."""
    resource_tracker.ensure_running()


# -- servers and chats ---------------------------------------------------------------------


@must_close
def test_mcp(live, guest):
    """An MCP server under uvicorn, stopped as an unloaded plug-in must; a client calls its tools."""
    mcp, mcpserver, uvicorn = guest("mcp"), guest("mcp.server.mcpserver"), guest("uvicorn")

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self):
            yield  # Ctrl+C is the host's

    @contextlib.asynccontextmanager
    async def served(app):
        server = Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=0))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.ensure_future(server.serve([listener]))
            try:
                yield "http://{}:{}/mcp".format(*listener.getsockname())
            finally:
                server.should_exit = True
                await asyncio.shield(serving)

    async def work(opened, tick):
        there = mcpserver.MCPServer("guest")

        @there.tool()
        async def double(number: int) -> int:
            await asyncio.sleep(0.001)
            return 2 * number

        @there.tool()
        async def wait() -> int:
            await asyncio.Event().wait()

        url = await opened.enter_async_context(served(there.streamable_http_app()))
        client = await opened.enter_async_context(mcp.Client(url))

        async def ask():
            while True:
                answer = await client.call_tool("double", {"number": 21})
                assert answer.structured_content == {"result": 42}
                tick()

        await asyncio.gather(ask(), client.call_tool("wait"))

    live(work)


@pytest.fixture(scope="module")
def chat_server():
    """The address of a server that streams words without end."""
    with http_server.serving(guest_servers.Chat, waits=False) as url:
        yield url


def test_openai(live, guest, chat_server):
    """Two streamed answers at once."""
    openai = guest("openai")

    async def work(opened, tick):
        client = await opened.enter_async_context(openai.AsyncOpenAI(api_key="none", base_url=chat_server))

        async def ask():
            question = [{"role": "user", "content": "?"}]
            answer = await client.chat.completions.create(model="toy", messages=question, stream=True)
            async for chunk in await opened.enter_async_context(answer):
                assert chunk.choices[0].delta.content == "word "
                tick()

        await asyncio.gather(ask(), ask())

    live(work)


def test_anthropic(live, guest, chat_server):
    """Two streamed answers at once."""
    anthropic = guest("anthropic")

    async def work(opened, tick):
        client = await opened.enter_async_context(anthropic.AsyncAnthropic(api_key="none", base_url=chat_server))

        async def ask():
            question = [{"role": "user", "content": "?"}]
            answer = client.messages.stream(model="toy", max_tokens=1000, messages=question)
            stream = await opened.enter_async_context(answer)
            async for text in stream.text_stream:
                assert text == "word "
                tick()

        await asyncio.gather(ask(), ask())

    live(work)


def test_websockets_that_reconnect(live, guest):
    """A client that connects again whenever its connection is lost, to a server that answers once and hangs up."""
    client, server = guest("websockets.asyncio.client"), guest("websockets.asyncio.server")
    websockets = guest("websockets")

    async def answer_once(connection):
        await connection.send((await connection.recv()).upper())

    async def work(opened, tick):
        there = await opened.enter_async_context(server.serve(answer_once, "127.0.0.1", 0))
        url = "ws://{}:{}".format(*there.sockets[0].getsockname())
        async for connection in client.connect(url, proxy=None):
            with contextlib.suppress(websockets.ConnectionClosed):
                await connection.send("hello")
                while True:
                    assert await connection.recv() == "HELLO"
                    tick()

    live(work)


def test_asyncssh(live, guest):
    """A server and a client, and a remote process that echoes."""
    asyncssh = guest("asyncssh")
    key = asyncssh.generate_private_key("ssh-ed25519")

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username):
            return False  # everybody may come in

    async def shout(process):
        async for line in process.stdin:
            process.stdout.write(line.upper())

    async def work(opened, tick):
        there = asyncssh.listen("127.0.0.1", 0, server_factory=Server, server_host_keys=[key], process_factory=shout)
        port = (await opened.enter_async_context(there)).get_port()
        options = {"known_hosts": None, "config": None, "client_keys": None, "agent_path": None, "username": "guest"}
        client = await opened.enter_async_context(asyncssh.connect("127.0.0.1", port, **options))
        process = await opened.enter_async_context(client.create_process("shout"))
        while True:
            process.stdin.write("hello\n")
            assert await process.stdout.readline() == "HELLO\n"
            tick()

    live(work)


# -- files, processes, ports ---------------------------------------------------------------


def test_watchfiles(live, guest, tmp_path):
    """A directory is watched, in a thread of the library's, while a file in it changes."""
    watchfiles = guest("watchfiles")

    async def work(opened, tick):
        async def write():
            while True:
                (tmp_path / "file").touch()
                await asyncio.sleep(0.01)

        async def watch():
            async for changes in watchfiles.awatch(tmp_path, step=10, debounce=20):
                assert {os.path.basename(path) for _, path in changes} == {"file"}
                tick()

        await asyncio.gather(write(), watch())

    live(work)


@pytest.mark.skipif(sys.version_info < (3, 9), reason="pools can drop what waits for a process from Python 3.9 on")
@must_close
def test_process_pool(live):
    """Jobs in another process. Not `with`: leaving it would block the GUI until the jobs have ended."""

    async def work(opened, tick):
        pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        opened.callback(pool.shutdown, wait=False, cancel_futures=True)
        loop = asyncio.get_running_loop()
        while True:
            answers = await asyncio.gather(*(loop.run_in_executor(pool, pow, number, 2) for number in range(10)))
            assert answers == [number**2 for number in range(10)]
            tick()

    live(work)


@pytest.fixture
def serial_ports():
    """Paths of serial ports, with devices behind them that shout back."""
    tty = pytest.importorskip("tty", reason="this system has no pseudo-terminals")
    ends = [os.openpty() for _ in range(3)]
    with selectors.DefaultSelector() as selector:
        mine, theirs = socket.socketpair()
        for end in (mine, *(master for master, _ in ends)):
            selector.register(end, selectors.EVENT_READ)

        def answer():
            while True:
                for key, _ in selector.select():
                    if key.fileobj is mine:
                        return
                    os.write(key.fd, os.read(key.fd, 100).upper())

        for _, slave in ends:
            tty.setraw(slave)
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield [os.ttyname(slave) for _, slave in ends]
        theirs.send(b"x")
        thread.join()
    mine.close()
    theirs.close()
    for end in ends:
        os.close(end[0])
        os.close(end[1])


@pytest.mark.parametrize("name", ["serial_asyncio", "serial_asyncio_fast"])
def test_serial(live, guest, serial_ports, name):
    """Lines to a device on a serial port, and back."""
    serial = guest(name)

    async def work(opened, tick):
        reader, writer = await serial.open_serial_connection(url=serial_ports.pop())
        opened.push_async_callback(writer.wait_closed)
        opened.callback(writer.close)
        while True:
            writer.write(b"hello\n")
            assert await reader.readline() == b"HELLO\n"
            tick()

    live(work)


# -- with a daemon -------------------------------------------------------------------------


@must_close
def test_aiomqtt(live, guest, server):
    """Messages through a broker."""
    aiomqtt = guest("aiomqtt")
    path = server(guest_servers.mosquitto)

    async def work(opened, tick):
        client = await opened.enter_async_context(aiomqtt.Client(path, transport="unix"))
        await client.subscribe("greetings")
        await client.publish("greetings", "hello")
        async for message in client.messages:
            assert message.payload == b"hello"
            tick()
            # Below Python 3.12 the wait_for() inside of it may swallow a cancellation, if it is just done.
            await asyncio.shield(client.publish("greetings", "hello"))

    live(work)


@must_close
def test_asyncpg(live, guest, server):
    """Queries, notifications, and a query that does not come back."""
    asyncpg = guest("asyncpg")
    host = server(guest_servers.postgres)

    async def work(opened, tick):
        @contextlib.asynccontextmanager
        async def listening(connection):
            await connection.add_listener("greetings", hear)
            try:
                yield
            finally:
                await connection.remove_listener("greetings", hear)

        pool = asyncpg.create_pool(host=host, user="guest", database="postgres", min_size=3, max_size=3)
        pool = await opened.enter_async_context(pool)
        heard = asyncio.Queue()

        def hear(_connection, _pid, _channel, payload):
            heard.put_nowait(payload)

        async def ask():
            async with pool.acquire() as connection, listening(connection):
                while True:
                    async with connection.transaction():
                        assert await connection.fetchval("select 6 * 7") == 42
                    await pool.execute("notify greetings, 'hello'")
                    assert await heard.get() == "hello"
                    tick()

        await asyncio.gather(ask(), pool.execute("select pg_sleep(1000)"))

    live(work)


@must_close
def test_dbus(live, guest, server):
    """A service and a client on a bus: calls and signals."""
    guest("dbus_fast.aio")
    dbus_fast, service = guest("dbus_fast"), guest("dbus_fast.service")
    address = server(guest_servers.dbus)

    class Greeter(service.ServiceInterface):
        @service.dbus_method()
        def Shout(self, word: "s") -> "s":  # noqa: F821 - these are D-Bus types
            self.Shouted(word)
            return word.upper()

        @service.dbus_signal()
        def Shouted(self, word) -> "s":  # noqa: F821
            return word

    async def work(opened, tick):
        async def connect():
            bus = await dbus_fast.aio.MessageBus(bus_address=address).connect()
            opened.callback(bus.disconnect)
            return bus

        there, here = await connect(), await connect()
        there.export("/greeter", Greeter("org.example.Greeter"))
        introspection = await here.introspect(there.unique_name, "/greeter")
        greeter = here.get_proxy_object(there.unique_name, "/greeter", introspection)
        greeter = greeter.get_interface("org.example.Greeter")
        heard = asyncio.Queue()
        greeter.on_shouted(heard.put_nowait)

        while True:
            assert await greeter.call_shout("hello") == "HELLO"
            assert await heard.get() == "hello"
            tick()

    live(work)

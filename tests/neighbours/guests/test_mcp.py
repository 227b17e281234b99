"""The official MCP client, with the server of examples/qgis_mcp: both on our loop, in the same process.

In each of its modes: it finds out by itself which revision the server speaks, is told the newest, or uses the handshake
of those before.
"""

import asyncio
import contextlib
import sys

import pytest

import mcp_toys

TOKEN = "a-token"

each_mode = pytest.mark.parametrize("mode", ["auto", "2026-07-28", "legacy"])


example = pytest.fixture(mcp_toys.example)


@pytest.fixture
def mcp(guest):
    """The library, with its client for HTTP."""
    library = guest("mcp")
    guest("mcp.client.streamable_http")
    guest("httpx2")
    return library


@pytest.fixture
def connect(mcp, example):
    """Return a context manager that starts a server, and connects a client: connect(mode) -> client, tools."""
    from typing import Annotated

    server = example.server

    class Toys:
        def __init__(self):
            self.is_waiting = asyncio.Event()
            self.is_cancelled_by_client = asyncio.Event()

        @server.tool("Add", reads_only=True)
        async def add(self, call, a: Annotated[int, "one"], b: Annotated[int, "other"] = 1):
            """Add two numbers."""
            return {"sum": a + b}

        @server.tool("Count")
        async def count(self, call, to: Annotated[int, "how far"]):
            """Count, and tell how far."""
            for number in range(to):
                call.report_progress(number + 1, to, f"{number + 1} of {to}")
                await asyncio.sleep(server.PROGRESS_INTERVAL)
            return "counted"

        @server.tool("Wait")
        async def wait(self, call):
            """Wait for ever."""
            self.is_waiting.set()
            try:
                await asyncio.Event().wait()
            finally:
                if call.is_cancelled_by_client:
                    self.is_cancelled_by_client.set()

        @server.tool("Leave")
        async def leave(self, call):
            """Be cancelled by somebody else, such as a user."""
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

        @server.tool("Refuse")
        async def refuse(self, call):
            """Do nothing."""
            raise server.ToolError("not today")

    @contextlib.asynccontextmanager
    async def connect(mode):
        toys, sock = Toys(), example.web.listen(0)
        served = server.McpServer("toys", "1", toys, TOKEN, application="The test", instructions="Be kind.")
        serving = asyncio.ensure_future(served.serve(sock))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/mcp"
        try:
            async with open_client(mcp, url, mode) as client:
                yield client, toys
        finally:
            serving.cancel()
            await asyncio.wait({serving})

    return connect


def open_client(mcp, url, mode, token=TOKEN):
    http = sys.modules["httpx2"].AsyncClient(headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    transport = sys.modules["mcp.client.streamable_http"].streamable_http_client(url, http_client=http)

    @contextlib.asynccontextmanager
    async def opened():
        async with http, mcp.Client(transport, mode=mode) as client:
            yield client

    return opened()


def text_of(result):
    (content,) = result.content
    return content.text


@each_mode
def test_client_connects_and_calls(run, connect, mode):
    """Tools are listed and called; what a tool refuses is a result, and what is no tool an error."""

    async def main():
        async with connect(mode) as (client, _):
            names = [tool.name for tool in (await client.list_tools()).tools]
            added = await client.call_tool("add", {"a": 2})
            refused = await client.call_tool("refuse")
            with pytest.raises(Exception, match="Unknown tool: fly"):
                await client.call_tool("fly")
            return client.protocol_version, client.instructions, names, added.structured_content, refused

    version, instructions, names, added, refused = run(main())
    assert version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
    # A client that is told the revision asks for nothing before it is used.
    assert instructions == (None if mode == "2026-07-28" else "Be kind.")
    assert names == ["add", "count", "wait", "leave", "refuse"]
    assert added == {"sum": 3}
    assert refused.is_error
    assert text_of(refused) == "not today"


@each_mode
def test_client_hears_of_progress(run, connect, mode):
    """Step by step, before the result."""
    told = []

    async def note(progress, total, text):
        told.append((progress, total, text))

    async def main():
        async with connect(mode) as (client, _):
            return text_of(await client.call_tool("count", {"to": 3}, progress_callback=note))

    assert run(main()) == "counted"
    assert told[0] == (1, 3, "1 of 3")
    assert told == sorted(told)


@each_mode
def test_client_cancels(run, connect, mode):
    """Its call is cancelled, and so is the tool; the next call is served."""

    async def main():
        async with connect(mode) as (client, toys):
            call = asyncio.ensure_future(client.call_tool("wait"))
            await toys.is_waiting.wait()
            call.cancel()
            await toys.is_cancelled_by_client.wait()
            return (await client.call_tool("add", {"a": 1})).structured_content

    assert run(main()) == {"sum": 2}


@each_mode
def test_client_hears_of_being_cancelled(run, connect, mode):
    """By the user of the application."""

    async def main():
        async with connect(mode) as (client, _):
            return await client.call_tool("leave")

    result = run(main())
    assert result.is_error
    assert text_of(result) == "Cancelled by the user of The test."


@pytest.mark.parametrize("mode", ["auto"])
def test_many_calls_at_once(run, connect, mode):
    """Fifty, over as many connections."""

    async def main():
        asyncio.get_running_loop().set_debug(False)  # with which the client's part of it takes ten times as long
        async with connect(mode) as (client, _):
            calls = [client.call_tool("add", {"a": number}) for number in range(50)]
            answers = await asyncio.gather(*calls)
            return [answer.structured_content["sum"] for answer in answers]

    assert run(main()) == list(range(1, 51))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_client_with_a_wrong_token_does_not_connect(run, mcp, example, mode):
    """And says so, instead of waiting."""

    class NoTools:
        """Nothing to call."""

    async def main():
        sock = example.web.listen(0)
        served = example.server.McpServer("none", "1", NoTools(), TOKEN, application="The test")
        serving = asyncio.ensure_future(served.serve(sock))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/mcp"
        try:
            with pytest.raises(Exception) as raised:  # noqa: PT011 - a group, of another class in each Python
                async with open_client(mcp, url, mode, token="another") as client:
                    await client.list_tools()
            return str(innermost(raised.value))
        finally:
            serving.cancel()
            await asyncio.wait({serving})

    assert "error response" in run(main())


def innermost(exc):
    """Return the exception in groups of one."""
    return innermost(exc.exceptions[0]) if hasattr(exc, "exceptions") else exc


@each_mode
def test_detach_in_the_middle_of_a_call(unload, connect, mode):
    """Server and client are the plug-in's, and nothing of either is left."""
    waiting = []

    async def main():
        async with connect(mode) as (client, toys):
            call = asyncio.ensure_future(client.call_tool("wait"))
            await toys.is_waiting.wait()
            waiting.append(call)
            await call

    unload(main(), lambda: waiting)

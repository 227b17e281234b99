"""websockets, client and server: its own protocol on asyncio's transports, with timers for keep-alive."""

import asyncio

import pytest


@pytest.fixture
def websockets(guest):
    """The asyncio half of the library, since its version 13."""
    guest("websockets.asyncio.client")
    guest("websockets.asyncio.server")
    return guest("websockets")


async def echo(connection):
    """Send back each message."""
    async for message in connection:
        await connection.send(message)


def address(server):
    """Return the URL of a server."""
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_messages_both_ways(run, websockets):
    """Twenty clients at once; a message of one MiB, compressed, among the small ones."""
    messages = ["one", "two", "x" * 2**20, b"\x00\x01"]

    async def client(url):
        async with websockets.asyncio.client.connect(url, proxy=None, max_size=None) as connection:
            answers = []
            for message in messages:
                await connection.send(message)
                answers.append(await connection.recv())
            return answers

    async def main():
        async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0, max_size=None) as server:
            return await asyncio.gather(*(client(address(server)) for _ in range(20)))

    assert run(main()) == [messages] * 20


def test_keepalive_measures_the_latency(run, websockets):
    """Pings go out by themselves while both ends are silent, and are answered."""

    async def main():
        async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0) as server:
            async with websockets.asyncio.client.connect(address(server), proxy=None, ping_interval=0.02) as connection:
                while connection.latency == 0:  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(0.01)
                return connection.latency

    assert run(main()) > 0


def test_a_silent_peer_is_given_up(run, websockets):
    """A peer that answers no ping is gone: the connection is closed with the protocol's own code for it."""

    async def deaf(connection):
        connection.transport.pause_reading()
        await connection.wait_closed()

    async def main():
        serve = websockets.asyncio.server.serve(deaf, "127.0.0.1", 0, close_timeout=0.1)
        timing = {"ping_interval": 0.05, "ping_timeout": 0.05, "close_timeout": 0.1}
        async with serve as server:
            async with websockets.asyncio.client.connect(address(server), proxy=None, **timing) as connection:
                with pytest.raises(websockets.ConnectionClosedError) as caught:
                    await connection.recv()
                return caught.value.sent.code

    assert run(main()) == 1011  # keepalive ping timeout


def test_a_closing_server_says_goodbye(run, websockets):
    """Clients of a server that closes hear that it is going away."""

    async def main():
        async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0) as server:
            async with websockets.asyncio.client.connect(address(server), proxy=None) as connection:
                server.close()
                with pytest.raises(websockets.ConnectionClosedOK) as caught:
                    await connection.recv()
                await server.wait_closed()
                return caught.value.rcvd.code

    assert run(main()) == 1001  # going away


def test_detach_ends_a_conversation(unload, websockets):
    """A plug-in that is unloaded while both ends wait leaves no connection."""
    connections = []

    async def main():
        async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0) as server:
            async with websockets.asyncio.client.connect(address(server), proxy=None) as connection:
                connections.append(connection)
                await connection.recv()

    unload(main(), lambda: connections)

"""aiosqlite, whose database lives in a thread, and redis, whose server is Debian's."""

import asyncio

import pytest

import guest_servers


@pytest.fixture
def aiosqlite(guest):
    """The library."""
    return guest("aiosqlite")


@pytest.fixture
def redis(guest):
    """The asyncio half of the library."""
    return guest("redis.asyncio")


@pytest.fixture
def connect(redis, server):
    """A function that makes a client of the server."""
    path = server(guest_servers.redis)
    return lambda: redis.Redis(unix_socket_path=path, decode_responses=True)


def test_sqlite_in_its_thread(run, aiosqlite, tmp_path):
    """Each call is a job in the connection's own thread, whose answer wakes the loop."""

    async def main():
        async with aiosqlite.connect(tmp_path / "data.db") as database:
            await database.execute("create table t (n integer)")
            await asyncio.gather(*(database.execute("insert into t values (?)", (number,)) for number in range(100)))
            await database.commit()
            async with database.execute("select n from t order by n") as cursor:
                return [row[0] async for row in cursor]

    assert run(main()) == list(range(100))


def test_sqlite_connections_do_not_wait_for_each_other(run, aiosqlite, tmp_path):
    """A writer waits for the lock in its own thread; the loop and the other connection go on, and free it."""

    async def main():
        path = tmp_path / "data.db"
        async with aiosqlite.connect(path) as first, aiosqlite.connect(path, timeout=10) as second:
            await first.execute("create table t (n integer)")
            await first.execute("begin immediate")
            waiting = asyncio.ensure_future(second.execute("begin immediate"))
            await asyncio.wait([waiting], timeout=0.05)
            was_waiting = not waiting.done()
            await first.rollback()
            await waiting
            await second.rollback()
        return was_waiting

    assert run(main())


def test_redis_pipelines(run, connect):
    """A hundred clients count to a thousand together, ten at a time."""

    async def main():
        async with connect() as client:
            await client.delete("count")

            async def count():
                async with client.pipeline() as pipeline:
                    for _ in range(10):
                        pipeline.incr("count")
                    await pipeline.execute()

            await asyncio.gather(*(count() for _ in range(100)))
            return await client.get("count")

    assert run(main()) == "1000"


def test_redis_messages(run, connect):
    """A subscriber hears what another connection publishes, in order."""

    async def main():
        async with connect() as client, client.pubsub() as subscriber:
            await subscriber.subscribe("channel")
            await subscriber.get_message(timeout=5)  # its own subscription
            for number in range(5):
                await client.publish("channel", number)
            return [(await subscriber.get_message(timeout=5))["data"] for _ in range(5)]

    assert run(main()) == ["0", "1", "2", "3", "4"]


def test_redis_waits_are_cancelled(run, connect):
    """A client that waits for an item is cancelled; its connection is given up, and the next one works."""

    async def main():
        async with connect() as client, connect() as other:
            waiting = asyncio.ensure_future(client.blpop("nothing"))
            # The library loses a cancellation that comes while it connects or sends (8.1, on asyncio's own loop, too).
            while not (await other.info("clients"))["blocked_clients"]:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.001)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await client.rpush("something", "item")
            _, item = await client.blpop("something")
            return item

    assert run(main()) == "item"

"""grpc.aio, client and server: its core polls in a thread of its own and wakes the loop through a socket."""

import asyncio
import contextlib

import pytest

WORDS = [b"one", b"two", b"three"]


@pytest.fixture
def grpc(guest):
    """The library, with its asyncio half."""
    guest("grpc.aio")
    return guest("grpc")


def make_service(grpc, unanswered):
    """Return a handler for the four kinds of calls, and one that never answers; messages are bytes as they are."""

    async def one_to_one(request, _context):
        await asyncio.sleep(0.001)
        return request.upper()

    async def one_to_many(request, _context):
        for byte in request:
            yield bytes([byte])

    async def many_to_one(requests, _context):
        return b"".join([request async for request in requests])

    async def many_to_many(requests, _context):
        async for request in requests:
            yield request.upper()

    async def never(request, _context):
        unanswered.append(request)
        await asyncio.Event().wait()

    handlers = {
        "OneToOne": grpc.unary_unary_rpc_method_handler(one_to_one),
        "OneToMany": grpc.unary_stream_rpc_method_handler(one_to_many),
        "ManyToOne": grpc.stream_unary_rpc_method_handler(many_to_one),
        "ManyToMany": grpc.stream_stream_rpc_method_handler(many_to_many),
        "Never": grpc.unary_unary_rpc_method_handler(never),
    }
    return grpc.method_handlers_generic_handler("Test", handlers)


@contextlib.asynccontextmanager
async def served(grpc, unanswered=None):
    """A server, and a channel to it; notes the requests that are never answered."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([make_service(grpc, [] if unanswered is None else unanswered)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(None)


async def ask_one_by_one(channel):
    """One message there, one back; all calls at once."""
    call = channel.unary_unary("/Test/OneToOne")
    return await asyncio.gather(*map(call, WORDS))


async def ask_for_a_stream(channel):
    """One message there, many back."""
    return [message async for message in channel.unary_stream("/Test/OneToMany")(b"abc")]


async def send_a_stream(channel):
    """Many messages there, one back."""
    return await channel.stream_unary("/Test/ManyToOne")(iter(WORDS))


async def converse(channel):
    """Each message is answered before the next one is sent."""
    conversation = channel.stream_stream("/Test/ManyToMany")()
    answers = []
    for word in WORDS:
        await conversation.write(word)
        answers.append(await conversation.read())
    await conversation.done_writing()
    return answers


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        pytest.param(ask_one_by_one, [b"ONE", b"TWO", b"THREE"], id="one to one"),
        pytest.param(ask_for_a_stream, [b"a", b"b", b"c"], id="one to many"),
        pytest.param(send_a_stream, b"onetwothree", id="many to one"),
        pytest.param(converse, [b"ONE", b"TWO", b"THREE"], id="many to many"),
    ],
)
def test_calls(run, grpc, ask, answer):
    """Each kind of call is answered."""

    async def main():
        async with served(grpc) as channel:
            return await ask(channel)

    assert run(main()) == answer


def test_a_deadline_ends_a_call(run, grpc):
    """A call that takes too long ends with the status for it."""

    async def main():
        async with served(grpc) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/Test/Never")(b"", timeout=0.1)
            return caught.value.code()

    assert run(main()) == grpc.StatusCode.DEADLINE_EXCEEDED


def test_detach_ends_a_call(unload, grpc):
    """A plug-in that is unloaded while a call waits cancels it and stops its server."""
    unanswered = []

    async def main():
        async with served(grpc, unanswered) as channel:
            await channel.unary_unary("/Test/Never")(b"")

    unload(main(), lambda: unanswered)

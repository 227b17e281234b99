"""Async generators: what they do in their `finally`, how they are used, and how they are dropped."""

import asyncio
import contextlib
import gc
import sys
import threading
from contextlib import asynccontextmanager

kept = []


async def forever():
    # Somebody must hold it, or the garbage collector finds a task that waits for it and that nobody else holds.
    kept.append(asyncio.get_event_loop().create_future())
    await kept[-1]


# -- what a generator does in its `finally` --------------------------------------------------------------


async def sleep():
    await asyncio.sleep(0.001)


async def sleep_again_and_again():
    for _ in range(20):
        await asyncio.sleep(0)


async def use_a_thread():
    await asyncio.get_event_loop().run_in_executor(None, int)


async def make_tasks():
    await asyncio.gather(sleep(), asyncio.ensure_future(sleep()))


async def wait_with_a_timeout():
    await asyncio.wait_for(sleep(), 10)


async def wait_for_nothing_in_vain():
    try:
        await asyncio.wait_for(forever(), 0.001)
    except asyncio.TimeoutError:
        pass


async def say_goodbye():
    heard = asyncio.Event()

    def answer(reader, writer):
        writer.close()
        heard.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await heard.wait()
    writer.close()
    server.close()


async def use_another_generator():
    async for _ in rows([], sleep):
        break


CLEAN_UPS = [
    sleep,
    sleep_again_and_again,
    use_a_thread,
    make_tasks,
    wait_with_a_timeout,
    wait_for_nothing_in_vain,
    say_goodbye,
    use_another_generator,
]


async def rows(log, clean_up):
    try:
        log.append("begins")
        while True:
            yield 1
    finally:
        log.append("begins to end")
        await clean_up()
        log.append("has ended")


ENDED = ["begins", "begins to end", "has ended"]


# -- how a generator is used -----------------------------------------------------------------------------


async def loop_over_it(make):
    async for _ in make():
        await asyncio.sleep(0.001)


async def loop_over_it_forever(make):
    async for _ in make():
        await forever()


async def loop_over_one_in_another(make):
    async def outer():
        async for row in make():
            yield row

    async for _ in outer():
        await forever()


async def loop_over_one_in_two_others(make):
    async def middle():
        async for row in make():
            yield row

    async def outer():
        async for row in middle():
            yield row

    async for _ in outer():
        await forever()


async def loop_over_it_by_name(make):
    generator = make()
    async for _ in generator:
        await forever()


async def take_the_first(make):
    generator = make()
    await generator.__anext__()
    await forever()


async def take_the_first_and_send(make):
    generator = make()
    await generator.asend(None)
    await generator.asend(1)
    await forever()


async def take_the_first_in_a_child(make):
    generator = make()
    await asyncio.ensure_future(generator.__anext__())
    await forever()


async def loop_over_it_in_a_child(make):
    await asyncio.ensure_future(loop_over_it_forever(make))


async def loop_over_it_in_a_comprehension(make):
    return [await asyncio.sleep(0.001) async for _ in make()]


async def loop_over_it_in_a_context(make):
    @asynccontextmanager
    async def context():
        async for _ in make():
            yield

    async with context():
        await forever()


async def forget_to_leave_a_context(make):
    @asynccontextmanager
    async def context():
        async for _ in make():
            yield

    manager = context()
    await manager.__aenter__()
    await forever()


async def drop_it_in_a_cycle(make):
    cycle = [make()]
    await cycle[0].__anext__()
    cycle.append(cycle)
    await forever()


async def keep_it(make):
    generator = make()
    kept.append(generator)
    async for _ in generator:
        await forever()


async def close_it(make):
    async with contextlib.aclosing(make()) as generator:
        async for _ in generator:
            await forever()


USES = [
    loop_over_it,
    loop_over_it_forever,
    loop_over_it_by_name,
    loop_over_one_in_another,
    loop_over_one_in_two_others,
    take_the_first,
    take_the_first_and_send,
    take_the_first_in_a_child,
    loop_over_it_in_a_child,
    loop_over_it_in_a_comprehension,
    loop_over_it_in_a_context,
    forget_to_leave_a_context,
    drop_it_in_a_cycle,
    keep_it,
]
if sys.version_info >= (3, 10):
    USES += [close_it]


def drop_it(box):
    box.clear()


def drop_it_in_a_garbage_cycle(box):
    cycle = [*box]
    cycle.append(cycle)
    box.clear()
    del cycle
    gc.collect()


def drop_it_in_a_thread(box):
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()


DROPS = [drop_it, drop_it_in_a_garbage_cycle, drop_it_in_a_thread]

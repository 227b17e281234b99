"""anyio: cancel scopes that look into asyncio's tasks, task groups, worker threads, processes."""

import asyncio
import socket
import subprocess
import sys
import threading

import pytest

import asyncslot


@pytest.fixture
def anyio(guest):
    """The library, with the parts that it does not load by itself."""
    guest("anyio.from_thread")
    guest("anyio.to_thread")
    return guest("anyio")


def test_a_task_group_waits_for_its_tasks(run, anyio):
    """What is started in a group has ended when the group is left, and values come through a stream."""

    async def main():
        send, receive = anyio.create_memory_object_stream(2)

        async def produce(number):
            await send.send(number)
            await anyio.sleep(0.001)
            await send.send(-number)

        async def produce_all():
            async with send, anyio.create_task_group() as producers:
                for number in range(1, 51):
                    producers.start_soon(produce, number)

        async with receive, anyio.create_task_group() as group:
            group.start_soon(produce_all)
            return sorted([value async for value in receive])

    assert run(main()) == [*range(-50, 0), *range(1, 51)]


def test_an_error_cancels_the_siblings(run, anyio):
    """One task fails: the others are cancelled, clean up behind a shield, and the error comes out of the group."""
    trace = []

    async def main():
        async def sibling():
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.01)
                    trace.append("cleaned up")

        async def fail():
            await anyio.sleep(0.01)
            raise ValueError("as planned")

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(sibling)
                group.start_soon(fail)
        except Exception as errors:  # an ExceptionGroup, which is a builtin since Python 3.11
            return [str(error) for error in errors.exceptions]

    assert run(main()) == ["as planned"]
    assert trace == ["cleaned up"]


def test_cancel_scopes_nest(run, anyio):
    """The outer deadline passes first and ends both; the task goes on behind the outer scope, uncancelled."""

    async def main():
        with anyio.move_on_after(0.02) as outer:
            with anyio.move_on_after(10) as inner:
                while True:
                    # Every await inside a cancelled scope is cancelled, again and again.
                    try:
                        await anyio.sleep_forever()
                    except asyncio.CancelledError:
                        with pytest.raises(asyncio.CancelledError):
                            await anyio.sleep(0)
                        raise
        await anyio.sleep(0)
        return outer.cancelled_caught, inner.cancelled_caught

    assert run(main()) == (True, False)


def test_worker_threads_there_and_back(run, anyio):
    """A job runs in another thread, and calls back into the loop's from there."""
    here = threading.current_thread()

    async def main():
        async def in_loop(value):
            await anyio.sleep(0)
            return threading.current_thread(), value + 1

        def job(value):
            thread, value = anyio.from_thread.run(in_loop, value)
            return thread, threading.current_thread() is not here, value + 1

        return await anyio.to_thread.run_sync(job, 1)

    assert run(main()) == (here, True, 3)


def test_a_portal_runs_coroutines_for_any_thread(run, anyio):
    """A thread that nobody has made known gets its answer through a blocking portal."""
    answers = []

    async def main():
        async with anyio.from_thread.BlockingPortal() as portal:

            async def double(value):
                await anyio.sleep(0.001)
                return 2 * value

            thread = threading.Thread(target=lambda: answers.append(portal.call(double, 21)))
            thread.start()
            while thread.is_alive():
                await anyio.sleep(0.001)

    run(main())
    assert answers == [42]


def test_sockets(run, anyio):
    """A listener with its clients over TCP, and two datagram sockets."""

    async def main():
        async def handle(stream):
            async with stream:
                await stream.send((await stream.receive()).upper())

        async def ask(port, word):
            async with await anyio.connect_tcp("localhost", port) as stream:
                await stream.send(word)
                return await stream.receive()

        listener = await anyio.create_tcp_listener(local_host="localhost", family=socket.AF_INET)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, handle)
            answers = [await ask(port, word) for word in (b"one", b"two")]
            group.cancel_scope.cancel()

        options = {"family": socket.AF_INET, "local_host": "127.0.0.1"}
        async with await anyio.create_udp_socket(**options) as one, await anyio.create_udp_socket(**options) as two:
            await one.sendto(b"three", "127.0.0.1", two.extra(anyio.abc.SocketAttribute.local_port))
            answers.append((await two.receive())[0])
        return answers

    assert run(main()) == [b"ONE", b"TWO", b"three"]


def test_processes(run, anyio):
    """A child's pipes both ways, its exit code, and one that is ended when its scope is cancelled."""

    async def main():
        shout = [sys.executable, "-c", "print(input().upper())"]
        done = await anyio.run_process(shout, input=b"hello\n")

        async with await anyio.open_process([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            with anyio.move_on_after(0.05) as scope:
                await process.wait()
            process.kill()
            returncode = await process.wait()
        return done.stdout, done.returncode, scope.cancelled_caught, returncode

    assert run(main()) == (b"HELLO\n", 0, True, -9)


def test_anyio_can_run_the_loop_itself(app, anyio):
    """anyio.run() with our loop is nested mode."""

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0.01)
        return type(asyncio.get_running_loop())

    options = {"loop_factory": asyncslot.AsyncSlotEventLoop, "debug": True}
    assert anyio.run(main, backend_options=options) is asyncslot.AsyncSlotEventLoop


def test_detach_ends_a_task_group(unload, anyio):
    """asyncio's own cancel() goes through anyio's scopes: tasks of a group end, shielded clean-up included."""
    trace = []

    async def main():
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(worker, number)

    async def worker(number):
        trace.append(f"begin {number}")
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            trace.append(f"end {number}")

    unload(main(), lambda: len(trace) == 3)
    assert sorted(trace[3:]) == ["end 0", "end 1", "end 2"]


def test_its_run_refuses_in_a_coroutine(run, anyio):
    """In the words that SUPPORT.md explains."""

    async def main():
        with pytest.raises(RuntimeError, match="Already running asyncio in this thread"):
            anyio.run(asyncio.sleep, 0)

    run(main())

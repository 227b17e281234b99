"""All that asyncio's own Unix loop has, on a real Qt loop, attached and nested."""

import asyncio
import os
import signal
import socket
import ssl
import sys
import threading
import time

import pytest

from asyncslot import AsyncSlotEventLoop
from lines import echo, say


@pytest.fixture
def attached(lease, spin):
    """A function that runs a coroutine to its end in attached mode, in a Qt loop that is not ours."""

    def run(coro):
        task = lease.create_task(coro)
        spin(task.done)
        return task.result()

    return run


@pytest.fixture(params=["nested", "attached"])
def run(request, app):
    """Both ways of running a coroutine."""
    return request.getfixturevalue(request.param)


# -- what asyncio's Unix loop has -----------------------------------------------


def test_streams_over_tcp(run):
    """A server and fifty clients in one loop."""

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        lines = [b"line %d\n" % number for number in range(50)]

        async def client(line):
            return await say(*await asyncio.open_connection(*address), line)

        answers = await asyncio.gather(*map(client, lines))
        server.close()
        await server.wait_closed()
        return answers == lines

    assert run(main())


@pytest.mark.skipif(sys.platform == "win32", reason="asyncio has no Unix sockets on Windows")
def test_streams_over_unix_sockets(run, tmp_path):
    """The same over a path."""

    async def main():
        server = await asyncio.start_unix_server(echo, str(tmp_path / "socket"))
        answer = await say(*await asyncio.open_unix_connection(str(tmp_path / "socket")), b"hello\n")
        server.close()
        await server.wait_closed()
        return answer

    assert run(main()) == b"hello\n"


@pytest.mark.skipif(sys.platform == "win32", reason="the proactor makes the transport as it accepts")
def test_a_connection_is_closed_whose_server_closes_as_it_accepts(run, caplog):
    """Between accept() and the protocol lies a turn of the loop; a server that closes in it leaves no connection."""

    async def main():
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            while not any("_accept_connection2" in repr(task) for task in asyncio.all_tasks()):  # noqa: ASYNC110
                await asyncio.sleep(0)
            server.close()
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            loop.set_debug(True)  # asyncio then reports what it fails at
            loop.slow_callback_duration = 60  # but not how slow a machine is
            return await asyncio.wait_for(loop.sock_recv(client, 1), 10)

    assert run(main()) == b""
    assert caplog.records == []


def test_tls(run, certificate):
    """A handshake, data both ways and an orderly end."""
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there.load_cert_chain(certificate)
    here = ssl.create_default_context(cafile=certificate)

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=there)
        address = server.sockets[0].getsockname()
        streams = await asyncio.open_connection(*address, ssl=here, server_hostname="localhost")
        answer = await say(*streams, b"secret\n")
        server.close()
        await server.wait_closed()
        return answer

    assert run(main()) == b"secret\n"


def test_datagrams(run):
    """UDP there and back."""

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(data.upper(), address)

    class Client(asyncio.DatagramProtocol):
        def __init__(self):
            self.answer = asyncio.get_event_loop().create_future()

        def datagram_received(self, data, address):
            self.answer.set_result(data)

    async def main():
        loop = asyncio.get_event_loop()
        server, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        address = server.get_extra_info("sockname")
        client, protocol = await loop.create_datagram_endpoint(Client, remote_addr=address)
        client.sendto(b"ping")
        answer = await protocol.answer
        client.close()
        server.close()
        return answer

    assert run(main()) == b"PING"


def test_raw_sockets(run):
    """sock_accept, sock_connect, sock_sendall, sock_recv."""

    async def main():
        loop = asyncio.get_event_loop()
        with socket.socket() as listening, socket.socket() as client:
            for sock in (listening, client):
                sock.setblocking(False)
            listening.bind(("127.0.0.1", 0))
            listening.listen(1)
            accepting = asyncio.ensure_future(loop.sock_accept(listening))
            await loop.sock_connect(client, listening.getsockname())
            peer, _ = await accepting
            with peer:
                data = b"x" * 1000000
                sending = asyncio.ensure_future(loop.sock_sendall(client, data))
                got = 0
                while got < len(data):
                    got += len(await loop.sock_recv(peer, 65536))
                await sending
        return got

    assert run(main()) == 1000000


@pytest.mark.skipif(sys.platform == "win32", reason="asyncio's proactor loop has no add_reader()")
def test_readers_and_writers(run):
    """add_reader and add_writer, on one descriptor at once."""

    async def main():
        loop = asyncio.get_event_loop()
        left, right = socket.socketpair()
        with left, right:
            writable, readable = loop.create_future(), loop.create_future()
            loop.add_writer(left, lambda: (loop.remove_writer(left), writable.set_result(left.send(b"x"))))
            loop.add_reader(left, lambda: readable.set_result(left.recv(10)))
            await writable
            right.send(b"yes")
            data = await readable
            assert loop.remove_reader(left)
            return data

    assert run(main()) == b"yes"


def python(program):
    """The command line of a program: what there is to run on every system."""
    return [sys.executable, "-c", program]


def test_subprocess(run):
    """Output, input, return code, kill; and a child that is gone before it is waited for."""

    async def main():
        process = await asyncio.create_subprocess_exec(
            *python("import sys; print(input()[::-1]); sys.exit(3)"), stdin=-1, stdout=-1
        )
        out, _ = await process.communicate(b"abc\n")
        sleeper = await asyncio.create_subprocess_exec(*python("import time; time.sleep(100)"))
        sleeper.kill()
        quick = await asyncio.create_subprocess_shell("exit 5")
        await asyncio.sleep(0.1)
        return out.split(), process.returncode, await sleeper.wait(), await quick.wait()

    assert run(main()) == ([b"cba"], 3, 1 if sys.platform == "win32" else -9, 5)


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="this system cannot wait for a child and leave it there")
def test_a_child_keeps_its_number_until_the_loop_knows_of_its_end(run, monkeypatch):
    """kill() must not meet another process, where a thread waits for the child (gh-127049 was asyncio's)."""
    monkeypatch.delattr(os, "pidfd_open", raising=False)

    async def main():
        code = "import sys; sys.stdin.read()"
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=asyncio.subprocess.PIPE)
        name = f"asyncslot-waitpid-{child.pid}"
        (watcher,) = [thread for thread in threading.enumerate() if thread.name == name]
        child.kill()
        watcher.join(10)
        assert not watcher.is_alive()
        assert child.returncode is None
        # Raises if it is reaped, and does not wait.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)  # noqa: ASYNC222
        child.kill()
        return await child.wait()

    assert run(main()) == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this Python has only the other way (os.pidfd_open, 3.9)")
def test_subprocess_without_process_descriptors(run, monkeypatch):
    """Where the kernel has none, a daemon thread waits for the child."""
    monkeypatch.delattr(os, "pidfd_open")

    async def main():
        process = await asyncio.create_subprocess_shell("exit 7")
        return await process.wait()

    assert run(main()) == 7


def test_subprocess_asks_no_policy(run, monkeypatch):
    """Houdini's policy raises when it is asked for a child watcher."""
    if hasattr(asyncio.events, "get_child_watcher"):  # until Python 3.13
        monkeypatch.setattr(asyncio.events, "get_child_watcher", lambda: pytest.fail("the policy was asked"))

    async def main():
        return await (await asyncio.create_subprocess_shell("exit 4")).wait()

    assert run(main()) == 4


def test_executor(run):
    """Jobs run in other threads, which are daemons."""

    async def main():
        loop = asyncio.get_event_loop()
        return await asyncio.gather(*(loop.run_in_executor(None, threading.current_thread) for _ in range(3)))

    threads = run(main())
    assert threading.current_thread() not in threads
    assert all(thread.daemon for thread in threads)


def make_pipe():
    """Both ends of a pipe, as connect_read_pipe() and connect_write_pipe() take them."""
    if sys.platform != "win32":
        read_fd, write_fd = os.pipe()
        return os.fdopen(read_fd, "rb", 0), os.fdopen(write_fd, "wb", 0)
    from asyncio import windows_utils

    return [windows_utils.PipeHandle(handle) for handle in windows_utils.pipe(duplex=True, overlapped=(True, True))]


def test_pipes(run):
    """connect_read_pipe and connect_write_pipe."""

    async def main():
        loop = asyncio.get_event_loop()
        read_end, write_end = make_pipe()
        reader = asyncio.StreamReader()
        source, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), read_end)
        sink, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, write_end)
        sink.write(b"through a pipe\n")
        line = await reader.readline()
        sink.close()
        source.close()
        await asyncio.sleep(0)
        return line

    assert run(main()) == b"through a pipe\n"


def test_name_resolution(run):
    """getaddrinfo, in the default executor."""

    async def main():
        return await asyncio.get_event_loop().getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    assert run(main())[0][4] == ("127.0.0.1", 80)


def test_calls_from_other_threads(run):
    """call_soon_threadsafe() and run_coroutine_threadsafe() wake a sleeping loop."""

    async def main():
        loop = asyncio.get_event_loop()
        called = asyncio.Event()
        threading.Timer(0.05, loop.call_soon_threadsafe, [called.set]).start()
        await called.wait()
        results = []

        async def coro():
            return 5

        def elsewhere():
            results.append(asyncio.run_coroutine_threadsafe(coro(), loop).result(10))

        await loop.run_in_executor(None, elsewhere)
        return results

    assert run(main()) == [5]


def test_sleep_is_never_too_short(run):
    """Qt's timers are in milliseconds, and coarse ones early; ours are neither."""

    async def main():
        loop = asyncio.get_event_loop()
        early = []
        for delay in [0.0004, 0.001, 0.0033, 0.01, 0.05] * 4:
            start = loop.time()
            await asyncio.sleep(delay)
            early.append(loop.time() - start - delay)
        return min(early)

    assert run(main()) > -1e-6  # the resolution of the coarsest clock that a loop of ours has


@pytest.mark.parametrize("delay", [float("inf"), 1e9, -1e9], ids=["for ever", "31 years", "long ago"])
def test_sleeping_for_ever_is_a_deadline_like_others(lease, spin, delay):
    """anyio sleeps until infinity; Qt's timers end at 24 days."""
    task = lease.create_task(asyncio.sleep(delay))
    spin(lease.create_task(asyncio.sleep(0.01)).done)
    assert task.done() == (delay < 0)
    lease.run_until_complete(asyncio.sleep(0.01))
    with pytest.raises(TimeoutError):
        lease.run_until_complete(asyncio.sleep(float("inf")), timeout=0.01)


def test_debug_mode(app, caplog):
    """Slow callbacks are named."""
    loop = AsyncSlotEventLoop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.01
    loop.call_soon(time.sleep, 0.02)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert any("time.sleep" in message or "sleep" in message for message in caplog.messages)

"""What a plug-in of the soak does under its lease: some of everything that asyncio and asyncslot have.

`do()` is work that is finished when it returns. `begin()` starts work that is in the middle when the lease ends.
`let_go()` is the rest of an unload: the plug-in drops what is its own business (its sockets, its connections to the
host's signals).

This file is also copied into the plug-ins that are reloaded; it imports nothing of ours.
"""

import asyncio
import socket
import threading

MESSAGE = b"soak" * 16


class Receiver:
    """A plug-in's object with coroutine methods as slots."""

    def __init__(self):
        self.got = []

    async def on_number(self, number):
        """Take a number, in two steps."""
        self.got.append(number)
        await asyncio.sleep(0)
        self.got.append(number)

    async def on_nothing(self):
        """Hear that something has happened in the host."""
        self.got.append(None)


class Work:
    """A plug-in's work.

    Args:
        aio: asyncslot, or a copy of it, or what stands in for it.
        lease: the plug-in's.
        host: see host.py.
        is_rare: also do what takes long: a subprocess, and a task that will not end.
    """

    def __init__(self, aio, lease, host, is_rare=False):
        self.aio = aio
        self.lease = lease
        self.host = host
        self.is_rare = is_rare
        self.receiver = Receiver()
        # Once on something of the plug-in's that goes with it, once on something of the host's that stays.
        self.sender = host.make_sender()
        self.sender.number.connect(lease.slot(self.receiver.on_number))
        self._on_nothing = lease.slot(self.receiver.on_nothing)
        host.sender.nothing.connect(self._on_nothing)
        self.sockets = []
        self.job_may_end = threading.Event()
        self.kept = []  # what a plug-in has in its attributes

    # -- work that ends ------------------------------------------------------

    async def do(self):
        """Do some of everything, at the same time."""
        await asyncio.gather(
            self._tasks(),
            self._socket_pair(),
            self._echo(),
            self._thread(),
            self._slot(),
            self._signal(),
            self._generator(),
            self._cancelled(),
        )
        if self.is_rare:
            await self._subprocess()

    async def _tasks(self):
        async def tick(count):
            for _ in range(count):
                await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            return count

        tasks = [self.lease.create_task(tick(count)) for count in range(3)]
        assert await asyncio.gather(*tasks) == [0, 1, 2]
        try:
            await asyncio.wait_for(asyncio.sleep(3600), 0.001)
        except asyncio.TimeoutError:
            pass
        else:
            raise AssertionError("an hour has passed")

    async def _socket_pair(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            loop = self.lease.loop
            receiving = asyncio.ensure_future(loop.sock_recv(theirs, 1000))
            await loop.sock_sendall(ours, MESSAGE)
            assert await receiving == MESSAGE

    async def _echo(self):
        server = await asyncio.start_server(_answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        for _ in range(3):
            writer.write(MESSAGE)
            await writer.drain()
            assert await reader.readexactly(len(MESSAGE)) == MESSAGE
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    async def _thread(self):
        assert await self.lease.to_thread(sum, range(100)) == 4950

    async def _slot(self):
        self.receiver.got = got = []
        self.sender.number.emit(7)
        assert got == [7], "the first step runs inside the emission"
        while got != [7, 7]:  # noqa: ASYNC110 - the slot's second step is a turn away
            await asyncio.sleep(0)

    async def _signal(self):
        emission = self.aio.asyncSignal(self.sender.text)
        await asyncio.sleep(0)
        self.sender.text.emit("soak")
        assert await emission == ("soak",)
        async with self.aio.asyncSignals(self.sender.nothing) as emissions:
            self.sender.nothing.emit()
            async for arguments in emissions:
                assert arguments == ()
                break

    async def _generator(self):
        assert [number async for number in _count(3)] == [0, 1, 2]

    async def _cancelled(self):
        task = self.lease.create_task(self._wait_for_ever())
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return
        raise AssertionError("it was not cancelled")

    async def _subprocess(self):
        process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
        out, _ = await process.communicate(MESSAGE)
        assert (out, process.returncode) == (MESSAGE, 0)

    # -- work that is in the middle when the lease ends ----------------------

    async def begin(self):
        """Start some of everything, and leave it open."""
        loop = self.lease.loop
        loop.call_later(3600, self._never)
        loop.call_soon(loop.call_later, 3600, self._never)
        self.kept.append(self.lease.create_task(self._wait_for_ever()))
        self.lease.create_task(self._clean_up_for_long())
        self.sockets += socket.socketpair()
        loop.add_reader(self.sockets[0], self._never)
        self._server = await asyncio.start_server(_answer, "127.0.0.1", 0)
        reader, self._writer = await asyncio.open_connection(*self._server.sockets[0].getsockname()[:2])
        self._writer.write(MESSAGE)
        await reader.readexactly(1)
        self.lease.create_task(reader.read())  # which ends when the connection does
        generator = _count(10)
        await generator.__anext__()
        self.kept.append(generator)
        await _count(10).__anext__()  # which nobody keeps
        self.kept.append(self.aio.asyncSignal(self.host.sender.nothing))
        self.lease.create_task(self._listen())
        self.lease.to_thread(self.job_may_end.wait, 30)
        self.lease.create_task(asyncio.wait_for(self._wait_for_ever(), 3600))
        if self.is_rare:
            process = await asyncio.create_subprocess_exec("sleep", "3600", stdout=-1)
            self.lease.create_task(process.wait())
            self.lease.create_task(self._refuse_to_end())
        await asyncio.sleep(0)

    async def _wait_for_ever(self):
        try:
            await self.lease.loop.create_future()
        finally:
            await asyncio.sleep(0)

    async def _clean_up_for_long(self):
        try:
            await asyncio.sleep(3600)
        finally:
            for _ in range(5):
                await asyncio.sleep(0.0002)

    async def _listen(self):
        async for _ in self.aio.asyncSignals(self.host.sender.nothing):
            pass

    async def _refuse_to_end(self):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    def _never(self):
        raise AssertionError("this was not to be called")

    def let_go(self):
        """Do the rest of an unload, after the lease has ended."""
        self.job_may_end.set()
        self.host.sender.nothing.disconnect(self._on_nothing)
        self.sender.deleteLater()
        for each in self.sockets:
            each.close()


async def _answer(reader, writer):
    """Echo."""
    try:
        while True:
            data = await reader.read(4096)
            if not data:
                break
            writer.write(data)
            await writer.drain()
    except asyncio.CancelledError:
        # CPython's own: where a server's handler ends as cancelled, the done-callback of asyncio.streams raises
        # (seen in 3.11.7; put right in 3.12).
        pass
    finally:
        writer.close()


async def _count(end):
    for number in range(end):
        await asyncio.sleep(0)
        yield number

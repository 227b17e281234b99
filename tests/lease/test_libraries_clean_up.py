"""Libraries that clean up, or begin something, where nobody looks: in tasks of their own, in threads, in transports.

Found with serial_asyncio_fast and aiomqtt, see tests/neighbours; here are the same things without those.
"""

import asyncio
import socket
import sys
import threading

import pytest

# A module that is no plug-in's: who runs is not to be seen from the frames.
LIBRARY = """
import asyncio

tasks = []

async def wait():
    await asyncio.Event().wait()

def begin(loop):
    tasks.append(loop.create_task(wait()))

def call_from_a_thread(loop):
    loop.call_soon_threadsafe(begin, loop)
"""


class Port(asyncio.Transport):
    """A library's transport. It closes its descriptor in a thread, in a task of its own, as a serial port's does."""

    def __init__(self, loop, sock, log):
        super().__init__()
        self._loop = loop
        self._sock = sock
        self._log = log
        self._is_closing = False
        loop.add_reader(sock, self._read)

    def _read(self):
        self._log.append(self._sock.recv(100))

    def is_closing(self):
        return self._is_closing

    def close(self):
        self._is_closing = True
        self._loop.remove_reader(self._sock)
        self._log.append(asyncio.get_running_loop().create_task(self._close()))

    abort = close

    async def _close(self):
        await self._loop.run_in_executor(None, self._flush)
        await self._loop.run_in_executor(None, self._sock.close)

    def _flush(self):
        threading.Event().wait(0.01)  # as data take their time on a line


@pytest.fixture
def pair():
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


@pytest.mark.skipif(sys.platform == "win32", reason="the proactor has no readers")
@pytest.mark.parametrize("closed_by", ["detach()", "the task that detach() cancels"])
def test_a_transport_that_closes_in_a_task_and_a_thread_is_closed(lease, spin, pair, caplog, closed_by):
    """Whether detach() closes it or the clean-up of a task: the task that it makes for that runs to its end."""
    here, _ = pair
    log = []

    async def work():
        port = Port(lease.loop, here, log)
        log.append("open")
        try:
            await asyncio.Event().wait()
        finally:
            if closed_by != "detach()":
                port.close()

    lease.create_task(work())
    spin(lambda: log)
    report = lease.detach(timeout=10)
    assert here.fileno() == -1
    assert report.abandoned == []
    assert len(report.closed) == (closed_by == "detach()")
    assert caplog.records == []


def test_clean_up_that_never_ends_is_cancelled_after_a_while(lease, spin):
    """A task that clean-up makes may end by itself, but is not waited for as long as detach() may take."""
    log = []

    async def clean_up():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    async def work():
        log.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            log.append(asyncio.get_event_loop().create_task(clean_up()))

    lease.create_task(work())
    spin(lambda: log)
    report = lease.detach()
    assert log[2:] == ["cancelled"]
    assert report.abandoned == []


@pytest.mark.parametrize("way", ["loop.run_in_executor", "lease.to_thread"])
def test_what_a_library_begins_from_a_job_of_a_plugins_ends_with_the_plugin(lease, spin, way):
    """The thread of a job carries the owner: what is called in the loop from there is the plug-in's."""
    library = {"__name__": "a_library_of_somebodys"}
    exec(LIBRARY, library)

    async def work():
        job = (library["call_from_a_thread"], lease.loop)
        if way == "loop.run_in_executor":
            await lease.loop.run_in_executor(None, *job)
        else:
            await lease.to_thread(*job)
        await asyncio.Event().wait()

    lease.create_task(work())
    spin(lambda: library["tasks"])
    report = lease.detach()
    assert library["tasks"][0].cancelled()
    assert report.ended == 2

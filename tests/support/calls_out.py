"""A well furnished plug-in and its host's adapter: code that asyncslot calls out to, for test_calls_out.py."""

import asyncio
import socket
import subprocess
import sys
import threading

from qtpy import API_NAME, QtCore

import asyncslot
from senders import Sender

# -- an adapter, and Qt through it -----------------------------------------------------


class Class:
    """A class of Qt's that is called as a function of Python's is, for a profiler hears of functions only."""

    def __init__(self, real):
        self.real = real

    def __call__(self, *args):
        return self.real(*args)

    def __getattr__(self, name):
        return getattr(self.real, name)


class Qt:
    """QtCore with such classes."""

    def __getattr__(self, name):
        value = getattr(sys.modules[f"{API_NAME}.QtCore"], name)
        return Class(value) if isinstance(value, type) and name.startswith("Q") and name != "Qt" else value


class Display:
    """What a host shows of a task's progress."""

    def update(self, fraction, text):
        pass

    def close(self):
        pass


class Host:
    """An adapter that keeps what it is told to report, and the callback that waits for the host's end."""

    NAME = "Recorded"

    def __init__(self):
        self.reports = []
        self.hooked = []

    def is_running(self):
        return True

    def qt_core(self):
        return Qt()

    def gui_parent(self):
        return None

    def on_quit(self, callback):
        self.hooked.append(callback)

        def unhook():
            if callback in self.hooked:
                self.hooked.remove(callback)

        return unhook

    def report(self, message, exc):
        self.reports.append((message, exc))

    def progress(self, title, cancel):
        return Display()


# -- a plug-in -------------------------------------------------------------------------


class OddTask(asyncio.Task):
    """A task class of a plug-in's own."""

    def cancel(self, *args, **kwargs):
        return super().cancel(*args, **kwargs)

    def done(self):
        return super().done()

    def cancelled(self):
        return super().cancelled()

    def add_done_callback(self, *args, **kwargs):
        return super().add_done_callback(*args, **kwargs)

    def __repr__(self):
        return "<OddTask>"


def _passing_on(name):
    def method(self):
        return getattr(super(OddTask, self), name)()

    method.__name__ = name
    return method


for _name in ("get_coro", "get_name", "get_context"):  # not there in all versions
    if hasattr(asyncio.Task, _name):
        setattr(OddTask, _name, _passing_on(_name))


class Stranger(asyncio.Future):
    """What a task factory may return that is no asyncio.Task: it runs its coroutine by itself."""

    def __init__(self, coro, loop):
        super().__init__(loop=loop)
        self._inner = asyncio.Task(coro, loop=loop)

    def cancel(self, *args):
        self._inner.cancel()
        return super().cancel()

    def done(self):
        return super().done()

    def set_name(self, name):
        pass

    def __repr__(self):
        return "<Stranger>"


class Protocol(asyncio.Protocol):
    """Of a connection, both ends of it."""

    def connection_made(self, transport):
        plugin.transports.append(transport)

    def connection_lost(self, exc):
        plugin.called("Protocol.connection_lost")


class Datagrams(asyncio.DatagramProtocol):
    def connection_lost(self, exc):
        plugin.called("Datagrams.connection_lost")


class Child(asyncio.SubprocessProtocol):
    def process_exited(self):
        plugin.called("Child.process_exited")

    def pipe_connection_lost(self, fd, exc):
        plugin.called("Child.pipe_connection_lost")

    def connection_lost(self, exc):
        plugin.called("Child.connection_lost")


class LibrarysTransport(asyncio.Transport):
    """A transport that is made without asking the loop, as pyserial-asyncio's is."""

    def __init__(self, loop, sock):
        super().__init__()
        self._loop, self._sock, self._is_closing = loop, sock, False
        loop._add_reader(sock.fileno(), self._read)

    def _read(self):
        pass

    def is_closing(self):
        return self._is_closing

    def abort(self):
        self._is_closing = True
        self._loop._remove_reader(self._sock.fileno())

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return id(self)

    def __repr__(self):
        return "<LibrarysTransport>"


class OddCallback:
    """A callable object that answers for itself when it is asked for something."""

    def __call__(self, *args):
        plugin.called("OddCallback")

    def __getattr__(self, name):
        raise AttributeError(name)

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return id(self)

    def __repr__(self):
        return "<OddCallback>"


class OddJob(OddCallback):
    def __call__(self):
        plugin.release.wait(20)


class Panel(QtCore.QObject):
    """With a slot whose task ends with it."""

    @asyncslot.asyncSlot(cancel_with_receiver=True)
    async def refresh(self):
        await for_ever()


class Plugin:
    """What the plug-in has.

    Attributes:
        after: what was called when all should have been over.
    """

    def __init__(self):
        self.lease = None
        self.tasks = []
        self.transports = []
        self.sockets = []
        self.kept = []
        self.after = []
        self.is_over = False
        self.release = threading.Event()

    def called(self, what):
        if self.is_over:
            self.after.append(what)


plugin = Plugin()


def attach(host):
    """Attach as this plug-in; a lease of its own each time that it has none."""
    plugin.lease = asyncslot.attach(host=host)
    return plugin.lease


def callback():
    plugin.called("callback")


def done_callback(task):
    plugin.called("done_callback")


def failing_done_callback(task):
    raise KeyError("a done-callback of the plug-in's")


def exception_handler(loop, context):
    plugin.called("exception_handler")


async def for_ever():
    try:
        await asyncio.sleep(3600)
    finally:
        plugin.called("for_ever")
        await asyncio.sleep(0)


async def generate():
    try:
        while True:
            yield 1
    finally:
        await asyncio.sleep(0)
        plugin.called("generate")


async def iterate():
    generator = generate()
    plugin.kept.append(generator)
    async for _ in generator:
        return


async def show_progress():
    async with plugin.lease.progress("title", total=3) as progress:
        progress.advance()
        await for_ever()


async def wait_for_signal():
    await asyncslot.asyncSignal(plugin.sender.none)


async def wait_for_signals():
    async for _ in asyncslot.asyncSignals(plugin.sender.one):
        pass


async def wait_for_dialog():
    await asyncslot.asyncModal(callback)


async def wait_for_job():
    await plugin.lease.to_thread(OddJob())


async def resist():
    """Go on whatever comes."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            plugin.called("resist")


async def resist_closing():
    """The same, and fail when it is frozen."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
        except GeneratorExit:
            raise ValueError("the plug-in's") from None


async def clean_up_badly():
    try:
        await asyncio.sleep(3600)
    finally:
        raise KeyError("clean-up of the plug-in's")


TASKS = [for_ever, iterate, show_progress, wait_for_signal, wait_for_signals, wait_for_job, clean_up_badly]
STUBBORN = [resist, resist_closing]


async def furnish():
    """Open all that can be opened."""
    loop = plugin.lease.loop
    context = {"loop": loop} if sys.version_info < (3, 8) else {}
    server = await loop.create_server(Protocol, "127.0.0.1", 0)
    await loop.create_connection(Protocol, *server.sockets[0].getsockname())
    await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    null = subprocess.DEVNULL
    await loop.subprocess_exec(Child, "cat", stdin=subprocess.PIPE, stderr=null)
    plugin.kept.append((server, await asyncio.start_server(serve, "127.0.0.1", 0, **context)))
    plugin.tasks.append(OddTask(for_ever(), loop=loop))
    await plugin.lease.to_thread(int)


async def serve(reader, writer):
    await for_ever()


def furnish_by_plain_code(is_stubborn):
    """Start and register what no coroutine is needed for; last of all what is to be under way when detach() comes."""
    lease, loop = plugin.lease, plugin.lease.loop
    for coro_fn in TASKS + (STUBBORN if is_stubborn else []):
        task = lease.run_task(coro_fn())
        task.add_done_callback(done_callback)
        plugin.tasks.append(task)
    plugin.tasks[-1].add_done_callback(failing_done_callback)
    loop.set_exception_handler(exception_handler)
    for add, function in ((loop.add_reader, callback), (loop.add_writer, callback), (loop.add_reader, OddCallback())):
        plugin.sockets += socket.socketpair()
        add(plugin.sockets[-1].fileno(), function)
    plugin.sockets += socket.socketpair()
    plugin.tasks.append(lease.create_task(open_past_the_loop()))
    plugin.panel.refresh()
    for function in (callback, OddCallback()):
        loop.call_later(3600, function)


async def open_past_the_loop():
    loop = plugin.lease.loop
    plugin.kept += [LibrarysTransport(loop, sock) for sock in plugin.sockets[-2:]]
    loop.set_task_factory(lambda loop, coro, **kwargs: Stranger(coro, loop))
    plugin.kept.append(loop.create_task(for_ever()))
    loop.set_task_factory(None)


def have_under_way():
    """Begin what the very next step would do."""
    lease = plugin.lease
    plugin.tasks.append(lease.run_task(wait_for_dialog()))
    plugin.tasks.append(lease.create_task(for_ever()))
    lease.loop.call_soon(callback)
    lease.loop.call_soon(OddCallback())
    lease.loop.call_soon_threadsafe(callback)


def renew():
    """Have a new plug-in, of which nothing is known yet."""
    global plugin
    plugin = Plugin()
    plugin.sender = Sender()
    plugin.panel = Panel()
    return plugin

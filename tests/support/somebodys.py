"""Two plug-ins that make things in every way: what the tests share that everything on the loop is somebody's.

`roots` (of the module's scope), `keeper`, `attached` and `pairs` are fixtures, once a test file has made them
such.
"""

import asyncio
import socket

import pytest

import asyncslot
import copies

# What each plug-in has besides: ways of making tasks. `kept`: or the garbage collector might end them first.
MAKING = """
import asyncio, contextvars

kept = []

def keep(task):
    kept.append(task)
    return task

async def wait(loop):
    a_library.log.append((__name__, "begins"))
    try:
        await loop.create_future()
    finally:
        await asyncio.sleep(0)
        a_library.log.append((__name__, "ends"))

async def fail(loop):
    await asyncio.sleep(0)
    1 / 0

def by_task(loop, fn=wait):
    keep(asyncio.Task(fn(loop), loop=loop))

def by_eager_task(loop, fn=wait):
    keep(asyncio.Task(fn(loop), loop=loop, eager_start=True))

def by_eager_factory(loop, fn=wait):
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        keep(loop.create_task(fn(loop)))
    finally:
        loop.set_task_factory(None)

def by_loop(loop, fn=wait):
    keep(loop.create_task(fn(loop)))

async def wait_here():
    await wait(asyncio.get_event_loop())

def with_an_empty_context(loop, fn=wait):
    keep(loop.create_task(fn(loop), context=contextvars.Context()))

def in_an_empty_context(loop, fn=wait):
    contextvars.Context().run(by_task, loop, fn)

def in_a_callback(loop, fn=wait):
    loop.call_soon(by_task, loop, fn)

def in_a_callback_without_context(loop, fn=wait):
    loop.call_soon(by_task, loop, fn, context=contextvars.Context())

def by_a_library(loop, fn=wait):
    keep(a_library.make_task(fn(loop), loop))

def of_a_library(loop, fn=None):
    keep(a_library.make_task((a_library.fail if fn is fail else a_library.work)(__name__), loop))

class Protocol(asyncio.Protocol):
    def __init__(self, make, loop, fn):
        self.make, self.loop, self.fn = make, loop, fn

    def connection_made(self, transport):
        self.make(self.loop, self.fn)

async def serve(loop, fn, make=by_task):
    server = await loop.create_server(lambda: Protocol(make, loop, fn), "127.0.0.1", 0)
    keep((server, await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())))

def in_a_protocol(loop, fn=wait):
    keep(loop.create_task(serve(loop, fn)))

def eagerly_in_a_protocol(loop, fn=wait):
    keep(loop.create_task(serve(loop, fn, by_eager_task)))

# From where: in a task of the lease, in a task that was made the same way, or in a plain function.

async def call(way, loop, *args):
    globals()[way](loop, *args)

async def call_call(way, loop, *args):
    async def parent(loop):
        globals()[way](loop, *args)
    globals()[way](loop, parent)

FROM = {
    "a task": lambda lease, way, *args: lease.create_task(call(way, lease.loop, *args)),
    "a task of that kind": lambda lease, way, *args: lease.create_task(call_call(way, lease.loop, *args)),
    "plain code": lambda lease, way, *args: globals()[way](lease.loop, *args),
}

# Where tasks stand.

async def begin_only(loop):
    pass

async def sleep(loop):
    await asyncio.sleep(3600)

async def yield_for_ever(loop):
    while True:
        await asyncio.sleep(0)

async def wait_for_a_task(loop):
    await asyncio.Task(wait(loop), loop=loop)

async def wait_for_many(loop):
    await asyncio.gather(*(asyncio.Task(wait(loop), loop=loop) for _ in range(2)))

async def wait_for_a_child(loop):
    async def child(depth):
        if depth:
            await keep(asyncio.Task(child(depth - 1), loop=loop))
        await wait(loop)
    await child(3)

async def iterate(loop):
    async def numbers():
        yield 1
        await wait(loop)
    async for _ in numbers():
        pass

async def hold_a_lock(loop):
    lock = asyncio.Lock()
    async with lock, lock:
        pass

async def be_about_to_go_on(loop):
    future = loop.create_future()
    loop.call_soon(future.set_result, None)
    await future
    await wait(loop)
"""

# In a place where packages are installed for everybody.
INSTALLED = """
import asyncio

class Transport(asyncio.Transport):
    "As pyserial-asyncio's: it watches its descriptor itself, for a protocol of the plug-in's."
    def __init__(self, loop, protocol, sock):
        self._loop, self._protocol, self._sock = loop, protocol, sock
        loop.call_soon(protocol.connection_made, self)
        loop.call_soon(loop.add_reader, sock.fileno(), self._read_ready)

    def _read_ready(self):
        self._protocol.data_received(self._sock.recv(100))

    def write_soon(self):
        self._loop.add_writer(self._sock.fileno(), self._write_ready)

    def _write_ready(self):
        self._protocol.resume_writing()

def add_plain_reader(loop, sock, callback):
    def ready():
        callback(sock.recv(100))
    loop.add_reader(sock.fileno(), ready)

class Poller:
    "As grpc.aio's: one for all who use the library, registered by whoever comes first."
    def __init__(self, loop, sock):
        self.sock, self.waiting = sock, []
        loop.add_reader(sock.fileno(), self._ready)

    def _ready(self):
        self.sock.recv(100)
        for future in self.waiting:
            if not future.done():
                future.set_result(None)
        self.waiting.clear()

poller = None

async def call(loop, sock):
    global poller
    if poller is None:
        poller = Poller(loop, sock)
    future = loop.create_future()
    poller.waiting.append(future)
    await future
"""

# What asks the loop for calls, and for news of descriptors.
CALLING = """
import functools, threading

def again(loop, schedule, fn):
    a_library.log.append((__name__, "called"))
    SCHEDULES[schedule](loop, fn, loop, schedule, fn)

class Again:
    def method(self, *args):
        again(*args)

    __call__ = method

an_again = Again()

FUNCTIONS = {
    "function": again,
    "lambda": lambda *args: again(*args),
    "method": an_again.method,
    "callable object": Again(),
    "partial": functools.partial(again),
    "partial of a partial of a method": functools.partial(functools.partial(an_again.method)),
}

def in_a_thread(function, *args, **options):
    thread = threading.Thread(target=function, args=args, kwargs=options)
    thread.start()
    thread.join()

def as_done_callback(loop, fn, *args):
    future = loop.create_future()
    future.add_done_callback(lambda _: fn(*args), context=contextvars.Context())
    future.set_result(None)

EMPTY = {"context": contextvars.Context()}

SCHEDULES = {
    "call_soon": lambda loop, *args: loop.call_soon(*args, **EMPTY),
    "call_later": lambda loop, *args: loop.call_later(0.001, *args, **EMPTY),
    "call_at": lambda loop, *args: loop.call_at(loop.time() + 0.001, *args, **EMPTY),
    "call_soon_threadsafe": lambda loop, *args: loop.call_soon_threadsafe(*args, **EMPTY),
    "call_soon_threadsafe, in a thread": lambda loop, *args: in_a_thread(loop.call_soon_threadsafe, *args, **EMPTY),
    "call_soon, called in an empty context": lambda loop, *args: contextvars.Context().run(loop.call_soon, *args),
    "call_later, called in an empty context": lambda loop, *args: contextvars.Context().run(loop.call_later, 0, *args),
    "add_done_callback": as_done_callback,
}

async def call_again(loop, schedule, function):
    SCHEDULES[schedule](loop, FUNCTIONS[function], loop, schedule, FUNCTIONS[function])

import an_installed_library

class Serial(asyncio.Protocol):
    def data_received(self, data):
        a_library.log.append((__name__, data))

    def resume_writing(self):
        a_library.log.append((__name__, "may write"))

def open_serial(loop, sock):
    keep(an_installed_library.Transport(loop, Serial(), sock))

def open_serial_for_writing(loop, sock):
    keep(an_installed_library.Transport(loop, Serial(), sock)).write_soon()

def add_reader_of_a_library(loop, sock):
    an_installed_library.add_plain_reader(loop, sock, Serial().data_received)

def add_own_reader(loop, sock):
    serial = Serial()
    loop.add_reader(sock.fileno(), lambda: serial.data_received(sock.recv(100)))

OPENERS = {
    "a library's transport": open_serial,
    "a library's transport that writes": open_serial_for_writing,
    "a library's function": add_reader_of_a_library,
    "its own function": add_own_reader,
    "its own function, in an empty context": lambda *args: contextvars.Context().run(add_own_reader, *args),
}

def open_in_plain_code(opener, *args):
    OPENERS[opener](*args)

async def call_remotely(loop, sock):
    await an_installed_library.call(loop, sock)
    a_library.log.append((__name__, "answered"))
"""


def roots(tmp_path_factory):
    """Directories of plug-ins that have all this."""
    roots = copies.write_plugins(tmp_path_factory, MAKING + CALLING)
    installed = roots[0] / "site-packages" / "an_installed_library"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text(INSTALLED)
    return roots


def keeper(app):
    """A lease that keeps the loop, and in the end ends whatever is left of a test that has failed."""
    with asyncslot.attach("keeper") as keeper:
        yield keeper
        left = asyncio.all_tasks(keeper.loop)
        for task in left:
            task.cancel()
        if left:
            keeper.run_until_complete(asyncio.wait(left, timeout=1))


def attached(request, plugins, keeper):
    """A plug-in, and a neighbour, both attached; each has its `lease`."""
    plugins.loader.add_root(f"{plugins.loader.roots[0]}/site-packages")
    plugin, neighbour = plugins.pair(request.param)
    plugin.lease, neighbour.lease = plugin.attach(), neighbour.attach()
    return plugin, neighbour


def pairs():
    """Three pairs of connected sockets."""
    pairs = [socket.socketpair() for _ in range(3)]
    for left, _ in pairs:
        left.setblocking(False)
    yield pairs
    for pair in pairs:
        for end in pair:
            end.close()


# A test for each kind of copies.
both_attached = pytest.mark.parametrize("attached", copies.PAIRS, indirect=True)
attached_with_own_copies = pytest.mark.parametrize("attached", ["own copies"], indirect=True)

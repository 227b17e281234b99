"""attach() and detach() are done wholly or not at all, whatever raises in them.

Each case is a process of its own, for a broken one would spoil those that follow. At its end the registries must agree:
no place, no open loop, no descriptor, no thread; and attach() must work again.
"""

import pytest

from whole_or_nothing import PRELUDE

pytestmark = pytest.mark.slow

# -- attach --------------------------------------------------------------------

ADAPTERS = {
    "on_quit raises": "host.on_quit = boom",
    "qt_core raises": "host.qt_core = boom",
    "qt_core raises when it is asked again": "host.qt_core = once(host.qt_core)",
    "NAME raises": "Broken.NAME = property(boom)",
    "NAME raises when it is asked again": "Broken.NAME = property(once(lambda self: 'Broken'))",
    "on_quit raises, and NAME when it is asked for": "host.on_quit = boom; Broken.NAME = property(once(lambda _: 'x'))",
    "on_quit raises, and report": "host.on_quit = host.report = boom",
    "on_quit raises, and has called back": "host.on_quit = lambda callback: (callback(), boom())",
    "on_quit raises, and keeps what it was given": "host.on_quit = lambda callback: (kept.append(callback), boom())",
    "every function raises": "host.on_quit = host.report = host.gui_parent = host.progress = host.is_running = boom",
}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_attach_that_fails_leaves_nothing(run_python, adapter):
    """Neither a loop nor a lease, and nothing of a neighbour's is touched; the next attach() works."""
    done = run_python(
        PRELUDE
        + f"""
kept = []
def boom(*args):
    raise KIND("broken adapter")

def once(function):
    calls = []
    def again(*args):
        calls.append(1)
        return function(*args) if len(calls) == 1 else boom()
    return again

def attach_and_fail():
    class Broken(Host): pass
    host = Broken()
    {ADAPTERS[adapter]}
    try:
        asyncslot.attach("broken", host=host)
    except KIND:
        pass
    else:  # it has asked only once, and there is a lease
        assert {"again" in adapter}
        assert asyncslot.detach("broken").abandoned == []
    for callback in kept:
        callback()  # the host quits
    kept.clear()

for KIND in (ZeroDivisionError, KeyboardInterrupt, SystemExit):
    attach_and_fail()
    assert not left(), (KIND, left())
    assert works()
    neighbour = Neighbour(host=Host())
    attach_and_fail()
    assert neighbour.goes_on()
    assert "Owner 'broken'" not in asyncslot.report()
    assert asyncslot.attach("broken", host=Host()).detach().abandoned == []
    assert neighbour.goes_on()
    assert neighbour.leave()
    assert not left(), (KIND, left())
print("fine")
"""
    )
    assert done.stdout.splitlines() == ["fine"]


AT_ONCE = {
    "quits": "host.on_quit = lambda callback: (callback(), lambda: None)[1]",
    "detaches it": "host.on_quit = lambda callback: (asyncslot.detach('hasty'), lambda: None)[1]",
    "attaches it": "host.on_quit = lambda callback: (asyncslot.attach('hasty', host=Host()), lambda: None)[1]",
    "attaches and detaches another": "host.on_quit = "
    "lambda callback: (asyncslot.attach('other', host=Host()).detach(), lambda: None)[1]",
    "runs Qt's loop": "host.on_quit = lambda callback: (app.processEvents(), lambda: None)[1]",
}


@pytest.mark.parametrize("what", AT_ONCE)
@pytest.mark.parametrize("other", ["alone", "beside another"])
def test_a_host_may_do_anything_while_it_is_told_whom_to_tell_of_its_end(run_python, other, what):
    """The adapter's on_quit may call back at once, or run plug-ins' code; detach() then ends whatever there is."""
    done = run_python(
        PRELUDE
        + f"""
host = Host()
neighbour = Neighbour(host=Host()) if {other == "beside another"} else None
{AT_ONCE[what]}
lease = asyncslot.attach("hasty", host=host)
assert lease.is_attached or {what in ("quits", "detaches it")}, lease
assert lease.detach().abandoned == []
assert not lease.is_attached
asyncslot.detach("hasty")
assert neighbour is None or (neighbour.goes_on() and neighbour.leave())
assert lease.loop.is_closed()
print(left(), works(), left())
"""
    )
    assert done.stdout.splitlines() == ["[] True []"]


# -- detach --------------------------------------------------------------------

# Made before the lease is detached; boom() raises from then on.
BROKEN = {
    # the adapter
    "the adapter's unhook": "host.on_quit = lambda callback: boom",
    "the adapter's unhook, which is none": "host.on_quit = lambda callback: None",
    "the adapter's report": "host.report = boom; lease.create_task(stubborn())",
    "all of the adapter": "host.on_quit = lambda callback: boom; host.report = boom; Broken.NAME = property(boom); "
    "lease.create_task(stubborn())",
    # tasks
    "a task's repr": "use_class(__repr__=boom); lease.create_task(forever())",
    "a task's done": "use_class(done=boom); lease.create_task(forever())",
    "a stubborn task's done": "use_class(done=boom); lease.create_task(stubborn())",
    "a task's get_name": "use_class(get_name=boom); lease.create_task(forever())",
    "a task's cancel": "use_class(cancel=boom); lease.create_task(forever())",
    "a task's add_done_callback": "use_class(add_done_callback=boom); lease.create_task(forever())",
    "a task's remove_done_callback": "use_class(remove_done_callback=boom); lease.create_task(forever())",
    "a task's cancelled": "use_class(cancelled=boom); lease.create_task(forever())",
    "a task's get_coro": "use_class(get_coro=boom); lease.create_task(forever())",
    "a task's get_context": "use_class(get_context=boom); lease.create_task(forever())",
    "a task's get_stack": "use_class(get_stack=boom); lease.create_task(forever())",
    "a stubborn task's repr": "use_class(__repr__=boom); lease.create_task(stubborn())",
    "a stubborn task's get_coro": "use_class(get_coro=boom); lease.create_task(stubborn())",
    "a stubborn task that is only like a future": "use_future_like(); lease.create_task(stubborn())",
    "a stubborn future that is no task": "use_plain_future(); lease.create_task(stubborn())",
    "a coroutine's close": "lease.create_task(refuse_to_close())",
    # clean-up
    "clean-up": "lease.create_task(clean_up_badly())",
    "a done-callback": "lease.create_task(forever()).add_done_callback(boom)",
    "the exception handler": "set_handler(boom); lease.create_task(forever()).add_done_callback(lambda _: 1 / 0)",
    "an async generator": "begin(badly_ending())",
    # resources
    "a transport's is_closing": "transport().is_closing = boom",
    "a transport's abort": "transport().abort = boom",
    "a transport's abort and repr": "transport().abort = boom; change_class(kept[-1], __repr__=boom)",
    "a transport's get_extra_info": "transport().get_extra_info = boom",
    "a protocol's connection_lost": "transport(connection_lost=boom)",
    "a server's is_serving": "server().is_serving = boom",
    "a server's close": "server().close = boom",
    "a server's close and repr": "server().close = boom; change_class(kept[-1], __repr__=boom)",
    "a server's sockets": "change_class(server(), sockets=property(boom))",
    "a subprocess's get_returncode": "subprocess().get_returncode = boom",
    "a reader's repr": "watch(type('Callback', (), {'__repr__': boom, '__call__': boom})())",
    "a reader whose descriptor is closed": "watch(print); kept[-1].close()",
    # jobs
    "a job's repr": "run_job(__repr__=boom)",
    "whatever a job is asked for": "run_job(__getattr__=boom)",
}

SET_UP = """
is_armed, kept = [], []

def boom(*args, **options):
    if is_armed:
        raise KIND("broken")

class Broken(Host): pass
host = Broken()

def guarded(name, value, base):
    "Raise from detach() on; until then do what the class does."
    if value is not boom or not hasattr(base, name):
        return value
    original = getattr(base, name)
    return lambda self, *args, **options: (boom(), original(self, *args, **options))[1]

def use_factory(make):
    async def choose():
        asyncio.get_event_loop().set_task_factory(lambda loop, coro, **options: make(coro, loop))
    lease.run_until_complete(choose())

def use_class(**names):
    names = {name: guarded(name, value, asyncio.Task) for name, value in names.items()}
    cls = type("Task", (asyncio.Task,), names)
    use_factory(lambda coro, loop: cls(coro, loop=loop))

class LikeAFuture:
    _source_traceback = None  # Python 3.7 asks for it
    def __init__(self, coro, loop):
        self.task = asyncio.Task(coro, loop=loop)
    def __await__(self): return self.task.__await__()
    def set_name(self, name): pass
    for name in ("add_done_callback", "remove_done_callback", "cancel", "cancelled", "done", "exception", "result"):
        exec("def " + name + "(self, *args, **options): return self.task." + name + "(*args, **options)")

def use_future_like():
    use_factory(LikeAFuture)

class PlainFuture(asyncio.Future):
    def cancel(self, *args, **options): return False
    def set_name(self, name): pass

def use_plain_future():
    def make(coro, loop):
        if coro.__name__ != "stubborn":
            return asyncio.Task(coro, loop=loop)
        coro.close()
        return PlainFuture(loop=loop)
    use_factory(make)

async def refuse_to_close():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
        except GeneratorExit:
            boom()

async def clean_up_badly():
    try:
        await asyncio.sleep(3600)
    finally:
        boom()

def set_handler(handler):
    async def call():
        asyncio.get_event_loop().set_exception_handler(handler)
    lease.run_until_complete(call())

async def badly_ending():
    try:
        yield
    finally:
        boom()

def begin(agen):
    kept.append(agen)
    async def call():
        await agen.__anext__()
    lease.run_until_complete(call())

def transport(**names):
    async def open():
        protocol = type("Protocol", (asyncio.Protocol,), names)
        loop = asyncio.get_event_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        kept.append(server)
        kept.append((await loop.create_connection(protocol, *server.sockets[0].getsockname()))[0])
    lease.run_until_complete(open())
    return kept[-1]

def server():
    async def open():
        kept.append(await asyncio.get_event_loop().create_server(asyncio.Protocol, "127.0.0.1", 0))
    lease.run_until_complete(open())
    return kept[-1]

def subprocess():
    async def start():
        start = asyncio.get_event_loop().subprocess_exec
        kept.append((await start(asyncio.SubprocessProtocol, sys.executable, "-c", "import time; time.sleep(100)"))[0])
    lease.run_until_complete(start())
    return kept[-1]

def change_class(thing, **names):
    cls = type(thing)
    thing.__class__ = type(cls.__name__, (cls,), {name: guarded(name, value, cls) for name, value in names.items()})

def watch(callback):
    import socket
    pair = socket.socketpair()
    kept.extend(pair)
    async def call():
        asyncio.get_event_loop().add_reader(kept[-1].fileno(), callback)
    lease.run_until_complete(call())

gate, begun = threading.Event(), threading.Event()

def run_job(**names):
    class Job:
        def __call__(self):
            begun.set()
            gate.wait(30)
    for name, value in names.items():
        setattr(Job, name, value)
    lease.to_thread(Job())
    assert begun.wait(30)
"""

# At the end: whatever is not the lease's to close is closed, and then nothing is left.
END = """
gate.set()
def close(thing):
    for name in ("abort", "is_closing", "close", "get_extra_info", "is_serving", "get_returncode"):
        getattr(thing, "__dict__", {}).pop(name, None)
    if hasattr(thing, "fileno") or isinstance(thing, asyncio.AbstractServer):
        thing.close()
is_armed.clear()
for thing in kept:
    close(thing)
thing = None
del kept[:], reports[:]  # whose tracebacks hold what was closed
"""


@pytest.mark.parametrize("what", BROKEN)
def test_detach_is_completed_whatever_raises(run_python, what):
    """And the second call returns the same report. With a neighbour, whose task goes on; then with none."""
    # A task that cannot be cancelled, or does not tell that it is done, may be given up.
    is_cleaned_up = "forever()" in BROKEN[what] and "cancel=" not in BROKEN[what] and "done=" not in BROKEN[what]
    done = run_python(
        PRELUDE
        + SET_UP
        + f"""
for KIND, is_alone in [(KIND, is_alone) for KIND in (ZeroDivisionError, SystemExit) for is_alone in (False, True)]:
    host = Broken()
    neighbour = None if is_alone else Neighbour(host=Host())
    early = {BROKEN[what].split("; ")!r}
    for line in early:
        if line.startswith("host."):
            exec(line)
    lease = asyncslot.attach("broken", host=host)
    for line in early:
        if not line.startswith("host."):
            exec(line)
    app.processEvents()
    lease.run_until_complete(asyncio.sleep(0.001))
    is_armed.append(1)
    report = lease.detach(timeout=0.2)
    assert lease.detach() is report, "another report"
    assert asyncslot.detach("broken") is report, "another report by name"
    assert str(report).startswith("broken: detached in "), report
    assert not lease.is_attached
    assert len(report.abandoned) >= {"stubborn()" in BROKEN[what]}, report
    assert "cleaned up" in log or not {is_cleaned_up}, "clean-up has not run"
    del log[:]
    if neighbour is not None:
        assert neighbour.goes_on()
        text = asyncslot.report()
        assert "Owner 'broken'" not in text, text
        assert neighbour.leave(), "the loop stays"
    assert lease.loop.is_closed(), "the loop is open"
"""
        + END.replace("\n", "\n    ")
        + """
    report = lease = neighbour = host = None
    if hasattr(Broken, "NAME"):
        Broken.NAME = "Broken"
    gate.clear(), begun.clear()
    assert not left(), (KIND, is_alone, left())
    assert works()
    assert not left(), (KIND, is_alone, left())
print("fine")
"""
    )
    assert done.stdout.splitlines() == ["fine"]


@pytest.mark.parametrize(
    "what", ["the adapter's unhook", "a job's repr", "a stubborn task's get_coro", "a server's close"]
)
def test_a_host_quits_though_a_detach_cannot_be_done(run_python, what):
    """With PlainQt as adapter, in whose aboutToQuit PyQt would end the process."""
    line = "pass" if what == "the adapter's unhook" else BROKEN[what]
    unhook = "host.on_quit = lambda callback: (app.aboutToQuit.connect(callback), boom)[1]"
    done = run_python(
        "KIND = ZeroDivisionError\n"
        + PRELUDE
        + SET_UP
        + f"""
if {what == "the adapter's unhook"}:
    {unhook}
    lease = asyncslot.attach("broken", host=host)
else:
    lease = asyncslot.attach("broken")
{line}
is_armed.append(1)
QtCore.QTimer.singleShot(1, app.quit)
print(exec_(app), lease.is_attached, lease.loop.is_closed())
"""
        + END
        + """
print([name for name in vars(asyncio) if "asyncslot" in name])
"""
    )
    assert done.stdout.splitlines() == ["0 False True", "[]"]

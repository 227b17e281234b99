"""Back to where it was: what the process has before the first attach and after the last detach is the same.

Each program lives in a process of its own: the host starts, the census is taken, plug-ins attach and work, leave much
open, and go in one of several ways; the host lives on for a moment, and the census is taken again. What it counts is in
census.py; what may differ is in MAY_DIFFER, each line with its reason, and nothing else may.
"""

import re
import sys
from pathlib import Path

import pytest

import census
import vendored

pytestmark = pytest.mark.slow

SUPPORT = Path(census.__file__).parent

# The host, the plug-in's work, and a way to load plug-ins with copies of their own.
PRELUDE = """
import asyncio, gc, importlib, os, signal, socket, sys, threading
sys.path[:0] = {paths!r}
from qtpy import QtCore, QtWidgets
app = QtWidgets.QApplication([])
app.setQuitOnLastWindowClosed(False)  # it shows dialogs only
import census

class Sender(QtCore.QObject):
    fired = QtCore.Signal(int)

def run(qt_loop):
    return (getattr(qt_loop, "exec", None) or qt_loop.exec_)()

def show_a_dialog():
    dialog = QtWidgets.QDialog()
    QtCore.QTimer.singleShot(0, dialog.accept)
    run(dialog)

def live_on():
    "The host goes on for a while: Qt deletes what was to be deleted later."
    event_loop, timer = QtCore.QEventLoop(), QtCore.QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(event_loop.quit)
    timer.start(20)
    run(event_loop)

def warm_up():
    "What every host has done once: run Qt, shown a dialog, started a thread, listened to aboutToQuit."
    live_on()
    show_a_dialog()
    # PySide6 gives each sender a helper that stays, PySide2 never lets go of the wrapper of a thread that Qt knows;
    # glibc handles a signal of its own from the first thread on.
    app.thread()
    app.aboutToQuit.connect(live_on)
    app.aboutToQuit.disconnect(live_on)
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    live_on()

def load(name):
    copy = importlib.import_module(name + "._vendor.asyncslot")
    if {is_in_thread!r}:
        copy._unix.PlatformLoop._as_make_wait = copy._selector.SelectorMixin._as_make_wait
    return copy

def purge(*names):
    "As QGIS does on reload: every module of the plug-ins' packages."
    for module in [module for module in sys.modules if module.split(".")[0] in names]:
        del sys.modules[module]

async def echo(reader, writer):
    writer.write(await reader.readline())
    writer.close()

async def numbers():
    for number in range(3):
        yield number
        await asyncio.sleep(0)

async def work(lease, copy, has_qt=True):
    "One of each, and all of it comes to its end."
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    writer.write(b"hello\\n")
    assert await asyncio.ensure_future(reader.readline()) == b"hello\\n"
    writer.close()
    server.close()
    await server.wait_closed()
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(42)", stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()
    assert out.strip() == b"42"
    assert await lease.to_thread(threading.get_ident) != threading.get_ident()
    await loop.run_in_executor(None, int)
    assert await loop.getaddrinfo("127.0.0.1", 80)
    ours, theirs = socket.socketpair()
    if hasattr(signal, "SIGCHLD"):  # a proactor watches no descriptors
        readable = loop.create_future()
        loop.add_reader(ours, readable.set_result, None)
        theirs.send(b"x")
        await readable
        loop.remove_reader(ours)
    ours.close(), theirs.close()
    sender = Sender()
    loop.call_later(0.001, sender.fired.emit, 7)
    assert await copy.asyncSignal(sender.fired) == (7,)
    started = loop.create_future()
    async def slot(number):
        await asyncio.sleep(0)
        started.set_result(number)
    sender.fired.connect(lease.slot(slot))
    sender.fired.emit(8)
    assert await started == 8
    if has_qt:
        await copy.asyncModal(show_a_dialog)
    assert [number async for number in numbers()] == [0, 1, 2]
    try:
        await asyncio.wait_for(loop.create_future(), 0.001)
    except asyncio.TimeoutError:
        pass

async def leave_open(lease, copy):
    "Whatever a plug-in can forget, for detach() to end."
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    generator = numbers()
    await generator.__anext__()
    if hasattr(signal, "SIGCHLD"):
        ours, theirs = socket.socketpair()
        loop.add_reader(ours, print)
        sockets.extend([ours, theirs])
    loop.call_later(3600, print, lease)
    sender = Sender()
    senders.append(sender)
    sender.fired.connect(lease.slot(on_fired))
    async def wait_for_ever(*keep):
        await loop.create_future()
    async def stubborn():
        while True:
            try:
                await loop.create_future()
            except asyncio.CancelledError:
                pass
    async def wait_for_signals():
        async for _ in copy.asyncSignals(sender.fired):
            pass
    for coro in (wait_for_ever(reader, writer, child, generator), stubborn(), wait_for_signals()):
        kept.append(asyncio.ensure_future(coro))
    lease.create_task(wait_for_ever(copy.asyncSignal(sender.fired)))
    await asyncio.sleep(0.001)

async def on_fired(number):
    await asyncio.get_running_loop().create_future()

# What lives longer than the lease.
senders, sockets, kept = [], [], []

def forget():
    for sock in sockets:
        sock.close()
    for sender in senders:
        sender.fired.emit(9)  # a signal that fires after detach
    del sockets[:], senders[:], kept[:]

def busy(lease, copy, then):
    "Work, leave much open, and have Qt call `then`."
    async def main():
        await work(lease, copy)
        await leave_open(lease, copy)
        QtCore.QTimer.singleShot(0, then)
        await asyncio.get_running_loop().create_future()
    lease.create_task(main())

def check(report):
    assert len(report.abandoned) == 1 and report.closed, str(report)
"""

# A host with everything of its own that a loop could take from it.
FURNITURE = """
class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        raise AssertionError("the policy was asked for a loop")
    def get_child_watcher(self):
        raise AssertionError("the policy was asked for a child watcher")

asyncio.set_event_loop_policy(Policy())
hosts_loop = asyncio.SelectorEventLoop()
asyncio.set_event_loop(hosts_loop)
for name in ("SIGINT", "SIGTERM", "SIGCHLD", "SIGUSR1", "SIGBREAK"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), lambda *_: None)
hosts_pair = socket.socketpair()
hosts_pair[0].setblocking(False)
signal.set_wakeup_fd(hosts_pair[0].fileno())
sys.set_asyncgen_hooks(firstiter=lambda generator: None, finalizer=lambda generator: None)
sys.excepthook = sys.unraisablehook = threading.excepthook = lambda *args: print("hook:", args)
"""

END = """
warm_up()
before = census.take(PACKAGES)
end()
forget()
live_on()
print("\\n".join(census.settled(before, PACKAGES)))
"""

ENDINGS = {
    "detached in a slot": """
def end():
    event_loop = QtCore.QEventLoop()
    lease = asyncslot.attach("one")
    def slot():
        check(lease.detach(timeout=0.3))
        event_loop.quit()
    busy(lease, asyncslot, slot)
    run(event_loop)
""",
    "detached in a dialog": """
def end():
    event_loop = QtCore.QEventLoop()
    lease = asyncslot.attach("one")
    def slot():
        dialog = QtWidgets.QDialog()
        QtCore.QTimer.singleShot(0, lambda: (check(lease.detach(timeout=0.3)), dialog.accept()))
        run(dialog)
        event_loop.quit()
    busy(lease, asyncslot, slot)
    run(event_loop)
""",
    "detached before exec()": """
def end():
    lease = asyncslot.attach("one")
    lease.run_until_complete(work(lease, asyncslot, has_qt=False))
    lease.run_until_complete(leave_open(lease, asyncslot))
    check(lease.detach(timeout=0.3))
""",
    "attached and detached, and nothing in between": """
def end():
    asyncslot.attach("one").detach()
""",
    "detached inside an own task": """
def end():
    event_loop = QtCore.QEventLoop()
    lease = asyncslot.attach("one")
    async def main():
        await work(lease, asyncslot)
        await leave_open(lease, asyncslot)
        lease.detach(timeout=0.3)
        QtCore.QTimer.singleShot(0, event_loop.quit)
    lease.create_task(main())
    run(event_loop)
""",
    "the application quits": """
def end():
    lease = asyncslot.attach("one")
    busy(lease, asyncslot, app.quit)
    run(app)
    check(asyncslot.detach("one"))
""",
    "two owners": """
def end():
    event_loop = QtCore.QEventLoop()
    leases = [asyncslot.attach(name) for name in ("one", "two")]
    def slot():
        check(leases.pop(0).detach(timeout=0.3))
        if leases:
            busy(leases[0], asyncslot, slot)
        else:
            event_loop.quit()
    busy(leases[0], asyncslot, slot)
    run(event_loop)
""",
    "two copies, purged afterwards": """
def end():
    event_loop = QtCore.QEventLoop()
    leases, copies = [], []
    for name in ("one", "two"):
        copies.append(load(name))
        leases.append(copies[-1].attach(name))
    assert leases[0].loop is leases[1].loop
    def slot():
        check(leases.pop(0).detach(timeout=0.3))
        copies.pop(0)
        if leases:
            purge("one")
            busy(leases[0], copies[0], slot)
        else:
            purge("two")
            event_loop.quit()
    busy(leases[0], copies[0], slot)
    run(event_loop)
""",
    "a copy was imported, nobody attached, the application quits": """
def end():
    load("one")
    QtCore.QTimer.singleShot(0, app.quit)
    run(app)
    purge("one")
""",
}

# The copies, and nothing that is installed, are at work in those two.
IS_VENDORED = re.compile("cop(y|ies)")

# What may be different afterwards, and why: beginnings of lines of the census.
MAY_DIFFER = {
    r"objects: \d+ more asyncslot\._report\.(DetachReport|AbandonedTask)$": (
        "A copy keeps the last report of each owner as long as it is loaded, for an unload() that comes after the quit."
    ),
    r"loggers: 1 more (one|two)\._vendor\.asyncslot\.\w+, level 0, \[\], \[\]$": (
        "logging keeps what getLogger() has given out, by name, for ever; it refers to nothing of the copy's."
    ),
}

# What could be left behind, and the line in which the census says so.
LEFT_BEHIND = {
    "keep.append(open(os.devnull))": "fds: 1 more /dev/null",
    "keep.append(socket.socketpair())": "fds: 2 more socket",
    "threading.Thread(target=stop.wait, name='t', daemon=True).start()": "threads: 1 more t daemon=True",
    "signal.signal(signal.SIGINT, print)": "signal handlers: was",
    "signal.set_wakeup_fd(pair[0].fileno())": "wakeup fd: was",
    "asyncio.set_event_loop(None)": "event-loop policy: was",
    "asyncio._set_running_loop(7)": "running loop: was None, is 7",
    "sys.set_asyncgen_hooks(print)": "asyncgen hooks: was",
    "sys.excepthook = print": "excepthooks: was",
    "threading.excepthook = print": "excepthook of threads: was",
    "os.environ['ASYNCSLOT'] = '1'": "os.environ: was",
    "sys.path.append('x')": "sys.path: was",
    "sys.meta_path.append(sys.meta_path[0])": "sys.meta_path: was",
    "logging.getLogger().addHandler(logging.NullHandler())": "loggers: 1 more root",
    "warnings.simplefilter('ignore')": "warnings: was",
    "sys.modules['x'] = types.ModuleType('one.x'); sys.modules['x'].__file__ = 'x.py'": "sys.modules: 1 more x",
    "asyncio._asyncslot_meeting_1 = {}": "attributes of asyncio: was",
    "atexit.register(int)": "atexit: was",
    "contextvars.ContextVar('x').set(1)": "context variables: was",
    "keep.append(QtCore.QTimer())": "QObjects: 1 more QTimer",
    "keep.append(QtCore.QObject(app))": "children of the application: 1 more QObject",
    "app.aboutToQuit.connect(int)": "connections to aboutToQuit: was",
    "app.startTimer(3600000)": "timers of the application: was",
    "keep.append(asyncslot.AsyncSlotRunner())": "objects: 1 more asyncslot._runner.AsyncSlotRunner",
    "keep.append(asyncio.SelectorEventLoop())": "objects: 1 more asyncio.unix_events._UnixSelectorEventLoop",
    "keep.append(numbers())": "coroutines and generators: 1 more async_generator numbers",
}


@pytest.mark.skipif(sys.platform != "linux", reason="without /proc the census sees less")
def test_the_census_sees_what_is_left_behind(run_python, plugins):
    """The test below proves something: each thing that must not stay is missed by no census."""
    source = PRELUDE.replace("{paths!r}", repr([str(SUPPORT)])).replace("{is_in_thread!r}", "False")
    source += f"""
import asyncslot, atexit, contextvars, logging, types, warnings
keep, stop, pair = [], threading.Event(), socket.socketpair()
pair[0].setblocking(False)
warm_up()
for leak, line in {LEFT_BEHIND!r}.items():
    if leak.startswith("threading.excepthook") and sys.version_info < (3, 8):
        continue
    before = census.take()
    exec(leak)
    found = census.differences(before, census.take())
    if not any(text.startswith(line) for text in found):
        print(leak, "gives", found)
signal.set_wakeup_fd(-1)
asyncio._set_running_loop(None)
sys.stdout.flush()
os._exit(0)  # with all that is left behind now
"""
    assert run_python(source).stdout == ""


@pytest.fixture
def plugins(tmp_path):
    """A directory of plug-ins one and two, each with a copy."""
    for name in ("one", "two"):
        dest = tmp_path / name / "_vendor"
        vendored.copy(dest)
        (tmp_path / name / "__init__.py").write_text("")
        (dest / "__init__.py").write_text("")
    return tmp_path


@pytest.mark.parametrize("host", ["bare", "furnished"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_process_is_back_where_it_was(run_python, plugins, request, ending, host):
    """Descriptors, threads, handlers, hooks, policy, loops, objects, modules: all as before the first attach."""
    is_in_thread = request.config.getoption("--wait") == "thread"
    paths = [str(SUPPORT), str(plugins)]
    source = PRELUDE.replace("{paths!r}", repr(paths)).replace("{is_in_thread!r}", repr(is_in_thread))
    if IS_VENDORED.search(ending):
        source += 'PACKAGES = ("one", "two")\n'
    else:
        source += 'PACKAGES = ("asyncslot",)\nimport asyncslot\n'
    source += (FURNITURE if host == "furnished" else "") + ENDINGS[ending] + END
    done = run_python(source)
    assert not re.search("Exception ignored|never awaited|was destroyed", done.stderr), done.stderr
    found = [line for line in done.stdout.splitlines() if line and not any(re.match(may, line) for may in MAY_DIFFER)]
    assert not found, "\n".join(found)

"""Nothing that goes wrong in a plug-in stops the host, and the host's users hear of it.

Each program runs in a process of its own, in a host without an excepthook: there PyQt ends the process when
an exception leaves a slot, which is how these tests would see one. Every program ends with rc 0 and "alive".
"""

import ast
import os
import signal
import sys

import pytest

import senders

HOST = """
import asyncio, gc, sys, threading
from qtpy import API_NAME, QtCore, QtWidgets
app = QtWidgets.QApplication([])
import asyncslot

reports = []

class Host:
    NAME = "Host"
    def is_running(self): return True
    def qt_core(self): return sys.modules[API_NAME + ".QtCore"]
    def gui_parent(self): return None
    def on_quit(self, callback): return lambda: None
    def report(self, message, exc): reports.append((message.partition(":")[0], type(exc).__name__))
    def progress(self, title, cancel): return None

class Sender(QtCore.QObject):
    happened = QtCore.Signal()

sender = Sender()
ticks = []

async def tick():
    while True:
        ticks.append(1)
        await asyncio.sleep(0.001)

def spin(until):
    event_loop, poll, alarm = QtCore.QEventLoop(), QtCore.QTimer(), QtCore.QTimer()
    poll.timeout.connect(lambda: until() and event_loop.quit())
    poll.start(1)
    alarm.setSingleShot(True)
    alarm.timeout.connect(event_loop.quit)
    alarm.start(60000)
    (getattr(event_loop, "exec", None) or event_loop.exec_)()
    poll.stop()
    alarm.stop()
    return until()

def goes_on():
    del ticks[:]
    assert spin(lambda: len(ticks) > 3), "the other plug-in's task stands still"

innocent = asyncslot.attach("innocent", host=Host())
innocent.create_task(tick())
"""

END = """
goes_on()
innocent.detach()
print("alive")
"""

# Places where a plug-in's code runs, each a function that has `fail()` called there.
PLACES = """
def fail():
    if KIND is RecursionError:
        fail()
    raise KIND(3)

async def fails():
    fail()

async def fails_later():
    await asyncio.sleep(0.001)
    fail()

def in_a_task(lease): lease.create_task(fails_later())
def in_a_first_step(lease): lease.run_task(fails())
def in_a_slot(lease):
    slot = lease.slot(fails)
    sender.happened.connect(slot)
    sender.happened.emit()
    sender.happened.disconnect(slot)
def later_in_a_slot(lease): lease.slot(fails_later)()
def in_a_queued_slot(lease):
    slot = lease.slot(fails_later, on_repeat="queue")
    slot(), slot()
def in_the_call_of_a_slot(lease):
    def call(): fail()
    call.__code__ = call.__code__
    class Callable:
        async def __call__(self, never_given): pass
    lease.slot(Callable())()

def in_owned(callback):
    def place(lease):
        async def task():
            callback(asyncio.get_event_loop())
        lease.run_task(task())
    return place

in_a_callback = in_owned(lambda loop: loop.call_soon(fail))
in_a_timer = in_owned(lambda loop: loop.call_later(0.001, fail))
in_a_threadsafe_callback = in_owned(lambda loop: loop.call_soon_threadsafe(fail))

def in_a_done_callback(lease):
    lease.create_task(asyncio.sleep(0)).add_done_callback(lambda _: fail())
def in_a_done_callback_of_a_future(loop):
    future = loop.create_future()
    future.add_done_callback(lambda _: fail())
    future.set_result(None)
in_a_done_callback_of_a_future = in_owned(in_a_done_callback_of_a_future)

def in_an_exception_handler(lease):
    async def task():
        loop = asyncio.get_event_loop()
        loop.set_exception_handler(lambda loop, context: fail())
        loop.call_soon(fail)
        await asyncio.sleep(0.001)
        loop.set_exception_handler(None)
    lease.run_task(task())

class Manager:
    async def __aenter__(self): pass
    async def __aexit__(self, *_): fail()
def at_the_exit_of_a_context_manager(lease):
    async def task():
        async with Manager():
            await asyncio.sleep(0)
    lease.create_task(task())

def in_a_context_manager_around_the_lease(lease):
    try:
        with asyncslot.attach("shortly", host=Host()) as shortly:
            shortly.create_task(fails_later())
            shortly.run_until_complete(asyncio.sleep(0))
            raise KeyError
    except KeyError:
        pass
    lease.create_task(fails())  # the report that is waited for

def in_clean_up(lease):
    async def task():
        try:
            await asyncio.sleep(1000)
        finally:
            fail()
    lease.run_task(task()).cancel()

def in_an_async_generator(lease):
    async def numbers():
        try:
            yield 1
        finally:
            fail()
    async def task():
        generator = numbers()
        await generator.__anext__()
        await generator.aclose()
    lease.create_task(task())

def in_a_thread(lease):
    async def task():
        await lease.to_thread(fail)
    lease.create_task(task())

def in_a_modal_function(lease):
    async def task():
        await asyncslot.asyncModal(fail)
    lease.create_task(task())

class Protocol(asyncio.Protocol):
    def connection_made(self, transport): transport.write(b"x"); fail()
    def data_received(self, data): fail()
    def connection_lost(self, exc): fail()
def in_a_protocol(lease):
    async def task():
        loop = asyncio.get_event_loop()
        server = await loop.create_server(Protocol, "127.0.0.1", 0)
        await loop.create_connection(Protocol, *server.sockets[0].getsockname())
    lease.create_task(task())

NOT_PLACES = ["in_owned"]
if KIND is GeneratorExit:
    NOT_PLACES.append("in_an_async_generator")  # which ends by it, as it should
PREFIXES = ("in_", "at_", "later_")
PLACES = [value for name, value in list(globals().items()) if name.startswith(PREFIXES) and name not in NOT_PLACES]
"""

EVERYWHERE = """
lease = asyncslot.attach("failing", host=Host())
found = []
for place in PLACES:
    del reports[:]
    place(lease)
    name = next(name for name, value in globals().items() if value is place)
    found.append((name, spin(lambda: (gc.collect() and False) or reports) and list(reports)))
    goes_on()
lease.detach()
print([(name, got) for name, got in found if name != "in_the_call_of_a_slot"])
print([got for name, got in found if name == "in_the_call_of_a_slot"])
"""


@pytest.mark.parametrize(
    "kind", ["ValueError", "SystemExit", "KeyboardInterrupt", "RecursionError", "MemoryError", "GeneratorExit"]
)
def test_an_exception_anywhere_is_reported_and_the_host_goes_on(run_python, kind):
    """In tasks, slots, callbacks, handlers, managers, protocols, threads: the owner is named, other plug-ins go on."""
    lines = run_python(HOST + f"KIND = {kind}\n" + PLACES + EVERYWHERE + END).stdout.splitlines()
    assert lines[-1] == "alive"
    found = ast.literal_eval(lines[0])
    assert len(found) > 15
    for name, reports in found:
        assert reports, f"nothing was reported of {kind} {name}"
        assert {owner for owner, _ in reports} <= {"failing", "shortly"}, (name, reports)
        assert kind in {found_kind for _, found_kind in reports} or name == "in_a_protocol", (name, reports)
    assert ast.literal_eval(lines[1]) == [[("failing", "TypeError")]]


BROKEN = {
    "report": "host.report = broken",
    "on_quit": "host.on_quit = lambda callback: broken",
    "everything but the check": "host.report = host.gui_parent = host.progress = broken\n"
    "host.on_quit = lambda callback: broken",
}


@pytest.mark.parametrize("kind", ["ZeroDivisionError", "SystemExit", "KeyboardInterrupt"])
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_adapter_stops_nobody(run_python, what, kind):
    """What it was to report is in Python's log; attach and detach do their work."""
    done = run_python(
        HOST
        + f"""
def broken(*args):
    raise {kind}("broken adapter")
host = Host()
{BROKEN[what]}
lease = asyncslot.attach("unlucky", host=host)
async def fail():
    raise KeyError("what went wrong")
lease.slot(fail)()
goes_on()
print(lease.detach().abandoned)
"""
        + END
    )
    assert done.stdout.splitlines() == ["[]", "alive"]
    if "report" in what:
        assert "KeyError: 'what went wrong'" in done.stderr
    assert "broken adapter" in done.stderr or what == "on_quit"


STREAMS = {
    "none": "None",
    "without fileno": "Stream()",
    "strict ascii": "io.TextIOWrapper(io.BytesIO(), 'ascii', 'strict')",
    "closed": "closed()",
    "always failing": "Failing()",
}


@pytest.mark.parametrize("stream", STREAMS)
def test_any_kind_of_standard_stream_will_do(run_python, stream):
    """Hosts replace them: Windows has none, FreeCAD's know no fileno(), Krita's take ASCII only."""
    done = run_python(
        HOST
        + f"""
import io, logging

class Stream:
    "FreeCAD's"
    def write(self, text): return None
    def flush(self): pass

class Failing(Stream):
    def write(self, text): raise OSError("the console is gone")

def closed():
    stream = io.StringIO()
    stream.close()
    return stream

out = sys.stdout
sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = {STREAMS[stream]}
sys.stdin = None
lease = asyncslot.attach("m\\xfcde")  # of plain Qt, whose reports go to logging
async def fail():
    raise KeyError("d\\xe9faillance")
async def child():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(1)", stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].strip()
async def cling():
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass
lease.slot(fail)()
lease.loop.set_debug(True)
task = lease.create_task(child())
assert spin(task.done)
lease.create_task(cling())
goes_on()
report = lease.detach(timeout=0.1)
sys.stdout = out
print(task.result(), len(report.abandoned))
"""
        + END
    )
    assert done.stdout.splitlines() == ["b'1' 1", "alive"]


def test_a_signal_after_detach_is_ignored_whatever_happened_to_the_plugin(run_python):
    """Its modules are purged, its lease is gone, its receiver is deleted."""
    run_python(
        HOST
        + """
class Receiver(QtCore.QObject):
    async def method(self):
        print("ran")
receiver = Receiver()
lease = asyncslot.attach("gone", host=Host())
async def function():
    print("ran")
sender.happened.connect(lease.slot(receiver.method))
sender.happened.connect(lease.slot(function, on_repeat="drop"))
sender.happened.connect(asyncslot.asyncSlot(receiver.method, cancel_with_receiver=True))
lease.detach()
innocent.detach()
for name in [name for name in sys.modules if name.startswith("asyncslot")]:
    del sys.modules[name]
gc.collect()
sender.happened.emit()
import importlib
asyncslot = importlib.import_module("asyncslot")
innocent = asyncslot.attach("innocent", host=Host())
innocent.create_task(tick())
sender.happened.emit()
assert not reports, reports
"""
        + END
    )


def test_the_application_may_go_first(run_python):
    """FreeCAD's order: the application is destroyed with leases alive, aboutToQuit unheard; then the rest ends."""
    done = run_python(
        HOST
        + f"sys.path.insert(0, {os.path.dirname(senders.__file__)!r})\n"
        + """
from senders import delete_at_once

class Unhooked(Host):
    def on_quit(self, callback):
        return lambda: None

lease = asyncslot.attach("late", host=Unhooked())
log, serving = [], []
async def serve():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    lease.to_thread(threading.Event().wait)
    serving.append(server)
    try:
        try:
            async for _ in asyncslot.asyncSignals(sender.happened):
                pass
        except asyncslot.SenderDeletedError:
            # The sender may go with the application. What is to be ended below is a task at work, not one whose
            # clean-up has begun by itself: a cancellation interrupts that, as everywhere in asyncio.
            await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.001)
        log.append("cleaned up")
lease.create_task(serve())
assert spin(lambda: serving)
goes_on()
delete_at_once(app)
try:
    sender.happened.emit()
except RuntimeError:
    pass  # PyQt deletes with the application what Python has made
lease.create_task(tick())
print(lease.run_until_complete(asyncio.sleep(0.001, "alone")))
report = lease.detach()
print(log, len(report.abandoned), len(report.jobs), lease.loop.is_closed())
report = innocent.detach(process_events=True)
print(len(report.abandoned), innocent.loop.is_closed())
try:
    asyncslot.attach("again", host=Host())
except asyncslot.NoApplicationError as exc:
    print("no application")
"""
    )
    assert done.stdout.splitlines() == [
        "alone",
        "['cleaned up'] 0 1 False",
        "0 True",
        "no application",
    ]
    assert "Error" not in done.stderr
    assert "Warning" not in done.stderr


def test_a_host_that_calls_qt_from_deep_inside_waits_with_steps(run_python):
    """Where there is no room for callbacks, none is begun, at whatever depth; and they go on when there is again."""
    run_python(
        HOST
        + """
def depth():
    frame, count = sys._getframe(), 0
    while frame:
        count, frame = count + 1, frame.f_back
    return count

def deep(left):
    if left:
        return deep(left - 1)
    app.processEvents()

# With fewer than ten frames left PyQt5 cannot even tell of an exception (it ended the process under wine, 2026-11).
for margin in [*range(500, 60, -10), *range(60, 9, -1)]:
    del ticks[:]
    try:
        deep(sys.getrecursionlimit() - depth() - margin)
    except RecursionError:
        pass  # the host's own
    goes_on()
"""
        + END
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no os.kill() for SIGINT")
def test_ctrl_c_in_a_host_that_handles_it_in_python_loses_nothing(run_python):
    """It may come anywhere, in the middle of a step too; nobody's task stands still afterwards."""
    done = run_python(
        HOST
        + """
import os, signal
# As in FreeCAD, whichever slot runs gets it, and nobody ends; here, if it is one of ours.
def interrupt_ours(signum, frame):
    while frame is not None:
        if "asyncslot" in frame.f_globals.get("__name__", ""):
            interrupted.append(1)
            raise KeyboardInterrupt
        frame = frame.f_back
interrupted = []
sys.excepthook = lambda *_: None
signal.signal(signal.SIGINT, interrupt_ours)
lease = asyncslot.attach("busy", host=Host())
async def busy():
    while True:
        await asyncio.sleep(0)
def interrupt():
    while len(interrupted) < 200:
        os.kill(os.getpid(), signal.SIGINT)
        pause.wait(0.002)
pause = threading.Event()
thread = threading.Thread(target=interrupt, daemon=True)
thread.start()
while thread.is_alive():
    try:
        if not lease._owner.pending():
            lease.create_task(busy())
        app.processEvents()
    except KeyboardInterrupt:
        pass  # in the first line of a slot; PySide2 passes it on to here
thread.join()
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.excepthook = sys.__excepthook__
assert len(interrupted) >= 200
assert asyncio._get_running_loop() is None
innocent.create_task(tick())
"""
        + END,
        check=False,
    )
    # Python 3.14 remembers that PyQt6 has handed such an exception to sys.excepthook, and ends as if by it.
    as_if_by_it = -signal.SIGINT if sys.version_info >= (3, 14) else 0
    assert done.returncode in (0, as_if_by_it), done.stderr
    assert "alive" in done.stdout

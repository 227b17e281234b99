"""Each error text in README's section "When something goes wrong" is provoked here, and what README advises works.

README is the one place where the texts are listed: the first column of the section's table, in backticks. A case below
is two pieces of a program, which a process of its own runs: the one that is wrong, which must print the text, and the
one that is right, which must print "fine" and none of the texts.
"""

import re
import sys
from pathlib import Path

import pytest
from qtpy import QtCore

import asyncslot

# A process for each text. The texts are Python's and Qt's: once for each binding, on four Pythons.
pytestmark = pytest.mark.slow

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")

# What each program starts with. Qt writes to descriptor 2, Python to sys.stderr: both go where print() goes.
PRELUDE = """
import asyncio, gc, os, subprocess, sys, threading
os.dup2(1, 2)
for stream in (sys.stdout, sys.stderr):
    # One file for both: each line in its place. Python writes stderr by lines only from 3.9 on.
    stream.reconfigure(line_buffering=True)
from qtpy import QtCore, QtWidgets
import asyncslot

class Window(QtWidgets.QPushButton):
    pass

def start(owner=None):
    global app, lease
    app = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["host"])
    lease = asyncslot.attach(owner)
    return lease

def spin(until):
    # The host's own loop.
    loop, timer = QtCore.QEventLoop(), QtCore.QTimer()
    timer.timeout.connect(lambda: until() and loop.quit())
    timer.start(1)
    (getattr(loop, "exec", None) or loop.exec_)()
    timer.stop()

def said(fn, *args):
    # Call what is wrong, as a host does that writes down what its plug-ins raise.
    try:
        fn(*args)
    except Exception as exc:
        print(type(exc).__name__, exc)

def run(coro):
    # Run a coroutine as a task of the lease, and print what it raises.
    task = lease.create_task(coro)
    spin(task.done)
    said(task.result)

def in_thread(fn):
    thread = threading.Thread(target=said, args=(fn,))
    thread.start()
    spin(lambda: not thread.is_alive())

async def work(*args):
    await asyncio.sleep(0)
    return "worked"

async def fine(*args):
    await asyncio.sleep(0)
    print("fine")
    done.append(True)

done = []
is_done = lambda: done
"""

# On Windows Qt writes to the debugger otherwise.
TO_STDERR = {"QT_FORCE_STDERR_LOGGING": "1"}

EPILOGUE = """
for other in [lease] + globals().get("leases", []):
    other.detach()
"""

# text: (what is wrong, what is right)
CASES = {
    "no running event loop": (
        """
start()
said(lambda: asyncio.create_task(work()))
""",
        """
asyncslot.create_task(fine())
spin(is_done)
""",
    ),
    "was never awaited": (
        """
start()
button = Window()
button.clicked.connect(lambda: work() and None)
button.click()
gc.collect()
""",
        """
button = Window()
button.clicked.connect(asyncslot.asyncSlot(fine))
button.click()
spin(is_done)
""",
    ),
    "This event loop is already running": (
        """
start()
async def waits():
    coro = work()
    try:
        lease.loop.run_until_complete(coro)
    finally:
        coro.close()
run(waits())
""",
        """
async def waits():
    await work()
    await fine()
run(waits())
assert lease.run_until_complete(work()) == "worked"
""",
    ),
    "Cannot run the event loop while another loop is running": (
        """
start()
async def waits():
    loop, coro = asyncio.new_event_loop(), work()
    try:
        loop.run_until_complete(coro)
    finally:
        coro.close()
        loop.close()
run(waits())
""",
        """
async def waits():
    assert await work() == "worked"
    await fine()
run(waits())
""",
    ),
    "asyncio.run() cannot be called from a running event loop": (
        """
start()
async def waits():
    coro = work()
    try:
        asyncio.run(coro)
    finally:
        coro.close()
run(waits())
""",
        """
def uses_a_loop_of_its_own():
    return asyncio.run(work())
async def waits():
    assert await lease.to_thread(uses_a_loop_of_its_own) == "worked"
    await fine()
run(waits())
""",
    ),
    "attached to a different loop": (
        """
start()
other = asyncio.new_event_loop()
future = other.create_future()
async def waits():
    await future
run(waits())
other.close()
""",
        """
other = asyncio.new_event_loop()
thread = threading.Thread(target=other.run_forever)
thread.start()
async def waits():
    assert await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), other)) == "worked"
    await fine()
run(waits())
other.call_soon_threadsafe(other.stop)
thread.join()
other.close()
""",
    ),
    "is bound to a different event loop": (
        """
start()
queue = asyncio.Queue()
async def elsewhere():
    await asyncio.wait([asyncio.ensure_future(queue.get())], timeout=0.01)
said(lambda: asyncio.run(elsewhere()))
run(queue.get())
""",
        """
async def waits():
    queue = asyncio.Queue()
    lease.loop.call_soon(queue.put_nowait, 1)
    await queue.get()
    await fine()
run(waits())
""",
    ),
    "There is no current event loop in thread": (
        """
start()
in_thread(asyncio.get_event_loop)
""",
        """
in_thread(lambda: asyncio.run(fine()))
""",
    ),
    "QSocketNotifier: Can only be used with threads started with QThread": (
        """
start()
import socket
here, there = socket.socketpair()
kind = QtCore.QSocketNotifier
read = kind.Read if hasattr(kind, "Read") else kind.Type.Read
in_thread(lambda: kind(here.fileno(), read))
""",
        """
here.setblocking(False)
async def reads():
    lease.loop.call_soon(there.send, b"x")
    assert await lease.loop.sock_recv(here, 1) == b"x"
    await fine()
run(reads())
here.close(), there.close()
""",
    ),
    "'NoneType' object has no attribute 'write'": (
        """
start()
async def no_console():
    out, sys.stdout = sys.stdout, None
    try:
        sys.stdout.write("so far")
    finally:
        sys.stdout = out
run(no_console())
async def no_pipe():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    process.stdin.write(b"x")
run(no_pipe())
""",
        """
import logging
async def pipe():
    out, sys.stdout = sys.stdout, None
    logging.getLogger("my_plugin").info("so far")
    sys.stdout = out
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input())", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"fine\\n")
    print((await process.communicate())[0].decode().strip())
run(pipe())
""",
    ),
    "Cannot enter into task": (
        """
start()
async def dialog():
    # What other loops on Qt do while a dialog's exec() runs inside of a coroutine: go on with the next task.
    asyncio.ensure_future(work())
    asyncio.get_running_loop()._run_once()
loop = asyncio.new_event_loop()
loop.run_until_complete(dialog())
loop.close()
del loop
gc.collect()
""",
        """
def dialog():
    nested = QtCore.QEventLoop()
    lease.create_task(work()).add_done_callback(lambda task: nested.quit())
    (getattr(nested, "exec", None) or nested.exec_)()
async def opens():
    dialog()
    await asyncslot.asyncModal(dialog)
    await fine()
run(opens())
""",
    ),
    "Task was destroyed but it is pending!": (
        """
start()
loop = asyncio.new_event_loop()
async def forever():
    await asyncio.get_running_loop().create_future()
loop.create_task(forever())
loop.run_until_complete(work())
loop.close()
del loop
gc.collect()
""",
        """
async def forever():
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        print("fine")
lease.create_task(forever())
spin(lambda: lease.create_task(work()))
lease.detach()
gc.collect()
""",
    ),
    "Event loop is closed": (
        """
loop = start().loop
lease.detach()
said(loop.call_soon, print)
""",
        """
asyncslot.attach("my_plugin").create_task(fine())
spin(is_done)
asyncslot.detach()
""",
    ),
    "found no QCoreApplication": (
        """
said(asyncslot.attach)
""",
        """
start().create_task(fine())
spin(is_done)
""",
    ),
    "it belongs to the GUI thread": (
        """
start()
in_thread(lambda: lease.create_task(work()))
""",
        """
in_thread(lambda: asyncio.run_coroutine_threadsafe(fine(), lease.loop).result())
""",
    ),
    "no asyncslot loop is attached here": (
        """
app = QtWidgets.QApplication(["host"])
said(lambda: asyncslot.create_task(work()))
""",
        """
start()
asyncslot.create_task(fine())
spin(is_done)
""",
    ),
    "which holds no lease, and there are several to choose from": (
        """
leases = [start("one")]
start("two")
said(lambda: asyncslot.create_task(work()))
""",
        """
lease.create_task(fine())
spin(is_done)
""",
    ),
    "has ended. Call attach() again": (
        """
start().detach()
said(lambda: lease.create_task(work()))
""",
        """
lease = asyncslot.attach()
lease.create_task(fine())
spin(is_done)
""",
    ),
    "was called on a loop that is attached": (
        """
start()
said(lambda: lease.loop.stop())
""",
        """
lease.create_task(asyncio.sleep(3600))
assert lease.run_until_complete(work()) == "worked"
lease.detach()
print("fine")
""",
    ),
    "cannot share the loop of another plug-in's copy": (
        """
from asyncslot import _meeting
start()
_meeting.PROTOCOL += 1
said(asyncslot.attach, "other")
""",
        """
_meeting.PROTOCOL -= 1
leases = [asyncslot.attach("other")]
leases[0].create_task(fine())
spin(is_done)
""",
    ),
    "it takes a coroutine function": (
        """
start()
coro = work()
said(lambda: asyncslot.asyncSlot(coro))
coro.close()
""",
        """
button = Window()
button.clicked.connect(asyncslot.asyncSlot(fine))
button.click()
spin(is_done)
""",
    ),
    "and the sender was deleted": (
        """
start()
async def waits():
    # asyncSignal() does not keep the sender.
    button = Window()
    lease.loop.call_soon(button.deleteLater)
    await asyncslot.asyncSignal(button.clicked)
run(waits())
""",
        """
button = Window()
async def waits():
    lease.loop.call_soon(button.click)
    await asyncslot.asyncSignal(button.clicked)
    await fine()
run(waits())
""",
    ),
    "gave up after": (
        """
start()
said(lambda: lease.run_until_complete(asyncio.sleep(3600), timeout=0.01))
""",
        """
lease.run_until_complete(fine(), timeout=20)
""",
    ),
    "was called where no asyncio loop is running": (
        """
start()
button = Window()
said(lambda: asyncslot.asyncSignal(button.clicked))
""",
        """
async def waits():
    lease.loop.call_soon(button.click)
    await asyncslot.asyncSignal(button.clicked)
    await fine()
lease.create_task(waits())
spin(is_done)
""",
    ),
    "it takes the signal of an object": (
        """
start()
button = Window()
async def waits():
    await asyncslot.asyncSignal(button.clicked.emit)
run(waits())
""",
        """
async def waits():
    lease.loop.call_soon(button.click)
    await asyncslot.asyncSignal(button.clicked)
    await fine()
run(waits())
""",
    ),
    "which is not an AsyncSlotEventLoop": (
        """
app = QtWidgets.QApplication(["host"])
slot = asyncslot.asyncSlot(fine)
async def starts():
    slot()
said(lambda: asyncio.run(starts()))
""",
        """
start()
said(lambda: asyncio.run(starts()))
spin(is_done)
""",
    ),
    "was given to a slot": (
        """
start()
said(lambda: asyncslot.asyncSlot(fine, on_repeat="skip"))
""",
        """
button = Window()
button.clicked.connect(asyncslot.asyncSlot(fine, on_repeat="drop"))
button.click()
spin(is_done)
""",
    ),
    "No Qt binding is loaded in this process": (
        """
bindings = ("PyQt5", "PyQt6", "PySide2", "PySide6")
hidden = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in (*bindings, "qtpy")}
for name in hidden:
    del sys.modules[name]
sys.modules.update(dict.fromkeys(bindings))
said(asyncslot.attach)
""",
        """
for name in bindings:
    del sys.modules[name]
sys.modules.update(hidden)
start().create_task(fine())
spin(is_done)
""",
    ),
    "The host adapter": (
        """
app = QtWidgets.QApplication(["host"])
class Adapter:
    NAME = "My host"
said(lambda: asyncslot.attach(host=Adapter()))
""",
        """
start().create_task(fine())
spin(is_done)
""",
    ),
    "it takes a plain function, and calls it itself": (
        """
start()
async def opens():
    await asyncslot.asyncModal(len("dialog"))
run(opens())
""",
        """
async def opens():
    assert await asyncslot.asyncModal(lambda: len("dialog")) == 6
    await fine()
run(opens())
""",
    ),
}

QT = tuple(int(part) for part in QtCore.qVersion().split(".")[:2])

# Qt 6 has other words for it (seen in 6.10, 6.11 and 6.12; 5.15 has the older).
QT5_NOTIFIER = "QSocketNotifier: Can only be used with threads started with QThread"
QT6_NOTIFIER = "QSocketNotifier: current thread's event dispatcher has already been destroyed"
CASES[QT6_NOTIFIER] = CASES[QT5_NOTIFIER]

# Texts that only some versions have; on others the same code says another one of the table.
IS_SAID_HERE = {
    "is bound to a different event loop": sys.version_info >= (3, 10),
    QT5_NOTIFIER: QT < (6, 0),
    QT6_NOTIFIER: QT >= (6, 10),
}
SAID_INSTEAD = {
    "is bound to a different event loop": ["attached to a different loop"],
    QT5_NOTIFIER: [QT5_NOTIFIER, QT6_NOTIFIER],
    QT6_NOTIFIER: [QT5_NOTIFIER, QT6_NOTIFIER],
}


def section():
    """Return README's text of errors."""
    return re.split("^## ", README.split("\n## When something goes wrong\n")[1], flags=re.MULTILINE)[0]


def documented():
    """Return the texts in the first column of README's table."""
    rows = re.findall(r"^\|([^|]*)\|", section(), re.MULTILINE)
    return [text for row in rows for text in re.findall("`([^`]*)`", row)]


def test_readme_tells_of_the_cases_and_of_no_others():
    """Each text once, and each is provoked below."""
    assert sorted(documented()) == sorted(CASES)


def test_every_error_of_ours_has_its_row():
    """By the name of its class, which stands in a traceback before the text."""
    ours = {name for name in asyncslot.__all__ if name.endswith("Error")} - {"AsyncSlotError"}
    assert ours - set(re.findall(r"\w+Error\b", section())) == set()


@pytest.mark.parametrize("text", sorted(CASES))
def test_text_is_provoked_and_the_advice_works(run_python, text):
    """The wrong way prints the text; the right way works, and prints no text of the table."""
    wrong, right = CASES[text]
    printed = run_python(PRELUDE + wrong + "\nprint('--- now right')\n" + right + EPILOGUE, env=TO_STDERR).stdout
    before, _, after = printed.partition("--- now right\n")
    texts = [text] if IS_SAID_HERE.get(text, True) else SAID_INSTEAD[text]
    assert any(found in before for found in texts), before
    assert "fine" in after
    assert [found for found in CASES if found in after] == [], after

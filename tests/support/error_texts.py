"""What provokes the error texts of SUPPORT.md, and does what it advises.

Each text has two pieces of a program: the one that is wrong, which must print the text, and the one that is right,
which must print "fine" and none of the texts. Both are written with the names of PRELUDE, in a process of their own.
It refuses to know SUPPORT.md; test_troubleshooting.py compares the two.
"""

import sys

from qtpy import QtCore

import error_texts_others
import error_texts_ours

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

BOUNDARY = "--- now right"

EPILOGUE = """
for other in [lease] + globals().get("leases", []):
    other.detach()
"""

CASES = {**error_texts_others.CASES, **error_texts_ours.CASES}

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


def program(text):
    """Return a program that does what is wrong, prints BOUNDARY, and does what is right."""
    wrong, right = CASES[text]
    return PRELUDE + wrong + f"\nprint({BOUNDARY!r})\n" + right + EPILOGUE


def said_here(text):
    """Return the texts, one of which is to be printed on this Python and Qt."""
    return [text] if IS_SAID_HERE.get(text, True) else SAID_INSTEAD[text]

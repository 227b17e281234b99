"""A program that owns its application, as the beginning of a source text: `program` in conftest.py runs it."""

import pytest

PROGRAM = """
import asyncio, signal, sys, threading, time
from qtpy import QtCore, QtGui, QtWidgets
import asyncslot
from asyncslot import AsyncSlotEventLoop, asyncSignal

QUIT = QtCore.QEvent.Type(20)  # QEvent::Quit, which PyQt5 does not name
app = QtWidgets.QApplication([])
log = []
app.lastWindowClosed.connect(lambda: log.append("lastWindowClosed"))
app.aboutToQuit.connect(lambda: log.append("aboutToQuit"))
loop = AsyncSlotEventLoop()
loop.shutdown_timeout = 1.0

def run(qt_loop):
    return (getattr(qt_loop, "exec", None) or qt_loop.exec_)()

def later(fn, seconds=0.02):
    QtCore.QTimer.singleShot(int(seconds * 1000), fn)

def raises(kind, fn, *args):
    try:
        fn(*args)
    except kind as exc:
        return exc
    raise AssertionError(f"no {kind}")

async def serve():
    log.append("main begins")
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0.01)
        log.append("main is over")

def expect(*what):
    if "lastWindowClosed" not in what and "lastWindowClosed" in log:
        log.remove("lastWindowClosed")  # Qt 6 closes the windows when it is told to quit
    assert log == list(what), log
    log.clear()

def works_again():
    # Later runs of the loop are like the first: with Qt, and ended by main.
    ticks = []
    timer = QtCore.QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(2)
    assert loop.run_until_complete(asyncio.sleep(0.05, 7)) == 7
    assert len(ticks) >= 2, ticks
    assert loop.exit_code is None
    timer.stop()
"""

# How an application quits, from a slot of Qt's and from inside a task; and its exit code.
QUITS = {
    "quit()": ("app.quit", 0, []),
    "exit(9)": ("lambda: app.exit(9)", 9, []),
    "the last window": ("window.close", 0, ["lastWindowClosed"]),
    "an action connected to quit": ("action.trigger", 0, []),
    "a quit that is posted": ("lambda: app.postEvent(app, QtCore.QEvent(QUIT))", 0, []),
}
CALLERS = {
    "a slot": "later({how})",
    "a task": "async def end():\n    await asyncio.sleep(0.02)\n    ({how})()\nending = loop.create_task(end())",
    "a callback": "loop.call_later(0.02, {how})",
    "a dialog": """
def sit():
    later({how})
    run(QtWidgets.QDialog(window))
later(sit)
""",
    "a task's dialog": """
async def sit():
    later({how})
    run(QtWidgets.QDialog(window))
ending = loop.create_task(sit())
""",
}
HAS_WINDOW = """
window = QtWidgets.QWidget()
window.show()
action = getattr(QtWidgets, "QAction", None) or QtGui.QAction
action = action(window)
action.triggered.connect(app.quit)
"""

each_quit = pytest.mark.parametrize(("how", "code", "before"), QUITS.values(), ids=list(QUITS))
each_caller = pytest.mark.parametrize("caller", CALLERS.values(), ids=list(CALLERS))


def quitting(caller, how):
    """Return the beginning of a program in which an application quits; skip what makes no sense."""
    if "QDialog" in caller and how == "window.close":
        pytest.skip("a dialog is a window, too")
    return HAS_WINDOW + caller.format(how=how)

"""A program that owns its application, as the beginning of a source text: `program` in conftest.py runs it."""

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

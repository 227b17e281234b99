"""AsyncSlotRunner around `app.exec()`: what ends it, and what it leaves behind. Its claims are in test_promises.py."""

import asyncio
import sys

import pytest
from qtpy import QtCore

from asyncslot import AsyncSlotEventLoop, AsyncSlotRunner, asyncSlot


def run(app, start):
    """A whole program: `start(loop)` inside the block, then the application."""
    with AsyncSlotRunner() as loop:
        start(loop)
        (getattr(app, "exec", None) or app.exec_)()


# -- ends ------------------------------------------------------------------------


def _in_a_callback(loop, fail):
    loop.call_soon(fail)


def _in_a_task(loop, fail):
    async def main():
        await asyncio.sleep(0)
        fail()

    loop.create_task(main())


def _in_a_slot(loop, fail):
    async def slot():
        fail()

    # Nobody else keeps a timer, or the slot of a function, alive.
    loop.timer = QtCore.QTimer()
    loop.slot = asyncSlot(slot)
    loop.timer.timeout.connect(loop.slot)
    loop.timer.setSingleShot(True)
    loop.timer.start(0)


@pytest.mark.parametrize("interrupt", [SystemExit, KeyboardInterrupt], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("where", [_in_a_callback, _in_a_task, _in_a_slot], ids=lambda where: where.__name__[1:])
def test_interrupts_end_the_application_and_leave_the_runner(app, interrupt, where):
    """sys.exit() in asynchronous code ends app.exec() and is raised where the block ends; Qt never sees it."""
    loops = []

    def fail():
        raise interrupt(3)

    def start(loop):
        loops.append(loop)
        where(loop, fail)

    with pytest.raises(interrupt) as caught:
        run(app, start)
    assert caught.value.args == (3,)
    assert loops[0].is_closed()


INTERRUPTED = {
    "run_forever": "asyncslot.AsyncSlotEventLoop().run_forever()",
    "run_until_complete": "asyncslot.AsyncSlotEventLoop().run_until_complete(asyncio.sleep(60))",
    "AsyncSlotRunner": "with asyncslot.AsyncSlotRunner(): (getattr(app, 'exec', None) or app.exec_)()",
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no os.kill() for SIGINT")
@pytest.mark.parametrize("idle", INTERRUPTED.values(), ids=INTERRUPTED)
def test_ctrl_c_wakes_an_idle_loop_and_reaches_its_caller(run_python, idle):
    """Nothing else happens in the process; KeyboardInterrupt is there within the second."""
    out = run_python(
        f"""
import asyncio, os, signal, threading, time
from qtpy import QtWidgets
import asyncslot

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs us in the background has it ignored
app = QtWidgets.QApplication([])
sent = []

def send():
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

threading.Timer(0.3, send).start()
try:
    {idle}
except KeyboardInterrupt:
    print(time.monotonic() - sent[0])
""",
    ).stdout
    assert float(out) < 1


def test_an_exception_in_the_block_passes_and_everything_is_cleaned_up(app):
    """As with any `with` statement."""
    tasks = []

    def start(loop):
        tasks.append(loop.create_task(asyncio.sleep(3600)))
        raise ValueError("of the program")

    with pytest.raises(ValueError, match="of the program"):
        run(app, start)
    assert tasks[0].cancelled()


# -- clean-up --------------------------------------------------------------------


def test_an_exception_in_a_tasks_clean_up_is_logged(app, caplog):
    """Nobody waits for the task any more, so asyncio's handler hears of it; leaving goes on."""

    async def main():
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("while cleaning up")

    def start(loop):
        loop.create_task(main())
        loop.call_later(0.01, app.quit)

    run(app, start)
    assert [record.getMessage().splitlines()[0] for record in caplog.records] == ["Exception during clean-up"]
    assert caplog.records[0].exc_info[1].args == ("while cleaning up",)


def test_the_runner_cleans_up_without_qt_where_there_is_none_any_more(run_python):
    """The application was destroyed inside the block: asyncio runs alone."""
    out = run_python(
        """
import asyncio, sys
from qtpy import API_NAME, QtCore, QtWidgets
import asyncslot

async def generate():
    try:
        yield 1
    finally:
        await asyncio.sleep(0.01)
        print("cleaned up")

app = QtWidgets.QApplication([])
generator = generate()
with asyncslot.AsyncSlotRunner() as loop:
    loop.create_task(generator.__anext__())
    loop.call_later(0.01, app.quit)
    (getattr(app, "exec", None) or app.exec_)()
    if "PyQt" in API_NAME:
        from qtpy.sip import delete
    else:
        from qtpy.shiboken import delete
    delete(app)
    assert QtCore.QCoreApplication.instance() is None
assert loop.is_closed()
"""
    ).stdout
    assert out == "cleaned up\n"


# -- arguments -------------------------------------------------------------------


def test_the_runner_takes_debug_and_a_factory(app):
    """As asyncio.Runner does."""

    class Loop(AsyncSlotEventLoop):
        """Somebody's own."""

    with AsyncSlotRunner(debug=True, loop_factory=Loop) as loop:
        assert type(loop) is Loop
        assert loop.get_debug()

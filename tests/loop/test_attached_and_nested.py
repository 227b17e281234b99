"""The two modes of the loop on a real Qt loop: nested, where it runs Qt, and attached."""

import asyncio
import contextlib
import gc
import socket
import weakref

import pytest

from asyncslot import AsyncSlotEventLoop, AttachedLoopError
from lines import echo, say

# -- nested mode ------------------------------------------------------------------


def test_nested_mode_runs_qt(nested):
    """A Qt timer ticks while run_until_complete() waits."""
    from qtpy import QtCore

    ticks = []
    timer = QtCore.QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(5)
    nested(asyncio.sleep(0.1))
    timer.stop()
    assert len(ticks) >= 3


def test_a_loop_is_collected_though_an_exception_that_it_keeps_leads_to_its_frames(app):
    """From Python 3.12 on a traceback keeps the frames below the task's, and with them what they have put aside."""

    async def fail():
        raise KeyError("x")

    async def main():
        asyncio.get_running_loop().create_task(fail())
        await asyncio.sleep(0.01)

    def run():
        loop, kept = AsyncSlotEventLoop(), []
        loop.set_exception_handler(lambda loop, context: kept.append(context["exception"]))
        with contextlib.closing(loop):
            loop.run_until_complete(main())
        assert [type(exc) for exc in kept] == [KeyError]
        return weakref.ref(loop)

    loop = run()
    gc.collect()
    assert loop() is None


def test_stop_before_run_forever_runs_one_turn(app):
    """As asyncio's own loops do."""
    loop = AsyncSlotEventLoop()
    ran = []
    loop.call_soon(lambda: (ran.append(1), loop.call_soon(ran.append, 2)))
    loop.stop()
    loop.run_forever()
    assert ran == [1]
    loop.stop()
    loop.run_forever()
    assert ran == [1, 2]
    loop.close()


def test_stop_from_a_qt_slot_wakes_the_loop(app):
    """Interleaved code may stop a loop that sleeps."""
    from qtpy import QtCore

    loop = AsyncSlotEventLoop()
    QtCore.QTimer.singleShot(10, loop.stop)
    loop.run_forever()
    loop.close()


@pytest.mark.parametrize("interrupt", [SystemExit, KeyboardInterrupt], ids=lambda cls: cls.__name__)
def test_interrupts_reach_the_caller_of_run_until_complete(app, interrupt):
    """Who owns the loop hears of it."""

    async def fail():
        raise interrupt("why")

    loop = AsyncSlotEventLoop()
    with pytest.raises(interrupt, match="why"):
        loop.run_until_complete(fail())
    loop.close()


def test_a_nested_loop_does_not_run_inside_another(nested):
    """asyncio's own rule, in asyncio's own words."""

    async def main():
        inner = AsyncSlotEventLoop()
        try:
            inner.run_forever()
        finally:
            inner.close()

    with pytest.raises(RuntimeError, match="Cannot run the event loop while another loop is running"):
        nested(main())


# -- attached mode ------------------------------------------------------------------


def test_an_attached_loop_is_running_and_not_to_be_run_or_stopped(lease):
    """The host runs it."""
    assert lease.loop.is_running()
    with pytest.raises(RuntimeError, match="already running"):
        lease.loop.run_forever()
    with pytest.raises(AttachedLoopError, match="the host starts and stops it"):
        lease.loop.stop()


def test_an_attached_loop_refuses_signal_handlers(lease):
    """Signals are the host's."""
    with pytest.raises(NotImplementedError, match="host"):
        lease.loop.add_signal_handler(10, int)


def test_asyncio_run_works_in_a_slot_beside_an_attached_loop(lease, spin):
    """Between steps our loop is not the running one."""
    from qtpy import QtCore

    results = []
    ticks = []

    async def tick():
        while True:
            ticks.append(1)
            await asyncio.sleep(0.001)

    async def main():
        await asyncio.sleep(0.01)
        return 42

    lease.create_task(tick())
    QtCore.QTimer.singleShot(20, lambda: results.append(asyncio.run(main())))
    spin(lambda: results)
    assert results == [42]
    seen = len(ticks)
    spin(lambda: len(ticks) > seen + 3)


@pytest.mark.parametrize("opened_by", ["a plain slot", "a coroutine", "a coroutine's first step"])
def test_tasks_go_on_while_a_modal_dialog_is_open(lease, spin, opened_by):
    """The dialog closes when others have ticked twenty times; the one that opened it goes on afterwards."""
    from qtpy import QtCore, QtWidgets

    ticks, done = [], []

    async def tick():
        while True:
            await asyncio.sleep(0.005)
            ticks.append(1)

    def open_dialog():
        dialog = QtWidgets.QDialog()
        before = len(ticks)
        poll = QtCore.QTimer()
        poll.timeout.connect(lambda: len(ticks) >= before + 20 and dialog.accept())
        poll.start(1)
        QtCore.QTimer.singleShot(10000, dialog.reject)  # with a loop that stands still
        (getattr(dialog, "exec", None) or dialog.exec_)()
        poll.stop()
        done.append(dialog.result() == 1)  # QDialog.Accepted

    async def in_coroutine():
        if opened_by == "a coroutine":
            await asyncio.sleep(0.001)
        open_dialog()
        await asyncio.sleep(0.001)
        done.append("went on")

    lease.create_task(tick())
    if opened_by == "a plain slot":
        QtCore.QTimer.singleShot(0, open_dialog)
        spin(lambda: len(done) == 1)
        assert done == [True]
    else:
        QtCore.QTimer.singleShot(0, lease.slot(in_coroutine))
        spin(lambda: len(done) == 2)
        assert done == [True, "went on"]
    seen = len(ticks)
    spin(lambda: len(ticks) > seen + 3)


def test_a_download_goes_on_inside_a_dialog_opened_by_its_own_reader(lease, spin):
    """Data for other connections arrives while a protocol callback sits in a dialog."""
    from qtpy import QtCore

    log = []

    class Blocking(asyncio.Protocol):
        def data_received(self, data):
            log.append("in")
            event_loop = QtCore.QEventLoop()
            QtCore.QTimer.singleShot(200, event_loop.quit)
            (getattr(event_loop, "exec", None) or event_loop.exec_)()
            log.append("out")

    async def main():
        loop = asyncio.get_event_loop()
        blocking = await loop.create_server(Blocking, "127.0.0.1", 0)
        echoing = await asyncio.start_server(echo, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*blocking.sockets[0].getsockname())
        streams = await asyncio.open_connection(*echoing.sockets[0].getsockname())
        writer.write(b"x")
        await asyncio.sleep(0.05)  # now the dialog is open
        writer.write(b"y")
        log.append(await say(*streams, b"hello\n"))
        while log.count("out") < 2:  # noqa: ASYNC110 - what happens is only written down
            await asyncio.sleep(0.01)
        writer.close()
        blocking.close()
        echoing.close()

    task = lease.create_task(main())
    spin(task.done)
    task.result()
    assert log == ["in", b"hello\n", "out", "in", "out"]


def test_an_idle_loop_sleeps(lease, spin):
    """With sockets open and a distant timer, nothing happens."""
    from qtpy import QtCore

    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        receiving = lease.create_task(lease.loop.sock_recv(left, 1))
        lease.create_task(asyncio.sleep(3600))
        steps = []
        step = lease.loop._as_wait._step
        lease.loop._as_wait._step = lambda running: (steps.append(1), step(running))
        done = []
        QtCore.QTimer.singleShot(50, lambda: steps.clear())
        QtCore.QTimer.singleShot(300, lambda: done.append(len(steps)))
        spin(lambda: done)
        receiving.cancel()
        lease.run_until_complete(asyncio.wait([receiving]))
    assert done == [0]


@pytest.mark.parametrize("dispatcher", ["GLib", "Qt's own"])
def test_a_busy_loop_starves_nobody(run_python, dispatcher):
    """Endless callbacks, endless I/O and Qt's timers all get their turns, under either dispatcher."""
    out = run_python(BUSY, env={"QT_NO_GLIB": "" if dispatcher == "GLib" else "1"}).stdout
    counts = list(map(int, out.split()[-3:]))
    # How long that took is the machine's affair; one that is starved counts 0 or 1.
    assert min(counts) >= 50, counts


BUSY = """
import asyncio, os
if not os.environ["QT_NO_GLIB"]:
    del os.environ["QT_NO_GLIB"]
from qtpy import QtCore, QtWidgets
import asyncslot
app = QtWidgets.QApplication([])
lease = asyncslot.attach()
count = dict(ticks=0, spins=0, echoes=0)

async def spin():
    while True:
        await asyncio.sleep(0)
        count["spins"] += 1

async def ping():
    async def echo(reader, writer):
        while True:
            writer.write(await reader.readexactly(1))
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    while True:
        writer.write(b"x")
        await reader.readexactly(1)
        count["echoes"] += 1

def tick():
    count["ticks"] += 1
    if min(count.values()) >= 50:
        app.quit()

timer = QtCore.QTimer()
timer.timeout.connect(tick)
timer.start(10)
lease.create_task(spin())
lease.create_task(ping())
QtCore.QTimer.singleShot(15000, app.quit)
(getattr(app, "exec", None) or app.exec_)()
print(count["ticks"], count["spins"], count["echoes"])
"""

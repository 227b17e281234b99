"""What others have connected stays connected, however often somebody waits for a signal.

PyQt's own `signal.disconnect(connection)` switches off what belongs to somebody else: an entry of the host's menu, or
a connection that another thread is making.
"""

import asyncio
import gc
import sys
import threading
import time
import weakref

import pytest
from qtpy import API_NAME, QtCore, QtWidgets

from asyncslot import asyncSignal, asyncSignals, asyncSlot
from asyncslot._binding import _Receiver
from senders import Sender

# PySide's own disconnect(), which the spin fixture calls, may raise SystemError while another thread connects (6.12.0
# on Python 3.14, under wine, seen 2026-11).
of_pyqt = pytest.mark.skipif(not API_NAME.startswith("PyQt"), reason="PySide's disconnect() may fail there by itself")

WAYS_TO_WAIT = ["an emission", "a timeout", "an iteration", "a slot"]


async def wait_for_one_and_leave(way):
    """Wait in one of the ways, and be done with it."""
    sender = Sender()
    loop = asyncio.get_event_loop()
    if way == "an emission":
        loop.call_soon(sender.one.emit, 1)
        await asyncSignal(sender.one)
    elif way == "a timeout":
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncSignal(sender.one), 0.001)
    elif way == "an iteration":
        loop.call_soon(sender.one.emit, 1)
        async with asyncSignals(sender.one) as emissions:
            async for _ in emissions:
                break
    else:
        receiver = Receiver()
        sender.one.connect(receiver.hear)
        sender.one.emit(1)
        await asyncio.sleep(0.001)
        assert receiver.heard == [1]


class Receiver(QtCore.QObject):
    """Its slots' tasks are tied to it: they end when it is deleted."""

    def __init__(self):
        super().__init__()
        self.heard = []

    @asyncSlot
    async def hear(self, number):
        await asyncio.sleep(0)
        self.heard.append(number)


@pytest.mark.parametrize("way", WAYS_TO_WAIT)
def test_menus_and_connections_stay(app, run_coro, way):
    """Entries that menu.addAction(text, slot) has made are connected in another way than by connect()."""
    heard = []
    menu, sender = QtWidgets.QMenu(), Sender()
    actions = [menu.addAction(str(number), lambda *_: heard.append("menu")) for number in range(3)]
    sender.one.connect(lambda _: heard.append("connected"))
    sender.none.connect(lambda: heard.append("disconnected"))
    sender.none.disconnect()

    async def waits():
        for _ in range(8):
            await wait_for_one_and_leave(way)

    run_coro(waits())
    for action in actions:
        action.trigger()
    sender.one.emit(1)
    assert heard == ["menu"] * 3 + ["connected"]


@of_pyqt
def test_what_another_thread_is_about_to_connect_stays(app, run_coro):
    """A connection is made in two steps there, and others run in between."""
    missing, is_over = [], threading.Event()

    def connect_and_emit():
        while not is_over.is_set():
            heard, sender = [], Sender()
            sender.one.connect(heard.append, QtCore.Qt.DirectConnection)
            sender.one.emit(1)
            if heard != [1]:
                missing.append(sender)

    async def waits():
        # 300 times, or as often as a busy machine lets the two threads take turns.
        end = time.monotonic() + 5
        for _ in range(300):
            await wait_for_one_and_leave("an emission")
            if time.monotonic() > end:
                break

    interval = sys.getswitchinterval()
    # Each call of Qt's lets go of the GIL, and the thread keeps it for this long: so they take turns more often, too.
    sys.setswitchinterval(interval / 50)
    thread = threading.Thread(target=connect_and_emit)
    thread.start()
    try:
        run_coro(waits())
    finally:
        is_over.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert missing == []


@pytest.mark.parametrize("senders", [1, 3])
def test_waiting_again_and_again_leaves_no_more_behind(app, run_coro, spin, senders):
    """What PyQt keeps of an ended wait goes with the next one for that signal."""
    lasting = [Sender() for _ in range(senders)]
    receivers = weakref.WeakSet()

    def see_receivers():
        receivers.update(item for item in gc.get_objects() if type(item) is _Receiver)

    async def waits():
        for number in range(60):
            sender = lasting[number % senders]
            if number % 2:
                asyncSignal(sender.none).cancel()
            else:
                asyncio.get_event_loop().call_soon(sender.none.emit)
                await asyncSignal(sender.none)
            await asyncio.sleep(0.001)  # Qt comes round
            if number > 50:
                see_receivers()

    run_coro(waits())
    assert len(receivers) <= 3 * senders

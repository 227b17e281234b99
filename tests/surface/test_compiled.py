"""Methods as Nuitka compiles them: no `types.MethodType`, a new object each time, and no two of them are equal.

PyQt takes them for any other callable: it keeps them, and finds a connection only by the very object that it was given.
What a whole frozen program does is tried by scripts/frozen.py.
"""

import asyncio
import gc
import types
import weakref

import pytest
from qtpy import QtCore

import asyncslot
from asyncslot import _application, _wakeup
from asyncslot.tools import _monitor_view

pytestmark = pytest.mark.skipif(not hasattr(QtCore, "PYQT_VERSION"), reason="PySide looks into Nuitka's own methods")


class _Method:
    def __init__(self, function, receiver):
        self._function = function
        self._receiver = receiver

    def __call__(self, *args):
        return self._function(self._receiver, *args)


class _Function:
    def __init__(self, function):
        self._function = function

    def __get__(self, receiver, kind):
        return self if receiver is None else _Method(self._function, receiver)

    def __call__(self, *args):
        return self._function(*args)


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    """The classes whose methods are connected to signals, as if they were compiled."""
    for module in (_application, _monitor_view, _wakeup):
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__:
                for name, function in list(vars(kind).items()):
                    if isinstance(function, types.FunctionType) and not name.startswith("__"):
                        monkeypatch.setattr(kind, name, _Function(function))


def test_a_loop_is_closed_and_nothing_of_it_stays(windows):
    """Run twice, as the application's own run; then no connection keeps its way of waiting."""
    loop = asyncslot.AsyncSlotEventLoop()
    waits = []

    async def main():
        await asyncio.sleep(0.001)
        waits.append(weakref.ref(loop._as_wait))
        return "slept"

    for _ in range(2):
        assert loop.run_until_complete(main()) == "slept"
    loop.close()
    gc.collect()
    assert [wait() for wait in waits] == [None, None]


def test_the_monitor_is_closed_and_nothing_of_it_stays(windows, lease, spin):
    """Neither Qt's objects nor ours."""
    gone = []
    dialog = asyncslot.monitor()
    dialog.destroyed.connect(lambda *_: gone.append(True))
    left = weakref.ref(lease.loop._as_monitor)
    QtCore.QTimer.singleShot(0, dialog.close)  # within Qt's loop, which deletes what it was told to when it comes round
    del dialog
    spin(lambda: gone)
    gc.collect()
    assert left() is None

"""How a process ends, where freed memory is filled: what still refers to it crashes each time then, and not seldom."""

import pytest

# Python's and glibc's ways of filling it.
FILLED = {"PYTHONMALLOC": "debug", "MALLOC_PERTURB_": "165"}

# No functions: with them Python ends a program's module, and so its application, in another order, which hides it.
PROGRAM = """
import asyncio, sys
from qtpy import QtCore
import asyncslot
from asyncslot.host_adapters import _qt

app = QtCore.QCoreApplication([])
"""

QUIT = "QtCore.QTimer.singleShot(5, app.quit); (getattr(app, 'exec', None) or app.exec_)()"

ENDS = {
    "detached": "lease = asyncslot.attach(); lease.detach()",
    "detached after a run": f"lease = asyncslot.attach(); lease.create_task(asyncio.sleep(0)); {QUIT}; lease.detach()",
    "attached": "lease = asyncslot.attach(); task = lease.create_task(asyncio.sleep(60))",
    "attached when the host quit": f"lease = asyncslot.attach(); task = lease.create_task(asyncio.sleep(60)); {QUIT}",
    "attached, and the application is dropped": "lease = asyncslot.attach(); del app",
    "with an adapter's hook": "hook = _qt.connect_about_to_quit(QtCore, print)",
    "with an adapter's hook that was undone": "hook = _qt.connect_about_to_quit(QtCore, print); hook()",
    "nested": "loop = asyncslot.AsyncSlotEventLoop(); loop.run_until_complete(asyncio.sleep(0))",
}


@pytest.mark.parametrize("how", ENDS)
def test_a_process_ends_in_order_however_it_leaves_us(run_python, how):
    """PySide leaves weak references to its application behind, with which the collector crashes at the very end."""
    run_python(PROGRAM + ENDS[how], env=FILLED)

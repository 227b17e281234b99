"""MIGRATING.md, for those who come from elsewhere: what its last column says works, and so does its window.

What is to be written here in the stead of each thing there is taken from the table by its words: a row that is not in
DONE is a row that nobody has tried.
"""

import re

import pytest

from readme_reader import blocks, section

TITLE = "Coming from qasync and others"

PRELUDE = """
import asyncio, sys
from qtpy import QtCore, QtWidgets
from qtpy.QtWidgets import QWidget
import asyncslot
from asyncslot import *
app = QtWidgets.QApplication([])
exec_app = getattr(app, "exec", None) or app.exec_

async def main():
    await asyncio.sleep(0)
    print("done")
    app.quit()

class Sender(QtCore.QObject):
    happened = QtCore.Signal(int)

sender = Sender()
"""

IN_RUNNER = """
with AsyncSlotRunner():
    QtCore.QTimer.singleShot(0, begin)
    exec_app()
"""

# By the first thing in the last column: a program that does it and prints "done".
DONE = {
    "with AsyncSlotRunner(): app.exec()": "def begin(): create_task(main())" + IN_RUNNER,
    "asyncio.run(main(), loop_factory=AsyncSlotEventLoop)": """
async def main():
    await asyncio.sleep(0)
    print("done")
if sys.version_info >= (3, 12):
    asyncio.run(main(), loop_factory=AsyncSlotEventLoop)
else:
    AsyncSlotEventLoop().run_until_complete(main())
""",
    "attach()": """
lease = attach()
lease.create_task(main())
exec_app()
detach()
""",
    "@asyncSlot": """
@asyncSlot
async def slot(number):
    assert number == 3
    await main()
def begin():
    sender.happened.connect(slot)
    sender.happened.emit(3)
"""
    + IN_RUNNER,
    "create_task(coro)": "def begin(): create_task(main())" + IN_RUNNER,
    "await asyncSignal(s)": """
async def waits():
    asyncio.get_event_loop().call_soon(sender.happened.emit, 3)
    assert await asyncSignal(sender.happened) == (3,)
    asyncio.get_event_loop().call_soon(sender.happened.emit, 4)
    async for arguments in asyncSignals(sender.happened):
        assert arguments == (4,)
        break
    await main()
def begin(): create_task(waits())
"""
    + IN_RUNNER,
    "await asyncDialog(dialog)": """
async def asks():
    app.setQuitOnLastWindowClosed(False)
    class Dialog(QtWidgets.QDialog):
        def showEvent(self, event):
            QtCore.QTimer.singleShot(0, self.accept)
    dialog = Dialog()
    assert await asyncDialog(dialog)
    assert await asyncModal(getattr(dialog, "exec", None) or dialog.exec_) == 1
    await main()
def begin(): create_task(asks())
"""
    + IN_RUNNER,
    "loop.run_in_executor(None, fn)": """
async def works():
    loop = asyncio.get_event_loop()
    assert await loop.run_in_executor(None, len, "four") == 4
    await main()
def begin(): create_task(works())
"""
    + IN_RUNNER,
}

# Rows that others show.
SHOWN = {"a window that waits": "test_a_window_that_waits"}


def last_column():
    """Return the first words of each row's last column."""
    rows = re.findall(r"^\|.*\| ([^|]*) \|$", section(TITLE), re.MULTILINE)[1:]
    return [row.strip("`").partition("`")[0].partition(", below")[0] for row in rows]


@pytest.mark.once
def test_every_row_is_tried():
    """And nothing is tried that is in no row."""
    assert sorted(last_column()) == sorted([*DONE, *SHOWN])


@pytest.mark.slow
@pytest.mark.parametrize("words", DONE)
def test_what_is_to_be_written_here_works(run_python, words):
    """In a program of its own."""
    assert run_python(PRELUDE + DONE[words]).stdout == "done\n"


@pytest.mark.slow
def test_a_window_that_waits(run_python):
    """It is asked twice to close, saves once, is alive meanwhile, and then the program ends."""
    [block] = blocks(TITLE, "python")
    done = run_python(
        PRELUDE
        + block
        + """
async def save(self):
    await asyncio.sleep(0.01)
    print("saved, and visible:", self.isVisible())
Window.save = save
window = Window()
window.show()
def begin():
    window.close()
    window.close()
    print("asked to close, and visible:", window.isVisible())
"""
        + IN_RUNNER
    )
    assert done.stdout.splitlines() == ["asked to close, and visible: True", "saved, and visible: True"]

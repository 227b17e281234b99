"""A program that uses most of the package, for scripts/frozen.py: it freezes it, and runs it without the source.

It prints a line for each thing that it has done, and ends with exit code 7. Whatever else is printed is an error.
"""

import asyncio
import sys

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication, QWidget

import asyncslot


class Window(QWidget):
    """Slots that are methods."""

    asked = Signal(int)
    answered = Signal(str)

    def __init__(self):
        super().__init__()
        self.asked.connect(self.answer)

    @asyncslot.asyncSlot(on_repeat="queue", cancel_with_receiver=True)
    async def answer(self, number):
        await asyncio.sleep(0.01)
        self.answered.emit(f"answer {number}")
        return 2 * number


class Sender(QObject):
    """A signal with an argument."""

    sent = Signal(int)


async def wait_and_tell(told):
    """Wait for ever, and note that it was cancelled."""
    try:
        await asyncio.sleep(3600)
    finally:
        told.append("cancelled")


async def main(window, loop):
    """Use one thing after the other."""
    answer = asyncslot.asyncSignal(window.answered)
    window.asked.emit(1)
    print("a signal:", await answer)
    print("a slot's task:", await window.answer(2))
    sender = Sender()
    async with asyncslot.asyncSignals(sender.sent) as numbers:
        for number in range(3):
            sender.sent.emit(number)
        print("signals:", [(await numbers.__anext__()) for _ in range(3)])
    print("a function of Qt's turn:", await asyncslot.asyncModal(lambda: "called"))
    print("a job:", await loop.run_in_executor(None, lambda: "done"))
    process = await asyncio.create_subprocess_exec("echo", "hello", stdout=asyncio.subprocess.PIPE)
    print("a child:", (await process.communicate())[0].decode().strip(), process.returncode)
    monitor = asyncslot.monitor()
    await asyncio.sleep(0.3)
    print("a monitor:", monitor.windowTitle())
    monitor.close()
    text = asyncslot.report()
    print("a report:", text.splitlines()[0].partition(": ")[2], "main()" in text)


def run_all():
    """Run the application three times: with a Runner, attached, and nested."""
    application = QApplication(sys.argv)
    window = Window()
    window.show()
    told = []

    with asyncslot.AsyncSlotRunner() as loop:
        task = loop.create_task(main(window, loop))
        task.add_done_callback(lambda _: application.quit())
        loop.create_task(wait_and_tell(told))
        application.exec()
        task.result()
    print("left the Runner:", told)

    lease = asyncslot.attach()

    def leave():
        tasks = [lease.create_task(wait_and_tell(told)), lease.loop.create_task(wait_and_tell(told))]  # one has begun
        report = lease.detach()
        print("detached:", [task.cancelled() for task in tasks], report.ended, report.abandoned, report.closed)
        application.quit()

    QTimer.singleShot(50, leave)
    application.exec()

    nested = asyncslot.AsyncSlotEventLoop()
    print("nested:", nested.run_until_complete(asyncio.sleep(0.01, "slept")))
    nested.close()
    window.close()


run_all()
sys.exit(7)

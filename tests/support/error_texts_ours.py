"""Error texts of our own exceptions that SUPPORT.md explains: two pieces of a program for each, see error_texts.py."""

# text: (what is wrong, what is right)
CASES = {
    "found no QCoreApplication": (
        """
said(asyncslot.attach)
""",
        """
start().create_task(fine())
spin(is_done)
""",
    ),
    "it belongs to the GUI thread": (
        """
start()
in_thread(lambda: lease.create_task(work()))
""",
        """
in_thread(lambda: asyncio.run_coroutine_threadsafe(fine(), lease.loop).result())
""",
    ),
    "no asyncslot loop is attached here": (
        """
app = QtWidgets.QApplication(["host"])
said(lambda: asyncslot.create_task(work()))
""",
        """
start()
asyncslot.create_task(fine())
spin(is_done)
""",
    ),
    "which holds several leases, and cannot tell which is meant": (
        """
leases = [start("one")]
start("two")
said(lambda: asyncslot.create_task(work()))
""",
        """
lease.create_task(fine())
spin(is_done)
""",
    ),
    "has ended. Call attach() again": (
        """
start().detach()
said(lambda: lease.create_task(work()))
""",
        """
lease = asyncslot.attach()
lease.create_task(fine())
spin(is_done)
""",
    ),
    "was called on a loop that is attached": (
        """
start()
said(lambda: lease.loop.stop())
""",
        """
lease.create_task(asyncio.sleep(3600))
assert lease.run_until_complete(work()) == "worked"
lease.detach()
print("fine")
""",
    ),
    "cannot share the loop of another plug-in's copy": (
        """
from asyncslot import _meeting
start()
_meeting.PROTOCOL += 1
said(asyncslot.attach, "other")
""",
        """
_meeting.PROTOCOL -= 1
leases = [asyncslot.attach("other")]
leases[0].create_task(fine())
spin(is_done)
""",
    ),
    "it takes a coroutine function": (
        """
start()
coro = work()
said(lambda: asyncslot.asyncSlot(coro))
coro.close()
""",
        """
button = Window()
button.clicked.connect(asyncslot.asyncSlot(fine))
button.click()
spin(is_done)
""",
    ),
    "and the sender was deleted": (
        """
start()
async def waits():
    # asyncSignal() does not keep the sender.
    button = Window()
    lease.loop.call_soon(button.deleteLater)
    await asyncslot.asyncSignal(button.clicked)
run(waits())
""",
        """
button = Window()
async def waits():
    lease.loop.call_soon(button.click)
    await asyncslot.asyncSignal(button.clicked)
    await fine()
run(waits())
""",
    ),
    "gave up after": (
        """
start()
said(lambda: lease.run_until_complete(asyncio.sleep(3600), timeout=0.01))
""",
        """
lease.run_until_complete(fine(), timeout=20)
""",
    ),
    "The application has quit, with exit code": (
        """
app = QtWidgets.QApplication(["program"])
loop = asyncslot.AsyncSlotEventLoop()
loop.shutdown_timeout = 0.1
loop.call_soon(app.quit)
said(lambda: loop.run_until_complete(asyncio.sleep(3600)))
""",
        """
async def main():
    loop.call_later(0.01, app.quit)
    await asyncslot.asyncSignal(app.aboutToQuit)
    await fine()
loop.run_until_complete(main())
loop.close()
start()
""",
    ),
    "was called where no asyncio loop is running": (
        """
start()
button = Window()
said(lambda: asyncslot.asyncSignal(button.clicked))
""",
        """
async def waits():
    lease.loop.call_soon(button.click)
    await asyncslot.asyncSignal(button.clicked)
    await fine()
lease.create_task(waits())
spin(is_done)
""",
    ),
    "it takes the signal of an object": (
        """
start()
button = Window()
async def waits():
    await asyncslot.asyncSignal(button.clicked.emit)
run(waits())
""",
        """
async def waits():
    lease.loop.call_soon(button.click)
    await asyncslot.asyncSignal(button.clicked)
    await fine()
run(waits())
""",
    ),
    "which is not an AsyncSlotEventLoop": (
        """
app = QtWidgets.QApplication(["host"])
slot = asyncslot.asyncSlot(fine)
async def starts():
    slot()
said(lambda: asyncio.run(starts()))
""",
        """
start()
said(lambda: asyncio.run(starts()))
spin(is_done)
""",
    ),
    "a signal brings positional ones only": (
        """
import functools
start()
async def moves(*, steps):
    assert steps == 3
    await fine()
said(lambda: asyncslot.asyncSlot(moves))
""",
        """
button = Window()
slot = asyncslot.asyncSlot(functools.partial(moves, steps=3))
button.clicked.connect(slot)
button.click()
spin(is_done)
""",
    ),
    "arguments that the function does not take are dropped": (
        """
start()
def decorate(*types):
    @asyncslot.asyncSlot(*types)
    async def clicked():
        pass
said(decorate, int)
said(decorate, int, str)
""",
        """
class Panel(QtCore.QObject):
    moved = QtCore.Signal(int)
    @QtCore.Slot(int)
    @asyncslot.asyncSlot
    async def move(self, number):
        assert number == 3
        await fine()
panel = Panel()
panel.moved.connect(panel.move)
panel.moved.emit(3)
spin(is_done)
""",
    ),
    "It takes no arguments, and finds the QApplication by itself": (
        """
start()
said(asyncslot.AsyncSlotEventLoop, app)
gc.collect()
""",
        """
lease.detach()
loop = asyncslot.AsyncSlotEventLoop()
loop.run_until_complete(fine())
loop.close()
lease = start()
""",
    ),
    "leave 'with loop:' out": (
        """
start().detach()
loop = asyncslot.AsyncSlotEventLoop()
def enters():
    with loop:
        loop.run_until_complete(work())
said(enters)
""",
        """
loop.run_until_complete(fine())
loop.close()
lease = start()
""",
    ),
    "Qt does not wait for a closeEvent()": (
        """
start()
def imports():
    from asyncslot import asyncClose
said(imports)
said(lambda: asyncslot.asyncClose)
assert not hasattr(asyncslot, "asyncClose")
""",
        """
class Closing(QtWidgets.QWidget):
    def closeEvent(self, event):
        if not done:
            event.ignore()
            self.finish()
    @asyncslot.asyncSlot
    async def finish(self):
        await fine()
        self.close()
window = Closing()
window.show()
window.close()
assert window.isVisible()
spin(lambda: not window.isVisible())
""",
    ),
    "and would wait for ever": (
        """
start()
async def asks():
    return await asyncslot.asyncModal(len, "answer")
said(lambda: lease.run_until_complete(asks()))
said(lambda: asyncio.run(asks()))
QtCore.QTimer.singleShot(0, lambda: said(lambda: asyncio.run(asks())) or done.append(True))
spin(is_done)
del done[:]
""",
        """
assert lease.run_until_complete(fine()) is None
async def asks():
    dialog = QtWidgets.QDialog()
    QtCore.QTimer.singleShot(1, dialog.accept)
    return (getattr(dialog, "exec", None) or dialog.exec_)()
assert lease.run_until_complete(asks()) == 1
assert lease.create_task(asyncslot.asyncModal(len, "answer"))
""",
    ),
    "was given to a slot": (
        """
start()
said(lambda: asyncslot.asyncSlot(fine, on_repeat="skip"))
""",
        """
button = Window()
button.clicked.connect(asyncslot.asyncSlot(fine, on_repeat="drop"))
button.click()
spin(is_done)
""",
    ),
    "No Qt binding is loaded in this process": (
        """
bindings = ("PyQt5", "PyQt6", "PySide2", "PySide6")
hidden = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in (*bindings, "qtpy")}
for name in hidden:
    del sys.modules[name]
sys.modules.update(dict.fromkeys(bindings))
said(asyncslot.attach)
""",
        """
for name in bindings:
    del sys.modules[name]
sys.modules.update(hidden)
start().create_task(fine())
spin(is_done)
""",
    ),
    "The host adapter": (
        """
app = QtWidgets.QApplication(["host"])
class Adapter:
    NAME = "My host"
said(lambda: asyncslot.attach(host=Adapter()))
""",
        """
start().create_task(fine())
spin(is_done)
""",
    ),
    "it takes a plain function, and calls it itself": (
        """
start()
async def opens():
    await asyncslot.asyncModal(len("dialog"))
run(opens())
""",
        """
async def opens():
    assert await asyncslot.asyncModal(lambda: len("dialog")) == 6
    await fine()
run(opens())
""",
    ),
    "it takes a QDialog (QMessageBox, QFileDialog": (
        """
start()
async def asks():
    dialog = QtWidgets.QDialog()
    QtCore.QTimer.singleShot(1, dialog.accept)
    await asyncslot.asyncDialog((getattr(dialog, "exec", None) or dialog.exec_)())
run(asks())
""",
        """
async def asks():
    dialog = QtWidgets.QDialog()
    asyncslot.create_task(accept(dialog))
    assert await asyncslot.asyncDialog(dialog)
    await fine()
async def accept(dialog):
    while not dialog.isVisible():
        await asyncio.sleep(0.001)
    dialog.accept()
run(asks())
""",
    ),
    "it takes a dialog that is closed": (
        """
start()
async def asks():
    dialog.show()
    await asyncslot.asyncDialog(dialog)
dialog = QtWidgets.QDialog()
run(asks())
dialog.hide()
""",
        """
@asyncslot.asyncSlot(on_repeat="drop")
async def on_click():
    assert await asyncslot.asyncDialog(dialog)
    await fine()
async def click_twice():
    on_click()
    on_click()
    assert dialog.isVisible()
    dialog.accept()
lease.create_task(click_twice())
spin(is_done)
""",
    ),
}

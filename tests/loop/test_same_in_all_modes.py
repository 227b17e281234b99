"""The public functions mean the same whoever runs the loop: a host, a Runner, `with loop:`, run_until_complete()."""

import asyncio

import pytest

pytestmark = pytest.mark.slow

PRELUDE = """
import asyncio, sys, time
from qtpy import QtCore, QtWidgets
app = QtWidgets.QApplication([])
import asyncslot

class Button(QtCore.QObject):
    clicked = QtCore.Signal()

def run_app():
    app.exec_() if hasattr(app, "exec_") else app.exec()

def run(main):
    "Run a coroutine to its end in MODE; return what it returns, as every mode should."
    if MODE == "attached":
        with asyncslot.attach() as lease:
            task = lease.create_task(main())
            task.add_done_callback(lambda _: app.quit())
            run_app()
            return task.result()
    elif MODE == "nested":
        loop = asyncslot.AsyncSlotEventLoop()
        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()
    else:
        make = {"Runner": asyncslot.AsyncSlotRunner, "with loop": asyncslot.AsyncSlotEventLoop}[MODE]
        with make() as loop:
            task = loop.create_task(main())
            task.add_done_callback(lambda _: app.quit())
            run_app()
            return task.result()
        if MODE == "with loop":
            loop.close()

def from_qt(fn):
    "Have Qt call a plain function, as it calls slots and event handlers; wait for that."
    done = asyncio.get_event_loop().create_future()
    def call():
        try:
            done.set_result(fn())
        except BaseException as exc:
            done.set_exception(exc)
    QtCore.QTimer.singleShot(0, call)
    return done
"""

USES = {
    "create_task": """
async def main():
    return await from_qt(lambda: asyncslot.create_task(asyncio.sleep(0.01, "done"))) and await (
        await from_qt(lambda: asyncslot.create_task(asyncio.sleep(0.01, "done"))))
""",
    "run_until_complete": """
async def main():
    return await from_qt(lambda: asyncslot.run_until_complete(asyncio.sleep(0.01, "done"), timeout=10))
""",
    "run_until_complete, and it takes too long": """
async def main():
    try:
        await from_qt(lambda: asyncslot.run_until_complete(asyncio.sleep(100), timeout=0.01))
    except asyncslot.TaskTimeoutError:
        return "done"
""",
    "run_until_complete, and it raises": """
async def fail():
    raise ZeroDivisionError
async def main():
    try:
        await from_qt(lambda: asyncslot.run_until_complete(fail()))
    except ZeroDivisionError:
        return "done"
""",
    "progress": """
async def main():
    async with asyncslot.progress("Work", total=2) as progress:
        progress.advance()
        await asyncio.sleep(0.01)
        assert progress.done == 1
        boxes = [widget for widget in app.topLevelWidgets() if isinstance(widget, QtWidgets.QDialog)]
        assert len(boxes) == 1 and boxes[0].isVisible(), boxes
    return "done"
""",
    "asyncSlot": """
async def main():
    heard, button = asyncio.Event(), Button()
    @asyncslot.asyncSlot
    async def on_click():
        await asyncio.sleep(0.01)
        heard.set()
    button.clicked.connect(on_click)
    await from_qt(button.clicked.emit)
    await asyncio.wait_for(heard.wait(), 10)
    return "done"
""",
    "asyncSignal": """
async def main():
    timer = QtCore.QTimer()
    timer.start(1)
    await asyncslot.asyncSignal(timer.timeout)
    async for _ in asyncslot.asyncSignals(timer.timeout):
        return "done"
""",
    "asyncDialog": """
async def main():
    app.setQuitOnLastWindowClosed(False)
    box = QtWidgets.QMessageBox()
    buttons = QtWidgets.QMessageBox.StandardButton
    box.setStandardButtons(buttons.Yes | buttons.No)
    def click_when_open():
        box.button(buttons.Yes).click() if box.isVisible() else QtCore.QTimer.singleShot(1, click_when_open)
    click_when_open()
    return "done" if await asyncslot.asyncDialog(box) == buttons.Yes else "something else"
""",
    "asyncDialog, cancelled": """
async def main():
    app.setQuitOnLastWindowClosed(False)
    dialog = QtWidgets.QDialog()
    task = asyncio.ensure_future(asyncslot.asyncDialog(dialog))
    while not dialog.isVisible():
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    return "something else" if dialog.isVisible() else "done"
""",
    "asyncModal": """
async def main():
    return await asyncslot.asyncModal(lambda: "done")
""",
    "report": """
async def main():
    assert "main() at" in asyncslot.report(), asyncslot.report()
    assert "main() at" in await from_qt(asyncslot.report)
    return "done"
""",
    "monitor": """
async def main():
    window = await from_qt(asyncslot.monitor)
    assert window.isVisible()
    window.close()
    return "done"
""",
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("mode", ["attached", "Runner", "with loop", "nested"])
def test_a_public_function_works_in_each_mode(run_python, mode, use):
    """In coroutines, and in plain functions that Qt calls."""
    done = run_python(f"MODE = {mode!r}\n{PRELUDE}\n{USES[use]}\nprint(run(main))")
    assert done.stdout.splitlines()[-1:] == ["done"]


@pytest.mark.parametrize("mode", ["attached", "Runner", "with loop", "nested"])
def test_a_slot_that_cannot_be_called_is_reported_and_does_not_raise_into_qt(run_python, mode):
    """Where it would end the process, with PyQt."""
    done = run_python(
        f"MODE = {mode!r}\n{PRELUDE}"
        + """
async def main():
    button = Button()

    @asyncslot.asyncSlot
    async def on_click(one, two):
        pass

    button.clicked.connect(on_click)
    await from_qt(button.clicked.emit)
    await asyncio.sleep(0.01)
    return "done"

print(run(main))
"""
    )
    assert done.stdout.splitlines()[-1:] == ["done"]
    assert "on_click() missing 2 required positional arguments" in done.stderr


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="there from Python 3.12 on")
@pytest.mark.parametrize("mode", ["Runner", "with loop", "nested"])
def test_what_ends_an_eager_first_step_ends_the_program(run_python, mode):
    """SystemExit in a slot is raised where the program runs the loop, whoever makes its tasks."""
    done = run_python(
        f"MODE = {mode!r}\n{PRELUDE}"
        + """
async def main():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    button = Button()

    @asyncslot.asyncSlot
    async def on_click():
        sys.exit(5)

    button.clicked.connect(on_click)
    await from_qt(button.clicked.emit)
    await asyncio.sleep(10)

try:
    run(main)
except SystemExit as exc:
    print("SystemExit", exc)
""",
    )
    assert done.stdout.splitlines()[-1:] == ["SystemExit 5"]


@pytest.mark.parametrize("function", ["create_task", "run_until_complete"])
def test_without_any_loop_a_coroutine_is_closed_and_the_error_says_what_to_do(run_python, function):
    """Nothing is left that was never awaited."""
    done = run_python(
        f"""
import asyncio, warnings
warnings.simplefilter("error")
import asyncslot
try:
    asyncslot.{function}(asyncio.sleep(1))
except asyncslot.NoLoopError as exc:
    print(exc)
"""
    )
    assert "AsyncSlotRunner" in done.stdout
    assert "attach()" in done.stdout
    assert "never awaited" not in done.stderr


# README's recipe, in both of its forms.
CLOSING = {
    "it blocks": """
    def closeEvent(self, event):
        asyncslot.run_until_complete(self.save(), timeout=5)
        event.accept()
""",
    "the window stays open meanwhile": """
    is_saved = False

    def closeEvent(self, event):
        if self.is_saved:
            event.accept()
            return
        event.ignore()
        asyncslot.create_task(self.save_and_close())

    async def save_and_close(self):
        await self.save()
        self.is_saved = True
        self.close()
""",
}


@pytest.mark.parametrize("how", CLOSING)
@pytest.mark.parametrize("mode", ["attached", "Runner", "with loop", "nested"])
def test_a_window_that_is_closed_waits_until_its_work_is_saved(run_python, mode, how):
    """A recipe for `closeEvent()`."""
    done = run_python(
        f"MODE = {mode!r}\n{PRELUDE}"
        + f"""
class Window(QtWidgets.QWidget):
    async def save(self):
        await asyncio.sleep(0.02)
        print("saved")
{CLOSING[how]}

async def main():
    app.setQuitOnLastWindowClosed(False)
    window = Window()
    window.show()
    closed = await from_qt(window.close)
    while window.isVisible():
        await asyncio.sleep(0.001)
    return "done"

print(run(main))
"""
    )
    assert done.stdout.splitlines()[-2:] == ["saved", "done"]

"""asyncModal: a dialog that is awaited stands outside every step."""

import asyncio
import contextlib
import functools
import gc
import os
import threading

import pytest
from qtpy import QtCore, QtWidgets

import asyncslot
import senders
from asyncslot import asyncModal, asyncSignal


def run_qt(dialog_or_loop):
    """Call exec(), which PySide2 spells with an underscore."""
    return (getattr(dialog_or_loop, "exec", None) or dialog_or_loop.exec_)()


class Dialog(QtWidgets.QDialog):
    shown = QtCore.Signal()

    def showEvent(self, event):
        super().showEvent(event)
        self.shown.emit()


@pytest.fixture
def dialog(app):
    """A modal dialog; what it runs is `dialog.run`."""
    dialog = Dialog()
    dialog.run = functools.partial(run_qt, dialog)
    return dialog


def soon(function, dialog, delay=0.01):
    """Have Qt call a function, as it calls a plain slot, when a dialog has been open for `delay` seconds.

    However long it takes to open: one that is closed before it opens stays open for ever.
    """
    if dialog.isVisible():
        QtCore.QTimer.singleShot(int(delay * 1000), function)
    else:
        QtCore.QTimer.singleShot(1, lambda: soon(function, dialog, delay))


def test_the_result_of_the_dialog_is_returned(dialog, run_coro):
    """With the arguments that were given."""
    soon(lambda: dialog.done(7), dialog)
    assert run_coro(asyncModal(dialog.run)) == 7
    assert run_coro(asyncModal(divmod, 7, 2)) == (3, 1)
    assert run_coro(asyncModal(int, "11", base=2)) == 3


def test_nothing_of_asyncio_is_on_the_stack(run_coro):
    """No running loop and no current task, in the thread of the GUI."""

    def look():
        return asyncio._get_running_loop(), threading.current_thread()

    assert run_coro(asyncModal(look)) == (None, threading.main_thread())


def test_another_plugins_asyncio_run_works_while_the_dialog_is_open(dialog, run_coro):
    """What fails while a coroutine itself sits in exec()."""
    found = []

    async def other():
        await asyncio.sleep(0.01)
        return "the other plug-in's"

    def slot():
        try:
            found.append(asyncio.run(other()))
        finally:
            dialog.accept()

    soon(slot, dialog)
    run_coro(asyncModal(dialog.run))
    assert found == ["the other plug-in's"]


def test_other_tasks_go_on_while_the_dialog_is_open(dialog, lease, spin):
    """And can close it."""
    ticks = []

    async def tick():
        await asyncSignal(dialog.shown)
        for number in range(10):
            ticks.append((number, dialog.isVisible()))
            await asyncio.sleep(0.001)
        dialog.done(5)

    lease.create_task(tick())
    task = lease.create_task(asyncModal(dialog.run))
    spin(task.done)
    assert task.result() == 5
    assert ticks == [(number, True) for number in range(10)]


def test_dialogs_open_on_top_of_each_other(dialog, lease, run_coro):
    """A slot of the first awaits a second, whose result comes first."""
    events = []

    async def second():
        inner = QtWidgets.QDialog()
        soon(lambda: inner.done(2), inner)
        events.append(await asyncModal(run_qt, inner))
        dialog.done(1)

    async def first():
        soon(lambda: lease.create_task(second()), dialog)
        events.append(await asyncModal(dialog.run))

    run_coro(first())
    assert events == [2, 1]


def test_a_signal_can_be_awaited_while_the_dialog_is_open(dialog, lease, spin):
    """The two work together: the dialog is watched from outside."""

    async def watch():
        opened = asyncio.ensure_future(asyncModal(dialog.run))
        finished = asyncSignal(dialog.finished)
        soon(dialog.reject, dialog)
        return await finished, await opened

    task = lease.create_task(watch())
    spin(task.done)
    assert task.result() == ((0,), 0)


# -- when it goes wrong --------------------------------------------------------


def test_an_exception_is_raised_where_it_is_awaited(run_coro, caplog):
    """And nowhere else."""

    def fail():
        raise ValueError("what went wrong")

    with pytest.raises(ValueError, match="what went wrong"):
        run_coro(asyncModal(fail))
    assert caplog.records == []


def test_stop_iteration_is_an_error_like_any(run_coro):
    """It cannot be raised out of a coroutine; Python makes it a RuntimeError."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        run_coro(asyncModal(next, iter([])))


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_exits_end_the_task_and_not_the_host(lease, spin, caplog, kind):
    """A plug-in's sys.exit() in a dialog is reported, with the owner's name."""

    def leave():
        raise kind

    task = lease.create_task(asyncModal(leave))
    spin(task.done)
    spin(lambda: caplog.records)
    assert [record.getMessage().splitlines()[0] for record in caplog.records] == [
        f"test: {kind.__name__} in a callback"
    ]
    with pytest.raises(kind):
        task.result()


def test_exits_end_a_program_that_owns_its_application(run_python):
    """Under AsyncSlotRunner, sys.exit() in a dialog is the program's."""
    done = run_python(
        """
import sys
from qtpy import QtWidgets
import asyncslot

app = QtWidgets.QApplication([])
with asyncslot.AsyncSlotRunner() as loop:
    task = loop.create_task(asyncslot.asyncModal(sys.exit, 5))
    (getattr(app, "exec", None) or app.exec_)()
""",
        check=False,
    )
    assert done.returncode == 5, done.stderr


def test_cancelled_before_the_dialog_opens_it_does_not_open(lease, spin):
    """The function is not called at all."""
    calls = []
    lease.loop.step_budget = 10.0  # or Qt may get its turn between the two

    async def cancel_at_once():
        task = asyncio.ensure_future(asyncModal(calls.append, 1))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0.05)
        assert task.cancelled()

    task = lease.create_task(cancel_at_once())
    spin(task.done)
    task.result()
    assert calls == []


def open_and_cancel(dialog, lease, ends):
    """Open a dialog, cancel the task while it is open, and close the dialog by `ends` later; return the events."""
    events = []

    async def wait():
        try:
            await asyncModal(lambda: ends(run_qt(dialog)))
        except asyncio.CancelledError:
            events.append(("cancelled", dialog.isVisible()))
            raise

    task = lease.create_task(wait())

    def cancel():
        task.cancel()
        soon(look, dialog, 0.05)

    def look():
        events.append(("still open", dialog.isVisible()))
        gc.collect()
        dialog.accept()

    soon(cancel, dialog, 0.05)
    return task, events


def test_cancelled_while_the_dialog_is_open_it_stays_open(dialog, lease, spin, caplog):
    """The coroutine goes on at once; the dialog's result is dropped."""
    task, events = open_and_cancel(dialog, lease, lambda result: result)
    spin(lambda: len(events) == 2 and not dialog.isVisible())
    assert events == [("cancelled", True), ("still open", True)]
    assert task.cancelled()
    assert caplog.records == []


def test_an_exception_after_the_task_was_cancelled_is_reported(dialog, lease, spin, caplog):
    """Nobody awaits it any more, and it is not swallowed."""

    def fail(result):
        raise ValueError("too late")

    _, events = open_and_cancel(dialog, lease, fail)
    spin(lambda: len(events) == 2 and caplog.records)
    assert [record.exc_info[1].args for record in caplog.records] == [("too late",)]
    assert "cancelled" in caplog.records[0].getMessage()


def test_cancelling_can_close_the_dialog(dialog, run_coro):
    """As the documentation says: catch CancelledError and reject."""

    async def ask():
        try:
            return await asyncModal(dialog.run)
        except asyncio.CancelledError:
            dialog.reject()
            raise

    async def ask_for_a_moment():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ask(), 0.05)

    run_coro(ask_for_a_moment())
    assert not dialog.isVisible()


def test_detach_while_the_dialog_is_open(app, dialog, spin):
    """The plug-in is unloaded from inside its own dialog, which is closed by hand afterwards."""
    reports = []
    lease = asyncslot.attach("test")
    lease.create_task(asyncModal(dialog.run))

    def unload():
        reports.append(lease.detach())
        soon(dialog.accept, dialog, 0.05)

    soon(unload, dialog, 0.05)
    spin(lambda: reports and not dialog.isVisible())
    assert (reports[0].ended, reports[0].abandoned) == (1, [])
    assert lease.loop.is_closed()


def test_a_hundred_dialogs_leave_no_qobject(app, lease, spin):
    """The timers go with the calls."""

    async def ask():
        for _ in range(100):
            await asyncModal(int)

    def timers():
        app.sendPostedEvents()
        gc.collect()
        return sum(isinstance(found, QtCore.QTimer) for found in gc.get_objects())

    before = timers()
    task = lease.create_task(ask())
    spin(task.done)
    del task
    assert timers() <= before


def test_a_task_that_nobody_refers_to_gets_its_dialog(app, spin):
    """As one does that sleeps: the loop refers to what waits for Qt's next turn."""
    called = []

    async def ask():
        await asyncModal(called.append, 1)

    with contextlib.closing(asyncslot.AsyncSlotEventLoop()) as loop, loop:
        loop.run_task(ask())
        gc.collect()
        spin(lambda: called)


@pytest.mark.parametrize("while_waiting", ["attached", "nested, in a callback"])
def test_a_task_waits_for_its_dialog_while_others_of_its_owner_block(app, spin, attach_as, while_waiting):
    """Who blocks in run_until_complete() does not wait for it, and Qt goes on afterwards."""
    called = []

    async def ask():
        await asyncModal(called.append, 1)

    async def other():
        await asyncio.sleep(0.01)
        assert not called
        assert not task.done()

    if while_waiting == "attached":
        with attach_as(__name__, "test") as lease:
            task = lease.create_task(ask())
            lease.run_until_complete(other())
            spin(task.done)
            assert task.result() is None
        assert called == [1]
    else:

        async def main():
            nonlocal task
            task = asyncio.ensure_future(ask())
            blocked = asyncio.get_running_loop().create_future()
            QtCore.QTimer.singleShot(0, lambda: blocked.set_result(asyncslot.run_until_complete(other())))
            await blocked
            await task

        task = None
        with contextlib.closing(asyncslot.AsyncSlotEventLoop()) as loop:
            loop.run_until_complete(main())
        assert called == [1]


@pytest.mark.parametrize(
    "what", ["itself", "a child", "a child by wait()", "a task", "who awaits a task", "a task that has asked before"]
)
def test_a_task_for_which_somebody_blocks_is_told_that_no_dialog_can_open(lease, what):
    """Both would wait for ever, as no Qt loop runs meanwhile."""

    async def ask():
        asked.append(True)
        await asyncModal(int)

    def has_asked(task):
        lease.run_until_complete(asyncio.sleep(0))
        assert asked
        return task

    asked = []

    async def ask_in_child():
        await asyncio.ensure_future(ask())

    async def wait_for_child():
        done, _ = await asyncio.wait([asyncio.ensure_future(ask())])
        done.pop().result()

    async def wait_for(task):
        await task

    ways = {
        "itself": ask,
        "a child": ask_in_child,
        "a child by wait()": wait_for_child,
        "a task": lambda: lease.create_task(ask()),
        "who awaits a task": lambda: wait_for(lease.create_task(ask())),
        "a task that has asked before": lambda: has_asked(lease.create_task(ask())),
    }
    with pytest.raises(asyncslot.NoQtLoopError):
        lease.run_until_complete(ways[what](), timeout=10)


@pytest.mark.parametrize("when", ["before the call", "during the call"])
def test_a_loop_may_be_closed_under_a_task_that_waits_for_a_dialog(run_python, when):
    """What was not called is not, what is called has nobody to tell; nothing goes out into Qt."""
    done = run_python(
        f"""
import sys
from qtpy import QtWidgets
app = QtWidgets.QApplication([])
import asyncslot
sys.excepthook = sys.unraisablehook = lambda *args: print("raised into Qt:", args)

def end():
    loop.__exit__(None, None, None)
    loop.close()

def dialog():
    print("called")
    if loop.is_running():
        end()

loop = asyncslot.AsyncSlotEventLoop()
loop.__enter__()
task = loop.run_task(asyncslot.asyncModal(dialog))
if {when == "before the call"}:
    end()
for _ in range(100):
    app.processEvents()
print(loop.is_closed(), task.done())
task._log_destroy_pending = False
"""
    )
    called = {"before the call": [], "during the call": ["called"]}[when]
    assert done.stdout.splitlines() == [*called, "True False"]


def test_the_application_may_go_before_the_task_is_cancelled(run_python):
    """It is cancelled like any other, though PyQt has deleted with the application what was to call the function."""
    done = run_python(
        f"""
import sys
sys.path.insert(0, {os.path.dirname(senders.__file__)!r})
from qtpy import QtWidgets
app = QtWidgets.QApplication([])
import asyncslot
from senders import delete_at_once

lease = asyncslot.attach("test")
task = lease.run_task(asyncslot.asyncModal(print, "called"))
delete_at_once(app)
lease.detach()
print(task.cancelled())
"""
    )
    assert done.stdout.split() == ["True"]


# -- bad input -----------------------------------------------------------------


async def coroutine_function():
    """Not what asyncModal() takes."""


@pytest.mark.parametrize("given", [1, None, coroutine_function], ids=["a result", "None", "a coroutine function"])
def test_what_is_no_plain_function_is_refused(run_coro, given):
    """The commonest slip is to call the function: asyncModal(dialog.exec())."""
    with pytest.raises(asyncslot.NotFunctionError, match=r"asyncModal\(dialog\.exec\), not") as caught:
        run_coro(asyncModal(given))
    assert isinstance(caught.value, TypeError)
    assert repr(given) in str(caught.value)


def test_in_another_thread_it_is_refused(app):
    """A dialog belongs to the GUI thread."""
    errors = []

    def other_thread():
        with pytest.raises(asyncslot.ThreadError, match=r"asyncModal\(\)") as caught:
            asyncio.run(asyncModal(int))
        errors.append(caught.type)

    thread = threading.Thread(target=other_thread)
    thread.start()
    thread.join()
    assert errors == [asyncslot.ThreadError]


@pytest.mark.parametrize("first", [0, 1])
def test_two_dialogs_at_once_are_answered_in_any_order_with_open(lease, spin, first):
    """README's way: exec() of the second would keep the task of the first on the stack."""
    dialogs, answers = [QtWidgets.QDialog(), QtWidgets.QDialog()], []

    async def ask(number):
        dialogs[number].open()
        (answer,) = await asyncSignal(dialogs[number].finished)
        answers.append((number, answer))

    tasks = [lease.create_task(ask(number)) for number in (0, 1)]
    spin(lambda: all(dialog.isVisible() for dialog in dialogs))
    for number in (first, 1 - first):
        dialogs[number].accept()
        spin(tasks[number].done)
        assert answers[-1] == (number, 1)
    assert len(answers) == 2

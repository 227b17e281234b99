"""A signal as an awaitable: what arrives, from where, and when the connection ends."""

import asyncio
import gc
import sys
import threading

import pytest
from qtpy import API_NAME, QtCore, QtGui, QtWidgets

import asyncslot
from asyncslot import asyncSignal, asyncSignals


class Sender(QtCore.QObject):
    none = QtCore.Signal()
    one = QtCore.Signal(int)
    two = QtCore.Signal(int, str)
    python = QtCore.Signal(object)
    pair = QtCore.Signal(QtCore.QObject, QtCore.QPoint)


@pytest.fixture
def sender(app):
    return Sender()


@pytest.fixture
def run(lease, spin):
    """Return a function that runs a coroutine in a task of the lease, with Qt's loop, and returns its result."""
    lease.loop.set_debug(True)  # asyncio then sees what is called in the wrong thread

    def run(coro):
        task = lease.create_task(coro)
        spin(task.done)
        return task.result()

    return run


def receivers(sender, signal, signature):
    """How many connections a signal has."""
    if API_NAME.startswith("PyQt"):
        return sender.receivers(signal)
    return sender.receivers(QtCore.SIGNAL(signature))


def delete_at_once(qobject):
    """Delete a QObject as C++ does: at once, while Python still has its wrapper."""
    if API_NAME.startswith("PyQt"):
        sys.modules[f"{API_NAME}.sip"].delete(qobject)
    else:
        sys.modules[f"shiboken{API_NAME[-1]}"].delete(qobject)


# -- what arrives --------------------------------------------------------------


class Anything:
    pass


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("none", (), id="no argument"),
        pytest.param("one", (1,), id="one argument"),
        pytest.param("two", (1, "one"), id="two arguments"),
        pytest.param("python", (Anything(),), id="any object"),
        pytest.param("python", ([1, Anything()],), id="a list"),
        pytest.param("python", (None,), id="None"),
    ],
)
def test_the_result_is_always_the_tuple_of_arguments(sender, run, name, arguments):
    """Also for one argument, and for none."""
    signal = getattr(sender, name)

    async def wait():
        asyncio.get_event_loop().call_soon(signal.emit, *arguments)
        return await asyncSignal(signal)

    result = run(wait())
    assert type(result) is tuple
    assert result == arguments


def test_objects_arrive_themselves_and_values_as_they_were(sender, run):
    """A QObject is not copied; a value that is changed after the emission does not change here."""

    async def wait():
        point = QtCore.QPoint(1, 2)
        pair = asyncSignal(sender.pair)
        sender.pair.emit(sender, point)
        point.setX(9)
        return await pair

    who, where = run(wait())
    assert who is sender
    assert (where.x(), where.y()) == (1, 2)


def test_values_outlive_the_emission(run):
    """PyQt hands over wrappers of C++'s own objects here, which die with the emission."""
    model = QtGui.QStandardItemModel(3, 3)
    table = QtWidgets.QTableView()
    table.setModel(model)
    selection = table.selectionModel()
    edit = QtWidgets.QTextEdit()

    async def wait():
        selected = asyncSignal(selection.selectionChanged)
        formatted = asyncSignal(edit.currentCharFormatChanged)
        table.setCurrentIndex(model.index(1, 2))
        look = QtGui.QTextCharFormat()
        look.setFontItalic(True)
        edit.setCurrentCharFormat(look)
        del look
        table.setCurrentIndex(model.index(0, 0))
        await asyncio.sleep(0.01)
        return await selected, await formatted

    (new, old), (look,) = run(wait())
    assert [(index.row(), index.column()) for index in new.indexes()] == [(1, 2)]
    assert old.indexes() == []
    assert look.fontItalic()


def test_what_is_passed_by_pointer_is_not_copied(run):
    """The item is the model's own."""
    model = QtGui.QStandardItemModel()
    item = QtGui.QStandardItem("before")
    model.appendRow(item)

    async def wait():
        changed = asyncSignal(model.itemChanged)
        item.setText("after")
        return await changed

    assert run(wait())[0] is item


def test_it_is_connected_when_it_is_called(sender, run):
    """What is emitted before the await is not lost; of two emissions the first counts."""

    async def wait():
        emission = asyncSignal(sender.one)
        sender.one.emit(1)
        sender.one.emit(2)
        await asyncio.sleep(0)
        return await emission

    assert run(wait()) == (1,)


def test_an_overload_is_chosen_with_brackets(run):
    """As in connect()."""
    mapper = QtCore.QSignalMapper()
    signal = mapper.mappedString if hasattr(mapper, "mappedString") else mapper.mapped[str]
    mapper.setMapping(mapper, "text")

    async def wait():
        emission = asyncSignal(signal)
        mapper.map(mapper)
        return await emission

    assert run(wait()) == ("text",)


# -- from where ----------------------------------------------------------------


def test_an_emission_in_another_thread_arrives_in_the_loops(sender, run):
    """The coroutine goes on in its own thread; the arguments are the objects that were emitted."""
    given = Anything()

    async def wait():
        emission = asyncSignal(sender.python)
        thread = threading.Thread(target=sender.python.emit, args=(given,))
        thread.start()
        result = await emission
        thread.join()
        return result, threading.current_thread()

    assert run(wait()) == ((given,), threading.main_thread())


def test_emissions_of_a_worker_arrive_all_and_in_order(run):
    """A thousand, from an object that lives in a QThread."""

    class Worker(QtCore.QObject):
        number = QtCore.Signal(int)

        def work(self):
            for number in range(1000):
                self.number.emit(number)

    worker = Worker()
    thread = QtCore.QThread()
    worker.moveToThread(thread)
    thread.started.connect(worker.work)

    async def wait():
        found = []
        async with asyncSignals(worker.number) as numbers:
            thread.start()
            async for (number,) in numbers:
                found.append(number)
                if number == 999:
                    break
        return found

    try:
        assert run(wait()) == list(range(1000))
    finally:
        thread.quit()
        thread.wait()


def test_it_works_in_a_program_that_owns_its_application(sender):
    """Under AsyncSlotRunner, and in nested mode."""

    async def wait():
        emission = asyncSignal(sender.one)
        QtCore.QTimer.singleShot(1, lambda: sender.one.emit(1))
        return await emission

    with asyncslot.AsyncSlotRunner() as loop:
        task = loop.create_task(wait())
        task.add_done_callback(lambda _: QtWidgets.QApplication.instance().quit())
        app = QtWidgets.QApplication.instance()
        (getattr(app, "exec", None) or app.exec_)()
        assert task.result() == (1,)
    loop = asyncslot.AsyncSlotEventLoop()
    assert loop.run_until_complete(wait()) == (1,)
    loop.close()


# -- when the connection ends --------------------------------------------------


def test_it_is_disconnected_when_the_emission_has_come(sender, run, spin):
    """And the sender has as many connections as before."""

    async def wait():
        emission = asyncSignal(sender.one)
        assert receivers(sender, sender.one, "one(int)") == 1
        sender.one.emit(1)
        return await emission

    run(wait())
    spin(lambda: receivers(sender, sender.one, "one(int)") == 0)


def test_it_is_disconnected_when_cancelled(sender, lease, spin):
    """With the task that waits."""
    started = []

    async def wait():
        started.append(True)
        await asyncSignal(sender.one)

    task = lease.create_task(wait())
    spin(lambda: started)
    assert receivers(sender, sender.one, "one(int)") == 1
    task.cancel()
    spin(task.done)
    assert task.cancelled()
    spin(lambda: receivers(sender, sender.one, "one(int)") == 0)


def test_a_timeout_is_asyncios_own(sender, run, spin):
    """wait_for() gives up, and the connection goes."""

    async def wait():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncSignal(sender.one), 0.01)

    run(wait())
    spin(lambda: receivers(sender, sender.one, "one(int)") == 0)


def test_a_waiting_task_lives_as_long_as_its_sender(sender, app, spin):
    """asyncio keeps no task alive; here the connection does, although nobody else refers to it."""
    found = []

    async def wait():
        found.append(await asyncSignal(sender.one))

    with asyncslot.AsyncSlotEventLoop() as loop:
        loop.create_task(wait())
        spin(lambda: receivers(sender, sender.one, "one(int)") == 1)
        gc.collect()
        sender.one.emit(1)
        spin(lambda: found)
    loop.close()
    assert found == [(1,)]


def let_go(sender_and_more):
    """Drop the last reference, which is Python's."""
    sender_and_more.clear()


def delete_later(sender_and_more):
    sender_and_more[0].deleteLater()


def delete_in_cpp(sender_and_more):
    delete_at_once(sender_and_more[0])


def delete_parent(sender_and_more):
    parent = QtCore.QObject()
    sender_and_more[0].setParent(parent)
    delete_at_once(parent)


def disconnect_everything(sender_and_more):
    if API_NAME == "PySide2":
        pytest.skip("PySide2 does not tell whether a connection stands, and keeps what it was connected to")
    sender_and_more[0].one.disconnect()


def end_thread(sender_and_more):
    """Let the sender die in a thread of its own, as workers do."""
    thread = QtCore.QThread()
    sender_and_more[0].moveToThread(thread)
    thread.finished.connect(sender_and_more[0].deleteLater)
    thread.start()
    thread.quit()
    thread.wait()
    sender_and_more.append(thread)


@pytest.mark.parametrize("kind", ["asyncSignal", "asyncSignals"])
@pytest.mark.parametrize("end", [let_go, delete_later, delete_in_cpp, delete_parent, disconnect_everything, end_thread])
def test_a_dead_sender_ends_the_wait_with_an_error(lease, spin, end, kind):
    """Whoever deletes it, and in whichever thread."""
    started = []

    async def wait(signal):
        started.append(True)
        if kind == "asyncSignal":
            await asyncSignal(signal)
        else:
            async for _ in asyncSignals(signal):
                pass

    sender_and_more = [Sender()]
    task = lease.create_task(wait(sender_and_more[0].one))
    spin(lambda: started)
    end(sender_and_more)
    spin(task.done)
    with pytest.raises(asyncslot.SenderDeletedError, match=rf"{kind}\(\) was waiting for .*Keep a reference") as caught:
        task.result()
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("end", [let_go, delete_later, delete_in_cpp, delete_parent, end_thread])
def test_cancelling_just_after_the_sender_died_is_safe(lease, spin, end):
    """No turn of Qt's loop in between. To disconnect a dead sender crashes most bindings."""
    started = []

    async def wait(signal):
        started.append(True)
        await asyncSignal(signal)

    sender_and_more = [Sender()]
    task = lease.create_task(wait(sender_and_more[0].one))
    spin(lambda: started)
    end(sender_and_more)
    del sender_and_more[:1]
    gc.collect()
    lease.detach()
    assert task.cancelled()


def test_a_sender_that_is_dead_already_is_an_error(sender, run):
    """Not a wait for ever. PyQt raises RuntimeError before we are asked; ours is one."""
    delete_at_once(sender)

    async def wait():
        await asyncSignal(sender.one)

    with pytest.raises(RuntimeError, match="delete"):
        run(wait())


def test_nobody_is_told_of_a_dead_sender_that_nobody_awaits(lease, spin, caplog):
    """A future that was not awaited is dropped without noise."""

    async def start(signal):
        asyncSignal(signal)

    sender = Sender()
    task = lease.create_task(start(sender.one))
    spin(task.done)
    del sender, task
    gc.collect()
    ticks = []
    spin(lambda: ticks.append(0) or len(ticks) > 20)
    gc.collect()
    assert caplog.records == []


# -- detach --------------------------------------------------------------------


def test_detach_ends_every_wait_and_says_so(app, sender, spin):
    """Those of tasks with their tasks; what an object of the plug-in's keeps is named in the report."""
    kept = []

    async def wait():
        kept.append(asyncSignals(sender.two))
        await asyncSignal(sender.one)

    with asyncslot.attach("a plug-in") as other, asyncslot.attach("test") as lease:
        task = lease.create_task(wait())
        spin(lambda: kept)
        report = lease.detach()
        assert other.is_attached
        assert task.cancelled()
        assert [what.split(" ")[0] for what in report.closed] == ["asyncSignals()"]
        spin(lambda: receivers(sender, sender.one, "one(int)") == 0)
        spin(lambda: receivers(sender, sender.two, "two(int,QString)") == 0)
        sender.one.emit(1)
        sender.two.emit(1, "one")


def test_after_the_last_detach_emissions_find_nobody(app, sender, spin):
    """The loop is closed; emit() is quiet, also in another thread."""
    kept = []

    async def wait():
        kept.append(asyncSignals(sender.two))
        kept.append(asyncSignal(sender.one))

    with asyncslot.attach("test") as lease:
        lease.create_task(wait())
        spin(lambda: len(kept) == 2)
    sender.one.emit(1)
    thread = threading.Thread(target=sender.two.emit, args=(1, "one"))
    thread.start()
    thread.join()
    assert kept[1].cancelled()
    spin(lambda: receivers(sender, sender.two, "two(int,QString)") == 0)


# -- asyncSignals --------------------------------------------------------------


def test_no_emission_is_lost_between_iterations(sender, run):
    """Those that come while the body awaits something else wait in order."""

    async def iterate():
        found = []
        async with asyncSignals(sender.two) as emissions:
            sender.two.emit(1, "one")
            async for number, text in emissions:
                found.append((number, text))
                sender.two.emit(number + 1, "more")
                if number % 2:
                    sender.two.emit(0, "less")
                await asyncio.sleep(0)
                if number == 3:
                    break
        return found

    assert run(iterate()) == [(1, "one"), (2, "more"), (0, "less"), (3, "more")]


async def leave_by_break(signal):
    async for _ in asyncSignals(signal):
        break


async def leave_by_an_exception(signal):
    try:
        async for _ in asyncSignals(signal):
            raise ValueError
    except ValueError:
        pass


async def leave_the_context(signal):
    async with asyncSignals(signal) as emissions:
        await emissions.__anext__()


async def close(signal):
    emissions = asyncSignals(signal)
    await emissions.__anext__()
    await emissions.aclose()
    await emissions.aclose()
    assert [item async for item in emissions] == []


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_an_exception, leave_the_context, close])
def test_leaving_the_loop_disconnects(sender, lease, spin, leave):
    """However it is left."""
    task = lease.create_task(leave(sender.one))
    spin(lambda: receivers(sender, sender.one, "one(int)") == 1)
    sender.one.emit(1)
    spin(task.done)
    task.result()
    spin(lambda: receivers(sender, sender.one, "one(int)") == 0)


def test_what_was_emitted_before_the_senders_death_comes_first(run):
    """The error comes last, and again if asked again."""

    async def iterate():
        sender = Sender()
        emissions = asyncSignals(sender.one)
        sender.one.emit(1)
        sender.one.emit(2)
        del sender
        found = [await emissions.__anext__(), await emissions.__anext__()]
        for _ in range(2):
            with pytest.raises(asyncslot.SenderDeletedError):
                await emissions.__anext__()
        return found

    assert run(iterate()) == [(1,), (2,)]


def test_closing_ends_the_iteration_of_another_task(sender, lease, spin):
    """Without an error."""
    kept = []

    async def iterate():
        kept.append(asyncSignals(sender.one))
        return [item async for item in kept[0]]

    task = lease.create_task(iterate())
    spin(lambda: kept)
    sender.one.emit(1)
    spin(lambda: kept[0]._emissions.empty())
    lease.create_task(kept[0].aclose())
    spin(task.done)
    assert task.result() == [(1,)]


def test_two_tasks_share_the_emissions(sender, lease, spin):
    """Each goes to one of them, and both end."""
    kept = []

    async def iterate():
        return [number async for (number,) in kept[0]]

    async def start():
        kept.append(asyncSignals(sender.one))

    lease.create_task(start())
    tasks = [lease.create_task(iterate()) for _ in range(2)]
    spin(lambda: kept)
    for number in range(10):
        sender.one.emit(number)
    spin(lambda: kept[0]._emissions.empty())
    lease.create_task(kept[0].aclose())
    spin(lambda: all(task.done() for task in tasks))
    assert sorted(tasks[0].result() + tasks[1].result()) == list(range(10))


def test_each_item_can_have_a_timeout(sender, run):
    """A wait that is given up takes no emission with it."""

    async def iterate():
        async with asyncSignals(sender.one) as emissions:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(emissions.__anext__(), 0.01)
            sender.one.emit(1)
            return await asyncio.wait_for(emissions.__anext__(), 5)

    assert run(iterate()) == (1,)


# -- bad input -----------------------------------------------------------------


@pytest.mark.parametrize("function", [asyncSignal, asyncSignals])
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda sender: sender.one.emit, id="its emit"),
        pytest.param(lambda sender: Sender.one, id="of a class"),
        pytest.param(lambda sender: sender, id="the sender"),
        pytest.param(lambda sender: None, id="None"),
        pytest.param(lambda sender: "one(int)", id="a name"),
    ],
)
def test_what_is_no_signal_is_refused(sender, run, function, wrong):
    """The error shows what was given."""

    async def call():
        with pytest.raises(asyncslot.NotSignalError, match=r"async\w+\(button.clicked\)") as caught:
            function(wrong(sender))
        assert isinstance(caught.value, TypeError)
        assert repr(wrong(sender))[:20] in str(caught.value)

    run(call())


@pytest.mark.parametrize("function", [asyncSignal, asyncSignals])
def test_outside_a_coroutine_the_error_says_where_it_belongs(sender, lease, function):
    """A plain slot has no running loop."""
    with pytest.raises(asyncslot.OutsideCoroutineError, match=r"lease\.create_task") as caught:
        function(sender.one)
    assert isinstance(caught.value, RuntimeError)

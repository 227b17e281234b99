"""A signal as an awaitable: what arrives, and from where."""

import asyncio
import threading

import pytest
from qtpy import QtCore, QtGui, QtWidgets

import asyncslot
from asyncslot import asyncSignal, asyncSignals
from senders import Sender, is_disconnected, receivers


@pytest.fixture
def sender(app):
    return Sender()


def emit_in_thread(signal, *arguments):
    """Return the thread."""
    thread = threading.Thread(target=signal.emit, args=arguments)
    thread.start()
    return thread


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
def test_the_result_is_always_the_tuple_of_arguments(sender, run_coro, name, arguments):
    """Also for one argument, and for none."""
    signal = getattr(sender, name)

    async def wait():
        asyncio.get_event_loop().call_soon(signal.emit, *arguments)
        return await asyncSignal(signal)

    result = run_coro(wait())
    assert type(result) is tuple
    assert result == arguments


def test_objects_arrive_themselves_and_values_as_they_were(sender, run_coro):
    """A QObject is not copied; a value that is changed after the emission does not change here."""

    async def wait():
        point = QtCore.QPoint(1, 2)
        pair = asyncSignal(sender.pair)
        sender.pair.emit(sender, point)
        point.setX(9)
        return await pair

    who, where = run_coro(wait())
    assert who is sender
    assert (where.x(), where.y()) == (1, 2)


def test_values_outlive_the_emission(run_coro):
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

    (new, old), (look,) = run_coro(wait())
    assert [(index.row(), index.column()) for index in new.indexes()] == [(1, 2)]
    assert old.indexes() == []
    assert look.fontItalic()


def test_what_is_passed_by_pointer_is_not_copied(run_coro):
    """The item is the model's own."""
    model = QtGui.QStandardItemModel()
    item = QtGui.QStandardItem("before")
    model.appendRow(item)

    async def wait():
        changed = asyncSignal(model.itemChanged)
        item.setText("after")
        return await changed

    assert run_coro(wait())[0] is item


def test_it_is_connected_when_it_is_called(sender, run_coro):
    """What is emitted before the await is not lost; of two emissions the first counts."""

    async def wait():
        emission = asyncSignal(sender.one)
        sender.one.emit(1)
        sender.one.emit(2)
        await asyncio.sleep(0)
        return await emission

    assert run_coro(wait()) == (1,)


def test_an_overload_is_chosen_with_brackets(run_coro):
    """As in connect()."""
    mapper = QtCore.QSignalMapper()
    signal = mapper.mappedString if hasattr(mapper, "mappedString") else mapper.mapped[str]
    mapper.setMapping(mapper, "text")

    async def wait():
        emission = asyncSignal(signal)
        mapper.map(mapper)
        return await emission

    assert run_coro(wait()) == ("text",)


# -- from where ----------------------------------------------------------------


def test_an_emission_in_another_thread_arrives_in_the_loops(sender, run_coro):
    """The coroutine goes on in its own thread; the arguments are the objects that were emitted."""
    given = Anything()

    async def wait():
        emission = asyncSignal(sender.python)
        thread = emit_in_thread(sender.python, given)
        result = await emission
        thread.join()
        return result, threading.current_thread()

    assert run_coro(wait()) == ((given,), threading.main_thread())


def test_emissions_of_a_worker_arrive_all_and_in_order(run_coro):
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
        assert run_coro(wait()) == list(range(1000))
    finally:
        thread.quit()
        thread.wait()


def test_an_emission_in_another_thread_arrives_while_somebody_waits(sender, lease):
    """No Qt loop runs then that would bring it."""

    async def wait():
        emission = asyncSignal(sender.two)
        emit_in_thread(sender.two, 1, "one")
        return await emission, threading.current_thread()

    assert lease.run_until_complete(wait(), timeout=10) == ((1, "one"), threading.main_thread())


def test_what_another_plugin_begins_to_await_meanwhile_comes_by_qt(sender, lease, spin):
    """It may go on for long, and could not be disconnected while a thread emits if it did not."""
    other, begun = asyncslot.attach("other"), lease.loop.create_future()

    async def wait():
        emission = asyncSignal(sender.one)
        emit_in_thread(sender.one, 1).join()
        begun.set_result(None)
        return await emission

    async def wait_for_the_other():
        await begun
        await asyncio.sleep(0.01)

    task = other.create_task(wait())
    lease.run_until_complete(wait_for_the_other(), timeout=10)
    assert not task.done()
    spin(task.done)
    assert task.result() == (1,)
    other.detach()


def test_an_emission_in_another_thread_arrives_in_clean_up(sender, lease, spin):
    """A worker's `finished`, say, which a task awaits when its plug-in is unloaded."""
    found = []

    async def work():
        try:
            await asyncio.sleep(3600)
        finally:
            emission = asyncSignal(sender.one)
            emit_in_thread(sender.one, 1)
            found.append(await emission)

    lease.run_task(work())
    spin(lambda: True)
    assert lease.detach().abandoned == []
    assert found == [(1,)]


def test_it_works_on_a_plain_asyncio_loop_in_a_thread(sender, spin):
    """Where no Qt loop runs; the emissions come from the GUI thread and from a third one."""
    found, ready = [], threading.Event()

    async def wait():
        one, two = asyncSignal(sender.one), asyncSignal(sender.two)
        ready.set()
        found.extend([await asyncio.wait_for(one, 10), await asyncio.wait_for(two, 10), threading.current_thread()])

    def run():
        loop = asyncio.SelectorEventLoop()
        loop.run_until_complete(wait())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(10)
    sender.one.emit(1)
    emit_in_thread(sender.two, 2, "two")
    spin(lambda: not thread.is_alive())
    assert found == [(1,), (2, "two"), thread]


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


# -- asyncSignals --------------------------------------------------------------


def test_no_emission_is_lost_between_iterations(sender, run_coro):
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

    assert run_coro(iterate()) == [(1, "one"), (2, "more"), (0, "less"), (3, "more")]


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
    spin(lambda: is_disconnected(sender, sender.one, "one(int)"))


def test_what_was_emitted_before_the_senders_death_comes_first(run_coro):
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

    assert run_coro(iterate()) == [(1,), (2,)]


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


def test_each_item_can_have_a_timeout(sender, run_coro):
    """A wait that is given up takes no emission with it."""

    async def iterate():
        async with asyncSignals(sender.one) as emissions:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(emissions.__anext__(), 0.01)
            sender.one.emit(1)
            return await asyncio.wait_for(emissions.__anext__(), 5)

    assert run_coro(iterate()) == (1,)


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
def test_what_is_no_signal_is_refused(sender, run_coro, function, wrong):
    """The error shows what was given."""

    async def call():
        with pytest.raises(asyncslot.NotSignalError, match=r"async\w+\(button.clicked\)") as caught:
            function(wrong(sender))
        assert isinstance(caught.value, TypeError)
        assert repr(wrong(sender))[:20] in str(caught.value)

    run_coro(call())


@pytest.mark.parametrize("function", [asyncSignal, asyncSignals])
def test_outside_a_coroutine_the_error_says_where_it_belongs(sender, lease, function):
    """A plain slot has no running loop."""
    with pytest.raises(asyncslot.OutsideCoroutineError, match=r"lease\.create_task") as caught:
        function(sender.one)
    assert isinstance(caught.value, RuntimeError)

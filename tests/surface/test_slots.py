"""A coroutine function as a slot: what can be connected, what it is given, and when it runs."""

import asyncio
import functools
import gc
import threading

import pytest
from qtpy import QtCore, QtWidgets

import asyncslot
from asyncslot import asyncSlot


class Sender(QtCore.QObject):
    none = QtCore.Signal()
    two = QtCore.Signal(int, str)


@pytest.fixture
def sender(app):
    return Sender()


@pytest.fixture(params=["asyncSlot", "Lease.slot"])
def wrap(request, lease):
    """Both ways to make a slot."""
    return {"asyncSlot": asyncSlot, "Lease.slot": lease.slot}[request.param]


# -- what can be connected -----------------------------------------------------

seen = []


@pytest.fixture(autouse=True)
def forget():
    seen.clear()


async def function(number):
    seen.append(number)


class Callable:
    """Coroutine functions in every place where a class can have one."""

    async def method(self, number):
        seen.append(number)

    @classmethod
    async def class_method(cls, number):
        seen.append(number)

    @staticmethod
    async def static_method(number):
        seen.append(number)

    async def __call__(self, number):
        seen.append(number)

    @asyncSlot
    async def decorated_method(self, number):
        seen.append(number)

    @asyncSlot
    @classmethod
    async def decorated_class_method(cls, number):
        seen.append(number)

    @classmethod
    @asyncSlot
    async def class_method_decorated(cls, number):
        seen.append(number)

    @asyncSlot
    @staticmethod
    async def decorated_static_method(number):
        seen.append(number)

    @staticmethod
    @asyncSlot
    async def static_method_decorated(number):
        seen.append(number)


class Receiver(QtCore.QObject):
    async def method(self, number):
        seen.append(number)


@asyncSlot
async def decorated_function(number):
    seen.append(number)


class Slotted:
    """A receiver without a `__dict__`."""

    __slots__ = ()

    async def method(self, number):
        seen.append(number)


async def _with_prefix(prefix, number):
    seen.append(prefix + number)


TO_WRAP = {
    "function": lambda receiver: function,
    "method of a QObject": lambda receiver: receiver.method,
    "method of a plain object": lambda receiver: Callable().method,
    "method of an object without a dict": lambda receiver: Slotted().method,
    "class method": lambda receiver: Callable.class_method,
    "static method": lambda receiver: Callable.static_method,
    "callable object": lambda receiver: Callable(),
    "partial": lambda receiver: functools.partial(_with_prefix, 0),
    "partial of a partial": lambda receiver: functools.partial(functools.partial(_with_prefix), 0),
    "partial of a method": lambda receiver: functools.partial(receiver.method),
}


@pytest.mark.parametrize("make", TO_WRAP.values(), ids=TO_WRAP)
def test_every_kind_of_coroutine_function_can_be_connected(sender, wrap, make):
    """Functions, methods, partials and callable objects; wrapped where they are connected."""
    receiver = Receiver()
    wanted = make(receiver)
    keep = getattr(wanted, "__self__", None)
    sender.two.connect(wrap(wanted))
    sender.two.emit(7, "seven")
    assert seen == [7]
    del keep


DECORATED = [
    "decorated_method",
    "decorated_class_method",
    "class_method_decorated",
    "decorated_static_method",
    "static_method_decorated",
]


@pytest.mark.parametrize("name", DECORATED)
def test_asyncslot_works_as_a_decorator_in_a_class(sender, lease, name):
    """Methods, class methods and static methods, above and below the other decorator."""
    receiver = Callable()
    sender.two.connect(getattr(receiver, name))
    sender.two.emit(7, "seven")
    assert seen == [7]


def test_asyncslot_works_as_a_decorator_of_a_function(sender, lease):
    """And the function keeps its name and its text."""
    sender.two.connect(decorated_function)
    sender.two.emit(7, "seven")
    assert seen == [7]
    assert decorated_function.__name__ == "decorated_function"


class Declared(QtCore.QObject):
    """Slots that Qt itself knows by signature."""

    @QtCore.Slot(int)
    @asyncSlot
    async def above(self, number):
        seen.append(number)

    @asyncSlot
    @QtCore.Slot(int)
    async def below(self, number):
        seen.append(number)

    @QtCore.Slot(int)
    async def bare(self, number):
        seen.append(number)

    @QtCore.Slot(int, str)
    @QtCore.Slot()
    @asyncSlot
    async def two_ways(self, *args):
        seen.append(args)


@pytest.mark.parametrize("name", ["above", "below"])
def test_slot_declarations_above_and_below_are_kept(sender, lease, name):
    """Slot or pyqtSlot makes it a slot of the QObject's meta-object, as it does with a plain function."""
    receiver = Declared()
    assert receiver.metaObject().indexOfSlot(f"{name}(int)") >= 0
    sender.two.connect(getattr(receiver, name))
    sender.two.emit(7, "seven")
    assert seen == [7]


def test_a_declared_slot_can_be_wrapped_where_it_is_connected(sender, wrap):
    """Slot or pyqtSlot on the coroutine function, and asyncSlot in connect()."""
    receiver = Declared()
    sender.two.connect(wrap(receiver.bare))
    sender.two.emit(7, "seven")
    assert seen == [7]


def test_a_slot_can_be_declared_for_several_signatures(sender, lease):
    """Stacked declarations all stay."""
    receiver = Declared()
    assert receiver.metaObject().indexOfSlot("two_ways()") >= 0
    assert receiver.metaObject().indexOfSlot("two_ways(int,QString)") >= 0
    sender.two.connect(receiver.two_ways)
    sender.two.emit(7, "seven")
    assert seen == [(7, "seven")]


async def _generator():
    yield 1


WRONG = {
    "lambda that returns a coroutine": lambda: function(1),
    "asynchronous generator function": _generator,
    "builtin": print,
    "class with an asynchronous __call__": Callable,
    "text": "function",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_only_looks_like_a_coroutine_function_is_refused(wrap, wrong):
    """The error shows what was given; test_errors.py has the commoner mistakes."""
    with pytest.raises(asyncslot.NotCoroutineFunctionError, match="takes a coroutine function") as caught:
        wrap(wrong)
    assert repr(wrong) in str(caught.value)


def test_an_unwrapped_coroutine_function_does_nothing(sender, recwarn):
    """Which is why there is an asyncSlot: Qt calls it, and drops the coroutine."""
    sender.two.connect(function)
    sender.two.emit(7, "seven")
    gc.collect()
    assert seen == []
    assert "was never awaited" in str(recwarn.pop(RuntimeWarning).message)


# -- arguments -----------------------------------------------------------------


async def _nothing():
    seen.append(())


async def _one(a):
    seen.append((a,))


async def _both(a, b):
    seen.append((a, b))


async def _one_with_default(a=0):
    seen.append((a,))


async def _more_than_both(a, b, c="default"):
    seen.append((a, b, c))


async def _any(*args):
    seen.append(args)


async def _one_and_any(a, *rest):
    seen.append((a, *rest))


async def _one_and_keyword(a, *, keyword="default"):
    seen.append((a, keyword))


async def _one_and_keywords(a, **keywords):
    seen.append((a, keywords))


ARGUMENTS = [
    # what the slot takes, what it gets of the signal's (7, "seven")
    (_nothing, ()),
    (_one, (7,)),
    (_both, (7, "seven")),
    (_one_with_default, (7,)),
    (_more_than_both, (7, "seven", "default")),
    (_any, (7, "seven")),
    (_one_and_any, (7, "seven")),
    (_one_and_keyword, (7, "default")),
    (_one_and_keywords, (7, {})),
    (functools.partial(_both, "bound"), ("bound", 7)),
    (functools.partial(_one_and_keyword, keyword="bound"), (7, "bound")),
    (functools.partial(_both, b="bound"), (7, "bound")),
]


@pytest.mark.parametrize(("fn", "arguments"), ARGUMENTS)
def test_arguments_that_the_slot_does_not_take_are_dropped(sender, wrap, fn, arguments):
    """As Qt does for slots; what it does take it gets, defaults stand for what the signal does not bring."""
    slot = wrap(fn)
    sender.two.connect(slot)
    sender.two.emit(7, "seven")
    assert seen == [arguments]


def test_a_bool_that_nobody_wants_is_dropped(app, wrap):
    """`clicked` brings one, and slots without parameters are connected to it all the time."""
    button = QtWidgets.QPushButton()
    slot = wrap(_nothing)
    button.clicked.connect(slot)
    button.click()
    assert seen == [()]


@pytest.mark.parametrize("kind", ["asyncSlot", "Lease.slot"])
def test_a_missing_argument_is_reported_and_not_raised_into_qt(app, recorder, kind):
    """Too few arguments are Python's own TypeError, which names the function; raised through Qt it would end PyQt's."""
    with asyncslot.attach("missing argument", host=recorder) as lease:
        wrap = asyncSlot if kind == "asyncSlot" else lease.slot
        wrap(_both)(7)
    [(message, kind_of_error)] = recorder.reports
    assert "the slot _both() cannot be called" in message
    assert kind_of_error is TypeError


def test_a_missing_argument_is_an_error_of_who_awaits_where_the_program_owns_the_loop(app, spin):
    """As in a host; where nobody awaits, the loop's exception handler hears of it, and not Qt."""
    heard = []
    with asyncslot.AsyncSlotRunner() as loop:
        loop.set_exception_handler(lambda _, context: heard.append(context["exception"]))

        async def call():
            with pytest.raises(TypeError, match=r"_both\(\) missing 1 required positional argument: 'b'"):
                await asyncSlot(_both)(7)

        task = loop.create_task(call())
        spin(task.done)
        task.result()
        assert heard == []
        asyncSlot(_both)(7)
        spin(lambda: heard)
    assert [type(error) for error in heard] == [TypeError]


# -- when it runs --------------------------------------------------------------


def test_the_first_step_runs_inside_the_emission(sender, wrap, spin):
    """Up to the first await that waits, before emit() returns; the rest later."""

    async def slot():
        seen.append("first step")
        await asyncio.sleep(0)
        seen.append("second step")

    connected = wrap(slot)
    sender.none.connect(connected)
    sender.none.emit()
    seen.append("emitted")
    spin(lambda: len(seen) == 3)
    assert seen == ["first step", "emitted", "second step"]


def test_the_first_step_is_in_a_task(sender, wrap, spin):
    """current_task() and get_running_loop() are the slot's in each step, and neither is left behind."""

    async def slot():
        seen.append((asyncio.current_task(), asyncio.get_running_loop()))
        await asyncio.sleep(0)
        seen.append((asyncio.current_task(), asyncio.get_running_loop()))

    connected = wrap(slot)
    sender.none.connect(connected)
    sender.none.emit()
    assert asyncio._get_running_loop() is None
    spin(lambda: len(seen) == 2)
    assert isinstance(seen[0][0], asyncio.Task)
    assert seen[0] == seen[1]


def test_a_double_click_sends_one_order(app, wrap, spin):
    """The button is disabled when the first click returns, so a second one does nothing."""
    button = QtWidgets.QPushButton("Send order")

    async def send_order():
        button.setEnabled(False)
        await asyncio.sleep(0.01)
        seen.append("sent")
        button.setEnabled(True)

    slot = wrap(send_order)
    button.clicked.connect(slot)
    button.click()
    assert not button.isEnabled()
    button.click()
    spin(button.isEnabled)
    assert seen == ["sent"]


def test_an_emission_inside_a_task_suspends_that_task(sender, lease, wrap, spin):
    """The slot's first step is its own task's; afterwards the emitting task is current again."""

    async def slot():
        seen.append(("slot", asyncio.current_task()))
        await asyncio.sleep(0)

    async def emit():
        seen.append(("emitter", asyncio.current_task()))
        sender.none.emit()
        seen.append(("emitter", asyncio.current_task()))

    connected = wrap(slot)
    sender.none.connect(connected)
    task = lease.create_task(emit())
    spin(task.done)
    assert [who for who, _ in seen] == ["emitter", "slot", "emitter"]
    assert seen[0] == seen[2] == ("emitter", task)
    assert seen[1][1] is not task


def test_one_emission_starts_every_connected_slot_in_order(sender, wrap):
    """Each in a task of its own."""
    slots = [wrap(functools.partial(_with_prefix, number)) for number in (10, 20)]
    for slot in slots:
        sender.two.connect(slot)
    sender.two.emit(7, "seven")
    assert seen == [17, 27]


def test_an_emission_in_another_thread_runs_in_the_receivers_thread(sender, wrap, spin):
    """A QObject's slots belong to its thread, coroutines included."""

    class Here(QtCore.QObject):
        async def method(self, number):
            seen.append((number, threading.current_thread()))

    receiver = Here()
    sender.two.connect(wrap(receiver.method))
    thread = threading.Thread(target=sender.two.emit, args=(7, "seven"))
    thread.start()
    thread.join()
    assert seen == []
    spin(lambda: seen)
    assert seen == [(7, threading.main_thread())]


def test_a_task_can_be_cancelled_by_another_slot(app, lease, spin):
    """A slot keeps its task, and a plain slot cancels it later."""
    start, cancel = QtWidgets.QPushButton(), QtWidgets.QPushButton()

    class Job:
        async def run(self):
            self.task = asyncio.current_task()
            try:
                await asyncio.sleep(60)
            finally:
                seen.append("cleaned up")

        def cancel(self):
            self.task.cancel()

    job = Job()
    start.clicked.connect(lease.slot(job.run))
    cancel.clicked.connect(job.cancel)
    start.click()
    cancel.click()
    spin(job.task.done)
    assert job.task.cancelled()
    assert seen == ["cleaned up"]

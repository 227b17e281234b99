"""What the project's README promised from its first day, claim by claim, numbered 1 to 47.

A claim is either shown by a test in this file or in test_interleaving.py whose name begins with its number, or by the
test that ELSEWHERE names, or it is one that no test can show, and then UNTESTED says why. The first test here counts.
"""

import asyncio
import email
import inspect
import re
import sys
import threading
import time
from pathlib import Path

import pytest
from qtpy import QtCore, QtWidgets

from asyncslot import AsyncSlotEventLoop, AsyncSlotRunner

ROOT = Path(__file__).resolve().parents[2]
TESTS = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}

ELSEWHERE = {
    2: "test_loop.py::test_streams_over_tcp",  # asyncio's libraries work
    4: "test_slots.py::test_a_bool_that_nobody_wants_is_dropped",  # connect(asyncSlot(fn)), and click() runs it
    5: "test_examples.py::test_minimal_gui_says_hi_once_for_a_double_click",  # the smallest program
    17: "test_errors.py::test_without_an_application_the_error_says_to_make_one",  # both modes need one
    24: "test_slots.py::test_what_only_looks_like_a_coroutine_function_is_refused",  # asyncSlot wraps `async def`
    25: "test_slots.py::test_an_unwrapped_coroutine_function_does_nothing",
    26: "test_slots.py::test_slot_declarations_above_and_below_are_kept",  # Slot and pyqtSlot, in either order
    27: "test_slot_lifetimes.py::test_asyncslot_starts_by_run_task_of_the_running_loop",
    28: "test_lease.py::test_run_task_takes_its_first_step_at_once",
    29: "test_slots.py::test_a_double_click_sends_one_order",
    30: "test_slot_lifetimes.py::test_asyncslot_needs_a_loop",
    31: "test_slot_lifetimes.py::test_asyncslot_refuses_a_foreign_running_loop",
    32: "test_slots.py::test_asyncslot_works_as_a_decorator_in_a_class",
    33: "test_slot_lifetimes.py::test_cancelled_error_makes_no_noise",
    34: "test_slots.py::test_the_first_step_is_in_a_task",
    35: "test_slots.py::test_a_task_can_be_cancelled_by_another_slot",
    37: "test_attached_and_nested.py::test_nested_mode_runs_qt",  # Qt's timers run where asyncio alone would block
    44: "test_attached_and_nested.py::test_an_idle_loop_sleeps",  # no busy wake-ups
}

UNTESTED = {
    1: "The name and the badges claim nothing that runs.",
    8: "Systems: this suite runs where it is started, by scripts/wine.py on Windows under wine; README tells.",
    45: "The order of I/O and timers that are due at once is expressly not specified.",
    47: "The history of the project claims nothing that runs.",
}


def test_every_claim_is_shown_once_or_has_a_reason_why_not():
    """All of 1 to 47, and every test that the table names exists."""
    shown = []
    for name in ("test_promises.py", "test_interleaving.py"):
        numbers = re.findall(r"^def test_claim_(\d\d)_", TESTS[name].read_text(encoding="utf-8"), re.MULTILINE)
        shown += sorted({int(number) for number in numbers})
    assert sorted([*shown, *ELSEWHERE, *UNTESTED]) == list(range(1, 48))
    for claim, place in ELSEWHERE.items():
        name, _, test = place.partition("::")
        source = TESTS[name].read_text(encoding="utf-8")
        assert re.search(rf"^def {test}\(", source, re.MULTILINE), f"claim {claim}: there is no {place}"


# -- what is installed -----------------------------------------------------------


@pytest.fixture
def metadata():
    """What pip has noted down of this project."""
    try:
        from importlib.metadata import distributions
    except ImportError:  # Python 3.7; pytest brings it there
        from importlib_metadata import distributions
    # An editable install leaves an egg-info in the source tree, too, which says less and may be found first.
    notes = [distribution.read_text("METADATA") for distribution in distributions(name="asyncslot")]
    return email.message_from_string(next(note for note in notes if note))


@pytest.fixture
def matrix(monkeypatch):
    """scripts/matrix.py, which runs this suite on everything that is promised."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import matrix

    return matrix


def test_claim_06_every_python_from_3_7_on_is_promised_and_tested(metadata, matrix):
    """pip installs it from 3.7 on, and the matrix has a cell for each."""
    assert metadata["Requires-Python"] == ">=3.7"
    assert {cell.python_version for cell in matrix.TABLE} >= {f"3.{minor}" for minor in range(7, 14)}


def test_claim_07_every_binding_is_tested_and_the_one_that_is_loaded_is_used(matrix, lease):
    """The matrix has cells for all four; in this process it is the one that the tests have loaded."""
    assert {cell.binding for cell in matrix.TABLE} == {"PyQt5", "PyQt6", "PySide2", "PySide6"}
    module = type(QtWidgets.QApplication.instance()).__module__
    assert lease.loop._as_qt_core.__name__ == module.replace("QtWidgets", "QtCore")


def test_claim_09_a_plain_install_brings_no_qt(metadata):
    """Inside a host the right Qt is there already; the only thing that is installed is QtPy."""
    unconditional = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert [re.match(r"[\w-]+", line).group().lower() for line in unconditional] == ["qtpy"]


@pytest.mark.parametrize("binding", ["PyQt5", "PyQt6", "PySide2", "PySide6"])
def test_claim_10_an_extra_installs_each_binding(metadata, binding):
    """pip install asyncslot[PyQt5] and so on."""
    required = [line for line in metadata.get_all("Requires-Dist") if re.search(rf"extra == .{binding}\b", line, re.I)]
    assert required
    assert all(line.startswith(binding) for line in required)


def test_claim_46_the_licence_is_bsd():
    """And it lies where everybody looks for it; that nothing was copied is for readers to see."""
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Redistribution and use in source and binary forms" in text
    assert "Neither the name" in text


# -- two modes -------------------------------------------------------------------


def qt_loop_level():
    return QtCore.QThread.currentThread().loopLevel()


def test_claim_03_the_runner_wraps_the_application_and_leaves_nothing(app):
    """Inside the `with` block the loop is the running one; afterwards it is closed and nobody's."""
    levels = []
    with AsyncSlotRunner() as loop:
        assert asyncio.get_event_loop() is loop
        assert loop.is_running()
        loop.call_later(0.01, lambda: (levels.append(qt_loop_level()), app.quit()))
        exec_application(app)
    assert levels == [1]
    assert loop.is_closed()
    assert asyncio._get_running_loop() is None


def exec_application(app):
    return (getattr(app, "exec", None) or app.exec_)()


def test_claim_11_the_loop_is_asyncios_and_runs_inside_a_qt_loop(app):
    """It is a BaseEventLoop, and while a callback runs there is a Qt loop further out."""
    assert issubclass(AsyncSlotEventLoop, asyncio.BaseEventLoop)
    levels = []
    loop = AsyncSlotEventLoop()
    loop.call_soon(lambda: levels.append(qt_loop_level()))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert levels == [1]


async def count(numbers):
    for number in range(3):
        numbers.append(number)
        await asyncio.sleep(0.001)
    return sum(numbers)


@pytest.mark.parametrize("mode", ["attached", "nested"])
def test_claim_12_the_same_coroutine_runs_in_both_modes(app, mode, spin):
    """Attached to a Qt loop that somebody else runs, or nested: with one that it runs itself."""
    numbers = []
    loop = AsyncSlotEventLoop()
    if mode == "attached":
        with loop:
            task = loop.create_task(count(numbers))
            spin(task.done)
        assert task.result() == 3
    else:
        assert loop.run_until_complete(count(numbers)) == 3
    loop.close()
    assert numbers == [0, 1, 2]


def test_claim_13_with_loop_makes_it_the_running_one_and_runs_no_qt(app):
    """Entering takes no time and processes no Qt event."""
    ticks = []
    timer = QtCore.QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(0)
    loop = AsyncSlotEventLoop()
    start = time.monotonic()
    with loop:
        assert asyncio._get_running_loop() is loop
    assert time.monotonic() - start < 0.1
    timer.stop()
    assert asyncio._get_running_loop() is None
    assert ticks == []
    loop.close()


def test_claim_14_nothing_runs_until_the_application_does(app, spin):
    """The block may do what it likes before app.exec(); tasks wait for Qt."""
    numbers = []
    with AsyncSlotRunner() as loop:
        task = loop.create_task(count(numbers))
        time.sleep(0.02)
        assert numbers == []
        spin(task.done)
    assert numbers == [0, 1, 2]


def test_claim_15_run_forever_runs_a_nested_qt_loop_until_stop(app):
    """Also where a Qt loop is running already: one level deeper, and back."""
    levels = []
    loop = AsyncSlotEventLoop()
    loop.call_later(0.01, lambda: (levels.append(qt_loop_level()), loop.stop()))
    outer = QtCore.QEventLoop()

    def nest():
        levels.append(qt_loop_level())
        loop.run_forever()
        levels.append(qt_loop_level())
        outer.quit()

    QtCore.QTimer.singleShot(0, nest)
    (getattr(outer, "exec", None) or outer.exec_)()
    loop.close()
    assert levels == [1, 2, 1]


def asyncio_run(main):
    """Run a coroutine the way asyncio's manual says, on our loop; Pythons differ in how they are told."""
    if sys.version_info >= (3, 12):
        return asyncio.run(main, loop_factory=AsyncSlotEventLoop)
    if sys.version_info >= (3, 11):
        with asyncio.Runner(loop_factory=AsyncSlotEventLoop) as runner:
            return runner.run(main)

    class Policy(asyncio.DefaultEventLoopPolicy):
        _loop_factory = AsyncSlotEventLoop

    asyncio.set_event_loop_policy(Policy())
    try:
        return asyncio.run(main)
    finally:
        asyncio.set_event_loop_policy(None)


def test_claim_16_nested_mode_is_the_usual_asyncio_workflow(app):
    """asyncio.run() and run_until_complete(), one after the other as in a script."""
    assert asyncio_run(count([])) == 3
    loop = AsyncSlotEventLoop()
    assert loop.run_until_complete(asyncio.wait_for(count([]), 5)) == 3
    assert loop.run_until_complete(count([])) == 3
    loop.close()


@pytest.mark.parametrize("kind", ["QtCore.QCoreApplication", "QtGui.QGuiApplication", "QtWidgets.QApplication"])
def test_claim_18_every_kind_of_application_will_do(run_python, kind):
    """With a GUI and without, in both modes."""
    run_python(
        f"""
import asyncio
from qtpy import QtCore, QtGui, QtWidgets
import asyncslot

app = {kind}([])
loop = asyncslot.AsyncSlotEventLoop()
assert loop.run_until_complete(asyncio.sleep(0.001, "nested")) == "nested"
loop.close()
with asyncslot.AsyncSlotRunner():
    asyncio.get_event_loop().call_later(0.001, app.quit)
    (getattr(app, "exec", None) or app.exec_)()
with asyncslot.attach("test") as lease:
    lease.create_task(asyncio.sleep(0.001)).add_done_callback(lambda _: app.quit())
    (getattr(app, "exec", None) or app.exec_)()
"""
    )


# -- cleaning up -----------------------------------------------------------------


async def generate(log):
    """An asynchronous generator that somebody stops iterating over half-way."""
    try:
        yield 1
    finally:
        log.append(asyncio.get_event_loop())
        await asyncio.sleep(0.05)
        log.append("cleaned up")


async def leave_work(log):
    """Leave a half-used generator and used executor threads to whoever cleans up."""
    generator = generate(log)
    await generator.__anext__()
    log.append(generator)  # as long as it lives, only the shutdown ends it
    await asyncio.get_event_loop().run_in_executor(None, int)


def executor_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("asyncslot")]


def wait_for_executor_threads():
    """Wait for threads that have been told to end; Python 3.7 and 3.8 have nothing that does."""
    for thread in executor_threads():
        thread.join(5)


def test_claim_19_the_clean_up_recipe_releases_everything(app):
    """shutdown_asyncgens(), shutdown_default_executor() and close(); descriptors are counted by a fixture."""
    log = []
    loop = AsyncSlotEventLoop()
    loop.run_until_complete(leave_work(log))
    assert executor_threads()
    loop.run_until_complete(loop.shutdown_asyncgens())
    if hasattr(loop, "shutdown_default_executor"):  # Python 3.9
        loop.run_until_complete(loop.shutdown_default_executor())
        assert not executor_threads()
    loop.close()
    wait_for_executor_threads()
    assert log[1:] == [loop, "cleaned up"]


def test_claim_20_the_shutdown_functions_are_coroutines_that_run_in_the_loop(app):
    """What a generator does in its clean-up runs with our loop current."""
    log = []
    loop = AsyncSlotEventLoop()
    names = ["shutdown_asyncgens", "shutdown_default_executor"][: 1 + hasattr(loop, "shutdown_default_executor")]
    assert all(inspect.iscoroutinefunction(getattr(loop, name)) for name in names)
    loop.run_until_complete(leave_work(log))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    wait_for_executor_threads()
    assert log[1] is loop


def test_claim_21_the_runner_cleans_up_by_itself(app, spin):
    """Tasks are cancelled, generators are closed, threads ended, the loop closed."""
    log = []
    with AsyncSlotRunner() as loop:
        spin(loop.create_task(leave_work(log)).done)
        forgotten = loop.create_task(asyncio.sleep(3600))
    wait_for_executor_threads()
    assert forgotten.cancelled()
    assert log[1:] == [loop, "cleaned up"]
    assert loop.is_closed()


async def leave_generator(may_end, log):
    """Leave a generator whose clean-up ends when it may."""

    async def generate():
        try:
            yield
        finally:
            while not may_end.is_set():  # noqa: ASYNC110 - of a thread, in the other case
                await asyncio.sleep(0.001)
            log.append("cleaned up")

    log.append(generate())  # as long as it lives, only the shutdown ends it
    await log[0].__anext__()


async def leave_job(may_end, log):
    """The same for a job in a thread, for which nobody waits but the shutdown."""
    asyncio.get_event_loop().run_in_executor(None, lambda: (may_end.wait(5), log.append("cleaned up")))


SHUTDOWNS = {"shutdown_asyncgens": leave_generator, "shutdown_default_executor": leave_job}


@pytest.mark.parametrize("name", SHUTDOWNS)
def test_claim_22_the_runner_runs_the_shutdown_functions_with_a_qt_loop(app, spin, name):
    """A Qt timer ticks while they wait, and what they wait for is that: the GUI stays alive."""
    if not hasattr(asyncio.BaseEventLoop, name):
        pytest.skip(f"asyncio has {name}() from Python 3.9 on")
    may_end, log, ticks = threading.Event(), [], []

    def tick():
        ticks.append(1)
        if len(ticks) >= 3:
            may_end.set()

    timer = QtCore.QTimer()
    timer.timeout.connect(tick)
    with AsyncSlotRunner() as loop:
        spin(loop.create_task(SHUTDOWNS[name](may_end, log)).done)
        timer.start(5)
    timer.stop()
    wait_for_executor_threads()
    assert log[-1] == "cleaned up"
    assert may_end.is_set()


def test_claim_23_asyncio_run_cleans_up(app):
    """Nested mode is asyncio's own, so its clean-up is, too."""
    log, loops = [], []

    async def main():
        loops.append(asyncio.get_event_loop())
        log.append(asyncio.ensure_future(asyncio.sleep(3600)))
        await leave_work(log)

    asyncio_run(main())
    wait_for_executor_threads()
    assert isinstance(loops[0], AsyncSlotEventLoop)
    assert loops[0].is_closed()
    assert log[0].cancelled()
    assert log[2:] == [loops[0], "cleaned up"]

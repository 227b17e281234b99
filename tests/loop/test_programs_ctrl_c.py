"""Ctrl+C in a program that owns its application: always heard, where asyncio users expect it, and PyQt never aborts.

In each mode, whatever the program does when it comes: it sleeps, runs Python that never ends, in a coroutine or in a
slot of Qt's, or sits in a dialog; and whatever libraries have done to signal handlers before.
"""

import signal
import sys

import pytest
import qtpy

pytestmark = pytest.mark.slow

CTRL_C = """
import os
hook = sys.excepthook

def ctrl_c(*delays):
    # From a thread, after seconds: the GUI thread is asleep or busy meanwhile.
    def send():
        for delay in delays:
            time.sleep(delay)
            if sys.platform == "win32":
                signal.raise_signal(signal.SIGINT)  # in a thread, as Windows itself does; os.kill() would end us
            else:
                os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=send, daemon=True).start()

def busy():
    while True:
        pass

def ticking():
    # Python that Qt calls while the loop has nothing to do.
    timer = QtCore.QTimer(app)
    timer.timeout.connect(lambda: None)
    timer.start(1)

def is_as_before():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGINT)
    assert signal.set_wakeup_fd(-1) == -1
    assert sys.excepthook is hook

def in_runner(loop, start):
    with asyncslot.AsyncSlotRunner(loop_factory=lambda: loop):
        start()
        run(app)

def in_loop(loop, start):
    with loop:
        start()
        run(app)

def in_run_forever(loop, start):
    loop.call_soon(start)
    loop.run_forever()

def in_run_until_complete(loop, start):
    async def main():
        start()
        await asyncio.sleep(3600)
    loop.run_until_complete(main())

def in_a_task(fn):
    async def call():
        await asyncio.sleep(0)
        fn()
    tasks.append(loop.create_task(call()))
tasks = []

async def click():
    button.click()

window = QtWidgets.QWidget()
button = QtWidgets.QPushButton(window)
"""

MODES = ["in_runner", "in_loop", "in_run_forever", "in_run_until_complete"]
each_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def interrupted(program):
    """Return a function that runs a program in which Ctrl+C must end a mode with KeyboardInterrupt."""

    def interrupted(mode, start, status=0):
        done = program(
            CTRL_C
            + f"""
def start():
    {start}
raises(KeyboardInterrupt, {mode}, loop, start)
is_as_before()
print("over")
""",
            check=False,
        )
        assert (done.stdout, done.returncode) == ("over\n", status), done.stderr

    return interrupted


HANDLERS = {
    "nobody's": "",
    "put back": "old = signal.signal(signal.SIGINT, print); signal.signal(signal.SIGINT, old)",
    "removed": "loop.add_signal_handler(signal.SIGINT, print); loop.remove_signal_handler(signal.SIGINT)",
    "another one removed": "loop.add_signal_handler(signal.SIGUSR1, print); loop.remove_signal_handler(signal.SIGUSR1)",
}
if sys.platform == "win32":  # asyncio's loops have no signal handlers there
    HANDLERS = {name: source for name, source in HANDLERS.items() if "add_signal_handler" not in source}


@each_mode
@pytest.mark.parametrize("handlers", HANDLERS.values(), ids=list(HANDLERS))
@pytest.mark.parametrize("qt", ["", "ticking();"], ids=["idle", "ticking"])
def test_a_loop_with_nothing_to_do_hears_it(interrupted, mode, handlers, qt):
    """Also where somebody has added and removed signal handlers; and Python that Qt calls is not where it is raised."""
    interrupted(mode, f"{handlers}; {qt} ctrl_c(0.1)".lstrip("; "))


BUSY = {
    "a callback": "loop.call_soon(busy); ctrl_c(0.2)",
    "a task": "in_a_task(busy); ctrl_c(0.2)",
}
BUSY_UNDER_QT = {
    "a slot that a task calls": "button.clicked.connect(busy); tasks.append(loop.create_task(click())); ctrl_c(0.2)",
    "a slot": "later(busy); ctrl_c(0.2, 0.2)",
    "a slot in a task's dialog": "in_a_task(lambda: (later(busy), run(QtWidgets.QDialog()))); ctrl_c(0.2, 0.2)",
}


@each_mode
@pytest.mark.parametrize("start", BUSY.values(), ids=list(BUSY))
def test_what_never_ends_is_interrupted(interrupted, mode, start):
    """At the first Ctrl+C, as in asyncio."""
    interrupted(mode, start)


@each_mode
@pytest.mark.parametrize("start", BUSY_UNDER_QT.values(), ids=list(BUSY_UNDER_QT))
def test_what_never_ends_in_code_that_qt_has_called_is_interrupted(interrupted, mode, start):
    """At the second one, if it is Qt's loop that has called."""
    status = 0
    if qtpy.PYSIDE6 and sys.version_info >= (3, 14):
        # PySide hands what a slot raises to PyErr_Print(), after which this Python exits as from Ctrl+C in the end.
        status = 0xC000013A if sys.platform == "win32" else -signal.SIGINT
    interrupted(mode, start, status)


@each_mode
@pytest.mark.parametrize("who", ["later({})", "in_a_task({})"], ids=["a slot", "a task"])
def test_a_dialog_is_closed(interrupted, mode, who):
    """As where the application quits."""
    interrupted(mode, who.format("lambda: run(QtWidgets.QDialog())") + "; ctrl_c(0.2)")


def test_a_task_may_catch_it(program):
    """As in asyncio: then the loop goes on, and Ctrl+C is heard another time."""
    program(
        CTRL_C
        + """
async def main():
    for number in range(2):
        ctrl_c(0.1)
        try:
            busy()
        except KeyboardInterrupt:
            log.append(number)
        await asyncio.sleep(0.01)
    assert sys.excepthook is hook
    return 7
assert loop.run_until_complete(main()) == 7
expect(0, 1)
is_as_before()
""",
    )


needs_runner = pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.Runner is new in Python 3.11")


@needs_runner
@pytest.mark.parametrize("main", ["asyncio.sleep(3600)", "serve()"])
@pytest.mark.parametrize("qt", ["", "ticking()"], ids=["idle", "ticking"])
def test_the_first_one_cancels_main_in_a_runner_of_asyncios(program, main, qt):
    """As in asyncio.run(): main cleans up, and KeyboardInterrupt comes out."""
    program(
        CTRL_C
        + f"""
{qt}
ctrl_c(0.2)
with asyncio.Runner(loop_factory=lambda: loop) as runner:
    raises(KeyboardInterrupt, runner.run, {main})
assert log in ([], ["main begins", "main is over"]), log
is_as_before()
""",
    )


@needs_runner
@pytest.mark.parametrize("main", ["busy()", "await refuse()"], ids=["busy", "idle"])
def test_the_second_one_interrupts_main_in_a_runner_of_asyncios(program, main):
    """It does not obey the first."""
    program(
        CTRL_C
        + f"""
async def refuse():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        log.append("refuses")
        await asyncio.sleep(3600)
async def main():
    {main}
ctrl_c(0.2, 0.2)
ticking()
with asyncio.Runner(loop_factory=lambda: loop) as runner:
    raises(KeyboardInterrupt, runner.run, main())
is_as_before()
""",
    )


def test_the_programs_own_handler_is_called_where_it_is(program):
    """`signal.signal(SIGINT, lambda *_: app.quit())` is an old recipe, and works as it did."""
    program(
        CTRL_C
        + """
def handler(*_):
    app.quit()
signal.signal(signal.SIGINT, handler)
ctrl_c(0.1)
loop.run_forever()
expect("aboutToQuit")
assert signal.getsignal(signal.SIGINT) is handler
"""
    )

"""Nested mode is the application's own run: what ends it, and what the caller, Qt's signals and asyncio's tasks see.

Each program is a process of its own: an application quits once, and what it leaves must not reach the next test.
"""

import pytest

from own_programs import CALLERS, HAS_WINDOW, each_caller, each_quit, quitting

pytestmark = pytest.mark.slow


@each_caller
@each_quit
def test_the_application_quits_and_main_learns_of_it(program, how, code, before, caller):
    """As in app.exec(): signals, exit code; main, which does not end by itself, cleans up; the caller is told."""
    program(
        quitting(caller, how)
        + f"""
exc = raises(asyncslot.ApplicationQuitError, loop.run_until_complete, serve())
assert isinstance(exc, RuntimeError)
assert exc.exit_code == loop.exit_code == {code}, exc.exit_code
expect("main begins", *{before}, "aboutToQuit", "main is over")
works_again()
assert log == []
"""
    )


@each_caller
@each_quit
def test_run_forever_returns_when_the_application_quits(program, how, code, before, caller):
    """As app.exec() does; the code is kept."""
    program(
        quitting(caller, how)
        + f"""
loop.run_forever()
assert loop.exit_code == {code}, loop.exit_code
expect(*{before}, "aboutToQuit")
works_again()
"""
    )


WAITS = {
    "an event of asyncio's, as with qasync": """
asyncio.set_event_loop(loop)
event = asyncio.Event()
app.{signal}.connect(event.set)
main = event.wait
""",
    "asyncSignal": """
async def main():
    await asyncSignal(app.{signal})
    return True
""",
    "asyncSignal, and more to do": """
async def main():
    await asyncSignal(app.{signal})
    fired = asyncio.Event()
    later(fired.set)
    await fired.wait()
    await asyncio.sleep(0.02)
    return True
""",
}


@pytest.mark.parametrize("waits", WAITS.values(), ids=list(WAITS))
@pytest.mark.parametrize("signal", ["aboutToQuit", "lastWindowClosed"])
@pytest.mark.parametrize("caller", ["a slot", "a task", "a callback"])
def test_main_that_waits_for_the_end_ends_with_its_result(program, waits, signal, caller):
    """Qt's events are handled meanwhile; nothing is cancelled."""
    program(
        waits.format(signal=signal)
        + quitting(CALLERS[caller], "window.close")
        + """
assert loop.run_until_complete(main()) is True
assert loop.exit_code in (0, None)
expect("lastWindowClosed", *["aboutToQuit"] * (loop.exit_code == 0))
works_again()
"""
    )


def test_main_that_ends_does_not_quit_the_application(program):
    """No aboutToQuit, windows stay, dialogs work; what asyncio.run() runs to clean up is no exception."""
    program(
        HAS_WINDOW
        + """
async def main():
    ticked = asyncio.Event()
    later(ticked.set)
    await ticked.wait()
    return 7
for _ in range(3):
    assert loop.run_until_complete(main()) == 7
loop.run_until_complete(loop.shutdown_asyncgens())
loop.run_until_complete(loop.shutdown_default_executor())
loop.close()
assert log == [] and loop.exit_code is None and window.isVisible()
later(app.quit)
assert run(app) == 0
expect("aboutToQuit")
"""
    )


def test_main_that_ends_leaves_dialogs_open(program):
    """They are Qt loops of their own; the run ends when they are closed."""
    program(
        HAS_WINDOW
        + """
dialog = QtWidgets.QDialog(window)
def sit():
    later(dialog.accept, 0.3)
    log.append(run(dialog))
later(sit)
assert loop.run_until_complete(asyncio.sleep(0.1, 7)) == 7
expect(1)
works_again()
"""
    )


CODES = {"before main ends": "app.exit(9); done.set()", "after it": "done.set(); app.exit(9)"}


@pytest.mark.parametrize("end", CODES.values(), ids=list(CODES))
def test_the_exit_code_is_kept_where_main_ends_at_the_same_time(program, end):
    """That the run ends by itself does not undo that the application quits."""
    program(
        f"""
asyncio.set_event_loop(loop)
done = asyncio.Event()
def end():
    {end}
later(end)
assert loop.run_until_complete(done.wait()) is True
assert loop.exit_code == 9
expect("aboutToQuit")
"""
    )


def test_main_that_quits_the_application_may_go_on(program):
    """It has some time to end by itself."""
    program(
        """
async def main():
    app.exit(3)
    await asyncio.sleep(0.05)
    return 7
assert loop.run_until_complete(main()) == 7
assert loop.exit_code == 3
expect("aboutToQuit")
"""
    )


def test_main_that_is_cancelled_may_return_all_the_same(program):
    """Then that is the result."""
    program(
        """
async def main():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        return 7
later(app.quit)
assert loop.run_until_complete(main()) == 7
later(app.quit)
async def fail():
    try:
        await asyncio.sleep(3600)
    finally:
        raise ValueError("of main's")
raises(ValueError, loop.run_until_complete, fail())
"""
    )


@pytest.mark.parametrize("where", ["a task", "a callback", "asyncSlot", "main", "a task's dialog"])
def test_sys_exit_quits_the_application(program, where):
    """SystemExit comes out, and Qt says aboutToQuit, as with AsyncSlotRunner."""
    program(
        f"""
async def leave():
    await asyncio.sleep(0.02)
    sys.exit(3)
def callback():
    sys.exit(3)
async def sit():
    ending.append(loop.create_task(leave()))
    run(QtWidgets.QDialog())
ending = []
where = {where!r}
if where == "a task":
    ending.append(loop.create_task(leave()))
elif where == "a callback":
    loop.call_later(0.02, callback)
elif where == "asyncSlot":
    slot = asyncslot.asyncSlot(leave)
    later(slot)
elif where == "a task's dialog":
    ending.append(loop.create_task(sit()))
main = leave() if where == "main" else asyncio.sleep(3600)
exc = raises(SystemExit, loop.run_until_complete, main)
assert exc.code == 3
expect("aboutToQuit")
works_again()
"""
    )


def test_an_exception_in_a_callback_is_reported_and_main_goes_on(program):
    """As in asyncio."""
    program(
        """
loop.set_exception_handler(lambda loop, context: log.append(type(context["exception"])))
loop.call_soon(lambda: 1 / 0)
assert loop.run_until_complete(asyncio.sleep(0.02, 7)) == 7
expect(ZeroDivisionError)
"""
    )


def test_stop_is_told_as_by_asyncio(program):
    """It is not the application that quits."""
    program(
        """
async def main():
    await asyncio.sleep(3600)
later(loop.stop)
exc = raises(RuntimeError, loop.run_until_complete, main())
assert str(exc) == "Event loop stopped before Future completed.", exc
expect()
works_again()
"""
    )


def test_inside_a_running_qt_loop_it_is_a_loop_of_its_own(program):
    """Where exec() runs already, a slot may run another loop of asyncio's, and the application goes on."""
    program(
        HAS_WINDOW
        + """
def slot():
    log.append(loop.run_until_complete(asyncio.sleep(0.02, 7)))
    assert loop.exit_code is None
    log.append("goes on")
    later(app.quit)
later(slot)
assert run(app) == 0
expect(7, "goes on", "aboutToQuit")
"""
    )


def test_a_run_ends_though_qt_is_never_idle(program):
    """A 0 ms timer of the program's, with which Windows' dispatcher never sleeps."""
    program(
        """
timer = QtCore.QTimer()
timer.timeout.connect(lambda: None)
timer.start(0)
for _ in range(3):
    assert loop.run_until_complete(asyncio.sleep(0.01, 7)) == 7
timer.stop()
works_again()
"""
    )

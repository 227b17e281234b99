"""Nested mode is the application's own run: what ends it, and what the caller, Qt's signals and asyncio's tasks see.

Each program is a process of its own: an application quits once, and what it leaves must not reach the next test.
"""

import pytest

pytestmark = pytest.mark.slow

# How an application quits, from a slot of Qt's and from inside a task; and its exit code.
QUITS = {
    "quit()": ("app.quit", 0, []),
    "exit(9)": ("lambda: app.exit(9)", 9, []),
    "the last window": ("window.close", 0, ["lastWindowClosed"]),
    "an action connected to quit": ("action.trigger", 0, []),
    "a quit that is posted": ("lambda: app.postEvent(app, QtCore.QEvent(QUIT))", 0, []),
}
CALLERS = {
    "a slot": "later({how})",
    "a task": "async def end():\n    await asyncio.sleep(0.02)\n    ({how})()\nending = loop.create_task(end())",
    "a callback": "loop.call_later(0.02, {how})",
    "a dialog": """
def sit():
    later({how})
    run(QtWidgets.QDialog(window))
later(sit)
""",
    "a task's dialog": """
async def sit():
    later({how})
    run(QtWidgets.QDialog(window))
ending = loop.create_task(sit())
""",
}
HAS_WINDOW = """
window = QtWidgets.QWidget()
window.show()
action = getattr(QtWidgets, "QAction", None) or QtGui.QAction
action = action(window)
action.triggered.connect(app.quit)
"""

each_quit = pytest.mark.parametrize(("how", "code", "before"), QUITS.values(), ids=list(QUITS))
each_caller = pytest.mark.parametrize("caller", CALLERS.values(), ids=list(CALLERS))


def quitting(caller, how):
    return HAS_WINDOW + caller.format(how=how)


@each_caller
@each_quit
def test_the_application_quits_and_main_learns_of_it(program, how, code, before, caller):
    """As in app.exec(): signals, exit code; main, which does not end by itself, cleans up; the caller is told."""
    if "QDialog" in caller and how == "window.close":
        pytest.skip("a dialog is a window, too")
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
    if "QDialog" in caller and how == "window.close":
        pytest.skip("a dialog is a window, too")
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

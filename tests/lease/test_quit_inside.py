"""The end comes while something of the plug-in's is on the stack: its task quits, detaches, or sits in a dialog.

On Qt 6 `aboutToQuit` comes under the task then, and Qt's loop does not run any more afterwards. What has to wait for
the stack to unwind is done when it has, with asyncio alone. Each case is an application of its own, from start to exit.
"""

import os

import pytest

import senders
from whole_or_nothing import PRELUDE

pytestmark = pytest.mark.slow

# What the task does when it goes on: rest(); how many tasks have ended in time then, at least and at most (a task that
# returns may have done so before `aboutToQuit` comes), and how many are abandoned.
CLEAN_UPS = {
    "returns": (
        """
async def rest():
    log.append("cleaned up")
""",
        (0, 1),
        0,
    ),
    "finally": (
        """
async def rest():
    try:
        await asyncio.sleep(3600)
    finally:
        log.append("cleaned up")
""",
        (1, 1),
        0,
    ),
    "finally with an await": (
        """
async def rest():
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0.001)
        log.append("cleaned up")
""",
        (1, 1),
        0,
    ),
    "an async generator": (
        """
async def rows():
    try:
        while True:
            yield 1
    finally:
        await asyncio.sleep(0.001)
        log.append("cleaned up")

async def rest():
    async for _ in rows():
        await asyncio.sleep(3600)
""",
        (1, 2),  # asyncio may make a task that closes the generator
        0,
    ),
    "another task": (
        """
task = lease.create_task(forever())
spin(lambda: task._coro.cr_await)

async def rest():
    await task
""",
        (2, 2),
        0,
    ),
    "stubborn": (
        """
async def rest():
    log.append("cleaned up")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
""",
        (0, 0),
        1,
    ),
}

# How a task comes to be on the stack while the application quits; begin() is called when it runs.
QUITS = {
    "in a task": """
async def main():
    await asyncio.sleep(0)
    app.quit()
    await rest()
begin = lambda: lease.create_task(main())
""",
    "in a slot": """
async def main():
    app.quit()
    await rest()
begin = lease.slot(main)
""",
    "in a task that asyncio has made": """
async def main():
    await asyncio.sleep(0)
    app.quit()
    await rest()
async def make():
    kept.append(asyncio.Task(main(), loop=asyncio.get_event_loop()))
begin = lambda: lease.create_task(make())
""",
    "by exit() in a task": """
async def main():
    await asyncio.sleep(0)
    app.exit(0)
    await rest()
begin = lambda: lease.create_task(main())
""",
    "by closing the last window in a task": """
window = QtWidgets.QWidget()
window.show()
async def main():
    await asyncio.sleep(0)
    window.close()
    await rest()
begin = lambda: lease.create_task(main())
""",
    "in a callback": """
async def main():
    asyncio.get_event_loop().call_soon(app.quit)
    await rest()
begin = lambda: lease.create_task(main())
""",
    "in a neighbour's task": """
async def quit():
    app.quit()
async def main():
    third.create_task(quit())
    await rest()
third = asyncslot.attach("third")
begin = lambda: lease.create_task(main())
""",
    "in a dialog of a task": """
async def main():
    QtCore.QTimer.singleShot(5, app.quit)
    exec_(QtWidgets.QDialog())
    await rest()
begin = lambda: lease.create_task(main())
""",
    "in a Qt loop of a task": """
async def main():
    QtCore.QTimer.singleShot(5, app.quit)
    exec_(QtCore.QEventLoop())
    await rest()
begin = lambda: lease.create_task(main())
""",
    "in a task, in a dialog of another": """
async def quit():
    app.quit()
async def main():
    lease.create_task(quit())
    exec_(QtWidgets.QDialog())
    await rest()
begin = lambda: lease.create_task(main())
""",
    "in a dialog in a dialog": """
async def inner():
    QtCore.QTimer.singleShot(5, app.quit)
    exec_(QtWidgets.QDialog())
async def main():
    lease.create_task(inner())
    exec_(QtWidgets.QDialog())
    await rest()
begin = lambda: lease.create_task(main())
""",
    "in a Qt loop of a neighbour's task": """
async def wait():
    exec_(QtCore.QEventLoop())
async def main():
    third.create_task(wait())
    QtCore.QTimer.singleShot(20, app.quit)
    await rest()
third = asyncslot.attach("third")
begin = lambda: lease.create_task(main())
""",
}

OTHERS = {
    "alone": "None",
    "beside one that ends, too": "Neighbour()",
    "beside one that stays": "Neighbour(host=Host())",
}

# Tasks that may have ended besides the one that is looked at: on Qt 6 they are on the stack, too.
MORE = {"in a dialog in a dialog": 1, "in a task, in a dialog of another": 1}

# How the application ends, and what is there then.
RUN = """
kept = []
lease = asyncslot.attach("quitting")
neighbour = {other}
{act}
{rest}
QtCore.QTimer.singleShot(5, begin)
print("rc", exec_(app))
print(log, "attached" if lease.is_attached else "detached")
report = lease.detach()
"""

END = """
print(report.ended, len(report.abandoned), "the same" if asyncslot.detach("quitting") is report else "another")
if {stays}:
    assert not lease.loop.is_closed()
    assert neighbour.goes_on() and neighbour.leave()
print(lease.loop.is_closed(), [name for name in vars(asyncio) if "asyncslot" in name])
begin = None  # or a neighbour's lease, which has it, is there at exit
"""

COMPLAINTS = ("Traceback", "already executing", "never awaited", "was destroyed", "ignored GeneratorExit")


def run_to_the_end(run_python, act, clean_up, other="alone", more=0, run=RUN):
    """Run an application, and check that it has ended as it should."""
    rest, (least, most), abandoned = CLEAN_UPS[clean_up]
    source = run.replace("{other}", OTHERS[other]).replace("{act}", act).replace("{rest}", rest)
    done = run_python(PRELUDE + source + END.replace("{stays}", repr("stays" in other)))
    lines = done.stdout.splitlines()
    counts = lines.pop(2)
    assert lines == ["rc 0", "['cleaned up'] detached", "True []"]
    assert counts in [f"{ended} {abandoned} the same" for ended in range(least, most + more + 1)]
    assert not [line for line in done.stderr.splitlines() if any(words in line for words in COMPLAINTS)], done.stderr


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("quits", QUITS)
def test_an_application_that_quits_on_top_of_a_task_ends_it_well(run_python, quits, other):
    """Its clean-up runs, with the awaits in it; the loop is closed with the last lease; the report is true."""
    run_to_the_end(run_python, QUITS[quits], "finally with an await", other, MORE.get(quits, 0))


@pytest.mark.parametrize("clean_up", [name for name in CLEAN_UPS if name != "finally with an await"])
@pytest.mark.parametrize("quits", ["in a task", "in a callback", "in a dialog of a task", "in a Qt loop of a task"])
def test_all_kinds_of_clean_up_run_though_the_application_has_quit_on_top(run_python, quits, clean_up):
    """Those that do not end are abandoned in bounded time."""
    run_to_the_end(run_python, QUITS[quits], clean_up)


# -- detach() on the stack, and Qt's loop does not run any more ----------------

DETACHES = {
    "and quits": """
async def main():
    reports.append(lease.detach())
    app.quit()
    await rest()
begin = lambda: lease.create_task(main())
""",
    "having quit": """
async def main():
    app.quit()
    reports.append(lease.detach())
    await rest()
begin = lambda: lease.create_task(main())
""",
    "in a slot, and quits": """
async def main():
    reports.append(asyncslot.detach("quitting"))
    app.quit()
    await rest()
begin = lease.slot(main)
""",
    "in a dialog, which quits": """
async def main():
    QtCore.QTimer.singleShot(5, lambda: reports.append(lease.detach()))
    QtCore.QTimer.singleShot(200, app.quit)
    exec_(QtWidgets.QDialog())
    await rest()
begin = lambda: lease.create_task(main())
""",
    "in a dialog, and quits in the same breath": """
async def main():
    QtCore.QTimer.singleShot(5, lambda: (reports.append(lease.detach()), app.quit()))
    exec_(QtWidgets.QDialog())
    await rest()
begin = lambda: lease.create_task(main())
""",
    "in a callback, and quits": """
async def main():
    asyncio.get_event_loop().call_soon(lambda: (reports.append(lease.detach()), app.quit()))
    await rest()
begin = lambda: lease.create_task(main())
""",
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("detaches", DETACHES)
def test_a_task_that_detaches_itself_is_ended_well_though_the_application_quits(run_python, detaches, other):
    """Before the step is over; what detach() has returned tells, in the end, of all."""
    act = DETACHES[detaches] + "\nsame = lambda: reports[0] is lease.detach()\n"
    run = RUN + "assert same(), 'another report than the task got'\n"
    run_to_the_end(run_python, act, "finally with an await", other, run=run)


@pytest.mark.parametrize("clean_up", [name for name in CLEAN_UPS if name != "finally with an await"])
def test_all_kinds_of_clean_up_run_though_their_task_has_detached_itself_and_quit(run_python, clean_up):
    """Those that do not end are abandoned in bounded time."""
    run_to_the_end(run_python, DETACHES["and quits"], clean_up)


WITHOUT_QT = {
    "run_task()": "lease.run_task(main())",
    "a slot": "lease.slot(main)()",
    "run_until_complete()": """
try:
    lease.run_until_complete(main())
except asyncslot.DetachedError:
    pass
else:
    print("no error")
""",
}


@pytest.mark.parametrize(
    ("way", "clean_up"),
    [("run_task()", clean_up) for clean_up in CLEAN_UPS]
    + [
        (way, clean_up)
        for way in WITHOUT_QT
        for clean_up in ("finally with an await", "stubborn")
        if way != "run_task()"
    ],
)
def test_a_task_that_detaches_itself_is_ended_though_no_application_ever_runs(run_python, way, clean_up):
    """When whatever has run its step returns, all is done."""
    run = (
        """
kept = []
lease = asyncslot.attach("quitting")
neighbour = {other}
{rest}
async def main():
    reports.append(lease.detach(timeout=0.5))
    await rest()
"""
        + WITHOUT_QT[way]
        + """
report = lease.detach()
assert reports == [report]
print("rc 0")
print(log, "attached" if lease.is_attached else "detached")
"""
    )
    run_to_the_end(run_python, "", clean_up, run=run)


# -- another application -------------------------------------------------------

ANEW = """
sys.path.insert(0, {support!r})
from senders import delete_at_once
{before}
if hasattr(app, "shutdown"):
    app.shutdown()  # PySide's own way; PySide2 makes no other application before that
else:
    delete_at_once(app)
del app
app = QtWidgets.QApplication([])
again = asyncslot.attach({name!r})
assert again.is_attached and not again.loop.is_closed(), again
task = again.create_task(use())
spin(task.done)
task.result()
again.run_until_complete(use())
QtCore.QTimer.singleShot(20, app.quit)
waiting = again.create_task(forever())
print(exec_(app), again.is_attached, waiting.cancelled(), log)
asyncslot.detach("one"), asyncslot.detach("two")  # whose application never quit
print(again.loop.is_closed(), left(), works(), left())
"""

BEFORE = {
    "an attached lease": "lease = asyncslot.attach('one')",
    "an attached lease, forgotten": "asyncslot.attach('one')",
    "two attached leases": "leases = asyncslot.attach('one'), asyncslot.attach('two')",
    "a lease of another adapter": "lease = asyncslot.attach('one', host=Host())",
    "a lease that had work": "lease = asyncslot.attach('one'); spin(lease.create_task(use()).done)",
    "a lease that ended": "asyncslot.attach('one').detach()",
    "a lease that ended in its own task": """
lease = asyncslot.attach("one")
async def leave():
    lease.detach()
lease.run_task(leave())
""",
    "an application that quit in a task": """
lease = asyncslot.attach("one")
async def leave():
    app.quit()
lease.create_task(leave())
exec_(app)
""",
    "an application that quit in a dialog": """
lease = asyncslot.attach("one")
async def leave():
    QtCore.QTimer.singleShot(5, app.quit)
    exec_(QtWidgets.QDialog())
lease.create_task(leave())
exec_(app)
""",
}


# The same lease again, whose adapter does not tell it of the end of any application.
HEARS_NOTHING = ("a lease of another adapter", "one")


@pytest.mark.parametrize(
    ("before", "name", "debug"),
    [(before, name, "") for before in BEFORE for name in ("one", "other") if (before, name) != HEARS_NOTHING]
    + [(before, "one", "1") for before in ("an attached lease", "an application that quit in a task")],
)
def test_an_application_that_was_made_anew_has_a_living_loop(run_python, before, name, debug):
    """Whatever has become of those who were attached in the last one."""
    source = ANEW.replace("{support!r}", repr(os.path.dirname(senders.__file__))).replace("{name!r}", repr(name))
    done = run_python(PRELUDE + source.replace("{before}", BEFORE[before]), env={"PYTHONASYNCIODEBUG": debug})
    assert done.stdout.splitlines() == ["0 False True ['cleaned up']", "True [] True []"]

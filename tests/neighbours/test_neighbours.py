"""Other plug-ins with event loops of their own, in the same GUI thread: each goes on working beside us, and we do.

Each neighbour (neighbours.py) is tried in every order of starting and stopping beside a plug-in of ours, in a process
of its own. guests/README.md says in short what is shown here.
"""

import importlib.util

import pytest
from qtpy import API_NAME

from neighbours import BESIDE, HOST, NEEDS, NEIGHBOURS

pytestmark = pytest.mark.neighbour


@pytest.fixture
def need(guest_missing):
    """A function that skips the test if a neighbour is not installed."""

    def need(name):
        module = NEEDS.get(name)
        if module is None:
            return
        package = module.partition(".")[0]
        if package.startswith("PySide") and package != API_NAME:
            pytest.skip(f"{module} runs on {package} only")
        if importlib.util.find_spec(package) is None or importlib.util.find_spec(module) is None:
            guest_missing(f"{module} is not installed (extra 'guests' or 'guests-pyside6')")

    return need


@pytest.mark.parametrize("order", [("on", "no"), ("on", "on"), ("no", "no"), ("no", "on")], ids="-".join)
@pytest.mark.parametrize("name", NEIGHBOURS)
def test_beside(run_python, need, name, order):
    """`o` is ours, `n` the neighbour: first who starts before whom, then who stops before whom."""
    need(name)
    source = HOST + NEIGHBOURS[name] + BESIDE.replace("{order!r}", repr(order))
    assert run_python(source).stdout.split() == ["fine"]


# A neighbour that is there while `works` is done, and whose loop is published meanwhile.
WHILE_IT_RUNS = """
neighbour = Neighbour()
def story():
    yield
    works()
    yield
neighbour.live(story())
print("fine", file=sys.__stdout__)
"""


@pytest.mark.parametrize("name", ["qasync", "qtinter", "PySide6.QtAsyncio"])
def test_no_other_loop_runs_while_one_is_published(run_python, need, name):
    """asyncio's rule of one running loop per thread: asyncio.run() and our nested mode, which are not attached, say so.

    Theirs stays published.
    """
    need(name)
    works = """
def works():
    published = asyncio.get_running_loop()
    loop = asyncslot.AsyncSlotEventLoop()
    for start in (loop.run_forever, loop.__enter__, asyncslot.AsyncSlotRunner().__enter__):
        try:
            start()
        except RuntimeError as exc:
            assert "while another loop is running" in str(exc), exc
        else:
            raise AssertionError(f"{start} did not fail")
    loop.close()
    coro = asyncio.sleep(0)
    try:
        asyncio.run(coro)
    except RuntimeError as exc:
        assert "running event loop" in str(exc), exc
    else:
        raise AssertionError("asyncio.run() did not fail")
    coro.close()
    assert asyncio.get_running_loop() is published
    neighbour.works()
"""
    assert run_python(HOST + NEIGHBOURS[name] + works + WHILE_IT_RUNS).stdout.split() == ["fine"]


def test_qtasyncio_runs_the_application_or_nothing(run_python, need):
    """It refuses to run in a host whose Qt loop runs, with and without us; ours goes on."""
    need("PySide6.QtAsyncio")
    run_python(
        HOST
        + """
from PySide6 import QtAsyncio
ours, errors = Ours(), []
ours.start()
def slot():
    try:
        QtAsyncio.run()
    except RuntimeError as exc:
        errors.append(str(exc))
QtCore.QTimer.singleShot(0, slot)
spin(lambda: errors, "QtAsyncio runs")
assert errors == ["Event loop is already running"]
asyncio.set_event_loop_policy(None)  # which it leaves behind when it fails
ours.works()
ours.stop()
"""
    )


@pytest.mark.parametrize(
    ("way", "outcome"),
    [
        ("dialog_exec()", "asyncio.run() cannot be called from a running event loop"),
        ("await asyncslot.asyncModal(dialog_exec)", "done"),
    ],
    ids=["exec", "asyncModal"],
)
def test_asyncio_run_in_a_dialog_that_a_coroutine_opens(run_python, way, outcome):
    """A coroutine that sits in dialog.exec() is a step that is not over; with asyncModal() it is over."""
    run_python(
        HOST
        + f"""
found = []
def dialog_exec():
    dialog = QtWidgets.QDialog()
    def slot():
        coro = asyncio.sleep(0, "done")
        try:
            found.append(asyncio.run(coro))
        except RuntimeError as exc:
            coro.close()
            found.append(str(exc))
        dialog.accept()
    QtCore.QTimer.singleShot(0, slot)
    run(dialog)
async def main():
    {way}
lease = asyncslot.attach()
task = lease.create_task(main())
spin(task.done, "the dialog does not close")
task.result()
assert found == [{outcome!r}], found
lease.detach()
"""
    )

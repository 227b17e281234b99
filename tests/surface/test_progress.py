"""lease.progress(): what a task shows of itself, in the host's own display or in a small dialog."""

import asyncio

import pytest

import asyncslot


class Display:
    """A host's progress display that writes down what it shows."""

    def __init__(self, cancel, fails_in=()):
        self.cancel = cancel
        self.fails_in = fails_in
        self.shown = []
        self.is_closed = False

    def _fail_in(self, place):
        if place in self.fails_in:
            raise OSError(f"no {place}")

    def update(self, fraction, text):
        self._fail_in("update")
        self.shown.append((fraction, text))

    def close(self):
        self._fail_in("close")
        self.is_closed = True


@pytest.fixture
def host(recorder):
    """A host with a display; `host.displays` are those that were made, `host.fails_in` where they fail."""
    recorder.displays = []
    recorder.fails_in = set()

    def progress(title, cancel):
        if "progress" in recorder.fails_in:
            raise OSError("no progress")
        recorder.displays.append(Display(cancel, recorder.fails_in))
        return recorder.displays[-1]

    recorder.progress = progress
    return recorder


@pytest.fixture
def guest(app, host):
    with asyncslot.attach("guest", host=host) as lease:
        yield lease


def test_what_is_counted_is_shown(guest, host, spin):
    """From the first moment to the last, with a text beside it."""

    async def count():
        async with guest.progress("Tiles", total=4) as progress:
            for number in range(4):
                await asyncio.sleep(0.06)
                progress.advance(text=f"tile {number}")
        return progress.done

    task = guest.create_task(count())
    spin(task.done)
    assert task.result() == 4
    (display,) = host.displays
    assert display.shown == [(0.0, ""), (0.25, "tile 0"), (0.5, "tile 1"), (0.75, "tile 2"), (1.0, "tile 3")]
    assert display.is_closed


@pytest.mark.parametrize(
    ("fraction", "shown"), [(None, None), (0.5, 0.5), (-1.0, 0.0), (2.0, 1.0)], ids=["nobody knows", "half", "-1", "2"]
)
def test_a_fraction_is_shown_between_0_and_1(guest, host, spin, fraction, shown):
    """Whatever the plug-in has computed: a host's bar may take nothing else."""

    async def work():
        async with guest.progress("Tiles") as progress:
            progress.update(fraction, "some")
            await asyncio.sleep(0.06)

    spin(guest.create_task(work()).done)
    assert host.displays[0].shown == [(None, ""), (shown, "some")]


@pytest.mark.parametrize("total", [None, 0], ids=["None", "0"])
def test_without_a_total_nobody_knows_how_far_it_is(guest, host, spin, total):
    """Nothing to do is no division by zero."""

    async def work():
        async with guest.progress("Tiles", total) as progress:
            await asyncio.sleep(0.06)
            progress.advance()

    task = guest.create_task(work())
    spin(task.done)
    task.result()
    assert host.displays[0].shown == [(None, ""), (None, "")]


def test_the_display_is_updated_at_most_twenty_times_a_second(guest, host, spin):
    """However often a task tells of itself; and what it said last is shown, though it says nothing more."""

    shown_at = set()

    async def hurry():
        async with guest.progress("Tiles", total=10_000) as progress:
            end = guest.loop.time() + 0.25
            while guest.loop.time() < end:
                shown_at.add(progress._shown_at)
                progress.advance()
                await asyncio.sleep(0)
            progress.update(1.0)
            await asyncio.sleep(0.2)
            shown_at.add(progress._shown_at)

    spin(guest.create_task(hurry()).done)
    (display,) = host.displays
    # By the loop's clock: when the display hears of it is the machine's business.
    times = sorted(shown_at)
    assert len(times) > 1
    assert all(later - earlier > 0.049 for earlier, later in zip(times, times[1:])), times
    assert display.shown[-1] == (1.0, "")


def test_cancel_in_the_host_cancels_the_task_once(guest, host, spin):
    """A second press must not interrupt the clean-up."""
    story = []

    async def work():
        async with guest.progress("Tiles"):
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0.05)
                story.append("cleaned up")

    task = guest.create_task(work())
    spin(lambda: host.displays)
    host.displays[0].cancel()
    spin(lambda: task._fut_waiter is not None)
    host.displays[0].cancel()
    spin(task.done)
    assert task.cancelled()
    assert story == ["cleaned up"]
    assert host.displays[0].is_closed


def test_cancel_after_the_end_does_nothing(guest, host, spin):
    """The task may long be at something else."""

    async def work():
        async with guest.progress("Tiles"):
            pass
        host.displays[0].cancel()
        await asyncio.sleep(0)
        return "went on"

    task = guest.create_task(work())
    spin(task.done)
    assert task.result() == "went on"


def test_detach_takes_the_display_away(app, host, spin):
    """From a task that ends, and from one that will not."""

    async def stubborn():
        async with lease.progress("Stubborn"):
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    pass

    async def tame():
        async with lease.progress("Tame") as progress:
            progress.advance()  # a second update is due, and must not come
            await asyncio.sleep(3600)

    lease = asyncslot.attach("guest", host=host)
    lease.create_task(stubborn())
    lease.create_task(tame())
    spin(lambda: len(host.displays) == 2)
    report = lease.detach(timeout=0.05)
    assert len(report.abandoned) == 1
    assert [display.is_closed for display in host.displays] == [True, True]
    assert all("failed" not in message for message, _ in host.reports)


@pytest.mark.parametrize("place", ["progress", "update", "close"])
def test_a_display_that_fails_is_reported_once(guest, host, spin, place):
    """And the work goes on without it."""
    host.fails_in.add(place)

    async def work():
        async with guest.progress("Tiles", total=2) as progress:
            progress.advance()
            await asyncio.sleep(0.06)
            progress.advance()
        return "done"

    task = guest.create_task(work())
    spin(task.done)
    assert task.result() == "done"
    ((message, error),) = host.reports
    assert "guest: the adapter for Recorder failed to show progress" in message
    assert error is OSError


def test_a_lease_that_has_ended_shows_no_progress(app, host):
    """As it runs no tasks."""
    lease = asyncslot.attach("guest", host=host)
    lease.detach()
    with pytest.raises(asyncslot.DetachedError, match="progress"):
        lease.progress("Tiles")


# -- the dialog, where the host has no display of its own ---------------------------


def dialogs():
    from qtpy import QtWidgets

    return [each for each in QtWidgets.QApplication.topLevelWidgets() if isinstance(each, QtWidgets.QProgressDialog)]


def test_a_plain_qt_application_shows_a_dialog_that_blocks_nothing(lease, spin, windows):
    """Its button cancels the task; then it is gone."""
    from qtpy import QtCore, QtWidgets

    async def work():
        async with lease.progress("Downloading", total=4) as progress:
            progress.advance(text="one <b>of</b> four")
            await asyncio.sleep(3600)

    task = lease.create_task(work())
    spin(lambda: dialogs() and dialogs()[0].value() == 250)
    (dialog,) = dialogs()
    assert dialog.isVisible()
    assert not dialog.isModal()
    assert not dialog.testAttribute(QtCore.Qt.WidgetAttribute.WA_QuitOnClose)
    assert (dialog.windowTitle(), dialog.labelText()) == ("Downloading", "Downloading\none <b>of</b> four")
    dialog.findChild(QtWidgets.QPushButton).click()
    assert not task.done()
    spin(task.done)
    assert task.cancelled()
    spin(lambda: not dialogs())


def test_closing_the_dialog_cancels_too(lease, spin, windows):
    """As it does in every program's dialog of this kind."""

    async def work():
        async with lease.progress("Downloading"):
            await asyncio.sleep(3600)

    task = lease.create_task(work())
    spin(lambda: dialogs())
    dialogs()[0].close()
    spin(task.done)
    assert task.cancelled()
    spin(lambda: not dialogs())


def test_the_dialog_may_go_with_its_parent(app, spin, windows):
    """The host may close the window under it, whatever the task says afterwards."""
    from qtpy import QtWidgets

    window = QtWidgets.QMainWindow()

    class Host(asyncslot._hosts.PlainQt):
        def gui_parent(self):
            return window

    async def work():
        async with lease.progress("Downloading", total=2) as progress:
            window.deleteLater()
            await asyncio.sleep(0.06)
            progress.advance()
            await asyncio.sleep(0.06)
        return "went on"

    with asyncslot.attach("guest", host=Host()) as lease:
        task = lease.create_task(work())
        spin(task.done)
        assert task.result() == "went on"


def test_without_widgets_there_is_no_dialog(run_python):
    """A program on QCoreApplication has nowhere to show it; the work is done all the same."""
    done = run_python("""
import asyncio
from qtpy import QtCore
import asyncslot

app = QtCore.QCoreApplication([])

async def work():
    async with lease.progress("Downloading", total=2) as progress:
        progress.advance()
        await asyncio.sleep(0.06)
    app.quit()

with asyncslot.attach("guest") as lease:
    lease.create_task(work())
    (getattr(app, "exec", None) or app.exec_)()
print("went on")
""")
    assert done.stdout == "went on\n", done.stderr

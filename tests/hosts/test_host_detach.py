"""From where a plug-in may leave: in mini_host, each place once.

Wherever detach() is called from, it returns, the plug-in's work has ended, the host goes on (or ends, with 0), and
nobody has anything to complain about. The other scenarios are in test_host_scenarios.py, and how this works in
mini_host_user.py.
"""

import textwrap

import pytest

from mini_host_user import plugin

pytestmark = pytest.mark.slow

# Each has `act()`, which sees to it that `leave()` is called from some place.
FROM = {
    "an own task": """
        def act(self):
            self.lease.create_task(self.work())
        async def work(self):
            self.leave()
            await self.cancelled_here()
    """,
    "the first step of an own task": """
        def act(self):
            self.lease.run_task(self.work())
        async def work(self):
            self.leave()
            await self.cancelled_here()
    """,
    "a slot of its own": """
        def act(self):
            self.button = QtWidgets.QPushButton()
            self.button.clicked.connect(asyncslot.asyncSlot(self.work))
            self.button.click()
        async def work(self):
            self.leave()
            await self.cancelled_here()
    """,
    "an own callback": """
        def act(self):
            self.lease.loop.call_soon(self.leave)
    """,
    "a callback of a thread": """
        def act(self):
            threading.Thread(target=self.lease.loop.call_soon_threadsafe, args=(self.leave,)).start()
    """,
    "a done-callback": """
        def act(self):
            self.lease.create_task(asyncio.sleep(0)).add_done_callback(lambda task: self.leave())
    """,
    "the clean-up of an own task": """
        def act(self):
            self.lease.run_task(self.work()).cancel()
        async def work(self):
            try:
                await asyncio.sleep(3600)
            finally:
                self.leave()
    """,
    "a modal dialog in a slot": """
        def act(self):
            QtCore.QTimer.singleShot(0, self.open)
        def open(self):
            dialog = QtWidgets.QDialog(self.host.window)
            QtCore.QTimer.singleShot(1, self.leave)
            QtCore.QTimer.singleShot(20, dialog.accept)
            (getattr(dialog, "exec", None) or dialog.exec_)()
            say("after the dialog")
    """,
    "a modal dialog in a task": """
        def act(self):
            self.lease.create_task(self.work())
        async def work(self):
            dialog = QtWidgets.QDialog(self.host.window)
            QtCore.QTimer.singleShot(1, self.leave)
            QtCore.QTimer.singleShot(20, dialog.accept)
            (getattr(dialog, "exec", None) or dialog.exec_)()
            say("after the dialog")
            await self.cancelled_here()
    """,
    "a task beside a modal dialog in a task": """
        def act(self):
            self.lease.create_task(self.work())
        async def work(self):
            self.lease.create_task(self.other())
            dialog = QtWidgets.QDialog(self.host.window)
            QtCore.QTimer.singleShot(50, dialog.accept)
            (getattr(dialog, "exec", None) or dialog.exec_)()
            say("after the dialog")
            await self.cancelled_here()
        async def other(self):
            await asyncio.sleep(0.001)
            self.leave()
            await self.cancelled_here()
    """,
    "an async modal dialog": """
        def act(self):
            self.lease.create_task(self.work())
        async def work(self):
            dialog = QtWidgets.QDialog(self.host.window)
            QtCore.QTimer.singleShot(1, self.leave)
            QtCore.QTimer.singleShot(20, dialog.accept)
            await asyncslot.asyncModal(getattr(dialog, "exec", None) or dialog.exec_)
            say("this line is not reached")
    """,
}

LEAVING = """
    report = None
    def leave(self):
        report = asyncslot.detach(OPTIONS)
        say("attached:", self.lease.is_attached)
        self.report = report
    async def cancelled_here(self):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            say("cancelled")
            raise
"""


@pytest.mark.parametrize("options", ["", "process_events=True"], ids=["alone", "with Qt's events"])
@pytest.mark.parametrize("place", FROM)
def test_detach_from(mini_host, place, options):
    """It returns, tasks of ours that are on the stack end with their step, and the other plug-in goes on."""
    source = textwrap.dedent(LEAVING).replace("OPTIONS", options) + textwrap.dedent(FROM[place])
    lines = mini_host(
        """
        leaving, other = running["leaving"], running["other"]
        yield lives(leaving)
        leaving.act()
        yield lambda: leaving.report is not None
        yield lambda: leaving.lease._owner.pending() == []  # those on the stack
        yield wait(0.05)  # dialogs, where there is one
        yield lives(other)
        stopped = leaving.ticks
        yield lives(other)
        say("still ticking:", leaving.ticks != stopped)
        say("abandoned:", leaving.report.abandoned)
        host.plugins.reload("leaving")
        yield lives(running["leaving"])
        """,
        other=plugin(),
        leaving=plugin(source),
    )
    said = ["attached: False"]
    said += ["after the dialog"] * FROM[place].count("after the dialog")
    said += ["cancelled"] * FROM[place].count("await self.cancelled_here()")
    assert sorted(lines.said[:-2]) == sorted(said)
    assert lines.said[-2:] == ["still ticking: False", "abandoned: []"]
    assert not [line for line in lines if "Traceback" in line], lines
    assert lines.errors == ""


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (
            "aboutToQuit",
            """
            def initGui(self):
                QtCore.QCoreApplication.instance().aboutToQuit.connect(self.leave)
                self.lease = asyncslot.attach()
                self.lease.create_task(self.tick())
            """,
        ),
        (
            "lastWindowClosed",
            """
            def initGui(self):
                QtWidgets.QApplication.instance().lastWindowClosed.connect(self.leave)
                self.lease = asyncslot.attach()
                self.lease.create_task(self.tick())
            """,
        ),
        (
            "unload() after the loop, twice",
            """
            def unload(self):
                self.leave()
                self.leave()
            """,
        ),
        (
            "an atexit handler",
            """
            def unload(self):
                atexit.register(self.leave)
            """,
        ),
        (
            "an atexit handler that is detach() itself",
            """
            def unload(self):
                atexit.register(self.leave)
                atexit.register(asyncslot.detach)
            """,
        ),
    ],
    ids=lambda value: None if "\n" in value else value,
)
def test_detach_when_the_host_ends(mini_host, name, source):
    """The plug-in is told what was ended, however late it asks, and the host ends with 0."""
    source = (
        """
        def leave(self):
            report = asyncslot.detach()
            say("attached:", self.lease.is_attached, "ended:", report.ended, "abandoned:", report.abandoned)
        @staticmethod
        async def work():
            await asyncio.sleep(3600)
        def tick(self):
            return self.work()  # a task that does not keep the plug-in alive
    """.rstrip()
        + textwrap.dedent(source).replace("\n", "\n        ")
    )
    lines = mini_host("yield wait(0.02)", leaving=plugin(source))
    assert set(lines.said) == {"attached: False ended: 1 abandoned: []"}
    assert len(lines.said) == source.count("self.leave()") + source.count("(self.leave)")
    assert not [line for line in lines if "Traceback" in line], lines
    assert lines.errors == ""


def test_detach_from_del_when_the_interpreter_is_torn_down(mini_host):
    """Modules are emptied by then, and nothing can be promised but that the host ends, with 0."""
    lines = mini_host(
        "yield lives(running['leaving'])",
        leaving=plugin("""
            def unload(self):
                threading.kept_to_the_end = self
            def __del__(self):
                asyncslot.detach()
        """),
    )
    assert lines[-1] == "a_user is unloaded"


@pytest.mark.parametrize("is_announced", [True, False], ids=["after aboutToQuit", "without aboutToQuit"])
@pytest.mark.parametrize("how", ["dropped", "deleted"])
def test_detach_after_the_application_is_gone(mini_host, how, is_announced):
    """FreeCAD's order: first the application goes, then atexit's handlers are called. No crash, no complaint."""
    lines = mini_host(
        f"""
        is_announced, how = {is_announced}, {how!r}
        """
        """
        from qtpy import API_NAME
        from qtpy.QtCore import QCoreApplication
        import atexit
        if not is_announced:
            QCoreApplication.instance().blockSignals(True)
            QTimer.singleShot(50, QCoreApplication.instance().quit)  # windows cannot make it quit now
        def delete(app):
            if API_NAME.startswith("PyQt"):
                from qtpy.sip import delete
            else:
                from qtpy.shiboken import delete
            delete(app)
        if how == "deleted":
            atexit.register(delete, QCoreApplication.instance())
        """,
        leaving=plugin("""
            def initGui(self):
                atexit.register(self.leave)
                self.lease = asyncslot.attach()
                self.lease.create_task(self.tick())
                self.lease.run_task(self.clean_up())
                self.lease.to_thread(time.sleep, 3600)
            async def clean_up(self):
                try:
                    await asyncio.sleep(3600)
                finally:
                    await asyncio.sleep(0.01)
                    say("cleaned up")
            def unload(self):
                pass
            def leave(self):
                has_application = QtCore.QCoreApplication.instance() is not None
                report = asyncslot.detach(process_events=True)
                say("attached:", self.lease.is_attached, "ended:", report.ended, "abandoned:", report.abandoned)
                say("again:", asyncslot.detach().ended)
                try:
                    say("attached anew:", has_application, asyncslot.attach().detach().ended)
                except asyncslot.NoApplicationError:
                    say("attached anew:", has_application, "NoApplicationError")
        """),
    )
    assert lines.said[:3] == ["cleaned up", "attached: False ended: 2 abandoned: []", "again: 2"]
    # An application that was only dropped goes now or later, as the binding likes.
    ways = {"attached anew: False NoApplicationError", *(["attached anew: True 0"] if how == "dropped" else [])}
    assert lines.said[3:] in [[way] for way in ways]
    assert lines.errors == ""


def test_detach_from_del_of_a_dropped_plugin(mini_host):
    """A plug-in that forgets unload(), and detaches when the last reference to it goes."""
    lines = mini_host(
        """
        import gc
        yield lives(running["other"])
        host.plugins.unload("leaving")
        gc.collect()
        yield lives(running["other"])
        """,
        other=plugin(),
        leaving=plugin("""
            def initGui(self):
                self.lease = asyncslot.attach()
                self.lease.create_task(asyncio.sleep(3600))
            def unload(self):
                pass
            def __del__(self):
                report = asyncslot.detach()
                say("ended:", report.ended, "attached:", self.lease.is_attached)
        """),
    )
    assert lines.said == ["ended: 1 attached: False"]
    assert lines.errors == ""


def test_detach_before_the_host_runs_its_loop(mini_host):
    """In initGui(), where a task has not even begun; attaching again works."""
    lines = mini_host(
        """
        yield lives(running["hasty"])
        say("begun:", running["hasty"].is_begun)
        """,
        hasty=plugin("""
            is_begun = False
            def initGui(self):
                lease = asyncslot.attach()
                lease.create_task(self.begin())
                report = asyncslot.detach()
                say("ended:", report.ended, "abandoned:", report.abandoned, "closed:", lease.loop.is_closed())
                self.lease = asyncslot.attach()
                self.lease.create_task(self.tick())
            async def begin(self):
                self.is_begun = True
        """),
    )
    assert lines.said == ["ended: 1 abandoned: [] closed: True", "begun: False"]


@pytest.mark.parametrize("call", ["asyncslot.detach()", "self.lease.detach()"])
def test_detach_in_another_thread_is_an_error(mini_host, call):
    """It says which thread that was, and the lease holds."""
    lines = mini_host(
        """
        yield lives(running["threaded"])
        running["threaded"].act()
        yield lambda: running["threaded"].is_over
        yield lives(running["threaded"])
        """,
        threaded=plugin(f"""
            is_over = False
            def act(self):
                threading.Thread(target=self.work, name="worker-1").start()
            def work(self):
                try:
                    say(repr({call}))
                except asyncslot.AsyncSlotError as exc:
                    say(type(exc).__name__, "worker-1" in str(exc), self.lease.is_attached)
                self.is_over = True
        """),
    )
    assert lines.said == ["ThreadError True True"]

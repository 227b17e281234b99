"""What happens to a host when a plug-in leaves, fails, or does not leave: in mini_host, one claim per scenario.

The scenarios are those in which other packages hang, freeze or kill the host. Each test runs mini_host in a process of
its own, which has to end by itself and with 0; plug-ins have vendored copies. More about leaving is in
test_host_detach.py, about what must not harm the host in test_host_unharmed.py, about several plug-ins in
test_host_copies.py.
"""

import textwrap

import pytest

from lib import demo_server  # from scripts/, which `vendored` has put on the path when conftest imported it
from mini_host_user import plugin

pytestmark = pytest.mark.slow

# What a plug-in can be in the middle of: `begin()` starts it, `is_busy` says that it is under way.
WORK = {
    "a task": """
        def begin(self):
            self.lease.create_task(self.work())
        async def work(self):
            self.is_busy = True
            await asyncio.sleep(3600)
    """,
    "a server": """
        def begin(self):
            self.lease.create_task(self.work())
        async def work(self):
            server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
            await asyncio.open_connection(*server.sockets[0].getsockname())
            await asyncio.sleep(3600)
        async def answer(self, reader, writer):
            self.is_busy = True
            await reader.read()
    """,
    "stuck jobs": """
        def begin(self):
            # More than there are threads.
            self.jobs = [self.lease.to_thread(self.work) for _ in range(100)]
        def work(self):
            self.is_busy = True
            time.sleep(3600)
    """,
    "a subprocess": """
        def begin(self):
            self.lease.create_task(self.work())
        async def work(self):
            code = "import time; print('up', flush=True); time.sleep(3600)"
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
            self.is_busy = bool(await process.stdout.readline())
            await process.wait()
    """,
    "an async generator": """
        def begin(self):
            self.lease.create_task(self.work())
        async def numbers(self):
            try:
                yield 1
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0)
        async def work(self):
            async for _ in self.numbers():
                self.is_busy = True
    """,
    "an awaited signal": """
        def begin(self):
            self.button = QtWidgets.QPushButton()
            self.button.clicked.connect(asyncslot.asyncSlot(self.work))
            self.button.click()
        async def work(self):
            self.is_busy = True
            await asyncslot.asyncSignal(self.button.pressed)
    """,
    "a modal dialog": """
        def begin(self):
            self.lease.create_task(self.work())
        async def work(self):
            dialog = QtWidgets.QDialog(self.host.window)
            QtCore.QTimer.singleShot(0, self.opened)
            (getattr(dialog, "exec", None) or dialog.exec_)()
        def opened(self):
            self.is_busy = True
    """,
}

NOT_DETACHING = """
    is_busy = False
    def unload(self):
        pass
"""


@pytest.mark.parametrize("work", WORK)
def test_host_quits_and_nobody_detached(mini_host, work):
    """It is gone, with 0, whatever was under way; and nobody has a word to say about it."""
    lines = mini_host(
        """
        running["busy"].begin()
        yield lambda: running["busy"].is_busy
        QTimer.singleShot(0, lambda: sys.modules["qtpy.QtWidgets"].QApplication.closeAllWindows())
        """,
        busy=plugin(textwrap.dedent(NOT_DETACHING) + textwrap.dedent(WORK[work])),
    )
    assert lines == ["a_user is loaded", "busy is loaded", "busy is unloaded", "a_user is unloaded"]
    assert lines.errors == ""


def test_host_goes_on_after_detach_in_a_slot(mini_host):
    """The task is cancelled, the click is finished, and the host's loop runs as before."""
    lines = mini_host(
        """
        yield lambda: running["leaving"].ticks
        running["leaving"].button.click()
        yield lambda: running["leaving"].after
        say("is cancelled:", running["leaving"].task.cancelled())
        """,
        leaving=plugin("""
            after = None
            def initGui(self):
                self.lease = asyncslot.attach()
                self.task = self.lease.create_task(self.tick())
                self.button = QtWidgets.QPushButton()
                self.button.clicked.connect(self.leave)
            def leave(self):
                QtCore.QTimer.singleShot(0, self.hear)
                report = asyncslot.detach()
                say("ended", report.ended, "cancelled", report.cancelled, "abandoned", report.abandoned)
                say("attached:", self.lease.is_attached)
            def hear(self):
                self.after = "the host's timer"
        """),
    )
    assert lines.said == ["ended 1 cancelled 1 abandoned []", "attached: False", "is cancelled: True"]
    assert lines.errors == ""


@pytest.mark.parametrize("options", ["", ", process_events=True"], ids=["alone", "with Qt's events"])
def test_detach_does_not_wait_for_a_task_that_needs_5_s_to_clean_up(mini_host, options):
    """It returns at its timeout and names the task and its line; the task is never stepped again."""
    lines = mini_host(
        """
        slow, other = running["slow"], running["other"]
        yield lambda: slow.ticks and other.ticks
        slow.leave()
        yield wait(0.3)  # longer than the clean-up needed still
        yield lives(other)
        say("cleaned up:", slow.is_cleaned_up)
        say("in the log:", "slow: detached in" in host.window.log_panel.toPlainText())
        """,
        other=plugin(),
        slow=plugin(f"""
            is_cleaned_up = False
            def leave(self):
                self.lease.run_task(self.work(5), name="five seconds")
                self.lease.run_task(self.work(0.4), name="a little too long")
                report = asyncslot.detach(timeout=0.2{options})
                say("cleaned up:", self.is_cleaned_up)
                say(sorted(task.name for task in report.abandoned) if sys.version_info >= (3, 8) else "")
                say({{task.owner for task in report.abandoned}})
                say(["await asyncio.sleep(seconds)" in task.stack for task in report.abandoned])
            async def work(self, seconds):
                try:
                    await asyncio.sleep(3600)
                finally:
                    await asyncio.sleep(seconds)
                    self.is_cleaned_up = True
        """),
    )
    assert lines.said == [
        "cleaned up: False",
        "['a little too long', 'five seconds']" if lines.said[1] else "",  # tasks have names since Python 3.8
        "{'slow'}",
        "[True, True]",
        "cleaned up: False",
        "in the log: True",
    ]


# What a clean-up can wait for that only Qt's loop brings.
DRIVEN_BY_QT = {
    "QTimer": """
        timer = QtCore.QTimer()
        timer.setSingleShot(True)
        timer.start(50)
        await asyncslot.asyncSignal(timer.timeout)
    """,
    "QProcess": """
        process = QtCore.QProcess()
        process.start(sys.executable, ["-c", "pass"])
        await asyncslot.asyncSignal(process.finished)
    """,
    "QNetworkReply": """
        from qtpy import QtNetwork
        manager = QtNetwork.QNetworkAccessManager()
        reply = manager.get(QtNetwork.QNetworkRequest(QtCore.QUrl("SERVER/file")))
        reply.downloadProgress.connect(lambda *_: reply.abort())
        await asyncslot.asyncSignal(reply.finished)
    """,
}


def driven_by_qt(what, **replacements):
    """Return a plug-in whose task cleans up with the help of `what`."""
    source = """
        is_cleaned_up = False
        def begin(self):
            self.task = self.lease.run_task(self.work(), name="cleaner")
        async def work(self):
            try:
                await asyncio.sleep(3600)
            finally:
                await self.clean_up()
                self.is_cleaned_up = True
        async def clean_up(self):
    """
    source = textwrap.dedent(source) + textwrap.indent(textwrap.dedent(DRIVEN_BY_QT[what]), "    ")
    for old, new in replacements.items():
        source = source.replace(old, new)
    return plugin(source + "\ndef leave(self, **options):\n    return asyncslot.detach(**options)\n")


@pytest.mark.parametrize("what", DRIVEN_BY_QT)
def test_detach_names_a_task_whose_clean_up_needs_qt(mini_host, what):
    """Qt's loop does not run meanwhile, so it cannot end; detach() returns all the same."""
    with demo_server.serving() as server:
        lines = mini_host(
            """
            cleaner = running["cleaner"]
            cleaner.begin()
            report = cleaner.leave(timeout=0.3)
            say("cleaned up:", cleaner.is_cleaned_up)
            say("abandoned:", ["await asyncslot.asyncSignal" in task.stack for task in report.abandoned])
            yield wait(0.2)
            say("cleaned up:", cleaner.is_cleaned_up)
            """,
            cleaner=driven_by_qt(what, SERVER=server),
        )
    assert lines.said == ["cleaned up: False", "abandoned: [True]", "cleaned up: False"]


@pytest.mark.parametrize("what", DRIVEN_BY_QT)
def test_detach_that_processes_events_lets_a_clean_up_that_needs_qt_end(mini_host, what):
    """With process_events=True the task gets its signal, and ends."""
    with demo_server.serving() as server:
        lines = mini_host(
            """
            cleaner = running["cleaner"]
            cleaner.begin()
            report = cleaner.leave(timeout=20, process_events=True)
            say("cleaned up:", cleaner.is_cleaned_up)
            say("abandoned:", report.abandoned, "cancelled:", report.cancelled)
            yield wait(0)
            """,
            cleaner=driven_by_qt(what, SERVER=server),
        )
    assert lines.said == ["cleaned up: True", "abandoned: [] cancelled: 2"]
    assert lines.errors == ""


def test_detach_that_processes_events_leaves_user_input_for_later(mini_host):
    """What the user does meanwhile is delivered when the host's own loop runs again; QGIS's tests have a click, too."""
    lines = mini_host(
        """
        yield lambda: running["leaving"].window.isVisible()
        running["leaving"].leave()
        yield lambda: running["leaving"].moves
        say("later:", running["leaving"].moves)
        running["leaving"].window.close()
        """,
        leaving=plugin("""
            def initGui(self):
                moves = self.moves = []
                class Window(QtWidgets.QWidget):
                    def mouseMoveEvent(self, event):
                        moves.append("moved")
                self.lease = asyncslot.attach()
                self.window = Window()
                self.window.setMouseTracking(True)
                self.window.setGeometry(10, 720, 200, 60)  # beside the host's
                self.window.show()
            def leave(self):
                self.lease.run_task(self.work())
                report = asyncslot.detach(timeout=20, process_events=True)
                say("abandoned:", report.abandoned)
                say("meanwhile:", self.moves)
            async def work(self):
                try:
                    await asyncio.sleep(3600)
                finally:
                    timer = QtCore.QTimer()
                    timer.start(50)
                    # Qt's offscreen platform passes this on as a movement of the mouse, by way of its queue.
                    QtGui.QCursor.setPos(100, 750)
                    for _ in range(3):
                        await asyncslot.asyncSignal(timer.timeout)
        """),
    )
    assert lines.said == ["abandoned: []", "meanwhile: []", "later: ['moved']"]


@pytest.mark.parametrize(
    "slot",
    ["asyncslot.asyncSlot(self.hear)", "self.lease.slot(self.hear)", "asyncslot.asyncSlot(lambda_like(self))"],
    ids=["asyncSlot", "lease.slot", "a function"],
)
@pytest.mark.parametrize("others", [[], ["other"]], ids=["alone", "beside another"])
def test_signal_after_detach_is_ignored(mini_host, slot, others):
    """A button of the host's that outlives the plug-in may be clicked; after a reload the new plug-in hears it once."""
    source = """
        def watch(self, button):
            async def function():
                self.heard += 1
            lambda_like = lambda self: function
            button.clicked.connect(SLOT)
        async def hear(self):
            self.heard += 1
        heard = 0
    """.replace("SLOT", slot)
    lines = mini_host(
        """
        from qtpy.QtWidgets import QPushButton
        button = QPushButton()
        old = running["plug"]
        old.watch(button)
        button.click()
        say("attached:", old.heard)
        host.plugins.unload("plug")
        button.click()
        yield wait(0)
        say("unloaded:", old.heard)
        host.plugins.load("plug")
        running["plug"].watch(button)
        button.click()
        yield lives(running["plug"])
        say("loaded again:", old.heard, running["plug"].heard)
        """,
        plug=plugin(source),
        **{name: plugin() for name in others},
    )
    assert lines.said == ["attached: 1", "unloaded: 1", "loaded again: 1 1"]
    assert lines.errors == ""


@pytest.mark.parametrize("slot", ["asyncslot.asyncSlot(self.fail)", "self.lease.slot(self.fail)"])
@pytest.mark.parametrize("moment", ["", "await asyncio.sleep(0)"], ids=["first step", "later"])
def test_exception_in_a_slot_is_in_the_log_at_once_with_the_plugins_name(mini_host, slot, moment):
    """Not when the garbage collector comes round, and although somebody keeps the task."""
    lines = mini_host(
        """
        import gc
        gc.disable()
        failing = running["failing"]
        failing.button.click()
        log = host.window.log_panel.toPlainText
        yield lambda: "on purpose" in log()
        say("named:", "failing: Exception in a slot" in log(), "Traceback" in log(), "in fail" in log())
        yield lives(failing)
        """,
        failing=plugin(f"""
            def initGui(self):
                self.lease = asyncslot.attach()
                self.lease.create_task(self.tick())
                self.button = QtWidgets.QPushButton()
                self.button.clicked.connect({slot})
            async def fail(self):
                self.task = asyncio.current_task()
                {moment}
                raise ValueError("on purpose")
        """),
    )
    assert lines.said == ["named: True True True"]

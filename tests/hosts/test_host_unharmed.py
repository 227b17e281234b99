"""What must not harm a host: a plug-in that ends the program, loops of others, plug-ins that come and go; in mini_host.

The other scenarios are in test_host_scenarios.py, and how this works in mini_host_user.py.
"""

import textwrap

import pytest

from mini_host_user import plugin

pytestmark = pytest.mark.slow

# Where a plug-in can raise what ends a program; `{stop}` is that statement.
PLACES = {
    "a task": """
        def act(self):
            self.lease.create_task(self.stop())
        async def stop(self):
            await asyncio.sleep(0)
            {stop}
    """,
    "the first step of a task": """
        def act(self):
            self.lease.run_task(self.stop())
        async def stop(self):
            {stop}
    """,
    "a slot": """
        def act(self):
            self.button = QtWidgets.QPushButton()
            self.button.clicked.connect(asyncslot.asyncSlot(self.stop))
            self.button.click()
        async def stop(self):
            {stop}
    """,
    "a callback": """
        def act(self):
            self.lease.create_task(self.work())
        async def work(self):
            asyncio.get_event_loop().call_soon(self.stop)
        def stop(self):
            {stop}
    """,
    "a timer": """
        def act(self):
            self.lease.create_task(self.work())
        async def work(self):
            asyncio.get_event_loop().call_later(0.001, self.stop)
        def stop(self):
            {stop}
    """,
    "a done-callback": """
        def act(self):
            self.lease.create_task(asyncio.sleep(0)).add_done_callback(self.stop)
        def stop(self, task):
            {stop}
    """,
    "a protocol": """
        def act(self):
            self.lease.create_task(self.work())
        async def work(self):
            server = await asyncio.start_server(lambda reader, writer: self.stop(), "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            await asyncio.sleep(3600)
        def stop(self):
            {stop}
    """,
    "an exception handler": """
        def act(self):
            self.lease.create_task(self.work())
        async def work(self):
            asyncio.get_event_loop().set_exception_handler(lambda loop, context: self.stop())
            asyncio.get_event_loop().call_soon(lambda: 1 / 0)
        def stop(self):
            {stop}
    """,
    "the finally of a cancelled task": """
        def act(self):
            self.lease.run_task(self.stop()).cancel()
        async def stop(self):
            try:
                await asyncio.sleep(3600)
            finally:
                {stop}
    """,
}


@pytest.mark.parametrize("statement", ["sys.exit(3)", "raise KeyboardInterrupt"])
@pytest.mark.parametrize("place", PLACES)
def test_what_ends_a_program_does_not_end_the_host(mini_host, place, statement):
    """It is in the log, under the plug-in's name; the host, the plug-in's other task and the other plug-in go on."""
    lines = mini_host(
        """
        stopping, other = running["stopping"], running["other"]
        yield lives(stopping)
        stopping.act()
        log = host.window.log_panel.toPlainText
        yield lambda: "stopping: " in log() and "in stop" in log()
        yield lives(stopping)
        yield lives(other)
        report = stopping.leave()
        say("abandoned:", report.abandoned)
        """,
        other=plugin(),
        stopping=plugin(
            textwrap.dedent(PLACES[place]).format(stop=statement)
            + "\ndef leave(self):\n    return asyncslot.detach()\n"
        ),
    )
    assert lines.said == ["abandoned: []"]


# What another plug-in does in its slots with a loop that is not ours.
FOREIGN = {
    "run_forever": """
        loop = asyncio.new_event_loop()
        loop.call_later(0.02, loop.stop)
        loop.run_forever()
        loop.close()
    """,
    "asyncio.run": """
        asyncio.run(asyncio.sleep(0.02))
    """,
    "a pump": """
        Foreign.loop.call_soon(Foreign.loop.stop)
        Foreign.loop.run_forever()
    """,
}


@pytest.mark.parametrize("what", FOREIGN)
def test_loop_of_another_plugin_runs_in_its_slots(mini_host, what):
    """Every 20 ms, for as long as we are attached and afterwards; and so do we."""
    source = """
        import asyncio
        from qtpy.QtCore import QTimer

        class Foreign:
            rounds = 0
            loop = asyncio.new_event_loop()

            def initGui(self):
                self.timer = QTimer()
                self.timer.timeout.connect(self.turn)
                self.timer.start(20)
            def turn(self):
                assert asyncio._get_running_loop() is None
                WHAT
                self.rounds += 1
            def unload(self):
                self.timer.stop()
                self.loop.close()

        def classFactory(host):
            return Foreign()
    """.replace("WHAT", textwrap.indent(textwrap.dedent(FOREIGN[what]), " " * 16).strip())
    lines = mini_host(
        """
        foreign = running["foreign"]
        more = lambda: (lambda enough: lambda: foreign.rounds >= enough)(foreign.rounds + 3)
        for _ in range(3):
            yield more()
            yield lives(running["ours"])
            host.plugins.reload("ours")
        host.plugins.unload("ours")
        yield more()
        """,
        foreign=source,
        ours=plugin(),
    )
    assert not [line for line in lines if "Error" in line or "asyncslot" in line]
    assert lines.errors == ""


def test_process_is_as_the_host_had_set_it_up(mini_host):
    """Current event loop, wakeup descriptor, SIGINT's handler and hooks are the host's, with us attached and after."""
    lines = mini_host(
        """
        import asyncio, signal, socket, threading
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        signal.set_wakeup_fd(ours.fileno())
        signal.signal(signal.SIGINT, lambda *_: None)
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        def state():
            fd = signal.set_wakeup_fd(-1)
            signal.set_wakeup_fd(fd)
            return (
                asyncio.get_event_loop_policy(), asyncio.get_event_loop_policy().get_event_loop(),
                asyncio._get_running_loop(), fd, signal.getsignal(signal.SIGINT), sys.excepthook, sys.meta_path[:],
                getattr(threading, "excepthook", None), getattr(sys, "unraisablehook", None),
                sys.get_asyncgen_hooks(), dict(os.environ), [name for name in vars(asyncio) if "asyncslot" in name],
            )
        host.plugins.unload("plug")
        before = state()
        host.plugins.load("plug")
        yield lives(running["plug"])
        say("attached:", state()[:-1] == before[:-1])
        host.plugins.unload("plug")
        say("detached:", state() == before)
        asyncio.set_event_loop(None)
        loop.close()
        signal.set_wakeup_fd(-1)
        ours.close(), theirs.close()
        """,
        plug=plugin(),
    )
    assert lines.said == ["attached: True", "detached: True"]


BUSY = """
    is_busy = False
    def begin(self):
        self.lease.create_task(self.work())
    async def work(self):
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        await asyncio.open_connection(*server.sockets[0].getsockname())
        code = "import time; time.sleep(3600)"
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
        await asyncio.get_event_loop().run_in_executor(None, int)
        self.is_busy = True
        await process.wait()
"""


@pytest.mark.parametrize("how", ["reloaded", "attached anew"])
def test_attached_and_detached_30_times_it_leaves_nothing(mini_host, how):
    """No descriptor, no thread, no child process, although it was busy each time."""
    lines = mini_host(
        """
        before = None
        for _ in range(31):
            running["plug"].begin()
            yield lambda: running["plug"].is_busy and running["plug"].ticks
            if HOW == "reloaded":
                host.plugins.reload("plug")
            else:
                running["plug"].unload()
                running["plug"].__init__(host)
                running["plug"].initGui()
            yield lambda: running["plug"].ticks
            before = before or footprint()  # of the second one, as of the others
        end = time.monotonic() + 5
        yield lambda: footprint() == before or time.monotonic() > end
        say("the same footprint:", footprint() == before or (before, footprint()))
        """.replace("HOW", repr(how)),
        plug=plugin(BUSY),
    )
    assert lines.said == ["the same footprint: True"]
    assert lines.errors == ""

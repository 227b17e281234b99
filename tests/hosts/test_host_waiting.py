"""From where a plug-in may wait for a coroutine, blocking: in mini_host, each place once.

The other scenarios are in test_host_scenarios.py, and how this works in mini_host_user.py.
"""

import textwrap

import pytest

from mini_host_user import plugin

pytestmark = pytest.mark.slow

# From where `wait()` is called, which blocks until an own coroutine is done.
WAITING_IN = {
    "a slot": """
        def act(self):
            button = QtWidgets.QPushButton()
            button.clicked.connect(self.wait)
            button.click()
    """,
    "an own slot": """
        def act(self):
            button = QtWidgets.QPushButton()
            button.clicked.connect(asyncslot.asyncSlot(self.work))
            button.click()
        async def work(self):
            self.wait()
    """,
    "an own task": """
        def act(self):
            self.lease.create_task(self.work())
        async def work(self):
            self.wait()
    """,
    "unload": """
        def act(self):
            self.host.plugins.unload("waiting")
        def unload(self):
            self.wait()
            asyncslot.detach()
    """,
    "__del__": """
        def act(self):
            self.host.plugins.unload("waiting")
        @staticmethod
        async def tick():
            await asyncio.sleep(3600)
        def unload(self):
            pass
        def __del__(self):
            self.wait()
            asyncslot.detach()
    """,
    "a modal dialog": """
        def act(self):
            dialog = QtWidgets.QDialog(self.host.window)
            QtCore.QTimer.singleShot(1, self.wait)
            QtCore.QTimer.singleShot(50, dialog.accept)
            (getattr(dialog, "exec", None) or dialog.exec_)()
    """,
    "aboutToQuit": """
        def act(self):
            app = QtCore.QCoreApplication.instance()
            app.aboutToQuit.connect(self.wait)
        def initGui(self):
            # Before attach(), whose own is then called later; a host calls them in this order.
            self.act()
            self.lease = asyncslot.attach()
            self.lease.create_task(asyncio.sleep(3600))
    """,
}


@pytest.mark.parametrize("place", WAITING_IN)
def test_run_until_complete_from(mini_host, place):
    """It returns the result when it is there, and raises what the coroutine raises; then the host goes on."""
    act = "" if place == "aboutToQuit" else "running['waiting'].act()"
    lines = mini_host(
        f"""
        import gc
        yield lives(running["other"])
        {act}
        gc.collect()
        yield lives(running["other"])
        """,
        other=plugin(),
        waiting=plugin(
            """
            def wait(self, *_):
                say(self.lease.run_until_complete(asyncio.sleep(0.01, "result")))
                say(self.lease.run_until_complete(self.talk()))
                try:
                    self.lease.run_until_complete(asyncio.sleep(3600), timeout=0.02)
                except TimeoutError as exc:
                    say(type(exc).__name__)
                try:
                    self.lease.run_until_complete(self.fail())
                except ZeroDivisionError as exc:
                    say(exc)
            @staticmethod
            async def fail():
                await asyncio.sleep(0)
                1 / 0
            @staticmethod
            async def talk():
                async def answer(reader, writer):
                    writer.write(await reader.readline())
                    writer.close()
                server = await asyncio.start_server(answer, "127.0.0.1", 0)
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"hello\\n")
                line = await reader.readline()
                writer.close()
                server.close()
                return line
            """.rstrip().replace("\n    ", "\n")
            + textwrap.indent(textwrap.dedent(WAITING_IN[place]), "        ")
        ),
    )
    assert lines.said == ["result", repr(b"hello\n"), "TaskTimeoutError", "division by zero"]
    assert not [line for line in lines if "Traceback" in line], lines
    assert lines.errors == ""

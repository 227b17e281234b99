"""The server of examples/qgis_mcp in mini_host, with tools that need no QGIS: it serves in any host.

Two plug-ins serve, each with its own copy of asyncslot. The clients are threads of the user, who is a plug-in, too. How
the server does in QGIS, with more that can happen to it, is in test_qgis_mcp_serving.py.
"""

import shutil
import socket
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "qgis_mcp" / "qgis_mcp"

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.version_info < (3, 9), reason="the example is for Python 3.9, as QGIS has it"),
]

# The plug-in: what plugin.py and tools.py of the example are for QGIS.
TOY = """
import asyncio
from typing import Annotated
from qtpy.QtWidgets import QMessageBox
from ._vendor import asyncslot
from .server import McpServer, tool
from .web import listen

class Tools:
    def __init__(self, lease, host):
        self.lease = lease
        self.host = host
        self.events = []

    @tool("Title")
    async def title(self, call):
        "Return the window's title."
        return self.host.window.windowTitle()

    @tool("Work")
    async def work(self, call, steps: Annotated[int, "how many"]):
        "Work, and show to both sides how far it is."
        try:
            async with self.lease.progress("Working", total=steps) as progress:
                for step in range(steps):
                    await asyncio.sleep(0.01)
                    progress.advance()
                    call.report_progress(progress.done, steps)
        finally:
            self.events.append("by the client" if call.is_cancelled_by_client else "by somebody else")
        return "done"

    @tool("Ask")
    async def ask(self, call):
        "Ask the user."
        box = QMessageBox(self.host.window)
        box.setText("Is it so?")
        box.setStandardButtons(QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No)
        box.open()
        try:
            (answer,) = await asyncslot.asyncSignal(box.finished)
            return str(QMessageBox.StandardButton(answer) == QMessageBox.StandardButton.Yes)
        finally:
            box.close()
            box.deleteLater()

class Plugin:
    def __init__(self, host):
        self.host = host

    def initGui(self):
        self.lease = asyncslot.attach()
        self.tools = Tools(self.lease, self.host)
        server = McpServer(__name__, "1", self.tools, "a-token", application="mini_host")
        self.serving = self.lease.run_task(server.serve(listen({port})))

    def unload(self):
        self.report = asyncslot.detach()

def classFactory(host):
    return Plugin(host)
"""

# What the user's steps have.
USER = """
from concurrent.futures import ThreadPoolExecutor
from qtpy.QtWidgets import QApplication, QDialog, QMessageBox, QProgressDialog
sys.path.insert(0, {support!r})
import mcp_client
from mcp_client import Client, STATELESS, WITH_SESSIONS
pool = ThreadPoolExecutor(60)
ports = {ports}
def connect(port, revision=STATELESS):
    return pool.submit(Client, port, "a-token", revision)
def windows(kind):
    return [each for each in QApplication.topLevelWidgets() if isinstance(each, kind) and each.isVisible()]
"""


@pytest.fixture
def play(mini_host, tmp_path):
    """Return a function that plays steps in a mini_host with two servers, `first` and `second`."""

    def play(steps):
        ports = {}
        with socket.socket() as one, socket.socket() as other:
            for name, sock in (("first", one), ("second", other)):
                sock.bind(("127.0.0.1", 0))
                ports[name] = sock.getsockname()[1]
        plugins = {}
        for name, port in ports.items():
            plugins[name] = tmp_path / "source" / name
            (plugins[name] / "_vendor").mkdir(parents=True)
            (plugins[name] / "_vendor" / "__init__.py").write_text("")
            (plugins[name] / "__init__.py").write_text(TOY.replace("{port}", str(port)))
            for part in ("web.py", "server.py"):
                shutil.copy(str(EXAMPLE / part), str(plugins[name] / part))
        setting = USER.format(support=str(ROOT / "tests" / "support"), ports=ports)
        return mini_host(setting + steps, **plugins)

    return play


def test_many_calls_to_two_servers_which_are_reloaded(play):
    """Each is reloaded amid calls of both revisions, and keeps its port; then fifty calls come at a time."""
    lines = play(
        """
def work(client):
    served = 0
    while not is_over:
        try:
            served += client.call("title") == "Mini host"
        except (OSError, AssertionError, ValueError):
            pass  # in the middle of a reload
    return served, client.call("title")

is_over = []
clients = [connect(port, revision) for port in ports.values() for revision in (STATELESS, WITH_SESSIONS)]
yield lambda: all(client.done() for client in clients)
workers = [pool.submit(work, client.result()) for client in clients]
for _ in range(3):
    for name in ports:
        old = running[name]
        yield wait(0.05)
        host.plugins.reload(name)
        say(name, old.report.abandoned, old.report.seconds < 2, running[name].serving.done())
is_over.append(True)
yield lambda: all(worker.done() for worker in workers)
say("all served:", all(served > 0 and last == "Mini host" for served, last in (worker.result() for worker in workers)))
calls = [pool.submit(Client(port, "a-token").call, "title") for port in list(ports.values()) * 25]
yield lambda: all(call.done() for call in calls)
say({call.result() for call in calls})
"""
    )
    assert lines.said == ["first [] True False", "second [] True False"] * 3 + ["all served: True", "{'Mini host'}"]
    assert "Traceback" not in lines.errors, lines.errors


@pytest.mark.parametrize("revision", ["STATELESS", "WITH_SESSIONS"])
def test_either_side_cancels_and_the_other_one_hears_of_it(play, revision):
    """The user by the button of the progress dialog; the client as its revision says, which closes that dialog."""
    lines = play(
        f"revision = {revision}"
        """
client = connect(ports["first"], revision)
yield client.done
client = client.result()
call = client.start("work", steps=100000, wants_progress=True)
yield lambda: windows(QProgressDialog)
windows(QProgressDialog)[0].canceled.emit()
result = pool.submit(call.result)
yield result.done
yield lambda: not windows(QProgressDialog)
say(result.result()["content"][0]["text"], running["first"].tools.events, windows(QDialog))

call = client.start("work", steps=100000, wants_progress=True)
yield lambda: windows(QProgressDialog)
pool.submit(client.cancel, call)
yield lambda: len(running["first"].tools.events) == 2
yield lambda: not windows(QProgressDialog)
say(running["first"].tools.events[-1])
"""
    )
    assert lines.said == ["Cancelled by the user of mini_host. ['by somebody else'] []", "by the client"]


def test_a_question_is_answered_or_closed(play):
    """By the user; when the client hangs up; by the end of the plug-in, which the client is told; by the host's."""
    lines = play(
        """
client = Client(ports["first"], "a-token")
call = pool.submit(client.call, "ask")
yield lambda: windows(QMessageBox)
windows(QMessageBox)[0].button(QMessageBox.StandardButton.Yes).click()
yield call.done
say(call.result(), windows(QMessageBox))

call = client.start("ask")
yield lambda: windows(QMessageBox)
call.hang_up()
yield lambda: not windows(QMessageBox)

call = pool.submit(client.start("ask").error)
yield lambda: windows(QMessageBox)
host.plugins.reload("first")
say(windows(QMessageBox))
yield call.done
say(call.result())

call = client.start("ask")
idle = Client(ports["second"], "a-token").start("title")
yield lambda: windows(QMessageBox)
"""
    )
    assert lines.said == ["True []", "[]", "-32000"]
    assert "Traceback" not in lines.errors, lines.errors

"""The server of examples/qgis_mcp on plain asyncio, with tools that need no QGIS: for tests/house/test_example_mcp*.py.

`example`, `toys` and `serve` are fixtures, once a test file has made them such.
"""

import asyncio
import importlib
import json
import sys
import time
import types
from pathlib import Path

import mcp_client
from example_leftovers import forget

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "qgis_mcp" / "qgis_mcp"
PACKAGE = "example_mcp"
TOKEN = "a-token"

HEAD = (
    "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer a-token\r\n"
    "Content-Type: application/json\r\n"
)


def example(monkeypatch):
    """The modules web.py and server.py, without the plug-in around them."""
    package = types.ModuleType(PACKAGE)
    package.__path__ = [str(EXAMPLE)]
    monkeypatch.setitem(sys.modules, PACKAGE, package)
    yield types.SimpleNamespace(
        web=importlib.import_module(PACKAGE + ".web"), server=importlib.import_module(PACKAGE + ".server")
    )
    forget(PACKAGE)


def toys(example):
    """Tools that need no host; `events` has what happened to those that wait."""
    return make_toys(example.server)


def make_toys(server):
    from typing import Annotated, Literal  # not in Python 3.7

    class Toys:
        def __init__(self):
            self.events = []

        @server.tool("Add", reads_only=True)
        async def add(self, call, a: Annotated[int, "one"], b: Annotated[int, "other"] = 1):
            """Add two numbers."""
            return {"sum": a + b, "client": call.client}

        @server.tool("Choose")
        async def choose(self, call, what: Annotated[Literal["tea", "coffee"], "a drink"], cups: Annotated[float, ""]):
            """Choose a drink."""
            return f"{cups:g} cups of {what}"

        @server.tool("Show")
        async def show(self, call):
            """Show a picture."""
            return server.Picture(b"PNG")

        @server.tool("Wait")
        async def wait(self, call, seconds: Annotated[float, "how long"]):
            """Wait, and tell how long already."""
            try:
                for step in range(round(seconds / 0.01)):
                    call.report_progress(step, seconds / 0.01, "waiting")
                    await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                self.events.append("by the client" if call.is_cancelled_by_client else "by somebody else")
                raise
            return "waited"

        @server.tool("Leave")
        async def leave(self, call):
            """Be cancelled by somebody else, such as a user."""
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

        @server.tool("Fail")
        async def fail(self, call, how: Annotated[str, "how"]):
            """Fail."""
            raise server.ToolError("try again") if how == "told" else ZeroDivisionError("a mistake")

        @server.tool("Return at once")
        async def hurry(self, call):
            """Tell how far it is when all is done, as a thread may that has not heard yet."""
            asyncio.get_running_loop().call_soon(call.report_progress, 1)
            asyncio.get_running_loop().call_later(0.01, call.report_progress, 2)
            return "done"

        @server.tool("Return")
        async def give_nonsense(self, call):
            """Return what is no JSON."""
            return {"number": float("nan")}

    return Toys()


def serve(example, toys):
    """Return a function that runs `play(port)` in a thread while the server serves; returns what it returns.

    What reached asyncio's exception handler is a list at `serve.reported`.
    """

    async def main(play, options):
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.set_exception_handler(lambda _, context: serve.reported.append(context))
        server = example.server.McpServer("toys", "1", toys, TOKEN, application="The test", **options)
        sock = example.web.listen(0)
        serving = loop.create_task(server.serve(sock))
        playing = loop.run_in_executor(None, play, sock.getsockname()[1])
        await asyncio.wait({serving, playing}, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        await asyncio.wait({serving})
        assert serving.cancelled()
        for _ in range(10):  # what was cancelled with it ends
            await asyncio.sleep(0)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        return await playing

    def serve(play, **options):
        return asyncio.run(main(play, options))

    serve.reported = []
    yield serve
    mcp_client.hang_up_all()


def message(method="tools/list", request_id=1, **params):
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def read_answer(file):
    length = 0
    for line in iter(file.readline, b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split()[1])
    return json.loads(file.read(length))


def wait_until(condition):
    """Wait in a thread until something holds."""
    deadline = time.monotonic() + mcp_client.TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)

"""examples/qgis_mcp: its server, without QGIS. What it refuses, what it answers, and how it ends, on plain asyncio.

The tools are those of this file. The clients are threads: one that behaves, tests/support/mcp_client.py, and raw
sockets. The official client is in tests/neighbours/guests/test_mcp.py, QGIS in tests/hosts/test_qgis_mcp.py.
"""

import asyncio
import contextlib
import functools
import importlib
import json
import socket
import sys
import time
import types
from pathlib import Path

import pytest

import mcp_client
from mcp_client import STATELESS, WITH_SESSIONS

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "qgis_mcp" / "qgis_mcp"
PACKAGE = "example_mcp"
TOKEN = "a-token"

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.version_info < (3, 9), reason="the example is for Python 3.9, as QGIS has it"),
]

each_revision = pytest.mark.parametrize("revision", [STATELESS, WITH_SESSIONS])


@pytest.fixture
def example(monkeypatch):
    """The modules web.py and server.py, without the plug-in around them."""
    package = types.ModuleType(PACKAGE)
    package.__path__ = [str(EXAMPLE)]
    monkeypatch.setitem(sys.modules, PACKAGE, package)
    yield types.SimpleNamespace(
        web=importlib.import_module(PACKAGE + ".web"), server=importlib.import_module(PACKAGE + ".server")
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture
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


@pytest.fixture
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


# -- what it answers -----------------------------------------------------------


@each_revision
def test_client_lists_and_calls_tools(serve, revision):
    """With the schema made from the function's annotations."""

    def play(port):
        client = mcp_client.Client(port, TOKEN, revision, name="A client")
        tools = {tool["name"]: tool for tool in client.send("tools/list").result()["tools"]}
        return tools, client.call("add", a=2), client.call("choose", what="tea", cups=2), client.call("show")

    tools, added, chosen, shown = serve(play)
    assert tools["add"] == {
        "name": "add",
        "title": "Add",
        "description": "Add two numbers.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "a": {"type": "integer", "description": "one"},
                "b": {"type": "integer", "description": "other"},
            },
            "required": ["a"],
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    }
    assert (added, chosen, shown) == ({"sum": 3, "client": "A client"}, "2 cups of tea", "UE5H")
    assert serve.reported == []


def test_stateless_client_learns_what_is_there(serve):
    """From server/discover, and every result says who has sent it."""
    result = serve(
        lambda port: mcp_client.Client(port, TOKEN).send("server/discover").result(), instructions="Be kind."
    )
    assert result == {
        "resultType": "complete",
        "supportedVersions": [STATELESS, WITH_SESSIONS, "2025-06-18"],
        "capabilities": {"tools": {}},
        "instructions": "Be kind.",
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "toys", "version": "1"}},
    }


@pytest.mark.parametrize(
    ("wanted", "spoken"), [(WITH_SESSIONS, WITH_SESSIONS), ("2025-06-18", "2025-06-18"), ("1999-01-01", WITH_SESSIONS)]
)
def test_older_client_gets_the_revision_that_both_speak(serve, wanted, spoken):
    """Or ours, if there is none: then it is for the client to leave."""

    def play(port):
        client = mcp_client.Client(port, TOKEN, "none yet")
        answer = client.send("initialize", {"protocolVersion": wanted, "clientInfo": {"name": "x"}})
        return answer.result()["protocolVersion"], answer.header("Mcp-Session-Id")

    version, session = serve(play)
    assert version == spoken
    assert session.isascii()
    assert session.isprintable()


MISTAKES = {
    "not so": ("fail", {"how": "told"}, "try again"),
    "missing": ("add", {}, "the argument 'a' is missing. Arguments: a, b"),
    "unknown": ("add", {"a": 1, "c": 2}, "there is no argument 'c'"),
    "text for a number": ("add", {"a": "1"}, "'a' must be of type integer"),
    "truth for a number": ("add", {"a": True}, "'a' must be of type integer"),
    "not a choice": ("choose", {"what": "soup", "cups": 1}, "'what' must be one of tea, coffee"),
    "cancelled": ("leave", {}, "Cancelled by the user of The test."),
    "a mistake of the tool's": ("fail", {"how": "x"}, "ZeroDivisionError: a mistake"),
    "a result that is no JSON": ("give_nonsense", {}, "ValueError: "),
}


@each_revision
def test_what_a_tool_cannot_do_is_a_result(serve, revision):
    """For the model, which can do something about it; who can mend a tool hears of its mistakes by the loop."""

    def play(port):
        client = mcp_client.Client(port, TOKEN, revision)
        return {name: client.fail(tool, **arguments) for name, (tool, arguments, _) in MISTAKES.items()}

    said = serve(play)
    assert {name: text for name, text in said.items() if MISTAKES[name][2] not in text} == {}
    assert [context["message"] for context in serve.reported] == [
        "the MCP tool fail failed",
        "the MCP tool give_nonsense failed",
    ]


def message(method="tools/list", request_id=1, **params):
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


# What is posted by a client with a session, the status, and JSON-RPC's code.
WRONG = {
    "no JSON": (b"{", 400, -32700),
    "no UTF-8": (b'"\xff"', 400, -32700),
    "nested without end": (b"[" * 100000, 400, -32700),
    "a number": (b"1", 400, -32600),
    "a batch": (json.dumps([message()]).encode(), 400, -32600),
    "another version of JSON-RPC": (json.dumps({**message(), "jsonrpc": "1.0"}).encode(), 400, -32600),
    "params as a list": (json.dumps({**message(), "params": []}).encode(), 400, -32600),
    "an id that is none": (json.dumps(message(request_id=True)).encode(), 400, -32600),
    "an id that is null": (json.dumps(message(request_id=None)).encode(), 400, -32600),
    "an unknown method": (json.dumps(message("tools/forget")).encode(), 200, -32601),
    "a method of the other revision": (json.dumps(message("server/discover")).encode(), 200, -32601),
    "an unknown tool": (json.dumps(message("tools/call", name="no")).encode(), 200, -32602),
    "no tool": (json.dumps(message("tools/call")).encode(), 200, -32602),
    "arguments as a list": (json.dumps(message("tools/call", name="add", arguments=[1])).encode(), 200, -32602),
}


def test_what_is_no_request_is_a_protocol_error(serve):
    """And the connection, and the server, go on."""

    def play(port):
        client = mcp_client.Client(port, TOKEN, WITH_SESSIONS)
        found = {}
        for name, (body, _, _) in WRONG.items():
            answer = client.post(body)
            found[name] = (answer.status, answer.error())
        assert client.call("add", a=1)["sum"] == 2
        return found

    assert serve(play) == {name: expected for name, (_, *expected) in WRONG.items() for expected in [tuple(expected)]}
    assert serve.reported == []


# What a stateless client says, in headers other than those that fit, the status, and the code.
MISMATCHES = {
    "another method in the header": ("tools/list", {"Mcp-Method": "tools/call"}, 400, -32020),
    "no method in the header": ("tools/list", {"Mcp-Method": None}, 400, -32020),
    "another tool in the header": ("tools/call", {"Mcp-Name": "fail"}, 400, -32020),
    "no tool in the header": ("tools/call", {"Mcp-Name": None}, 400, -32020),
    "spoilt base64": ("tools/call", {"Mcp-Name": "=?base64?YWRk=?="}, 400, -32020),
    "another revision in the header": ("tools/list", {"MCP-Protocol-Version": WITH_SESSIONS}, 400, -32020),
    "no revision in the header": ("tools/list", {"MCP-Protocol-Version": None}, 400, -32020),
    "an unknown method": ("tools/forget", {}, 404, -32601),
    "a method of the other revision": ("ping", {}, 404, -32601),
    "the tool in base64": ("tools/call", {"Mcp-Name": "=?base64?YWRk?="}, 200, None),
}


def test_stateless_request_says_the_same_in_headers_and_body(serve):
    """Or whoever looks at the headers only would be led by the nose."""

    def play(port):
        client = mcp_client.Client(port, TOKEN)
        found = {}
        for name, (method, headers, _, _) in MISMATCHES.items():
            answer = client.send(method, {"name": "add", "arguments": {"a": 1}}, headers=headers)
            found[name] = (answer.status, answer.last_message().get("error", {}).get("code"))
        return found

    assert serve(play) == {name: tuple(expected[2:]) for name, expected in MISMATCHES.items()}


def test_revision_that_nobody_speaks_is_refused(serve):
    """With those that are spoken."""

    def play(port):
        answer = mcp_client.Client(port, TOKEN).post(json.dumps(message()), {"MCP-Protocol-Version": "2031-01-01"})
        return answer.status, answer.last_message()["error"]

    status, error = serve(play)
    assert (status, error["code"]) == (400, -32022)
    assert error["data"] == {"supported": [STATELESS, WITH_SESSIONS, "2025-06-18"], "requested": "2031-01-01"}


def test_session_is_one_of_ours(serve):
    """Without one there is no answer, and none for one that somebody has made up, or that was ended."""

    def play(port):
        client = mcp_client.Client(port, TOKEN, WITH_SESSIONS)
        session = client.headers["Mcp-Session-Id"]
        statuses = []
        for other in (None, "", "made.up", session[:-1] + "~", "x" + session):
            answer = client.send("tools/list", headers={"Mcp-Session-Id": other})
            statuses.append((answer.status, answer.error()))
        ended = client.post(None, method="DELETE")
        assert (ended.status, ended.read()) == (204, b"")
        answer = client.send("tools/list")
        return [*statuses, (answer.status, answer.error())]

    assert serve(play) == [(400, -32600), *[(404, -32600)] * 5]


def test_session_outlives_the_server(example, serve):
    """A new one, with the same token, knows it: after a reload nobody has to begin anew."""
    client = serve(lambda port: mcp_client.Client(port, TOKEN, WITH_SESSIONS, name="The old one"))

    def play(port):
        client.port = port
        return client.call("add", a=1)["client"]

    assert serve(play) == "The old one"


# -- progress, and cancelling --------------------------------------------------


@each_revision
def test_progress_is_sent_to_who_asks_for_it(serve, example, monkeypatch, revision):
    """It only ever grows, and the result comes last."""
    monkeypatch.setattr(example.server, "PROGRESS_INTERVAL", 0.0)

    def play(port):
        client = mcp_client.Client(port, TOKEN, revision)
        return [list(client.start("wait", seconds=0.1, wants_progress=wants).messages()) for wants in (True, False)]

    told, untold = serve(play)
    *steps, last = told
    assert [step["params"]["progress"] for step in steps] == list(range(10))
    assert steps[0]["params"] == {
        "progressToken": steps[0]["params"]["progressToken"],
        "progress": 0,
        "total": 10.0,
        "message": "waiting",
    }
    assert last["result"]["content"] == [{"type": "text", "text": "waited"}]
    assert len(untold) == 1


def test_progress_that_comes_too_late_is_not_told(serve, example, monkeypatch):
    """Least of all in the answer to the next request on that connection."""
    monkeypatch.setattr(example.server, "PROGRESS_INTERVAL", 0.0)

    def play(port):
        client = mcp_client.Client(port, TOKEN, WITH_SESSIONS)
        head = HEAD.format(port=port) + f"Mcp-Session-Id: {client.headers['Mcp-Session-Id']}\r\n"
        head += "Accept: application/json, text/event-stream\r\n"
        hurry = json.dumps(message("tools/call", 1, name="hurry", _meta={"progressToken": 1})).encode()
        wait = json.dumps(message("tools/call", 2, name="wait", arguments={"seconds": 0.05})).encode()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock, sock.makefile("rb") as file:
            for body in (hurry, wait):
                sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            return [read_answer(file)["result"]["content"][0]["text"] for _ in range(2)]

    assert serve(play) == ["done", "waited"]


def test_progress_does_not_flood(serve):
    """Twenty times a second, however often the tool says it."""

    def play(port):
        return len(list(mcp_client.Client(port, TOKEN).start("wait", seconds=0.2, wants_progress=True).messages()))

    assert 2 <= serve(play) < 15


def wait_until(condition):
    """Wait in a thread until something holds."""
    deadline = time.monotonic() + mcp_client.TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@each_revision
@pytest.mark.parametrize("wants_progress", [True, False])
def test_client_cancels(serve, toys, revision, wants_progress):
    """The tool hears of it; to a client of the older revision the answer ends, without a response."""

    def play(port):
        client = mcp_client.Client(port, TOKEN, revision)
        call = client.start("wait", seconds=60, wants_progress=wants_progress)
        if wants_progress:
            messages = call.messages()
            next(messages)
        else:
            assert client.call("add", a=1)["sum"] == 2  # so the other one has been read, too
        client.cancel(call)
        if revision == WITH_SESSIONS:
            assert [each for each in (messages if wants_progress else call.messages()) if "method" not in each] == []
        wait_until(lambda: toys.events)

    serve(play)
    assert toys.events == ["by the client"]
    assert serve.reported == []


def test_client_cancels_only_its_own_calls(serve, toys):
    """Another session has calls of the same ids."""

    def play(port):
        one, other = (mcp_client.Client(port, TOKEN, WITH_SESSIONS) for _ in range(2))
        call = one.start("wait", seconds=0.3)
        for request_id in (call.request_id, str(call.request_id), "nothing", None, [], True):
            assert other.notify("notifications/cancelled", {"requestId": request_id}) == 202
        stateless = mcp_client.Client(port, TOKEN)
        assert stateless.notify("notifications/cancelled", {"requestId": call.request_id}) in (202, 400)
        return call.result()["isError"]

    assert serve(play) is False
    assert toys.events == []


def test_ended_session_ends_its_calls(serve, toys):
    """The client that is closed sends DELETE."""

    def play(port):
        client = mcp_client.Client(port, TOKEN, WITH_SESSIONS)
        call = client.start("wait", seconds=60, wants_progress=True)
        next(call.messages())
        client.post(None, method="DELETE").read()
        wait_until(lambda: toys.events)

    serve(play)
    assert toys.events == ["by the client"]


def test_id_is_not_used_twice_at_a_time(serve):
    """Or nobody knew which one to cancel."""

    def play(port):
        client = mcp_client.Client(port, TOKEN, WITH_SESSIONS)
        params = {"name": "wait", "arguments": {"seconds": 60}}
        first = client.send("tools/call", params, request_id=7, wants_progress=True)
        next(first.messages())
        second = client.send("tools/call", params, request_id=7)
        return second.error()

    assert serve(play) == -32600


@each_revision
@pytest.mark.parametrize("wants_progress", [True, False])
def test_server_that_ends_tells_who_waits(serve, toys, revision, wants_progress):
    """As the last event, or as the answer; and the tool is cancelled, by somebody else."""

    def play(port):
        client = mcp_client.Client(port, TOKEN, revision)
        call = client.start("wait", seconds=60, wants_progress=wants_progress)
        messages = call.messages()
        if wants_progress:
            next(messages)
        assert client.call("add", a=1)["sum"] == 2
        return messages

    messages = serve(play)
    *_, last = messages
    assert last["error"] == {"code": -32000, "message": "The test has ended the server meanwhile"}
    assert toys.events == ["by somebody else"]
    assert serve.reported == []


def test_long_silence_is_filled(serve, example, monkeypatch):
    """With comments, which clients ignore, from a certain time on."""
    monkeypatch.setattr(example.server, "SIGN_OF_LIFE_INTERVAL", 0.02)

    def play(port):
        answer = mcp_client.Client(port, TOKEN).start("wait", seconds=0.2)
        return answer.header("Content-Type"), answer.read()

    kind, body = serve(play)
    assert kind == "text/event-stream"
    assert body.startswith(b":\n\n")
    assert body.count(b"data: ") == 1


# -- who is not let in ---------------------------------------------------------

OTHERS = {
    "no token": ({"Authorization": None}, 401),
    "a wrong token": ({"Authorization": "Bearer a-tokem"}, 401),
    "the beginning of the token": ({"Authorization": "Bearer a-tok"}, 401),
    "another scheme": ({"Authorization": "Basic a-token"}, 401),
    "a token that is no ASCII": ({"Authorization": "Bearer \xe4"}, 401),
    "another host": ({"Host": "example.com"}, 403),
    "another host on our port": ({"Host": "example.com:{port}"}, 403),
    "our host without the port": ({"Host": "127.0.0.1"}, 403),
    "our host in front": ({"Host": "127.0.0.1:{port}.example.com"}, 403),
    "a web page": ({"Origin": "https://example.com"}, 403),
    "a web page on this machine": ({"Origin": "http://localhost:{port}"}, 403),
    "a file in a browser": ({"Origin": "null"}, 403),
    "a form": ({"Content-Type": "text/plain"}, 415),
    "an allowed page": ({"Origin": "http://localhost:6274"}, 200),
    "localhost": ({"Host": "LOCALHOST:{port}"}, 200),
    "a scheme in lower case": ({"Authorization": "bearer a-token"}, 200),
}


def test_only_who_has_the_token_and_is_no_web_page_is_let_in(serve):
    """Nothing of a tool is run for the others."""

    def play(port):
        client = mcp_client.Client(port, TOKEN)
        found = {}
        for name, (headers, _) in OTHERS.items():
            sent = {key: value and value.format(port=port) for key, value in headers.items()}
            answer = client.send("tools/list", headers=sent)
            answer.read()
            found[name] = answer.status
        other_path, other_method = client.post(b"{}", path="/"), client.post(None, method="GET")
        assert (other_path.status, other_method.status, other_method.header("Allow")) == (404, 405, "POST, DELETE")
        return found

    assert serve(play, origins=["http://localhost:6274"]) == {name: status for name, (_, status) in OTHERS.items()}
    assert serve.reported == []


HEAD = (
    "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer a-token\r\n"
    "Content-Type: application/json\r\n"
)

# Sent as it is, after HEAD if it begins with "+"; and what comes back, or None: the connection is just closed.
RAW = {
    "another protocol": ("SSH-2.0-OpenSSH_9.2\r\n\r\n", 400),
    "an old HTTP": ("GET /mcp HTTP/1.0\r\n\r\n", 505),
    "TLS": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "no head": ("", None),
    "half a head": ("POST /mcp HTTP/1.1\r\nHost: 127", None),
    "a head without end": ("POST /mcp HTTP/1.1\r\nX: " + "x" * 20000, 431),
    "too many headers": ("POST /mcp HTTP/1.1\r\n" + "X: x\r\n" * 5000 + "\r\n", 431),
    "a header that is none": ("POST /mcp HTTP/1.1\r\nno colon\r\n\r\n", 400),
    "a header with a blank in its name": ("POST /mcp HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "a folded header": ("POST /mcp HTTP/1.1\r\nX: a\r\n b\r\n\r\n", 400),
    "a line end of its own": ("POST /mcp HTTP/1.1\r\nX: a\nHost: b\r\n\r\n", 400),
    "two hosts": ("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: example.com\r\n\r\n", 403),
    "two lengths": ("+Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}", 400),
    "two tokens": ("+Authorization: Bearer a-token\r\nContent-Length: 2\r\n\r\n{{}}", 401),
    "a length below zero": ("+Content-Length: -1\r\n\r\n", 400),
    "a length that is no number": ("+Content-Length: 0x10\r\n\r\n", 400),
    "a length in other digits": ("+Content-Length: \u00b2\r\n\r\n", 400),
    "a body that is too large": ("+Content-Length: 1048577\r\n\r\n", 413),
    "a body beyond all measure": ("+Content-Length: " + "9" * 30 + "\r\n\r\n", 413),
    "a body in chunks": ("+Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    "both": ("+Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{{}}", 411),
    "half a body": ("+Content-Length: 10\r\n\r\n{{", None),
    "no body": ("+\r\n", 400),
    "an absolute address": ("POST http://127.0.0.1:{port}/mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", 404),
}


def test_what_is_no_http_is_refused_and_the_server_goes_on(serve):
    """With a status that says why, where there was somebody to tell."""

    def play(port):
        found = {}
        for name, (sent, _) in RAW.items():
            text = (HEAD + sent[1:] if sent.startswith("+") else sent).format(port=port)
            with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
                sock.sendall(text.encode("latin-1"))
                sock.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(functools.partial(sock.recv, 65536), b""))
            found[name] = int(answer.split()[1]) if answer else None
            assert answer.count(b"\r\n\r\n") <= 1
        assert mcp_client.Client(port, TOKEN).call("add", a=1)["sum"] == 2
        return found

    assert serve(play) == {name: status for name, (_, status) in RAW.items()}
    assert serve.reported == []


def test_who_is_refused_can_read_why_although_he_goes_on_sending(serve, example, monkeypatch):
    """A body that is far too large is thrown away. A reset would take the answer along, on some systems."""
    monkeypatch.setattr(example.web, "LINGER_TIMEOUT", mcp_client.TIMEOUT)

    def play(port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            sock.sendall((HEAD.format(port=port) + "Content-Length: 20000000\r\n\r\n").encode())
            sock.sendall(b"x" * 20000000)
            sock.shutdown(socket.SHUT_WR)
            return sock.recv(65536).split()[1]

    assert serve(play) == b"413"


def test_one_connection_serves_one_request_after_the_other(serve):
    """Also after one that took its time, and what comes before the answer is there waits for its turn."""

    def play(port):
        wait = json.dumps(message("tools/call", 1, name="wait", arguments={"seconds": 0.05})).encode()
        add = json.dumps(message("tools/call", 2, name="add", arguments={"a": 1})).encode()
        client = mcp_client.Client(port, TOKEN, WITH_SESSIONS)
        head = HEAD.format(port=port) + f"Mcp-Session-Id: {client.headers['Mcp-Session-Id']}\r\n"
        requests = [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in (wait, add, wait, add)]
        answers = []
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock, sock.makefile("rb") as file:
            sock.sendall(requests[0] + requests[1])  # both at once
            answers += [read_answer(file), read_answer(file)]
            for request in requests[2:]:
                sock.sendall(request)
                answers.append(read_answer(file))
        return [answer["result"]["content"][0]["text"] for answer in answers]

    texts = serve(play)
    assert [text[:7] for text in texts] == ["waited", '{"sum":', "waited", '{"sum":']
    assert serve.reported == []


def read_answer(file):
    length = 0
    for line in iter(file.readline, b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split()[1])
    return json.loads(file.read(length))


def test_connections_have_a_limit(serve, example, monkeypatch):
    """Whoever comes after is told so, and those who are there are served."""
    monkeypatch.setattr(example.web, "MAX_CONNECTIONS", 3)

    def play(port):
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            answer = mcp_client.Client(port, TOKEN).send("tools/list")
            answer.read()
        wait_until(lambda: try_to_add(port))
        return answer.status

    assert serve(play) == 503


def try_to_add(port):
    answer = mcp_client.Client(port, TOKEN).start("add", a=1)
    answer.read()
    return answer.status == 200


def test_client_that_says_nothing_is_given_up(serve, example, monkeypatch):
    """After a minute; here, sooner."""
    monkeypatch.setattr(example.web, "REQUEST_TIMEOUT", 0.05)

    def play(port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            sock.sendall(b"POST /mcp HTTP/1.1\r\n")
            try:
                return sock.recv(1)
            except ConnectionResetError:
                return b""

    assert serve(play) == b""


def test_port_that_is_taken_is_an_oserror(example):
    """At once, and not when the first client comes; and it is free again when the other one has gone."""
    with example.web.listen(0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            example.web.listen(port)
        assert not sock.get_inheritable(), "what QGIS starts would keep the port"
    example.web.listen(port).close()


def test_tool_that_would_block_is_refused(example):
    """A plain function would run on the loop, and block the GUI."""

    def blocks(self, call):
        """Block."""

    with pytest.raises(TypeError, match="must be an `async def`"):
        example.server.tool("Block")(blocks)

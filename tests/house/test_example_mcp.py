"""examples/qgis_mcp: server.py, without QGIS. What it answers, how it cancels, and how it ends, on plain asyncio.

The tools are those of tests/support/mcp_toys.py. The clients are threads: one that behaves,
tests/support/mcp_client.py, and raw sockets. Who is let in is in test_example_mcp_web.py, the official client in
tests/neighbours/guests/test_mcp.py, QGIS in tests/hosts/test_qgis_mcp*.py.
"""

import json
import socket
import sys

import pytest

import mcp_client
import mcp_toys
from mcp_client import STATELESS, WITH_SESSIONS
from mcp_toys import HEAD, TOKEN, message, read_answer, wait_until

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.version_info < (3, 9), reason="the example is for Python 3.9, as QGIS has it"),
]

each_revision = pytest.mark.parametrize("revision", [STATELESS, WITH_SESSIONS])

example = pytest.fixture(mcp_toys.example)
toys = pytest.fixture(mcp_toys.toys)
serve = pytest.fixture(mcp_toys.serve)

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


def test_tool_that_would_block_is_refused(example):
    """A plain function would run on the loop, and block the GUI."""

    def blocks(self, call):
        """Block."""

    with pytest.raises(TypeError, match="must be an `async def`"):
        example.server.tool("Block")(blocks)


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

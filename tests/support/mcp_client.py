"""A small MCP client of the standard library, for the tests of examples/qgis_mcp; it blocks, so use it in a thread.

It speaks the revision without sessions and the one before, and also what no client should say: `post()` sends whatever
it is given. The official client is in tests/neighbours/guests/test_mcp.py.
"""

import contextlib
import http.client
import itertools
import json

import patience

STATELESS = "2026-07-28"
WITH_SESSIONS = "2025-11-25"

TIMEOUT = patience.FOR_THE_LOOP

_META = "io.modelcontextprotocol/"


class Client:
    """One client; may be used by several threads at a time.

    Args:
        headers: more headers for each request, or others; None leaves one out.
    """

    def __init__(self, port, token, revision=STATELESS, *, name="tester", headers=None):
        self.port = port
        self.revision = revision
        self.headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **(headers or {}),
        }
        self._info = {"name": name, "version": "1"}
        self._ids = itertools.count(1)
        if revision == WITH_SESSIONS:
            params = {"protocolVersion": revision, "clientInfo": self._info, "capabilities": {}}
            answer = self.send("initialize", params)
            answer.result()
            self.headers["Mcp-Session-Id"] = answer.header("Mcp-Session-Id")
            self.headers["MCP-Protocol-Version"] = revision
            self.notify("notifications/initialized")

    def post(self, body, headers=None, *, method="POST", path="/mcp"):
        """Send bytes, and return the `Answer` at once."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        sent = {**self.headers, **(headers or {})}
        try:
            connection.request(method, path, body, {name: value for name, value in sent.items() if value is not None})
        except BaseException:  # the server goes just now
            connection.close()
            raise
        return Answer(connection)

    def send(self, method, params=None, *, headers=None, wants_progress=False, request_id=None):
        """Send a request, and return the `Answer` at once."""
        request_id = next(self._ids) if request_id is None else request_id
        params = {**(params or {}), "_meta": {"progressToken": request_id} if wants_progress else {}}
        sent = {}
        if self.revision == STATELESS:
            meta = {"protocolVersion": self.revision, "clientInfo": self._info, "clientCapabilities": {}}
            params["_meta"].update({_META + key: value for key, value in meta.items()})
            sent = {"MCP-Protocol-Version": self.revision, "Mcp-Method": method}
            if method == "tools/call":
                sent["Mcp-Name"] = params["name"]
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        answer = self.post(json.dumps(message).encode(), {**sent, **(headers or {})})
        answer.request_id = request_id
        return answer

    def notify(self, method, params=None):
        """Send a notification; return the status."""
        message = {"jsonrpc": "2.0", "method": method, "params": params or {}}
        answer = self.post(json.dumps(message).encode())
        answer.read()
        return answer.status

    def start(self, tool, *, wants_progress=False, **arguments):
        """Call a tool, and return the `Answer` at once."""
        params = {"name": tool, "arguments": arguments}
        return self.send("tools/call", params, wants_progress=wants_progress)

    def call(self, tool, **arguments):
        """Call a tool, and return what it returns: an object, a text, or the bytes of a picture."""
        result = self.start(tool, **arguments).result()
        (content,) = result["content"]
        assert not result["isError"], content
        return result.get("structuredContent", content.get("text", content.get("data")))

    def fail(self, tool, **arguments):
        """Call a tool that is to fail, and return what it says."""
        result = self.start(tool, **arguments).result()
        assert result["isError"], result
        return result["content"][0]["text"]

    def cancel(self, answer):
        """Cancel a call, as this revision does it."""
        if self.revision == STATELESS:
            answer.hang_up()
        else:
            assert self.notify("notifications/cancelled", {"requestId": answer.request_id}) == 202


_answers = []


def hang_up_all():
    """Close all connections that were not read to their end."""
    while _answers:
        _answers.pop().hang_up()


class Answer:
    """What comes back, read when it is asked for."""

    def __init__(self, connection):
        _answers.append(self)
        self.request_id = None
        self._connection = connection
        self._response = None

    @property
    def response(self):
        if self._response is None:
            self._response = self._connection.getresponse()
        return self._response

    @property
    def status(self):
        return self.response.status

    def header(self, name):
        return self.response.getheader(name)

    def read(self):
        with contextlib.closing(self._connection):
            return self.response.read()

    def messages(self):
        """Yield the messages as they come."""
        if self.header("Content-Type") != "text/event-stream":
            yield json.loads(self.read())
            return
        with contextlib.closing(self._connection):
            for line in self.response:
                if line.startswith(b"data: "):
                    yield json.loads(line[len(b"data: ") :])

    def result(self):
        """Return the result, which must be one."""
        message = self.last_message()
        assert "result" in message, message
        return message["result"]

    def error(self):
        """Return the code of the error, which must be one."""
        message = self.last_message()
        assert "error" in message, message
        return message["error"]["code"]

    def last_message(self):
        messages = list(self.messages())
        assert messages, "the connection was closed without an answer"
        return messages[-1]

    def hang_up(self):
        self._connection.close()
        if self._response is not None:
            self._response.close()

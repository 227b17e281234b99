"""MCP on top of web.py: JSON-RPC, the protocol's two ways of opening, and tools. Knows nothing of Qt and QGIS.

It serves both kinds of clients, told apart by their first request (revisions read in 2026-11):

    2026-07-28               every request says by itself of which revision it is, and who sends it; a client cancels a
                             request by closing the connection on which it waits
    2025-06-18, 2025-11-25   `initialize` opens a session; a client cancels a request by a message that names it

A session is known by an id that we have signed with the token and do not keep. So sessions go on after a reload.

A tool is an `async def` method with @tool. It runs as a task of its own, which is cancelled when the client cancels the
request or hangs up. (The older revisions advise against the latter, for a client may come back for its answer. Ours may
not: no answer is kept.) If somebody else cancels it, such as the user of this application, the client is told so.

Not served, because nothing here needs it: prompts, resources, subscriptions, logging, requests to the client.
"""

import asyncio
import base64
import collections
import hashlib
import hmac
import inspect
import json
import secrets
import time
import typing

from .web import WebServer

STATELESS = ("2026-07-28",)
WITH_SESSIONS = ("2025-11-25", "2025-06-18")

SIGN_OF_LIFE_INTERVAL = 15.0  # seconds
PROGRESS_INTERVAL = 0.05  # seconds, at least, from one progress notification to the next

# JSON-RPC's error codes, and MCP's.
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
SERVER_ENDS, HEADER_MISMATCH, UNSUPPORTED_VERSION = -32000, -32020, -32022

_META = "io.modelcontextprotocol/"
_PROTOCOL_VERSION = "mcp-protocol-version"
_SESSION = "mcp-session-id"


class ToolError(Exception):
    """What a tool raises to tell the client, and the model behind it, what is wrong and what to do."""


class Picture:
    """A picture as a tool's result; `data` is a PNG."""

    def __init__(self, data):
        self.data = data


def tool(title, *, reads_only=False):
    """Make a tool of an `async def` method that takes a `Call` and the arguments.

    Each argument has a type of JSON's (str, int, float, bool, dict, list) or a Literal, and says what it is:
    `name: Annotated[str, "the layer's name"]`. What the docstring says is for the model that chooses the tool.

    The method returns a dict, a text or a `Picture`, and raises `ToolError`.
    """

    def mark(fn):
        fn.mcp_tool = _Tool(fn, title, reads_only)
        return fn

    return mark


class Call:
    """What a tool knows of the call that it serves.

    Attributes:
        client: the name that the client gives itself; nobody has checked it.
        is_cancelled_by_client: whether the CancelledError that the tool has got comes from there.
    """

    def __init__(self, client, progress_token, send):
        self.client = client
        self.is_cancelled_by_client = False
        self._progress_token = progress_token
        self._send = send
        self._progress = None
        self._sent_at = 0.0

    def report_progress(self, progress, total=None, text=""):
        """Tell the client how far the tool is, if it wants to know; at most twenty times a second."""
        now = time.monotonic()
        is_news = self._progress is None or progress > self._progress
        if self._progress_token is None or not is_news or now < self._sent_at + PROGRESS_INTERVAL:
            return
        self._progress, self._sent_at = progress, now
        params = {"progressToken": self._progress_token, "progress": progress}
        if total is not None:
            params["total"] = total
        if text:
            params["message"] = text
        self._send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


class McpServer:
    """Serves the tools of an object.

    Args:
        name, version: what the server is called, for people.
        tools: an object whose methods with @tool are served.
        token: what clients must send, ASCII.
        application: what its user would call it: "Cancelled by the user of <application>".
        instructions: what a model should know before it uses the tools.
        origins: web pages that may use it, see WebServer.
    """

    def __init__(self, name, version, tools, token, *, application, instructions="", origins=()):
        self._info = {"name": name, "version": version}
        self._instructions = instructions
        self._application = application
        self._tools = {
            key: (value.mcp_tool, getattr(tools, key))
            for key, value in vars(type(tools)).items()
            if hasattr(value, "mcp_tool")
        }
        self._sessions = _Sessions(token)
        self._calls = {}  # the request -> (the call, its task)
        self._web = WebServer(self._answer, token, methods=("POST", "DELETE"), origins=origins)

    async def serve(self, sock):
        """Serve until this is cancelled; `sock` is what web.listen() returned."""
        await self._web.serve(sock)

    # -- one request -------------------------------------------------------------

    async def _answer(self, exchange):
        message, is_stateless = {}, False
        try:
            if exchange.method == "DELETE":
                self._end_session(exchange)
                return
            message = _parse(exchange)
            is_stateless = _check_revision(exchange.headers, message)
            session = None if is_stateless else self._session(exchange.headers, message)
            if "id" not in message:
                self._take_notification(message, session)
                exchange.reply(202)
            elif message["method"] == "tools/call":
                await self._call_tool(exchange, message, session)
            else:
                self._answer_at_once(exchange, message, session)
        except ProtocolError as exc:
            error = {"jsonrpc": "2.0", "id": message.get("id"), "error": exc.error}
            # The older revisions tell of errors in the body alone, but for those of the transport.
            exchange.reply(exc.status if is_stateless or exc.is_of_transport else 200, error)

    def _answer_at_once(self, exchange, message, session):
        method = message["method"]
        headers = []
        if method == "tools/list":
            result = {"tools": [each.description for each, _ in self._tools.values()]}
        elif method == "server/discover" and session is None:
            result = {"supportedVersions": [*STATELESS, *WITH_SESSIONS], "capabilities": {"tools": {}}}
        elif method == "ping" and session is not None:
            result = {}
        elif method == "initialize" and session is not None:
            wanted = message["params"].get("protocolVersion")
            version = wanted if wanted in WITH_SESSIONS else WITH_SESSIONS[0]
            result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": self._info}
            headers = [("Mcp-Session-Id", session)]
        else:
            raise ProtocolError(METHOD_NOT_FOUND, f"Method not found: {method[:100]}", 404)
        if self._instructions and "capabilities" in result:
            result["instructions"] = self._instructions
        if session is None:
            result.update(ttlMs=0, cacheScope="private")
        exchange.reply(200, self._response(message, result, session), *headers)

    def _response(self, message, result, session):
        if session is None:
            result = {"resultType": "complete", "_meta": {_META + "serverInfo": self._info}, **result}
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}

    # -- sessions, before 2026-07-28 ---------------------------------------------

    def _session(self, headers, message):
        """Return the id of the session that a request belongs to or opens."""
        if message["method"] == "initialize" and "id" in message:
            return self._sessions.open(_client_name(message["params"].get("clientInfo")))
        return self._sessions.check(headers)

    def _end_session(self, exchange):
        session = self._sessions.check(exchange.headers)
        self._sessions.end(session)
        for key in [key for key in self._calls if key[0] == session]:
            self._cancel(key)
        exchange.reply(204)

    def _take_notification(self, message, session):
        """Take what needs no answer; a stateless client has nothing to say that way."""
        if session is not None and message["method"] == "notifications/cancelled":
            self._cancel((session, _request_id(message["params"].get("requestId"))))

    def _cancel(self, key):
        if key in self._calls:
            call, task = self._calls[key]
            call.is_cancelled_by_client = True
            task.cancel()

    # -- tools -------------------------------------------------------------------

    async def _call_tool(self, exchange, message, session):
        params = message["params"]
        name, arguments = params.get("name"), params.get("arguments", {})
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise ProtocolError(INVALID_PARAMS, "tools/call needs a name, and arguments as an object")
        if name not in self._tools:
            raise ProtocolError(INVALID_PARAMS, f"Unknown tool: {name[:100]}")
        key = (exchange if session is None else session, _request_id(message["id"]))
        if key in self._calls:
            raise ProtocolError(INVALID_REQUEST, "the id is that of a request that is still being answered")
        takes_events = "text/event-stream" in exchange.headers.get("accept", "")
        call = Call(
            self._sessions.client(session) if session is not None else _client_name(_meta(message).get("clientInfo")),
            _progress_token(params) if takes_events else None,
            lambda notification: exchange.send_event(notification, may_be_dropped=True),
        )
        description, method = self._tools[name]
        task = asyncio.create_task(_run(method, call, description, arguments))
        self._calls[key] = call, task  # which also keeps the task alive
        task.add_done_callback(lambda _: self._calls.pop(key))
        try:
            await self._wait(exchange, key, takes_events)
        except asyncio.CancelledError:
            # The server ends. Its last words need no `await`: what is written is sent before the connection is closed.
            task.cancel()
            error = {"code": SERVER_ENDS, "message": f"{self._application} has ended the server meanwhile"}
            exchange.finish({"jsonrpc": "2.0", "id": message["id"], "error": error})
            raise
        if call.is_cancelled_by_client:
            exchange.start_events()  # and no response, for it is not to get one
            return
        result = self._outcome(name, task)
        exchange.finish(self._response(message, result, session))

    async def _wait(self, exchange, key, takes_events):
        """Wait until a tool is done, or nobody waits for it any more."""
        _, task = self._calls[key]
        await asyncio.sleep(0)  # most tools are done after their first step
        while not task.done():
            waited_for = {task, exchange.gone()}
            await asyncio.wait(waited_for, timeout=SIGN_OF_LIFE_INTERVAL, return_when=asyncio.FIRST_COMPLETED)
            if exchange.gone().done():
                self._cancel(key)
                return
            if takes_events and not task.done():
                exchange.send_sign_of_life()

    def _outcome(self, name, task):
        if task.cancelled():
            return _content(f"Cancelled by the user of {self._application}.", is_error=True)
        exc = task.exception()
        if exc is None:
            return task.result()
        if not isinstance(exc, ToolError):  # a mistake in the tool, of which those should know who can mend it
            context = {"message": f"the MCP tool {name} failed", "exception": exc}
            asyncio.get_running_loop().call_exception_handler(context)
        return _content(f"{exc}" if isinstance(exc, ToolError) else f"{type(exc).__name__}: {exc}", is_error=True)


class ProtocolError(Exception):
    """A request that is none, or that nobody here can answer.

    Args:
        status: HTTP's, for revisions that want one.
        is_of_transport: whether the older revisions want it, too.
    """

    def __init__(self, code, text, status=400, *, data=None, is_of_transport=False):
        super().__init__(text)
        self.status = status
        self.is_of_transport = is_of_transport
        self.error = {"code": code, "message": text} if data is None else {"code": code, "message": text, "data": data}


class _Sessions:
    """Ids of sessions: a random number and the client's name, signed."""

    def __init__(self, token):
        self._key = token.encode("ascii")
        self._ended = collections.deque(maxlen=1000)  # what was ended longer ago is open again, and does no harm

    def open(self, client):
        name = base64.urlsafe_b64encode(client.encode()).decode().rstrip("=")
        what = f"{secrets.token_hex(16)}.{name}"
        return f"{what}.{self._sign(what)}"

    def _sign(self, what):
        return hmac.new(self._key, what.encode("latin-1"), hashlib.sha256).hexdigest()

    def check(self, headers):
        """Return the id in the headers, if it is one of ours."""
        session = headers.get(_SESSION)
        if session is None:
            raise ProtocolError(INVALID_REQUEST, "Mcp-Session-Id is missing: initialize first", is_of_transport=True)
        what, _, signature = session.rpartition(".")
        is_ours = hmac.compare_digest(signature.encode("latin-1"), self._sign(what).encode())
        if not is_ours or session in self._ended:
            raise ProtocolError(INVALID_REQUEST, "no such session: initialize anew", 404, is_of_transport=True)
        return session

    def client(self, session):
        name = session.split(".")[1]
        return base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()

    def end(self, session):
        self._ended.append(session)


# -- reading messages ------------------------------------------------------------


def _parse(exchange):
    """Return the message in a request, whose `params` are there from now on."""
    kind = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProtocolError(INVALID_REQUEST, "the Content-Type must be application/json", 415, is_of_transport=True)
    try:
        message = json.loads(exchange.body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ProtocolError(PARSE_ERROR, "the body is not JSON", is_of_transport=True) from None
    is_ours = isinstance(message, dict) and message.get("jsonrpc") == "2.0" and isinstance(message.get("method"), str)
    if not is_ours or not isinstance(message.setdefault("params", {}), dict):
        raise ProtocolError(INVALID_REQUEST, "the body is not one request or notification", is_of_transport=True)
    if "id" in message and _request_id(message["id"]) is None:
        raise ProtocolError(INVALID_REQUEST, "an id is a text or an integer", is_of_transport=True)
    return message


def _request_id(value):
    """Return an id as a key of a dict, in which 1, True and "1" are not the same; None if it is none."""
    return (type(value).__name__, value) if type(value) in (int, str) else None


def _meta(message):
    """Return what a request of a stateless client says of itself, without the long prefix of the names."""
    meta = message["params"].get("_meta")
    meta = meta if isinstance(meta, dict) else {}
    return {key[len(_META) :]: value for key, value in meta.items() if key.startswith(_META)}


def _check_revision(headers, message):
    """Return whether a message is of a revision without sessions; those have to say everything twice, and the same."""
    meta, version = _meta(message), headers.get(_PROTOCOL_VERSION)
    if "protocolVersion" not in meta and version not in STATELESS:
        if version is None or version in WITH_SESSIONS or message["method"] == "initialize":
            return False
        raise _unsupported(version)
    if "id" not in message:
        return True
    if not isinstance(meta.get("protocolVersion"), str) or not isinstance(meta.get("clientCapabilities"), dict):
        needed = f"{_META}protocolVersion and {_META}clientCapabilities"
        raise ProtocolError(INVALID_PARAMS, f"params._meta needs {needed}", is_of_transport=True)
    expected = {_PROTOCOL_VERSION: meta["protocolVersion"], "mcp-method": message["method"]}
    if message["method"] == "tools/call":
        expected["mcp-name"] = message["params"].get("name")
    for name, value in expected.items():
        if _decode_header(headers.get(name)) != value:
            text = f"the header {name} is not the same as in the body"
            raise ProtocolError(HEADER_MISMATCH, text, is_of_transport=True)
    if meta["protocolVersion"] not in STATELESS:
        raise _unsupported(meta["protocolVersion"])
    return True


def _unsupported(version):
    data = {"supported": [*STATELESS, *WITH_SESSIONS], "requested": version[:100]}
    return ProtocolError(UNSUPPORTED_VERSION, "Unsupported protocol version", data=data, is_of_transport=True)


def _decode_header(value):
    """Return a header's value, which is in base64 where it is not plain ASCII; None if it is spoilt."""
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    encoded = value[len("=?base64?") : -len("?=")]
    try:
        decoded = base64.b64decode(encoded, validate=True)
        # Of several ways to write the same bytes only one counts, or some who compare would find them different.
        return decoded.decode() if base64.b64encode(decoded).decode() == encoded else None
    except ValueError:
        return None


def _progress_token(params):
    meta = params.get("_meta")
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    return token if type(token) in (int, str) else None


def _client_name(info):
    """Return the name that a client gives itself, fit to be shown."""
    name = info.get("name") if isinstance(info, dict) else None
    name = "".join(each for each in name if each.isprintable())[:40] if isinstance(name, str) else ""
    return name or "an MCP client"


# -- describing and running tools ------------------------------------------------

_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array"}


class _Tool:
    """What clients are told of a tool, made from its function."""

    def __init__(self, fn, title, reads_only):
        if not inspect.iscoroutinefunction(fn):
            raise TypeError(f"{fn.__qualname__}() must be an `async def`: it runs on the loop, and may not block it")
        arguments = list(inspect.signature(fn).parameters.values())[2:]  # after `self` and the call
        self.schemas = {each.name: _schema(each.annotation) for each in arguments}
        self.required = [each.name for each in arguments if each.default is each.empty]
        self.description = {
            "name": fn.__name__,
            "title": title,
            "description": inspect.getdoc(fn),
            "inputSchema": {
                "type": "object",
                "properties": self.schemas,
                "required": self.required,
                "additionalProperties": False,
            },
            "annotations": {"readOnlyHint": reads_only, "openWorldHint": False},
        }

    def check(self, arguments):
        """Raise a ToolError, which a model can do something with, unless these are the tool's arguments."""
        wrong = [f"there is no argument {name!r}" for name in arguments if name not in self.schemas]
        wrong += [f"the argument {name!r} is missing" for name in self.required if name not in arguments]
        for name in set(arguments) & set(self.schemas):
            problem = _problem(arguments[name], self.schemas[name])
            wrong += [f"the argument {name!r} {problem}"] if problem else []
        if wrong:
            raise ToolError(f"{'; '.join(sorted(wrong))}. Arguments: {', '.join(self.schemas) or 'none'}")


def _schema(annotation):
    kind, text = typing.get_args(annotation)
    if typing.get_origin(kind) is typing.Literal:
        return {"type": "string", "enum": list(typing.get_args(kind)), "description": text}
    return {"type": _JSON_TYPES[kind], "description": text}


def _problem(value, schema):
    kinds = {"integer": [int], "number": [int, float]}.get(schema["type"])
    kinds = kinds or [kind for kind, name in _JSON_TYPES.items() if name == schema["type"]]
    if type(value) not in kinds:
        return f"must be of type {schema['type']}"
    if "enum" in schema and value not in schema["enum"]:
        return f"must be one of {', '.join(schema['enum'])}"
    return ""


async def _run(method, call, description, arguments):
    description.check(arguments)
    return _content(await method(call, **arguments))


def _content(result, *, is_error=False):
    if isinstance(result, Picture):
        content = {"type": "image", "mimeType": "image/png", "data": base64.b64encode(result.data).decode()}
    else:
        content = {"type": "text", "text": result if isinstance(result, str) else json.dumps(result, allow_nan=False)}
    answer = {"content": [content], "isError": is_error}
    if isinstance(result, dict):
        answer["structuredContent"] = result
    return answer

"""examples/chat: what its client makes of a server's answers, what its panel shows, and what is left when it goes.

The client runs on plain asyncio, the panel on this process's binding, against the server that comes with the example;
the two plug-ins in the toy host of asyncslot.testing. The real hosts are in tests/hosts/test_chat.py.
"""

import asyncio
import importlib
import json
import logging
import re
import shutil
import socket
import ssl
import subprocess
import sys
import types
import urllib.request
from pathlib import Path
from unittest import mock

import pytest

import asyncslot
from asyncslot import _steps, testing
from chat_service import EXAMPLE, serving, try_server

sys.path.insert(0, str(EXAMPLE.parents[1] / "scripts"))

import vendor  # noqa: E402 - scripts/ is no package

# The plug-ins' packages.
PACKAGES = {
    "qgis": EXAMPLE / "qgis" / "async_chat",
    "napari": EXAMPLE / "napari" / "src" / "napari_async_chat",
}
SECTIONS = ["Try it", "Install it", "Which server", "The key", "Which thread", "Unload and reload", "Its log"]
KEY = "sk-0123456789-secret"

unix_only = pytest.mark.skipif(sys.platform == "win32", reason="a completion port reads otherwise")

# -- what lies where ---------------------------------------------------------


def test_layout_is_the_one_that_each_host_expects():
    """Nothing more and nothing less, but for copies that somebody has made in there."""
    files = {path.relative_to(EXAMPLE).as_posix() for path in EXAMPLE.rglob("*") if path.is_file()}
    files = {name for name in files if not re.search(r"_vendor/asyncslot/|__pycache__|/build/|\.egg-info/", name)}
    parts = ("__init__.py", "client.py", "panel.py", "_vendor/__init__.py")
    packages = {(each / part).relative_to(EXAMPLE).as_posix() for each in PACKAGES.values() for part in parts}
    metadata = {"qgis/async_chat/metadata.txt", "napari/pyproject.toml", "napari/src/napari_async_chat/napari.yaml"}
    assert files == {"README.md", "try_server.py", *packages, *metadata}


@pytest.mark.parametrize("name", ["client.py", "panel.py"])
def test_plugins_share_their_parts(name):
    """The same bytes in both. Change one, and copy it to the other."""
    assert (PACKAGES["qgis"] / name).read_bytes() == (PACKAGES["napari"] / name).read_bytes()


def test_readme_tells_what_its_reader_needs():
    """How to try it, to copy, to vendor, where the key lies, what runs where, how to unload, where to look."""
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    for word in ("python3 try_server.py", "python3 scripts/vendor.py", "ASYNC_CHAT_KEY", "Linux", "macOS", "Windows"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_server_to_try_starts_as_readme_says():
    """With nothing but Python, and it answers."""
    path = EXAMPLE / "try_server.py"
    command = [sys.executable, "-I", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = re.search(r"http://\S+/v1", process.stdout.readline()).group()
            question = {"model": "whole", "messages": [{"role": "user", "content": "Hello"}]}
            request = urllib.request.Request(address + "/chat/completions", json.dumps(question).encode())
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
                assert json.loads(answer.read())["choices"][0]["message"]["content"].endswith("Hello")
        finally:
            process.kill()


# -- client.py, on plain asyncio ---------------------------------------------


@pytest.fixture
def parts(monkeypatch):
    """The package of the shared files, without an entry file: import_module() finds panel and client in it."""
    package = types.ModuleType("example_chat")
    package.__path__ = [str(PACKAGES["qgis"])]
    monkeypatch.setitem(sys.modules, "example_chat", package)
    yield "example_chat"
    _forget("example_chat")


def _forget(name):
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.fixture
def client(parts):
    return importlib.import_module(parts + ".client")


QUESTION = [{"role": "user", "content": "Wie geht's, 日本?"}]


async def collect(client, service, pieces):
    async for piece in client.stream_answer(service, QUESTION):
        pieces.append(piece)


def ask(client, *writes, key="", path="/v1"):
    """Ask a server that makes these writes one after the other; return (pieces, error, the request that it got)."""
    requests, pieces = [], []

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
        requests.append((head.decode(), json.loads(await reader.readexactly(length))))
        for write in writes:
            writer.write(write)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = "http://127.0.0.1:{}{}".format(server.sockets[0].getsockname()[1], path)
        try:
            await collect(client, client.Service(address, "a model", key), pieces)
        except client.ChatError as exc:
            return str(exc)
        finally:
            server.close()

    error = asyncio.run(main())
    return pieces, error, requests[0]


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def event(text, reason=None, **more):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice], **more}, ensure_ascii=False).encode() + b"\n\n"


def chunks(data, size):
    """Return a body in chunks of that size, which care nothing for where an event, or a letter, ends."""
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x;note=1\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


STREAM = event("Gut, ") + event("日本") + event("! 😀") + DONE
FIGURES = b'data: {"choices": [], "usage": {"total_tokens": 3}}\n\n'
NO_CONTENT = b'data: {"choices": [{"delta": {"role": "assistant", "content": null}}], "error": null}\n\n'
ALL = ["Gut, ", "日本", "! 😀"]
WHOLE = json.dumps({"choices": [{"message": {"content": "Gut, 日本! 😀"}}]}).encode()
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
GOOD = {
    "until the server hangs up": ([HEAD + b"\r\n" + STREAM], ALL),
    "length is known": ([HEAD + b"Content-Length: %d\r\n\r\n" % len(STREAM) + STREAM], ALL),
    "in one chunk": ([CHUNKED + chunks(STREAM, 4096)], ALL),
    "in chunks that cut letters": ([CHUNKED + chunks(STREAM, 7)], ALL),
    "in chunks of a byte": ([CHUNKED + chunks(STREAM, 1)], ALL),
    "in writes of a byte": ([bytes([byte]) for byte in CHUNKED + chunks(STREAM, 50)], ALL),
    "lines that end with CR LF": ([HEAD + b"\r\n" + STREAM.replace(b"\n", b"\r\n")], ALL),
    "comments and other fields": ([HEAD + b"\r\n: wait\n\nevent: message\nid: 1\n" + STREAM], ALL),
    "no space after the colon": ([HEAD + b"\r\n" + STREAM.replace(b"data: ", b"data:")], ALL),
    "events without a piece": ([HEAD + b"\r\n" + NO_CONTENT + STREAM[: -len(DONE)] + FIGURES + DONE], ALL),
    "a reason and no last word": ([HEAD + b"\r\n" + event("Gut", "stop")], ["Gut"]),
    "what comes after the last word": ([HEAD + b"\r\n" + STREAM + event("more")], ALL),
    "nothing": ([HEAD + b"\r\n" + DONE], []),
    "a server that does not stream": ([JSON_HEAD + b"\r\n" + WHOLE], ["Gut, 日本! 😀"]),
    "the same, in chunks": ([JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(WHOLE, 9)], ["Gut, 日本! 😀"]),
    "half of a letter": ([HEAD + b"\r\n" + b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n' + DONE], ["?"]),
}


@pytest.mark.parametrize("case", GOOD)
def test_the_answer_comes_in_the_pieces_that_the_server_sends(client, case):
    """However they are packed."""
    writes, expected = GOOD[case]
    assert ask(client, *writes)[:2] == (expected, None)


PATHS = {
    "": "/v1/chat/completions",
    "/": "/v1/chat/completions",
    "/v1": "/v1/chat/completions",
    "/v1/": "/v1/chat/completions",
    "/openai/v1?version=2": "/openai/v1/chat/completions?version=2",
    "/v1/chat/completions": "/v1/chat/completions",
}


@pytest.mark.parametrize("path", PATHS)
def test_the_question_goes_to_chat_completions(client, path):
    """Whatever part of the address the user has entered."""
    _, _, (head, body) = ask(client, HEAD + b"\r\n" + STREAM, key=KEY, path=path)
    first, *headers = head.rstrip().split("\r\n")
    assert first == f"POST {PATHS[path]} HTTP/1.1"
    assert f"Authorization: Bearer {KEY}" in headers
    assert body == {"model": "a model", "messages": QUESTION, "stream": True}


def test_without_a_key_none_is_sent(client):
    """Not an empty one, either, and of a server with one model nothing need be known."""
    _, _, (head, _) = ask(client, HEAD + b"\r\n" + STREAM)
    assert "Authorization" not in head
    assert json.loads(client.Service("", "").request("x", "/", []).partition(b"\r\n\r\n")[2]) == {
        "messages": [],
        "stream": True,
    }


def refuse(status, answer, more=b""):
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return b"HTTP/1.1 %d Because\r\n%sContent-Length: %d\r\n\r\n%s" % (status, more, len(body), body)


BAD = {
    "wrong key": (refuse(401, {"error": {"message": "Incorrect API key"}}), r"refuses the key.*: Incorrect API key$"),
    "no such model": (refuse(404, {"error": {"message": "Not here"}}), "does not know the model 'a model'.*: Not here"),
    "another form of error": (refuse(422, {"detail": [{"loc": 1}]}), r'status 422: \[{"loc": 1}\]'),
    "plain words": (refuse(503, b"Loading model\n"), "status 503: Loading model$"),
    "a page of HTML": (refuse(502, b"<html>Bad gateway</html>"), "status 502$"),
    "half an error": (refuse(500, b"Out of")[:-3], "status 500: Out"),
    "too many": (refuse(429, {"error": "Slow down"}), r"asked too much \(429\): Slow down"),
    "a redirect": (refuse(307, b"", b"Location: https://elsewhere/v1\r\n"), "sends us on to https://elsewhere/v1"),
    "an error on the way": (HEAD + b'\r\ndata: {"error": {"message": "Out of memory"}}\n\n', "broke off: Out of memory"),
    "too long": (HEAD + b"\r\n" + event("Gut", "length") + DONE, "cut off: it has reached the longest"),
    "hangs up at once": (b"", "hung up without an answer"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", "hung up without an answer"),
    "half a stream": (HEAD + b"\r\n" + event("Gut"), "broke off in the middle of its answer"),
    "half a chunk": (CHUNKED + b"FFF\r\n" + event("Gut"), "broke off in the middle of its answer"),
    "half a length": (HEAD + b"Content-Length: 999\r\n\r\n" + event("Gut"), "broke off in the middle of its answer"),
    "chunks without a last word": (CHUNKED + chunks(event("Gut"), 9), "broke off in the middle of its answer"),
    "a chunk of no size": (CHUNKED + b"zz\r\n", "not HTTP"),
    "a chunk of less than nothing": (CHUNKED + b"-5\r\n", "not HTTP"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not HTTP"),
    "a line without end": (b"x" * 200000, "not HTTP"),
    "an event without end": (HEAD + b"\r\ndata: " + b"x" * 1100000, "a line without end"),
    "no JSON": (HEAD + b"\r\ndata: <html>\n\n", "what is no answer: '<html>'"),
    "JSON of another kind": (HEAD + b"\r\ndata: [1]\n\n", "what is no answer"),
    "an answer of another kind": (JSON_HEAD + b'\r\n{"choices": []}', "what is no answer"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said_in_one_sentence(client, case):
    """In plain words, with the server's own where it has any; what has come before was yielded."""
    answer, words = BAD[case]
    pieces, error, _ = ask(client, answer)
    assert re.search(words, error), error
    assert pieces == (["Gut"] if b"Gut" in answer else [])


ADDRESSES = {
    "": "starts with http",
    "localhost:8080": "starts with http",
    "ftp://localhost/v1": "starts with http",
    "http://": "starts with http",
    "http://localhost:many/v1": "is not an address",
    "http://[::1/v1": "is not an address",
    "http://localhost/a b": "written as %XX",
    "http://me:secret@localhost/v1": "before the @",
    "http://a..b/v1": "cannot be found",
    "http://127.0.0.1:1/v1": r"refused\. Is the server running\?",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_cannot_be_asked_is_said_in_one_sentence(client, address):
    """And a password is not repeated."""
    with pytest.raises(client.ChatError, match=ADDRESSES[address]) as caught:
        asyncio.run(collect(client, client.Service(address), []))
    assert "secret" not in str(caught.value)


LOOKED_UP = {
    "no such host": (socket.gaierror(-2, "Name not known"), "cannot be found: Name not known"),
    "several addresses": (None, "refused"),
    "no way there": (OSError(113, "No route to host"), "No connection to some-host: No route to host"),
}


@pytest.mark.parametrize("case", LOOKED_UP)
def test_what_is_wrong_with_a_host_is_said_in_one_sentence(client, monkeypatch, case):
    """A name with several addresses, at none of which anybody listens, included: asyncio makes one error of them."""
    exc, words = LOOKED_UP[case]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 1)) for address in ("127.0.0.1", "127.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", mock.Mock(side_effect=exc, return_value=found))
    with pytest.raises(client.ChatError, match=words):
        asyncio.run(collect(client, client.Service("http://some-host"), []))


@pytest.mark.parametrize("model", ["silent", "held"])
def test_a_server_that_falls_silent_is_given_up(client, monkeypatch, model):
    """Before its answer, and in the middle of it."""
    monkeypatch.setattr(client, "SILENCE_TIMEOUT", 0.2)
    pieces = []
    with serving() as server:
        with pytest.raises(client.ChatError, match=r"has (not answered|said nothing more) for 0\.2 s"):
            asyncio.run(collect(client, client.Service(server.address, model), pieces))
    assert pieces == ([] if model == "silent" else ["Well, "])


def test_a_connection_that_does_not_come_up_is_given_up(client, monkeypatch):
    """The kernel takes it, and nobody ever greets."""
    monkeypatch.setattr(client, "CONNECT_TIMEOUT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        address = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(client.ChatError, match=r"No connection to 127\.0\.0\.1:\d+ within 0\.2 s"):
            asyncio.run(collect(client, client.Service(address), []))


def test_who_is_cancelled_at_the_moment_of_a_timeout_is_cancelled(client):
    """Our own cancel() does not swallow another one's, on a Python that can tell the two apart."""

    async def main():
        task = asyncio.current_task()
        with client._limit(0.0, "too late"):
            asyncio.get_running_loop().call_soon(task.cancel)
            await asyncio.sleep(5)

    with pytest.raises(asyncio.CancelledError if sys.version_info >= (3, 11) else client.ChatError):
        asyncio.run(main())


@pytest.mark.parametrize("how", ["cancelled", "closed"])
def test_the_connection_is_closed_at_once(client, how):
    """When the task is cancelled, or the generator closed: the server learns that nobody listens."""

    async def main(address):
        answer = client.stream_answer(client.Service(address, "held"), QUESTION)
        assert await answer.__anext__() == "Well, "
        if how == "closed":
            await answer.aclose()
        else:
            task = asyncio.ensure_future(answer.__anext__())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await asyncio.get_running_loop().run_in_executor(None, server.gone.wait, 1)

    with serving() as server:
        asyncio.run(main(server.address))


# -- TLS ---------------------------------------------------------------------


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate, monkeypatch):
    """As the administrator of a machine makes OpenSSL trust another authority."""
    monkeypatch.setenv("SSL_CERT_FILE", certificate)


def test_over_tls_the_answer_comes_as_well(client, tls, trusted):
    """The default context, which verifies."""
    pieces = []
    with serving(context=tls) as server:
        asyncio.run(collect(client, client.Service(server.address, "flood"), pieces))
    assert len(pieces) == try_server.FLOOD


def test_a_certificate_that_nobody_vouches_for_is_refused(client, tls):
    """Before anything is sent."""
    with serving(context=tls) as server:
        with pytest.raises(client.ChatError, match="certificate of localhost:.* is not to be trusted: self"):
            asyncio.run(collect(client, client.Service(server.address), []))
    assert server.questions == []


def test_a_certificate_of_another_host_is_refused(client, tls, trusted):
    """It is vouched for, and not for this name."""
    with serving(context=tls) as server:
        address = server.address.replace("localhost", "127.0.0.1")
        with pytest.raises(client.ChatError, match=r"not to be trusted: .*127"):
            asyncio.run(collect(client, client.Service(address), []))
    assert server.questions == []


def test_https_where_http_is_spoken_is_told(client):
    """With what to do."""
    with serving() as server:
        address = server.address.replace("http", "https")
        with pytest.raises(client.ChatError, match=r"(No secure connection to|hung up)"):
            asyncio.run(collect(client, client.Service(address), []))


# -- the key -----------------------------------------------------------------


def test_repr_does_not_show_the_key(client):
    """It says whether there is one."""
    shown = repr(client.Service("http://localhost", "m", KEY))
    assert KEY not in shown
    assert "a key" in shown
    assert "no key" in repr(client.Service("http://localhost", "m"))


@pytest.mark.parametrize("key", [KEY + "\r\nX: 1", KEY + " ", "ä" + KEY])
def test_a_key_that_is_none_is_refused_and_not_shown(client, key):
    """By no exception in the chain, either."""
    with pytest.raises(client.ChatError, match="key has characters") as caught:
        asyncio.run(collect(client, client.Service("http://127.0.0.1:1", "m", key), []))
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert KEY not in repr(caught.value)


def test_a_key_that_the_server_repeats_is_not_shown(client):
    """Some have it in their errors."""
    with serving(key=KEY) as server:
        with pytest.raises(client.ChatError, match=r"status 400: No such key: .*\(the key\)") as caught:
            asyncio.run(collect(client, client.Service(server.address, "key", KEY), []))
    assert KEY not in str(caught.value)


# -- panel.py, in a Qt application -------------------------------------------


@pytest.fixture
def settings(app, tmp_path):
    from qtpy.QtCore import QSettings

    return QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def module(parts, lease, windows):
    return importlib.import_module(parts + ".panel")


@pytest.fixture
def dock(module, lease, settings, server, spin):
    """The dock in a window, set to the server on this machine."""
    window = module.QtWidgets.QMainWindow()
    dock = module.ChatDock(lease, settings, window)
    window.addDockWidget(module.QtCore.Qt.DockWidgetArea.RightDockWidgetArea, dock)
    dock.panel.address.setText(server.address)
    window.resize(400, 600)
    window.show()
    yield dock
    window.deleteLater()
    spin(lambda: not _is_alive(window))


@pytest.fixture
def panel(dock):
    return dock.panel


@pytest.fixture
def chat(panel):
    [chat] = panel.conversations()
    return chat


def _is_alive(widget):
    try:
        widget.objectName()
    except RuntimeError:
        return False
    return True


def send(panel, chat, question="Hello", model=None):
    if model is not None:
        panel.model.setText(model)
    chat.question.setPlainText(question)
    chat.send_button.click()


def is_idle(chat):
    return chat.send_button.isEnabled()


def said(chat):
    return chat.view.toPlainText()


def test_the_answer_is_shown_and_the_history_sent(panel, chat, server, spin):
    """Question and answer, and with the next question all that was said."""
    send(panel, chat, "First", "count")
    assert not is_idle(chat), "the slot's first part runs inside the click"
    assert chat.question.toPlainText() == ""
    spin(lambda: is_idle(chat))
    send(panel, chat, "Second")
    spin(lambda: is_idle(chat))
    answers = [f"You have asked {count} times, the last time this:" for count in (1, 2)]
    assert said(chat).split("\n") == ["First", answers[0], "", "Second", answers[1], "", ""]
    assert server.questions == [
        [{"role": "user", "content": "First"}],
        [
            {"role": "user", "content": "First"},
            {"role": "assistant", "content": answers[0]},
            {"role": "user", "content": "Second"},
        ],
    ]


def test_an_empty_question_is_not_sent(panel, chat, server):
    send(panel, chat, " \n")
    assert is_idle(chat)
    assert said(chat) == ""


def test_return_sends_and_with_shift_makes_a_line(module, panel, chat, spin):
    """As in other chats."""
    core = module.QtCore.Qt
    panel.model.setText("count")
    chat.question.setPlainText("")
    for text, modifier in (("a", "NoModifier"), ("", "ShiftModifier"), ("b", "NoModifier"), ("", "NoModifier")):
        key = core.Key.Key_A if text else core.Key.Key_Return
        pressed = (module.QtCore.QEvent.Type.KeyPress, key, getattr(core.KeyboardModifier, modifier), text or "\r")
        module.QtWidgets.QApplication.sendEvent(chat.question, module.QtGui.QKeyEvent(*pressed))
    spin(lambda: is_idle(chat))
    assert said(chat).startswith("a\nb\nYou have asked 1 times")


def test_what_a_model_says_is_plain_text(module, panel, chat, spin):
    """Its HTML is not taken for ours."""
    send(panel, chat, "<b>bold</b> <img src='http://x'>", "whole")
    spin(lambda: is_idle(chat))
    assert said(chat).count("<b>bold</b> <img src='http://x'>") == 2


ERRORS = {
    "breaks-off": ("broke off in the middle", False),
    "nobody": (r"does not know the model 'nobody'.*: The model 'nobody' does not exist\.", True),
}


@pytest.mark.parametrize("model", ERRORS)
def test_errors_are_in_the_conversation(panel, chat, spin, model):
    """A question that was not answered at all goes back to where it was typed."""
    words, is_back = ERRORS[model]
    send(panel, chat, "Hello", model)
    spin(lambda: is_idle(chat))
    assert re.search(rf"^\[.*{words}.*\]$", said(chat), re.MULTILINE), said(chat)
    assert chat.question.toPlainText() == ("Hello" if is_back else "")
    assert len(chat._history) == (0 if is_back else 2)


@pytest.mark.parametrize("way", ["button", "dock"])
def test_stop_cancels(dock, panel, chat, server, spin, way):
    """By the button, or by closing the dock; what has come is kept, and the server learns of it."""
    send(panel, chat, "Hello", "held")
    spin(lambda: server.begun.value == 1)
    spin(lambda: "Well, " in said(chat))
    (chat.stop_button.click if way == "button" else dock.close)()
    spin(lambda: is_idle(chat))
    assert said(chat) == "Hello\nWell, \n[Stopped]\n\n"
    assert chat._history[-1] == {"role": "assistant", "content": "Well, "}
    spin(lambda: server.gone.value == 1)


def test_a_dock_that_is_hidden_behind_another_goes_on(module, dock, panel, chat, server, spin):
    """It is not closed."""
    window = dock.parentWidget()
    other = module.QtWidgets.QDockWidget("Other", window)
    window.tabifyDockWidget(dock, other)
    send(panel, chat, "Hello", "held")
    spin(lambda: server.begun.value == 1)
    other.raise_()
    spin(lambda: chat.visibleRegion().isEmpty())
    assert not is_idle(chat)
    chat.stop()
    spin(lambda: is_idle(chat))


def test_two_conversations_at_once(panel, chat, server, spin):
    """Each with a history of its own; closing one ends its answer, and not the other's."""
    panel.add_button.click()
    other = panel.conversations()[1]
    send(panel, chat, "One", "held")
    send(panel, other, "Two", "held")
    spin(lambda: server.begun.value == 2)
    panel.tabs.tabCloseRequested.emit(1)
    spin(lambda: not _is_alive(other))
    spin(lambda: server.gone.value == 1)
    assert panel.conversations() == [chat]
    assert not is_idle(chat)
    chat.stop()
    spin(lambda: is_idle(chat))
    send(panel, chat, "Three", "count")
    spin(lambda: is_idle(chat))
    assert [each["content"] for each in server.questions[-1]] == ["One", "Well, ", "Three"]


def test_the_last_tab_makes_room_for_another(panel, chat):
    panel.tabs.tabCloseRequested.emit(0)
    assert len(panel.conversations()) == 1
    assert panel.conversations() != [chat]


def test_settings_are_kept(module, panel, lease, settings):
    """In the host's settings; and the key is not shown."""
    panel.model.setText("another")
    panel.key.setText(KEY)
    panel.model.editingFinished.emit()
    other = module.ChatPanel(lease, settings)
    assert (other.address.text(), other.model.text()) == (panel.address.text(), "another")
    assert other.key.text() == KEY
    assert other.key.displayText() != KEY
    other.deleteLater()


@pytest.mark.parametrize(("typed", "variable"), [(KEY, "another"), ("", KEY)])
def test_the_key_comes_from_the_settings_or_the_environment(panel, chat, server, spin, monkeypatch, typed, variable):
    """What is typed comes first."""
    server.key = KEY
    monkeypatch.setenv("ASYNC_CHAT_KEY", variable)
    panel.key.setText(typed)
    send(panel, chat, "Hello", "count")
    spin(lambda: is_idle(chat))
    assert "You have asked" in said(chat)


def test_the_key_is_in_no_log(panel, chat, server, lease, spin, caplog, capfd):
    """Whatever asyncio, the loop's report and a failing slot tell, in debug mode."""
    caplog.set_level(logging.DEBUG)
    lease.loop.set_debug(True)
    server.key = KEY
    panel.key.setText(KEY)
    for model in ("count", "breaks-off", "nobody", "key", "silent"):
        send(panel, chat, "Hello", model)
        spin(lambda model=model: is_idle(chat) or model == "silent")
    told = asyncslot.report()
    assert "stream_answer" in told or "_ask" in told
    chat.stop()
    spin(lambda: is_idle(chat))
    chat._find_service = lambda: panel._service() / 0  # a mistake in the plug-in
    send(panel, chat)
    spin(lambda: is_idle(chat) or "TypeError" in caplog.text)
    assert "TypeError" in caplog.text
    assert KEY not in caplog.text + told + "".join(capfd.readouterr()) + said(chat)


# -- frames ------------------------------------------------------------------

# Seconds that the panel takes for a token here, on a clock that goes on nowhere else: what is counted does not depend
# on the machine.
WORK = 0.0005
FRAME = 0.016


class Screen:
    """The host's turns, and how many tokens have come before each."""

    def __init__(self, core, clock):
        self.turns = []
        self._clock = clock
        self._came = 0
        self._timer = core.QTimer()
        self._timer.timeout.connect(self.turn)
        self._timer.start(0)

    def show(self):
        self._came += 1
        self._clock[0] += WORK

    def turn(self):
        if self._came:
            self.turns.append(self._came)
            self._came = 0

    def close(self):
        self._timer.stop()
        self.turn()


@unix_only
def test_tokens_that_are_there_at_once_cost_no_frame(module, panel, chat, spin, monkeypatch):
    """Of 2,000, Qt has its turn after those that one read brings, and shows many with one insertion."""
    clock, insertions = [1000.0], []
    monkeypatch.setattr(_steps, "monotonic", lambda: clock[0])
    screen = Screen(module.QtCore, clock)
    show, write = chat._show, chat._write
    monkeypatch.setattr(chat, "_show", lambda piece: (screen.show(), show(piece)))
    monkeypatch.setattr(chat, "_write", lambda *what: (insertions.append(what), write(*what)))
    send(panel, chat, "Hello there, you of many words", "flood")
    spin(lambda: is_idle(chat))
    screen.close()
    assert sum(screen.turns) == try_server.FLOOD
    assert max(screen.turns) * WORK <= FRAME
    assert len(insertions) < try_server.FLOOD / 4
    assert len(said(chat)) > 2 * try_server.FLOOD


def test_a_token_that_comes_alone_is_shown_at_once(module, panel, chat):
    """And those that come before the next frame are shown together."""
    for piece in ("a", "b", "c"):
        chat._show(piece)
    assert said(chat) == "a"
    chat._frame.timeout.emit()
    assert said(chat) == "abc"
    chat._finish("", "")


def test_the_view_follows_unless_somebody_reads_above(panel, chat, spin):
    """The scroll bar stays at its end, and where the user has put it; resizing changes nothing."""
    bar = chat.view.verticalScrollBar()
    for _ in range(2):
        send(panel, chat, "Hello there, you of many words", "flood")
        spin(lambda: is_idle(chat))
        assert bar.value() == bar.maximum() > 0
    panel.window().resize(300, 500)
    spin(lambda: bar.value() == bar.maximum())
    bar.setValue(10)
    chat._write("more\n" * 50, chat._of_model)
    assert bar.value() == 10
    bar.setValue(bar.maximum())
    chat._write("more\n" * 50, chat._of_model)
    assert bar.value() == bar.maximum()


# -- the end -----------------------------------------------------------------


@pytest.fixture(params=["http", "https"])
def held(request, parts, app, windows, settings, spin, attach_as):
    """A panel in the middle of an answer, over either: (lease, panel, server)."""
    context = None
    if request.param == "https":
        request.getfixturevalue("trusted")
        context = request.getfixturevalue("tls")
    lease = attach_as("example_chat", "chat")
    with serving(context=context) as server:
        panel = importlib.import_module(parts + ".panel").ChatPanel(lease, settings)
        panel.address.setText(server.address)
        [chat] = panel.conversations()
        send(panel, chat, "Hello", "held")
        spin(lambda: server.begun.value == 1)
        spin(lambda: "Well, " in said(chat))
        yield lease, panel, server
        lease.detach()
        if _is_alive(panel):
            panel.deleteLater()
            spin(lambda: not _is_alive(panel))


def test_detach_in_mid_stream_ends_all(held):
    """The report is clean, the last lines still find the panel, and the connection is closed."""
    lease, panel, server = held
    [chat] = panel.conversations()
    report = lease.detach()
    assert (report.ended, report.cancelled, report.abandoned, report.closed) == (1, 1, [], [])
    assert report.seconds < 1
    assert server.gone.wait(1)
    assert said(chat).endswith("Well, \n[Stopped]\n\n")
    send(panel, chat, "Hello")
    assert is_idle(chat), "a panel that outlives its plug-in does nothing"


def test_a_host_that_deletes_the_panel_in_mid_stream_hears_no_error(held, spin, caplog):
    """The answer is cancelled."""
    lease, panel, server = held
    panel.deleteLater()
    spin(lambda: server.gone.value == 1)
    report = lease.detach()
    assert (report.ended, report.abandoned) == (0, [])
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# -- the plug-ins, in the toy host of asyncslot.testing ------------------------


@pytest.fixture(scope="module")
def vendored(tmp_path_factory):
    """A copy of asyncslot, made once."""
    return vendor.copy(tmp_path_factory.mktemp("copy"))


@pytest.fixture
def toy(windows):
    with testing.Host() as host:
        yield host
        assert host.errors == []


@pytest.fixture
def install(tmp_path, monkeypatch, vendored):
    """Return a function that puts a plug-in where it is found, with a copy of asyncslot in it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(host):
        target = tmp_path / PACKAGES[host].name
        shutil.copytree(str(PACKAGES[host]), str(target), ignore=shutil.ignore_patterns("__pycache__", "asyncslot"))
        shutil.copytree(str(vendored), str(target / "_vendor" / "asyncslot"))

    return install


@pytest.fixture
def qgis(server, toy, install, settings, monkeypatch):
    """The plug-in for QGIS, loaded, and as much of QGIS as it touches."""
    core = importlib.import_module("qtpy.QtCore")
    contents = {"qgis.core": {"QgsSettings": lambda: settings}, "qgis.PyQt.QtCore": vars(core)}
    for name, content in {"qgis": {}, "qgis.PyQt": {}, **contents}.items():
        module = types.ModuleType(name)
        vars(module).update({key: value for key, value in content.items() if not key.startswith("__")})
        monkeypatch.setitem(sys.modules, name, module)
    iface = mock.Mock()
    iface.mainWindow = lambda: toy.window
    iface.addDockWidget = toy.window.addDockWidget
    iface.removeDockWidget = toy.window.removeDockWidget
    install("qgis")
    return toy.load("async_chat", lambda package: package.classFactory(iface))


def keep_busy(toy, panel, server):
    """Have the plug-in in the middle of two answers."""
    panel.address.setText(server.address)
    begun = server.begun.value
    panel.add()
    for chat in panel.conversations():
        send(panel, chat, "Hello", "held")
    toy.run_until(lambda: server.begun.value == begun + 2)
    toy.run_until(lambda: all("Well, " in said(chat) for chat in panel.conversations()))


@pytest.fixture
def ignore(server):
    """The server's own side of it."""
    port = server.server_address[1]
    return ["process_request_thread", rf"open socket \(.*, {port}\)", rf"open socket .* {port}"]


def test_qgis_unloads_it_in_mid_stream(toy, qgis, server, ignore):
    """Nothing is left: no task, connection, timer, dock or lease."""
    keep_busy(toy, qgis._dock.panel, server)
    toy.assert_clean_unload(qgis, ignore=ignore)
    assert server.gone.wait(2)


def test_qgis_reloads_it_in_mid_stream(toy, qgis, server, ignore):
    """The new one works, and nothing of either is left."""
    keep_busy(toy, qgis._dock.panel, server)
    new = toy.reload(qgis)
    keep_busy(toy, new._dock.panel, server)
    toy.assert_clean_unload(new, ignore=ignore)


def test_qgis_quits_in_mid_stream(toy, qgis, server, ignore):
    """With everything under way."""
    keep_busy(toy, qgis._dock.panel, server)
    toy.assert_clean_quit(ignore=ignore)


def test_napari_quits_in_mid_stream(toy, install, server, ignore):
    """It makes the panel by what its manifest names, and unloads nothing: at its end the lease is detached."""
    install("napari")
    manifest = (EXAMPLE / "napari" / "src" / "napari_async_chat" / "napari.yaml").read_text(encoding="utf-8")
    package, function = re.search(r"python_name: (\w+):(\w+)", manifest).groups()
    plugin = toy.load(package, load=None, unload=None)
    panel = getattr(plugin, function)()
    keep_busy(toy, panel, server)
    chats = panel.conversations()
    toy.assert_clean_quit(ignore=ignore)
    assert all(said(chat).endswith("[Stopped]\n\n") for chat in chats)
    panel.deleteLater()
    toy.run_until(lambda: not _is_alive(panel))

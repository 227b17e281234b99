"""examples/chat/qgis/async_chat/client.py on plain asyncio: what servers answer, and what comes of it.

Raw answers come from a server of asyncio's in the same loop; all else is asked of the example's own server.
"""

import asyncio
import json
import re
import socket
import ssl
import sys
import threading
from unittest import mock

import pytest

from chat_service import EXAMPLE, load, serving, tls_context, try_server

pytestmark = pytest.mark.once

KEY = "sk-0123456789-secret"


@pytest.fixture
def client():
    return load(EXAMPLE / "qgis" / "async_chat" / "client.py")


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
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"
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
    "half of a letter": (
        [HEAD + b"\r\n" + b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n' + DONE],
        ["?"],
    ),
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
    "an error on the way": (
        HEAD + b'\r\ndata: {"error": {"message": "Out of memory"}}\n\n',
        "broke off: Out of memory",
    ),
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
    "an answer in parts": (JSON_HEAD + b'\r\n{"choices": [{"message": {"content": [{}]}}]}', "what is no answer"),
    "another piece": (HEAD + b'\r\ndata: {"choices": [{"delta": {"content": [1]}}]}\n\n', "what is no answer"),
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
    return tls_context(certificate)


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


def test_reading_certificates_holds_nobody_up(client, monkeypatch):
    """It takes many frames, so a thread does it; without TLS nobody does."""
    threads = []

    def make_context():
        threads.append(threading.current_thread())
        raise OSError("no certificates")

    monkeypatch.setattr(ssl, "create_default_context", make_context)
    with pytest.raises(client.ChatError, match="no certificates"):
        asyncio.run(collect(client, client.Service("https://127.0.0.1:1"), []))
    with pytest.raises(client.ChatError, match="refused"):
        asyncio.run(collect(client, client.Service("http://127.0.0.1:1"), []))
    assert len(threads) == 1
    assert threading.main_thread() not in threads


def test_a_certificate_that_nobody_vouches_for_is_refused(client, tls):
    """Before anything is sent."""
    with serving(context=tls) as server:
        with pytest.raises(client.ChatError, match=r"certificate of localhost:\d+ is not to be trusted: self"):
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

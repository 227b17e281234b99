"""examples/qgis_mcp: web.py, without QGIS. Who is let in, what is no HTTP, and how many are served, on plain asyncio.

The tools are those of tests/support/mcp_toys.py; what the server answers to those who are let in is in
test_example_mcp.py.
"""

import contextlib
import functools
import json
import socket
import sys

import pytest

import mcp_client
import mcp_toys
from mcp_client import WITH_SESSIONS
from mcp_toys import HEAD, TOKEN, message, read_answer, wait_until

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.version_info < (3, 9), reason="the example is for Python 3.9, as QGIS has it"),
]

example = pytest.fixture(mcp_toys.example)
toys = pytest.fixture(mcp_toys.toys)
serve = pytest.fixture(mcp_toys.serve)

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

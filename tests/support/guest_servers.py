"""Servers that libraries in tests/neighbours/guests talk to: Debian's daemons, each in a directory of its own.

They listen on sockets in that directory, keep nothing, and end with the tests. As root a daemon that refuses root runs
as an unprivileged user.
"""

import contextlib
import glob
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

# Where Debian has programs that are not on everybody's PATH.
_PLACES = ["/usr/sbin", *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)]


class NotInstalledError(Exception):
    """A server's program is not on this machine."""


def _find(program, package):
    """Return the path of a program."""
    path = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *_PLACES]))
    if path is None:
        raise NotInstalledError(f"{program} is not installed; on Debian: apt-get install {package}")
    return path


@contextlib.contextmanager
def _running(command, path, place, **options):
    """Run a daemon from when it answers at its socket, until the end."""
    with (place / "log").open("wb") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
    try:
        _wait_until_it_answers(path, daemon, place / "log")
        yield
    finally:
        daemon.terminate()
        daemon.wait(10)


def _wait_until_it_answers(path, daemon, log, timeout=20):
    deadline = time.monotonic() + timeout
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return
        assert daemon.poll() is None, f"{daemon.args[0]} ended with exit code {daemon.returncode}:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"{daemon.args[0]} does not answer after {timeout} s:\n{log.read_text()}"
        time.sleep(0.01)  # there is nothing to wait for but the socket


@contextlib.contextmanager
def _directory():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextlib.contextmanager
def redis():
    """Give the path of a redis-server's socket."""
    program = _find("redis-server", "redis-server")
    with _directory() as place:
        path = place / "socket"
        command = [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(place)]
        with _running(command, path, place):
            yield str(path)


@contextlib.contextmanager
def mosquitto():
    """Give the path of an MQTT broker's socket."""
    program = _find("mosquitto", "mosquitto")
    with _directory() as place:
        path, settings = place / "socket", place / "mosquitto.conf"
        # The user is for root, who would else become one who may not look into our directory.
        settings.write_text(f"listener 0 {path}\nallow_anonymous true\nuser root\n")
        with _running([program, "-c", str(settings)], path, place):
            yield str(path)


@contextlib.contextmanager
def postgres():
    """Give the directory of a PostgreSQL server's socket; its user is "guest", its database "postgres"."""
    initdb, program = _find("initdb", "postgresql"), _find("postgres", "postgresql")
    options = {"env": {**os.environ, "LC_ALL": "C"}}
    with _directory() as place:
        if os.geteuid() == 0:
            # It refuses root. Debian's package brings this user.
            shutil.chown(place, "postgres", "postgres")
            options.update(user="postgres", group="postgres", extra_groups=[], cwd=str(place))
        data = str(place / "data")
        make = [initdb, "-D", data, "--username=guest", "--auth=trust", "--no-sync"]
        subprocess.run(make, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60, **options)
        command = [program, "-D", data, "-c", "fsync=off", "-c", "listen_addresses=", "-k", str(place)]
        with _running(command, place / ".s.PGSQL.5432", place, **options):
            yield str(place)


_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


@contextlib.contextmanager
def dbus():
    """Give the address of a bus of our own."""
    program = _find("dbus-daemon", "dbus")
    with _directory() as place:
        path, settings = place / "socket", place / "bus.conf"
        settings.write_text(_BUS.format(path=path))
        with _running([program, f"--config-file={settings}", "--nofork", "--nosyslog"], path, place):
            yield f"unix:path={path}"


class Chat(BaseHTTPRequestHandler):
    """A server of OpenAI's and of Anthropic's API, as much as a streamed answer needs. Its answers never end."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        answer = _openai_events() if self.path == "/chat/completions" else _anthropic_events()
        with contextlib.suppress(ConnectionError):  # the client goes away in the middle
            for event in answer:
                self.wfile.write(event.encode())
                time.sleep(0.005)  # as a model takes its time

    def log_message(self, format, *args):
        pass


def _openai_events():
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "toy"}
    while True:
        choice = {"index": 0, "delta": {"content": "word "}, "finish_reason": None}
        yield f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"


def _anthropic_events():
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "1", "type": "message", "role": "assistant", "content": [], "model": "toy", "usage": usage}
    events = [
        {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    while True:
        for event in events:
            yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
        events = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word "}}]

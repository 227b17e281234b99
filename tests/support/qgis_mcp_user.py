"""QGIS with the plug-in of examples/qgis_mcp, and its user: what tests/hosts/test_qgis_mcp*.py share.

QGIS is started once for each of these files, with two copies of the plug-in, each with a copy of asyncslot, and with
tests/hosts/real/qgis_mcp_driver, which does what the user does.

`played`, of a module's scope, `qgis`, `client` and `trusting` are fixtures, once a test file has made them such.
"""

import json
import socket
from pathlib import Path

import pytest

import mcp_client
import patience
from lib import machine  # from scripts/, which `vendored` has put on the path when conftest imported it
from lib.qgis import QgisRun, missing
from mcp_client import STATELESS, WITH_SESSIONS

ROOT = Path(__file__).resolve().parents[2]

TOKEN = "a-token-for-the-tests"
FIRST, SECOND = "qgis_mcp", "qgis_mcp_two"
START_TIMEOUT = patience.FOR_A_PROGRAM
COMMAND_TIMEOUT = patience.FOR_THE_LOOP

CITIES = [
    {"wkt": "POINT(7.1 50.7)", "attributes": {"city": "Bonn", "people": 330000, "share": 0.1}},
    {"wkt": "POINT(13.4 52.5)", "attributes": {"city": "Berlin", "people": 3700000, "share": 0.9}},
    {"wkt": "POINT(11.6 48.1)", "attributes": {"city": "München", "people": None, "share": 1}},
]

each_revision = pytest.mark.parametrize("revision", [STATELESS, WITH_SESSIONS])


class Qgis:
    """QGIS with its user: `do(command)` has him do something, and returns what came of it."""

    def __init__(self, run, directory, display):
        self.directory = directory
        self.ports = {FIRST: free_port(), SECOND: free_port()}
        self._run = run
        self._commands = directory / "commands.jsonl"
        self._commands.touch()
        self._count = 0
        for name in self.ports:
            run.add_plugin(ROOT / "examples" / "qgis_mcp" / "qgis_mcp", name)
        run.add_plugin(ROOT / "tests" / "hosts" / "real" / "qgis_mcp_driver", "qgis_mcp_driver", needs_copy=False)
        sections = [f"\n[{name}]\nport={port}\ntoken={TOKEN}\n" for name, port in self.ports.items()]
        run.start(display, {"ASYNCSLOT_COMMANDS": str(self._commands)}, "".join(sections))
        run.wait_for(lambda record: record["step"] == "ready", START_TIMEOUT)

    def do(self, command, **arguments):
        self._count += 1
        number = self._count
        with open(self._commands, "a", encoding="utf-8") as file:
            file.write(json.dumps({"number": number, "do": command, "with": arguments}) + "\n")
        facts = self._run.wait_for(lambda record: record["step"] == number, COMMAND_TIMEOUT)
        assert "error" not in facts, f"{command}: {facts['error']}\n{self._run.output()}"
        return facts

    def client(self, revision=STATELESS, plugin=FIRST, **options):
        return mcp_client.Client(self.ports[plugin], TOKEN, revision, **options)

    def wait_exit(self):
        return self._run.wait_exit(COMMAND_TIMEOUT)[0]

    def output(self):
        return self._run.output()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def played(tmp_path_factory):
    """QGIS, or the reason why it cannot be had."""
    if missing():
        yield missing()
        return
    directory = tmp_path_factory.mktemp("qgis")
    with machine.display() as (display, _), QgisRun(directory) as run:
        yield Qgis(run, directory, display)


def qgis(played, host_missing):
    if isinstance(played, str):
        host_missing(played)
    played.do("set_asking", name=FIRST, value=True)
    played.do("clear")
    yield played
    mcp_client.hang_up_all()


def client(qgis):
    return qgis.client()


def trusting(qgis):
    """QGIS, whose user has said that he is not to be asked."""
    qgis.do("set_asking", name=FIRST, value=False)
    return qgis


def add_cities(client, name="Cities"):
    return client.call("add_layer", name=name, features=CITIES)["id"]


def start_waiting(client, seconds=60, **options):
    return client.start("run_algorithm", algorithm="asyncslot_test:wait", parameters={"SECONDS": seconds}, **options)

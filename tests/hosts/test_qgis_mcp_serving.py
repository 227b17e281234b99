"""examples/qgis_mcp in a real QGIS: its server, with many clients, through reloads, and until QGIS quits.

This process is the clients. What the tools do is in test_qgis_mcp.py. The last test quits QGIS. How long frames took is
written to the output, and not asserted. Where QGIS is not installed the tests are skipped, saying so; `--require-hosts`
makes that a failure.
"""

import contextlib
import importlib.util
import json
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import mcp_client
import qgis_mcp_user
from mcp_client import STATELESS, WITH_SESSIONS
from qgis_mcp_user import (
    COMMAND_TIMEOUT,
    FIRST,
    ROOT,
    SECOND,
    TOKEN,
    add_cities,
    each_revision,
    free_port,
    start_waiting,
)
from readme_reader import ADDRESS, code_blocks, shell

pytestmark = pytest.mark.qgis

README = (ROOT / "examples" / "qgis_mcp" / "README.md").read_text(encoding="utf-8")

CALLS = 50
RELOADS = 5

played = pytest.fixture(qgis_mcp_user.played, scope="module")
qgis = pytest.fixture(qgis_mcp_user.qgis)
client = pytest.fixture(qgis_mcp_user.client)
trusting = pytest.fixture(qgis_mcp_user.trusting)


def test_many_calls_at_once(qgis, client, record_property):
    """Fifty clients at a time, and QGIS goes on ticking."""
    layer = add_cities(client)
    qgis.do("begin_heartbeat")
    time.sleep(1.0)  # what is measured here is QGIS at rest
    idle = qgis.do("end_heartbeat")
    qgis.do("begin_heartbeat")
    started = time.monotonic()
    with ThreadPoolExecutor(CALLS) as pool:
        clients = [qgis.client(name=f"client {number}") for number in range(CALLS)]
        answers = list(pool.map(lambda each: each.call("query_layer", layer=layer)["count"], clients * 4))
    seconds = time.monotonic() - started
    busy = qgis.do("end_heartbeat")
    assert answers == [3] * CALLS * 4
    assert busy["ticks"] > 1
    print(
        f"{len(answers) / seconds:.0f} calls/s; frames at p99: {busy['p99_ms']:.1f} ms, at rest {idle['p99_ms']:.1f} ms"
    )


@contextlib.contextmanager
def load_of(clients):
    """Have clients call without a pause; yields what was served, and what failed otherwise than by a reload."""
    is_over, unexpected, served = threading.Event(), [], []

    def work(client):
        while not is_over.is_set():
            try:
                served.append(client.call("list_layers"))
            except (OSError, AssertionError, ValueError):
                pass  # in the middle of a reload
            except Exception as exc:
                unexpected.append(repr(exc))

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield served, unexpected
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def test_reload_under_load_keeps_the_port_and_the_sessions(qgis):
    """Five times; those who have a session go on with it, and nothing is left."""
    clients = [qgis.client(revision) for revision in (STATELESS, WITH_SESSIONS) * 2]
    qgis.do("reload", name=FIRST)
    before = qgis.do("footprint")
    with load_of(clients) as (served, unexpected):
        for _ in range(RELOADS):
            count = len(served)
            deadline = time.monotonic() + COMMAND_TIMEOUT
            while len(served) < count + 8 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert len(served) >= count + 8, "the server answers again"
            reloaded = qgis.do("reload", name=FIRST)
            assert reloaded["is_reloaded"]
            print(f"reloaded in {reloaded['seconds'] * 1000:.0f} ms")
    assert unexpected == []
    for client in clients:
        assert client.call("list_layers") == {"layers": []}
    after = qgis.do("footprint")
    assert len(after["tasks"]) <= len(before["tasks"]), after["tasks"]
    assert after["fds"] == before["fds"]


def test_two_plugins_serve_side_by_side(qgis):
    """Each with its own copy of asyncslot, port and calls; the end of one is none of the other's affair."""
    first, second = qgis.client(), qgis.client(plugin=SECOND)
    layer = add_cities(first)
    assert second.call("query_layer", layer=layer)["count"] == 3
    qgis.do("set_asking", name=SECOND, value=False)
    call = start_waiting(second, 1.0)
    qgis.do("unload", name=FIRST)
    with pytest.raises(OSError, match="refused"):
        first.call("list_layers")
    assert call.result()["structuredContent"] == {"results": {"WAITED": True}}
    qgis.do("load", name=FIRST)
    assert first.call("query_layer", layer=layer)["count"] == 3


@each_revision
def test_unload_in_the_middle_of_a_call(trusting, revision):
    """The client is told, the algorithm is cancelled, and it takes no time."""
    runs = len(trusting.do("wait_for_algorithm", runs=0)["cancelled"])
    call = start_waiting(trusting.client(revision), wants_progress=True)
    messages = call.messages()
    next(messages)
    unloaded = trusting.do("unload", name=FIRST)
    last = list(messages)[-1]
    assert last["error"] == {"code": -32000, "message": "QGIS has ended the server meanwhile"}
    assert trusting.do("wait_for_algorithm", runs=runs + 1)["cancelled"][-1] is True
    print(f"unloaded in {unloaded['seconds'] * 1000:.0f} ms")
    trusting.do("load", name=FIRST)


def test_a_port_that_is_taken_is_told_and_can_be_chosen_anew(qgis):
    """In the message bar, with a button; the new port is kept."""
    taken, new = qgis.ports[FIRST], free_port()
    qgis.do("unload", name=FIRST)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        qgis.do("load", name=FIRST)
        qgis.do("wait_for_message", text=f"QGIS MCP: No MCP client can reach this QGIS: port {taken} cannot be had")
        assert qgis.do("choose_port", port=new)["port"] == new
        qgis.do("wait_for_no_message", text="No MCP client")
        assert mcp_client.Client(new, TOKEN).call("list_layers") == {"layers": []}
    assert qgis.do("choose_port", port=taken)["port"] == taken
    assert qgis.client().call("list_layers") == {"layers": []}
    with pytest.raises(OSError, match="refused"):
        mcp_client.Client(new, TOKEN).call("list_layers")


def test_address_and_token_can_be_copied(qgis):
    """As clients take them."""
    (server,) = json.loads(qgis.do("copied_settings")["text"])["mcpServers"].values()
    assert server == {
        "type": "http",
        "url": f"http://127.0.0.1:{qgis.ports[FIRST]}/mcp",
        "headers": {"Authorization": f"Bearer {TOKEN}"},
    }


def test_a_token_is_made_at_the_first_start(qgis):
    """A long one, and kept."""
    tokens = []
    for _ in range(2):
        qgis.do("unload", name=SECOND)
        if not tokens:
            qgis.do("forget_token", name=SECOND)
        qgis.do("load", name=SECOND)
        tokens.append(qgis.do("token", name=SECOND)["token"])
    assert tokens[0] == tokens[1]
    assert len(tokens[0]) >= 40
    assert mcp_client.Client(qgis.ports[SECOND], tokens[0]).call("list_layers") == {"layers": []}
    assert mcp_client.Client(qgis.ports[SECOND], TOKEN).send("tools/list").status == 401


def test_readme_leads_from_an_empty_directory_to_a_picture(qgis, guest_missing, tmp_path):
    """By ten commands at most; QGIS runs already here, and the official client is installed or not."""
    (block,) = [code for _, code in code_blocks(README) if code.startswith("git clone")]
    assert len(block.splitlines()) <= 10
    *prepare, start, _, _, last = block.splitlines()
    assert start == "qgis &"
    shell("\n".join(prepare).replace(ADDRESS, str(ROOT)), tmp_path)
    plugin = tmp_path / ".local/share/QGIS/QGIS3/profiles/default/python/plugins" / FIRST
    assert (plugin / "metadata.txt").is_file()
    assert (plugin / "_vendor" / "asyncslot" / "host_adapters" / "qgis.py").is_file()
    if importlib.util.find_spec("mcp") is None:
        guest_missing("mcp, the official client, is not installed; the extra 'guests' has it")
    line = last.replace("venv/bin/python", sys.executable).replace("<token>", f"{TOKEN} {qgis.ports[FIRST]}")
    assert "Tools: list_layers, " in shell(line, tmp_path)
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_qgis_quits_with_clients_connected(qgis):
    """In the middle of calls; they are told, and QGIS ends as ever, having said nothing about us.

    The calls wait for the user. Were the algorithm running already, QGIS would ask first whether to cancel it.
    """
    calls = [start_waiting(qgis.client(revision)) for revision in (STATELESS, WITH_SESSIONS)]
    qgis.do("wait_for_question", is_there=True)
    qgis.do("quit")
    assert [call.error() for call in calls] == [-32000, -32000]
    assert qgis.wait_exit() == 0, qgis.output()
    for word in ("Traceback", "QSocketNotifier", "QObject", "QTimer", "asyncio", "asyncslot/"):
        assert word not in qgis.output()

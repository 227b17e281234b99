"""examples/qgis_mcp in a real QGIS: an MCP server, and this process is its client.

QGIS is started once, with two copies of the plug-in, each with a copy of asyncslot, and with
tests/hosts/real/qgis_mcp_driver, which does what the user does. The last test quits QGIS. How long frames took is
written to the output, and not asserted. Where QGIS is not installed the tests are skipped, saying so; `--require-hosts`
makes that a failure.
"""

import base64
import contextlib
import importlib.util
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import mcp_client
from mcp_client import STATELESS, WITH_SESSIONS
from readme_reader import ADDRESS, code_blocks, shell

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from lib import machine  # noqa: E402 (from scripts/, see above)
from lib.qgis import QgisRun, missing  # noqa: E402

pytestmark = pytest.mark.qgis

README = (ROOT / "examples" / "qgis_mcp" / "README.md").read_text(encoding="utf-8")

TOKEN = "a-token-for-the-tests"
FIRST, SECOND = "qgis_mcp", "qgis_mcp_two"
START_TIMEOUT = 90.0
COMMAND_TIMEOUT = 40.0
CALLS = 50
RELOADS = 5

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


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """QGIS, or the reason why it cannot be had."""
    if missing():
        yield missing()
        return
    directory = tmp_path_factory.mktemp("qgis")
    with machine.display() as (display, _), QgisRun(directory) as run:
        yield Qgis(run, directory, display)


@pytest.fixture
def qgis(played, host_missing):
    if isinstance(played, str):
        host_missing(played)
    played.do("set_asking", name=FIRST, value=True)
    played.do("clear")
    yield played
    mcp_client.hang_up_all()


@pytest.fixture
def client(qgis):
    return qgis.client()


@pytest.fixture
def trusting(qgis):
    """QGIS, whose user has said that he is not to be asked."""
    qgis.do("set_asking", name=FIRST, value=False)
    return qgis


def add_cities(client, name="Cities"):
    return client.call("add_layer", name=name, features=CITIES)["id"]


def start_waiting(client, seconds=60, **options):
    return client.start("run_algorithm", algorithm="asyncslot_test:wait", parameters={"SECONDS": seconds}, **options)


def texts(messages):
    return [message["params"].get("message") for message in messages if "method" in message]


# -- what the tools do ---------------------------------------------------------


def test_tools_are_listed(client):
    """Each with its arguments, of which a model learns by their names, types and descriptions."""
    tools = {tool["name"]: tool for tool in client.send("tools/list").result()["tools"]}
    assert list(tools) == [
        *("list_layers", "add_layer", "open_layer", "style_layer", "query_layer", "picture"),
        *("find_algorithms", "run_algorithm"),
    ]
    schema = tools["query_layer"]["inputSchema"]
    assert schema["required"] == ["layer"]
    assert schema["properties"]["operator"]["enum"] == ["=", "<>", "<", "<=", ">", ">=", "contains"]


@each_revision
def test_layers_are_added_listed_and_styled(qgis, revision):
    """In the project that the user sees."""
    client = qgis.client(revision)
    layer = client.call("add_layer", name="Cities", features=CITIES)
    assert (layer["geometry"], layer["features"], layer["crs"]) == ("Point", 3, "EPSG:4326")
    assert list(layer["fields"]) == ["city", "people", "share"]
    assert client.call("style_layer", layer=layer["id"], color="#ff8000", opacity=0.5)["opacity"] == 0.5
    assert [each["name"] for each in client.call("list_layers")["layers"]] == ["Cities"]


CONDITIONS = {
    ("city", "=", "Bonn"): ["Bonn"],
    ("people", ">", "1000000"): ["Berlin"],
    ("share", "<=", "0.9"): ["Bonn", "Berlin"],
    ("city", "contains", "B"): ["Bonn", "Berlin"],
    ("city", "=", "' OR 1=1 --"): [],
    ("", "=", ""): ["Bonn", "Berlin", "München"],
}


def test_layers_are_queried(client):
    """Numbers as numbers; what a client writes is a value, never a part of the expression."""
    layer = add_cities(client)
    for (field, operator, value), expected in CONDITIONS.items():
        answer = client.call("query_layer", layer=layer, field=field, operator=operator, value=value)
        assert [each["attributes"]["city"] for each in answer["features"]] == expected, (field, operator, value)
        assert answer["count"] == len(expected)
    one = client.call("query_layer", layer=layer, limit=1, with_geometry=True)
    assert (one["count"], len(one["features"])) == (3, 1)
    assert one["features"][0]["wkt"] == "Point (7.1 50.7)"


MISTAKES = {
    "no such layer": ("query_layer", {"layer": "nowhere"}, "list_layers knows"),
    "no such field": ("query_layer", {"field": "height"}, "Fields: city, people, share"),
    "no such operator": ("query_layer", {"operator": "LIKE"}, "'operator' must be one of ="),
    "no such argument": ("list_layers", {"color": 1}, "there is no argument 'color'"),
    "an argument of another type": ("style_layer", {"opacity": "1"}, "'opacity' must be of type number"),
    "an argument is missing": ("add_layer", {"name": "x"}, "the argument 'features' is missing"),
    "no colour": ("style_layer", {"color": "reddish"}, "is no colour"),
    "no geometry": ("add_layer", {"name": "x", "features": [{"wkt": "POINT("}]}, "feature 0 is not of the form"),
    "no reference system": ("add_layer", {"name": "x", "features": CITIES, "crs": "/etc/passwd"}, "no known reference"),
    "too large": ("picture", {"width": 100000}, "from 1 to 2000"),
    "no such algorithm": ("run_algorithm", {"algorithm": "x", "parameters": {}}, "find_algorithms knows"),
    "wrong parameters": ("run_algorithm", {"algorithm": "native:buffer", "parameters": {}}, "cannot be run with"),
}


def test_mistakes_are_told_to_the_model(trusting):
    """As results that say so, with what to do."""
    client = trusting.client()
    layer = add_cities(client)
    for name, (tool, arguments, text) in MISTAKES.items():
        needs_layer = tool in ("query_layer", "style_layer") and "layer" not in arguments
        said = client.fail(tool, **arguments, **({"layer": layer} if needs_layer else {}))
        assert text in said, f"{name}: {said}"


def test_a_picture_is_that_of_the_map(qgis, client):
    """A PNG of the size that was asked for, in the colour of the layer that fills the map."""
    square = [{"wkt": "POLYGON((0 0, 10 0, 10 10, 0 10, 0 0))"}]
    layer = client.call("add_layer", name="Square", features=square)["id"]
    client.call("style_layer", layer=layer, color="#ff0000")
    qgis.do("zoom_to", west=4, south=4, east=6, north=6)
    data = base64.b64decode(client.call("picture", width=120, height=80))
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (120, 80)
    (qgis.directory / "picture.png").write_bytes(data)
    assert qgis.do("color_in", path=str(qgis.directory / "picture.png"))["color"] == "#ff0000"


# -- what may touch files ------------------------------------------------------


def test_an_algorithm_is_run_if_the_user_allows_it(qgis, client):
    """The user reads who wants what; the layer that it makes is added."""
    layer = add_cities(client)
    parameters = {"INPUT": layer, "DISTANCE": 2}
    answer = client.start("run_algorithm", algorithm="native:buffer", parameters=parameters)
    question = qgis.do("answer_question", answer="Yes")
    assert question["text"].startswith("tester wants to run Buffer (native:buffer). It can read and write files.")
    assert f"'INPUT': '{layer}'" in question["text"]
    assert question["is_default_no"]
    made = answer.result()["structuredContent"]["results"]["OUTPUT"]
    assert (made["geometry"], made["features"]) == ("MultiPolygon", 3)
    assert [each["name"] for each in client.call("list_layers")["layers"]] == ["Buffered", "Cities"]


def test_a_file_is_opened_if_the_user_allows_it(qgis, client):
    """A model gets no other layer than those that the user lets it open."""
    path = qgis.directory / "points.csv"
    path.write_text("city,people\nBonn,330000\n")
    arguments = {"source": str(path), "name": "From a file", "kind": "vector"}
    for answer, layers in (("No", []), ("Yes", ["From a file"])):
        call = client.start("open_layer", **arguments)
        assert repr(str(path)) in qgis.do("answer_question", answer=answer)["text"]
        assert call.result()["isError"] == (answer == "No")
        assert [each["name"] for each in client.call("list_layers")["layers"]] == layers


@each_revision
def test_a_question_goes_with_who_asks(qgis, revision):
    """The client cancels; then QGIS unloads the plug-in: each time the box is closed."""
    client = qgis.client(revision)
    call = start_waiting(client)
    qgis.do("wait_for_question", is_there=True)
    assert client.call("list_layers") == {"layers": []}, "others are answered meanwhile"
    client.cancel(call)
    qgis.do("wait_for_question", is_there=False)
    call = start_waiting(client)
    qgis.do("wait_for_question", is_there=True)
    assert qgis.do("unload", name=FIRST)["boxes"] == []
    assert call.error() == -32000
    qgis.do("load", name=FIRST)


def test_questions_come_one_at_a_time(qgis, client):
    """And the others wait for their turn."""
    calls = [start_waiting(client, 0.01) for _ in range(3)]
    for answer in ("Yes", "No", "Yes"):
        qgis.do("answer_question", answer=answer)
    assert [call.result()["isError"] for call in calls] == [False, True, False]


# -- progress, and cancelling from both sides ----------------------------------


@each_revision
def test_progress_is_told_to_both_sides(trusting, revision):
    """In the message bar, and to the client that asks for it; it only ever grows."""
    messages = start_waiting(trusting.client(revision), 0.5, wants_progress=True).messages()
    first = next(messages)
    assert first["method"] == "notifications/progress"
    trusting.do("wait_for_message", text="Wait a while")
    rest = list(messages)
    told = [message["params"]["progress"] for message in [first, *rest[:-1]]]
    assert told == sorted(set(told))
    assert 0 <= told[0] <= told[-1] <= 1
    assert rest[-1]["result"]["structuredContent"] == {"results": {"WAITED": True}}
    trusting.do("wait_for_no_message", text="Wait a while")


@each_revision
def test_the_client_cancels_and_the_user_hears_of_it(trusting, revision):
    """The algorithm ends in QGIS's thread, its progress is gone, and a message says who it was."""
    client = trusting.client(revision, name="A certain assistant")
    runs = len(trusting.do("wait_for_algorithm", runs=0)["cancelled"])
    call = start_waiting(client, wants_progress=True)
    next(call.messages())
    client.cancel(call)
    assert trusting.do("wait_for_algorithm", runs=runs + 1)["cancelled"][-1] is True
    trusting.do("wait_for_message", text="Wait a while: cancelled by A certain assistant")


@each_revision
def test_the_user_cancels_and_the_client_hears_of_it(trusting, revision):
    """By the button beside the progress bar."""
    runs = len(trusting.do("wait_for_algorithm", runs=0)["cancelled"])
    call = start_waiting(trusting.client(revision), wants_progress=True)
    trusting.do("click_cancel")
    result = call.result()
    assert result["isError"]
    assert result["content"][0]["text"] == "Cancelled by the user of QGIS."
    assert trusting.do("wait_for_algorithm", runs=runs + 1)["cancelled"][-1] is True


KILLED = """
import sys
sys.path.insert(0, {support!r})
import mcp_client
client = mcp_client.Client({port}, {token!r}, {revision!r})
parameters = {{"SECONDS": 60}}
call = client.start("run_algorithm", wants_progress=True, algorithm="asyncslot_test:wait", parameters=parameters)
next(call.messages())
print("waiting", flush=True)
call.read()
"""


@each_revision
def test_a_client_that_is_killed_ends_what_it_has_begun(trusting, revision):
    """Whichever revision it speaks: nobody is left who could come for the answer."""
    runs = len(trusting.do("wait_for_algorithm", runs=0)["cancelled"])
    support = str(ROOT / "tests" / "support")
    source = KILLED.format(support=support, port=trusting.ports[FIRST], token=TOKEN, revision=revision)
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE) as client:
        assert client.stdout.readline().strip() == b"waiting"
        client.kill()
    assert trusting.do("wait_for_algorithm", runs=runs + 1)["cancelled"][-1] is True
    assert trusting.client().call("list_layers") == {"layers": []}


# -- many, and the end ---------------------------------------------------------


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

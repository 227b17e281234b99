"""examples/qgis_mcp in a real QGIS: its tools, which an MCP client calls, and this process is that client.

What they do, what the user is asked before, and who hears of progress and of the end. How the server does is in
test_qgis_mcp_serving.py. Where QGIS is not installed the tests are skipped, saying so; `--require-hosts` makes that a
failure.
"""

import base64
import struct
import subprocess
import sys

import pytest

import qgis_mcp_user
from qgis_mcp_user import CITIES, FIRST, ROOT, TOKEN, add_cities, each_revision, start_waiting

pytestmark = pytest.mark.qgis

played = pytest.fixture(qgis_mcp_user.played, scope="module")
qgis = pytest.fixture(qgis_mcp_user.qgis)
client = pytest.fixture(qgis_mcp_user.client)
trusting = pytest.fixture(qgis_mcp_user.trusting)

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

"""examples/chat in real hosts of two bindings: QGIS and napari.

The plug-in is installed as its README tells, and tests/hosts/real/chat plays its user, against the server that comes
with the example. The tests below judge what it wrote. Where a host is not installed they are skipped, saying so;
`--require-hosts` makes that a failure. `scripts/hosts.py` installs the hosts. Screenshots go to .work/screenshots.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from chat_service import EXAMPLE, serving, try_server

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import vendor  # noqa: E402 (from scripts/, see above)
from lib import hosts, machine  # noqa: E402

pytestmark = pytest.mark.hosts

# What would be of ours in a host's output.
COMPLAINTS = ("Traceback", "Task was destroyed", "never awaited", "QSocketNotifier", "QObject::", "ResourceWarning")

_INSTALLED = {
    "METADATA": "Metadata-Version: 2.1\nName: napari-async-chat\nVersion: 1\n",
    "entry_points.txt": "[napari.manifest]\nnapari-async-chat = napari_async_chat:napari.yaml\n",
}


def install_in_qgis(host, plugins):
    install(EXAMPLE / "qgis" / "async_chat", plugins)
    with open(plugins.parents[1] / "QGIS" / "QGIS3.ini", "a") as settings:
        settings.write("async_chat=true\n")


def install_in_napari(host, packages):
    install(EXAMPLE / "napari" / "src" / "napari_async_chat", packages)
    information = packages / "napari_async_chat-1.dist-info"
    information.mkdir()
    for name, text in _INSTALLED.items():
        (information / name).write_text(text)


def install(source, directory):
    target = directory / source.name
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "asyncslot"))
    vendor.copy(target / "_vendor")


INSTALL = {"qgis": install_in_qgis, "napari": install_in_napari, "napari_pyside6": install_in_napari}
NAMES = os.environ.get("ASYNCSLOT_HOSTS", "").split() or hosts.names()


class Story:
    """What happened in one host."""

    def __init__(self, name, directory):
        screenshots = machine.WORK / "screenshots"
        screenshots.mkdir(parents=True, exist_ok=True)
        with serving() as server, hosts.lasting_display() as display, hosts.find(name)(directory) as host:
            self.host = host
            self.server = server
            host._make_profile()
            guest = host._guest
            shutil.move(guest / "story.py", guest / "story_of_checks.py")
            shutil.copy(ROOT / "tests" / "hosts" / "real" / "chat" / "story.py", guest / "story.py")
            INSTALL[name](host, guest.parent)
            variables = {
                "ASYNCSLOT_SERVER": server.address,
                "ASYNCSLOT_SCREENSHOT": str(screenshots / f"{name}-chat.png"),
            }
            self.exit_code, _, _ = host.play(display, "all", variables)
            self.has_hung_up = server.gone.wait(server.begun.value)
            self.records = host.records()
            self.output = host.output()

    def act(self, name):
        """Return what an act of the user's found; fail if it could not be played."""
        [found] = [record for record in self.records if record["step"] == name]
        assert "error" not in found, found["error"]
        return found


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    """Return a function that returns what happened in a host, or the reason why nothing could; each is run once."""
    played = {}

    def play(name):
        if name not in played:
            played[name] = hosts.find(name).missing() or Story(name, tmp_path_factory.mktemp(name))
        return played[name]

    return play


@pytest.fixture(params=NAMES)
def story(request, stories, host_missing):
    record(request, "host", request.param)
    if request.param not in INSTALL:
        pytest.skip(f"examples/chat has no plug-in for {request.param}")
    found = stories(request.param)
    if isinstance(found, str):
        host_missing(found)
    return found


def record(request, name, value):
    """Leave something for the table of scripts/hosts.py, as test_hosts.py does."""
    request.node.user_properties.append((name, value))


def test_chat_shows_answers(story):
    """One question after the other; the second one's answer knows of the first."""
    act = story.act("ask")
    assert "What is a map?\nQuestion 1 of this conversation: What is a map?" in act["said"]
    assert "And a legend?\nQuestion 2 of this conversation: And a legend?" in act["said"]


def test_chat_costs_no_frame(story, request):
    """While 2,000 tokens that are there at once are shown, a timer of 16 ms goes on ticking."""
    act = story.act("flood")
    record(request, "facts", json.dumps({"ticks": len(act["tokens"]), "most_tokens_in_one": max(act["tokens"])}))
    assert sum(act["tokens"]) == try_server.FLOOD
    assert len([count for count in act["tokens"] if count]) > 1, act["tokens"]
    assert act["is_at_end"]


def test_chat_stops_when_its_dock_is_closed(story):
    """Both answers that were under way."""
    assert story.act("stop_two")["ends"] == ["Well, \n[Stopped]\n\n"] * 2


def test_chat_says_errors_itself(story):
    """In the conversation; the host's log has none of them."""
    act = story.act("fail")
    assert "broke off in the middle of its answer]" in act["said"]
    assert "The model 'nobody' does not exist.]" in act["said"]
    assert "broke off" not in act["log"]


def test_chat_leaves_nothing(story):
    """Unloaded by QGIS in mid-stream, or when napari quits; the server has heard of each answer that was stopped."""
    act = story.act("leave")
    if "report" in act:
        assert act["is_unloaded"]
        assert act["report"] == [1, 1, 0, 0]  # one task, cancelled; none abandoned, and nothing left to close
        assert (act["left"], act["modules"]) == ([], [])
        assert story.server.gone.times[-1] < story.act("quitting")["at"]
    assert story.has_hung_up
    assert story.exit_code == 0, story.output
    assert [word for word in COMPLAINTS if word in story.output] == [], story.output

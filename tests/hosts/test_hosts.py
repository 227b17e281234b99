"""asyncslot in real host applications: the same checks in each, played by tests/hosts/real/guest inside it.

Each host is started twice, see scripts/lib/hosts.py: bare, and with the guest that plays its story. The tests below
judge what the guest wrote, one claim each. Where a host is not installed they are skipped, saying so;
`--require-hosts` makes that a failure. `scripts/hosts.py` installs the hosts and prints a table of all this.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

import slow_server

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from lib import host_run, hosts, machine  # noqa: E402 (from scripts/, see above)

pytestmark = pytest.mark.hosts

FILE = bytes(range(256)) * 8 * 1024  # 2 MB

# What would be of ours among a host's last words.
OUR_WORDS = ("asyncslot", "asyncio", "Traceback", "Task was destroyed", "never awaited", "QSocketNotifier", "QTimer")
# What asyncio and Qt say at any time of whoever uses them wrongly.
COMPLAINTS = (
    "Task was destroyed",
    "never awaited",
    "QSocketNotifier",
    "QObject::killTimer",
    "QThread",
    "ResourceWarning",
)


class Story:
    """What happened in one host."""

    def __init__(self, name, directory):
        with slow_server.serving(FILE) as server, hosts.lasting_display() as display, hosts.find(name)(
            directory
        ) as host:
            self.host = host
            self.bare_exit_code, self.bare_quit_seconds, _ = host.play(display, "bare")
            bare_output = host.output()
            [self.bare_idle] = [record for record in host.records() if record["step"] == "idle"]
            host.close()
            played = host.play(display, "all", {"ASYNCSLOT_SERVER": server})
            self.exit_code, self.quit_seconds, self.last_words = played
            self.records = host.records()
            self.output = host.output()
            self.complaints = [word for word in COMPLAINTS if word in self.output and word not in bare_output]
            try:
                self.batch = host.try_batch(display)
            except host_run.HostError as exc:  # which is no reason not to judge the rest
                self.batch = str(exc)

    def check(self, name):
        """Return what a check found; fail if it could not be played."""
        found = [record for record in self.records if record["step"] == name]
        assert found, f"{name!r} was not played; {self.host.NAME} said:\n{self.output}"
        assert "error" not in found[-1], found[-1]["error"]
        return found[-1]


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    """Return a function that returns what happened in a host, or the reason why nothing could; each is run once."""
    played = {}

    def play(name):
        if name not in played:
            try:
                played[name] = hosts.find(name).missing() or Story(name, tmp_path_factory.mktemp(name))
            except Exception as exc:
                played[name] = exc
        return played[name]

    return play


@pytest.fixture(params=os.environ.get("ASYNCSLOT_HOSTS", "").split() or hosts.names())
def story(request, stories, host_missing):
    _record(request, "host", request.param)
    found = stories(request.param)
    if isinstance(found, str):
        host_missing(found)
    if isinstance(found, Exception):
        pytest.fail(f"{type(found).__name__}: {found}", pytrace=False)
    return found


@pytest.fixture
def note(request):
    """Return a function that leaves facts in pytest's JUnit file, for the table of scripts/hosts.py."""
    return lambda **facts: _record(request, "facts", json.dumps(facts))


def _record(request, name, value):
    # Not `record_property`, which warns that the file's schema has no such thing.
    request.node.user_properties.append((name, value))


# -- life in a host ----------------------------------------------------------


def test_load(story, note):
    """The plug-in attaches when the host loads it; the host's own adapter is found, and knows its Qt and its window."""
    facts = story.check("load")
    note(**{name: facts[name] for name in ("version", "qt_core", "qt", "python")})
    assert facts["NAME"] == story.host.ADAPTER
    assert facts["is_running"]
    assert facts["is_qt_core"]
    assert facts["is_parent_the_window"]
    assert facts["ticks"] > 0


def test_start_is_not_slowed(story, note):
    """What the plug-in adds to the host's start, Python's own asyncio aside, is 50 ms or a twentieth of it at most."""
    facts = story.check("ready")
    note(**{name: facts[name] for name in ("ready_ms", "asyncio_ms", "attach_ms")})
    assert facts["attach_ms"] < max(50, facts["ready_ms"] / 20), facts


def test_idle(story, note):
    """While nothing happens the host's GUI ticks on; how evenly, with the plug-in and without it, is noted."""
    facts = story.check("idle")
    note(
        p99_ms=facts["p99_ms"],
        longest_gap_ms=facts["longest_gap_ms"],
        bare_p99_ms=story.bare_idle["p99_ms"],
        bare_longest_gap_ms=story.bare_idle["longest_gap_ms"],
    )
    assert facts["ticks"] > 0


def test_download_and_subprocess(story, note):
    """A download and a subprocess give what they should, and the host's GUI goes on meanwhile."""
    facts = story.check("download_and_subprocess")
    note(ticks=facts["ticks"], ms=facts["ms"], longest_gap_ms=facts["longest_gap_ms"])
    assert (facts["status"], facts["sha256"]) == ("200", hashlib.sha256(FILE).hexdigest())
    assert (facts["exit_code"], facts["is_same"]) == (0, True)
    assert facts["ticks"] > 10, facts


@pytest.mark.parametrize("way", ["open_modal", "open_modal_outside"], ids=["in_coroutine", "asyncModal"])
def test_modal_dialog(story, way):
    """Another task goes on while a coroutine has a modal dialog open, and the dialog's result comes back."""
    facts = story.check("modal_dialog")[way]
    assert facts["result"] == 1
    assert facts["ticks"] > 5, facts


def test_error_in_task(story):
    """An exception that nobody caught is in the host's own log, with the plug-in's name; no dialog opens."""
    facts = story.check("error_in_task")
    assert facts["owner"] in facts["log"], facts["log"]
    assert "ValueError: <spoilt> on purpose" in facts["log"], facts["log"]
    assert "in _fail" in facts["log"], facts["log"]
    assert not facts["is_modal"]


def test_report_from_thread(story):
    """report() may be called from any thread, and its text is not taken for HTML."""
    facts = story.check("report_from_thread")
    assert facts["has_returned"]
    assert "<b>from a thread</b> &\n<i>in two lines" in facts["log"], facts["log"]


def test_progress(story):
    """Progress is seen in the host's own display, with its share, its title and its text."""
    facts = story.check("progress")
    for directory in filter(None, [str(machine.WORK / "screenshots"), os.environ.get("ASYNCSLOT_SCREENSHOTS")]):
        os.makedirs(directory, exist_ok=True)
        shutil.copy(str(story.host.screenshot_file), os.path.join(directory, f"{story.host.place.name}-progress.png"))
    assert facts["fraction"] == pytest.approx(100 / 240, abs=0.01)
    texts = " ".join(facts["texts"])
    assert "Downloading tiles" in texts
    assert "of the old town" in texts


def test_cancel(story, note):
    """Cancelled in the host, the task is cancelled and the display goes away."""
    facts = story.check("progress")
    note(cancelled_by=facts["cancelled_by"])
    assert facts["outcome"] == ["cancelled"]
    assert facts["is_gone"]


def test_reload(story):
    """Reloaded by the host, the plug-in's old tasks have ended, and its new ones go on."""
    if not story.host.CAN_RELOAD:
        pytest.skip(f"{story.host.NAME} cannot reload a plug-in while it runs")
    facts = story.check("reload")
    assert facts["is_new_code"]
    assert facts["old_is_attached"] is False
    assert facts["is_cancelled"]
    assert facts["old_ticks_on"] == 0
    assert facts["new_ticks"] > 0


def test_batch(story):
    """In the host without its GUI, attach() says what to use there, also if it works because of a Qt application."""
    if story.batch is None:
        pytest.skip(f"{story.host.NAME} always has its GUI, or is not run without it here")
    outcome = "<" if story.host.HAS_BATCH_APPLICATION else "NoApplicationError: attach() found no QCoreApplication"
    assert story.batch.startswith(outcome), story.batch
    assert "asyncio.run()" in story.batch


def test_quit_while_busy(story, note):
    """The host quits as it does without the plug-in: the same exit code, no hang, and nothing of ours on stderr."""
    assert story.check("quit_while_busy")["busy"] == ["server", "connection", "subprocess"]
    assert story.check("about to quit")["is_attached"] is False
    note(exit_code=story.exit_code, quit_seconds=story.quit_seconds, bare_quit_seconds=story.bare_quit_seconds)
    assert story.exit_code == story.bare_exit_code
    assert story.quit_seconds < story.bare_quit_seconds + 3
    assert [word for word in OUR_WORDS if word in story.last_words] == [], story.last_words
    assert story.complaints == [], story.output

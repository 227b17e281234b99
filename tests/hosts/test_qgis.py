"""asyncslot in a real QGIS.

QGIS is started once, with examples/qgis_plugin and with tests/hosts/real/qgis_guest, which has two twins, each with a
vendored copy of its own. Another plug-in, tests/hosts/real/qgis_driver, plays a scenario there, writes down what it
finds, and asks QGIS to quit. The tests below judge what it wrote, one claim each. Where QGIS is not installed they are
skipped, saying so; `--require-hosts` makes that a failure.
"""

import hashlib
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

import asyncslot
import patience
import slow_server

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = (ROOT / "SUPPORT.md").read_text(encoding="utf-8")
sys.path.insert(0, str(ROOT / "scripts"))

import vendor  # noqa: E402
from lib import machine  # noqa: E402 (from scripts/, see above)
from lib.qgis import QgisRun, missing  # noqa: E402

pytestmark = pytest.mark.qgis

FILE = bytes(range(256)) * 32 * 1024  # 8 MB

# From the start of QGIS to the end of the scenario; 20 s on two shared cores.
SCENARIO_TIMEOUT = patience.FOR_A_PROGRAM
# The longest that QGIS may take from being asked to quit to being gone.
QUIT_SECONDS = 3.0
# QGIS's own thread pool, whose threads come and go as it likes.
QGIS_THREADS = "Thread (pooled)"


class Story:
    """What happened in QGIS."""

    def __init__(self, directory):
        self.directory = directory
        hosts = ROOT / "tests" / "hosts" / "real"
        with slow_server.serving(FILE) as server, machine.display() as (display, _), QgisRun(directory) as qgis:
            qgis.add_plugin(ROOT / "examples" / "qgis_plugin", "async_download")
            qgis.add_plugin(hosts / "qgis_guest", "qgis_guest")
            qgis.add_plugin(hosts / "qgis_guest", "qgis_guest_two")
            twin = qgis.add_plugin(hosts / "qgis_guest", "qgis_guest_three", needs_copy=False)
            vendor.copy(twin / "_vendor", name="another_name", pretend="0.9.0")
            source = (twin / "guest.py").read_text(encoding="utf-8")
            renamed = source.replace("from ._vendor import asyncslot", "from ._vendor import another_name as asyncslot")
            (twin / "guest.py").write_text(renamed, encoding="utf-8")
            qgis.add_plugin(hosts / "qgis_driver", "qgis_driver", needs_copy=False)
            qgis.start(display, {"ASYNCSLOT_SERVER": server})
            asked = qgis.wait_for(lambda record: record["step"] == "quitting", SCENARIO_TIMEOUT)
            self.exit_code, gone_at = qgis.wait_exit(5 * QUIT_SECONDS)
            self.quit_seconds = gone_at - asked["at"]
            self.records = qgis.records()
            self.output = qgis.output()

    def step(self, name):
        """Return what the last step of that name found; fail if it could not be played."""
        found = [record for record in self.records if record["step"] == name]
        assert found, f"the step {name!r} was not played; QGIS said:\n{self.output}"
        assert "error" not in found[-1], found[-1]["error"]
        return found[-1]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Return what happened, or the reason why nothing could."""
    return missing() or Story(tmp_path_factory.mktemp("qgis"))


@pytest.fixture
def story(played, host_missing):
    if isinstance(played, str):
        host_missing(played)
    return played


# -- life of a plug-in -------------------------------------------------------


def test_profile_loads_the_plugins_before_qgis_runs_its_loop(story):
    """attach() works at loop level 0, in initGui(), and what was started there runs once QGIS does."""
    start = story.step("start")
    assert start["active"] == ["async_download", "qgis_guest", "qgis_guest_two", "qgis_guest_three"]
    assert start["loop_level_at_init"] == 0
    assert start["ticks"] > 0


def test_reload_leaves_nothing_over(story):
    """reloadPlugin() in the middle of a download, five times: each download was cancelled, nothing is left."""
    reloads = story.step("reloads")
    assert reloads["answers"] == [[True, True]] * 5
    assert _more(reloads) == {}


def test_unload_leaves_nothing_over(story):
    """With every plug-in unloaded QGIS is as before: no task, thread, descriptor, timer, notifier or module."""
    unloads = story.step("unloads")
    assert unloads["after"]["tasks"] == []
    assert unloads["after"]["modules"] == []
    assert _more(unloads) == {}


def _more(facts):
    """Return what there is more of after than before, by kind."""
    more = {kind: Counter(facts["after"][kind]) - Counter(facts["before"][kind]) for kind in facts["before"]}
    del more["native_threads"][QGIS_THREADS]
    return {kind: dict(things) for kind, things in more.items() if things}


def test_quit_with_everything_busy(story):
    """With tasks, a server, a subprocess, a stuck executor job and a download under way, QGIS quits as ever."""
    busy = story.step("busy")
    assert busy["is_downloading"]
    assert any(name.startswith("asyncslot") for name in busy["threads"]), "the executor job was to be under way"
    assert story.exit_code == 0, story.output
    assert story.quit_seconds < QUIT_SECONDS


def test_unload_at_the_end_of_qgis_tells_what_was_ended(story):
    """detach() returns that report, whether it ended the work or aboutToQuit before it (3.22 emits that after it)."""
    unloaded = story.step("qgis_guest unloaded")
    # QGIS on Qt 6 still runs its loop then, and emits aboutToQuit later (3.40.6, seen 2026-11).
    assert unloaded["loop_level"] == (0 if unloaded["qt"].startswith("5.") else 1)
    assert not unloaded["is_attached"]
    assert unloaded["abandoned"] == []
    assert "server on" in unloaded["report"]


def test_attached_and_detached_30_times_it_leaves_nothing_over(story):
    """A guest is reloaded thirty times with a server, a subprocess and an executor job under way."""
    cycles = story.step("cycles")
    assert cycles["answers"] == [True] * 31
    assert _more(cycles) == {}


def test_unload_may_wait_for_a_coroutine(story):
    """run_until_complete() works in unload(), while the user unloads the plug-in."""
    unloads = [record for record in story.records if record["step"] == "qgis_guest_two unloaded"]
    assert {record["goodbye"] for record in unloads if record["was_attached"]} == {"goodbye"}


def test_process_is_as_qgis_had_set_it_up(story):
    """Policy, current event loop, wakeup descriptor, signal handlers, hooks and environment: with us and after us."""
    state = story.step("process_state")
    assert state["attached"] == state["before"]
    assert state["after"] == state["before"]


def test_copies_come_and_go_in_any_order(story):
    """Three guests, whose copies differ in name and version, share one loop, which goes with the last of them."""
    copies = story.step("copies")
    assert copies["loops"] == [1] * 6
    assert copies["places"] == [[]] * 6


def test_copies_are_reloaded_amid_the_others(story):
    """One after the other, the one that made the loop included; the loop and the others' tasks go on."""
    reloads = story.step("reload_amid_others")
    assert reloads["answers"] == [True] * 3
    assert reloads["same_loop"]


def test_report_names_qgis_and_every_copy(story):
    """In a download: QGIS by its adapter, each copy by name, version and path, and where its task stands."""
    text = story.step("bug_report")["text"]
    assert "attach() would find: QGIS (adapter" in text
    assert "cannot be read" not in text
    for plugin, name, version in (
        ("async_download", "asyncslot", asyncslot.__version__),
        ("qgis_guest", "asyncslot", asyncslot.__version__),
        ("qgis_guest_three", "another_name", "0.9.0"),
    ):
        copy = f"{plugin}._vendor.{name}"
        path = f"/{plugin}/_vendor/{name}"
        assert re.search(rf"^  {copy}.*: version {version}, protocol \d+, in .*{path}$", text, re.MULTILINE), text
        owner = text.split(f"\nOwner '{plugin}'\n")[1].split("\n\n")[0]
        assert f"copy: {copy}, version {version}" in owner
        assert f"host: QGIS (adapter {copy}.host_adapters.qgis)" in owner
        assert re.search(rf"Task-\d+: .* at {plugin}/(dock|guest)\.py:\d+", owner), owner


def test_report_has_every_line_of_the_example_in_support(story):
    """Each with its own numbers, and without the names of plug-ins."""
    example = SUPPORT.split("```\nasyncslot ")[1].split("```")[0]
    assert _labels(example) - _labels(story.step("bug_report")["text"]) == set()


def _labels(report):
    """Return the titles of a report, and what stands before the colons."""
    labels = {line.partition(": ")[0] for line in report.splitlines()[1:]}
    names = r"^  .*\._vendor\..*|^    \w+$|'\w+'|\d+"  # of copies and owners; of tasks and ports only the number
    return {re.sub(names, "", label) for label in labels}


def test_qgis_says_nothing_about_us(story):
    """No traceback and no warning of Qt's on stdout or stderr, from start to end."""
    for word in ("Traceback", "QSocketNotifier", "QObject", "QTimer", "asyncio", "asyncslot/"):
        assert word not in story.output


# -- while it runs -----------------------------------------------------------


def test_download_does_not_cost_a_frame(story):
    """While the example downloads 8 MB, a timer of QGIS's goes on ticking every 16 ms."""
    download = story.step("download")
    assert download["is_smooth"], download["attempts"]
    assert "bytes saved to" in download["status"]
    content = (story.directory / "downloaded.bin").read_bytes()
    assert hashlib.sha256(content).digest() == hashlib.sha256(FILE).digest()


def test_cancel_button_cancels(story):
    """The slot's first part runs inside the click; Cancel ends the download, and no file is left."""
    cancelled = story.step("cancelled_download")
    assert cancelled["is_disabled_at_once"]
    assert cancelled["status"] == "Cancelled."
    assert not cancelled["file_exists"]


def test_failed_download_says_why(story):
    """An error of the server's is shown in the dock."""
    assert story.step("failed_download")["status"] == "Failed: the server answered with status 404"


def test_asyncio_run_of_another_plugin_works(story):
    """While we are attached, asyncio.run() works in the slot of a plug-in that knows nothing of us."""
    run = story.step("foreign_asyncio_run")
    assert run["answers"] == ["done"]
    assert run["running"] == ["None", "None"]


def test_loops_of_another_plugin_run_beside_ours(story):
    """One that is pumped every 20 ms, and run_forever() in a slot."""
    assert story.step("foreign_loops")["errors"] == []


def test_second_click_is_dropped(story, host_missing):
    """asyncSlot(..., on_repeat="drop") answers one real click at a time."""
    clicks = _played_by_mouse(story.step("repeated_clicks"), host_missing)
    assert clicks["first"] == ["begin"]
    assert clicks["all"] == ["begin", "end", "begin", "end"]


def _played_by_mouse(facts, host_missing):
    if "missing" in facts:
        host_missing(f"{facts['missing']} is not installed, and nobody can click (Debian: apt-get install xdotool)")
    return facts


@pytest.mark.parametrize("opened_in", ["modal_in_slot", "modal_in_coroutine"])
def test_modal_dialog_does_not_stop_tasks(story, opened_in):
    """A task keeps at least 90 % of its rate while a modal dialog is open."""
    attempts = story.step(opened_in)["attempts"]
    assert max(attempt["rate"] / attempt["rate_without"] for attempt in attempts) > 0.9, attempts


# -- when something goes wrong -----------------------------------------------


def test_error_in_a_task_is_in_the_message_log(story):
    """An exception that nobody caught is in QGIS's log and message bar, with the plug-in's name; no dialog opens."""
    error = story.step("error_in_task")
    [text] = [message for tag, message in error["log"] if tag == "asyncslot"]
    assert text.startswith("qgis_guest: ")
    assert "in _fail" in text
    assert "ValueError: <spoilt> on purpose" in text
    assert "qgis_guest" in error["bar"]
    assert "ValueError" in error["bar"]
    assert not error["is_modal"]


def test_exit_in_a_task_is_reported_and_qgis_goes_on(story):
    """sys.exit() in a plug-in's task ends that task, not QGIS."""
    texts = [message for tag, message in story.step("exit_in_task")["log"] if tag == "asyncslot"]
    assert any("SystemExit" in text and text.startswith("qgis_guest: ") for text in texts), texts


def test_signal_after_detach_is_ignored(story):
    """A button that outlives its plug-in's lease does nothing, and nobody is told."""
    after = story.step("slot_after_detach")
    assert after["calls"] == []
    assert after["log"] == []


def test_attach_in_another_thread_names_it(story):
    """attach() from a thread raises an error that says which thread it was and what to do."""
    [raised] = story.step("attach_in_thread")["raised"]
    assert raised.startswith("ThreadError: attach() was called from thread 'worker-1'")


def test_detach_names_the_task_that_would_not_end(story):
    """detach() returns in time; its report, and QGIS's log, name the task and where it stands."""
    stubborn = story.step("stubborn_task")
    assert stubborn["seconds"] < 1.0
    assert stubborn["names"] == ["stubborn"]
    assert "_never_end" in stubborn["stacks"][0]
    assert stubborn["text"] in [message for tag, message in stubborn["log"] if tag == "asyncslot"]


def test_detach_in_a_click(story):
    """The task is cancelled, the slot goes on, and so does QGIS."""
    facts = story.step("detach_in_click")
    assert facts["is_cancelled"]
    assert not facts["is_attached"]
    assert (facts["ended"], facts["abandoned"]) == (1, 0)


def test_detach_does_not_wait_for_a_task_that_needs_5_s_to_clean_up(story):
    """The report and QGIS's log name it, with the line where it stands; it is not stepped again."""
    slow = story.step("slow_clean_up")
    assert slow["names"] == ["a little longer", "five seconds"]
    assert set(slow["owners"]) == {"slow plug-in"}
    assert slow["cleaned_up"] == []
    assert "await asyncio.sleep(seconds)" in slow["text"]
    assert slow["text"] in [message for tag, message in slow["log"] if tag == "asyncslot"]


def test_detach_names_a_task_whose_clean_up_needs_qt(story):
    """Qt's loop does not run meanwhile; detach() returns all the same."""
    facts = story.step("clean_up_without_qt")
    assert facts["cleaned_up"] == []
    assert facts["names"] == ["cleaner"]


def test_detach_that_processes_events_lets_a_clean_up_that_needs_qt_end(story):
    """A QTimer, a QProcess, and a reply of QgsNetworkAccessManager."""
    for what in ("QTimer", "QProcess", "QNetworkReply"):
        facts = story.step("clean_up_with_qt")[what]
        assert facts["cleaned_up"] == [what], facts
        assert facts["names"] == []


def test_detach_that_processes_events_leaves_clicks_for_later(story, host_missing):
    """A real click of the user's is delivered when QGIS's own loop runs again."""
    facts = _played_by_mouse(story.step("clicks_meanwhile"), host_missing)
    assert facts["cleaned_up"] == ["QProcess"]
    assert facts["meanwhile"] == 0


# -- the adapter -------------------------------------------------------------


def test_adapter_is_found(story):
    """Inside QGIS the QGIS adapter is at home, with PyQt's own QtCore and the main window."""
    facts = story.step("adapter_facts")
    assert facts["NAME"] == "QGIS"
    assert facts["is_running"]
    assert facts["qt_core"] in ("PyQt5.QtCore", "PyQt6.QtCore")
    assert facts["is_parent_the_window"]


def test_adapter_report_from_a_thread_is_logged_only(story):
    """The message bar belongs to the GUI thread; the log takes messages from any."""
    report = story.step("adapter_report_from_thread")
    assert ["asyncslot", "from a thread"] in report["log"]
    assert report["bar_items"] == 0


def test_adapter_progress_is_in_the_message_bar(story):
    """Progress shows its share or that nobody knows it; Cancel cancels; it survives being dismissed and closed."""
    progress = story.step("adapter_progress")
    assert progress["share"] == pytest.approx(0.4)
    assert progress["is_endless"]
    assert progress["cancelled"] == 1
    assert progress["bar_items"] == 0

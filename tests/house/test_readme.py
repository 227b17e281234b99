"""What README.md, and what it leads to, says is done here: the first commands, the plug-in, the names, the links.

Each of its code blocks is named in BLOCKS with what executes it, so that no block is added that nothing does. How it is
put into a plug-in, and how that is tested, is done in test_readme_vendoring.py and test_readme_testing.py; its error
texts are provoked by test_troubleshooting.py.
"""

import asyncio
import re
import signal
import subprocess
import sys

import pytest

import asyncslot
import patience
from readme_reader import (
    DOCUMENTS,
    README,
    ROOT,
    blocks,
    code_blocks,
    environment,
    follow_first_steps,
    section,
    shell,
    write_plugin,
)

sys.path.insert(0, str(ROOT / "scripts"))

from lib import machine
from lib import qgis as lib_qgis

pytestmark = pytest.mark.once

# By name, and not by the directory that one lies in.
TESTS = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}

# What the plug-in of the first page says in the end.
GREETING = "Five seconds later, and QGIS never froze"

# Public names that are told elsewhere in README than in the table of what there is.
TOLD_ELSEWHERE = {"AbandonedTask", "DetachReport"}

# The first line of each code block, up to a comma: the test, or the script, that executes it.
BLOCKS = {
    "import asyncio": "test_the_plugin_of_the_first_page_in_qgis",
    "git clone <address of this repository> asyncslot": "test_five_minutes_in_mini_host",
    "[general]": "test_the_plugin_of_the_first_page_in_qgis",
    "mkdir -p ~/.local/share/QGIS/QGIS3/profiles/default/python/plugins": "test_five_minutes_in_mini_host",
    "python3 -m venv venv": "test_five_minutes_in_mini_host",
    "python3 scripts/demo.py": ".ci/run",
    "python3 scripts/test.py": ".ci/run",
    "python3 scripts/hosts.py": ".ci/run",
    "python3 scripts/vendor.py my_plugin/_vendor": "test_every_way_to_a_copy_works",
    "python -m asyncslot vendor my_plugin/_vendor --adapters qgis": "test_every_way_to_a_copy_works",
    "python -m my_plugin._vendor.asyncslot vendor other_plugin/_vendor": "test_every_way_to_a_copy_works",
    "cp -r asyncslot my_plugin/_vendor/": "test_a_copy_made_by_hand_works",
    "class Window(QWidget):": "test_a_window_that_waits",
    "class Remote:": "test_serve_in_the_gui_thread",
    "class Server(uvicorn.Server):": "test_it_serves_and_leaves_with_the_lease",
    "python3 -m pip install --target my_plugin/_deps -r my_plugin/requirements.txt": "test_bring_dependencies",
    "def use_dependencies(directory):": "test_bring_dependencies",
    "async def load_sdk(name):": "test_import_what_is_heavy",
    "async def show(pieces": "test_show_a_stream_without_losing_frames",
    "async def may(window": "test_ask_the_user",
    "class Editor(QWidget):": "test_a_window_that_asks_before_it_closes",
    "def find_python():": "test_start_another_python",
    "async def compute(function": "test_several_cores",
    'pytest_plugins = ["my_plugin._vendor.asyncslot.testing"]': "test_the_tests_for_plugin_authors",
    "from unittest import mock": "test_the_tests_for_plugin_authors",
    "venv/bin/pip install pytest": "test_the_tests_for_plugin_authors",
    "asyncslot 0.4.0: report": "test_report_has_every_line_of_the_example_in_support",
    "AssertionError: unloading 'my_plugin' has left behind": "test_what_is_left_is_told",
}

# What shows what each section says, besides its code blocks and what is checked here.
SHOWN_BY = {
    "README.md": {
        "See it work": "test_mini_host.py test_qgis.py",
        "A whole QGIS plug-in": "",
        "In five minutes": "",
        "What it runs on": "test_matrix.py test_copies.py",
        "What it replaces": "",
        "What there is": "test_docs.py test_monitor.py test_report.py",
        "What ends when": "test_ownership.py test_detach.py test_slot_lifetimes.py test_signal_lifetimes.py",
        "What it does not do": "test_never_stopped.py",
        "Where to go on": "",
        "Licence": "test_promises.py",
    },
    "COOKBOOK.md": {
        "Serve in the GUI thread": "test_readme_cookbook.py",
        "Serve with uvicorn": "test_uvicorn.py",
        "Bring dependencies": "test_readme_cookbook.py",
        "Import what is heavy": "test_readme_cookbook.py",
        "Show a stream without losing frames": "test_readme_cookbook.py",
        "Ask the user, and be cancelled meanwhile": (
            "test_readme_cookbook.py test_dialog_answers.py test_dialog_ends.py"
        ),
        "A window that asks before it closes": "test_readme_cookbook.py",
        "Start another Python": "test_readme_cookbook.py",
        "Several cores": "test_readme_cookbook.py",
        "More than one machine": "test_dask.py",
    },
    "SUPPORT.md": {"When something goes wrong": "test_troubleshooting.py"},
    "MIGRATING.md": {"Coming from qasync and others": "test_programs.py"},
    "examples/README.md": {
        "In your host": "test_hosts.py test_chat.py test_example_plugins.py test_stand_in_hosts.py",
        "Put it into your plug-in": "test_vendor.py test_vendored_copies.py test_wheel.py test_qgis_zip.py",
        "Where it goes": "test_readme_vendoring.py",
        "Test your plug-in": "test_testing.py",
    },
    "scripts/bench/README.md": {"Jobs": "test_bench.py", "How fast": "test_bench.py"},
    "tests/neighbours/README.md": {"Beside other plug-ins": "test_neighbours.py"},
    "tests/results/README.md": {"Where it was run": "test_matrix.py"},
}

# What shows each cell of the table of modes: in a host, with AsyncSlotRunner, nested.
MODES = {
    "`app.quit()`, the last window, the end of the session": (
        "test_programs_that_exec.py::test_the_application_quits_and_the_plugin_is_detached",
        "test_programs_that_exec.py::test_the_application_quits_and_the_runner_cleans_up",
        "test_programs_own_run.py::test_the_application_quits_and_main_learns_of_it",
    ),
    "the exit code": (
        "test_programs_that_exec.py::test_the_application_quits_and_the_plugin_is_detached",
        "test_programs_that_exec.py::test_the_application_quits_and_the_runner_cleans_up",
        "test_programs_own_run.py::test_the_application_quits_and_main_learns_of_it",
    ),
    "Ctrl+C": (
        "test_never_stopped.py::test_ctrl_c_in_a_host_that_handles_it_in_python_loses_nothing",
        "test_programs_ctrl_c.py::test_a_loop_with_nothing_to_do_hears_it",
        "test_programs_ctrl_c.py::test_the_first_one_cancels_main_in_a_runner_of_asyncios",
    ),
    "Python that never ends": (
        "test_host_unharmed.py::test_process_is_as_the_host_had_set_it_up",
        "test_programs_ctrl_c.py::test_what_never_ends_is_interrupted",
        "test_programs_ctrl_c.py::test_what_never_ends_is_interrupted",
    ),
    "`sys.exit()` in a task": (
        "test_host_unharmed.py::test_what_ends_a_program_does_not_end_the_host",
        "test_runner.py::test_interrupts_end_the_application_and_leave_the_runner",
        "test_programs_own_run.py::test_sys_exit_quits_the_application",
    ),
    "an exception in a task, or in `main`": (
        "test_never_stopped.py::test_an_exception_anywhere_is_reported_and_the_host_goes_on",
        "test_programs_that_exec.py::test_an_exception_in_a_task_is_logged_and_the_application_goes_on",
        "test_programs_own_run.py::test_an_exception_in_a_callback_is_reported_and_main_goes_on",
    ),
    "`main` is over": ("", "", "test_programs_own_run.py::test_main_that_ends_does_not_quit_the_application"),
    "a job stuck in a thread": (
        "test_ownership.py::test_jobs_end_with_their_lease",
        "test_programs_bounded_end.py::test_a_job_stuck_in_a_thread_is_named_and_left",
        "test_programs_bounded_end.py::test_a_job_stuck_in_a_thread_is_named_and_left",
    ),
}


def test_every_block_is_executed():
    """By a test here or by the script that CI runs; and no test is named that is not there."""
    found = [code.splitlines()[0].partition(",")[0] for text in DOCUMENTS.values() for _, code in code_blocks(text)]
    assert sorted(found) == sorted(BLOCKS)
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    modules = [*(ROOT / "tests" / "house").glob("test_readme*.py"), TESTS["test_qgis.py"], TESTS["test_uvicorn.py"]]
    tests = "".join(module.read_text(encoding="utf-8") for module in modules)
    for block, where in BLOCKS.items():
        assert block in ci if where == ".ci/run" else f"\ndef {where}(" in tests, block


def test_every_section_is_shown():
    """In this order, by tests that are there."""
    for path, text in DOCUMENTS.items():
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == list(SHOWN_BY[path])
        for name in " ".join(SHOWN_BY[path].values()).split():
            assert name in TESTS


def test_every_cell_of_the_table_of_modes_is_shown():
    """By tests that are there; where a cell is empty, there is none."""
    (table,) = re.findall(r"^\| \| in a host \| .*?\n\n", README, re.MULTILINE | re.DOTALL)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.strip().splitlines()[2:]]
    assert [row[0] for row in rows] == list(MODES)
    for kind, *cells in rows:
        assert [bool(cell) for cell in cells] == [bool(where) for where in MODES[kind]], kind
        for where in filter(None, MODES[kind]):
            name, _, function = where.partition("::")
            assert f"\ndef {function}(" in TESTS[name].read_text(encoding="utf-8"), where


# The user of mini_host in the next test, a plug-in, too: clicks Greet when it is there.
CLICKER = """
from PyQt5.QtCore import QTimer

class classFactory:
    def __init__(self, iface):
        self.iface = iface

    def initGui(self):
        self.timer = QTimer()
        self.timer.timeout.connect(self.look)
        self.timer.start(100)

    def unload(self):
        self.timer.stop()

    def look(self):
        for action in self.iface.mainWindow().menuBar().actions():
            self.timer.stop()
            action.trigger()
"""


def test_five_minutes_in_mini_host(tmp_path):
    """From an empty directory, by README's commands alone, in less than ten of them for QGIS and mini_host together."""
    reader = follow_first_steps(tmp_path)
    first, link, mini_host = [block for block in blocks("In five minutes") if not block.startswith("[")]
    commands = [*first.splitlines(), *link.splitlines(), *mini_host.splitlines()]
    assert len(commands) < 10
    *prepare, start = link.splitlines()
    assert start == "qgis"
    shell("\n".join(prepare), reader)
    plugins = reader / ".local/share/QGIS/QGIS3/profiles/default/python/plugins"
    assert (plugins / "my_plugin" / "metadata.txt").is_file()
    *prepare, run = mini_host.splitlines()
    shell("\n".join(prepare), reader)
    (reader / "clicker").mkdir()
    (reader / "clicker" / "__init__.py").write_text(CLICKER)
    program, *arguments = run.split()
    host = subprocess.Popen(
        [str(reader / program), *arguments],
        cwd=str(reader),
        env=environment(reader),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed = []
        for line in host.stdout:
            printed.append(line)
            if GREETING in line:
                break
        assert GREETING in "".join(printed), "".join(printed)
    finally:
        host.send_signal(signal.SIGKILL)
        host.wait()
        host.stdout.close()


# The user of QGIS in the next test: waits for the message, writes it down, and quits.
WITNESS = """
import json, os
from qgis.PyQt.QtCore import QTimer

class classFactory:
    def __init__(self, iface):
        self.iface = iface
        self.has_clicked = False
        self.timer = QTimer()
        self.timer.timeout.connect(self.look)

    def initGui(self):
        self.timer.start(100)

    def unload(self):
        self.timer.stop()

    def look(self):
        for action in self.iface.mainWindow().menuBar().actions():
            if action.text() == "Greet" and not self.has_clicked:
                self.has_clicked = True
                action.trigger()
        item = self.iface.messageBar().currentItem()
        if item is not None and "Five" in item.text():
            self.timer.stop()
            with open(os.environ["ASYNCSLOT_RECORD"], "a") as file:
                file.write(json.dumps({"text": item.text()}) + "\\n")
            self.iface.actionExit().trigger()
"""


def test_the_plugin_of_the_first_page_is_short():
    """Without the empty lines; and it has a slot."""
    (source,) = blocks("A whole QGIS plug-in", "python")
    assert len([line for line in source.splitlines() if line]) == 15
    assert "@asyncslot.asyncSlot" in source


@pytest.mark.qgis
def test_the_plugin_of_the_first_page_in_qgis(tmp_path, pytestconfig):
    """As it stands there, with its metadata and a vendored copy."""
    missing = lib_qgis.missing()
    if missing:
        (pytest.fail if pytestconfig.getoption("--require-hosts") else pytest.skip)(missing)
    for name in ("my_plugin", "witness", "run"):
        (tmp_path / name).mkdir()
    write_plugin(tmp_path / "my_plugin")
    (tmp_path / "my_plugin" / "_vendor").mkdir()
    (tmp_path / "my_plugin" / "_vendor" / "__init__.py").touch()
    write_plugin(tmp_path / "witness")
    (tmp_path / "witness" / "__init__.py").write_text(WITNESS)
    with machine.display() as (display, _), lib_qgis.QgisRun(tmp_path / "run") as qgis:
        qgis.add_plugin(tmp_path / "my_plugin", "my_plugin")
        qgis.add_plugin(tmp_path / "witness", "witness", needs_copy=False)
        qgis.start(display)
        assert qgis.wait_for(bool, patience.FOR_A_PROGRAM)["text"] == GREETING
        assert qgis.wait_exit(30)[0] == 0, qgis.output()


def test_what_it_replaces_works(app, lease, spin):
    """Each call in the right column of the table, in a coroutine of the lease."""
    from qtpy import QtCore, QtWidgets

    cells = [row.split("|")[2] for row in section("What it replaces").splitlines() if row.startswith("| ")][1:]
    snippets = [code for cell in cells for code in re.findall("`([^`]*)`", cell)]
    # Said of what they do; the plug-in of the first page calls them.
    snippets = [code for code in snippets if code not in ("await", "attach()", "detach()")]
    ran = []

    class Reply(QtWidgets.QPushButton):
        finished = property(lambda self: self.clicked)

    async def work():
        ran.append("create_task")

    names = {
        "__name__": __name__,
        "asyncslot": asyncslot,
        "asyncio": asyncio,
        "lease": lease,
        "fn": lambda: ran.append("fn"),
        "talk": lambda reader, writer: None,
    }
    names.update(dialog=QtWidgets.QDialog(), reply=Reply(), coro=work())
    user = QtCore.QTimer()
    user.timeout.connect(lambda: names["dialog"].isVisible() and names["dialog"].accept())
    user.start(1)
    rest = {"@": "\n    async def fn(): pass", ":": " pass"}  # of what is only the beginning of a statement
    for code in snippets:
        exec(f"async def play():\n    {code}{rest.get(code[0], rest.get(code[-1], ''))}", names)
        task = lease.create_task(names["play"]())
        QtCore.QTimer.singleShot(10, names["reply"].click)
        spin(task.done)
        task.result()
    spin(lambda: "create_task" in ran)
    assert "fn" in ran
    assert len(snippets) == 9


def test_every_public_name_is_told():
    """Errors are told as one, by what they all are."""
    told = set(re.findall(r"\w+", section("What there is")))
    public = {name for name in asyncslot.__all__ if not name.endswith("Error")} - TOLD_ELSEWHERE
    assert public - told == set()


@pytest.mark.parametrize("path", DOCUMENTS)
def test_links_lead_somewhere(path):
    """Files that are named are there, and so are the headings."""
    place = (ROOT / path).parent
    links = [link.partition("#") for link in re.findall(r"\]\(([^):]+)\)", DOCUMENTS[path])]
    assert links
    for target, _, heading in links:
        found = (place / target if target else ROOT / path).resolve()
        assert found.exists(), target
        if heading:
            lines = re.findall("^## (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines], heading


def test_the_first_page_leads_to_all_others():
    """So that nothing is told where nobody comes."""
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^):]+)\)", README)}
    assert set(DOCUMENTS) - {"README.md"} <= links

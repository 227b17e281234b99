"""What README.md says is done here, from its own text: the commands, the plug-in, the tests, the names, the links.

Each of its code blocks is named in BLOCKS with what executes it, so that no block is added that nothing does. Its error
texts are provoked by test_troubleshooting.py.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import asyncslot

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import _machine  # noqa: E402 (from scripts/, see above)
import _qgis  # noqa: E402

pytestmark = pytest.mark.once

README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

# In README's place for where the repository is.
ADDRESS = "<address of this repository>"

# What the plug-in of the first page says in the end.
GREETING = "Five seconds later, and QGIS never froze"

# Public names that are told elsewhere in README than in the table of what there is.
TOLD_ELSEWHERE = {"AbandonedTask", "DetachReport"}

# The first line of each code block, up to a comma: what executes it, a test here if no file is named.
BLOCKS = {
    "import asyncio": "test_the_plugin_of_the_first_page_in_qgis",
    "git clone <address of this repository> asyncslot": "test_five_minutes_in_mini_host",
    "[general]": "test_the_plugin_of_the_first_page_in_qgis",
    "mkdir -p ~/.local/share/QGIS/QGIS3/profiles/default/python/plugins": "test_five_minutes_in_mini_host",
    "python3 -m venv venv": "test_five_minutes_in_mini_host",
    "python3 scripts/demo.py": ".ci/run",
    "python3 scripts/hosts.py": ".ci/run",
    "python3 scripts/vendor.py my_plugin/_vendor": "test_every_way_to_a_copy_works",
    "python -m asyncslot vendor my_plugin/_vendor --adapters qgis": "test_every_way_to_a_copy_works",
    "python -m my_plugin._vendor.asyncslot vendor other_plugin/_vendor": "test_every_way_to_a_copy_works",
    "git submodule add <address of this repository> third_party/asyncslot": "test_a_submodule_beside_the_plugin",
    "python3 third_party/asyncslot/scripts/vendor.py my_plugin/_vendor --check": "test_a_submodule_beside_the_plugin",
    "cp -r asyncslot my_plugin/_vendor/": "test_a_copy_made_by_hand_works",
    'pytest_plugins = ["my_plugin._vendor.asyncslot.testing"]': "test_the_tests_for_plugin_authors",
    "from unittest import mock": "test_the_tests_for_plugin_authors",
    "venv/bin/pip install pytest": "test_the_tests_for_plugin_authors",
    "asyncslot 0.4.0: report": "test_qgis.py::test_report_has_every_line_of_the_example_in_readme",
    "AssertionError: unloading 'my_plugin' has left behind": "test_what_is_left_is_told",
}


def section(title):
    """Return the text below a heading, up to the next."""
    return re.split("^## ", README.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def code_blocks(text):
    """Return the language and the code of each block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def blocks(title, language=""):
    """Return the code blocks of one language below a heading."""
    return [code for found, code in code_blocks(section(title)) if found == language]


def environment(home):
    """Return the environment of a reader, who has nothing of ours in it."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "QT_API")
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    # git refuses a submodule from a path, which stands here for the address, unless it is told that it may.
    return {**inherited, "HOME": str(home), "QT_QPA_PLATFORM": "offscreen", "GIT_ALLOW_PROTOCOL": "file"}


def shell(script, directory):
    """Run commands as a reader would, in a shell that stops at the first that fails; return what they printed."""
    done = subprocess.run(
        ["sh", "-ec", script],
        cwd=str(directory),
        env=environment(directory),
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def write_plugin(directory):
    """Write the plug-in of the first page, with the metadata that is told below it."""
    (source,) = blocks("A whole QGIS plug-in", "python")
    (directory / "__init__.py").write_text(source, encoding="utf-8")
    (metadata,) = [block for block in blocks("In five minutes") if block.startswith("[general]")]
    (directory / "metadata.txt").write_text(metadata, encoding="utf-8")


@pytest.fixture
def reader(tmp_path):
    """Return the directory of a reader who has followed the first steps: a clone, a copy, the plug-in."""
    if sys.platform == "win32" or shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the commands are for a shell with git, in a git checkout")
    first = blocks("In five minutes")[0]
    assert ADDRESS in first
    shell(first.replace(ADDRESS, str(ROOT)), tmp_path)
    write_plugin(tmp_path / "my_plugin")
    return tmp_path


def test_every_block_is_executed():
    """By a test here or by the script that CI runs; and no test is named that is not there."""
    found = [code.splitlines()[0].partition(",")[0] for _, code in code_blocks(README)]
    assert sorted(found) == sorted(BLOCKS)
    for block, where in BLOCKS.items():
        file, _, test = where.rpartition("::")
        what, path = (
            (block, ROOT / where) if where == ".ci/run" else (f"def {test}(", ROOT / "tests" / (file or __file__))
        )
        assert what in path.read_text(encoding="utf-8"), block


def test_five_minutes_in_mini_host(reader):
    """From an empty directory, by README's commands alone, in less than ten of them for QGIS and mini_host together."""
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
        self.timer = QTimer()
        self.timer.timeout.connect(self.look)

    def initGui(self):
        self.timer.start(100)

    def unload(self):
        self.timer.stop()

    def look(self):
        item = self.iface.messageBar().currentItem()
        if item is not None and "Five" in item.text():
            self.timer.stop()
            with open(os.environ["ASYNCSLOT_RECORD"], "a") as file:
                file.write(json.dumps({"text": item.text()}) + "\\n")
            self.iface.actionExit().trigger()
"""


def test_the_plugin_of_the_first_page_has_twelve_lines():
    """Without the empty ones."""
    (source,) = blocks("A whole QGIS plug-in", "python")
    assert len([line for line in source.splitlines() if line]) == 12


@pytest.mark.qgis
def test_the_plugin_of_the_first_page_in_qgis(tmp_path, pytestconfig):
    """As it stands there, with its metadata and a vendored copy."""
    missing = _qgis.missing()
    if missing:
        (pytest.fail if pytestconfig.getoption("--require-hosts") else pytest.skip)(missing)
    for name in ("my_plugin", "witness", "run"):
        (tmp_path / name).mkdir()
    write_plugin(tmp_path / "my_plugin")
    (tmp_path / "my_plugin" / "_vendor").mkdir()
    (tmp_path / "my_plugin" / "_vendor" / "__init__.py").touch()
    write_plugin(tmp_path / "witness")
    (tmp_path / "witness" / "__init__.py").write_text(WITNESS)
    with _machine.display() as (display, _), _qgis.QgisRun(tmp_path / "run") as qgis:
        qgis.add_plugin(tmp_path / "my_plugin", "my_plugin")
        qgis.add_plugin(tmp_path / "witness", "witness", needs_copy=False)
        qgis.start(display)
        assert qgis.wait_for(bool, 60)["text"] == GREETING
        assert qgis.wait_exit(30)[0] == 0, qgis.output()


def test_the_tests_for_plugin_authors(reader):
    """conftest.py and the test module of README, run on the plug-in of its first page."""
    conftest, module = blocks("Test your plug-in", "python")
    (reader / "conftest.py").write_text(conftest)
    (reader / "test_my_plugin.py").write_text(module)
    install, run = blocks("Test your plug-in")[0].splitlines()
    assert install == "venv/bin/pip install pytest"  # as is done for these tests
    printed = shell(run.replace("venv/bin/python -m pytest", f"{sys.executable} -m pytest -p no:xvfb"), reader)
    assert "3 passed" in printed


# A plug-in that leaves behind what README shows: its lease, a thread, a task and a timer.
LEAKY = """
import asyncio, threading, time
from qtpy import QtCore
from ._vendor import asyncslot

class Leaky:
    def initGui(self):
        asyncslot.attach().create_task(self.greet(), name="Task-2")
        self.timer = QtCore.QTimer()
        self.timer.start(1000)
        self.is_over = threading.Event()
        threading.Thread(target=self.poll, name="poller", daemon=True).start()

    def unload(self):
        pass

    async def greet(self):
        self.answer = asyncio.get_running_loop().create_future()
        await self.answer

    def poll(self):
        self.is_over.wait()
"""

UNLOADS_IT = """
from my_plugin._vendor.asyncslot import testing

with testing.Host() as host:
    plugin = host.load("my_plugin", lambda package: package.Leaky())
    try:
        host.assert_clean_unload(plugin)
    except AssertionError as exc:
        print("AssertionError:", exc)
    plugin.is_over.set()
"""


def test_what_is_left_is_told(reader):
    """A plug-in that leaks is told of in README's words; of numbers and directories only the kind is compared."""
    (reader / "my_plugin" / "__init__.py").write_text(LEAKY)
    (reader / "unloads_it.py").write_text(UNLOADS_IT)

    def kinds(text):
        return re.sub(r'[^" ]*/my_plugin/', ".../my_plugin/", re.sub(r"\d+", "0", text)).strip().splitlines()

    printed = shell(f"{sys.executable} unloads_it.py", reader)
    assert kinds(printed)[: len(kinds(blocks("Test your plug-in")[1]))] == kinds(blocks("Test your plug-in")[1])


def imports_itself(package, directory):
    """Return whether the copy in a plug-in can be imported, with an adapter."""
    (directory / package / "__init__.py").touch()
    return shell(
        f"{sys.executable} -c 'import {package}._vendor.asyncslot.host_adapters.qgis as q; print(q.NAME)'", directory
    )


def test_every_way_to_a_copy_works(reader):
    """From a checkout, from what is installed, and from a copy, which also checks itself."""
    checkout, installed, copy, _, _, _ = blocks("Put it into your plug-in")
    for commands, directory in ((checkout, reader / "asyncslot"), (installed, reader / "elsewhere"), (copy, reader)):
        directory.mkdir(exist_ok=True)
        shell(re.sub(r"^python3?\b", sys.executable, commands, flags=re.MULTILINE), directory)
        assert "QGIS" in imports_itself("other_plugin" if commands == copy else "my_plugin", directory)


def test_a_submodule_beside_the_plugin(reader):
    """It pins the version; the copy that it makes is committed, and CI sees when the two have gone apart."""
    project = reader / "project"
    (project / "my_plugin").mkdir(parents=True)
    add, check = blocks("Put it into your plug-in")[3:5]
    shell("git init -q\n" + add.replace(ADDRESS, str(reader / "asyncslot")), project)
    assert "my_plugin/_vendor/asyncslot/__init__.py" in shell("git diff --cached --name-only", project)
    assert "third_party/asyncslot\n" in shell("git diff --cached --name-only", project)
    assert "QGIS" in imports_itself("my_plugin", project)
    shell(check, project)
    with (project / "third_party" / "asyncslot" / "asyncslot" / "_clock.py").open("a") as file:
        file.write("\n")
    shell(f"! {check}", project)


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

    names = {"asyncslot": asyncslot, "asyncio": asyncio, "lease": lease, "fn": lambda: ran.append("fn")}
    names.update(dialog=QtWidgets.QDialog(), reply=Reply(), coro=work())
    rest = {"@": "\n    async def fn(): pass", ":": " pass"}  # of what is only the beginning of a statement
    for code in snippets:
        exec(f"async def play():\n    {code}{rest.get(code[0], rest.get(code[-1], ''))}", names)
        task = lease.create_task(names["play"]())
        QtCore.QTimer.singleShot(10, names["dialog"].accept)
        QtCore.QTimer.singleShot(10, names["reply"].click)
        spin(task.done)
        task.result()
    spin(lambda: "create_task" in ran)
    assert "fn" in ran
    assert len(snippets) == 8


def test_a_copy_made_by_hand_works(reader):
    """The three directories and files that README names are all that is needed."""
    (commands,) = [block for block in blocks("Put it into your plug-in") if block.startswith("cp -r asyncslot")]
    package = reader / "asyncslot" / "my_plugin"
    (package / "_vendor").mkdir(parents=True)
    for directory in (package, package / "_vendor"):
        (directory / "__init__.py").touch()
    shell(commands, reader / "asyncslot")
    shell(f"{sys.executable} -c 'import my_plugin._vendor.asyncslot.host_adapters.qgis'", reader / "asyncslot")
    shell("test -f my_plugin/_vendor/asyncslot/LICENSE", reader / "asyncslot")


def test_every_public_name_is_told():
    """Errors are told as one, by what they all are."""
    told = set(re.findall(r"\w+", section("What there is")))
    public = {name for name in asyncslot.__all__ if not name.endswith("Error")} - TOLD_ELSEWHERE
    assert public - told == set()


def test_changelog_begins_with_this_version():
    """With its date; what is on the way to the next version is "Unreleased", and calls itself .dev."""
    (title,) = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)[:1]
    is_released = re.fullmatch(rf"\[{re.escape(asyncslot.__version__)}\] - 20\d\d-\d\d-\d\d", title)
    assert is_released or (title == "[Unreleased]" and ".dev" in asyncslot.__version__)


def test_what_changelog_advises_in_the_place_of_other_names_exists():
    """Each name that is called in the second column of its tables."""
    cells = [row.split("|")[2] for row in CHANGELOG.splitlines() if row.startswith("| ")]
    called = set(re.findall(r"([\w.]*)\(", " ".join(re.findall("`([^`]*)`", " ".join(cells))))) - {"main"}
    assert {"attach", "asyncSignal", "lease.run_task"} <= called
    for name in called:
        owner, _, attribute = name.rpartition(".")
        places = {"": asyncslot, "lease": asyncslot.Lease, "loop": asyncslot.AsyncSlotEventLoop, "asyncio": asyncio}
        assert hasattr(places[owner], attribute), name


def test_links_lead_somewhere():
    """Files that are named are there."""
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
    headings = {
        re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in re.findall("^## (.*)$", README, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings

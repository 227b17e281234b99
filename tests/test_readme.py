"""What README.md says is done here, from its own text: the commands, the plug-in, the tests, the names, the links.

Its error texts are provoked by test_troubleshooting.py.
"""

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

# In README's place for where the repository is.
ADDRESS = "<address of this repository>"

# What the plug-in of the first page says in the end.
GREETING = "Five seconds later, and QGIS never froze"

# Public names that are told elsewhere in README than in the table of what there is.
TOLD_ELSEWHERE = {"AbandonedTask", "DetachReport"}


def section(title):
    """Return the text below a heading, up to the next."""
    return re.split("^## ", README.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def blocks(title, language=""):
    """Return the code blocks of one language below a heading."""
    return re.findall(rf"^```{language}\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)


def environment(home):
    """Return the environment of a reader, who has nothing of ours in it."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "QT_API")
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return {**inherited, "HOME": str(home), "QT_QPA_PLATFORM": "offscreen"}


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


def test_five_minutes_in_mini_host(reader):
    """From an empty directory, by README's commands alone, in less than ten of them."""
    first, link, mini_host = [block for block in blocks("In five minutes") if not block.startswith("[")]
    commands = [*first.splitlines(), *link.splitlines(), *mini_host.splitlines()]
    assert len(commands) < 11
    (reader / ".local" / "share" / "QGIS" / "QGIS3" / "profiles" / "default" / "python" / "plugins").mkdir(parents=True)
    shell(link.splitlines()[0], reader)
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
    printed = shell(f"{sys.executable} -m pytest -q -p no:cacheprovider -p no:xvfb test_my_plugin.py", reader)
    assert "3 passed" in printed


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


def test_links_lead_somewhere():
    """Files that are named are there."""
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
    headings = {
        re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in re.findall("^## (.*)$", README, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings

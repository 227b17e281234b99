"""A plug-in in a zip, as its users get it, in a real QGIS: examples/qgis with a vendored copy for QGIS alone.

The zip is made from the list of files that git tracks, and by the tools that authors of plug-ins use for it, where
these are installed (pyproject.toml's extra `packaging`). One QGIS installs one after the other, by what is behind
*Install from ZIP*: tests/hosts/real/qgis_zip_driver plays its user. Where QGIS is not installed the tests are skipped,
saying so; `--require-hosts` makes that a failure.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import patience

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import vendor  # noqa: E402
from lib import machine  # noqa: E402 (from scripts/, see above)
from lib.qgis import QgisRun, missing  # noqa: E402

pytestmark = pytest.mark.qgis

NAME = "async_search"

# From the start of QGIS to the end of the last zip; 6 s on two shared cores.
TIMEOUT = patience.FOR_A_PROGRAM

PLUGIN_CI = f"""\
plugin_path: {NAME}
github_organization_slug: example
project_slug: async-search
"""

PB_TOOL = f"""\
[plugin]
name: {NAME}
plugin_path:

[files]
python_files: __init__.py panel.py search.py
main_dialog:
compiled_ui_files:
resource_files:
extras: metadata.txt
extra_dirs: _vendor
locales:

[help]
dir:
target:
"""


def make_repository(directory):
    """Make an author's repository of the plug-in, with everything committed, and what Python leaves beside it."""
    plugin = directory / NAME
    shutil.copytree(
        str(ROOT / "examples" / "qgis" / NAME), str(plugin), ignore=shutil.ignore_patterns("__pycache__", "asyncslot")
    )
    vendor.copy(plugin / "_vendor", adapters=["qgis"])
    (plugin / "__pycache__").mkdir()
    (plugin / "__pycache__" / "panel.cpython-37.pyc").write_bytes(b"")
    (directory / ".gitignore").write_text("__pycache__/\n")
    (directory / "LICENSE").write_text("As you like.\n")
    (directory / ".qgis-plugin-ci").write_text(PLUGIN_CI)
    (plugin / "pb_tool.cfg").write_text(PB_TOOL)
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "Ship"]):
        run(["git", *identity, *command], directory)


def run(line, directory, **options):
    """Run a tool there, and return what it printed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(
        line,
        cwd=str(directory),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def zip_tracked(directory):
    """As one does by hand, and in a CI job without a tool: what git tracks, below one directory."""
    path = directory / f"{NAME}.zip"
    with zipfile.ZipFile(str(path), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in run(["git", "ls-files", NAME], directory).splitlines():
            archive.write(str(directory / name), name)
    return path


def zip_by_plugin_ci(directory):
    run([tool("qgis-plugin-ci"), "package", "1.0.0"], directory)
    (path,) = directory.glob("*.zip")
    return path


def zip_by_pb_tool(directory):
    """It asks before it deletes what was deployed before."""
    deployed = directory / "deployed"
    deployed.mkdir()
    run([tool("pb_tool"), "zip", "--no-docs", "-p", str(deployed)], directory / NAME, input="y\n" * 5)
    return directory / NAME / f"{NAME}.zip"


def tool(name):
    """Return the path of a tool beside this Python, or on PATH; None if there is none."""
    here = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which(name, path=here)


# Each with the programs that it needs.
MAKERS = {
    "git ls-files": (zip_tracked, ["git"]),
    "qgis-plugin-ci": (zip_by_plugin_ci, ["git", "qgis-plugin-ci"]),
    "pb_tool": (zip_by_pb_tool, ["git", "pb_tool", "zip"]),
}


class Story:
    """The zips that could be made, by maker, and what QGIS did with them."""

    def __init__(self, directory):
        self.zips = {}
        for maker, (make, needed) in MAKERS.items():
            if None not in map(tool, needed):
                (directory / maker).mkdir()
                make_repository(directory / maker)
                self.zips[maker] = make(directory / maker)
        # The driver tells them apart by their directory.
        paths = []
        for maker, path in self.zips.items():
            (directory / "zips" / maker).mkdir(parents=True)
            paths.append(shutil.copy(str(path), str(directory / "zips" / maker / f"{NAME}.zip")))
        (directory / "qgis").mkdir()
        with machine.display() as (display, _), QgisRun(directory / "qgis") as qgis:
            driver = ROOT / "tests" / "hosts" / "real" / "qgis_zip_driver"
            qgis.add_plugin(driver, "qgis_zip_driver", needs_copy=False)
            qgis.start(display, {"ASYNCSLOT_ZIPS": os.pathsep.join(paths)})
            qgis.wait_for(lambda record: record["step"] == "quitting", TIMEOUT)
            self.exit_code, _ = qgis.wait_exit(TIMEOUT)
            self.steps = {record.pop("step"): record for record in qgis.records()}
            self.output = qgis.output()


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    return missing() or Story(tmp_path_factory.mktemp("zips"))


@pytest.fixture
def story(played, host_missing):
    if isinstance(played, str):
        host_missing(played)
    return played


@pytest.fixture(params=list(MAKERS))
def maker(story, request):
    if request.param not in story.zips:
        pytest.skip(f"not all of {MAKERS[request.param][1]} are installed (pyproject.toml's extra packaging)")
    return request.param


def test_the_zip_holds_the_copy_as_it_was_made(story, maker, tmp_path):
    """One directory at its top, nothing of Python's own, and a copy that passes its own check."""
    with zipfile.ZipFile(str(story.zips[maker])) as archive:
        archive.extractall(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert [str(path) for path in tmp_path.rglob("__pycache__")] == []
    edits, news = vendor.check(tmp_path / NAME / "_vendor")
    assert not edits, edits
    assert not news, news


def test_qgis_installs_and_runs_it(story, maker):
    """QGIS's installer starts it; the copy knows the host, runs a task, and goes with the plug-in."""
    facts = story.steps[maker]
    assert "error" not in facts, facts["error"]
    assert facts.pop("file").endswith(f"/python/plugins/{NAME}/_vendor/asyncslot/__init__.py")
    assert facts == {
        "is_active": True,
        "adapter": "QGIS",
        "result": 42,
        "docks": ["AsyncSearchDock"],
        "docks_after": [],
    }


def test_qgis_ends_as_ever(story):
    """With no traceback on the way."""
    assert story.exit_code == 0, story.output
    assert "Traceback" not in story.output

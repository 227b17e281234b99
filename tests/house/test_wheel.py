"""The wheel and the sdist: what is in them, and that what was installed works with no source tree anywhere near.

Both are built once, without a network, as `pip wheel --no-build-isolation` does it, from a source tree that is deleted
before the first test. What is installed is run by an interpreter that processes no .pth file, for this project itself
may be installed editable beside pytest, and its finder would mend whatever is missing.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The package is the same for every binding.
pytestmark = pytest.mark.once

FILES = (
    "CHANGELOG.md",
    "COOKBOOK.md",
    "LICENSE",
    "MANIFEST.in",
    "MIGRATING.md",
    "README.md",
    "SUPPORT.md",
    "pyproject.toml",
)
PACKAGES = ("asyncslot", "host_adapters")


def run(line, directory, **variables):
    """Run a command there and return what it printed; fail with all of that."""
    environment = {**os.environ, **variables}
    done = subprocess.run(
        list(map(str, line)), cwd=str(directory), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


def build(kind, tree, directory):
    """Build "wheel" or "sdist" of a source tree, and return its path."""
    directory.mkdir()
    hook = f"from setuptools import build_meta; build_meta.build_{kind}({str(directory)!r})"
    run([sys.executable, "-c", hook], tree)
    (path,) = directory.iterdir()
    return path


def packed(wheel):
    """Return the content of each file in a wheel, by path."""
    with zipfile.ZipFile(str(wheel)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def snapshot(directory):
    """Return the content of each file below a directory, by relative path."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


class Built:
    """What was built, `in_sdist`: its file names; what was installed; and what vendor.py made from the same tree."""

    def __init__(self, directory):
        tree = directory / "source"
        for name in PACKAGES:
            shutil.copytree(str(ROOT / name), str(tree / name), ignore=shutil.ignore_patterns("__pycache__"))
        (tree / "scripts").mkdir()
        for name in (*FILES, "scripts/vendor.py"):
            shutil.copy(str(ROOT / name), str(tree / name))
        (tree / "tests").mkdir()
        (tree / "tests" / "test_something.py").write_text("")  # setuptools takes such files unless told otherwise
        run([sys.executable, tree / "scripts" / "vendor.py", directory / "vendored"], directory)
        self.copy = snapshot(directory / "vendored" / "asyncslot")
        self.wheel = build("wheel", tree, directory / "wheel")
        sdist = build("sdist", tree, directory / "sdist")
        shutil.rmtree(str(tree))
        with tarfile.open(str(sdist)) as archive:
            archive.extractall(str(directory / "unpacked"), **({"filter": "data"} if HAS_FILTERS else {}))
        (unpacked,) = (directory / "unpacked").iterdir()
        self.in_sdist = set(snapshot(unpacked))
        self.wheel_of_sdist = build("wheel", unpacked, directory / "wheel_of_sdist")
        shutil.rmtree(str(unpacked))
        self.installed = directory / "installed"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        run([*pip, "--no-index", "--no-deps", "--target", self.installed, self.wheel], directory)


HAS_FILTERS = hasattr(tarfile, "data_filter")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return Built(tmp_path_factory.mktemp("built"))


# --- What is in them


def test_the_wheel_and_a_copy_hold_the_same_files(built):
    """`host_adapters/` lies inside in both; only licence and origin are kept in different places."""
    files = packed(built.wheel)
    in_wheel = {name: data for name, data in files.items() if ".dist-info/" not in name}
    licences = [data for name, data in files.items() if name.endswith("/LICENSE")]
    in_copy = dict(built.copy)
    del in_copy["VENDORED.md"]
    assert licences == [in_copy.pop("LICENSE")]
    assert in_wheel == {"asyncslot/" + name: data for name, data in in_copy.items()}


def test_the_sdist_makes_the_same_wheel(built):
    """Byte for byte, each file of it."""
    assert built.wheel_of_sdist.name == built.wheel.name
    assert packed(built.wheel_of_sdist) == packed(built.wheel)


def test_the_sdist_is_what_the_wheel_is_made_of(built):
    """And what tells about it: no tests, which need the rest of the repository."""
    in_package = {name for name in packed(built.wheel) if ".dist-info/" not in name}
    sources = {name.replace("asyncslot/host_adapters/", "host_adapters/") for name in in_package}
    made = {name for name in built.in_sdist if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    assert built.in_sdist - made == {*sources, *FILES, "host_adapters/README.md"}


# --- That it works

LIVE = """
import asyncio, os, sys
from qtpy.QtCore import QCoreApplication, QTimer
import asyncslot

application = QCoreApplication([])

async def work():
    await asyncio.sleep(0.01)
    print("worked")
    application.quit()

asyncslot.attach("program").create_task(work())
QTimer.singleShot(20000, lambda: application.exit(1))
code = (getattr(application, "exec", None) or application.exec_)()
print(asyncslot.detach("program").owner)
for name, module in sys.modules.items():
    if name.partition(".")[0] == "asyncslot":
        assert module.__file__.startswith(sys.argv[1] + os.sep), (name, module.__file__)
sys.exit(code)
"""


def qt_path():
    """Return where QtPy and the binding lie."""
    import qtpy
    from qtpy import QtCore

    assert QtCore is not None
    binding = sys.modules[qtpy.API_NAME]
    return os.pathsep.join({str(Path(module.__file__).parent.parent) for module in (qtpy, binding)})


def test_what_was_installed_runs(built, tmp_path):
    """Attach, run a task on the Qt loop, detach; and every module came from there."""
    path = os.pathsep.join([str(built.installed), qt_path()])
    told = run([sys.executable, "-S", "-B", "-c", LIVE, built.installed], tmp_path, PYTHONPATH=path)
    assert told.split() == ["worked", "program"]


@pytest.mark.parametrize("place", ["installed", "wheel"])
def test_a_copy_is_made_from_what_was_installed(built, tmp_path, place):
    """As from a source tree without git, byte for byte, the record included; also from the zip that a wheel is."""
    path = str(getattr(built, place))
    line = [sys.executable, "-S", "-B", "-m", "asyncslot", "vendor", tmp_path / "_vendor"]
    run(line, tmp_path, PYTHONPATH=path)
    assert snapshot(tmp_path / "_vendor" / "asyncslot") == built.copy
    assert "is what would be made now" in run([*line, "--check"], tmp_path, PYTHONPATH=path)

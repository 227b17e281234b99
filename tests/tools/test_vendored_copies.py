"""Where a vendored copy works, from where another one can be made, and which adapters it has.

Everything runs against a source tree of its own, made from this one for each test, so that a test may change it. What
needs a fresh interpreter (importing a copy) runs in a subprocess that sees no site-packages, where a stray absolute
import of ours could not be satisfied by the installed package.
"""

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from source_tree import grow, snapshot

# --- Where a copy works

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
plugin = importlib.import_module("my_plugin")
front = importlib.import_module("my_plugin._vendor." + sys.argv[2])
for module in pkgutil.walk_packages(front.__path__, front.__name__ + "."):
    if not module.name.endswith(sys.argv[3]):
        importlib.import_module(module.name)
assert plugin.attach is front.attach
print("\\n".join(sorted(name for name in sys.modules if "asyncslot" in name or sys.argv[2] in name)))
print("\\n".join(name for name in sys.modules if name.startswith(("PyQt", "PySide", "qtpy", "qgis"))), end="")
"""

LIVE_IN_PLUGIN = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
from qtpy.QtCore import QCoreApplication, QTimer
application = QCoreApplication([])
front = importlib.import_module("my_plugin._vendor." + sys.argv[2])

async def work():
    import asyncio
    await asyncio.sleep(0.01)
    print("worked")
    application.quit()

lease = front.attach("my_plugin")
lease.create_task(work())
QTimer.singleShot(20000, lambda: application.exit(1))
code = getattr(application, "exec", None) or application.exec_
code = code()
print(lease.detach().owner)
sys.exit(code)
"""

# The module for another system, which asks that system's Python for what only that has.
FOREIGN = "_unix" if sys.platform == "win32" else "_windows"

PLACES = pytest.mark.parametrize("is_zipped", [False, True], ids=["directory", "zip"])
NAMES = pytest.mark.parametrize("name", ["asyncslot", "mylib_aio"])


def make_plugin(vendor, dest, name, is_zipped):
    """Vendor into a plug-in and return what goes on sys.path for it."""
    vendor.copy(dest, name)
    (dest / "__init__.py").write_text("")
    (dest.parent / "__init__.py").write_text(f"from ._vendor.{name} import attach\n")
    if not is_zipped:
        return str(dest.parent.parent)
    return shutil.make_archive(str(dest.parent), "zip", str(dest.parent.parent), dest.parent.name)


@PLACES
@NAMES
def test_a_copy_imports_as_part_of_a_plugin(vendor, dest, name, is_zipped):
    """Renamed, from a zip: every module of it loads, under the plug-in's name alone, and loads no Qt."""
    path = make_plugin(vendor, dest, name, is_zipped)
    # -I -S: no site-packages, no environment, no current directory.
    line = [sys.executable, "-I", "-S", "-B", "-c", IMPORT_ALL, path, name, FOREIGN]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    front = f"my_plugin._vendor.{name}"
    modules = [path[: -len(".py")].replace("/", ".") for path in vendor.Source().files if path.endswith(".py")]
    expected = {f"{front}.{module}".replace(".__init__", "") for module in modules if module != FOREIGN}
    assert set(done.stdout.splitlines()) == expected


# Imports a package by its files, and gives it and the packages in it no place, as calibre does with plug-ins in zips.
PLACELESS = """
import importlib.machinery, importlib.util, pathlib, sys
root = pathlib.Path(sys.argv[1])

class Finder:
    def find_spec(self, name, path=None, target=None):
        place = root.joinpath(*name.split("."))
        for file, is_package in ((place / "__init__.py", True), (place.with_suffix(".py"), False)):
            if name.startswith("my_plugin") and file.is_file():
                loader = importlib.machinery.SourceFileLoader(name, str(file))
                spec = importlib.util.spec_from_loader(name, loader, is_package=is_package)
                spec.submodule_search_locations = [] if is_package else None
                return spec

sys.meta_path.insert(0, Finder())
import my_plugin._vendor.asyncslot as asyncslot
assert asyncslot.__path__ == [], asyncslot.__path__
assert asyncslot.attach.__module__ == "my_plugin._vendor.asyncslot._attach"
"""


def test_a_copy_imports_where_the_host_gives_packages_no_place(vendor, dest):
    """It looks for nothing beside itself then."""
    path = make_plugin(vendor, dest, "asyncslot", is_zipped=False)
    done = subprocess.run([sys.executable, "-I", "-B", "-c", PLACELESS, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- From where a copy can be made: `python -m asyncslot vendor` has the same arguments


def module_command(path, *arguments, package="asyncslot"):
    """Run `python -m PACKAGE vendor` with nothing but `path` on sys.path, and no site-packages to help."""
    line = [sys.executable, "-S", "-B", "-m", package, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(line, capture_output=True, text=True, env=environment, cwd=str(Path(path).parent))


@PLACES
@NAMES
def test_a_copy_makes_copies_of_itself(vendor, dest, tmp_path, name, is_zipped):
    """Byte for byte, the record included, also out of a zip; under whatever name it is itself."""
    path = make_plugin(vendor, dest, name, is_zipped)
    package = f"my_plugin._vendor.{name}"
    done = module_command(path, "vendor", tmp_path / "second", "--name", name, package=package)
    assert done.returncode == 0, done.stderr
    assert snapshot(tmp_path / "second" / name) == snapshot(dest / name)
    checked = module_command(path, "vendor", tmp_path / "second", "--name", name, "--check", package=package)
    assert (checked.returncode, checked.stdout.split(" ", 1)[1]) == (0, "is what would be made now.\n")


def test_a_copy_made_by_hand_is_a_source_too(vendor, source, dest, tmp_path):
    """With `cp`: the licence lies inside, and there is no record."""
    plain = tmp_path / "plain" / "asyncslot"
    shutil.copytree(str(source / "asyncslot"), str(plain))
    shutil.copytree(str(source / "host_adapters"), str(plain / "host_adapters"))
    shutil.copy(str(source / "LICENSE"), str(plain))
    done = module_command(plain.parent, "vendor", dest)
    assert done.returncode == 0, done.stderr
    assert snapshot(dest / "asyncslot") == snapshot(vendor.copy(tmp_path / "second"))


def test_a_copy_checks_itself(vendor, source, dest):
    """With nothing else at hand, and edited."""
    copy = vendor.copy(dest)
    whole = module_command(dest, "vendor", dest, "--check")
    (copy / "LICENSE").write_text("Mine.\n")
    edited = module_command(dest, "vendor", dest, "--check")
    assert (whole.returncode, edited.returncode) == (0, 1), edited.stderr
    assert edited.stdout.splitlines()[1:] == ["  changed: LICENSE"]


def test_an_edited_copy_is_no_source(vendor, source, dest, tmp_path):
    """What it would hand on is not what its record says."""
    vendor.copy(dest)
    (dest / "asyncslot" / "LICENSE").write_text("Mine.\n")
    done = module_command(dest, "vendor", tmp_path / "second")
    assert done.returncode == 2
    assert "is a copy that was edited" in done.stderr
    assert not (tmp_path / "second").exists()


def test_without_a_command_one_is_told_which_there_are(vendor, dest):
    """And that this is a mistake, unless one has asked."""
    vendor.copy(dest)
    mistaken, asked = module_command(dest, "vend", dest), module_command(dest, "--help")
    assert (mistaken.returncode, mistaken.stdout) == (2, "")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert mistaken.stderr == asked.stdout
    assert asked.stdout.startswith("usage: python -m asyncslot {doctor,vendor} ")


# --- Which adapters


def adapters_in(copy):
    return sorted(path.stem for path in (copy / "host_adapters").glob("*.py"))


SELECTIONS = [
    # asked for, what lies in host_adapters, what the record and its commands say
    (["qgis"], ["__init__", "_qt", "_reports", "qgis"], "qgis"),
    (["qgis", "krita", "qgis"], ["__init__", "_qt", "_reports", "krita", "qgis"], "krita qgis"),
    (["none"], ["__init__"], "none"),
]


@pytest.mark.parametrize(("asked", "there", "told"), SELECTIONS, ids=[row[2] for row in SELECTIONS])
def test_a_copy_has_the_adapters_that_were_asked_for(vendor, source, dest, asked, there, told):
    """With what these share, and with all else; an update and a check keep to the choice."""
    copy = vendor.copy(dest, adapters=asked)
    fresh = snapshot(copy)
    assert adapters_in(copy) == there
    assert f"| adapters | {told} |" in fresh["VENDORED.md"].decode()
    assert f"vendor.py DEST --adapters {told} --check" in fresh["VENDORED.md"].decode()
    assert {path for path in vendor.Source().files if "/" not in path} < set(fresh)
    assert [bool(differences) for differences in vendor.check(dest)] == [False, False]
    vendor.copy(dest)
    assert snapshot(copy) == fresh
    grow(source)
    assert vendor.check(dest)[1].changed == ["host_adapters/__init__.py"]


def test_all_adapters_can_be_had_again(vendor, dest, tmp_path):
    """A choice can be taken back, where there are others."""
    whole = snapshot(vendor.copy(tmp_path / "whole"))
    vendor.copy(dest, adapters=["none"])
    assert snapshot(vendor.copy(dest, adapters=["all"])) == whole


def test_a_copy_with_few_adapters_has_no_others_to_give(vendor, dest, tmp_path):
    """The refusal says which there are; without a choice the second copy is as the first."""
    first = snapshot(vendor.copy(dest, adapters=["qgis"]))
    source = vendor_of(dest / "asyncslot")
    assert snapshot(source.copy(tmp_path / "second")) == first
    with pytest.raises(source.VendorError, match=r"--adapters names krita; there are here: qgis\.$"):
        source.copy(tmp_path / "third", adapters=["krita"])


def vendor_of(package):
    """Return the module _vendoring of a copy, without importing that copy."""
    name = "package_under_test"
    stand_in = types.ModuleType(name)
    stand_in.__path__ = [str(package)]
    sys.modules[name] = stand_in
    try:
        return importlib.import_module(name + ".tools._vendoring")
    finally:
        for key in [key for key in sys.modules if key.startswith(name)]:
            del sys.modules[key]


@pytest.mark.parametrize("adapters", [["qgis"], ["none"]], ids=["qgis", "none"])
def test_a_copy_with_few_adapters_runs(vendor, dest, adapters):
    """A host whose adapter is missing is any Qt application."""
    vendor.copy(dest, adapters=adapters)
    for directory in (dest, dest.parent):
        (directory / "__init__.py").write_text("")
    line = [sys.executable, "-B", "-c", LIVE_IN_PLUGIN, str(dest.parent.parent), "asyncslot"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["worked", "my_plugin"]), done.stderr


@PLACES
@NAMES
def test_a_copy_runs_as_part_of_a_plugin(vendor, dest, name, is_zipped):
    """Attach, run a task on the Qt loop, detach."""
    path = make_plugin(vendor, dest, name, is_zipped)
    line = [sys.executable, "-B", "-c", LIVE_IN_PLUGIN, path, name]
    done = subprocess.run(line, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["worked", "my_plugin"]), done.stderr

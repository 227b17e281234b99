"""host_adapters/__init__.py: which adapters are imported, and what a copy does that has only some of them."""

import importlib
import inspect
import re
import shutil
import sys
import types
from pathlib import Path

import pytest

import asyncslot
from asyncslot import host_adapters

ADAPTERS = sorted(path.stem for path in Path(host_adapters.__file__).parent.glob("[a-z]*.py"))


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the adapters, as part of another package, of which nothing has been imported yet."""
    package = tmp_path / "my_plugin_adapters"
    shutil.copytree(Path(host_adapters.__file__).parent, package)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(package.name)
    for name in [name for name in sys.modules if name.split(".")[0] == package.name]:
        del sys.modules[name]


def imported(copy):
    """Return the names of the adapters of a copy that have been imported."""
    return [name for name in ADAPTERS if f"{copy.__name__}.{name}" in sys.modules]


def test_every_adapter_is_in_the_table():
    """One that is not would never be found."""
    assert sorted(host_adapters._ADAPTERS) == ADAPTERS


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_asks_for_the_module_that_stands_in_the_table(name):
    """The table decides nothing that the adapter would decide otherwise: without this module it says no."""
    adapter = importlib.import_module(f"{host_adapters.__name__}.{name}")
    module = host_adapters._ADAPTERS[name]
    assert module not in sys.modules
    assert f'"{module}"' in inspect.getsource(adapter)
    assert not adapter.is_running()


def test_in_a_plain_qt_program_no_adapter_is_imported(copy):
    """They would cost every host more time than the rest of the package, and plain Qt too."""
    assert copy.find() is None
    assert copy.find_batch_hint() is None
    assert imported(copy) == []


def test_only_the_adapters_of_loaded_modules_are_imported(copy, monkeypatch):
    """A script that has loaded a host's libraries is asked about by that host's adapter alone."""
    monkeypatch.setitem(sys.modules, "nuke", types.SimpleNamespace(GUI=False))
    assert copy.find() is None
    assert "nuke -t" in copy.find_batch_hint()
    assert imported(copy) == ["nuke"]


def test_the_adapter_of_the_host_is_found(copy, monkeypatch):
    """Its module is there, and the adapter says yes."""
    monkeypatch.setitem(sys.modules, "nuke", types.SimpleNamespace(GUI=True))
    assert copy.find().__name__ == f"{copy.__name__}.nuke"


def test_an_adapter_that_a_copy_was_made_without_is_not_found(copy, monkeypatch):
    """The plug-in of one host may leave out the adapters of the others."""
    (Path(copy.__file__).parent / "nuke.py").unlink()
    monkeypatch.setitem(sys.modules, "nuke", types.SimpleNamespace(GUI=True))
    assert copy.find() is None
    assert copy.find_batch_hint() is None


def test_an_adapter_that_cannot_be_imported_is_an_error(copy, monkeypatch):
    """It is there, and needs something that is not: nobody would guess why it is not found."""
    (Path(copy.__file__).parent / "nuke.py").write_text("import no_such_module\n")
    monkeypatch.setitem(sys.modules, "nuke", types.SimpleNamespace(GUI=True))
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        copy.find()


def test_nothing_else_is_imported_later():
    """An exception to the rule that the package imports itself by statements: test_layout.py does not see it."""
    front = Path(host_adapters.__file__)
    shipped = [path for each in (front, Path(asyncslot.__file__)) for path in each.parent.rglob("*.py")]
    pattern = re.compile(r"(import_module|__import__)\([^)]*(?<!\.)__(name|package)__")
    assert {path for path in shipped if pattern.search(path.read_text(encoding="utf-8"))} == {front}

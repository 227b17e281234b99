"""What tests of this directory share: a plug-in in the toy host, and a source tree of one's own to make copies from."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from asyncslot import testing
from leaving import LIBRARY, PLUGIN, lines_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def load(app, tmp_path, monkeypatch):
    """Return a function that loads the plug-in in the toy host: load(initGui, unload="pass", name=...) -> plugin."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "toy_library.py").write_text(LIBRARY)
    plugins = []

    def load(initGui, unload="pass", name="toy_plugin"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(PLUGIN.format(initGui=initGui, unload=unload))
        plugins.append(host.load(name, lambda package: package.Plugin()))
        return plugins[-1]

    with testing.Host() as host:
        load.host = host
        yield load
        for plugin in plugins:
            plugin.stop.set()
            child = getattr(plugin, "child", None)
            if child is not None:
                child.communicate()
    library = sys.modules.pop("toy_library", None)
    if library is not None:
        library.pool.shutdown()


@pytest.fixture
def left(load):
    """Return a function that loads the plug-in, unloads it, and returns what is said to be left, a line each."""

    def left(initGui, unload="pass", until=None):
        plugin = load(initGui, unload)
        load.host.run_until(lambda: until is None or until(plugin))
        return lines_of(load.host, plugin)

    return left


@pytest.fixture
def source(tmp_path):
    """A source tree outside any git repository, with everything that vendoring needs."""
    tree = tmp_path / "source"
    for name in ("asyncslot", "host_adapters"):
        shutil.copytree(str(ROOT / name), str(tree / name), ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "scripts").mkdir()
    for name in ("LICENSE", "README.md", "scripts/vendor.py"):
        shutil.copy(str(ROOT / name), str(tree / name))
    return tree


@pytest.fixture
def vendor(source):
    """The module vendor.py of that source tree."""
    spec = importlib.util.spec_from_file_location("vendor_under_test", str(source / "scripts" / "vendor.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def dest(tmp_path):
    """Where the copies go; it does not exist yet."""
    return tmp_path / "my_plugin" / "_vendor"

"""The example plug-ins in the toy host of asyncslot.testing, as an author tests a plug-in of his own.

One for QGIS and one for mini_host; each is unloaded, reloaded and quit in the middle of its work, and leaves nothing.
"""

import re
import shutil
import sys
import types
from pathlib import Path
from unittest import mock

import pytest

from asyncslot import testing
from example_service import serving

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import vendor  # noqa: E402 - scripts/ is no package


def iface_of(window):
    """What QGIS hands to a plug-in, as far as the example asks for it."""
    iface = mock.Mock()
    iface.mainWindow = lambda: window
    iface.addDockWidget = window.addDockWidget
    iface.removeDockWidget = window.removeDockWidget
    return iface


def mini_host_of(window):
    """The same for mini_host."""
    from qtpy.QtCore import Qt

    def remove_dock(dock):
        window.removeDockWidget(dock)
        dock.deleteLater()

    area = Qt.DockWidgetArea.RightDockWidgetArea
    return types.SimpleNamespace(
        add_dock=lambda dock: window.addDockWidget(area, dock), remove_dock=remove_dock, log=lambda text: None
    )


def search(plugin, server):
    panel = plugin._dock.widget()
    panel.service.setText(server.service)
    panel.words.setText("slow")
    panel.search_button.click()


def download(plugin, server):
    plugin.dock.url.setText(server.address + "/search?q=slow&page=2")
    plugin.dock.start.click()


# Where the plug-in lies, what its classFactory() is called with, and how it is made busy.
PLUGINS = {
    "async_search": ("qgis/async_search", iface_of, search),
    "downloader": ("mini_host/plugins/downloader", mini_host_of, download),
}
each_plugin = pytest.mark.parametrize("name", PLUGINS)


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def vendored(tmp_path_factory):
    """A copy of asyncslot, made once."""
    return vendor.copy(tmp_path_factory.mktemp("copy"))


@pytest.fixture
def host(windows):
    with testing.Host() as host:
        yield host


@pytest.fixture
def load(host, tmp_path, monkeypatch, vendored, server):
    """Return a function that loads an example, with a copy of asyncslot in it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(name):
        where, what_it_gets, _ = PLUGINS[name]
        source = ROOT / "examples" / where
        shutil.copytree(str(source), str(tmp_path / name), ignore=shutil.ignore_patterns("__pycache__", "asyncslot"))
        shutil.copytree(str(vendored), str(tmp_path / name / "_vendor" / "asyncslot"))
        return host.load(name, lambda package: package.classFactory(what_it_gets(host.window)))

    return load


@pytest.fixture
def keep_busy(host, server):
    """Return a function that has the plug-in ask the server, which does not answer."""

    def keep_busy(name, plugin):
        server.is_waiting.clear()
        PLUGINS[name][2](plugin, server)
        host.run_until(server.is_waiting.is_set)

    return keep_busy


@pytest.fixture
def ignore(server):
    """The server's own side of it."""
    return ["process_request_thread", rf"open socket \('127\.0\.0\.1', {server.server_address[1]}\)"]


@each_plugin
def test_unload_while_busy_leaves_nothing(host, load, keep_busy, ignore, name):
    """Task, connection, dock, lease: all gone."""
    plugin = load(name)
    keep_busy(name, plugin)
    host.assert_clean_unload(plugin, ignore=ignore)
    assert host.errors == []


@each_plugin
def test_reload_while_busy_leaves_nothing(host, load, keep_busy, ignore, name):
    """The new one works, and nothing of either is left."""
    old = load(name)
    keep_busy(name, old)
    new = host.reload(old)
    keep_busy(name, new)
    host.assert_clean_unload(new, ignore=ignore)
    assert host.errors == []


@each_plugin
def test_quit_while_busy_leaves_nothing(host, load, keep_busy, ignore, name):
    """The user closes the host in the middle of it."""
    keep_busy(name, load(name))
    host.assert_clean_quit(ignore=ignore)
    assert host.errors == []


def test_a_plugin_that_forgets_its_dock_is_found(host, load, ignore):
    """The example is right, so it is broken here: what is left is told with whose it is."""
    plugin = load("async_search")
    dock, plugin._dock = plugin._dock, mock.Mock()
    plugin._iface.removeDockWidget = lambda dock: None
    with pytest.raises(AssertionError, match=re.escape("QDockWidget 'AsyncSearchDock', child of a QMainWindow")):
        host.assert_clean_unload(plugin, timeout=0.0, ignore=ignore)
    dock.deleteLater()

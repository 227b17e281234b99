"""examples/chat as its hosts have it: what lies where, and what is left when it goes.

The panel runs on this process's binding, against the server that comes with the example; the two plug-ins in the toy
host of asyncslot.testing. What the panel shows is in test_example_chat_panel.py, the client in
test_example_chat_client.py, and the real hosts are in tests/hosts/test_chat.py.
"""

import importlib
import json
import logging
import re
import shutil
import subprocess
import sys
import types
import urllib.request
from unittest import mock

import pytest

import chat_panel
from asyncslot import testing
from chat_panel import PACKAGES, is_idle, said, send
from chat_service import EXAMPLE, serving, tls_context
from example_leftovers import is_alive

sys.path.insert(0, str(EXAMPLE.parents[1] / "scripts"))

import vendor

SECTIONS = ["Try it", "Install it", "Which server", "The key", "Which thread", "Unload and reload", "Its log"]

parts = pytest.fixture(chat_panel.parts)
settings = pytest.fixture(chat_panel.settings)
server = pytest.fixture(chat_panel.server)

# -- what lies where ---------------------------------------------------------


@pytest.mark.once
def test_layout_is_the_one_that_each_host_expects():
    """Nothing more and nothing less, but for copies that somebody has made in there."""
    files = {path.relative_to(EXAMPLE).as_posix() for path in EXAMPLE.rglob("*") if path.is_file()}
    files = {name for name in files if not re.search(r"_vendor/asyncslot/|__pycache__|/build/|\.egg-info/", name)}
    parts = ("__init__.py", "client.py", "panel.py", "_vendor/__init__.py")
    packages = {(each / part).relative_to(EXAMPLE).as_posix() for each in PACKAGES.values() for part in parts}
    metadata = {"qgis/async_chat/metadata.txt", "napari/pyproject.toml", "napari/src/napari_async_chat/napari.yaml"}
    assert files == {"README.md", "try_server.py", *packages, *metadata}


@pytest.mark.once
@pytest.mark.parametrize("name", ["client.py", "panel.py"])
def test_plugins_share_their_parts(name):
    """The same bytes in both. Change one, and copy it to the other."""
    assert (PACKAGES["qgis"] / name).read_bytes() == (PACKAGES["napari"] / name).read_bytes()


@pytest.mark.once
def test_readme_tells_what_its_reader_needs():
    """How to try it, to copy, to vendor, where the key lies, what runs where, how to unload, where to look."""
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    for word in ("python3 try_server.py", "python3 scripts/vendor.py", "ASYNC_CHAT_KEY", "Linux", "macOS", "Windows"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.once
def test_the_server_to_try_starts_as_readme_says():
    """With nothing but Python, and it answers."""
    path = EXAMPLE / "try_server.py"
    command = [sys.executable, "-I", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = re.search(r"http://\S+/v1", process.stdout.readline()).group()
            question = {"model": "whole", "messages": [{"role": "user", "content": "Hello"}]}
            request = urllib.request.Request(address + "/chat/completions", json.dumps(question).encode())
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
                assert json.loads(answer.read())["choices"][0]["message"]["content"].endswith("Hello")
        finally:
            process.kill()


# -- the end -----------------------------------------------------------------


@pytest.fixture(params=["http", "https"])
def held(request, parts, app, windows, settings, spin, attach_as, certificate, monkeypatch):
    """A panel in the middle of an answer, over either: (lease, panel, server)."""
    context = None
    if request.param == "https":
        context = tls_context(certificate)
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
    lease = attach_as("example_chat", "chat")
    with serving(context=context) as server:
        panel = importlib.import_module(parts + ".panel").ChatPanel(lease, settings)
        panel.address.setText(server.address)
        [chat] = panel.conversations()
        send(panel, chat, "Hello", "held")
        spin(lambda: server.begun.value == 1)
        spin(lambda: "Well, " in said(chat))
        yield lease, panel, server
        lease.detach()
        if is_alive(panel):
            panel.deleteLater()
            spin(lambda: not is_alive(panel))


def test_detach_in_mid_stream_ends_all(held):
    """The report is clean, the last lines still find the panel, and the connection is closed."""
    lease, panel, server = held
    [chat] = panel.conversations()
    report = lease.detach()
    assert (report.ended, report.cancelled, report.abandoned, report.closed) == (1, 1, [], [])
    assert report.seconds < 1
    assert server.gone.wait(1)
    assert said(chat).endswith("Well, \n[Stopped]\n\n")
    send(panel, chat, "Hello")
    assert is_idle(chat), "a panel that outlives its plug-in does nothing"


def test_a_host_that_deletes_the_panel_in_mid_stream_hears_no_error(held, spin, caplog):
    """The answer is cancelled."""
    lease, panel, server = held
    panel.deleteLater()
    spin(lambda: server.gone.value == 1)
    report = lease.detach()
    assert (report.ended, report.abandoned) == (0, [])
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# -- the plug-ins, in the toy host of asyncslot.testing ------------------------


@pytest.fixture(scope="module")
def vendored(tmp_path_factory):
    """A copy of asyncslot, made once."""
    return vendor.copy(tmp_path_factory.mktemp("copy"))


@pytest.fixture
def toy(windows):
    with testing.Host() as host:
        yield host
        assert host.errors == []


@pytest.fixture
def install(tmp_path, monkeypatch, vendored):
    """Return a function that puts a plug-in where it is found, with a copy of asyncslot in it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(host):
        target = tmp_path / PACKAGES[host].name
        shutil.copytree(str(PACKAGES[host]), str(target), ignore=shutil.ignore_patterns("__pycache__", "asyncslot"))
        shutil.copytree(str(vendored), str(target / "_vendor" / "asyncslot"))

    return install


@pytest.fixture
def qgis(server, toy, install, settings, monkeypatch):
    """The plug-in for QGIS, loaded, and as much of QGIS as it touches."""
    for name, content in {"qgis": {}, "qgis.core": {"QgsSettings": lambda: settings}}.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    iface = mock.Mock()
    iface.mainWindow = lambda: toy.window
    iface.addDockWidget = toy.window.addDockWidget
    iface.removeDockWidget = toy.window.removeDockWidget
    install("qgis")
    return toy.load("async_chat", lambda package: package.classFactory(iface))


def keep_busy(toy, panel, server):
    """Have the plug-in in the middle of two answers."""
    panel.address.setText(server.address)
    begun = server.begun.value
    panel.add()
    for chat in panel.conversations():
        send(panel, chat, "Hello", "held")
    toy.run_until(lambda: server.begun.value == begun + 2)
    toy.run_until(lambda: all("Well, " in said(chat) for chat in panel.conversations()))


@pytest.fixture
def ignore(server):
    """The server's own side of it."""
    port = server.server_address[1]
    return ["process_request_thread", rf"open socket \(.*, {port}\)", rf"open socket .* {port}"]


@pytest.mark.slow
def test_qgis_unloads_it_in_mid_stream(toy, qgis, server, ignore):
    """Nothing is left: no task, connection, timer, dock or lease."""
    keep_busy(toy, qgis._dock.widget(), server)
    toy.assert_clean_unload(qgis, ignore=ignore)
    assert server.gone.wait(2)


@pytest.mark.slow
def test_qgis_reloads_it_in_mid_stream(toy, qgis, server, ignore):
    """The new one works, and nothing of either is left."""
    keep_busy(toy, qgis._dock.widget(), server)
    new = toy.reload(qgis)
    keep_busy(toy, new._dock.widget(), server)
    toy.assert_clean_unload(new, ignore=ignore)


@pytest.mark.slow
def test_qgis_quits_in_mid_stream(toy, qgis, server, ignore):
    """With everything under way."""
    keep_busy(toy, qgis._dock.widget(), server)
    toy.assert_clean_quit(ignore=ignore)


@pytest.mark.slow
def test_napari_quits_in_mid_stream(toy, install, server, ignore):
    """It makes the panel by what its manifest names, and unloads nothing: at its end the lease is detached."""
    install("napari")
    manifest = (EXAMPLE / "napari" / "src" / "napari_async_chat" / "napari.yaml").read_text(encoding="utf-8")
    package, function = re.search(r"python_name: (\w+):(\w+)", manifest).groups()
    plugin = toy.load(package, load=None, unload=None)
    panel = getattr(plugin, function)()
    keep_busy(toy, panel, server)
    chats = panel.conversations()
    toy.assert_clean_quit(ignore=ignore)
    assert all(said(chat).endswith("[Stopped]\n\n") for chat in chats)
    panel.deleteLater()
    toy.run_until(lambda: not is_alive(panel))

"""The example plug-ins that are made to be copied: their layout, what they share, and what they do.

The shared files run for real, on this process's binding, against a server on this machine; each entry file is loaded
by a stand-in for its host (tests/support/example_hosts.py). Whether the real host does the same is told in the READMEs.
"""

import asyncio
import importlib
import json
import re
import shutil
import sys
import types
import xml.etree.ElementTree as ElementTree

import pytest

import asyncslot
from asyncslot._hosts import PlainQt
from example_hosts import EXAMPLES, PACKAGES, STAND_INS, import_root, package_directory
from example_leftovers import forget, is_alive
from example_service import ON_PAGE, PAGES, serving

sys.path.insert(0, str(EXAMPLES.parent / "scripts"))

import vendor  # from scripts/, see above

each_host = pytest.mark.parametrize("host", sorted(PACKAGES))

# -- what lies where ---------------------------------------------------------

# What the host looks for, beside the plug-in's package.
LAYOUT = {
    "anki": ["async_search/manifest.json"],
    "binary_ninja": ["plugins/async_search/plugin.json"],
    "cura": ["plugins/async_search/plugin.json"],
    "freecad": ["AsyncSearch/package.xml", "AsyncSearch/freecad/async_search/init_gui.py"],
    "houdini": [
        "async_search.json",
        "async_search/python_panels/async_search.pypanel",
        *(f"async_search/python{version}libs/uiready.py" for version in ("3.9", "3.10", "3.11", "3.13")),
    ],
    "ida": ["plugins/async_search_plugin.py"],
    "krita": ["pykrita/async_search.desktop"],
    "max3ds": ["scripts/startup/async_search_startup.ms"],
    "maya": ["async_search.mod", "async_search/plug-ins/async_search_plugin.py"],
    "napari": ["pyproject.toml", "src/napari_async_search/napari.yaml"],
    "nuke": ["async_search_tool/menu.py"],
    "qgis": ["async_search/metadata.txt"],
    "substance_painter": [],
}
SECTIONS = ["Install it", "Which thread", "Unload and reload", "Its log"]


@each_host
def test_layout_is_the_one_that_the_host_expects(host):
    """Nothing more and nothing less; the copy goes inside the plug-in's package, never beside its entry file."""
    package = package_directory(host)
    parts = {"__init__.py", "search.py", "panel.py", "_vendor/__init__.py"}
    expected = {
        "README.md",
        *LAYOUT[host],
        *((package / part).relative_to(EXAMPLES / host).as_posix() for part in parts),
    }
    assert set(_files(EXAMPLES / host)) == expected
    assert (package / "_vendor" / "__init__.py").read_bytes() == b""


def _files(directory):
    """Yield the files that belong to an example; a copy that somebody has made in there is left out."""
    for path in directory.rglob("*"):
        relative = path.relative_to(directory).as_posix()
        if path.is_file() and "_vendor/asyncslot/" not in relative and not {"__pycache__", "build"} & set(path.parts):
            yield relative


@each_host
@pytest.mark.parametrize("name", ["search.py", "panel.py"])
def test_examples_share_their_parts(host, name):
    """The same bytes everywhere: whoever knows one example knows them all. Change one, and copy it to the others."""
    assert (package_directory(host) / name).read_bytes() == (package_directory("krita") / name).read_bytes()


@pytest.mark.parametrize("host", [*sorted(PACKAGES), "qgis_dask", "qgis_mcp"])
def test_readme_tells_what_its_reader_needs(host):
    """Where to copy it on each system, how to vendor, what runs where, how to unload, where to look for errors."""
    text = (EXAMPLES / host / "README.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [section for section in SECTIONS if section not in sections] == []
    assert "python3 scripts/vendor.py" in text
    assert "_vendor" in text
    systems = ["Windows"] if host == "max3ds" else ["Linux", "macOS", "Windows"]
    assert [system for system in systems if system not in text] == []
    assert max(map(len, text.splitlines())) <= 120


@each_host
def test_files_for_the_host_can_be_read(host):
    """XML and JSON are well-formed; what names a module names the right one."""
    directory = EXAMPLES / host
    for path in [*directory.rglob("*.xml"), *directory.rglob("*.pypanel")]:
        ElementTree.parse(str(path))
    for path in directory.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    if host == "krita":
        assert "X-KDE-Library=async_search\n" in (directory / "pykrita" / "async_search.desktop").read_text("utf-8")
    if host == "napari":
        project = (directory / "pyproject.toml").read_text("utf-8")
        assert 'napari-async-search = "napari_async_search:napari.yaml"' in project


# -- a search service --------------------------------------------------------


@pytest.fixture
def server():
    with serving() as server:
        yield server


# -- search.py, on plain asyncio ---------------------------------------------


@pytest.fixture
def parts(monkeypatch):
    """The package of the shared files, without an entry file: import_module() finds panel and search in it."""
    package = types.ModuleType("example_parts")
    package.__path__ = [str(package_directory("krita"))]
    monkeypatch.setitem(sys.modules, "example_parts", package)
    yield "example_parts"
    forget("example_parts")


@pytest.fixture
def search(parts):
    return importlib.import_module(parts + ".search")


def ask(search, answer, words="red fox"):
    """Fetch a page from a server that gives this answer to every request; return (results, pages, first request)."""
    requests = []

    async def serve(reader, writer):
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await search.fetch_page(f"http://127.0.0.1:{port}/s?q={{words}}&p={{page}}", words, 2)
        finally:
            server.close()

    results, pages = asyncio.run(main())
    return results, pages, requests[0]


HEAD = b"HTTP/1.1 200 OK\r\n"
BODY = b'{"page_count": 99, "results": [{"title": "A fox", "creator": null}]}'
GOOD = {
    "length is known": HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "until the server hangs up": HEAD + b"\r\n" + BODY,
    "in chunks": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n3;x=1\r\n%s\r\n%X\r\n%s\r\n0\r\n\r\n" % (BODY[:3], len(BODY) - 3, BODY[3:]),
}


@pytest.mark.parametrize("case", GOOD)
def test_search_reads_a_page(search, case):
    """Text is text, also where the service says null, and of many pages only some are to be asked for."""
    [result], pages, request = ask(search, GOOD[case])
    assert (result.title, result.creator, result.license, result.link) == ("A fox", "", "", "")
    assert pages == search.MAX_PAGES
    assert request.startswith(b"GET /s?q=red%20fox&p=2 HTTP/1.1\r\nHost: 127.0.0.1:")


BAD = {
    "not found": (b"HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
    "redirect without end": (b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n", "more than 3 redirects"),
    "redirect out of HTTP": (b"HTTP/1.1 301 Moved\r\nLocation: file:///etc/passwd\r\n\r\n", "starts with http"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", "cut off"),
    "half a body": (HEAD + b"Content-Length: 10\r\n\r\nhello", "cut off"),
    "too much": (HEAD + b"Content-Length: 99999999\r\n\r\n", "more than 4,194,304 bytes"),
    "a chunk of no size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "not HTTP"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not HTTP"),
    "a line without end": (b"x" * 200000, "cut off"),
    "no JSON": (HEAD + b"\r\n<html>", "not JSON with a list"),
    "JSON of another kind": (HEAD + b"\r\n[1]", "not JSON with a list"),
    "results of another kind": (HEAD + b'\r\n{"results": [1]}', "not JSON with a list"),
}


@pytest.mark.parametrize("case", BAD)
def test_search_says_what_is_wrong_with_an_answer(search, case):
    """Whatever a service says, the user gets one sentence."""
    answer, words = BAD[case]
    with pytest.raises(search.SearchError, match=words):
        ask(search, answer)


@pytest.mark.parametrize("service", ["", "ftp://example.com/{words}", "http://", "http://x:many/", "http://x/a b"])
def test_search_refuses_what_is_no_web_address(search, service):
    """Before anything is sent."""
    with pytest.raises(search.SearchError, match="URL"):
        asyncio.run(search.fetch_page(service, "fox", 1))


# -- panel.py, in a Qt application -------------------------------------------


class Showing(PlainQt):
    """A host with a progress display, which writes down what it shows."""

    NAME = "Showing"

    def __init__(self):
        self.title = self.cancel = None
        self.shown, self.reports = [], []

    def progress(self, title, cancel):
        self.title, self.cancel = title, cancel
        return types.SimpleNamespace(
            update=lambda *what: self.shown.append(what), close=lambda: self.shown.append("closed")
        )

    def report(self, message, exc):
        self.reports.append((message, exc))


@pytest.fixture
def host(windows):
    """A host that shows progress; at the end, nothing may have been reported to it."""
    host = Showing()
    yield host
    assert host.reports == []


@pytest.fixture
def panel(parts, host, server, spin):
    """A panel in that host, set to the server on this machine."""
    with asyncslot.attach("example", host=host) as lease:
        panel = importlib.import_module(parts + ".panel").SearchPanel(lease)
        panel.service.setText(server.service)
        panel.show()
        yield panel
    panel.deleteLater()
    spin(lambda: not is_alive(panel))


def start(panel, words):
    panel.words.setText(words)
    panel.search_button.click()


def titles(panel):
    return [panel.results.topLevelItem(row).text(0) for row in range(panel.results.topLevelItemCount())]


def test_panel_shows_what_was_found_and_how_far_it_is(panel, host, spin):
    """Page by page; the host's own display shows the progress and is closed at the end."""
    start(panel, "fox")
    assert panel.cancel_button.isEnabled(), "the slot's first part runs inside the click"
    spin(lambda: not panel.cancel_button.isEnabled())
    assert titles(panel) == [f"fox {page}.{number}" for page in (1, 2, 3) for number in range(ON_PAGE)]
    assert panel.status.text() == f"{PAGES * ON_PAGE} found"
    assert host.title == "Searching for fox"
    assert host.shown[0] == (None, "")
    assert host.shown[-1] == "closed"


def test_panel_shows_progress_while_it_waits(panel, host, server, spin):
    """One page of three is there: its results are shown, and a third of the bar."""
    start(panel, "slow")
    spin(lambda: server.is_waiting.is_set() and len(host.shown) == 2)
    assert host.shown[1] == (1 / 3, "page 1 of 3")
    assert len(titles(panel)) == ON_PAGE
    assert panel.status.text() == f"{ON_PAGE} found so far ..."


@pytest.mark.parametrize("button", ["the panel's", "the host's"])
def test_panel_is_cancelled_by_either_button(panel, host, server, spin, button):
    """The panel's own, and that in the host's progress display."""
    start(panel, "slow")
    spin(server.is_waiting.is_set)
    (panel.cancel_button.click if button == "the panel's" else host.cancel)()
    spin(lambda: not panel.cancel_button.isEnabled())
    assert panel.status.text() == "Cancelled"
    assert host.shown[-1] == "closed"


def test_panel_starts_anew_when_return_is_pressed_again(panel, server, spin):
    """A search that is under way is cancelled first; its results do not come in between."""
    start(panel, "slow")
    spin(server.is_waiting.is_set)
    panel.words.setText("fox")
    panel.words.returnPressed.emit()
    spin(lambda: panel.status.text() == f"{PAGES * ON_PAGE} found")
    assert {title.split()[0] for title in titles(panel)} == {"fox"}


def test_panel_says_what_went_wrong(panel, server, spin):
    """The service's refusal, and no service at all."""
    for service, said in [(server.address + "/nothing", "status 404"), ("http://127.0.0.1:1/", "Failed: ")]:
        panel.service.setText(service)
        start(panel, "fox")
        spin(lambda: not panel.cancel_button.isEnabled())
        assert said in panel.status.text()
    start(panel, " ")
    assert panel.status.text() == "Type what to search for."


def test_unload_while_busy_leaves_nothing(panel, host, server, spin):
    """detach() ends the search at once, and its last lines still find the panel. Nothing is open after that."""
    start(panel, "slow")
    spin(server.is_waiting.is_set)
    report = asyncslot.detach("example")
    assert report.ended == report.cancelled >= 1  # asyncio's wait_for() has a task of its own before Python 3.12
    assert report.abandoned == []
    assert report.seconds < 1
    assert panel.status.text() == "Cancelled"
    assert host.shown[-1] == "closed"
    panel.search_button.click()
    assert not panel.cancel_button.isEnabled(), "a panel that outlives its plug-in does nothing"


def test_host_deletes_the_panel_while_busy(parts, host, server, spin):
    """Nuke and Houdini delete it when its pane is closed: the search is cancelled, and nobody hears an error."""
    with asyncslot.attach("example", host=host) as lease:
        panel = importlib.import_module(parts + ".panel").SearchPanel(lease)
        panel.service.setText(server.service)
        start(panel, "slow")
        spin(server.is_waiting.is_set)
        panel.deleteLater()
        spin(lambda: host.shown[-1] == "closed")
        report = lease.detach()
    assert (report.ended, report.abandoned) == (0, [])


# -- the entry files ---------------------------------------------------------


@pytest.fixture(scope="module")
def vendored(tmp_path_factory):
    """A copy of asyncslot, made once."""
    return vendor.copy(tmp_path_factory.mktemp("copy"))


@pytest.fixture
def load(windows, monkeypatch, tmp_path, vendored):
    """Return a function that copies an example, puts the copy of asyncslot into it, and loads it in its stand-in."""
    loaded = []

    def add_module(name, **content):
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)

    def load(host):
        example = tmp_path / host
        shutil.copytree(str(EXAMPLES / host), str(example), ignore=shutil.ignore_patterns("__pycache__", "asyncslot"))
        shutil.copytree(str(vendored), str(package_directory(host, tmp_path) / "_vendor" / "asyncslot"))
        monkeypatch.syspath_prepend(str(import_root(host, tmp_path)))
        stand_in = STAND_INS[host]
        for name, content in stand_in.needed().items():
            add_module(name, **content)
        name = PACKAGES[host][1]
        loaded.append(name.partition(".")[0])
        package = importlib.import_module(name)
        hosts = importlib.import_module(name + "._vendor.asyncslot._hosts")
        # The stand-in is one for the plug-in, not for the adapter, which would find half a host here.
        monkeypatch.setattr(hosts, "find", lambda: None)
        return stand_in(example, package, add_module)

    yield load
    for name in loaded:
        forget(name)


@each_host
def test_plugin_searches_and_is_ended_while_busy(load, server, spin, host):
    """Loaded as the host loads it; a search shows results, another is under way when the host ends the plug-in."""
    stand_in = load(host)
    panel = stand_in.open()
    panel.service.setText(server.service)
    start(panel, "fox")
    spin(lambda: panel.status.text() == f"{PAGES * ON_PAGE} found")
    start(panel, "slow")
    spin(server.is_waiting.is_set)
    task = panel._task
    owner = panel._lease.owner
    assert owner == ("napari_async_search" if host == "napari" else "async_search")
    stand_in.close()
    assert task.cancelled()
    assert not panel._lease.is_attached
    # As hosts do: by Qt, and not whenever Python's garbage collector comes upon it.
    panel.window().deleteLater()
    spin(lambda: not is_alive(panel))

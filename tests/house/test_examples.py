"""The examples that are no plug-ins of a host, and the parts of the plug-ins that know nothing of Qt."""

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(ROOT / "scripts"))

from lib import demo_server  # noqa: E402 - scripts/ is no package

# Runs the example as it is, with a user who clicks twice and closes the message box. A timer stands in for the user.
CLICK_TWICE = """
import runpy, time
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox, QPushButton

start = time.monotonic()
clicked, shown = [], []

def user():
    button = next((w for w in app.topLevelWidgets() if isinstance(w, QPushButton)), None)
    box = app.activeModalWidget()
    if button is not None and not clicked:
        button.click()
        clicked.append(button.isEnabled())
        button.click()
    elif box is not None:
        shown.append(box.text())
        box.close()
    elif shown and button.isEnabled() or time.monotonic() > start + 20:
        print("enabled right after the click:", clicked)
        print("shown:", shown)
        print("a second has passed:", time.monotonic() - start >= 1.0)
        app.quit()

def exec_with_user(*args):
    global app
    app = QApplication.instance()
    timer = QTimer(app)
    timer.timeout.connect(user)
    timer.start(20)
    return plain_exec()

plain_exec = QApplication.exec
QApplication.exec = exec_with_user
runpy.run_path(EXAMPLE, run_name="__main__")
"""


def test_minimal_gui_says_hi_once_for_a_double_click(run_python):
    """The button is disabled within the click, so a second click starts nothing; the program ends with 0."""
    example = str(EXAMPLES / "minimal_gui.py")
    done = run_python(CLICK_TWICE.replace("EXAMPLE", repr(example)))
    assert done.stdout.splitlines() == [
        "enabled right after the click: [False]",
        "shown: ['Hi']",
        "a second has passed: True",
    ]


@pytest.fixture
def server():
    with demo_server.serving() as address:
        yield address


def load(path):
    """Import one file of a plug-in, without its package."""
    spec = importlib.util.spec_from_file_location("example_" + path.stem, str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


http_download = load(EXAMPLES / "mini_host" / "plugins" / "downloader" / "http_download.py")
tiles = load(EXAMPLES / "mini_host" / "plugins" / "mosaic" / "tiles.py")


def test_downloader_reports_growing_progress_up_to_the_end(server):
    """What it returns is what was sent, and each report is further than the one before."""
    told = []
    body = asyncio.run(http_download.download(server + "/file", lambda done, total: told.append((done, total))))
    assert body == demo_server.FILE
    assert told == sorted(set(told))
    assert told[-1] == (len(body), len(body))


async def answering(answer, ask):
    """Return what `await ask(address)` brings, from a server that gives every connection this answer and hangs up."""

    async def answer_one(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(answer_one, "127.0.0.1", 0)
    try:
        return await ask("http://{}:{}".format(*server.sockets[0].getsockname()))
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "the server answers '404 Not Found'"),
        (b"HTTP/1.1 200 OK\r\n\r\nbody", "does not say how long"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody", "ended after 4 of 9 bytes"),
        (b"", "ended in the middle"),
    ],
    ids=["refused", "no length", "cut off", "no answer"],
)
def test_downloader_says_what_is_wrong_with_an_answer(answer, said):
    """Each failure is a DownloadError whose text can be shown."""

    async def ask(address):
        with pytest.raises(http_download.DownloadError, match=said):
            await http_download.download(address, lambda done, total: None)

    asyncio.run(answering(answer, ask))


@pytest.mark.parametrize("url", ["", "file", "ftp://localhost/file", "http://"])
def test_downloader_refuses_what_is_no_web_address(url):
    """The text repeats the address."""
    with pytest.raises(http_download.DownloadError, match="is not an http"):
        asyncio.run(http_download.download(url, lambda done, total: None))


def test_mosaic_gets_each_tile_once_over_few_connections(server):
    """All cells, each once, whichever connection brings it."""
    cells = [(x, y) for x in range(3) for y in range(2)]
    got = {}
    template = server + "/tiles/{x}/{y}.png"
    asyncio.run(tiles.fetch_tiles(template, cells, lambda cell, data: got.setdefault(cell, data), 2))
    assert sorted(got) == sorted(cells)
    assert all(data.startswith(b"\x89PNG") for data in got.values())


def test_mosaic_ends_all_connections_when_one_fails():
    """The first failure is raised, and no worker is left."""

    async def ask(address):
        with pytest.raises(tiles.TileError, match="404"):
            await tiles.fetch_tiles(address + "/{x}/{y}", [(0, 0), (0, 1), (0, 2)], lambda cell, data: None, 3)
        await asyncio.sleep(0)
        return [task for task in asyncio.all_tasks() if "_fetch_in_turn" in repr(task)]

    assert asyncio.run(answering(b"HTTP/1.1 404 Not Found\r\n\r\n", ask)) == []

"""CONTRIBUTING's reading order is true: a profile of each walk finds the files that it names, and no others.

But for HELPERS, of whose functions a reader need only know the names.
"""

import asyncio
import os
import re
import socket
import sys
from pathlib import Path

import pytest
from qtpy import QtWidgets

import asyncslot

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform == "win32", reason="there it is _windows that waits")]

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = os.path.dirname(asyncslot.__file__)

HELPERS = {"__init__", "_binding", "_packages", "_reads", "_report", "_tasks", "_unix"}

ORDER = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n## Where to begin to read\n")[1]
ROWS = re.findall(r"^\| (a [^|]*) \| (.*) \|$", ORDER.split("\n## ")[0], re.MULTILINE)
WALKS = {what: set(re.findall(r"`(_\w+)`", files)) for what, files in ROWS}


class Profile:
    """The modules of ours whose functions are called inside `with`."""

    def __enter__(self):
        self.called = set()
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _note(self, frame, event, _):
        directory, name = os.path.split(frame.f_code.co_filename)
        if event == "call" and directory == PACKAGE:
            self.called.add(name[: -len(".py")])


@pytest.fixture
def walks(app, spin, recorder):
    """Return which modules each walk calls."""
    ours, theirs = socket.socketpair()
    read, ended = [], []
    button = QtWidgets.QPushButton()

    async def work():
        await asyncio.sleep(0)
        ended.append(True)

    with ours, theirs:
        with Profile() as comes:
            lease = asyncslot.attach("reader", host=recorder)
        ours.setblocking(False)
        lease.loop.add_reader(ours.fileno(), lambda: read.append(ours.recv(100)))
        spin(lambda: not lease.loop._as_has_ready())
        theirs.send(b"x")
        with Profile() as readable:
            spin(lambda: read)
        button.clicked.connect(lease.slot(work, on_repeat="queue"))
        with Profile() as signal:
            button.click()
        spin(lambda: ended)
        lease.create_task(asyncio.sleep(3600))
        with Profile() as goes:
            lease.detach()
    return {
        "a socket becomes readable": readable.called,
        "a signal starts a task": signal.called,
        "a plug-in comes": comes.called,
        "a plug-in goes": goes.called,
    }


def test_each_walk_calls_what_is_to_be_read_for_it(walks):
    """A socket needs what its row names; the others also what is read for the rows above, as they end in a step."""
    assert set(walks) == set(WALKS)
    assert walks["a socket becomes readable"] - HELPERS == WALKS["a socket becomes readable"]
    known = set(HELPERS)
    for what, files in WALKS.items():
        known |= files
        assert files <= walks[what], what
    for what, called in walks.items():
        assert called <= known, what

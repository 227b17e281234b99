"""examples/README.md on testing a plug-in: its tests pass, and what a plug-in leaves is told in its words."""

import re
import sys

import pytest

from readme_reader import blocks, follow_first_steps, shell

pytestmark = pytest.mark.once


def test_the_tests_for_plugin_authors(tmp_path):
    """conftest.py and the test module from there, run on the plug-in of its first page."""
    reader = follow_first_steps(tmp_path)
    conftest, module = blocks("Test your plug-in", "python")
    (reader / "conftest.py").write_text(conftest)
    (reader / "test_my_plugin.py").write_text(module)
    install, run = blocks("Test your plug-in")[0].splitlines()
    assert install == "venv/bin/pip install pytest"  # as is done for these tests
    printed = shell(run.replace("venv/bin/python -m pytest", f"{sys.executable} -m pytest -p no:xvfb"), reader)
    assert "3 passed" in printed


# A plug-in that leaves behind what is shown there: its lease, a thread, a task and a timer.
LEAKY = """
import asyncio, threading, time
from qtpy import QtCore
from ._vendor import asyncslot

class Leaky:
    def initGui(self):
        asyncslot.attach().create_task(self.greet(), name="Task-2")
        self.timer = QtCore.QTimer()
        self.timer.start(1000)
        self.is_over = threading.Event()
        threading.Thread(target=self.poll, name="poller", daemon=True).start()

    def unload(self):
        pass

    async def greet(self):
        self.answer = asyncio.get_running_loop().create_future()
        await self.answer

    def poll(self):
        self.is_over.wait()
"""

UNLOADS_IT = """
from my_plugin._vendor.asyncslot import testing

with testing.Host() as host:
    plugin = host.load("my_plugin", lambda package: package.Leaky())
    try:
        host.assert_clean_unload(plugin)
    except AssertionError as exc:
        print("AssertionError:", exc)
    plugin.is_over.set()
"""


def test_what_is_left_is_told(tmp_path):
    """A plug-in that leaks is told of in its words; of numbers and directories only the kind is compared."""
    reader = follow_first_steps(tmp_path)
    (reader / "my_plugin" / "__init__.py").write_text(LEAKY)
    (reader / "unloads_it.py").write_text(UNLOADS_IT)

    def kinds(text):
        return re.sub(r'[^" ]*/my_plugin/', ".../my_plugin/", re.sub(r"\d+", "0", text)).strip().splitlines()

    printed = shell(f"{sys.executable} unloads_it.py", reader)
    assert kinds(printed)[: len(kinds(blocks("Test your plug-in")[1]))] == kinds(blocks("Test your plug-in")[1])

"""Tests and prompts of a program of one's own, as examples/own_tests/README.md shows them, from its own text."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from qtpy import API_NAME

import patience

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "examples" / "own_tests" / "README.md").read_text(encoding="utf-8")
HOOK, POLICY, TEST, ANYIO, PROMPT = re.findall(r"^```\w*\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

# Beside the test of the text: the loop is ours, each time a new one, and an exception of the test is a failure.
MORE = """
seen = []

@pytest.mark.asyncio
@pytest.mark.parametrize("number", [1, 2])
async def test_the_loop_is_ours(number):
    seen.append(asyncio.get_running_loop())
    assert type(seen[-1]) is asyncslot.AsyncSlotEventLoop
    assert len(set(map(id, seen))) == number

@pytest.mark.asyncio
async def test_that_fails(qtbot):
    await asyncio.sleep(0.001)
    assert False
"""

# Runs each line as if it were typed, and says what it returns.
TYPE_IN = """
from IPython.terminal.interactiveshell import TerminalInteractiveShell
shell = TerminalInteractiveShell.instance(simple_prompt=True)
for line in {lines!r}:
    done = shell.run_cell(line)
    print("::", repr(done.result), type(done.error_in_exec).__name__)
"""

# The same in a kernel inside the process.
TO_A_KERNEL = """
from qtpy.QtWidgets import QApplication
from ipykernel.inprocess.manager import InProcessKernelManager
app = QApplication([])
manager = InProcessKernelManager()
manager.start_kernel()
client = manager.client()
client.start_channels()
for line in {lines!r}:
    client.execute(line)
    content = client.get_shell_msg()["content"]
    result = manager.kernel.shell.user_ns["_"] if line.startswith("lease.") else None
    print("::", repr(result), content["status"])
"""


def run(tmp_path, *arguments):
    """Run Python in a directory of its own, with the binding of this process."""
    environment = {
        **os.environ,
        "QT_API": API_NAME.lower(),
        "PYTEST_QT_API": API_NAME.lower(),
        "QT_QPA_PLATFORM": "offscreen",
        "HOME": str(tmp_path),
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=str(tmp_path),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience.FOR_A_PROGRAM,
    ).stdout


def run_tests(tmp_path, conftest, test):
    (tmp_path / "conftest.py").write_text(conftest, encoding="utf-8")
    (tmp_path / "test_it.py").write_text(test, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8")
    options = ["-W", "ignore::pytest.PytestDeprecationWarning", "-p", "no:cacheprovider", "-p", "no:xvfb"]
    return run(tmp_path, "-m", "pytest", "-q", "-W", "error", *options)


@pytest.mark.parametrize("conftest", [HOOK, POLICY], ids=["hook", "policy"])
def test_pytest_asyncio(tmp_path, guest, guest_missing, conftest):
    """Both ways of having our loop in pytest-asyncio's tests, beside pytest-qt's fixtures."""
    guest("pytestqt")
    plugin = guest("pytest_asyncio.plugin")
    if conftest == HOOK and not hasattr(plugin, "PytestAsyncioSpecs"):
        guest_missing("this pytest-asyncio has no such hook")
    output = run_tests(tmp_path, conftest, TEST + MORE)
    assert "1 failed, 3 passed" in output, output
    assert "test_that_fails" in output.splitlines()[-2], output


def test_anyio(tmp_path, guest):
    """anyio's plug-in with our loop, and pytest-qt's fixtures."""
    guest("pytestqt")
    guest("anyio.pytest_plugin")
    output = run_tests(tmp_path, ANYIO, (TEST + MORE).replace("mark.asyncio", "mark.anyio"))
    assert "1 failed, 3 passed" in output, output


def test_ipython(tmp_path, guest):
    """What is typed at the prompt; and that `await task` cannot do it."""
    guest("IPython.terminal.interactiveshell")
    lines = PROMPT.splitlines()
    lines.insert(6, "await task")
    output = run(tmp_path, "-c", TYPE_IN.format(lines=lines))
    told = [line[3:] for line in output.splitlines() if line.startswith("::")]
    assert len(told) == len(lines), output
    assert told[6] == "None RuntimeError", output
    assert told[7] == "'slept' NoneType", output
    assert [line for number, line in enumerate(told) if number != 6 and not line.endswith("NoneType")] == [], output


def test_a_kernel_inside_the_process(tmp_path, guest):
    """The same lines but for IPython's own."""
    guest("ipykernel.inprocess.manager")
    lines = PROMPT.splitlines()[1:]
    output = run(tmp_path, "-c", TO_A_KERNEL.format(lines=lines))
    told = [line[3:] for line in output.splitlines() if line.startswith("::")]
    assert told == [f"{'slept'!r} ok" if line.startswith("lease.") else "None ok" for line in lines], output

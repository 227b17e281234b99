"""Read the code with ruff, mypy and vermin, from nothing: `python3 scripts/check.py`.

Sets this machine up as scripts/test.py does, with the tools of pyproject.toml's extra `check`. mypy reads the package
as it ships: a vendored copy, under .work/, once for each system, because each has code of its own; and the adapters
of hosts that cannot run here against the stubs of those hosts, from PyPI (extra `stubs`) and from tests/stubs. vermin
sees to it that what ships needs nothing that came after Python 3.7. `--fix` lets ruff put right what it can, first.

Exit codes: 0; 1 if a tool found something; 2 if this machine could not be set up.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from lib.machine import ROOT, WORK, SetupError, need_packages, need_venv, say, venv_packages

TIMEOUT = 300  # seconds, for each tool

# The same place each time: mypy remembers what it found where.
COPY = WORK / "checked"

# Stubs of hosts for which there are none to be had.
STUBS = ROOT / "tests" / "stubs"

# What a checker is to find in a plug-in that uses the package.
PLUGIN = "tests/house/typed_plugin.py"

# For each system, what of the package is not for it.
SYSTEMS = {"linux": "_windows.py", "darwin": "_windows.py", "win32": "_unix.py"}

# What shipped code takes from a later Python where that has it, and does without elsewhere.
NEWER_THAN_3_7 = ["os.pidfd_open"]

# The example that needs Python 3.9, the oldest that the QGIS it is for comes with.
NEWER_EXAMPLE = "qgis_mcp"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix", action="store_true", help="let ruff put right what it can, first")
    arguments = parser.parse_args()
    try:
        need_packages(venv_packages(), "the tools")
        tools = Path(need_venv("-e .[check,stubs]")).parent
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    if arguments.fix:
        for command in (["check", "--fix"], ["format"]):
            subprocess.run([tools / "ruff", *command, "--quiet"], cwd=ROOT, timeout=TIMEOUT)
    COPY.mkdir(parents=True, exist_ok=True)
    vendor = [sys.executable, str(ROOT / "scripts" / "vendor.py"), str(COPY), "--force"]
    subprocess.run(vendor, stdout=subprocess.DEVNULL, check=True, timeout=TIMEOUT)
    # A list, so that all of them run whatever the first one finds.
    results = [_run(title, [tools / tool, *options]) for title, tool, *options in _checks()]
    return 0 if all(results) else 1


def _checks():
    """Yield the title, the tool and its options of each check."""
    yield "ruff check", "ruff", "check"
    yield "ruff format", "ruff", "format", "--check"
    for system, stranger in SYSTEMS.items():
        options = ["--config-file=pyproject.toml", f"--cache-dir={COPY}-cache", f"--platform={system}"]
        yield (f"mypy --strict for {system}", "mypy", *options, f"--exclude=/{stranger}$", COPY / "asyncslot", PLUGIN)
    excluded = [word for name in NEWER_THAN_3_7 for word in ("--exclude", name)]
    vermin = ("vermin", "--no-tips")
    shipped = ("asyncslot", "host_adapters", "examples")
    yield ("vermin", *vermin, "-t=3.7-", *excluded, "--exclude-regex", f"/{NEWER_EXAMPLE}/", *shipped)
    yield (f"vermin for {NEWER_EXAMPLE}", *vermin, "-t=3.9-", f"examples/{NEWER_EXAMPLE}")


def _run(title, command):
    """Run a tool and return whether it found nothing; show what it says only if it did."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "MYPYPATH": os.pathsep.join(map(str, (COPY, STUBS)))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )
        problem = f"exit code {done.returncode}\n{done.stdout}" if done.returncode else None
    except subprocess.TimeoutExpired:
        problem = f"was ended after {TIMEOUT} s"
    say(f"{title}: {problem or 'nothing found'}")
    return problem is None


if __name__ == "__main__":
    sys.exit(main())

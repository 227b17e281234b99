"""Read README.md, and what it leads to, as a user would: find what is below a heading, and do it in a shell."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import patience

ROOT = Path(__file__).resolve().parents[2]

# Where a user reads: from the first page on. No heading is there twice.
DOCUMENTS = {
    path: (ROOT / path).read_text(encoding="utf-8")
    for path in (
        "README.md",
        "COOKBOOK.md",
        "SUPPORT.md",
        "MIGRATING.md",
        "examples/README.md",
        "scripts/bench/README.md",
        "tests/neighbours/README.md",
        "tests/results/README.md",
    )
}
README = DOCUMENTS["README.md"]

# In README's place for where the repository is.
ADDRESS = "<address of this repository>"


def section(title):
    """Return the text below a heading, up to the next."""
    [text] = [text for text in DOCUMENTS.values() if f"\n## {title}\n" in text]
    return re.split("^## ", text.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def code_blocks(text):
    """Return the language and the code of each block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def blocks(title, language=""):
    """Return the code blocks of one language below a heading."""
    return [code for found, code in code_blocks(section(title)) if found == language]


def environment(home):
    """Return the environment of a reader, who has nothing of ours in it."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "QT_API")
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    # git refuses a submodule from a path, which stands here for the address, unless it is told that it may.
    return {**inherited, "HOME": str(home), "QT_QPA_PLATFORM": "offscreen", "GIT_ALLOW_PROTOCOL": "file"}


def shell(script, directory):
    """Run commands as a reader would, in a shell that stops at the first that fails; return what they printed."""
    done = subprocess.run(
        ["sh", "-ec", script],
        cwd=str(directory),
        env=environment(directory),
        capture_output=True,
        text=True,
        timeout=patience.FOR_A_PROGRAM,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def write_plugin(directory):
    """Write the plug-in of the first page, with the metadata that is told below it."""
    (source,) = blocks("A whole QGIS plug-in", "python")
    (directory / "__init__.py").write_text(source, encoding="utf-8")
    (metadata,) = [block for block in blocks("In five minutes") if block.startswith("[general]")]
    (directory / "metadata.txt").write_text(metadata, encoding="utf-8")


def follow_first_steps(directory):
    """Clone, copy and write the plug-in as README's first commands say, in an empty directory, and return that."""
    if sys.platform == "win32" or shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the commands are for a shell with git, in a git checkout")
    first = blocks("In five minutes")[0]
    assert ADDRESS in first
    shell(first.replace(ADDRESS, str(ROOT)), directory)
    write_plugin(directory / "my_plugin")
    return directory

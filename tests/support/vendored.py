"""Vendored copies for plug-ins of tests: made once, compiled, and then copied with their bytecode.

To compile a copy takes longer than most of what is tested with it.
"""

import atexit
import compileall
import functools
import shutil
import sys
import tempfile
from pathlib import Path

# For all tests, too: conftest.py imports this module before any of them.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import vendor

_place = tempfile.TemporaryDirectory(prefix="copies-")
atexit.register(_place.cleanup)


def copy(dest, name="asyncslot", pretend=None):
    """Make the copy DEST/NAME as scripts/vendor.py does, in place of one that is there, and return its path."""
    put(_made(name, pretend), dest)
    return Path(dest) / name


@functools.lru_cache(maxsize=None)
def make_once(make):
    """Call make(directory), once, and return that directory, which lasts as long as this process; all is compiled."""
    directory = Path(tempfile.mkdtemp(dir=_place.name))
    make(directory)
    compileall.compile_dir(str(directory), quiet=1)
    return directory


def put(made, dest):
    """Copy the packages in one directory to another, in place of those that are there."""
    for package in made.iterdir():
        target = Path(dest) / package.name
        if target.exists():
            shutil.rmtree(str(target))
        # With the files' times, by which Python knows that the bytecode is theirs.
        shutil.copytree(str(package), str(target))


@functools.lru_cache(maxsize=None)
def _made(name, pretend):
    return make_once(functools.partial(vendor.copy, name=name, pretend=pretend))

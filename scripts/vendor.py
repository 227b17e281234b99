#!/usr/bin/env python3
"""Copy asyncslot into a plug-in from a checkout, with nothing installed: `python3 scripts/vendor.py DEST`.

A door to `python -m asyncslot vendor`, which has all of it: see asyncslot/tools/_vendoring.py, or --help. In a checkout
the package itself cannot be imported, as `host_adapters/` lies beside it, so only the modules for vendoring are loaded.
And it can make copies that pretend, for tests of copies that meet.
"""

import importlib
import re
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _load(name):
    """Return a module of this tree's package, loaded without the package."""
    package = types.ModuleType("_asyncslot_of_this_tree")
    package.__path__ = [str(ROOT / "asyncslot")]
    sys.modules[package.__name__] = package
    try:
        return importlib.import_module(f"{package.__name__}.{name}")
    finally:
        # Whoever loads this script from another tree is to get that tree's.
        for key in [key for key in sys.modules if key.partition(".")[0] == package.__name__]:
            del sys.modules[key]


_vendoring = _load("tools._vendoring")

check = _vendoring.check
main = _vendoring.main
read_record = _vendoring.read_record
Source = _vendoring.Source
VendorError = _vendoring.VendorError


def copy(dest, name="asyncslot", force=False, pretend=None, adapters=None, source=None):
    """Make or update the copy DEST/NAME and return its path: see asyncslot/tools/_vendoring.py.

    Args:
        source: where the files come from; None: this tree.
        pretend: "VERSION" or "VERSION:PROTOCOL": the copy says that it is of that version, and speaks that protocol.
    """
    source = source or Source()
    if pretend is not None:
        _pretend(source, pretend)
    return _vendoring.copy(dest, name, force, adapters, source)


def _pretend(source, what):
    """Let the files be those of another version, as far as they tell; what they do is as it is here."""
    version, _, protocol = what.partition(":")
    source.origin = source.origin._replace(version=version)
    changes = [("__init__.py", rb'^__version__ = ".*"$', f'__version__ = "{version}"')]
    if protocol:
        changes.append(("_meeting.py", rb"^PROTOCOL = \d+$", f"PROTOCOL = {int(protocol)}"))
    for path, pattern, line in changes:
        source.files[path], count = re.subn(pattern, line.encode(), source.files[path], flags=re.MULTILINE)
        if count != 1:
            raise VendorError(f"{path} has {count} lines like {line!r}, and a pretence needs exactly one to change.")


if __name__ == "__main__":
    sys.exit(main(prog="vendor.py"))

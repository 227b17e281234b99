"""`python -m asyncslot doctor`: tells at a terminal what asyncslot finds, without a host and without loading Qt.

It knows nothing of what goes on inside a host; for that there is report(). Nothing imports this module in a host.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import List, Sequence

from .. import __version__
from .._binding import BINDINGS
from . import _surroundings
from ._bug_report import write
from ._facts import Section, fact
from ._vendor_record import RECORD, hashes, read

_FOR_THE_HOST = """
For what goes on inside a host, run these two lines in its Python console:
    import asyncslot                    # vendored: from my_plugin._vendor import asyncslot
    print(asyncslot.report())"""

_NOT_INSTALLED = "cannot be imported"
_EDITED = "was edited"


def main(arguments: Sequence[str], prog: str) -> int:
    """Write to stdout what asyncslot finds in this Python, and how to get the report inside a host.

    Args:
        arguments: the command line after the command's name; there are no options but --help.
        prog: the name of the program in usage messages.

    Returns:
        The exit code: 1 if no binding can be imported, or if this copy was edited since it was made; otherwise 0.
    """
    argparse.ArgumentParser(
        prog=prog, description="Tell what asyncslot finds here, to paste it into a bug report."
    ).parse_args(arguments)
    copy = fact("this copy", _check_copy)
    here = [
        fact("Python", _surroundings.python_version),
        fact("system", _surroundings.system_version),
        fact("version", lambda: f"{__version__}, in {_directory()}"),
        copy,
    ]
    bindings = [fact(name, functools.partial(_installed, name, "QtCore")) for name in BINDINGS]
    qtpy = fact("qtpy", functools.partial(_installed, "qtpy", "__init__"))
    has_binding = any(binding.text != _NOT_INSTALLED for binding in bindings)
    missing = fact("missing", lambda: _missing(has_binding, qtpy.text != _NOT_INSTALLED))
    sections = [Section("This Python", here), Section("Qt, not loaded to find out", [*bindings, qtpy, missing])]
    print(write(f"asyncslot {__version__}: doctor", sections))
    print(_FOR_THE_HOST)
    return 0 if has_binding and not copy.text.startswith(_EDITED) else 1


def _directory() -> Path:
    return Path(__file__).resolve().parents[1]


def _installed(name: str, part: str) -> str:
    """Return the version of a package that has a file `part`, without importing the package."""
    spec = find_spec(name)
    directories = list(spec.submodule_search_locations or ()) if spec is not None else []
    for directory in directories:
        if not any(file.startswith(f"{part}.") for file in os.listdir(directory)):
            continue
        # We read file names, because importlib.metadata is missing in Python 3.7. PySide6 may be installed as
        # PySide6_Essentials, and PyQt6_sip is not PyQt6.
        pattern = re.compile(rf"{name}(?:_essentials)?-(\d[^-]*)(?:-.*)?\.(?:dist|egg)-info$", re.IGNORECASE)
        found = [pattern.match(file) for file in os.listdir(os.path.dirname(directory))]
        versions = sorted({match.group(1) for match in found if match})
        return f"version {' or '.join(versions)}" if versions else "can be imported, version unknown"
    return _NOT_INSTALLED


def _missing(has_binding: bool, has_qtpy: bool) -> List[str]:
    lines = []
    if not has_binding:
        lines.append("a binding, which every host brings with it; for a program of yours, install one from PyPI")
    if not has_qtpy:
        lines.append("QtPy, which is needed only where no binding is loaded before attach()")
    return lines


def _check_copy() -> str:
    """Compare this copy with the list in its VENDORED.md, and ignore differences in line ends."""
    directory = _directory()
    if not (directory / RECORD).is_file():
        return f"not a vendored one: there is no {RECORD} in it"
    manifest = read((directory / RECORD).read_bytes(), str(directory)).manifest
    paths = {path: directory / path for path in manifest}
    files = {path: file.read_bytes().replace(b"\r\n", b"\n") for path, file in paths.items() if file.is_file()}
    edited = sorted(path for path, _ in set(manifest.items()) - set(hashes(files).items()))
    return f"{_EDITED} since it was made: {', '.join(edited)}" if edited else "is as it was made"

#!/usr/bin/env python3
"""Keep this release's copy for the tests: `python3 scripts/freeze.py` makes tests/frozen/asyncslot-VERSION.zip.

What a plug-in's author gets from scripts/vendor.py, in one file: today's code must get on with it for as long as such
plug-ins are about (tests/lease/test_frozen_copies.py). Sorted, with one date for all and not compressed, so that the
same source gives the same bytes on every machine. A frozen copy is never changed: one that is there already is left
alone.

Exit codes: 0 made, or there with the same content; 2 refused.
"""

import hashlib
import sys
import tempfile
import zipfile
from pathlib import Path

import vendor

FROZEN = vendor.ROOT / "tests" / "frozen"

# The first one that a zip can have. A copy's own date is in its VENDORED.md.
DATE = (1980, 1, 1, 0, 0, 0)


def freeze(directory=FROZEN, source=None):
    """Make the zip and return its path and the line for the table in tests/frozen/README.md.

    Args:
        source: where the files come from; None: this tree.

    Raises:
        VendorError: this is no release, or another copy is frozen under its version.
    """
    source = source or vendor.Source()
    origin = source.origin
    if "dev" in origin.version or " " in origin.commit:
        raise vendor.VendorError(
            f"This is version {origin.version}, commit {origin.commit}; only a release can be frozen, when it is "
            "committed."
        )
    path = Path(directory) / f"asyncslot-{origin.version}.zip"
    files = _files_of_a_copy(source)
    if path.exists():
        if _read(path) != files:
            raise vendor.VendorError(f"{path} is there with other content, and a frozen copy is never changed.")
    else:
        _write(path, files)
    protocol = files["asyncslot/_meeting.py"].partition(b"\nPROTOCOL = ")[2].split()[0].decode()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path, f"| {origin.version} | {protocol} | `{digest}` |"


def _files_of_a_copy(source):
    with tempfile.TemporaryDirectory() as directory:
        copy = vendor.copy(directory, source=source)
        paths = [path for path in copy.rglob("*") if path.is_file()]
        return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


def _read(path):
    with zipfile.ZipFile(str(path)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write(path, files):
    with zipfile.ZipFile(str(path), "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, DATE)
            entry.create_system = 3  # Unix, wherever it is made
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])


if __name__ == "__main__":
    try:
        print("{} is there. In the table of README.md beside it:\n{}".format(*freeze()))
    except vendor.VendorError as exc:
        print(f"freeze.py: {exc}", file=sys.stderr)
        sys.exit(2)

"""The record of a vendored copy, VENDORED.md: where the copy came from, and the sha256 of each of its files.

The rest of vendoring stands on this record. With it a copy can be checked against itself, with nothing else at hand;
and we can tell an edited copy, and a directory that is not ours.

This module does not know where files come from, nor how they are copied. It is for `_vendoring` and `_vendor_source`;
nothing imports it in a host.
"""

from __future__ import annotations

import hashlib
import re
from typing import Dict, List, NamedTuple, Optional

RECORD = "VENDORED.md"

# The format of sha256sum, so that one can give VENDORED.md to `sha256sum --check` as it is.
_MANIFEST_LINE = r"(?m)^([0-9a-f]{64})  (\S+)$"
_ROW = r"(?m)^\| (version|commit|date|adapters) \| (.+) \|$"

_TEXT = """\
# A vendored copy of asyncslot

asyncio inside a host application that already runs Qt. This directory is a copy: change nothing in it, for the next
update would lose the change.

| | |
|---|---|
| version | {version} |
| commit | {commit} |
| date | {date} |
| adapters | {adapters} |

DEST is the directory that holds this one. In a checkout of asyncslot, of the version that is wanted:

- update: `python3 scripts/vendor.py DEST{option}`
- check: `python3 scripts/vendor.py DEST{option} --check`

Where that version is installed, `python -m asyncslot vendor` does the same. With neither, `sha256sum --check {record}`
in this directory tells whether a file was changed.

## Files, with their sha256

```
{manifest}
```
"""


class VendorError(Exception):
    """A request was refused; the message is for the person at the terminal."""


class Origin(NamedTuple):
    """The origin of files: the version, and the commit with its date, or a few words that say why there is none."""

    version: str
    commit: str
    date: str


class Record(NamedTuple):
    """The content of a VENDORED.md: origin, chosen adapters (None: all), and the sha256 of each file by path."""

    origin: Origin
    adapters: Optional[List[str]]
    manifest: Dict[str, str]


def hashes(files: Dict[str, bytes]) -> Dict[str, str]:
    """Return the sha256 of each file, by path."""
    return {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def write(files: Dict[str, bytes], origin: Origin, adapters: Optional[List[str]], option: str) -> bytes:
    """Return the content of VENDORED.md for these files; `option` follows DEST in the commands that it shows."""
    manifest = "\n".join(f"{digest}  {path}" for path, digest in sorted(hashes(files).items()))
    chosen = "all" if adapters is None else " ".join(adapters) or "none"
    text = _TEXT.format(**origin._asdict(), adapters=chosen, option=option, record=RECORD, manifest=manifest)
    return text.encode("utf-8")


def read(data: bytes, where: str) -> Record:
    """Return the record in `data`, the content of the VENDORED.md in the directory `where`.

    Raises:
        VendorError: it lists no files, so it was not made by `write`.
    """
    text = data.replace(b"\r\n", b"\n").decode("utf-8", "replace")
    manifest = {path: digest for digest, path in re.findall(_MANIFEST_LINE, text)}
    if not manifest:
        raise VendorError(
            f"{RECORD} in {where} lists no files, so it was not made with a copy. Move {where} out of the way."
        )
    rows = dict(re.findall(_ROW, text))
    chosen = rows.get("adapters", "all")
    adapters = None if chosen == "all" else [] if chosen == "none" else chosen.split()
    return Record(Origin(*(rows.get(key, "unknown") for key in Origin._fields)), adapters, manifest)

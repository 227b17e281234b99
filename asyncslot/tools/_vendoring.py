"""Copy asyncslot, with its host adapters, into a plug-in as one directory; or check such a copy.

    vendor my_plugin/_vendor                       makes my_plugin/_vendor/asyncslot
    vendor my_plugin/_vendor --name mine_aio       makes my_plugin/_vendor/mine_aio
    vendor my_plugin/_vendor --adapters qgis       makes it without the adapters for other hosts
    vendor my_plugin/_vendor --check               says whether that copy is as it was made

A copy contains the package's modules with those in `tools/`, the directory `host_adapters/` inside it as in the wheel,
the licence, and VENDORED.md. VENDORED.md says where the copy came from and lists the sha256 of every file. We never
overwrite an edited copy by accident, and never touch a directory that is not ours. An update or a check keeps to the
adapters that the copy has.

The same source gives the same bytes, whenever and wherever it is copied: commit and date in VENDORED.md are those of
the last commit that changed a shipped file, not of today. Differences in line ends are ignored, because a plug-in's own
git may convert them on Windows. `__pycache__` is ignored, too.

This module does not know what the files mean. The package imports itself relatively, so a copy works under any name,
and no file is rewritten on the way. It needs only the standard library, Python 3.7 or later, on any system.

Exit codes: 0 done, or the copy is what would be made now; 1 the copy was edited; 2 nothing could be done;
3 the copy is as it was made, but an update would change it.
"""

from __future__ import annotations

import argparse
import keyword
import shutil
import sys
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ._vendor_record import RECORD, Record, VendorError, hashes, read, write
from ._vendor_source import Source

NAME = "asyncslot"

EXIT_EDITED = 1
EXIT_REFUSED = 2
EXIT_STALE = 3


class Differences:
    """The differences between two sets of files: sorted relative paths of files added, missing and changed.

    Args:
        before: the sha256 of each file in the first set, by path.
        after: the same for the second set.
    """

    def __init__(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        self.added = sorted(set(after) - set(before))
        self.missing = sorted(set(before) - set(after))
        self.changed = sorted(path for path in set(before) & set(after) if before[path] != after[path])

    def __bool__(self) -> bool:
        return bool(self.added or self.missing or self.changed)

    def __str__(self) -> str:
        kinds = (("added", self.added), ("missing", self.missing), ("changed", self.changed))
        return "\n".join(f"  {kind}: {path}" for kind, paths in kinds for path in paths)


def copy(
    dest: Union[str, Path],
    name: str = NAME,
    force: bool = False,
    adapters: Optional[Sequence[str]] = None,
    source: Optional[Source] = None,
) -> Path:
    """Make or update the copy DEST/NAME and return its path.

    Args:
        dest: the directory that is to hold the copy; made if it does not exist.
        name: the copy's directory, and so the name under which it is imported.
        force: replace the copy even if it was edited; edited and added files in it are lost.
        adapters: the names of the adapters that are wanted, or ["none"], or ["all"]; None: those that the copy has,
            in a new copy all.
        source: the files to copy; None: those of the package that this module belongs to.

    Raises:
        VendorError: DEST/NAME is something other than a copy, or it is an edited copy and `force` is false, or an
            adapter or a file is missing in the source.
    """
    target = _target(dest, name)
    old = read_record(target) if target.exists() and any(target.iterdir()) else None
    # We read everything before we remove anything.
    source = source or Source()
    chosen = _choose(adapters, old, source)
    files = source.select(chosen)
    record = write(files, source.origin, chosen, _option(name, chosen))
    edits = old and Differences(old.manifest, hashes(_files_in(target)))
    if edits and not force:
        raise VendorError(
            f"{target} was edited since it was made; updating it would lose that:\n{edits}\n"
            "Move the changes elsewhere, or give --force to lose them."
        )
    target.mkdir(parents=True, exist_ok=True)
    # The record is written first. If the update is interrupted, the directory is still known as a copy, with files
    # missing, and not as somebody else's.
    (target / RECORD).write_bytes(record)
    _remove_all_but_record(target)
    for path, data in sorted(files.items()):
        (target / path).parent.mkdir(exist_ok=True)
        (target / path).write_bytes(data)
    return target


def check(
    dest: Union[str, Path], name: str = NAME, adapters: Optional[Sequence[str]] = None
) -> Tuple[Differences, Differences]:
    """Compare the copy DEST/NAME with its own manifest, and that manifest with the files that would be copied now.

    Args:
        dest: the directory that holds the copy.
        name: the copy's directory.
        adapters: as in copy().

    Returns:
        Two `Differences`: the changes made to the copy since it was made, and those that an update would make.

    Raises:
        VendorError: DEST/NAME is not a copy, or the source of an update is not complete.
    """
    target = _target(dest, name)
    record = read_record(target)
    edits = Differences(record.manifest, hashes(_files_in(target)))
    # A copy that checks itself has no other files to compare with. If it was edited, it could not be a source either.
    if target.resolve() == Path(__file__).resolve().parents[1]:
        return edits, Differences({}, {})
    source = Source()
    return edits, Differences(record.manifest, hashes(source.select(_choose(adapters, record, source))))


def read_record(target: Path) -> Record:
    """Return the record of the copy at `target`.

    Raises:
        VendorError: there is no record, or it was not made with a copy.
    """
    record = target / RECORD
    if not record.is_file():
        raise VendorError(
            f"{target} is not a vendored copy of asyncslot: it has no {RECORD}. "
            "DEST must be the directory that holds the copy, or is to hold it."
        )
    return read(record.read_bytes(), str(target))


def _choose(wanted: Optional[Sequence[str]], old: Optional[Record], source: Source) -> Optional[List[str]]:
    """Return the names of the adapters that a copy is to have, sorted; None for all."""
    if wanted is None:
        wanted = source.adapters if old is None else old.adapters
    elif "all" in wanted:
        wanted = source.adapters
    return None if wanted is None else sorted({name for name in wanted if name != "none"})


def _option(name: str, adapters: Optional[List[str]]) -> str:
    """Return the options that must follow DEST in a command that makes the same copy again."""
    words = [] if name == NAME else ["--name", name]
    if adapters is not None:
        words += ["--adapters", *(adapters or ["none"])]
    return "".join(" " + word for word in words)


def _target(dest: Union[str, Path], name: str) -> Path:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise VendorError(f"--name is {name!r}; a copy is imported by it, so it must be a Python identifier.")
    target = Path(dest) / name
    # A link most likely leads to the source tree itself, put there by a developer. We must not remove files there.
    if target.is_symlink():
        raise VendorError(f"{target} is a symbolic link; only directories of our own are touched. Remove it.")
    if target.exists() and not target.is_dir():
        raise VendorError(f"{target} is a file; a copy is a directory. Move it out of the way, or choose a --name.")
    return target


def _remove_all_but_record(target: Path) -> None:
    for path in list(target.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(str(path))
        elif path.name != RECORD:
            path.unlink()


def _files_in(target: Path) -> Dict[str, bytes]:
    paths = {path.relative_to(target): path for path in target.rglob("*") if path.is_file()}
    files = {
        part.as_posix(): path.read_bytes().replace(b"\r\n", b"\n")
        for part, path in paths.items()
        if "__pycache__" not in part.parts
    }
    files.pop(RECORD, None)
    return files


def _check_and_tell(dest: str, name: str, adapters: Optional[Sequence[str]]) -> int:
    target = Path(dest) / name
    edits, news = check(dest, name, adapters)
    if edits:
        print(f"{target} differs from what it was made from:\n{edits}")
    if news:
        origin = read_record(target).origin
        print(
            f"{target} was made from version {origin.version} commit {origin.commit}; there are other files now. "
            f"An update would bring:\n{news}"
        )
    if not edits and not news:
        print(f"{target} is what would be made now.")
    return EXIT_EDITED if edits else EXIT_STALE if news else 0


def main(arguments: Optional[Sequence[str]] = None, prog: Optional[str] = None) -> int:
    """Run the command line and return its exit code; `prog` is the program's name in messages."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog=prog, description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dest", metavar="DEST", help="the directory that holds the copy, or is to hold it")
    parser.add_argument("--name", default=NAME, help=f"the copy's directory and import name (default: {NAME})")
    parser.add_argument(
        "--adapters",
        nargs="+",
        metavar="HOST",
        help="only these: names as of the files in host_adapters, or none, or all "
        "(default: those that the copy has, in a new one all)",
    )
    parser.add_argument("--check", action="store_true", help="change nothing; tell if the copy was edited or is old")
    parser.add_argument("--force", action="store_true", help="replace a copy that was edited; the edits are lost")
    options = parser.parse_args(arguments)
    if options.check and options.force:
        parser.error("--check changes nothing, so there is nothing to --force")
    try:
        if options.check:
            return _check_and_tell(options.dest, options.name, options.adapters)
        print(f"{copy(options.dest, options.name, options.force, options.adapters)} is ready.")
        return 0
    except (VendorError, OSError) as exc:
        print(f"{parser.prog}: {exc}", file=sys.stderr)
        return EXIT_REFUSED

#!/usr/bin/env python3
"""Copy asyncslot, with its host adapters, into a plug-in as one directory; or check such a copy.

    python3 scripts/vendor.py my_plugin/_vendor                   makes my_plugin/_vendor/asyncslot
    python3 scripts/vendor.py my_plugin/_vendor --name mine_aio   makes my_plugin/_vendor/mine_aio
    python3 scripts/vendor.py my_plugin/_vendor --check           says whether that copy is as it was made

A copy holds the package's modules, `host_adapters/` inside it as in the wheel, the licence, and VENDORED.md, which says
where the copy came from and lists the sha256 of every file. That list is what makes the rest possible: a copy can be
checked against itself with nothing else at hand, an edited copy is never overwritten by accident, and a directory
that is not ours is never touched.

The same source gives the same bytes, whenever and wherever it is copied: commit and date in VENDORED.md are those of
the last commit that changed a shipped file, not of today. Line ends count for nothing, because a plug-in's own git may
turn them over on Windows; `__pycache__` counts for nothing either.

What it refuses to know: what the files mean. The package imports itself relatively, so a copy works under any name, and
no file is rewritten on the way. Standard library only, Python 3.7 and later, any system.

Exit codes: 0 done, or the copy is what this tree would make; 1 the copy was edited; 2 nothing could be done;
3 the copy is as it was made, but this tree has other files now.
"""

import argparse
import ast
import datetime
import hashlib
import keyword
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "asyncslot"
RECORD = "VENDORED.md"

EXIT_EDITED = 1
EXIT_REFUSED = 2
EXIT_STALE = 3

# The format of sha256sum, so that VENDORED.md can be given to it as it is.
_MANIFEST_LINE = re.compile(r"^([0-9a-f]{64})  (\S+)$", re.MULTILINE)
_ORIGIN_LINE = re.compile(r"^\| (version|commit) \| (.+) \|$", re.MULTILINE)

_RECORD_TEXT = """\
# A vendored copy of asyncslot

asyncio inside a host application that already runs Qt. This directory is a copy: change nothing in it, for the next
update would lose the change.

| | |
|---|---|
| version | {version} |
| commit | {commit} |
| date | {date} |
| made by | `python3 scripts/vendor.py DEST{option}` |

DEST is the directory that holds this one. In a checkout of asyncslot, of the version that is wanted:

- update: `python3 scripts/vendor.py DEST{option}`
- check: `python3 scripts/vendor.py DEST{option} --check`

Without a checkout, `sha256sum --check {record}` in this directory tells whether a file was changed.

## Files, with their sha256

```
{manifest}
```
"""


class VendorError(Exception):
    """A request that is refused; the message is for the person at the terminal."""


class Differences:
    """What sets two sets of files apart: sorted relative paths that were added, that are missing, that were changed."""

    def __init__(self, before, after):
        self.added = sorted(set(after) - set(before))
        self.missing = sorted(set(before) - set(after))
        self.changed = sorted(path for path in set(before) & set(after) if before[path] != after[path])

    def __bool__(self):
        return bool(self.added or self.missing or self.changed)

    def __str__(self):
        return "\n".join(
            f"  {kind}: {path}" for kind in ("added", "missing", "changed") for path in getattr(self, kind)
        )


def copy(dest, name=NAME, force=False, pretend=None):
    """Make or update the copy DEST/NAME and return its path.

    Args:
        dest: the directory that is to hold the copy; made if need be.
        name: the copy's directory, and so the name under which it is imported.
        force: replace a copy even if it was edited; what was edited or added in it is lost.
        pretend: "VERSION" or "VERSION:PROTOCOL", for tests of copies that meet: the copy says that it is of that
            version, and speaks that protocol.

    Raises:
        VendorError: DEST/NAME is something other than a copy, or an edited copy and `force` is false.
    """
    target = _target(dest, name)
    # Everything is read before anything is removed.
    files = source_files() if pretend is None else _pretend(source_files(), pretend)
    record = _record(files, name)
    if target.exists() and any(target.iterdir()):
        edits = Differences(read_manifest(target), _hashes(_files_in(target)))
        if edits and not force:
            raise VendorError(
                f"{target} was edited since it was made; updating it would lose that:\n{edits}\n"
                "Move the changes elsewhere, or give --force to lose them."
            )
    target.mkdir(parents=True, exist_ok=True)
    # The record goes first: an interrupted update is then still known as a copy, one with files missing.
    (target / RECORD).write_bytes(record)
    _remove_all_but_record(target)
    for path, data in sorted(files.items()):
        (target / path).parent.mkdir(exist_ok=True)
        (target / path).write_bytes(data)
    return target


def check(dest, name=NAME):
    """Compare the copy DEST/NAME with its own manifest, and that manifest with what this tree would copy now.

    Returns:
        Two `Differences`: what was done to the copy since it was made, and what an update would do to it.

    Raises:
        VendorError: DEST/NAME is not a copy.
    """
    target = _target(dest, name)
    manifest = read_manifest(target)
    return Differences(manifest, _hashes(_files_in(target))), Differences(manifest, _hashes(source_files()))


def source_files():
    """Return what a copy consists of, VENDORED.md aside: its content by relative path, with `/` on every system."""
    package = ROOT / "asyncslot"
    if not (package / "__init__.py").is_file():
        raise VendorError(f"{package} has no __init__.py; vendor.py needs the whole source tree. Run it in a checkout.")
    paths = {"LICENSE": ROOT / "LICENSE", "py.typed": package / "py.typed"}
    paths.update((path.name, path) for path in package.glob("*.py"))
    paths.update(("host_adapters/" + path.name, path) for path in (ROOT / "host_adapters").glob("*.py"))
    return {relative: _content(path) for relative, path in paths.items()}


def _pretend(files, what):
    """Return the files as a copy of another version would say of itself; what they do is as it is here."""
    version, _, protocol = what.partition(":")
    changes = [("__init__.py", rb'^__version__ = ".*"$', f'__version__ = "{version}"')]
    if protocol:
        changes.append(("_meeting.py", rb"^PROTOCOL = \d+$", f"PROTOCOL = {int(protocol)}"))
    files = dict(files)
    for path, pattern, line in changes:
        files[path], count = re.subn(pattern, line.encode(), files[path], flags=re.MULTILINE)
        if count != 1:
            raise VendorError(f"{path} has {count} lines like {line!r}, and --pretend needs exactly one to change.")
    return files


def read_manifest(target):
    """Return the sha256 of every file by relative path, as the record of the copy at `target` lists them."""
    manifest = {path: digest for digest, path in _MANIFEST_LINE.findall(_read_record(target))}
    if not manifest:
        raise VendorError(
            f"{target / RECORD} lists no files, so it does not come from vendor.py. Move {target} out of the way."
        )
    return manifest


def read_origin(target):
    """Return version and commit that the copy at `target` was made from, by these names."""
    return dict(_ORIGIN_LINE.findall(_read_record(target)))


def _read_record(target):
    record = target / RECORD
    if not record.is_file():
        raise VendorError(
            f"{target} is not a vendored copy of asyncslot: it has no {RECORD}. "
            "DEST must be the directory that holds the copy, or is to hold it."
        )
    return _content(record).decode("utf-8", "replace")


def _target(dest, name):
    if not name.isidentifier() or keyword.iskeyword(name):
        raise VendorError(f"--name is {name!r}; a copy is imported by it, so it must be a Python identifier.")
    target = Path(dest) / name
    # A link is most likely a developer's way to the source tree itself.
    if target.is_symlink():
        raise VendorError(f"{target} is a symbolic link; vendor.py only touches directories of its own. Remove it.")
    if target.exists() and not target.is_dir():
        raise VendorError(f"{target} is a file; a copy is a directory. Move it out of the way, or choose a --name.")
    return target


def _remove_all_but_record(target):
    for path in list(target.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != RECORD:
            path.unlink()


def _record(files, name):
    commit, date = _last_commit()
    manifest = "\n".join(f"{digest}  {path}" for path, digest in sorted(_hashes(files).items()))
    option = "" if name == NAME else f" --name {name}"
    text = _RECORD_TEXT.format(
        version=_version(files), commit=commit, date=date, option=option, record=RECORD, manifest=manifest
    )
    return text.encode("utf-8")


def _version(files):
    """Return the literal `__version__` of the package, without importing it."""
    for statement in ast.parse(files["__init__.py"]).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", None) == "__version__":
            return ast.literal_eval(statement.value)
    raise VendorError("asyncslot/__init__.py assigns no literal to __version__; a copy must tell its version.")


def _last_commit():
    """Return hash and date (UTC) of the last commit that changed a shipped file, as text; "unknown" without git."""
    unknown = ("unknown: not made from a git checkout", "unknown")
    shipped = ["asyncslot", "host_adapters", "LICENSE"]
    top = _git("rev-parse", "--show-toplevel")
    # A source tree unpacked inside some other repository is not that repository's.
    if top is None or Path(top).resolve() != ROOT:
        return unknown
    commit = _git("log", "-1", "--format=%H %ct", "--", *shipped)
    if not commit:
        return unknown
    digest, seconds = commit.split()
    if _git("status", "--porcelain", "--", *shipped):
        digest += ", with changes that were not committed"
    return digest, datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%d")


def _git(*arguments):
    # Inside a git hook, GIT_DIR and its like name the repository of the hook and not ours.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=str(ROOT), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def _files_in(target):
    paths = {path.relative_to(target): path for path in target.rglob("*") if path.is_file()}
    files = {part.as_posix(): _content(path) for part, path in paths.items() if "__pycache__" not in part.parts}
    files.pop(RECORD, None)
    return files


def _content(path):
    return path.read_bytes().replace(b"\r\n", b"\n")


def _hashes(files):
    return {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def _check_and_tell(dest, name):
    target = Path(dest) / name
    edits, news = check(dest, name)
    if edits:
        print(f"{target} differs from what it was made from:\n{edits}")
    if news:
        origin = " ".join(f"{key} {value}" for key, value in read_origin(target).items())
        print(f"{target} was made from {origin}; this tree has other files. An update would bring:\n{news}")
    if not edits and not news:
        print(f"{target} is what this tree would make.")
    return EXIT_EDITED if edits else EXIT_STALE if news else 0


def main(arguments=None):
    """Run the command line and return its exit code."""
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dest", metavar="DEST", help="the directory that holds the copy, or is to hold it")
    parser.add_argument("--name", default=NAME, help=f"the copy's directory and import name (default: {NAME})")
    parser.add_argument(
        "--pretend",
        metavar="VERSION[:PROTOCOL]",
        help="for tests of copies that meet: the copy says that it is of that version",
    )
    parser.add_argument("--check", action="store_true", help="change nothing; tell if the copy was edited or is old")
    parser.add_argument("--force", action="store_true", help="replace a copy that was edited; the edits are lost")
    options = parser.parse_args(arguments)
    if options.check and options.force:
        parser.error("--check changes nothing, so there is nothing to --force")
    if options.check and options.pretend:
        parser.error("--check looks at a copy as it is, and --pretend is for making one")
    try:
        if options.check:
            return _check_and_tell(options.dest, options.name)
        print(f"{copy(options.dest, options.name, options.force, options.pretend)} is ready.")
        return 0
    except (VendorError, OSError) as exc:
        print(f"vendor.py: {exc}", file=sys.stderr)
        return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())

"""The source of a vendored copy: the files of the package that this module belongs to, wherever it lies.

    lies in                          adapters lie            commit comes from
    a checkout                       beside the package      git
    an installed wheel, or its zip   inside the package      nowhere
    a copy                           inside the package      the copy's own record

We find adapters by name, and the modules that they share by reading their imports. This module does not know where a
copy goes. It is for `_vendoring`; nothing imports it in a host.
"""

from __future__ import annotations

import ast
import datetime
import os
import pkgutil
import subprocess
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

from ._vendor_record import RECORD, Origin, VendorError, hashes, read

_ADAPTERS = "host_adapters"
_TOOLS = "tools"
_SHIPPED = ("asyncslot", _ADAPTERS, "LICENSE")


class Source:
    """All files of this package, by relative path; on every system paths have `/`, and line ends are one byte.

    Attributes:
        files: the content of each file, including the licence but not VENDORED.md.
        origin: the version and commit that the files come from.
        adapters: if this package is a copy, the names of the adapters that were chosen for it; None if it has all.

    Raises:
        VendorError: a file is missing, or this package is a copy that was edited.
    """

    def __init__(self) -> None:
        self._package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        # We read every file through the loader of this module, because in a zip there is no file to open. The import
        # system sets __loader__ in every module that it loads.
        self._loader: Any = globals()["__loader__"]
        self.adapters: Optional[List[str]] = None
        record = self._try(self._package, RECORD)
        if record is not None:
            self._read_copy(record)
        else:
            self._read_tree()

    def select(self, adapters: Optional[Iterable[str]]) -> Dict[str, bytes]:
        """Return the files that a copy with these adapters needs; None stands for all adapters.

        Raises:
            VendorError: there is no adapter with one of these names.
        """
        if adapters is None:
            return dict(self.files)
        there = self.adapter_names()
        strangers = sorted(set(adapters) - set(there))
        if strangers:
            raise VendorError(f"--adapters names {', '.join(strangers)}; there are here: {', '.join(there) or 'none'}.")
        needed = {f"{_ADAPTERS}/__init__.py"}
        waiting = [*needed, *(f"{_ADAPTERS}/{name}.py" for name in adapters)]
        while waiting:
            path = waiting.pop()
            needed.add(path)
            for name in _siblings(self.files[path]):
                shared = f"{_ADAPTERS}/{name}.py"
                if name.startswith("_") and shared in self.files and shared not in needed:
                    waiting.append(shared)
        needed.update(path for path in self.files if not path.startswith(_ADAPTERS + "/"))
        return {path: data for path, data in self.files.items() if path in needed}

    def adapter_names(self) -> List[str]:
        """Return the names of all adapters in this source, sorted."""
        names = (path[len(_ADAPTERS) + 1 : -len(".py")] for path in self.files if path.startswith(_ADAPTERS + "/"))
        return sorted(name for name in names if not name.startswith("_"))

    def _read_copy(self, data: bytes) -> None:
        record = read(data, self._package)
        self.files = {path: self._get(self._package, *path.split("/")) for path in record.manifest}
        if hashes(self.files) != record.manifest:
            raise VendorError(f"{self._package} is a copy that was edited, so no other one can be made from it.")
        self.origin, self.adapters = record.origin, record.adapters

    def _read_tree(self) -> None:
        root = os.path.dirname(self._package)
        adapters = os.path.join(self._package, _ADAPTERS)
        is_checkout = self._try(adapters, "__init__.py") is None
        if is_checkout:
            adapters = os.path.join(root, _ADAPTERS)
        self.files = {"py.typed": self._get(self._package, "py.typed")}
        for name in _modules(self._package):
            self.files[name] = self._get(self._package, name)
        for inner, directory in ((_TOOLS, os.path.join(self._package, _TOOLS)), (_ADAPTERS, adapters)):
            for name in _modules(directory):
                self.files[f"{inner}/{name}"] = self._get(directory, name)
        version = _version(self.files["__init__.py"])
        # Only a checkout has a commit. A wheel has none: its build must not depend on a repository around it.
        commit = _last_commit(root) if is_checkout else None
        self.origin = Origin(version, *(commit or ("unknown: not made from a git checkout", "unknown")))
        self.files["LICENSE"] = self._licence(root, version)

    def _licence(self, root: str, version: str) -> bytes:
        info = os.path.join(root, f"asyncslot-{version}.dist-info")
        # In this order: a checkout, a wheel since setuptools 77, a wheel before, and a copy that was made by hand.
        for place in (root, os.path.join(info, "licenses"), info, self._package):
            found = self._try(place, "LICENSE")
            if found is not None:
                return found
        raise VendorError(f"{self._package} came without its LICENSE, and no copy may be without it.")

    def _get(self, *parts: str) -> bytes:
        data = self._try(*parts)
        if data is None:
            raise VendorError(f"{os.path.join(*parts)} is missing; a copy is made from the whole of asyncslot.")
        return data

    def _try(self, *parts: str) -> Optional[bytes]:
        try:
            data: bytes = self._loader.get_data(os.path.join(*parts))
        except OSError:
            return None
        return data.replace(b"\r\n", b"\n")


def _modules(directory: str) -> List[str]:
    """Return the file names of all modules in a directory, which may lie in a zip."""
    return ["__init__.py", *(each.name + ".py" for each in pkgutil.iter_modules([directory]) if not each.ispkg)]


def _siblings(data: bytes) -> Set[str]:
    """Return the names of the modules in the same directory that a module imports."""
    names: Set[str] = set()
    for statement in ast.walk(ast.parse(data)):
        if isinstance(statement, ast.ImportFrom) and statement.level == 1:
            names.update([statement.module] if statement.module else [alias.name for alias in statement.names])
    return names


def _version(data: bytes) -> str:
    """Return the literal `__version__` in the text of `__init__.py`, whatever version is loaded."""
    for statement in ast.parse(data).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", None) == "__version__":
            return str(ast.literal_eval(statement.value))
    raise VendorError("asyncslot/__init__.py assigns no literal to __version__; a copy must tell its version.")


def _last_commit(root: str) -> Optional[Tuple[str, str]]:
    """Return the last commit that changed a shipped file, and its day in UTC; None without git."""
    top = _git(root, "rev-parse", "--show-toplevel")
    # If our source tree was unpacked inside some other repository, that repository's commits are not ours.
    if top is None or os.path.realpath(top) != os.path.realpath(root):
        return None
    commit = _git(root, "log", "-1", "--format=%H %ct", "--", *_SHIPPED)
    if not commit:
        return None
    digest, seconds = commit.split()
    if _git(root, "status", "--porcelain", "--", *_SHIPPED):
        digest += ", with changes that were not committed"
    day = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%d")
    return digest, day


def _git(root: str, *arguments: str) -> Optional[str]:
    # Inside a git hook, GIT_DIR and similar variables name the hook's repository and not ours.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None

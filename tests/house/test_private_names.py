"""asyncio's private names: `_asyncio` lists all that the package uses, and this Python's asyncio has them.

The package's code is read, and asyncio's sources; what asyncio has in C is asked for its attributes.
"""

import ast
import asyncio
import re
import sys
from pathlib import Path

import pytest

from shipped_code import CORE, ROOT, name_of

ASYNCIO = Path(asyncio.__file__).parent
LIST = ROOT / "asyncslot" / "_asyncio.py"

PRIVATE = re.compile(r"_[a-z]\w*|_[A-Z]\w+")
LISTED = re.compile(r"\b(_\w+)(?:\[([\d.]+)(?:-([\d.]+))?\])?")

# Names that are not asyncio's where they are used.
OTHERS = {
    "_step": "of what calls our loop back: the treaty lists it",
    "_threads": "of concurrent.futures' pools, which _leftovers reads",
    "_asyncio": "the module, and asyncio's in C",
    "_getframe": "of sys",
}


def listed():
    """Return the names in the list, each with the first and last version of Python that has it."""
    table = ast.get_docstring(ast.parse(LIST.read_text("utf-8"))).partition("asyncio.events  ")[2]
    table = table.partition("\n\n")[0]
    return {
        name: (version(first or "3.7"), version(last or first or "3.14"))
        for name, first, last in LISTED.findall(re.sub(r"(?m)^ *[\w.]+  ", "", table))
    }


def version(text):
    return tuple(map(int, text.split(".")))


def used():
    """Return the private names in the package's code, each with the modules that use it and do not define it."""
    found = {}
    for path in CORE:
        if path == LIST:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        own = set(defined(tree))
        for name in mentioned(tree):
            if PRIVATE.fullmatch(name) and name not in own:
                found.setdefault(name, set()).add(name_of(path))
    return found


def mentioned(tree):
    """Yield attributes, imported names, and what is spelled out for getattr()."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("asyncio"):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif sys.version_info < (3, 8) and isinstance(node, ast.Str):
            yield node.s


def defined(tree):
    """Yield what is a module's own: functions, classes, slots, and attributes that it sets on `self`."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def asyncios():
    """Return all private names of this Python's asyncio."""
    names = set()
    for path in ASYNCIO.glob("*.py"):
        names.update(PRIVATE.findall(path.read_text("utf-8")))
    for member in vars(sys.modules["_asyncio"]).values():
        names.update(dir(member) if isinstance(member, type) else ())
    return names | set(dir(sys.modules["_asyncio"]))


@pytest.mark.once
def test_every_private_name_of_asyncios_that_is_used_is_listed():
    """By the modules that use it: it is to be read in all versions before it is used."""
    unknown = {name: modules for name, modules in used().items() if name in asyncios() and name not in listed()}
    assert {name: modules for name, modules in unknown.items() if name not in OTHERS} == {}


@pytest.mark.once
def test_every_listed_name_is_used():
    """What is not used any more leaves the list."""
    mentions = {name for path in CORE if path != LIST for name in mentioned(ast.parse(path.read_text()))}
    assert sorted(set(listed()) - mentions) == []


def test_this_pythons_asyncio_has_what_the_list_says():
    """And nothing that is listed for other versions only."""
    has = asyncios()
    here = sys.version_info[:2]
    wrong = {
        name: (first, last) for name, (first, last) in listed().items() if (name in has) != (first <= here <= last)
    }
    assert wrong == {}

"""The layout of what ships: who may import whom, and the shape of a file.

The shipped code is read, not run. LAYERS is the architecture: a module that has to import something new gets a new
entry here, in the same commit, where a reviewer sees it.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import asyncslot
from asyncslot import _meeting
from shipped_code import (
    ADAPTERS,
    CORE,
    ROOT,
    SHIPPED,
    at_module_level,
    dotted,
    each_adapter,
    each_core,
    each_shipped,
    imports,
    imports_late,
    literal_text,
    name_of,
    own_imports,
    parse,
)

# From the cellar to the front door: each module with those of ours that it may import, all of them above it.
LAYERS = {
    "_errors": [],
    "_tasks": [],
    "_report": ["_tasks"],
    "_executor": [],
    "_interrupts": [],
    "_asyncio": [],
    "_stack": ["_asyncio"],
    "_packages": [],
    "_owners": ["_asyncio", "_packages", "_tasks"],
    "_blame": ["_owners", "_packages", "_tasks"],
    "host_adapters": [],
    "_binding": ["_errors"],
    "_reads": [],
    "_steps": ["_asyncio", "_owners", "_reads", "_stack", "_tasks"],
    "_calls": ["_tasks"],
    "_slots": ["_asyncio", "_errors", "_binding", "_calls"],
    "_signals": ["_errors", "_binding"],
    "_hosts": ["_errors", "_binding", "host_adapters"],
    "_meeting": ["_errors"],
    "_wakeup": ["_binding", "_asyncio"],
    "_alone": ["_binding", "_asyncio", "_steps", "_tasks", "_wakeup"],
    "_selector": ["_asyncio", "_packages", "_wakeup"],
    "_unix": ["_reads", "_selector", "_wakeup"],
    "_windows": ["_asyncio", "_selector", "_wakeup"],
    "_application": ["_binding"],
    "_loop": [
        "_alone",
        "_application",
        "_asyncio",
        "_errors",
        "_binding",
        "_executor",
        "_interrupts",
        "_owners",
        "_tasks",
        "_unix",
        "_wakeup",
        "_windows",
    ],
    "_runner": ["_asyncio", "_loop", "_tasks"],
    "_detach": ["_asyncio", "_loop", "_owners", "_report", "_tasks"],
    "_dialogs": ["_asyncio", "_binding", "_errors", "_signals"],
    "_progress": ["_asyncio", "_hosts"],
    "_lease": [
        "_asyncio",
        "_errors",
        "_calls",
        "_detach",
        "_hosts",
        "_loop",
        "_meeting",
        "_owners",
        "_packages",
        "_progress",
        "_report",
        "_slots",
        "_tasks",
    ],
    # What no plug-in needs in its daily work.
    "tools": [],
    "tools._facts": [],
    "tools._surroundings": ["_binding", "tools._facts", "_meeting", "host_adapters"],
    "tools._state": ["_executor", "tools._facts", "_lease", "_meeting", "tools._surroundings", "_tasks"],
    "tools._bug_report": ["tools._facts", "tools._state", "tools._surroundings"],
    "tools._watch": ["_tasks"],
    "tools._monitor_view": ["_binding", "tools._watch"],
    "tools._monitor": [
        "_binding",
        "_errors",
        "_hosts",
        "_lease",
        "_meeting",
        "tools._monitor_view",
        "_tasks",
        "tools._watch",
    ],
    "_attach": [
        "_asyncio",
        "_errors",
        "_binding",
        "_blame",
        "_calls",
        "_hosts",
        "_lease",
        "_loop",
        "_meeting",
        "_packages",
        "_progress",
        "_report",
        "_slots",
        "_tasks",
    ],
    # For the tests of plug-ins: nothing else imports it.
    "tools._proc": [],
    "tools._settings": [],
    "tools._leftovers": ["_binding", "_meeting", "tools._proc", "_report", "tools._settings", "_tasks"],
    "tools._toy": ["_errors", "_hosts"],
    "testing": ["_attach", "_binding", "tools._leftovers", "_lease", "_report", "tools._toy"],
    "__init__": [
        "_errors",
        "_attach",
        "tools._bug_report",
        "_lease",
        "_loop",
        "_dialogs",
        "tools._monitor",
        "_progress",
        "_report",
        "_runner",
        "_signals",
    ],
    # At a terminal only.
    "tools._vendor_record": [],
    "tools._vendor_source": ["tools._vendor_record"],
    "tools._vendoring": ["tools._vendor_record", "tools._vendor_source"],
    "tools._doctor": ["_binding", "tools._bug_report", "tools._facts", "tools._surroundings", "tools._vendor_record"],
    "__main__": ["tools._doctor", "tools._vendoring"],
}

# Functions that may look for a module called `asyncslot`, whatever their own copy is called.
LOOKS_FOR_NAMESAKES = {("_attach", "_warn_of_namesake"), ("tools._surroundings", "copies")}


QT = re.compile(r"(PyQt|PySide|qtpy|sip|shiboken)")


# --- Who may import whom


def test_every_module_has_its_place_in_the_layers():
    """A new file is a decision about the architecture, and a row of the table that names no file is a lie."""
    assert set(LAYERS) == {name_of(path) for path in CORE} | {"host_adapters"}


def test_the_layers_have_no_cycle():
    """Each module may import only what stands above it in the table."""
    above = []
    for module, allowed in LAYERS.items():
        assert set(allowed) <= set(above), module
        above.append(module)


@each_core
def test_modules_import_only_what_their_layer_allows(path):
    """The table is the architecture."""
    imported = {module for _, module in own_imports(path)}
    assert imported <= set(LAYERS[name_of(path)])


def loops_names(tree):
    """Return the names beginning with `_as_`, which are the loop's: those that a module defines, and those it uses."""
    defined, used = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            defined.add(node.name)
        elif isinstance(node, ast.Attribute):
            (defined if isinstance(node.ctx, ast.Store) else used).add(node.attr)
        elif isinstance(node, ast.AnnAssign):
            defined.add(dotted(node.target))
    return [{name for name in names if name.startswith("_as_")} for names in (defined, used)]


def reached_from(module):
    """Return a module and those that it imports, directly or by way of others."""
    return {module}.union(*(reached_from(other) for other in LAYERS[module]))


LOOPS_NAMES = {name_of(path): loops_names(parse(path)) for path in CORE}


def unreachable(module):
    """Return the loop's names that a module uses and that neither itself nor what it imports defines."""
    reached = [LOOPS_NAMES[other][0] for other in reached_from(module) - {"_asyncio", "host_adapters"}]
    return LOOPS_NAMES[module][1].difference(*reached)


@each_core
def test_modules_ask_the_loop_for_nothing_from_modules_that_they_do_not_import(path):
    """But for what is written down: in LoopBase, and for those who meet loops of other copies, in the treaty."""
    assert unreachable(name_of(path)) <= LOOPS_NAMES["_asyncio"][0] | set(_meeting.TREATY["loop"])


@each_adapter
def test_adapters_import_nothing_of_ours_but_shared_parts(path):
    """An adapter is facts about a host; only the package itself gathers the adapters, and a shared part knows none."""
    shared = {module.stem for module in ADAPTERS if re.match("_[a-z]", module.stem)}
    if path.stem == "__init__":
        siblings = {module.stem for module in ADAPTERS} - shared
    else:
        siblings = set() if path.stem in shared else shared
    for statement, module in own_imports(path):
        assert statement.level == 1
        assert module in siblings


@each_shipped
def test_own_imports_are_relative_and_at_module_level(path):
    """So a copy works under any name, and an import never happens in a hot path or in a half-unloaded plug-in."""
    tree = parse(path)
    top = at_module_level(tree)
    most = 2 if path.parent.name == "tools" else 1
    if path == ROOT / "asyncslot" / "__init__.py":
        top += imports_late(tree)
    for statement, level, name in imports(tree):
        assert name.split(".")[0] not in ("asyncslot", "host_adapters") or level, f"line {statement.lineno}"
        assert level <= most, f"line {statement.lineno}: too many dots"
        assert level == 0 or statement in top, f"line {statement.lineno}: inside a function"


@each_shipped
def test_own_name_is_never_looked_up(path):
    """No `import_module("asyncslot.x")`, no `sys.modules["asyncslot"]`: a copy may have another name."""
    tree = parse(path)
    functions = [node for node in ast.walk(tree) if (name_of(path), getattr(node, "name", "")) in LOOKS_FOR_NAMESAKES]
    exempt = {part for function in functions for part in ast.walk(function)}
    for node in ast.walk(tree):
        if node in exempt:
            continue
        keys = []
        if isinstance(node, ast.Call):
            keys = [*node.args, *(keyword.value for keyword in node.keywords)]
        elif isinstance(node, ast.Subscript):
            keys = list(ast.walk(node.slice))
        elif isinstance(node, ast.Compare):
            keys = [node.left]
        for key in keys:
            assert not re.match(r"(asyncslot|host_adapters)(\.\w+)*$", literal_text(key)), f"line {key.lineno}"


@each_shipped
def test_qt_and_hosts_are_imported_only_inside_functions(path):
    """Importing the package must neither load a binding nor look for a host; and the core names no binding at all."""
    tree = parse(path)
    top = at_module_level(tree)
    for statement, level, name in imports(tree):
        if level == 0 and (statement in top or path in CORE):
            assert not QT.match(name), f"line {statement.lineno}"
            assert name.split(".")[0] in STANDARD_LIBRARY, f"line {statement.lineno}"


# Before Python 3.10 the interpreter cannot tell; the rule is then checked on the newer ones.
STANDARD_LIBRARY = getattr(sys, "stdlib_module_names", None) or {
    name.split(".")[0] for path in SHIPPED for _, level, name in imports(parse(path)) if level == 0
}


def test_the_map_of_the_house_names_every_module():
    """It is where a reader starts."""
    named = set(re.findall(r"\b(_[a-z_]+|host_adapters|testing|tools)\b", asyncslot.__doc__))
    in_the_example = {"_vendor"}
    assert named - in_the_example == {name.rpartition(".")[2] for name in LAYERS} - {"__init__"}


def test_the_reading_order_names_modules_that_are_there():
    """CONTRIBUTING's table, for who reads on."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    order = text.split("\n## Where to begin to read\n")[1].split("\n## ")[0]
    named = re.findall(r"`(_\w+)`", order)
    assert len(named) > 10
    assert set(named) <= set(LAYERS)


# --- The shape of a file


@each_shipped
def test_every_module_says_at_its_head_what_it_is_for(path):
    """One subject each, told in a docstring, in a file of a size that can be read in one sitting."""
    assert ast.get_docstring(parse(path))
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600


# --- Python 3.7


@each_shipped
def test_the_grammar_is_that_of_python_3_7(path):
    """No walrus, no positional-only marker: as far as a newer parser can tell."""
    options = {"feature_version": (3, 7)} if sys.version_info >= (3, 8) else {}
    ast.parse(path.read_text(encoding="utf-8"), str(path), **options)


def find_python_3_7():
    """Return a Python 3.7 that starts, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv")))
    for candidate in [sys.executable, "python3.7", *sorted(map(str, pyenv.glob("versions/3.7.*/bin/python")))]:
        try:
            told = subprocess.run([candidate, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except OSError:
            continue
        if told.returncode == 0 and told.stdout.startswith(b"Python 3.7."):
            return candidate
    return None


COMPILE_ALL = "import sys\nfor path in sys.argv[1:]:\n    compile(open(path, 'rb').read(), path, 'exec')"


def test_a_real_python_3_7_compiles_every_module():
    """The newer parser lets some later syntax pass."""
    python = find_python_3_7()
    if python is None:
        pytest.skip("no Python 3.7 on this machine")
    done = subprocess.run([python, "-c", COMPILE_ALL, *map(str, SHIPPED)], stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()

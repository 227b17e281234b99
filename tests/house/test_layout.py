"""The layout of what ships: who may import whom, and what no module may do to the host.

The shipped code is read, not run, except where only a fresh interpreter tells. LAYERS is the architecture: a module
that has to import something new gets a new entry here, in the same commit, where a reviewer sees it. OUT_OF_BOUNDS is
what belongs to the host; ALLOWANCES are the exceptions, each with its reason.
"""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import asyncslot
from asyncslot import _meeting

ROOT = Path(__file__).resolve().parents[2]
CORE = sorted((ROOT / "asyncslot").glob("*.py"))
# The adapters, what gathers them, and the parts that they share: those have a leading underscore.
ADAPTERS = sorted((ROOT / "host_adapters").glob("*.py"))
SHIPPED = CORE + ADAPTERS

# What the front door imports when it is asked for; and what of ours only this needs.
IMPORTED_LATE = {"AsyncSlotRunner": "_runner", "monitor": "_monitor", "report": "_bug_report"}
NEEDED_LATE = {*IMPORTED_LATE.values(), "_facts", "_monitor_view", "_state", "_surroundings", "_watch"}
FOR_TESTS = {"_leftovers", "_proc", "_settings", "_toy", "testing"}
AT_A_TERMINAL = {"__main__", "_doctor", "_vendor_record", "_vendor_source", "_vendoring"}

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
    "_owners": ["_asyncio", "_packages", "_report", "_tasks"],
    "_blame": ["_owners", "_packages", "_report"],
    "host_adapters": [],
    "_binding": ["_errors"],
    "_reads": [],
    "_steps": ["_asyncio", "_reads", "_stack", "_tasks"],
    "_calls": ["_tasks"],
    "_slots": ["_asyncio", "_errors", "_binding", "_calls"],
    "_signals": ["_errors", "_binding"],
    "_hosts": ["_errors", "_binding", "host_adapters"],
    "_meeting": ["_errors"],
    "_wakeup": ["_binding", "_asyncio"],
    "_alone": ["_binding", "_asyncio", "_steps", "_wakeup"],
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
        "_report",
        "_tasks",
        "_unix",
        "_wakeup",
        "_windows",
    ],
    "_runner": ["_asyncio", "_loop", "_report"],
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
    "_facts": [],
    "_surroundings": ["_binding", "_facts", "_meeting", "host_adapters"],
    "_state": ["_executor", "_facts", "_lease", "_meeting", "_report", "_surroundings", "_tasks"],
    "_bug_report": ["_facts", "_state", "_surroundings"],
    "_watch": ["_report"],
    "_monitor_view": ["_binding", "_watch"],
    "_monitor": ["_binding", "_errors", "_hosts", "_lease", "_meeting", "_monitor_view", "_report", "_watch"],
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
    "_proc": [],
    "_settings": [],
    "_leftovers": ["_binding", "_meeting", "_proc", "_report", "_settings", "_tasks"],
    "_toy": ["_errors", "_hosts"],
    "testing": ["_attach", "_binding", "_leftovers", "_lease", "_report", "_toy"],
    "__init__": [
        "_errors",
        "_attach",
        "_bug_report",
        "_lease",
        "_loop",
        "_dialogs",
        "_monitor",
        "_progress",
        "_report",
        "_runner",
        "_signals",
    ],
    # At a terminal only.
    "_vendor_record": [],
    "_vendor_source": ["_vendor_record"],
    "_vendoring": ["_vendor_record", "_vendor_source"],
    "_doctor": ["_binding", "_bug_report", "_facts", "_surroundings", "_vendor_record"],
    "__main__": ["_doctor", "_vendoring"],
}

# Full names, or their beginnings up to a dot.
OUT_OF_BOUNDS = [
    # The event-loop policy and everything of asyncio's that goes through it (Houdini replaces it, 3.16 drops it).
    r"asyncio(\.\w+)?\.([gs]et_event_loop_policy|[gs]et_child_watcher|\w*EventLoopPolicy)",
    r"asyncio(\.\w+)?\.([gs]et_event_loop|new_event_loop|run|Runner)",
    r"signal\.(signal|siginterrupt|set_wakeup_fd|setitimer|alarm)",
    r"os\.(environ|environb|putenv|unsetenv|chdir|umask|register_at_fork)",
    r"sys\.(excepthook|unraisablehook|displayhook|path|meta_path|path_hooks|setswitchinterval|settrace|setprofile)",
    r"sys\.(setrecursionlimit|set_asyncgen_hooks|set_coroutine_origin_tracking_depth)",
    r"threading\.(excepthook|setprofile|settrace|stack_size|_shutdown)",
    r"(atexit|builtins|faulthandler|gc|locale|site|warnings)",
    r"logging\.(basicConfig|disable|setLoggerClass|root|captureWarnings)",
    r"socket\.setdefaulttimeout",
    r"multiprocessing\.set_start_method",
]

ALLOWANCES = {
    ("_binding", "os.environ"): "puts back what QtPy writes there",
    ("_interrupts", "signal.set_wakeup_fd"): "where the program owns the loop; given back",
    ("_interrupts", "signal.signal"): "the same; the handler that was there is called",
    ("_interrupts", "sys.excepthook"): "the same, from a Ctrl+C to the loop's next turn; what was there is called",
    ("_leftovers", "gc"): "in a plug-in's own tests only",
    ("_leftovers", "sys.path"): "looks at it",
    ("_stack", "sys.set_asyncgen_hooks"): "for the length of a step, then put back",
    ("_report", "gc"): "asks what one object refers to",
    ("_report", "gc.get_referents"): "the same",
    ("_settings", "builtins"): "looks at its __import__",
    ("_settings", "gc"): "in a plug-in's own tests only",
    ("_settings", "signal.set_wakeup_fd"): "the only way to read it; put back at once",
    ("_settings", "sys.displayhook"): "looks at it",
    ("_settings", "sys.excepthook"): "looks at it",
    ("_settings", "sys.meta_path"): "looks at it",
    ("_settings", "sys.path_hooks"): "looks at it",
    ("_settings", "warnings"): "looks at its showwarning",
    ("_vendor_source", "os.environ"): "read, to hide a hook's variables from the git that is asked",
    ("_toy", "os.environ"): "looks for a display, where Qt would abort the process",
    ("_windows", "signal.set_wakeup_fd"): "undoes what asyncio's proactor loop does to it",
}

# Functions that may look for a module called `asyncslot`, whatever their own copy is called.
LOOKS_FOR_NAMESAKES = {("_attach", "_warn_of_namesake"), ("_surroundings", "copies")}

# Calls that a module may make while it is imported: they make a value and change nothing.
HARMLESS_CALLS = {"TypeVar", "object", "ContextVar", "itertools.count", "logging.getLogger", "types.FunctionType"}
HARMLESS_CALLS |= {"_path.isfile", "_path.join", "map"}

QT = re.compile(r"(PyQt|PySide|qtpy|sip|shiboken)")


def label(path):
    return path.relative_to(ROOT).with_suffix("").as_posix().replace("asyncslot/", "")


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def each(paths):
    """Ask something of each source file: the same on every Python and binding."""

    def decorate(test):
        return pytest.mark.once(pytest.mark.parametrize("path", paths, ids=map(label, paths))(test))

    return decorate


each_shipped, each_core, each_adapter = each(SHIPPED), each(CORE), each(ADAPTERS)


def is_for_checkers(statement):
    """Whether this is `if TYPE_CHECKING:`, whose body only a type checker sees."""
    return isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test)


def is_for_programs(statement):
    """Whether this is `if __name__ == "__main__":`, whose body no import runs."""
    return isinstance(statement, ast.If) and dotted(getattr(statement.test, "left", None)) == "__name__"


def nodes_in(statements):
    """Yield everything in these statements."""
    for statement in statements:
        yield from ast.walk(statement)


def imports(tree):
    """Yield (statement, level, full name) of each import, wherever it stands, but for what only a checker sees."""
    unseen = {node for statement in ast.walk(tree) if is_for_checkers(statement) for node in nodes_in(statement.body)}
    for node in ast.walk(tree):
        if node in unseen:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node, node.level, ".".join(filter(None, [node.module, alias.name]))


def own_imports(tree):
    """Yield (statement, module) of each relative import; the module is the first part of the name.

    The package's own `__version__` is no module: a literal that stands above its imports.
    """
    for statement, level, name in imports(tree):
        if level and name != "__version__":
            yield statement, name.split(".")[0]


def at_module_level(tree):
    """Return every statement that runs when the module is imported, but for what only checkers and programs see."""
    found = []
    waiting = list(tree.body)
    while waiting:
        statement = waiting.pop()
        if is_for_checkers(statement):
            waiting.extend(statement.orelse)
            continue
        if is_for_programs(statement):
            continue
        found.append(statement)
        for part in ("body", "orelse", "handlers", "finalbody"):
            if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                waiting.extend(getattr(statement, part, []))
    return found


def imports_late(tree):
    """Return the imports of the package's own __getattr__(), the only ones of ours that come later than the import."""
    functions = [node for node in ast.walk(tree) if getattr(node, "name", "") == "__getattr__"]
    return [node for node in nodes_in(functions) if isinstance(node, ast.ImportFrom)]


def literal_text(node):
    """Return the text that a node stands for, empty if it is no string literal (3.7 has a node class of its own)."""
    value = node.value if hasattr(node, "value") else getattr(node, "s", None)
    return value if isinstance(value, str) else ""


def dotted(node):
    """Return `a.b.c` for such an expression, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return ""


def used_names(tree):
    """Return the full name of everything that is imported or reached through an import, aliases undone."""
    names, aliases = set(), {}
    for statement, level, name in imports(tree):
        if level == 0:
            names.add(name)
            for alias in statement.names:
                aliases[alias.asname or alias.name.split(".")[0]] = name if alias.asname else name.split(".")[0]
            if isinstance(statement, ast.ImportFrom):
                for alias in statement.names:
                    aliases[alias.asname or alias.name] = f"{statement.module}.{alias.name}"
    for node in ast.walk(tree):
        head, _, rest = dotted(node).partition(".")
        if head in aliases:
            names.add(f"{aliases[head]}.{rest}" if rest else aliases[head])
    return names


# --- Who may import whom


def test_every_module_has_its_place_in_the_layers():
    """A new file is a decision about the architecture, and a row of the table that names no file is a lie."""
    assert set(LAYERS) == {path.stem for path in CORE} | {"host_adapters"}


def test_the_layers_have_no_cycle():
    """Each module may import only what stands above it in the table."""
    above = []
    for module, allowed in LAYERS.items():
        assert set(allowed) <= set(above), module
        above.append(module)


@each_core
def test_modules_import_only_what_their_layer_allows(path):
    """The table is the architecture."""
    imported = {module for _, module in own_imports(parse(path))}
    assert imported <= set(LAYERS[path.stem])


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


LOOPS_NAMES = {path.stem: loops_names(parse(path)) for path in CORE}


def unreachable(module):
    """Return the loop's names that a module uses and that neither itself nor what it imports defines."""
    reached = [LOOPS_NAMES[other][0] for other in reached_from(module) - {"_asyncio", "host_adapters"}]
    return LOOPS_NAMES[module][1].difference(*reached)


@each_core
def test_modules_ask_the_loop_for_nothing_from_modules_that_they_do_not_import(path):
    """But for what is written down: in LoopBase, and for those who meet loops of other copies, in the treaty."""
    assert unreachable(path.stem) <= LOOPS_NAMES["_asyncio"][0] | set(_meeting.TREATY["loop"])


@each_adapter
def test_adapters_import_nothing_of_ours_but_shared_parts(path):
    """An adapter is facts about a host; only the package itself gathers the adapters, and a shared part knows none."""
    shared = {module.stem for module in ADAPTERS if re.match("_[a-z]", module.stem)}
    if path.stem == "__init__":
        siblings = {module.stem for module in ADAPTERS} - shared
    else:
        siblings = set() if path.stem in shared else shared
    for statement, module in own_imports(parse(path)):
        assert statement.level == 1
        assert module in siblings


@each_shipped
def test_own_imports_are_relative_and_at_module_level(path):
    """So a copy works under any name, and an import never happens in a hot path or in a half-unloaded plug-in."""
    tree = parse(path)
    top = at_module_level(tree)
    if path == ROOT / "asyncslot" / "__init__.py":
        top += imports_late(tree)
    for statement, level, name in imports(tree):
        assert name.split(".")[0] not in ("asyncslot", "host_adapters") or level, f"line {statement.lineno}"
        assert level <= 1, f"line {statement.lineno}: more than one dot"
        assert level == 0 or statement in top, f"line {statement.lineno}: inside a function"


@each_shipped
def test_own_name_is_never_looked_up(path):
    """No `import_module("asyncslot.x")`, no `sys.modules["asyncslot"]`: a copy may have another name."""
    tree = parse(path)
    functions = [node for node in ast.walk(tree) if (path.stem, getattr(node, "name", "")) in LOOKS_FOR_NAMESAKES]
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


# --- What no module may do


@each_shipped
def test_nothing_of_the_process_is_touched(path):
    """Policy, current loop, signals, environment, hooks, streams: they are the host's."""
    forbidden = re.compile(rf"({'|'.join(OUT_OF_BOUNDS)})(\.|$)")
    touched = {name for name in used_names(parse(path)) if forbidden.match(name)}
    allowed = tuple(name for module, name in ALLOWANCES if module == path.stem)
    assert {name for name in touched if not name.startswith(allowed)} == set()


@pytest.mark.parametrize(("module", "name"), ALLOWANCES)
def test_allowances_are_still_needed(module, name):
    """An exception that nobody uses any more is an open door."""
    assert name in used_names(parse(ROOT / "asyncslot" / f"{module}.py"))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import asyncio\nasyncio.set_event_loop(None)", "asyncio.set_event_loop"),
        ("import asyncio as aio\naio.get_event_loop_policy()", "asyncio.get_event_loop_policy"),
        ("from asyncio import events\nevents.set_event_loop(None)", "asyncio.events.set_event_loop"),
        ("import asyncio.events\nasyncio.events.set_event_loop(None)", "asyncio.events.set_event_loop"),
        ("from asyncio import run as go\ngo(f())", "asyncio.run"),
        ("def f():\n    import os\n    os.environ['A'] = ''", "os.environ"),
        ("from os import environ\nenviron.pop('A')", "os.environ.pop"),
        ("import atexit\natexit.register(f)", "atexit.register"),
        ("import signal\nsignal.signal(2, f)", "signal.signal"),
    ],
)
def test_the_reader_sees_through_aliases(source, name):
    """The check above is only as good as its reader."""
    assert name in used_names(ast.parse(source))


@each_shipped
def test_importing_a_module_only_defines_things(path):
    """Definitions and constants; no loop, no statement for its effect, no call but the harmless ones."""
    for statement in at_module_level(parse(path)):
        where = f"line {statement.lineno}"
        if isinstance(statement, ast.Expr):
            assert literal_text(statement.value), f"{where}: something is done at import"
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
            assert {dotted(call.func) for call in calls} <= HARMLESS_CALLS, where
        else:
            definitions = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass)
            assert isinstance(statement, (*definitions, ast.If)), where


CENSUS = """
import asyncio, gc, logging, os, signal, sys, threading, warnings

def census():
    return {
        "threads": threading.enumerate(),
        "descriptors": os.listdir("/proc/self/fd") if sys.platform == "linux" else None,
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "environment": dict(os.environ),
        "path": list(sys.path),
        "finders": list(sys.meta_path),
        "hooks": (sys.excepthook, threading.__dict__.get("excepthook"), sys.get_asyncgen_hooks()),
        "policy": vars(asyncio.events).get("_event_loop_policy"),
        "loop": asyncio._get_running_loop(),
        "log handlers": list(logging.root.handlers),
        "warnings": list(warnings.filters),
    }

before = census()
import asyncslot
after = census()
for what in before:
    assert before[what] == after[what], (what, before[what], after[what])
loaded = [name for name in sys.modules if name.startswith(("PyQt", "PySide", "qtpy", "shiboken", "qgis"))]
assert not loaded, loaded
"""


def test_importing_the_package_changes_nothing(run_python):
    """No Qt loaded, no thread, no descriptor, no hook, no policy."""
    run_python(CENSUS)


# --- What tools see that freeze programs


def test_every_module_is_reached_by_import_statements():
    """PyInstaller and Nuitka freeze what they see imported, from the front door and the two other ways in.

    But no adapters, on purpose: a frozen program is no host, and hosts load plug-ins from files. Each of them names
    modules of its host, which bring a binding of their own where they are installed; PyInstaller then refuses to
    freeze a program that has another one (6.22.3, seen 2026-11).
    """
    reached, waiting = set(), ["__init__", "__main__", "testing"]
    while waiting:
        module = waiting.pop()
        if module not in reached and module != "host_adapters":
            reached.add(module)
            waiting += [found for _, found in own_imports(parse(ROOT / "asyncslot" / f"{module}.py"))]
    assert {path.stem for path in CORE} == reached


# --- The front door

PUBLIC = {
    "AbandonedTask",
    "AsyncSlotEventLoop",
    "AsyncSlotRunner",
    "DetachReport",
    "Lease",
    "Progress",
    "asyncDialog",
    "asyncModal",
    "asyncSignal",
    "asyncSignals",
    "asyncSlot",
    "attach",
    "create_task",
    "detach",
    "monitor",
    "progress",
    "report",
    "run_until_complete",
}

ERRORS = {
    "AdapterError": TypeError,
    "AmbiguousLeaseError": RuntimeError,
    "ApplicationQuitError": RuntimeError,
    "ArgumentError": TypeError,
    "AsyncSlotError": Exception,
    "AttachedLoopError": RuntimeError,
    "DetachedError": RuntimeError,
    "ForeignLoopError": RuntimeError,
    "IncompatibleCopyError": ImportError,
    "NoApplicationError": RuntimeError,
    "NoBindingError": ImportError,
    "NoLoopError": RuntimeError,
    "NoQtLoopError": RuntimeError,
    "NotCoroutineFunctionError": TypeError,
    "NotDialogError": TypeError,
    "NotFunctionError": TypeError,
    "NotOpenedError": RuntimeError,
    "NotSignalError": TypeError,
    "OptionError": ValueError,
    "OutsideCoroutineError": RuntimeError,
    "SenderDeletedError": RuntimeError,
    "TaskTimeoutError": TimeoutError,
    "ThreadError": RuntimeError,
}


def test_the_front_door_offers_exactly_this():
    """A public name is a promise; making or breaking one shows here."""
    assert asyncslot.__all__ == sorted({*PUBLIC, *ERRORS})
    modules = {path.stem for path in CORE} | {"host_adapters"}
    there = {name for name in vars(asyncslot) if not name.startswith("_")} - modules
    assert there | set(IMPORTED_LATE) == set(asyncslot.__all__) <= set(dir(asyncslot))
    assert callable(asyncslot.monitor)
    with pytest.raises(AttributeError, match="no attribute 'moniter'"):
        asyncslot.moniter  # noqa: B018 - the access is what is tested


def test_what_comes_late_is_the_same_for_checkers_and_in_its_layer():
    """Some imports are run, those beside them are read by type checkers: neither may lack a name."""
    tree = parse(ROOT / "asyncslot" / "__init__.py")
    seen = [statement for statement in tree.body if is_for_checkers(statement)]
    told = {alias.name: each.module for statement in seen for each in statement.body for alias in each.names}
    run = {alias.name: each.module for each in imports_late(tree) for alias in each.names}
    assert set(asyncslot._LATE) == set(IMPORTED_LATE)
    assert run == told == IMPORTED_LATE
    assert set(IMPORTED_LATE.values()) <= set(LAYERS["__init__"])


LATE = """
import builtins, sys

seen, real = set(), builtins.__import__
def as_in_qgis(name, globals=None, locals=None, fromlist=(), level=0):
    module = real(name, globals, locals, fromlist, level)
    names = [module.__name__, *(module.__name__ + "." + each for each in fromlist or ())]
    seen.update(name for name in names if name in sys.modules)
    return module
builtins.__import__ = as_in_qgis

import asyncslot

late, public = {late!r}, {public!r}
ours = lambda: {{name.rpartition(".")[2] for name in sys.modules if name.startswith("asyncslot.")}}
assert ours() == {first!r}, ours() ^ {first!r}
assert set(dir(asyncslot)) >= set(public)
for name, module in late.items():
    assert name not in vars(asyncslot)
    found = getattr(asyncslot, name)
    assert found is vars(asyncslot)[name] is getattr(sys.modules["asyncslot." + module], name)
assert ours() == {first!r} | {needed!r}, ours()
unseen = {{name for name in sys.modules if name.startswith("asyncslot.")}} - seen
assert not unseen, unseen
"""

STAR = """
from asyncslot import *
assert not set({public!r}) - set(globals())
"""

UNLOADED = """
import sys
import asyncslot

for name in [name for name in sys.modules if name.startswith("asyncslot")]:
    del sys.modules[name]
before = set(sys.modules)
for name in {late!r}:
    try:
        getattr(asyncslot, name)
    except AttributeError as error:
        assert "unloaded" in str(error), error
    else:
        raise AssertionError(name)
assert set(sys.modules) == before
"""


def test_importing_the_package_loads_only_what_a_plug_in_needs(run_python):
    """Each module costs a host's start a tenth of a millisecond, with PySide6 a quarter; the rest comes when wanted.

    As QGIS has to see it, which forgets with a plug-in what has gone through builtins.__import__.
    """
    other_system = {"_windows"}
    if sys.platform == "win32":
        other_system = {"_unix"}
        if sys.version_info >= (3, 8):  # with a completion port, and no selector
            other_system |= {"_selector"}
    first = set(LAYERS) - {"__init__"} - other_system - NEEDED_LATE - FOR_TESTS - AT_A_TERMINAL
    source = LATE.format(late=IMPORTED_LATE, public=sorted(asyncslot.__all__), first=first, needed=NEEDED_LATE)
    run_python(source, is_bare=True)


def test_a_star_import_has_all_that_is_public(run_python):
    """It asks for what comes late, too."""
    run_python(STAR.format(public=sorted(asyncslot.__all__)))


def test_an_unloaded_package_loads_nothing_late(run_python):
    """It would be another copy's code, or would bring a plug-in back that has been unloaded."""
    run_python(UNLOADED.format(late=sorted(IMPORTED_LATE)))


def test_every_error_is_public_and_is_the_builtin_that_a_caller_expects():
    """So that `except RuntimeError` written for asyncio goes on working."""
    classes = dict(inspect.getmembers(asyncslot._errors, inspect.isclass))
    assert {name for name, kind in classes.items() if issubclass(kind, Exception)} == set(ERRORS)
    for name, builtin in ERRORS.items():
        assert issubclass(classes[name], (asyncslot.AsyncSlotError, builtin))
        assert issubclass(classes[name], builtin)


def test_the_map_of_the_house_names_every_module():
    """It is where a reader starts."""
    named = set(re.findall(r"\b(_[a-z_]+|host_adapters|testing)\b", asyncslot.__doc__))
    in_the_example = {"_vendor"}
    assert named - in_the_example == set(LAYERS) - {"__init__"}


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

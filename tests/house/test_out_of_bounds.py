"""What no module that ships may do to the host: OUT_OF_BOUNDS is the host's, ALLOWANCES are exceptions with reasons.

The code is read, not run, except where only a fresh interpreter tells.
"""

import ast
import re

import pytest

from shipped_code import CORE, at_module_level, dotted, each_shipped, literal_text, name_of, parse, used_names

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
    ("tools._leftovers", "gc"): "in a plug-in's own tests only",
    ("tools._leftovers", "sys.path"): "looks at it",
    ("_stack", "sys.set_asyncgen_hooks"): "for the length of a step, then put back",
    ("_tasks", "gc"): "asks what one object refers to",
    ("_tasks", "gc.get_referents"): "the same",
    ("tools._settings", "builtins"): "looks at its __import__",
    ("tools._settings", "gc"): "in a plug-in's own tests only",
    ("tools._settings", "signal.set_wakeup_fd"): "the only way to read it; put back at once",
    ("tools._settings", "sys.displayhook"): "looks at it",
    ("tools._settings", "sys.excepthook"): "looks at it",
    ("tools._settings", "sys.meta_path"): "looks at it",
    ("tools._settings", "sys.path_hooks"): "looks at it",
    ("tools._settings", "warnings"): "looks at its showwarning",
    ("tools._vendor_source", "os.environ"): "read, to hide a hook's variables from the git that is asked",
    ("tools._toy", "os.environ"): "looks for a display, where Qt would abort the process",
    ("_windows", "signal.set_wakeup_fd"): "undoes what asyncio's proactor loop does to it",
}

# Calls that a module may make while it is imported: they make a value and change nothing.
HARMLESS_CALLS = {"TypeVar", "object", "ContextVar", "itertools.count", "logging.getLogger", "types.FunctionType"}
HARMLESS_CALLS |= {"_path.isfile", "_path.join", "map"}


# --- What no module may do


@each_shipped
def test_nothing_of_the_process_is_touched(path):
    """Policy, current loop, signals, environment, hooks, streams: they are the host's."""
    forbidden = re.compile(rf"({'|'.join(OUT_OF_BOUNDS)})(\.|$)")
    touched = {name for name in used_names(parse(path)) if forbidden.match(name)}
    allowed = tuple(name for module, name in ALLOWANCES if module == name_of(path))
    assert {name for name in touched if not name.startswith(allowed)} == set()


@pytest.mark.parametrize(("module", "name"), ALLOWANCES)
def test_allowances_are_still_needed(module, name):
    """An exception that nobody uses any more is an open door."""
    (path,) = [path for path in CORE if name_of(path) == module]
    assert name in used_names(parse(path))


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

"""What the package offers, what of it comes late, and what tools see that freeze programs."""

import inspect
import sys

import pytest
from test_layout import LAYERS

import asyncslot
from shipped_code import CORE, ROOT, imports_late, is_for_checkers, name_of, own_imports, parse

# What the front door imports when it is asked for; and what of ours only this needs.
IMPORTED_LATE = {"AsyncSlotRunner": "_runner", "monitor": "tools._monitor", "report": "tools._bug_report"}
NEEDED_LATE = {*IMPORTED_LATE.values(), "tools", *(f"tools.{name}" for name in ("_facts", "_monitor_view", "_state"))}
NEEDED_LATE |= {"tools._surroundings", "tools._watch"}
FOR_TESTS = {"tools._leftovers", "tools._proc", "tools._settings", "tools._toy", "testing"}
AT_A_TERMINAL = {"__main__", "tools._doctor", "tools._vendor_record", "tools._vendor_source", "tools._vendoring"}


# --- What tools see that freeze programs


def test_every_module_is_reached_by_import_statements():
    """PyInstaller and Nuitka freeze what they see imported, from the front door and the two other ways in.

    But no adapters, on purpose: a frozen program is no host, and hosts load plug-ins from files. Each of them names
    modules of its host, which bring a binding of their own where they are installed; PyInstaller then refuses to
    freeze a program that has another one (6.22.3, seen 2026-11).
    """
    paths = {name_of(path): path for path in CORE}
    reached, waiting = {"tools"}, ["__init__", "__main__", "testing"]
    while waiting:
        module = waiting.pop()
        if module not in reached and module != "host_adapters":
            reached.add(module)
            waiting += [found for _, found in own_imports(paths[module])]
    assert set(paths) == reached


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
    modules = {name_of(path) for path in CORE} | {"host_adapters"}
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
ours = lambda: {{name.partition(".")[2] for name in sys.modules if name.startswith("asyncslot.")}}
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

"""Plug-ins with vendored copies of asyncslot: what the tests of copies that meet share.

`make_plugin`, `plugins`, `write_plugins` and `plugins_here` are fixtures, once a test file has made them such. Programs
that run in a process of their own begin with PRELUDE; in this process `Plugins` loads them.
"""

import gc
import importlib
import itertools
import sys

import pytest

import vendored
from faulty import Recording

# What every program here begins with: an application, and a way to load a plug-in with its copy.
PRELUDE = """
import asyncio, gc, importlib, os, sys, time
from qtpy import QtCore, QtWidgets
app = QtWidgets.QApplication([])
sys.path.insert(0, {plugins!r})

def load(name, copy="asyncslot"):
    return importlib.import_module(name + "._vendor." + copy)

def purge(name):
    "As QGIS does on reload: every module of the plug-in's package."
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[module]
    gc.collect()

def spin(until):
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end, "nothing happened"
        app.processEvents(QtCore.QEventLoop.ProcessEventsFlag(0) if hasattr(QtCore.QEventLoop, "ProcessEventsFlag")
                          else QtCore.QEventLoop.AllEvents, 5)
        time.sleep(0.0001)

async def work(results, name):
    await asyncio.ensure_future(asyncio.sleep(0.001))
    results.append(name)

async def forever():
    await asyncio.get_event_loop().create_future()
"""


def make_plugin(tmp_path):
    """Return a function that makes a plug-in with a copy: make_plugin(name, copy="asyncslot", pretend=None)."""

    def make(name, copy="asyncslot", pretend=None):
        dest = tmp_path / name / "_vendor"
        vendored.copy(dest, copy, pretend)
        (tmp_path / name / "__init__.py").write_text("")
        (dest / "__init__.py").write_text("")

    return make


def plugins(tmp_path, make_plugin):
    """A directory of plug-ins one, two, three, each with a copy."""
    for name in ("one", "two", "three"):
        make_plugin(name)
    return tmp_path


# How the code of a plug-in gets at its copy: one of its own, or one at the top level, which others use, too.
OWN = "from ._vendor import asyncslot"
SHARED_NAME = "asyncslot_at_the_top"
SHARED = f"import {SHARED_NAME} as asyncslot"


def write_plugin(root, package, code, copy=OWN):
    """Write a plug-in's code, with a copy of its own below or the one at the top level of `root`, as `copy` says.

    Args:
        package: its full name; directories further out become packages only if they have an `__init__.py`.
    """
    place = root.joinpath(*package.split("."))
    place.mkdir(parents=True)
    (place / "__init__.py").write_text(f"{copy}\n{code}")
    if copy == OWN:
        vendored.copy(place / "_vendor", "asyncslot")
        (place / "_vendor" / "__init__.py").write_text("")
    elif not (root / SHARED_NAME).exists():
        vendored.copy(root, SHARED_NAME)


class Loader:
    """Imports plug-ins into this process, and forgets them again.

    Attributes:
        roots: directories where plug-ins are; on `sys.path` while this is in use.
    """

    def __init__(self, *roots):
        self.roots = []
        self._all_roots = set()
        self._before = set(sys.modules)
        for root in roots:
            self.add_root(root)

    def __call__(self, name):
        """Return a plug-in's module."""
        return importlib.import_module(name)

    def add_root(self, root):
        """Find plug-ins there, too; a namespace package gets what is there."""
        self.roots.append(str(root))
        self._all_roots.add(str(root))
        sys.path.append(str(root))
        importlib.invalidate_caches()

    def remove_root(self, root):
        """Find no plug-ins there any more."""
        self.roots.remove(str(root))
        sys.path.remove(str(root))
        importlib.invalidate_caches()

    def close(self):
        """Forget all modules that came from the roots."""
        for name in set(sys.modules) - self._before:
            path = getattr(sys.modules[name], "__file__", None) or ""
            places = list(getattr(sys.modules[name], "__path__", ()))
            if any(where.startswith(root) for root, where in itertools.product(self._all_roots, [path, *places])):
                del sys.modules[name]
        for root in list(self.roots):
            self.remove_root(root)
        gc.collect()


# A library that all plug-ins use, which is nobody's, and tells what runs.
LIBRARY = """
import asyncio, threading
log, threads = [], []

async def work(name=__name__, *, is_brief=False):
    log.append((name, "begins"))
    threads.append(threading.current_thread())
    try:
        await asyncio.sleep(0 if is_brief else 3600)
    finally:
        log.append((name, "ends"))

kept = []

def keep(value):
    kept.append(value)
    return value

async def fail(_):
    await asyncio.sleep(0)
    1 / 0

def make_task(coro, loop):
    return asyncio.Task(coro, loop=loop)

class Worker:
    async def __call__(self):
        await work()

    async def method(self):
        await work()
"""

# Every plug-in's code, below the line that imports its copy.
PLUGIN = """
import functools
import a_library
from a_library import Worker, work

def attach(*args, **options):
    return asyncslot.attach(*args, **options)

def detach(*args):
    return asyncslot.detach(*args)

def create_task():
    return asyncslot.create_task(work(__name__))

def close_create_task():
    coro = work(__name__)
    try:
        return asyncslot.create_task(coro)
    except Exception:
        assert coro.cr_frame is None, "the coroutine was not closed"
        raise

def make_slot(coro_fn):
    return asyncslot.asyncSlot(coro_fn)

@asyncslot.asyncSlot
async def slot(*_):
    await work(__name__)

@asyncslot.asyncSlot
async def brief_slot():
    await work(__name__, is_brief=True)

@asyncslot.asyncSlot
async def failing_slot():
    1 / 0

class Receiver:
    async def method(self):
        await work(__name__)

    @asyncslot.asyncSlot
    async def decorated(self):
        await work(__name__)

    @asyncslot.asyncSlot
    async def brief(self):
        await work(__name__, is_brief=True)

receiver = Receiver()

def lease_slot(lease):
    async def fn():
        await work(__name__)
    return lease.slot(fn)
"""

# The plug-in that is looked at, and another one: each pair with copies of their own, or with one that they share.
PAIRS = {"own copies": ("own_plugin", "own_neighbour"), "a shared copy": ("sharing_plugin", "sharing_neighbour")}

# All in the package `picard`, each with a copy of its own.
PICARDS = ("picard.plugins.foo", "picard.plugins.bar", "picard.plugins.baz")

# In a package without a file of its own, which has a directory under each of two roots.
SUITES = {"own copies": "suite", "a shared copy": "sharing_suite"}


def write_plugins(tmp_path_factory, more=""):
    """Two directories of plug-ins, with `more` code in each. A fixture, of the module's scope."""
    root, second = tmp_path_factory.mktemp("plugins"), tmp_path_factory.mktemp("more_plugins")
    (root / "a_library.py").write_text(LIBRARY)
    for kind, copy in (("own copies", OWN), ("a shared copy", SHARED)):
        for name in PAIRS[kind]:
            write_plugin(root, name, PLUGIN + more, copy)
        write_plugin(root, f"{SUITES[kind]}.tool", PLUGIN, copy)
        write_plugin(second, f"{SUITES[kind]}.other", PLUGIN, copy)
    for name in PICARDS:
        write_plugin(root, name, PLUGIN)
    for place in (root / "picard", root / "picard" / "plugins"):
        (place / "__init__.py").write_text("")
    return root, second


class Plugins:
    """Plug-ins of this process.

    Attributes:
        log: what has run: (the plug-in's name, "begins" or "ends").
        leases: all that were given out.
        reports: what was reported through each plug-in's host.
    """

    def __init__(self, roots):
        self.loader = Loader(roots[0])
        self.library = self.loader("a_library")
        self.log = self.library.log
        self.leases, self.reports = [], {}

    def load(self, name):
        """Return a plug-in's module, whose attach() needs no arguments."""
        plugin = self.loader(name)
        self.reports[name] = []
        plugin.attach = self._attach_of(plugin, plugin.attach, self.reports[name])
        return plugin

    def _attach_of(self, plugin, attach, reports):
        def attach_and_keep(name=None):
            lease = attach(name, host=Recording(reports))
            self.leases.append(lease)
            return lease

        return attach_and_keep

    def pair(self, kind):
        """Return the plug-in that is looked at, and its neighbour."""
        plugin, neighbour = map(self.load, PAIRS[kind])
        assert (plugin.asyncslot is neighbour.asyncslot) == (kind == "a shared copy")
        return plugin, neighbour

    def close(self):
        for lease in self.leases:
            lease.detach()
        self.loader.close()


def plugins_here(app, roots):
    """A fixture: what loads plug-ins, and at the end detaches and forgets them."""
    plugins = Plugins(roots)
    yield plugins
    plugins.close()


def begins(*modules):
    """What the log has when work of these has begun."""
    return [(module.__name__, "begins") for module in modules]


def ends(*modules):
    """What the log has when work of these has ended."""
    return [(module.__name__, "ends") for module in modules]


# A test of both kinds of pairs.
both_kinds = pytest.mark.parametrize("kind", PAIRS)

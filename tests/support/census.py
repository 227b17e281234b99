"""What a process has, written down so that two moments can be compared: `take()`, `differences()`.

A census is a dict of countings. It reads and does not touch: no event-loop policy is made, no current event loop, no
signal handler; only the wakeup descriptor cannot be read without being set, and is put back at once. What is counted
by name or type is a Counter, so that a difference tells what came and what went.
"""

import asyncio
import atexit
import contextvars
import gc
import inspect
import logging
import os
import re
import signal
import sys
import sysconfig
import threading
import time
import warnings
from collections import Counter
from pathlib import Path

from qtpy import QtCore, QtWidgets

from senders import receivers

# What asyncio and the standard library make while they work, besides everything of ours and of Qt's.
WATCHED_TYPES = re.compile(
    r"(asyncio|_asyncio|selectors|select|socket|subprocess|threading|concurrent|queue|_queue|ssl)(\.|$)"
)


def take(packages=("asyncslot",)):
    """Return the census. Runs the garbage collector first, three times, for what its finalizers let go.

    Args:
        packages: the top-level packages whose objects are counted as ours.
    """
    for _ in range(3):
        gc.collect()
    census = {}
    for part in (_descriptors, _threads, _children, _signals, _asyncio, _interpreter, _qt, _logging, _modules):
        census.update(part())
    census.update(_objects(packages))
    return census


def differences(before, after):
    """Return what has changed, one line each."""
    found = []
    for key in sorted(set(before) | set(after)):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, Counter) and isinstance(new, Counter):
            found += [f"{key}: {count} more {what}" for what, count in sorted((new - old).items())]
            found += [f"{key}: {count} fewer {what}" for what, count in sorted((old - new).items())]
        else:
            found.append(f"{key}: was {old!r}, is {new!r}")
    return found


def settled(before, packages=("asyncslot",), patience=10.0):
    """Return what has changed since `before`, when threads and children that were told to end have ended."""
    deadline = time.monotonic() + patience
    while True:
        found = differences(before, take(packages))
        if time.monotonic() > deadline or not any(line.startswith(("threads", "tasks", "fds")) for line in found):
            return found
        time.sleep(0.01)


def is_of_the_standard_library(name):
    """Whether a module came with Python."""
    module = sys.modules.get(name)
    origin = getattr(getattr(module, "__spec__", None), "origin", None) or getattr(module, "__file__", None)
    if origin in (None, "built-in", "frozen"):
        return True
    path = Path(origin).resolve()
    homes = [Path(sysconfig.get_path(which)).resolve() for which in ("stdlib", "platstdlib")]
    return any(home in path.parents for home in homes) and "site-packages" not in path.parts


# -- the operating system --------------------------------------------------------


def _descriptors():
    if sys.platform != "linux":
        return {}
    found = Counter()
    for fd in os.listdir("/proc/self/fd"):
        try:
            # Sockets and pipes have numbers of their own, which say nothing.
            found[re.sub(r":\[\d+\]$", "", os.readlink(f"/proc/self/fd/{fd}"))] += 1
        except OSError:
            pass  # the one that listdir() itself had open
    return {"fds": found}


def _threads():
    found = {"threads": Counter(f"{thread.name} daemon={thread.daemon}" for thread in threading.enumerate())}
    if sys.platform == "linux":
        # Those that Python does not know of, too.
        names = [Path(f"/proc/self/task/{task}/comm").read_text().strip() for task in os.listdir("/proc/self/task")]
        found["tasks of the kernel"] = Counter(names)
    return found


def _children():
    if sys.platform != "linux":
        return {}
    try:
        return {"child processes": Path(f"/proc/self/task/{os.getpid()}/children").read_text()}
    except OSError:
        return {}  # a kernel that was built without


def _signals():
    numbers = sorted(getattr(signal, "valid_signals", lambda: range(1, signal.NSIG))())
    wakeup_fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup_fd)
    found = {"signal handlers": {int(n): signal.getsignal(n) for n in numbers}, "wakeup fd": wakeup_fd}
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        found["signals as the kernel sees them"] = re.findall(r"^(?:SigBlk|SigIgn|SigCgt):.*$", status, re.MULTILINE)
    return found


# -- Python --------------------------------------------------------------------


def _asyncio():
    policy = getattr(asyncio.events, "_event_loop_policy", None)
    local = getattr(policy, "_local", None)
    found = {
        "event-loop policy": policy,
        "current event loop": (getattr(local, "_loop", None), getattr(local, "_set_called", None)),
        "child watcher": getattr(policy, "_watcher", None),
        "running loop": asyncio._get_running_loop(),
        "current tasks": dict(getattr(asyncio.tasks, "_current_tasks", {})),
    }
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] == "asyncio":
            found[f"attributes of {name}"] = {key: id(value) for key, value in vars(module).items()}
    return found


def _interpreter():
    found = {
        "asyncgen hooks": tuple(sys.get_asyncgen_hooks()),
        "coroutine origin tracking": sys.get_coroutine_origin_tracking_depth(),
        "excepthooks": (sys.excepthook, sys.displayhook, getattr(sys, "unraisablehook", None)),
        "excepthook of threads": getattr(threading, "excepthook", None),
        "tracing": (sys.gettrace(), sys.getprofile()),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval()),
        "context variables": {variable.name: value for variable, value in contextvars.copy_context().items()},
        "os.environ": dict(os.environ),
        "working directory": os.getcwd(),
        "atexit": atexit._ncallbacks(),
        "gc": (gc.isenabled(), gc.get_threshold(), list(gc.callbacks)),
        "warnings": (list(warnings.filters), warnings.showwarning),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
    }
    for name in ("path", "meta_path", "path_hooks"):
        found[f"sys.{name}"] = list(getattr(sys, name))
    return found


def _logging():
    loggers = {"root": logging.getLogger(), **logging.Logger.manager.loggerDict}
    return {
        "loggers": Counter(
            f"{name}, level {logger.level}, {logger.handlers}, {logger.filters}"
            for name, logger in loggers.items()
            if isinstance(logger, logging.Logger)
        ),
        "logging": (logging.getLoggerClass(), logging.lastResort, logging.raiseExceptions),
    }


def _modules():
    """What the standard library imports when it is first needed is its own affair."""
    return {"sys.modules": Counter(name for name in list(sys.modules) if not is_of_the_standard_library(name))}


def _objects(packages):
    """Count what the garbage collector knows and is ours or asyncio's, by type, and what is under way, by name."""
    found, under_way = Counter(), Counter()
    for item in gc.get_objects():
        kind = type(item)
        module = getattr(kind, "__module__", None)
        if kind.__qualname__ == "_Receiver" and not getattr(item, "receivers", None):
            continue  # PyQt keeps some that were disconnected until their sender ends; they are made to lead nowhere
        if inspect.iscoroutine(item) or inspect.isasyncgen(item):
            under_way[f"{kind.__name__} {item.__qualname__}"] += 1
        elif isinstance(module, str) and (module.partition(".")[0] in packages or WATCHED_TYPES.match(module)):
            found[f"{module}.{kind.__qualname__}"] += 1
    return {"objects": found, "coroutines and generators": under_way}


# -- Qt ------------------------------------------------------------------------


def _qt():
    app = QtCore.QCoreApplication.instance()
    dispatcher = QtCore.QAbstractEventDispatcher.instance()
    found = {
        "children of the application": Counter(type(child).__name__ for child in app.children()),
        "connections to aboutToQuit": receivers(app, app.aboutToQuit, "aboutToQuit()"),
        "timers of the application": len(dispatcher.registeredTimers(app)),
        "children of the dispatcher": Counter(type(child).__name__ for child in dispatcher.children()),
        "top-level widgets": Counter(type(widget).__name__ for widget in QtWidgets.QApplication.topLevelWidgets()),
    }
    # Every QObject that Python knows of, whoever its parent is: timers, notifiers, event loops, relays.
    wrappers = [item for item in gc.get_objects() if isinstance(item, QtCore.QObject)]
    found["QObjects"] = Counter(type(item).__name__ for item in wrappers)
    return found

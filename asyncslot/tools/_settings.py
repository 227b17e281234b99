"""Settings of the process that belong to the host: for `_leftovers`, which compares two moments.

A setting is a place that exists once in the process. Through it Python calls somebody, or the host's users get to
read something. A value that is there at the second moment, and was not at the first, has been left behind by the
plug-in or by a library that it uses, whoever wrote the function.

We compare the handlers of all signals and the wakeup fd; the root logger's handlers, filters and level, and the other
settings that decide for all loggers; the hooks for uncaught exceptions; the standard streams; the functions behind
`import` and warnings; and the event-loop policy, if it is not asyncio's own.

We do not look at
- filters of warnings: a tuple of values does not tell who has added it, libraries add some for categories of their
  own when they are imported (urllib3), and pytest has others for each test;
- handlers of other loggers: those belong to whoever gave the logger its name;
- sys.settrace and sys.setprofile, interval timers, asyncio's current and running loop: debuggers, coverage, time
  limits and pytest-asyncio change them while a test runs;
- Qt's message handler: it can only be read by replacing it, and one in C++ cannot be put back;
- functions for the end of the process (atexit) or for a fork: Python does not list them;
- values through which nobody is called, such as the environment, directory and locale.

This file knows nothing of plug-ins. It relies on `Logger.manager.disable`, there in Python 3.7 to 3.14.
"""

from __future__ import annotations

import asyncio
import builtins
import gc
import logging
import re
import signal
import socket
import sys
import threading
import warnings
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple


class Change(NamedTuple):
    """A setting that has changed; `_leftovers` makes a line of it, with the thing's owner between `what` and `was`.

    Attributes:
        what: the setting and its present value.
        thing: the object that tells the owner: the present value, or the function behind it; None if none is known.
        was: the end of the line, mostly the value before.
    """

    what: str
    thing: Any
    was: str


class Settings:
    """A record of the settings as they are now, to be compared with later ones."""

    def __init__(self) -> None:
        root = logging.getLogger()
        self._lost_wakeup_fd = -1
        self._wakeup_fd = _read_wakeup_fd()[0]
        self._signals = _signals()
        self._places = _places()
        self._levels = _levels()
        self._handlers = list(root.handlers)
        self._filters = list(root.filters)

    def changes(self) -> List[Change]:
        """Return the settings that have changed since. Reads them, and changes nothing."""
        found = [*self._changed_signals(), *self._changed_wakeup_fd(), *self._changed_log()]
        for name, now in _places().items():
            before = self._places[name]
            if now is not before and not _is_of_test_runner(now):
                found.append(Change(f"{name}: {now!r}", now, f"; it was {before!r}"))
        return found

    def _changed_signals(self) -> Iterator[Change]:
        for number, now in _signals().items():
            before = self._signals[number]
            if now is before or _is_of_test_runner(now):
                continue
            # If a loop handles the signal, getsignal() returns one and the same function of asyncio's for all signals.
            # So we name the loop's callback instead.
            thing, by = _callback_of_a_loop(number, now), ", by add_signal_handler()"
            if thing is None:
                thing, by = now, ""
            what = f"handler of {_name_of(number)}: {thing!r}"
            # SIG_IGN and SIG_DFL have no owner.
            yield Change(what, None if isinstance(thing, signal.Handlers) else thing, f"{by}; it was {before!r}")

    def _changed_wakeup_fd(self) -> Iterator[Change]:
        now, is_open = _read_wakeup_fd()
        if not is_open:
            # To read a closed descriptor takes it out for good, so we remember it for later calls.
            self._lost_wakeup_fd = now
        if self._lost_wakeup_fd != -1:
            what = f"wakeup fd of signals: {self._lost_wakeup_fd}, which is closed"
            yield Change(what, None, f"; it was {self._wakeup_fd}")
        elif now != self._wakeup_fd:
            sockets = [item for item in gc.get_objects() if issubclass(type(item), socket.socket)]
            thing = next((item for item in sockets if item.fileno() == now), None)
            yield Change(f"wakeup fd of signals: {now}", thing, f"; it was {self._wakeup_fd}")

    def _changed_log(self) -> Iterator[Change]:
        root = logging.getLogger()
        for kind, now, before in (("handler", root.handlers, self._handlers), ("filter", root.filters, self._filters)):
            for item in now:
                if not _is_in(item, before) and not _is_of_test_runner(item):
                    yield Change(f"{kind} of the root logger: {item!r}", item, "")
            for item in before:
                if not _is_in(item, now) and not _is_of_test_runner(item):
                    yield Change(f"{kind} of the root logger is gone: {item!r}", None, "")
        for name, level in _levels().items():
            if level != self._levels[name]:
                was = logging.getLevelName(self._levels[name])
                yield Change(f"{name}: {logging.getLevelName(level)}", None, f"; it was {was}")


def hooks() -> List[Tuple[str, Any]]:
    """Return (place, item) for all items of lists to which libraries, too, may add for good.

    Libraries add items when they are imported (six, Hypothesis), and stay loaded. So the caller must pick out those
    that are the plug-in's own.
    """
    places: List[Tuple[str, Any]] = [("entry of sys.meta_path", finder) for finder in sys.meta_path]
    places += [("entry of sys.path_hooks", hook) for hook in sys.path_hooks]
    places += [("entry of gc.callbacks", callback) for callback in gc.callbacks]
    return places


def _places() -> Dict[str, Any]:
    """Return, by name, the value of each setting that holds one function or object."""
    policy = getattr(asyncio.events, "_event_loop_policy", None)
    return {
        "sys.excepthook": sys.excepthook,
        "sys.unraisablehook": getattr(sys, "unraisablehook", None),  # Python 3.8
        "sys.displayhook": sys.displayhook,
        "threading.excepthook": getattr(threading, "excepthook", None),  # Python 3.8
        "sys.stdin": sys.stdin,
        "sys.stdout": sys.stdout,
        "sys.stderr": sys.stderr,
        "builtins.__import__": builtins.__import__,
        "warnings.showwarning": warnings.showwarning,
        "logging.lastResort": logging.lastResort,
        "class of loggers": logging.getLoggerClass(),
        "factory of log records": logging.getLogRecordFactory(),
        # asyncio makes its own policy when somebody first asks for one. We treat it like None.
        "event-loop policy": None if _is_of(r"asyncio\b", policy) else policy,
    }


def _levels() -> Dict[str, int]:
    root = logging.getLogger()
    return {"level of the root logger": root.level, "level up to which logging is disabled": root.manager.disable}


def _signals() -> Dict[int, Any]:
    """Return the handler of each signal; None if it is a function in C."""
    found = {}
    for number in range(1, signal.NSIG):
        try:
            found[number] = signal.getsignal(number)
        except ValueError:
            pass  # reserved by the C library, or unknown on Windows
    return found


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _callback_of_a_loop(number: int, handler: Any) -> Any:
    """Return the callback that an asyncio loop calls for a signal; None if no loop handles it."""
    if not _is_of(r"asyncio\.", handler):
        return None
    for item in gc.get_objects():
        if issubclass(type(item), asyncio.AbstractEventLoop):
            handle = (getattr(item, "_signal_handlers", None) or {}).get(number)
            if handle is not None:
                return handle._callback
    return None


def _read_wakeup_fd() -> Tuple[int, bool]:
    """Return the descriptor to which signals are written, -1 if there is none, and whether it is open.

    The only way to read it is to take it out and put it back. A descriptor that has been closed cannot be put back.
    """
    if threading.current_thread() is not threading.main_thread():
        return -1, True  # Python lets only the main thread set it
    try:
        descriptor = signal.set_wakeup_fd(-1)
    except ValueError:
        return -1, True  # an embedded interpreter that leaves signals alone
    if descriptor != -1:
        try:
            # Nobody can read whether Python warns when the descriptor's buffer is full. Here it will warn: that is
            # the default, and asyncio's choice.
            signal.set_wakeup_fd(descriptor)
        except (OSError, ValueError):  # ValueError on Windows, and if a file has got this number since
            return descriptor, False
    return descriptor, True


def _is_in(item: Any, items: List[Any]) -> bool:
    """Whether this very object is in a list. Not `in`: other people's objects may claim to be equal to anything."""
    return any(each is item for each in items)


def _is_of_test_runner(thing: Any) -> bool:
    """Whether this belongs to pytest, a plug-in of pytest's, or unittest.

    They change settings between a fixture and its test, so such a change is no complaint.
    """
    return _is_of(r"(_pytest|pytest\w*|unittest)\b", thing)


def _is_of(modules: str, thing: Any) -> bool:
    """Whether this is a function of modules that match, or an instance of one of their classes."""
    names = (getattr(thing, "__module__", None), type(thing).__module__)
    return any(isinstance(name, str) and re.match(modules, name) for name in names)

"""The things that a plug-in has left in the process: for `testing`, which compares two moments.

A Moment records, by identity, the objects of the watched kinds that the garbage collector knows; the settings that
`_settings` reads; sys.modules and sys.path; and on Linux descriptors and child processes. At a later moment we look
for things that are new. Such a thing is left over if it still does something, or hangs on something that was there
before. Each left-over thing gets one line, and the line says to whom it belongs.

This file reads, and changes nothing. It does not see things without a Python object: threads, timers and connections
that a C or C++ library has made for itself. To learn which job a pool's thread runs, it relies on private names of
concurrent.futures (read in Python 3.7 to 3.14) and of anyio (3.7 and 4.16).
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import io
import os
import queue
import socket
import subprocess
import sys
import threading
import weakref
from concurrent.futures import thread as pool_threads
from typing import Any, Dict, Iterator, List, Optional

from .. import _meeting
from .._binding import is_deleted
from .._report import AbandonedTask
from .._tasks import is_alive
from . import _proc, _settings

# Everybody makes objects of the classes in these modules of Python's. So the class does not tell the object's owner.
_ANYBODYS = {"_io", "builtins", "concurrent", "io", "logging", "signal", "socket", "subprocess", "sys"}


class Plugin:
    """A plug-in, and the tests by which we recognise its modules, files and objects.

    Args:
        package: the full name of the plug-in's package.
        directory: the package's directory; None if it lies in no directory.
    """

    def __init__(self, package: str, directory: Optional[str]) -> None:
        self.package = package
        self._directory = None if directory is None else os.path.realpath(directory)

    def has_module(self, name: Any) -> bool:
        """Whether a module with this name belongs to the plug-in."""
        return isinstance(name, str) and (name == self.package or name.startswith(self.package + "."))

    def has_file(self, path: Any) -> bool:
        """Whether a file or directory lies in the plug-in's directory."""
        if self._directory is None or not isinstance(path, str) or not path:
            return False
        real = os.path.realpath(path)
        return real == self._directory or real.startswith(self._directory + os.sep)

    def owns(self, item: Any) -> bool:
        """Whether this is one of the plug-in's functions or classes, or an instance of such a class."""
        module = getattr(item, "__module__", None)
        return self.has_module(module if isinstance(module, str) else type(item).__module__)

    def holder_of(self, item: Any) -> str:
        """Name the object of the plug-in that refers to this item, or the package if the item's class is the plug-in's.

        Returns an empty text if neither is found.
        """
        if self.has_module(type(item).__module__):
            return f", of {self.package}"
        for referrer in gc.get_referrers(item):
            # Up to Python 3.10, and in classes with a __dict__ of their own, a dict of attributes stands between the
            # holder and the item. So we also ask who refers to the dict.
            for holder in [referrer, *(gc.get_referrers(referrer) if type(referrer) is dict else ())]:
                if self.has_module(type(holder).__module__):
                    return f", held by {type(holder).__module__}.{type(holder).__qualname__}"
            if type(referrer) is dict and self.has_module(referrer.get("__name__")):
                return f", held by the module {referrer['__name__']}"
        return ""

    def whose(self, item: Any) -> str:
        """Say to whom an item belongs: the plug-in, a library, or its holder; an empty text if nobody can tell."""
        while isinstance(item, functools.partial):
            item = item.func
        if item is None:
            return ""
        if self.owns(item):
            return f", of {self.package}"
        module = getattr(item, "__module__", None)
        if inspect.isroutine(item) or inspect.isclass(item):
            return "" if module is None or inspect.isbuiltin(item) else f", of {module}"
        held = self.holder_of(item)
        if held:
            return held
        module = type(item).__module__
        if module.partition(".")[0] not in _ANYBODYS:
            return f", of {module}"
        for referrer in gc.get_referrers(item):
            name = referrer.get("__name__") if type(referrer) is dict else None
            if isinstance(name, str) and name.partition(".")[0] not in _ANYBODYS:
                return f", held by the module {name}"
        return ""


class Moment:
    """A record of the process's present state, to be compared with a later moment.

    Args:
        qt_core: the QtCore module in use.
    """

    def __init__(self, qt_core: Any) -> None:
        gc.collect()
        self._qt_core = qt_core
        self._objects = {id(item): weakref.ref(item) for item in self._watched()}
        self._settings = _settings.Settings()
        self._processes = _proc.descendants()
        self._descriptors = _proc.descriptors()
        self._modules = set(sys.modules)
        self._path = list(sys.path)

    def left_over(self, plugin: Plugin) -> List[str]:
        """Return a line for each thing that is new since this moment and should have gone with the plug-in."""
        gc.collect()
        watched = list(self._watched())
        new = [item for item in watched if not self._knew(item)]
        pools = [item for item in watched if isinstance(item, pool_threads.ThreadPoolExecutor)]
        held = [lease for lease in leases() if not self._knew(lease)]
        found = [_describe_lease(lease) for lease in held]
        own = _of_loops(held)  # a lease that is still there has its line already, so its loop's things get none
        for item in new:
            if isinstance(item, threading.Thread):
                found += self._thread(item, [pool for pool in pools if item in getattr(pool, "_threads", ())], plugin)
            elif isinstance(item, asyncio.Task):
                found += _describe_task(item)
            elif isinstance(item, subprocess.Popen):
                found += _describe_process(item, plugin)
            elif _is_report(item):
                tasks = item.abandoned
                found += [f"task {task.name} of {item.owner!r}, abandoned in:\n{task.stack.rstrip()}" for task in tasks]
                found += [f"thread of {item.owner!r}, in which {job} still runs" for job in item.jobs]
        found += self._qobjects([item for item in new if id(item) not in own], plugin)
        found += self._streams(new, own, plugin)
        found += self._ports(watched, plugin)
        found += self._modules_left(plugin)
        for what, thing, was in self._settings.changes():
            found.append(f"{what}{plugin.whose(thing)}{was}")
        for what, hook in _settings.hooks():
            if plugin.owns(hook):
                found.append(f"{what}: {hook!r}, of {plugin.package}")
        return found

    def _watched(self) -> Iterator[Any]:
        """Yield all objects of the watched kinds."""
        kinds = (
            asyncio.Task,
            io.FileIO,
            socket.socket,
            subprocess.Popen,
            threading.Thread,
            pool_threads.ThreadPoolExecutor,
            self._qt_core.QObject,
        )
        for item in gc.get_objects():
            # Not isinstance(), which asks the instance for __class__: it may claim to be anything.
            if issubclass(type(item), kinds) or _is_report(item):
                yield item
        yield from leases()

    def _knew(self, item: Any) -> bool:
        reference = self._objects.get(id(item))
        return reference is not None and reference() is item

    def _thread(self, thread: Any, pools: List[Any], plugin: Plugin) -> List[str]:
        # The report of detach() lists asyncslot's own threads. Nobody can end a thread that Python has not started.
        if not thread.is_alive() or isinstance(thread, threading._DummyThread) or thread.name.startswith("asyncslot-"):
            return []
        frames = _frames_of(thread)
        job = _job_of(thread, frames)
        pool = f", of a {type(pools[0]).__name__}{plugin.whose(pools[0])}" if pools else ""
        if job is None and pools:
            # A pool that was there before may have more threads now; that is its owner's affair.
            return [] if self._knew(pools[0]) else [f"thread {thread.name}, idle{pool}: its shutdown() ends it"]
        runs = "" if job is None else f", which runs {getattr(job, '__qualname__', job)}()"
        whose = f" of {plugin.package}" if plugin.owns(job) else pool or _for_task(thread, plugin)
        own = [frame for frame in frames if plugin.has_file(frame.f_code.co_filename)]
        stands = "".join(f", in {frame.f_code.co_filename}:{frame.f_lineno}" for frame in [*own, *frames][:1])
        # Before Python 3.9 the threads of pools were daemons, but the end of the process waited for them all the same.
        is_joined = not thread.daemon or thread in pool_threads._threads_queues
        keeps = "; the host cannot exit before it ends" if is_joined else ""
        return [f"thread {thread.name}{runs}{whose or plugin.holder_of(thread)}{stands}{keeps}"]

    def _ports(self, watched: List[Any], plugin: Plugin) -> List[str]:
        """Return a line for each socket on which a new child process listens: most likely the child has inherited it.

        Sockets with a path are left out: multiprocessing's fork server has one, and stays until the host ends.
        """
        found = []
        processes = {getattr(item, "pid", None): item for item in watched if isinstance(item, subprocess.Popen)}
        children = {pid: chain for pid, chain in _proc.descendants().items() if pid not in self._processes}
        sockets = {pid: _proc.links_of(pid) for pid in children}
        for target, address in _proc.listening().items() if children else ():
            pids = sorted(pid for pid in children if target in sockets[pid].values())
            if pids:
                chain = [pid for each in pids for pid in children[each]]
                held = next((plugin.holder_of(processes[pid]) for pid in chain if pid in processes), "")
                who = " and ".join(f"{pid} ({_proc.command_of(pid)})" for pid in pids)
                kind = "processes" if len(pids) > 1 else "process"
                found.append(f"listening socket {address}, kept open by the child {kind} {who}{held}")
        return found

    def _qobjects(self, new: List[Any], plugin: Plugin) -> List[str]:
        core = self._qt_core
        left = {id(item): item for item in new if isinstance(item, core.QObject) and self._is_in_effect(item)}
        parents = {key: core.QObject.parent(item) for key, item in left.items()}
        return [
            f"{_describe_qobject(item, parents[key], core)}{plugin.holder_of(item)}"
            for key, item in left.items()
            if id(parents[key]) not in left  # otherwise the parent's line is enough
        ]

    def _is_in_effect(self, item: Any) -> bool:
        """Whether a QObject does something, or hangs on an object that was there before.

        All others are left for Python to delete.
        """
        core = self._qt_core
        try:
            if is_deleted(item):
                return False
            for kind, claim in ((core.QTimer, "isActive"), (core.QSocketNotifier, "isEnabled")):
                if isinstance(item, kind) and getattr(item, claim)():
                    return True
            if isinstance(item, core.QThread) and item.isRunning():
                return True
            # Not item.parent(): item models have another method of that name.
            root, parent = item, core.QObject.parent(item)
            while parent is not None:
                root, parent = parent, core.QObject.parent(parent)
            if root is not item and self._knew(root):
                return True
            return bool(root.isWidgetType() and root.isVisible())
        except RuntimeError:  # Qt has deleted the object meanwhile
            return False

    def _streams(self, new: List[Any], own: Dict[int, Any], plugin: Plugin) -> List[str]:
        """Return a line for each thing that is open.

        Sockets and files with a Python object come with their holder, other descriptors with what they link to.
        """
        known = {item.fileno() for item in own.values() if hasattr(item, "fileno")}
        found = []
        for item in new:
            if isinstance(item, (socket.socket, io.FileIO)) and not _is_closed(item) and id(item) not in own:
                known.add(item.fileno())
                found.append(f"{_describe_stream(item)}{plugin.holder_of(item)}")
        for number, target in _proc.descriptors().items():
            if number not in known and self._descriptors.get(number) != target:
                found.append(f"descriptor {number}: {target}")
        return found

    def _modules_left(self, plugin: Plugin) -> List[str]:
        """Return lines for the plug-in's entries of sys.path, and for modules from its directory under other names.

        No host forgets such modules, because their names do not begin with the package's.
        """
        found = [f"entry of sys.path: {path}" for path in sys.path if path not in self._path and plugin.has_file(path)]
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if name not in self._modules and not plugin.has_module(name) and plugin.has_file(path):
                found.append(f"module {name} from {path}, which is outside of the package {plugin.package}")
        return found


def _is_report(item: Any) -> bool:
    """Whether this is a report that detach() has returned, of any copy."""
    return type(item).__name__ == "DetachReport" and hasattr(item, "abandoned")


def leases() -> List[Any]:
    """Return the leases of all copies, in all threads."""
    return _meeting.all_leases()


def _of_loops(held: List[Any]) -> Dict[int, Any]:
    """Return the attributes of these leases' loops, and of the objects that the loops wait with, by identity."""
    holders = [holder for lease in held for holder in (lease.loop, getattr(lease.loop, "_as_wait", None))]
    return {id(item): item for holder in holders if holder is not None for item in vars(holder).values()}


def _frames_of(thread: Any) -> List[Any]:
    """Return the frames of a thread's stack, the innermost first."""
    frames = []
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _describe_lease(lease: Any) -> str:
    return f"lease of {lease.owner!r}, not detached: unload must call asyncslot.detach()"


def _describe_task(task: Any) -> List[str]:
    if not is_alive(task):
        return []
    frame = getattr(task._coro, "cr_frame", None)
    module = "an unknown module" if frame is None else frame.f_globals.get("__name__")
    told = AbandonedTask(task, module)
    return [f"task {told.name} of {module}, which stands in:\n{told.stack.rstrip()}"]


def _job_of(thread: Any, frames: List[Any]) -> Any:
    """Return the function that a thread runs, in a pool's thread the job's function; None if it is idle or unknown.

    Args:
        thread: a Thread.
        frames: the frames of its stack, the innermost first.
    """
    is_of_anyio = type(thread).__module__.partition(".")[0] == "anyio"
    for inner, frame in zip([None, *frames], frames):
        if frame.f_code is pool_threads._WorkItem.run.__code__:
            item = frame.f_locals.get("self")
            if item is None:
                return None  # the job has just failed
            return item.fn if hasattr(item, "fn") else item.task[0]  # `task` from Python 3.14 on
        if is_of_anyio and frame.f_code is type(thread).run.__code__ and inner is not None:
            return None if inner.f_code is queue.Queue.get.__code__ else frame.f_locals.get("func")
    target = getattr(thread, "_target", None)
    return None if target is pool_threads._worker else target


def _for_task(thread: Any, plugin: Plugin) -> str:
    """Name the plug-in's task that one of anyio's threads works for; an empty text if there is none."""
    task = getattr(thread, "root_task", None)
    coro: Any = getattr(task, "_coro", None)
    if not plugin.has_file(getattr(getattr(coro, "cr_code", None), "co_filename", None)):
        return ""
    return f", for {coro.__qualname__}() of {plugin.package}"


def _describe_process(process: Any, plugin: Plugin) -> List[str]:
    if getattr(process, "pid", None) is None or process.poll() is not None:
        return []
    return [f"child process {process.pid}: {process.args!r}{plugin.holder_of(process)}"]


def _describe_qobject(item: Any, parent: Any, core: Any) -> str:
    name = item.objectName()
    does = ""
    if isinstance(item, core.QTimer) and item.isActive():
        does = f", active, every {item.interval()} ms"
    elif isinstance(item, core.QSocketNotifier):
        does = f", on descriptor {int(item.socket())}"
    elif isinstance(item, core.QThread):
        does = ", running"
    child = "" if parent is None else f", child of a {type(parent).__name__}"
    return f"{type(item).__name__}{f' {name!r}' if name else ''}{does}{child}"


def _describe_stream(item: Any) -> str:
    if isinstance(item, io.FileIO):
        return f"open file {item.name!r}"
    try:
        address = item.getsockname()
        return f"open socket {address}" if address else "open socket"
    except OSError:
        return "open socket"


def _is_closed(item: Any) -> bool:
    return item.closed if isinstance(item, io.FileIO) else item.fileno() < 0

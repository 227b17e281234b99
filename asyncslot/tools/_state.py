"""What our loops are doing: for whom, how they wait, and what each owner has under way.

Loops and leases may be of other copies and versions, so we know them by the names
of their attributes only. We describe a task by its own name, its coroutine's name
and the lines at which it stands. We show no arguments and no local variables, which
may be secrets, and no directories that lead to the plug-in.

This module does not know how a report is laid out.
"""

from __future__ import annotations

import functools
import inspect
import re
import threading
from asyncio import events
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from .. import _lease, _meeting
from .._tasks import frames_of
from ._facts import Fact, First, Section, each, fact, first
from ._surroundings import describe_host

# How often we try to read a set that another thread may change meanwhile.
_ATTEMPTS = 100


def loops() -> List[Section]:
    """Return one section for each loop and one for each owner of it."""
    sections, known = [], []
    for thread, record in list(_meeting._all_places().items()):
        known.append(record.get("loop"))
        sections += _loop_sections(f"Loop of thread {_thread_name(thread)}", record)
    running = events._get_running_loop()
    if hasattr(running, "run_task") and running not in known:
        # The loop of AsyncSlotRunner or `with AsyncSlotEventLoop()` has no place, for nobody else is to meet there.
        sections += _loop_sections("Loop that is running in this thread", {"loop": running, "leases": {}})
    if not sections:
        sections.append(Section("Loop", [Fact("state", "nobody is attached", [])]))
    ended = [str(report).splitlines()[0] for report in _lease.reports()]
    if ended:
        sections.append(Section("Leases of this copy that have ended", [fact("reports", lambda: ended)]))
    return sections


def _thread_name(identifier: int) -> str:
    for thread in threading.enumerate():
        if thread.ident == identifier:
            return thread.name
    return f"{identifier}, which Python does not know or which has ended"


def _loop_sections(title: str, record: Dict[str, Any]) -> List[Section]:
    loop: Any = record.get("loop")
    leases: Dict[str, Any] = dict(record.get("leases") or {})
    if record.get("protocol", _meeting.PROTOCOL) != _meeting.PROTOCOL:
        # This copy does not know what else the objects of another protocol could be asked.
        return [Section(title, [fact("made by", lambda: _maker(record)), fact("owners", lambda: list(leases))])]
    facts = [
        fact("made by", lambda: _maker(record)),
        fact("state", lambda: str(loop._as_facts()["state"])),
        fact("waits by", lambda: str(loop._as_facts()["waits by"])),
        fact("step budget", lambda: f"{loop.step_budget * 1000:g} ms"),
        fact("longest step", lambda: _longest(loop._as_facts()["longest"])),
        fact("failed polls", lambda: f"{loop._as_facts()['failed polls']} in a row, up to now"),
        fact("callbacks", lambda: "ready {ready}, timed {timed}".format(**loop._as_facts())),
        fact("descriptors", lambda: _descriptors(loop._as_facts()["descriptors"])),
        fact("debug mode", lambda: "on" if loop.get_debug() else "off"),
        fact("owners", lambda: [f"{name}: {_lease_state(lease)}" for name, lease in leases.items()]),
    ]
    sections = [Section(title, facts)]
    # One look for all owners, as each goes through all tasks of the loop.
    grouped = functools.lru_cache(maxsize=None)(functools.partial(_grouped, loop))
    for name, lease in leases.items():
        sections.append(_owner_section(name, lease, grouped))

    def nobodys_tasks() -> First:
        known = {id(lease._owner) for lease in leases.values()}
        return _describe_tasks(task for key, tasks in grouped().items() if key not in known for task in tasks)

    nobodys = fact("tasks", nobodys_tasks)
    if nobodys.text != "none":
        sections.append(Section("Nobody's in particular", [nobodys]))
    return sections


def _maker(record: Dict[str, Any]) -> str:
    if "version" not in record:
        return f"{type(record['loop']).__module__}, in a program that owns its application"
    return f"version {record['version']}, protocol {record['protocol']}, in {record['path']}"


def _longest(longest: Tuple[float, str]) -> str:
    seconds, cause = longest
    if not seconds:
        return "none is known to have gone over its budget"
    return f"went over its budget by a callback of {seconds * 1000:.1f} ms: {_without_directories(cause)}"


def _descriptors(count: Optional[int]) -> str:
    """Say how many descriptors are watched; a completion port, on Windows, watches none."""
    return "a completion port has none" if count is None else str(count)


def _lease_state(lease: Any) -> str:
    try:
        return "attached" if lease.is_attached else "has ended, and waits for its own task to leave the stack"
    except Exception:
        return "cannot be read"


def _grouped(loop: Any) -> Dict[int, List[Any]]:
    """Return the tasks of a loop by the id() of their owner."""
    found: Dict[int, List[Any]] = {}
    for task, owner in loop._as_tasks():
        found.setdefault(id(owner), []).append(task)
    return found


def _owner_section(name: str, lease: Any, grouped: Callable[[], Dict[int, List[Any]]]) -> Section:
    """Return the section on an owner's work."""
    facts = [
        fact("lease", lambda: _lease_state(lease)),
        fact("copy", lambda: _copy_of(lease)),
        fact("host", lambda: describe_host(lease.host)),
        fact("tasks", lambda: _describe_tasks(grouped().get(id(lease._owner), []))),
        fact("open", lambda: sorted(each(_open_resources(lease._owner), _describe_resource))),
        fact("executor jobs", lambda: _jobs(lease._owner.executor)),
    ]
    return Section(f"Owner {name!r}", facts)


def _copy_of(lease: Any) -> str:
    """Return name and version of the package that gave a lease, also if it is not in `sys.modules` any more."""
    names = type(lease).detach.__globals__
    version = getattr(names.get("_meeting"), "__version__", "unknown")
    return f"{names['__name__'].rpartition('.')[0]}, version {version}"


def _members(weak_set: Any) -> List[Any]:
    """Return the members of a weak set, which the loop's thread may change meanwhile."""
    for _ in range(_ATTEMPTS):
        try:
            return list(weak_set)
        except RuntimeError:  # changed size during iteration
            pass
    raise RuntimeError("it changes all the time")


# -- tasks -------------------------------------------------------------------


def _describe_tasks(tasks: Iterable[Any]) -> First:
    """Describe tasks in the order of their names, `Task-10` after `Task-9`."""
    return first(tasks, _by_name, describe_task)


def _by_name(task: Any) -> Tuple[int, str]:
    name = _task_name(task)
    return len(name), name


def describe_task(task: Any) -> str:
    """Return a task's name, its coroutine's, and where it stands: outermost, in the plug-in's code, and innermost."""
    frames = frames_of(task)
    coro = getattr(task, "_coro", None)
    name = f"{_task_name(task)}: {getattr(coro, '__qualname__', None) or type(coro).__qualname__}()"
    if not frames:
        return f"{name}, which is over or not of Python"
    home = _top(frames[0])
    # The plug-in's innermost line, too, for one coroutine of a plug-in often awaits another.
    last = [frame for frame in frames if _top(frame) == home][-1]
    words = [f"{name} at {_line(frames[0])}"]
    for frame in (last, frames[-1]):
        place = f"in {frame.f_code.co_name}() at {_line(frame)}"
        if frame is not frames[0] and place not in words:
            words.append(place)
    if getattr(coro, "cr_running", False):
        words.append("on the stack now")
    elif inspect.iscoroutine(coro) and inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
        words.append("not begun")
    return ", ".join(words)


def _task_name(task: Any) -> str:
    get_name: Any = getattr(task, "get_name", None)  # Python 3.8
    return "task" if get_name is None else str(get_name())


def _top(frame: Any) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _line(frame: Any) -> str:
    return f"{_short(frame.f_code.co_filename, _top(frame))}:{frame.f_lineno}"


def _short(path: str, top: str) -> str:
    """Return a file's path from its top-level package on; the directories above that are the user's."""
    parts = re.split(r"[/\\]", path)
    while len(parts) > 1 and top in parts[1:]:
        parts = parts[1:]
    return "/".join(parts) if parts[0] == top else parts[-1]


def _without_directories(text: str) -> str:
    """Take the directories out of a text that names files."""
    return re.sub(r"(?:[A-Za-z]:)?(?:[/\\][^/\\:'\"<>|]+)*[/\\]([^/\\:'\"<>|]+\.py\w?)", r"\1", text)


# -- what else an owner has --------------------------------------------------


def _open_resources(owner: Any) -> List[Any]:
    return [resource for resource in _members(owner.resources) if _is_open(resource)]


def _is_open(resource: Any) -> bool:
    is_serving: Any = getattr(resource, "is_serving", None)
    is_closing: Any = getattr(resource, "is_closing", None)
    if is_serving is not None:
        return bool(is_serving())
    return is_closing is None or not is_closing()


def _describe_resource(resource: Any) -> str:
    """Describe a resource: of an address only the port, no path, and of a subprocess no argument."""
    if hasattr(resource, "is_serving"):
        ports = [_port(sock.getsockname()) for sock in getattr(resource, "sockets", None) or ()]
        return "server on " + (" and ".join(sorted(set(ports))) or "nothing")
    if hasattr(resource, "_signature"):
        return str(resource)  # a signal that is awaited; the text has none of its arguments
    name = type(resource).__name__
    if hasattr(resource, "get_pid"):
        return f"subprocess {resource.get_pid()} ({name})"
    info: Any = getattr(resource, "get_extra_info", None)
    peer = None if info is None else info("peername")
    return name if not peer else f"connection to {_port(peer)} ({name})"


def _port(address: Any) -> str:
    return f"port {address[1]}" if isinstance(address, tuple) else "a local socket"


def _jobs(executor: Optional[Any]) -> List[str]:
    if executor is None:
        return []
    running = [f"runs: {name}" for name in executor.running()]
    waiting = executor.waiting()
    return running + ([f"{waiting} waiting for a thread"] if waiting else [])

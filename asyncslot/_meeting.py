"""Where those who share a loop find each other: one meeting place per GUI thread, in the whole process.

Plug-ins bring copies of this package, under different names and in different
versions. The copies share one loop, so the place where they look for it belongs to
none of them. It is a dict that hangs on the `asyncio` module, in a form that every
copy understands. The objects in it outlive the copy that made them.

    asyncio._asyncslot_meeting_1 = {thread: place, ...}

    place = {"protocol": PROTOCOL, "version": ..., "path": ..., "loop": ..., "leases": {...}, "ending": [...]}

A place exists from the first attach() in its thread to the last detach(); the dict
goes with the last place. When the loop's copy is purged from `sys.modules`, the loop
lives on, for its methods hold the globals that they need.

TREATY lists all that a copy may ask of another copy's objects, for a loop may have been made by a copy of
another version than the lease that rides on it. Owners, their executors and the objects that call the loop
back are made by the loop's copy. So the modules that make the loop meet objects of their own copy only;
leases, the monitor and reports meet those of all copies. PROTOCOL counts the changes, of the form above or of
the treaty, after which copies no longer understand each other. A copy that finds another number says so.
tests/lease/test_treaty.py reads the code, tests/lease/test_frozen_copies.py runs old copies against it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from . import __version__
from ._errors import IncompatibleCopyError

if TYPE_CHECKING:
    from ._lease import Lease

PROTOCOL = 3

# The number in the name is that of the outermost form, the dict of places. It will not
# change: copies with different protocols must find each other to be able to say so.
_KEY = "_asyncslot_meeting_1"

TREATY: Dict[str, Dict[str, str]] = {
    # The dict that hangs on asyncio, for one thread.
    "place": {
        "protocol": "the number that decides whether copies understand each other",
        "version": "of the copy that opened the place, for people",
        "path": "of that copy, for people",
        "loop": "the loop that all share",
        "leases": "by name",
        "ending": "leases that have ended and wait for a step of their owner's to be over",
    },
    # Besides the methods that asyncio documents for every loop.
    "loop": {
        "run_task": "(coro): make a task and run its first step; that it is there tells a loop of ours from others",
        "step_budget": "seconds",
        "_thread_id": "asyncio's: the thread that it runs in; None before and after",
        "_as_join": "(name, module, copy, report): a new owner, who is known from now on",
        "_as_begin_leaving": "(owner): its package may have a newer lease",
        "_as_take_leave": "(owner): know it no more",
        "_as_owner_of_task": "(task, contexts): the owner or None",
        "_as_owner": "the context variable that carries the owner",
        "_as_owner_of_handle": "(handle): the owner or None",
        "_as_call_for": "(owner, fn, *args): call in the name of an owner",
        "_as_tasks_of": "(owner): its tasks that go on",
        "_as_tasks": "(): pairs of all tasks that go on and their owners, which may be None",
        "_as_transports_of": "(owner): the transports that libraries have made for it past the loop",
        "_as_stop_accepting": "(server): listen no more",
        "_as_forget": "(owner, kept): drop what it has scheduled and registered, and describe the latter; kept: a list,"
        " to which is added what must stay; None: all stays that its tasks need to clean up",
        "_as_has_ready": "(): whether something is to be run in the next turn",
        "_as_stack": "what of the loop is on its thread's stack",
        "_as_run_alone": "(is_done, deadline, owner, waits_for): run asyncio without Qt;"
        " waits_for(task, token): whether the caller waits for a task, which then must not wait for Qt",
        "_as_run_with_events": "(is_done, deadline): run asyncio with Qt's events, the user's excluded",
        "_as_run_alone_for": "(owner, start, is_over, deadline): run asyncio without Qt until a future of its is done;"
        " return the future",
        "_as_ask_qt": "(owner, refuse): the calling task waits until Qt calls a function; return what ends that."
        " refuse(): called where somebody waits for the task and no Qt loop runs",
        "_as_is_alone_for": "(owner): whether somebody waits for it while no Qt loop runs",
        "_as_notice_end_of_qt": "(): ask nothing of Qt if the application is gone",
        "_as_revive": "(qt_core, application): be called by an application that was made anew",
        "_as_probe": "a QObject that lives as long as the application; another one after _as_revive()",
        "_as_shut_down": "(): be called no more, and close",
        "_as_facts": "(): what it is doing, in plain values: state, waits by, longest, failed polls, ready, timed,"
        " descriptors",
        "_as_monitor": "the Monitor of whichever copy has opened it; not there before",
        "_as_wait": "what calls it back; None if it is not attached",
        "_as_run_now": "(handle): run a callback now, with the loop running; never raises",
        "_as_watch": "None, or what measures its steps",
    },
    "stack": {
        "handles": "(): the handles that are being run",
        "when_unwound": "(fn): call when no entry of the loop is on the stack",
        "published_loop": "the loop itself while a program of its own runs it",
    },
    # The loop's copy asks this of the copy that has opened the monitor.
    "watch": {
        "begin_step": "(handle): a task's first step begins, or if None a step; return None or end_step()'s `step`",
        "end_step": "(step, handle): it is over",
        "overran": "(seconds, what): a callback was too long",
    },
    "monitor": {
        "show_again": "(): bring the window to the front; false if it is gone",
        "window": "the QDockWidget or QDialog",
    },
    "owner": {
        "name": "what people read",
        "copy": "the full name of the copy that it came through",
        "report": "(message, exc): tell the users of its host; never raises",
        "resources": "a weak set of what is closed with its lease; each has is_closing() and close(), or is a server",
        "async_generators": "a weak set",
        "executor": "None, or what runs its jobs",
        "context": "(): a copy of the caller's context that carries it",
    },
    "executor": {
        "abandon": "(): drop the jobs that wait and the results of those that run, and name the latter",
        "running": "(): the names of the functions that run",
        "waiting": "(): how many jobs wait for a thread",
    },
    "lease": {
        "owner": "what people read",
        "loop": "the loop",
        "host": "the adapter",
        "is_attached": "whether it holds",
        "detach": "(timeout, process_events): end it; both may be left out",
        "_owner": "the owner on the loop",
    },
}


class Place:
    """One thread's loop and its leases, whichever copy opened it.

    Attributes:
        leases: by name.
        ending: leases that have ended, wait for a step of their owner's to be over, and have lost their place in
            `leases` to a newer lease of the same name. They need the loop until then.
    """

    def __init__(self, record: Dict[str, Any]) -> None:
        self.loop: Any = record["loop"]
        self.leases: Dict[str, Lease] = record["leases"]
        self.ending: List[Lease] = record["ending"]

    def distinct(self, name: str, where: str) -> str:
        """Return a name that no attached lease has: this one, or this one with `where` behind it."""
        distinct, count = name, 1
        while distinct in self.leases and self.leases[distinct].is_attached:
            distinct = f"{name} ({where})" if count == 1 else f"{name} ({where}, {count})"
            count += 1
        return distinct

    def enter(self, lease: Lease) -> None:
        """Let others find a lease."""
        before = self.leases.get(lease.owner)
        if before is not None:
            self.ending.append(before)
        self.leases[lease.owner] = lease


def here() -> Optional[Place]:
    """Return the calling thread's place, if there is one.

    Raises:
        IncompatibleCopyError: a copy with another protocol has opened it.
    """
    record = _all_places().get(threading.get_ident())
    if record is None:
        return None
    if record["protocol"] != PROTOCOL:
        raise IncompatibleCopyError(_describe(_record()), _describe(record))
    return Place(record)


def find() -> Optional[Place]:
    """Return the calling thread's place, if there is one and this copy understands it."""
    record = _all_places().get(threading.get_ident())
    return Place(record) if record is not None and record["protocol"] == PROTOCOL else None


def open_place(loop: Any) -> Place:
    """Make the calling thread's place."""
    record = dict(_record(), loop=loop, leases={}, ending=[])
    vars(asyncio).setdefault(_KEY, {})[threading.get_ident()] = record
    return Place(record)


def leave(lease: Lease) -> None:
    """Let nobody find a lease any more."""
    for record in list(_all_places().values()):
        if record["loop"] is lease.loop:
            if record["leases"].get(lease.owner) is lease:
                del record["leases"][lease.owner]
            elif lease in record["ending"]:
                record["ending"].remove(lease)


def close_if_empty(loop: Any) -> None:
    """Withdraw the place of a loop that nobody uses any more, and close the loop. GUI thread only."""
    places = _all_places()
    for thread, record in list(places.items()):
        if record["loop"] is loop and not record["leases"] and not record["ending"]:
            del places[thread]
            if not places:
                vars(asyncio).pop(_KEY, None)
            loop._as_shut_down()


def all_leases() -> List[Any]:
    """Return the leases of all copies that speak this protocol, in all threads."""
    records = [record for record in list(_all_places().values()) if record["protocol"] == PROTOCOL]
    return [lease for record in records for lease in list(record["leases"].values())]


def _all_places() -> Dict[int, Dict[str, Any]]:
    """Return the places by thread identifier; each thread changes its own only."""
    places: Dict[int, Dict[str, Any]] = vars(asyncio).get(_KEY, {})
    return places


def _record() -> Dict[str, Any]:
    """Return what this copy writes about itself."""
    return {"protocol": PROTOCOL, "version": __version__, "path": os.path.dirname(__file__)}


def _describe(record: Dict[str, Any]) -> str:
    return f"version {record['version']} in {record['path']!r} (protocol {record['protocol']})"

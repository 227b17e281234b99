"""Where those who share a loop find each other: one meeting place per GUI thread, in the whole process.

Plug-ins bring copies of this package, under different names and in different
versions. They share one loop, so the place where they look for it belongs to none
of them: a dict that hangs on the `asyncio` module, in a form that every copy
understands, of objects that outlive the copy that made them.

    asyncio._asyncslot_meeting_1 = {thread: place, ...}

    place = {"protocol": PROTOCOL, "version": ..., "path": ...,    of the copy that opened it
             "loop": the loop, "leases": {owner: lease}}

A place exists from the first attach() in its thread to the last detach(); the dict
goes with the last place. The loop survives that its copy is purged from
`sys.modules`: its methods hold the globals that they need.

PROTOCOL counts the changes after which copies no longer understand each other: of
this form, of what `_lease`, `_detach` and `_attach` do with a loop that another
copy made, and with another copy's lease. A copy that finds another number says so.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from . import __version__
from ._errors import IncompatibleCopyError
from ._report import DetachReport

if TYPE_CHECKING:
    from ._lease import Lease

PROTOCOL = 2

# The number is that of the outermost form, and will not change: copies with other
# protocols must find each other to be able to say so.
_KEY = "_asyncslot_meeting_1"

# The last report of each owner of this copy whose lease has ended. A slot of theirs
# that still hears a signal has nothing to do any more, which is no error; and a host
# that quits ends leases before it calls unload(), where the report is wanted.
ended: Dict[str, DetachReport] = {}


class Place:
    """One thread's loop and its leases, whichever copy opened it.

    Attributes:
        leases: by owner.
        ending: leases that have ended and wait for a step of their owner's to be over, where the owner has a newer one.
            The loop is needed until then.
    """

    def __init__(self, record: Dict[str, Any]) -> None:
        self.loop: Any = record["loop"]
        self.leases: Dict[str, Lease] = record["leases"]
        self.ending: List[Lease] = record.setdefault("ending", [])


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


def is_here() -> bool:
    """Whether the calling thread has a place, whichever copy's."""
    return threading.get_ident() in _all_places()


def find_anywhere(owner: str) -> Optional[Lease]:
    """Return an owner's lease, in whichever thread's place; a thread without one asks, too."""
    for record in list(_all_places().values()):
        if record["protocol"] == PROTOCOL and owner in record["leases"]:
            lease: Lease = record["leases"][owner]
            return lease
    return None


def open_place(loop: Any) -> Place:
    """Make the calling thread's place."""
    record = dict(_record(), loop=loop, leases={})
    vars(asyncio).setdefault(_KEY, {})[threading.get_ident()] = record
    return Place(record)


def close_place() -> None:
    """Withdraw the calling thread's place."""
    places = _all_places()
    places.pop(threading.get_ident(), None)
    if not places:
        vars(asyncio).pop(_KEY, None)


def _all_places() -> Dict[int, Dict[str, Any]]:
    """Return the places by thread identifier; each thread reads and writes its own only."""
    places: Dict[int, Dict[str, Any]] = vars(asyncio).get(_KEY, {})
    return places


def _record() -> Dict[str, Any]:
    """Return what this copy writes about itself."""
    return {"protocol": PROTOCOL, "version": __version__, "path": os.path.dirname(__file__)}


def _describe(record: Dict[str, Any]) -> str:
    return f"version {record['version']} in {record['path']!r} (protocol {record['protocol']})"

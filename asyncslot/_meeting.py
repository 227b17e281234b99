"""Where those who share a loop find each other: one meeting place per GUI thread.

A place holds the loop and the leases on it, by owner. It exists from the first
attach() to the last detach().

Everything here goes through `here()`, `open_place()` and `close_place()`, so that
several vendored copies of this package can come to share their places without
anybody else having to know.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Dict, Optional

from ._report import DetachReport

if TYPE_CHECKING:
    from ._lease import Lease


class Place:
    """One thread's loop and its leases."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.leases: Dict[str, Lease] = {}


# By thread identifier. Each thread reads and writes its own entry only.
_places: Dict[int, Place] = {}

# The last report of each owner whose lease has ended. A slot of theirs that still
# hears a signal has nothing to do any more, which is no error; and a host that
# quits ends leases before it calls unload(), where the report is wanted.
ended: Dict[str, DetachReport] = {}


def here() -> Optional[Place]:
    """Return the calling thread's place, if there is one."""
    return _places.get(threading.get_ident())


def open_place(loop: Any) -> Place:
    """Make the calling thread's place."""
    place = _places[threading.get_ident()] = Place(loop)
    return place


def close_place() -> None:
    """Withdraw the calling thread's place."""
    _places.pop(threading.get_ident(), None)

"""Which host application is this process? One module per host, each a handful of facts about that host.

Adapters know nothing of the loop: what one must offer is written in README.md beside this file. What several of them
share is in the modules with a leading underscore. Nothing here imports a host to find out whether it is there. A
running host has long been loaded, so looking in `sys.modules` is enough, and importing one from outside would start it,
or fail, or bring a second Qt into the process.

An adapter is imported where its host's module is loaded, when it is looked for: all of them together took longer than
any other part of the package (4 of 12 ms, 2026-11), in every host. A copy need not have them all.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Callable, Iterator, Optional

# Each adapter, in the order in which they are asked, with the module without which its host is not there.
_ADAPTERS = {
    "qgis": "qgis.utils",
    "krita": "krita",
    "freecad": "FreeCAD",
    "napari": "napari",
    "maya": "maya.cmds",
    "houdini": "hou",
    "nuke": "nuke",
    "max3ds": "pymxs",
    "substance_painter": "substance_painter",
}


def find_batch_hint() -> Optional[str]:
    """Return what the host, if this process is one without its GUI, wants used instead; None in any other process."""
    for adapter in _candidates():
        batch: Optional[Callable[[], Optional[str]]] = getattr(adapter, "batch", None)
        hint = None if batch is None else batch()
        if hint is not None:
            return hint
    return None


def find() -> Optional[ModuleType]:
    """Return the adapter of the host that is running with its GUI up, or None in any other process."""
    for adapter in _candidates():
        if adapter.is_running():
            return adapter
    return None


def _candidates() -> Iterator[ModuleType]:
    """Yield the adapters whose host may be there: other programs load its modules, too, and only the adapter knows."""
    for name, module in _ADAPTERS.items():
        if module in sys.modules:
            try:
                # By builtins.__import__: QGIS forgets, on unload, only modules that it has seen go through there.
                adapter = __import__(f"{__name__}.{name}", fromlist=["NAME"])
            except ModuleNotFoundError as exc:
                if exc.name != f"{__name__}.{name}":
                    raise  # the adapter is there, and what it needs is not
            else:
                yield adapter

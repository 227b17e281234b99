"""Which host application is this process? One module per host, each a handful of facts about that host.

Adapters know nothing of the loop: what one must offer is written in README.md beside this file. What several of them
share is in the modules with a leading underscore. Nothing here imports a host to find out whether it is there. A
running host has long been loaded, so looking in `sys.modules` is enough, and importing one from outside would start it,
or fail, or bring a second Qt into the process.
"""

from __future__ import annotations

from types import ModuleType
from typing import Callable, Optional

from . import freecad, houdini, krita, max3ds, maya, napari, nuke, qgis, substance_painter

_ADAPTERS = (qgis, krita, freecad, napari, maya, houdini, nuke, max3ds, substance_painter)


def find_batch_hint() -> Optional[str]:
    """Return what the host, if this process is one without its GUI, wants used instead; None in any other process."""
    for adapter in _ADAPTERS:
        batch: Optional[Callable[[], Optional[str]]] = getattr(adapter, "batch", None)
        hint = None if batch is None else batch()
        if hint is not None:
            return hint
    return None


def find() -> Optional[ModuleType]:
    """Return the adapter of the host that is running with its GUI up, or None in any other process."""
    for adapter in _ADAPTERS:
        if adapter.is_running():
            return adapter
    return None

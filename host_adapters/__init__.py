"""Find out which host application this process is. One module per host has a handful of facts about that host.

Adapters know nothing of the loop. README.md beside this file has the contract that each of them must keep. Code that
several adapters share is in the modules with a leading underscore.

Nothing here imports a host's module to find out whether the host is there. In a running host that module is loaded
already, so a look into `sys.modules` is enough. To import it from outside would start the host, or fail, or bring a
second Qt into the process.
"""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import Any, Callable, Iterator, Optional

# The adapters in the order in which we ask them, each with a module that is always loaded in its host.
_ADAPTERS = {
    "qgis": "qgis.utils",
    "krita": "krita",
    "freecad": "FreeCAD",
    "napari": "napari",
    "anki": "aqt",
    "cura": "cura.CuraApplication",
    "maya": "maya.cmds",
    "houdini": "hou",
    "nuke": "nuke",
    "max3ds": "pymxs",
    "substance_painter": "substance_painter",
    "ida": "ida_kernwin",
    "binary_ninja": "binaryninja",
}


_logger = logging.getLogger(__name__)


def find_batch_hint() -> Optional[str]:
    """Return a host's advice if this process is that host without its GUI; None in any other process."""
    for adapter in _candidates():
        hint: Optional[str] = _ask(adapter, getattr(adapter, "batch", None))
        if hint is not None:
            return hint
    return None


def find() -> Optional[ModuleType]:
    """Return the adapter of the host that is running with its GUI up, or None in any other process.

    Raises:
        ModuleNotFoundError: an adapter needs a module that is not there.
    """
    for adapter in _candidates():
        if _ask(adapter, adapter.is_running):
            return adapter
    return None


def _ask(adapter: ModuleType, question: Optional[Callable[[], Any]]) -> Any:
    """Return an adapter's answer; None if it has none, or fails: this may be any process, a test with stubs, say."""
    try:
        return None if question is None else question()
    except Exception:
        _logger.warning("%s failed, so this process is taken for another host", adapter.__name__, exc_info=True)
        return None


def _candidates() -> Iterator[ModuleType]:
    """Yield the adapters of hosts that may be there: the host's module is loaded, but another program may have done so.

    We import an adapter only then. To import all of them took longer than any other part of the package (4 of 12 ms,
    2026-11), in every host.
    """
    for name, module in _ADAPTERS.items():
        if module in sys.modules:
            try:
                # By __import__(), as QGIS has its own in builtins. On unload it forgets only the modules that were
                # imported through that.
                adapter = __import__(f"{__name__}.{name}", fromlist=["NAME"])
            except ModuleNotFoundError as exc:
                # A copy of the package need not have all adapters, so a missing one is no error.
                if exc.name != f"{__name__}.{name}":
                    raise  # the adapter is there, but a module that it needs is not
            else:
                yield adapter

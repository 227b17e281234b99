"""Whose code is it, by the names of modules: a plug-in's package, an installed library, or Python's own.

It knows nothing of loops and owners.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Any, Callable, List, Tuple, TypeVar

_T = TypeVar("_T")


def plugin_of(module: str) -> str:
    """Return the package of the plug-in to which a module belongs, by the module's full name.

    That is the top-level package. Where plug-ins share the top-level package, because it lies in several
    directories (`freecad` does) or in none (`calibre_plugins`), it is the next one below.
    """
    top = module.partition(".")[0]
    path: Any = getattr(sys.modules.get(top), "__path__", None)
    is_shared = hasattr(path, "__len__") and len(path) != 1
    return ".".join(module.split(".")[:2]) if is_shared else top


def nearest(things: List[_T], module: str, names_of: Callable[[_T], Tuple[str, ...]]) -> List[_T]:
    """Return the things that have, by one of their names, most packages in common with a module."""
    lengths = [max(_common_length(name, module) for name in names_of(thing)) for thing in things]
    return [thing for thing, length in zip(things, lengths) if length == max(lengths)]


def _common_length(one_module: str, other_module: str) -> int:
    """Return how many packages two modules have in common, from the top down."""
    count = 0
    for one, other in zip(one_module.split("."), other_module.split(".")):
        if one != other:
            break
        count += 1
    return count


def is_purged(frame: Any) -> bool:
    """Whether a frame runs code of a module that was purged and imported anew."""
    module = sys.modules.get(frame.f_globals.get("__name__") or "")
    return module is not None and vars(module) is not frame.f_globals


def bound_to(callback: Any) -> Any:
    """Return the object that a method is bound to; None for any other callback. Never raises."""
    try:
        return callback.__self__
    except (Exception, SystemExit):  # a plug-in's own __getattr__() may raise anything
        return None


def module_of(thing: Any) -> str:
    """Return the name of the module that defines a callback, or the class of an instance."""
    try:
        while isinstance(thing, functools.partial):
            thing = thing.func
        module = getattr(thing, "__module__", None)
        return module if isinstance(module, str) else type(thing).__module__
    except (Exception, SystemExit):  # as in bound_to()
        return ""


def library_of(callback: Any) -> str:
    """Return the top-level package of a callback's code, if it is installed for the whole process; else nothing."""
    top = module_of(callback).partition(".")[0]
    return top if _is_library(_path_of(top)) else ""


def is_installed(module: str) -> bool:
    """Whether a module is Python's own, or installed for the whole process."""
    path = _path_of(module.partition(".")[0])
    home = os.path.dirname(getattr(os, "__file__", None) or "")  # a frozen program may have none
    return _is_library(path) or (home != "" and path.startswith(home))


def _is_library(path: str) -> bool:
    return "site-packages" in path or "dist-packages" in path


def _path_of(module: str) -> str:
    return getattr(sys.modules.get(module), "__file__", None) or ""

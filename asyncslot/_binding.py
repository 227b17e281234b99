"""Which Qt binding: the one that the host has loaded and whose application lives.

Two bindings in one process are two Qts, so importing a second one is the worst
thing that a guest can do. We look at what is loaded already, and only where
nothing is does QtPy choose. The few differences between the four bindings that
concern us stand in this file and nowhere else.

This module does not know what the objects that it hands out are used for.
"""

from __future__ import annotations

import os
import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any, Callable, Optional

from ._errors import NoApplicationError, NoBindingError, ThreadError

# Newest first: where two are loaded and neither has an application yet, the
# newer Qt is the likelier one to be meant.
BINDINGS = ("PySide6", "PyQt6", "PySide2", "PyQt5")


def loaded_qt_core() -> Optional[ModuleType]:
    """Return the loaded QtCore whose application lives, else any loaded one, else None."""
    loaded = [module for module in (sys.modules.get(f"{name}.QtCore") for name in BINDINGS) if module is not None]
    for module in loaded:
        if module.QCoreApplication.instance() is not None:
            return module
    return loaded[0] if loaded else None


def find_qt_core() -> ModuleType:
    """Return the QtCore module to use, importing one (through QtPy) only if none is loaded.

    Raises:
        NoBindingError: nothing is loaded and QtPy finds nothing.
    """
    return loaded_qt_core() or _choose_with_qtpy()


def _choose_with_qtpy() -> ModuleType:
    # QtPy writes its choice to the environment, where child processes of the
    # host would inherit it (seen in 2.4.3, 2026-11); we put it back.
    before = os.environ.get("QT_API")
    try:
        name = import_module("qtpy").API_NAME
        return import_module(f"{name}.QtCore")
    except Exception as exc:  # QtPy has an exception class for each way to fail
        raise NoBindingError(exc) from exc
    finally:
        if before is None:
            os.environ.pop("QT_API", None)
        else:
            os.environ["QT_API"] = before


def require_application(qt_core: Any, what: str) -> Any:
    """Return the running QCoreApplication, for a caller in its GUI thread.

    Args:
        what: the name of the public function, for the error text.

    Raises:
        NoApplicationError: there is none.
        ThreadError: called from a thread that is not the application's.
    """
    application = qt_core.QCoreApplication.instance()
    if application is None:
        raise NoApplicationError(what)
    if qt_core.QThread.currentThread() != application.thread():
        raise ThreadError(what, threading.current_thread().name)
    return application


def enum_member(owner: Any, scope: str, name: str) -> Any:
    """Return `owner.scope.name`, or `owner.name` where the binding has unscoped enums only.

    PyQt6 has only the scoped spelling, PyQt5 and PySide2 only the short one.
    """
    return getattr(getattr(owner, scope, owner), name)


def run_qt_loop(event_loop: Any) -> int:
    """Run a QEventLoop until it is told to quit; PySide2 spells it with an underscore."""
    run: Callable[[], int] = getattr(event_loop, "exec", None) or event_loop.exec_
    return run()


def disconnect(signal: Any, slot: Callable[..., object]) -> None:
    """Disconnect a slot, if it still is connected. Does not raise for that: clean-up goes on after it.

    Give it the very object that was connected. A method is made anew each time that it is asked for, and those of one
    that Nuitka has compiled are different slots for PyQt (5.15.11 with Nuitka 4.3.3, seen 2026-11).
    """
    try:
        signal.disconnect(slot)
    except (RuntimeError, TypeError):
        pass  # the sender is gone, or has no such connection


def is_deleted(receiver: Any) -> bool:
    """Whether `receiver` is a QObject that Qt has deleted while Python still refers to it.

    PySide goes on calling such a receiver's slots where it does not know them by
    name (seen in PySide2 5.15.2 and PySide6 6.12.0, 2026-11); PyQt disconnects them.
    """
    for name in ("shiboken6", "shiboken2"):
        shiboken = sys.modules.get(name)  # loaded by PySide itself
        if shiboken is not None and not shiboken.isValid(receiver):
            return True
    for name in ("PyQt6.sip", "PyQt5.sip"):
        sip = sys.modules.get(name)  # by PyQt, from 5.11 on
        if sip is not None and isinstance(receiver, sip.simplewrapper) and sip.isdeleted(receiver):
            return True
    return False

"""Which Qt binding: the one that the host has loaded and whose application lives.

Two bindings in one process are two Qts, so importing a second one is the worst
thing that a guest can do. We look at what is loaded already, and only where
nothing is does QtPy choose. The few differences between the four bindings that
concern us stand in this file and nowhere else.

This module does not know what the objects that it hands out are used for.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import weakref
from importlib import import_module
from types import ModuleType
from typing import Any, Callable, List, Optional, Tuple

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


def is_deleted(receiver: Any) -> bool:
    """Whether `receiver` is a QObject of PySide's that Qt has deleted while Python still refers to it.

    PySide goes on calling such a receiver's slots where it does not know them by
    name (seen in PySide2 5.15.2 and PySide6 6.12.0, 2026-11); PyQt disconnects them.
    """
    for name in ("shiboken6", "shiboken2"):
        shiboken = sys.modules.get(name)  # loaded by PySide itself
        if shiboken is not None and not shiboken.isValid(receiver):
            return True
    return False


def qt_core_of(signal: Any) -> Optional[ModuleType]:
    """Return the QtCore module that a bound signal comes from; None if it is no bound signal."""
    kind = type(signal)
    if kind.__name__ in ("pyqtBoundSignal", "SignalInstance"):
        return sys.modules.get(kind.__module__)
    return None


def signal_signature(signal: Any) -> str:
    """Return the C++ signature of a bound signal, `clicked(bool)`; of PySide's, what they say of themselves."""
    code_and_signature: str = getattr(signal, "signal", "")
    return code_and_signature[1:] or repr(signal)


def disconnect(signal: Any, connection: Any, receiver: Any) -> None:
    """Disconnect a bound signal from a receiver; do nothing if the sender is dead.

    No binding's signal keeps its sender alive, and to disconnect one that is dead
    by its receiver ends the process (PyQt5 5.15.11, PyQt6 6.11.0, PySide2 5.15.2,
    PySide6 6.5.3; seen 2026-11).

    Args:
        connection: what `signal.connect(receiver)` returned.
    """
    if isinstance(connection, bool):
        # PySide2 has no object for a connection. A sender that its own thread has
        # deleted has not told this thread yet; it has by the next turn of the Qt
        # loop, and then the receiver is gone.
        reference = weakref.ref(receiver)
        later = sys.modules[type(signal).__module__].QTimer.singleShot
        later(0, lambda: _disconnect_if_there(signal, reference()))
    elif not hasattr(connection, "__bool__"):
        _disconnect_if_there(signal, connection)  # PyQt: fails if the sender is dead, and is safe
    elif connection:
        _disconnect_if_there(signal, receiver)  # PySide6: a connection knows whether it stands


def _disconnect_if_there(signal: Any, receiver_or_connection: Any) -> None:
    if receiver_or_connection is None:
        return
    try:
        signal.disconnect(receiver_or_connection)
    except (RuntimeError, TypeError):
        pass  # dead or disconnected already; which of the two is raised differs


def lets_go_of_receivers(qt_core: Any) -> bool:
    """Whether the binding frees what a signal was connected to as soon as the connection is gone.

    PySide6 before 6.8 does not always (after disconnect(), up to 6.4; when the sender
    dies, in 6.5 and 6.6; when it dies in another thread, in 6.7), but its connections
    can be asked whether they stand. PySide2 does not after disconnect(), and cannot
    be asked (seen with 5.15.2 and six versions of PySide6, 2026-11).
    """
    package = qt_core.__name__.rpartition(".")[0]
    return package != "PySide6" or tuple(sys.modules[package].__version_info__[:2]) >= (6, 8)


def own_copies(signature: str, arguments: Tuple[Any, ...]) -> Tuple[Any, ...]:
    """Return a signal's arguments so that they may outlive the emission.

    PyQt copies values for a slot only if Qt's meta type system knows their type;
    else the slot gets a wrapper of C++'s own object, which is gone when emit()
    returns (QItemSelection, QTextCharFormat; PyQt5 5.15.11 and PyQt6 6.11.0, seen
    2026-11). PySide always copies. What a signal passes by pointer (QStandardItem,
    a QObject) is somebody's, and is not copied.
    """
    types = _argument_types(signature)
    if len(types) != len(arguments):
        return arguments
    return tuple(_copy(value) if type(value).__name__ == name else value for value, name in zip(arguments, types))


def _argument_types(signature: str) -> List[str]:
    """Return the types that a signature names, without template arguments; PySide's description gives none."""
    _, _, types = signature.partition("(")
    before = ""
    while types != before:
        before, types = types, re.sub("<[^<>]*>", "", types)
    return types.rstrip(")").split(",") if not signature.startswith("<") else []


def _copy(value: Any) -> Any:
    try:
        return type(value)(value)
    except TypeError:
        return value  # a class that cannot be copied

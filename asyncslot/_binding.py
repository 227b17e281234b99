"""The Qt binding: find the one that the host uses, and connect to signals in spite of how the four differ.

Two bindings in one process are two Qts, so importing a second one is the worst
thing that a guest can do. We take the binding that the host has loaded and whose
application lives. QtPy chooses one only where none is loaded.

connect() gives a connection that can be ended safely, and that tells when the sender dies.
The bindings alone do not offer this. A signal object tells neither who its sender is nor
whether the sender lives, and does not keep it alive. To disconnect a function from a dead
sender's signal ends the process in PyQt5 5.15.11, PyQt6 6.11.0, PySide2 5.15.2 and PySide6
6.5.3 (seen 2026-11). Two ways around this need no knowledge of the sender:

    OwnCallable   The receiver is an object to which only the connection refers. When the
                  sender dies, the connection goes, and the receiver with it; a weak
                  reference to the receiver tells us. We disconnect by the connection
                  object, which is safe. For PySide6 from 6.8 on. In PyQt that would be
                  safe for us, but not for others' connections: see OwnPyQtCallable.
    OwnMethod     The receiver is a method of an object to which only we refer. We
                  disconnect by dropping that object; Qt hears of it without a look at
                  the sender. We must ask now and then whether the sender lives. For
                  older PySide, which frees callables late or never.

This module does not know what its connections are used for, and knows nothing of asyncio.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import types
import weakref
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

from ._errors import NoApplicationError, NoBindingError, ThreadError

# Newest first: if two are loaded and neither has an application yet, the newer Qt is
# more likely to be the one that is wanted.
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
    # QtPy writes its choice to the environment, and child processes of the host would
    # inherit it (seen in 2.4.3, 2026-11). So we put back the value that was there.
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
    """Return the running QCoreApplication, for a caller in the GUI thread.

    Args:
        what: the name of the public function, for the error text.

    Raises:
        NoApplicationError: there is no application.
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
    """Disconnect a slot. Do nothing if it is not connected any more, so that our callers' clean-up goes on.

    Pass the very object that was connected. Python makes a new bound method each time that one is looked up, and for
    PyQt those of a method compiled by Nuitka are different slots (5.15.11 with Nuitka 4.3.3, seen 2026-11).
    """
    try:
        signal.disconnect(slot)
    except (RuntimeError, TypeError):
        pass  # the sender is gone, or has no such connection


def is_deleted(receiver: Any) -> bool:
    """Whether `receiver` is a QObject that Qt has deleted while Python still refers to it.

    PyQt disconnects the slots of such a receiver. PySide goes on calling those that it
    does not know by name (seen in PySide2 5.15.2 and PySide6 6.12.0, 2026-11).
    """
    for name in ("shiboken6", "shiboken2"):
        shiboken = sys.modules.get(name)  # PySide loads it itself
        if shiboken is not None and not shiboken.isValid(receiver):
            return True
    for name in ("PyQt6.sip", "PyQt5.sip"):
        sip = sys.modules.get(name)  # PyQt loads it itself, from 5.11 on
        if sip is not None and isinstance(receiver, sip.simplewrapper) and sip.isdeleted(receiver):
            return True
    return False


Arguments = Tuple[Any, ...]

if TYPE_CHECKING:
    from typing import Union

    Receive = Callable[[Arguments], object]
    Connection = Union["OwnCallable", "OwnMethod"]


def is_bound_signal(signal: Any) -> bool:
    """Whether `signal` is the signal of an object, in any binding. A signal of a class is not."""
    return type(signal).__name__ in ("pyqtBoundSignal", "SignalInstance")


def signature_of(signal: Any) -> str:
    """Return the C++ signature of a bound signal, `clicked(bool)`. PySide does not tell it: there, return the repr."""
    code_and_signature: str = getattr(signal, "signal", "")
    return code_and_signature[1:] or repr(signal)


def connect(signal: Any, receive: Receive, on_gone: Callable[[object], None], is_direct: bool = False) -> Connection:
    """Have `receive(arguments)` called for each emission.

    Qt queues an emission of another thread, and the Qt loop in the thread that has called us delivers it. A direct
    connection instead calls `receive` in the thread that emits. To end such a connection during an emission is not
    safe: the binding's part of it is deleted while the other thread waits in it for the GIL, and the process ends
    (PyQt5 5.15.11, PyQt6 6.11.0, PySide2 5.15.2, PySide6 6.5.3 and 6.7.3; seen 2026-11). So direct connections are
    only for threads in which no Qt loop runs, and for emissions that cannot be queued.

    Args:
        on_gone: called when the connection goes by itself, in any thread, with an
            argument to be ignored. Not called for a connection that `must_be_asked`.
        is_direct: whether to make a direct connection.

    Raises:
        RuntimeError, TypeError: the binding could not connect; the sender is dead.
    """
    qt_core = sys.modules[type(signal).__module__]
    # In PyQt `destroyed` brings the object, which is gone when a queued emission arrives. In PySide it brings nothing.
    is_direct = is_direct or signature_of(signal).startswith("destroyed(QObject*")
    kind = enum_member(qt_core.Qt, "ConnectionType", "DirectConnection" if is_direct else "AutoConnection")
    if hasattr(qt_core, "PYQT_VERSION"):
        return OwnPyQtCallable(signal, kind, receive, on_gone, qt_core, is_direct)
    if is_pyside_from_6_8(qt_core):
        return OwnCallable(signal, kind, receive, on_gone)
    return OwnMethod(signal, kind, receive)


def calls_by_name(receiver: Any) -> bool:
    """Whether a method of `receiver` is only safe to connect if PySide finds it there by its name.

    This is so for QObjects in PySide6 from 6.8 on. If PySide finds the method by name, it connects the receiver
    itself, and Qt drops the queued emissions when the receiver goes. If not, a queued emission still calls the method
    with a receiver that has been freed: the process ends (6.10.3 and 6.12.0, seen 2026-11). For an object that is no
    QObject PySide always does the latter.
    """
    qt_core, shiboken = sys.modules.get("PySide6.QtCore"), sys.modules.get("shiboken6")
    return (
        qt_core is not None
        and shiboken is not None
        and is_pyside_from_6_8(qt_core)
        and isinstance(receiver, qt_core.QObject)
        and shiboken.createdByPython(receiver)  # PySide can add no slots to others
    )


def is_pyside_from_6_8(qt_core: Any) -> bool:
    """Whether this is PySide6 from 6.8 on.

    For each connected callable that is no method of a QObject, that PySide has an object of its own.
    """
    package = qt_core.__name__.rpartition(".")[0]
    return package == "PySide6" and tuple(sys.modules[package].__version_info__[:2]) >= (6, 8)


class OwnCallable:
    """A connection that tells when it goes: see the head of this file."""

    must_be_asked = False
    _receiver: Optional[weakref.ref[Any]] = None

    def __init__(self, signal: Any, kind: Any, receive: Receive, on_gone: Callable[[object], None]) -> None:
        self._receivers = [receive]
        receiver = _Receiver()
        receiver.receivers = self._receivers
        self._signal = signal
        self._connection = signal.connect(receiver, kind)
        self._receiver = weakref.ref(receiver, on_gone)

    def stands(self) -> bool:
        """Whether an emission can still come, as far as the weak reference has told us."""
        return self._receiver is not None and self._receiver() is not None

    def disconnect(self) -> None:
        """End the connection, if the sender has not ended it by its death."""
        self._receivers.clear()
        if self.stands():
            self._disconnect()
        self._receiver = None  # a weak reference that is gone does not call `on_gone`

    def _disconnect(self) -> None:
        try:
            self._signal.disconnect(self._connection)
        except (RuntimeError, TypeError):
            pass  # the sender is dead, but its receiver has not been freed yet


class OwnPyQtCallable(OwnCallable):
    """The same for PyQt, which has a C++ object, a proxy, for each function that is connected.

    We never call `signal.disconnect(connection)`. PyQt searches all proxies for one that "is
    not connected", and switches the first such proxy off (PyQtSlotProxy::deleteSlotProxy() of
    5.15.11 and 6.11.0). That proxy may be somebody else's: each entry of a menu made with
    `menu.addAction(text, slot)` counts as not connected, and so does a connection that another
    thread is about to make. So we have Qt end the connection, without PyQt. If Qt says that
    the connection was there, the sender lives. Then we disconnect the receiver, too: for PyQt
    that fails, as the connection is gone, but it deletes the proxy that it has found. If the
    sender has died, the proxy goes with it.

    PyQt before 5.15 does not offer Qt's function. There the connection stays, to a receiver that
    does nothing, until the sender ends, or until somebody waits for the same signal again: then
    the sender lives (_clear_away()).

    We also keep the signal until queued emissions have been delivered. The proxy needs it to
    make Python objects of their arguments, but does not keep it alive. The sender's class
    does, and that class goes when a plug-in's modules are purged. The proxy would then read
    the signal of an emission that is still queued after the signal has gone, and the process
    ends (seen 2026-11).
    """

    def __init__(
        self,
        signal: Any,
        kind: Any,
        receive: Receive,
        on_gone: Callable[[object], None],
        qt_core: Any,
        is_direct: bool,
    ) -> None:
        super().__init__(signal, kind, receive, on_gone)
        if _left_behind:
            _clear_away(signal, signature_of(signal))
        self._qt_core = qt_core
        self._is_direct = is_direct
        self._thread = threading.get_ident()

    def disconnect(self) -> None:
        """End the connection, if the sender has not ended it by its death."""
        self._receivers.clear()
        # We do not ask stands() here. We may be garbage together with the sender, and somebody's __del__ may call
        # this. The collector has then cleared the weak reference already, but the connection is still there.
        if self._receiver is not None:
            receiver = self._receiver()
            self._receiver = None
            was_there = self._ended_by_qt()
            if receiver is not None and was_there:
                _delete_proxy(self._signal, receiver)
            elif receiver is not None and was_there is None:
                _left_behind.setdefault(signature_of(self._signal), []).append(weakref.ref(receiver))
            if not self._is_direct:
                self._keep_until_delivered()

    def __del__(self) -> None:
        self.disconnect()

    def _ended_by_qt(self) -> Optional[bool]:
        """Have Qt end the connection; return whether it was there, and so whether the sender lives; None: Qt cannot."""
        try:
            return bool(self._qt_core.QObject.disconnect(self._connection))
        except TypeError:
            return None

    def _keep_until_delivered(self) -> None:
        """Keep the signal and the receiver's class until Qt has delivered the queued emissions.

        An event that we post now refers to both. Qt delivers the events of a thread in the order
        in which they were posted, and then deletes them, so ours goes after the emissions. No
        code of ours is called for it. The collector cannot free the two earlier, as it does not
        see the references of an event that C++ holds.
        """
        core = self._qt_core
        if threading.get_ident() == self._thread:
            target = core.QAbstractEventDispatcher.instance()
        else:  # the collector has called us in another thread; most connections are the GUI thread's
            target = core.QCoreApplication.instance()
        if target is None:
            return  # this thread has no Qt loop, or has none any more
        event = core.QEvent(core.QEvent.Type(0))  # "not an event", for event filters that look at the host's events
        event.kept = (self._signal, _Receiver)
        core.QCoreApplication.postEvent(target, event)


# The receivers of proxies that stay behind before PyQt 5.15. By signature, since a signal does not tell its sender.
_left_behind: Dict[str, List[weakref.ref[Any]]] = {}


def _clear_away(signal: Any, signature: str) -> None:
    """Have PyQt delete the proxies that ended connections to this very signal left behind. Its sender must be alive."""
    references = _left_behind.pop(signature, None)
    if references is None:
        return
    others = []
    for reference in references:
        receiver = reference()
        if receiver is None:
            continue  # its sender has died
        if not _delete_proxy(signal, receiver):
            others.append(reference)  # of another sender
    if others:
        # Another thread may have left something behind meanwhile.
        _left_behind.setdefault(signature, []).extend(others)


def _delete_proxy(signal: Any, receiver: Any) -> bool:
    """Have PyQt delete its proxy for a receiver; return whether there was one for this signal, whose sender lives."""
    try:
        signal.disconnect(receiver)
    except TypeError as exc:
        # Where the connection is gone already PyQt says that it failed, and deletes the proxy all the same.
        return "is not connected" not in str(exc)
    return True


def _pass_on(self: Any, *arguments: Any) -> None:
    for receive in self.receivers:
        receive(arguments)


class _Receiver:
    """The object that a connection calls, and to which only the connection refers.

    It refers to nothing but `receivers`. In PyQt it may stay for as long as the sender
    lives, and whatever it refers to stays with it. A function refers to its module by its
    globals, so `__call__` gets empty globals: else a purged copy of the package would stay.

    It is an object, not a function. A queued emission may find a receiver that was garbage
    together with its sender, and that the collector has emptied. An emptied function ends
    the process (PyQt6 6.11.0 on Python 3.13, seen 2026-11). An emptied object still has the
    attributes of its class, and so no `receivers` to call.
    """

    receivers: Any = ()

    # A compiled function (Nuitka's, Cython's) has no code object that Python could run. We take it as it is.
    __call__: Any = types.FunctionType(_pass_on.__code__, {}) if _pass_on.__class__ is types.FunctionType else _pass_on


class OwnMethod:
    """A connection that must be asked whether it stands: see the head of this file."""

    must_be_asked = True

    def __init__(self, signal: Any, kind: Any, receive: Receive) -> None:
        self._relay: Optional[_Relay] = _Relay(receive)
        self._connection = signal.connect(self._relay.receive, kind)

    def stands(self) -> bool:
        """Whether an emission can still come.

        PySide holds a weak reference to a method's object for as long as the connection is
        there. Some versions of PySide6 drop the reference late, but there the connection
        object knows. PySide2's connect() returns only True, and its reference tells.
        """
        return bool(self._connection) and weakref.getweakrefcount(self._relay) > 0

    def disconnect(self) -> None:
        """End the connection, whether the sender lives or not."""
        self._relay = None


class _Relay:
    """The receiver of an OwnMethod, which drops it to end the connection."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    def receive(self, *arguments: Any) -> None:
        self._receive(arguments)


def own_copies(signature: str, arguments: Arguments) -> Arguments:
    """Return a signal's arguments, with values copied where they would not outlive the emission.

    PyQt copies a value for a slot only if Qt's meta type system knows its type. Else
    the slot gets a wrapper of the C++ object itself, which is gone when emit() returns
    (QItemSelection, QTextCharFormat; PyQt5 5.15.11 and PyQt6 6.11.0, seen 2026-11).
    PySide always copies. An object that a signal passes by pointer (QStandardItem, a
    QObject) belongs to somebody, and we do not copy it.
    """
    names = _argument_types(signature)
    if len(names) != len(arguments):
        return arguments
    return tuple(_copy(value) if type(value).__name__ == name else value for value, name in zip(arguments, names))


def _argument_types(signature: str) -> List[str]:
    """Return the types that a signature names, without template arguments; for PySide's repr, an empty list."""
    if signature.startswith("<"):
        return []
    names, before = signature.partition("(")[2], ""
    while names != before:
        before, names = names, re.sub("<[^<>]*>", "", names)
    return names.rstrip(")").split(",")


def _copy(value: Any) -> Any:
    try:
        return type(value)(value)
    except TypeError:
        return value  # its class has no copy constructor

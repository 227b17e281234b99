"""Which Qt binding: the one that the host has loaded and whose application lives; and how the four differ.

Two bindings in one process are two Qts, so importing a second one is the worst
thing that a guest can do. We look at what is loaded already, and only where
nothing is does QtPy choose.

Connections to somebody's signal end safely, and tell when the sender dies. A signal
object of a binding says neither who its sender is nor whether it lives, and does not
keep it alive. To disconnect a function from a dead sender's signal ends the process in
PyQt5 5.15.11, PyQt6 6.11.0, PySide2 5.15.2 and PySide6 6.5.3 (seen 2026-11). Two ways
around it need no knowledge of the sender:

    OwnCallable   the receiver is an object that only the connection refers to. The
                  sender dies, the connection goes, the object with it, and a weak
                  reference to it tells. Disconnected by the connection object,
                  which is safe. PySide6 from 6.8 on; OwnPyQtCallable, where that is
                  safe for us, but not for the connections of others.
    OwnMethod     the receiver is a method of an object that only we refer to.
                  Disconnected by dropping the object, which Qt is told of without
                  a look at the sender. Whether the sender lives must be asked now
                  and then. Older PySide, which frees callables late or never.

An emission in another thread is queued by Qt, whose loop in the thread that has connected
calls the receiver. A direct connection calls it in the thread that emits. To end one of
those meanwhile is not safe: the binding's part of it is deleted while that thread waits in
it for the GIL, and the process ends (PyQt5 5.15.11, PyQt6 6.11.0, PySide2 5.15.2, PySide6
6.5.3 and 6.7.3; seen 2026-11). Direct connections are for threads in which no Qt loop runs,
and for what cannot be queued.

This module does not know what the objects that it hands out are used for, and nothing of asyncio.
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


Arguments = Tuple[Any, ...]

if TYPE_CHECKING:
    from typing import Union

    Receive = Callable[[Arguments], object]
    Connection = Union["OwnCallable", "OwnMethod"]


def is_bound_signal(signal: Any) -> bool:
    """Whether it is the signal of an object, of any binding."""
    return type(signal).__name__ in ("pyqtBoundSignal", "SignalInstance")


def signature_of(signal: Any) -> str:
    """Return the C++ signature of a bound signal, `clicked(bool)`; of PySide's, what they say of themselves."""
    code_and_signature: str = getattr(signal, "signal", "")
    return code_and_signature[1:] or repr(signal)


def connect(signal: Any, receive: Receive, on_gone: Callable[[object], None], is_direct: bool = False) -> Connection:
    """Have `receive(arguments)` called for each emission.

    Args:
        is_direct: in the thread that emits, and not by Qt's loop in this one.
        on_gone: called when the connection goes by itself, in any thread and with
            an argument that says nothing; not called where `must_be_asked`.

    Raises:
        RuntimeError, TypeError: the binding could not connect; the sender is dead.
    """
    qt_core = sys.modules[type(signal).__module__]
    # PyQt's brings the object, which is gone when a queued emission arrives; PySide's brings nothing.
    is_direct = is_direct or signature_of(signal).startswith("destroyed(QObject*")
    kind = enum_member(qt_core.Qt, "ConnectionType", "DirectConnection" if is_direct else "AutoConnection")
    if hasattr(qt_core, "PYQT_VERSION"):
        return OwnPyQtCallable(signal, kind, receive, on_gone, qt_core, is_direct)
    if is_pyside_from_6_8(qt_core):
        return OwnCallable(signal, kind, receive, on_gone)
    return OwnMethod(signal, kind, receive)


def calls_by_name(receiver: Any) -> bool:
    """Whether a method is only safe to connect if PySide finds it in `receiver` by its name.

    PySide6 from 6.8 on then connects the receiver, whose queued emissions Qt drops when it goes. A method that it
    does not find is called all the same, with a receiver whose memory is somebody else's by now: the process ends
    (6.10.3 and 6.12.0, seen 2026-11). It does that to every method of an object that is no QObject.
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
    """Whether it is the PySide that has an object of its own for what was connected and is no method of a QObject."""
    package = qt_core.__name__.rpartition(".")[0]
    return package == "PySide6" and tuple(sys.modules[package].__version_info__[:2]) >= (6, 8)


class OwnCallable:
    """A connection that tells when it goes."""

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
        """Whether an emission can still come, as far as we have been told."""
        return self._receiver is not None and self._receiver() is not None

    def disconnect(self) -> None:
        """End the connection, if the sender has not ended it by its death."""
        self._receivers.clear()
        if self.stands():
            self._disconnect()
        self._receiver = None  # and with it the call to `on_gone`

    def _disconnect(self) -> None:
        try:
            self._signal.disconnect(self._connection)
        except (RuntimeError, TypeError):
            pass  # the sender is dead, and the receiver not yet


class OwnPyQtCallable(OwnCallable):
    """The same in PyQt, which has a C++ object of its own, a proxy, for each function that is connected.

    `signal.disconnect(connection)` is never called. PyQt looks for the proxy among all there
    are by "is not connected", and switches the first one off (PyQtSlotProxy::deleteSlotProxy()
    of 5.15.11 and 6.11.0). That is somebody else's: each entry of a menu that was made with
    `menu.addAction(text, slot)` counts as not connected, and so does what another thread is
    about to connect. So Qt ends the connection without PyQt. The proxy stays behind with a
    receiver that does nothing, until the sender ends, or somebody waits for the same signal
    again: then the sender lives, and the function can be disconnected.

    An emission that is queued may be the last to need the signal: the proxy makes Python
    objects of its arguments, and reads in the signal's how. But it does not keep the signal.
    That is done by the sender's class, which goes when a plug-in's modules are purged. What
    other threads have emitted before is then read with a signal that is gone, and the process
    ends (seen 2026-11). So what is queued is delivered with the signal still there.
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
        _clear_away(signal)
        self._qt_core = qt_core
        self._is_direct = is_direct
        self._thread = threading.get_ident()

    def disconnect(self) -> None:
        """End the connection, if the sender has not ended it by its death."""
        self._receivers.clear()
        # If we are garbage together with the sender, and somebody's __del__ ends us, the collector has taken the weak
        # reference's object away, and nothing else. So what it says is not asked.
        if self._receiver is not None:
            receiver = self._receiver()
            self._receiver = None
            self._disconnect()
            if receiver is not None:
                _left_behind.setdefault(signature_of(self._signal), []).append(weakref.ref(receiver))
            if not self._is_direct:
                self._keep_until_delivered()

    def __del__(self) -> None:
        self.disconnect()

    def _disconnect(self) -> None:
        try:
            self._qt_core.QObject.disconnect(self._connection)
        except TypeError:
            pass  # PyQt before 5.15 has no such function: what is left behind stays connected, to nothing

    def _keep_until_delivered(self) -> None:
        """Keep what a queued emission needs until Qt has delivered it.

        By an event that is posted after them: Qt delivers a thread's in the order in which
        they were posted, and deletes each then. Nothing of ours is called, and the collector
        does not see what an event of C++'s refers to.
        """
        core = self._qt_core
        if threading.get_ident() == self._thread:
            target = core.QAbstractEventDispatcher.instance()
        else:  # the collector runs in any thread, and most connections are the GUI thread's
            target = core.QCoreApplication.instance()
        if target is None:
            return  # there is no Qt loop in this thread, or no more
        event = core.QEvent(core.QEvent.Type(0))  # "not an event", for those who look at the host's events
        event.kept = (self._signal, _Receiver)
        core.QCoreApplication.postEvent(target, event)


# By signature, since a signal does not tell whose it is.
_left_behind: Dict[str, List[weakref.ref[Any]]] = {}


def _clear_away(signal: Any) -> None:
    """Have PyQt delete what ended connections to the very signal have left behind. Its sender must live."""
    references = _left_behind.pop(signature_of(signal), [])
    left = []
    for reference in references:
        receiver = reference()
        if receiver is not None:
            left.append(reference)  # perhaps another sender's; if not, it will be gone when Qt comes round
            try:
                signal.disconnect(receiver)
            except TypeError:
                pass  # another sender's, or one that was not connected any more, which is deleted all the same
    if left:
        _left_behind.setdefault(signature_of(signal), []).extend(left)


def _pass_on(self: Any, *arguments: Any) -> None:
    for receive in self.receivers:
        receive(arguments)


class _Receiver:
    """What a connection calls, and alone refers to.

    It refers to nothing but `receivers`, not even to this module, as every function does
    by its globals: in PyQt it may stay for as long as the sender lives, and with it would
    stay a copy that has been purged.

    It is no function: an emission that was queued may find a receiver that was garbage
    together with its sender, and that the collector has emptied. An emptied function ends
    the process (PyQt6 6.11.0 on Python 3.13, seen 2026-11); an emptied object has what its
    class has.
    """

    receivers: Any = ()

    # A compiled function (Nuitka's, Cython's) has no code that Python could run. It is taken as it is.
    __call__: Any = types.FunctionType(_pass_on.__code__, {}) if _pass_on.__class__ is types.FunctionType else _pass_on


class OwnMethod:
    """A connection that must be asked whether it stands."""

    must_be_asked = True

    def __init__(self, signal: Any, kind: Any, receive: Receive) -> None:
        self._relay: Optional[_Relay] = _Relay(receive)
        self._connection = signal.connect(self._relay.receive, kind)

    def stands(self) -> bool:
        """Whether an emission can still come.

        PySide refers weakly to a method's object for as long as the connection is
        there. PySide6 lets go of it late in some versions, but has an object for
        the connection that knows; PySide2 has only True.
        """
        return bool(self._connection) and weakref.getweakrefcount(self._relay) > 0

    def disconnect(self) -> None:
        """End the connection, whether the sender lives or not."""
        self._relay = None


class _Relay:
    """An object to drop."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    def receive(self, *arguments: Any) -> None:
        self._receive(arguments)


def own_copies(signature: str, arguments: Arguments) -> Arguments:
    """Return a signal's arguments so that they may outlive the emission.

    PyQt copies values for a slot only if Qt's meta type system knows their type;
    else the slot gets a wrapper of C++'s own object, which is gone when emit()
    returns (QItemSelection, QTextCharFormat; PyQt5 5.15.11 and PyQt6 6.11.0, seen
    2026-11). PySide always copies. What a signal passes by pointer (QStandardItem,
    a QObject) is somebody's, and is not copied.
    """
    names = _argument_types(signature)
    if len(names) != len(arguments):
        return arguments
    return tuple(_copy(value) if type(value).__name__ == name else value for value, name in zip(arguments, names))


def _argument_types(signature: str) -> List[str]:
    """Return the types that a signature names, without template arguments; PySide's description gives none."""
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
        return value  # a class that cannot be copied

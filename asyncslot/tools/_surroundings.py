"""The facts about our surroundings: Python and system, copies of this package, Qt, the host, other event loops.

This module looks and does not touch. It imports nothing, and calls nothing that would make an event-loop policy, an
application or a binding. It asks Qt about Qt's objects in the GUI thread only.

It does not know loops, leases and tasks.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import threading
from asyncio import events
from typing import Any, Dict, List

from .. import _meeting, host_adapters
from .._binding import BINDINGS, loaded_qt_core
from ._facts import Fact, Section, each, fact

# Other packages that run asyncio inside Qt, or change how asyncio runs.
_NEIGHBOURS = (
    "qasync",
    "qtinter",
    "asyncqt",
    "quamash",
    "PySide6.QtAsyncio",
    "nest_asyncio",
    "ipykernel",
    "uvloop",
    "gevent",
)

# The names in asyncio that such packages replace.
_OFTEN_PATCHED = ("run", "get_event_loop", "get_running_loop", "current_task", "sleep", "Task", "Future")

_OTHER_THREAD = "can only be looked at from the GUI thread"


def is_gui_thread() -> bool:
    """Whether the calling thread is the application's; without an application, whether it is the main thread."""
    qt_core: Any = loaded_qt_core()
    application = None if qt_core is None else qt_core.QCoreApplication.instance()
    if application is None:
        return threading.current_thread() is threading.main_thread()
    return bool(qt_core.QThread.currentThread() == application.thread())


def process() -> Section:
    """Return the facts about interpreter, system and threads."""
    facts = [
        fact("Python", python_version),
        fact("system", system_version),
        fact("this thread", lambda: threading.current_thread().name + ("" if is_gui_thread() else ", not the GUI's")),
        fact("threads", lambda: f"{len(threading.enumerate())}, {_count_our_threads()} of them ours"),
    ]
    return Section("Process", facts)


def python_version() -> str:
    """Return the interpreter's version and build, on one line."""
    return " ".join(sys.version.split())


def system_version() -> str:
    """Return the system's name and version, without the machine's name."""
    if sys.platform == "win32":
        windows = sys.getwindowsversion()
        return f"Windows {windows.major}.{windows.minor}.{windows.build}"
    name = os.uname()
    return f"{name.sysname} {name.release} {name.machine}"


def _count_our_threads() -> int:
    return sum(thread.name.startswith("asyncslot-") for thread in threading.enumerate())


def copies() -> Section:
    """Return every copy of this package, and other projects' modules of its name."""
    modules = {name: module for name, module in list(sys.modules.items()) if module is not None}
    facts = []
    if modules.get(_meeting.__name__) is not _meeting:
        facts.append(_copy(_meeting, "this one, which is not in sys.modules any more"))
    for name in sorted(modules):
        # Every version has a `_meeting` with PROTOCOL since copies meet. We ask vars() and not hasattr(), because a
        # module's __getattr__() may make an attribute when it is asked for it.
        package, _, part = name.rpartition(".")
        if part == "_meeting" and "PROTOCOL" in vars(modules[name]):
            facts.append(
                _copy(modules[name], f"{package}, which writes this" if modules[name] is _meeting else package)
            )
        elif part == "asyncslot" and f"{name}._meeting" not in modules:
            facts.append(fact(f"{name} (another project's)", functools.partial(_version, modules[name])))
    return Section("Copies of asyncslot", facts)


def _copy(meeting: Any, label: str) -> Fact:
    """Return the fact about one copy: its version, protocol and directory, as its `_meeting` module has them."""
    names: Dict[str, Any] = vars(meeting)

    def look() -> str:
        place = os.path.dirname(names.get("__file__") or "") or "unknown"
        return f"version {names.get('__version__', 'unknown')}, protocol {names['PROTOCOL']}, in {place}"

    return fact(label, look)


def _version(module: Any) -> str:
    names: Dict[str, Any] = vars(module)
    return f"version {names.get('__version__', 'unknown')}, in {names.get('__file__') or 'unknown'}"


def qt() -> Section:
    """Return the facts about Qt: the loaded bindings, the application and its event dispatcher."""
    loaded = [name for name in BINDINGS if f"{name}.QtCore" in sys.modules]
    facts = [fact(name, functools.partial(_binding_version, name)) for name in loaded]
    if not loaded:
        return Section("Qt", [Fact("binding", "none is loaded", [])])
    if len(loaded) > 1:
        facts.append(Fact("attention", "two bindings are two Qts in one process", []))
    qt_core: Any = loaded_qt_core()
    facts.append(fact("application", lambda: _application(qt_core)))
    facts.append(fact("event dispatcher", lambda: _dispatcher(qt_core)))
    return Section("Qt", facts)


def _binding_version(name: str) -> str:
    qt_core = sys.modules[f"{name}.QtCore"]
    own = getattr(qt_core, "PYQT_VERSION_STR", None) or getattr(sys.modules[name], "__version__", "unknown")
    made_for = getattr(qt_core, "QT_VERSION_STR", None) or getattr(qt_core, "__version__", "unknown")
    return f"{own}, made for Qt {made_for}, runs with Qt {qt_core.qVersion()}"


def _application(qt_core: Any) -> str:
    application = qt_core.QCoreApplication.instance()
    if application is None:
        return "none"
    if not is_gui_thread():
        return _OTHER_THREAD
    words = [application.metaObject().className(), repr(application.applicationName())]
    if application.applicationVersion():
        words.append(application.applicationVersion())
    gui: Any = sys.modules.get(qt_core.__name__.rpartition(".")[0] + ".QtGui")
    if gui is not None and application.inherits("QGuiApplication"):
        words.append(f"on platform {gui.QGuiApplication.platformName()}")
    return " ".join(words)


def _dispatcher(qt_core: Any) -> str:
    if not is_gui_thread():
        return _OTHER_THREAD
    dispatcher = qt_core.QAbstractEventDispatcher.instance()
    if dispatcher is None:
        return "none, for there is no application"
    name = dispatcher.metaObject().className()
    return f"{name}, {'with' if 'glib' in name.lower() else 'without'} GLib"


def host() -> Section:
    """Return the host that attach() would find."""
    return Section("Host", [fact("attach() would find", _host)])


def _host() -> str:
    if not is_gui_thread():
        return _OTHER_THREAD
    adapter = host_adapters.find()
    if adapter is not None:
        return describe_host(adapter)
    hint = host_adapters.find_batch_hint()
    return "none that it knows, and takes it for plain Qt" if hint is None else f"a host without its GUI: {hint}"


def describe_host(adapter: Any) -> str:
    """Return an adapter's name and the module that it comes from."""
    module = getattr(adapter, "__name__", None) or f"{type(adapter).__module__}.{type(adapter).__qualname__}"
    return f"{adapter.NAME} (adapter {module})"


def neighbours() -> Section:
    """Return the facts about everybody else in this process who runs or changes asyncio."""
    facts = [
        fact("running loop", _running_loop),
        fact("loops of other threads", lambda: "cannot be looked at"),
        fact("event-loop policy", _policy),
        fact("loaded", lambda: each([name for name in _NEIGHBOURS if name in sys.modules], _neighbour)),
        fact("changed in asyncio", _patches),
    ]
    return Section("Neighbours", facts)


def _running_loop() -> str:
    loop = events._get_running_loop()
    return "none in this thread, at this moment" if loop is None else _class_of(loop)


def _policy() -> str:
    # We read asyncio's variable. To call get_event_loop_policy() would make a policy if there is none.
    policy = vars(events).get("_event_loop_policy")
    return "none has been made" if policy is None else _class_of(policy)


def _neighbour(name: str) -> str:
    return f"{name} {vars(sys.modules[name]).get('__version__', '')}".rstrip()


def _patches() -> List[str]:
    names = vars(asyncio)
    found = ["nest_asyncio was applied"] if names.get("_nest_patched") else []
    for name in _OFTEN_PATCHED:
        module = str(getattr(names.get(name), "__module__", None))
        if module.partition(".")[0] not in ("asyncio", "_asyncio"):
            found.append(f"asyncio.{name} is of {module}")
    return found


def _class_of(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"

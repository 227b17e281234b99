"""asyncio inside a host application that already runs Qt.

    import asyncslot                      # vendored: from ._vendor import asyncslot

    lease = asyncslot.attach()            # when the plug-in is loaded, in the GUI thread
    button.clicked.connect(lease.slot(self.download))     # async def download(self): ...
    asyncslot.detach()                    # when it is unloaded

In between, every asyncio library works on the host's own Qt loop, without threads
and without polling. The map of the house, from the front door to the cellar:

    _attach     attach, detach, create_task, asyncSlot, for whoever calls
    _lease      Lease: one plug-in's hold on the loop; which this copy gave out   _detach   how its work is ended
    _runner     AsyncSlotRunner: for a program that owns its application
    _slots, _calls   a coroutine function as a slot             _report   what detach() tells
    _signals    a signal as an awaitable                       _dialogs  a dialog as an awaitable
    _progress   how far a task is
    _hosts      the adapter contract, and plain Qt with a progress dialog      host_adapters/  one file per host
    _meeting    where those who share a loop find each other
    _loop       AsyncSlotEventLoop: attached, nested, alone
    _steps      what a step is: budget, queues, polls. Start reading here
    _stack      steps within steps, the running loop, what other threads may cancel
    _application  which Qt loop nested mode runs               _alone   asyncio without Qt, for clean-up
    _asyncio    asyncio's private names, all that are used; the clock
    _tasks      how to look at tasks, and stop one             _owners   whose is it   _blame  whose error
    _packages   whose code a module is
    _interrupts Ctrl+C, in a program that owns its loop
    _unix, _windows  what the system gives: subprocesses, ways of waiting
    _selector   descriptors that can be muted                   _reads   how much is read at a time
    _executor   daemon threads
    _wakeup     how Qt calls us back: two timers, and one notifier or thread
    _binding    which Qt binding; connections that end safely  _errors   every exception
    testing     for plug-ins' own tests: a host
    __main__    python -m, at a terminal; no host imports it

What no plug-in needs in its daily work is in tools/:

    _monitor, _monitor_view   a window that shows all tasks     _watch   how long steps take
    _bug_report, _surroundings, _state, _facts   what report() tells, and a terminal's `doctor`: _doctor
    _vendoring, _vendor_source, _vendor_record   how a terminal's `vendor` copies the package
    _toy, _leftovers   the adapter of the host for tests; what a plug-in has left behind
    _settings, _proc   what else of the host's is looked at: signals, log, hooks; what Linux tells of processes

Nothing is imported from Qt before attach(), and nothing happens at import. AsyncSlotRunner, report and monitor are
imported, with the modules that only they need, when somebody asks for them.
"""

import sys as _sys
import typing as _typing
from os import path as _path

# Above the imports, because copies that meet tell each other their versions.
__version__ = "0.5.0.dev0"

# In a checkout, and so in a git submodule, the adapters lie beside the package, and not in it. (A host that imports
# plug-ins in a way of its own may give it no place: calibre.)
__path__ = [
    *__path__,
    *(place for place in map(_path.dirname, __path__) if _path.isfile(_path.join(place, "host_adapters/__init__.py"))),
]

from ._attach import asyncSlot, attach, create_task, detach, progress, run_until_complete
from ._dialogs import asyncDialog, asyncModal
from ._errors import ELSEWHERE as _ELSEWHERE
from ._errors import (
    AdapterError,
    AmbiguousLeaseError,
    ApplicationQuitError,
    ArgumentError,
    AsyncSlotError,
    AttachedLoopError,
    DetachedError,
    ForeignLoopError,
    IncompatibleCopyError,
    NoApplicationError,
    NoBindingError,
    NoLoopError,
    NoQtLoopError,
    NotCoroutineFunctionError,
    NotDialogError,
    NotFunctionError,
    NotOpenedError,
    NotSignalError,
    OptionError,
    OutsideCoroutineError,
    SenderDeletedError,
    TaskTimeoutError,
    ThreadError,
)
from ._lease import Lease
from ._loop import AsyncSlotEventLoop
from ._progress import Progress
from ._report import AbandonedTask, DetachReport
from ._signals import asyncSignal, asyncSignals

__all__ = [
    "AbandonedTask",
    "AdapterError",
    "AmbiguousLeaseError",
    "ApplicationQuitError",
    "ArgumentError",
    "AsyncSlotError",
    "AsyncSlotEventLoop",
    "AsyncSlotRunner",
    "AttachedLoopError",
    "DetachReport",
    "DetachedError",
    "ForeignLoopError",
    "IncompatibleCopyError",
    "Lease",
    "NoApplicationError",
    "NoBindingError",
    "NoLoopError",
    "NoQtLoopError",
    "NotCoroutineFunctionError",
    "NotDialogError",
    "NotFunctionError",
    "NotOpenedError",
    "NotSignalError",
    "OptionError",
    "OutsideCoroutineError",
    "Progress",
    "SenderDeletedError",
    "TaskTimeoutError",
    "ThreadError",
    "asyncDialog",
    "asyncModal",
    "asyncSignal",
    "asyncSignals",
    "asyncSlot",
    "attach",
    "create_task",
    "detach",
    "monitor",
    "progress",
    "report",
    "run_until_complete",
]

# Imported when somebody asks for it, for no plug-in needs it to be loaded. Only what the front door itself is asked
# for may come late: a module that imports when it works would, in a plug-in whose modules have been purged, get those
# of the next copy.
_LATE = ("AsyncSlotRunner", "monitor", "report")

if _typing.TYPE_CHECKING:
    from ._runner import AsyncSlotRunner as AsyncSlotRunner
    from .tools._bug_report import report as report
    from .tools._monitor import monitor as monitor
else:

    def __getattr__(name):
        """Import what comes late, and keep it."""
        if name in _ELSEWHERE:
            # Python asks so for `from ... import`, and would put words of its own for those of an AttributeError.
            is_import = _sys._getframe(1).f_code.co_name == "_handle_fromlist"
            raise (ImportError if is_import else AttributeError)(_ELSEWHERE[name])
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if getattr(_sys.modules.get(__name__), "__dict__", None) is not globals():
            raise AttributeError(f"this {__name__!r} has been unloaded, and cannot load {name!r} now; import it anew")
        # By statements: PyInstaller and Nuitka freeze the modules that they see imported, and QGIS forgets, on unload,
        # those that it has seen go through builtins.__import__.
        if name == "AsyncSlotRunner":
            from ._runner import AsyncSlotRunner as value
        elif name == "monitor":
            from .tools._monitor import monitor as value
        else:
            from .tools._bug_report import report as value
        globals()[name] = value
        return value

    def __dir__():
        """Name also what nobody has asked for yet: for a console's completion, and help()."""
        return sorted({*globals(), *_LATE})

"""A recorder of the calls that leave asyncslot's code, which can raise in one of them.

A profile function sees each call: of a function of Python's when it begins, of one in C before it is made. What it
raises comes out of the call, and Python forgets the profile function: one fault, and then everything is as ever.
"""

import collections
import os
import sys
import sysconfig

import asyncslot
import calls_out
from calls_out import Class, Host, Plugin, Qt

OURS = os.path.dirname(asyncslot.__file__) + os.sep
LIBRARY = tuple(os.path.realpath(sysconfig.get_path(which)) + os.sep for which in ("stdlib", "platstdlib"))

# What is called so often that it is data rather than a call: these raise for want of memory, and then nothing helps.
# Of asyncio's own tasks and futures that are written in C, the same can be said; those of foreign classes are not.
OF_NO_INTEREST = {
    *("_asyncio", "_collections", "_contextvars", "_functools", "_heapq", "_thread", "_weakref", "_weakrefset"),
    *("builtins", "collections", "collections.abc", "contextlib", "contextvars", "copyreg", "enum", "functools", "gc"),
    *("heapq", "inspect", "itertools", "math", "sys", "time", "types", "typing", "weakref", "abc", "_abc", "_py_abc"),
    *("linecache", "logging", "posixpath", "traceback"),  # in reports: their last resort is to write nothing
    # Their lookups and clocks.
    *("asyncio.base_futures", "asyncio.coroutines", "asyncio.events", "asyncio.format_helpers", "_queue", "queue"),
}

# Calls that do not raise, or whose failing leaves what they alone can take away: the callee, and by whom.
INEVITABLE = {
    ("BaseEventLoop.time", None): "the clock",
    ("BaseEventLoop.is_closed", None): "a flag",
    ("BaseEventLoop.is_running", None): "a flag",
    ("BaseEventLoop.get_debug", None): "a flag",
    ("BaseSelector.get_key", None): "a lookup",
    ("_BaseSelectorImpl.get_map", None): "a lookup",
    ("_SelectorMapping.__len__", None): "the same",
    ("Semaphore.release", None): "a lock",
    ("Thread.ident", None): "a number",
    ("close", None): "a descriptor that cannot be closed stays open",
    ("EpollSelector.close", None): "the same",
    ("_UnixSelectorEventLoop.close", None): "the same, where it begins",
    ("_SelectorTransport._call_connection_lost", None): "asyncio's own, and closes the socket",
    ("_SelectorSocketTransport._call_connection_lost", None): "the same",
    ("_SelectorDatagramTransport._call_connection_lost", None): "the same",
    ("_UnixReadPipeTransport._call_connection_lost", None): "the same",
    ("_UnixWritePipeTransport._call_connection_lost", None): "the same",
    ("_set_result_unless_cancelled", None): "asyncio's own, and would be another plug-in's alarm",
    ("WIFSIGNALED", None): "arithmetic",
    ("WTERMSIG", None): "arithmetic",
    ("WEXITSTATUS", None): "arithmetic",
    ("QObject.deleteLater", None): "what cannot be deleted stays",
    ("QTimer.stop", "_dialogs._run"): "called by Qt, for the timer that it stops",
}

# Ours to call out of, and no call out.
NOT_CALLED_OUT = {
    Plugin.called.__code__,
    Qt.__getattr__.__code__,
    Class.__init__.__code__,
    Class.__getattr__.__code__,
    Host.__init__.__code__,
}

Call = collections.namedtuple("Call", "callee module caller line")


class Recorder:
    """Writes down the calls out of asyncslot in this thread; raises in one of them.

    Args:
        wanted: a pair of a call and its number, counted from 1; None: raise in none.
        error: what is raised.

    Attributes:
        calls: how often each was made, in the order of their first time.
        is_raised: whether the wanted one has been made.
    """

    def __init__(self, wanted=None, error=None):
        self.calls = collections.OrderedDict()
        self.is_raised = False
        self._wanted = wanted
        self._error = error

    def is_raised_in(self, name):
        """Whether it was raised in a call of that name."""
        return self.is_raised and name in self._wanted[0].callee

    def __enter__(self):
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _look(self, frame, event, arg):
        call = None
        if event == "call":
            call = _python_call(frame)
        elif event == "c_call" and _is_ours(frame):
            call = _c_call(frame, arg)
        if call is not None:
            number = self.calls[call] = self.calls.get(call, 0) + 1
            if (call, number) == self._wanted:
                self.is_raised = True
                raise self._error


def _python_call(frame):
    code = frame.f_code
    if _is_ours(frame) or code in NOT_CALLED_OUT or code.co_name == "__del__" or "iboken" in code.co_filename:
        return None
    module = frame.f_globals.get("__name__") or ""
    if module == "asyncio" or module.startswith("importlib") or module in OF_NO_INTEREST:
        return None
    if not _is_named(frame, module):
        return None
    if module != calls_out.__name__ and frame.f_back is not None and not _is_ours(frame.f_back):
        return None  # the standard library's own affair
    itself = frame.f_locals.get("self")
    if code is Class.__call__.__code__:
        name = itself.real.__name__
    elif code.co_name == "method":
        name = f"OddTask.{frame.f_locals['name']}"
    else:
        name = f"{_class_of(code, itself)}{code.co_name}"
    return _call(name, module, frame.f_back)


def _class_of(code, itself):
    """Return the class that a method is defined in, with a dot."""
    for kind in type(itself).__mro__:
        function = vars(kind).get(code.co_name)
        if getattr(getattr(function, "fget", function), "__code__", None) is code:
            return f"{kind.__name__}."
    return ""


def _is_named(frame, module):
    path = frame.f_code.co_filename
    return module == calls_out.__name__ or (path.startswith(LIBRARY) and "site-packages" not in path)


def _c_call(frame, function):
    itself = getattr(function, "__self__", None)
    if itself is None or type(itself).__name__ == "module":
        module = function.__module__ or getattr(itself, "__name__", "")
        name = function.__name__
    else:
        kind = itself if isinstance(itself, type) else type(itself)
        module, name = kind.__module__, f"{kind.__name__}.{function.__name__}"
    if module in OF_NO_INTEREST:
        return None
    return _call(name, module, frame)


def _call(name, module, frame):
    while frame is not None and not _is_ours(frame):
        frame = frame.f_back
    if frame is None:
        return None
    if (name, _describe(frame)) in INEVITABLE:
        return None
    # It says nothing that a timer is started: who has wanted it started tells one call from another.
    while _describe(frame).startswith("_wakeup") and frame.f_back is not None and _is_ours(frame.f_back):
        frame = frame.f_back
    caller = _describe(frame)
    if (name, None) in INEVITABLE or (name, caller) in INEVITABLE:
        return None
    return Call(name, module, caller, frame.f_lineno)


def _describe(frame):
    code = frame.f_code
    return f"{os.path.basename(code.co_filename)[:-3]}.{code.co_name}"


def _is_ours(frame):
    return frame.f_code.co_filename.startswith(OURS)

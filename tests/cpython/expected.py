"""What of CPython's asyncio tests is not run, what may fail, and why.

All of it is exact: a test in FAILURES that passes, or that was not run, fails the
run, and so does a module outside NOT_OURS of which no test ran a loop of ours.
"""

import fnmatch
import os
import sys


def is_wine():
    """Return whether this Windows is wine's."""
    if sys.platform != "win32":
        return False
    import ctypes

    return hasattr(ctypes.windll.ntdll, "wine_get_version")


# Modules that make no real loop: they test parts of asyncio on mocks or with virtual time.
NOT_OURS = {
    "test_futures": "futures, with virtual time",
    "test_proactor_events": "the proactor loop's transports, on mocks",
    "test_protocols": "the base classes of protocols",
    "test_selector_events": "the selector loop's transports, on mocks",
    "test_tools": "what another process sees of tasks, on made-up tables",
    "test_transports": "the base classes of transports",
    "test_windows_utils": "Windows pipes, without a loop",
}
if sys.version_info < (3, 11):
    NOT_OURS["test_queues"] = "queues, with virtual time"
if sys.platform == "win32":
    NOT_OURS["test_unix_events"] = "Unix"
else:
    NOT_OURS["test_windows_events"] = "Windows"

# Patterns of 'module.Class.test'.
LEFT_OUT = {
    "test_*.SelectEventLoopTests.*": "EPollEventLoopTests once more, on another selector; our loop has its own",
    "test_*.PollEventLoopTests.*": "the same",
    "test_base_events.BaseEventLoopTests.test__run_once*": "_run_once(), asyncio's own turn, in place of which we step",
    "test_base_events.BaseEventLoopTests.test_custom_run_forever*": "somebody's own run_forever() around _run_once()",
    "test_base_events.BaseEventLoopTests.test_not_implemented": "what a bare BaseEventLoop does not have",
    "test_base_events.BaseEventLoopTests.test_run_forever_pre_stopped": "what was asked of a selector that is a mock",
    "test_base_events.BaseEventLoopTests.test_single_selecter_event_callback_after_stopping": "the same",
    "test_subprocess.GenericWatcherTests.*": "child watchers, which our loop never asks",
    "test_subprocess.SubprocessFastWatcherTests.*": "a watcher that takes every child of the process, ours included",
    "test_subprocess.SubprocessThreadedWatcherTests.test_pid_not_reaped_before_exit_published": "looks for asyncio's "
    "own watcher and its thread; tests/loop/test_loop.py does the same with ours",
}

LEFT_OUT_ATTACHED = {
    "test_windows_events.ProactorLoopCtrlC.*": "Ctrl+C wakes an idle loop; an attached one leaves signals to the host",
}

# 'module.Class.test': reason
FAILURES = {}
if is_wine():
    # With asyncio's own loop, too.
    FAILURES["test_windows_events.ProactorTests.test_double_bind"] = "wine 8 lets two servers listen on one pipe"
    if sys.version_info < (3, 11):
        closes = "test_sendfile.ProactorEventLoopTests.test_sendfile_close_peer_in_the_middle_of_receiving"
        FAILURES[closes] = "fails up to Python 3.10, for a reason not looked for"
    if (3, 11) <= sys.version_info < (3, 14):
        FAILURES["test_subprocess.SubprocessProactorTests.test_kill_issue43884"] = "there is no console for Ctrl+Break"


def modules_to_run(package):
    """Return the names of the test modules in `package`, the directory of test.test_asyncio."""
    found = [name[:-3] for name in os.listdir(package) if name.startswith("test_") and name.endswith(".py")]
    return sorted(set(found) - set(NOT_OURS))


def is_left_out(test, mode):
    """Return whether a test, 'module.Class.test', is not to be run in a mode."""
    patterns = [*LEFT_OUT, *(LEFT_OUT_ATTACHED if mode == "attached" else [])]
    return any(fnmatch.fnmatchcase(test, pattern) for pattern in patterns)


def failures(module):
    """Return the tests of a module that may and must fail, each with the reason."""
    return {test: reason for test, reason in FAILURES.items() if test.startswith(f"{module}.")}

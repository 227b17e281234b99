"""What of CPython's asyncio tests is not run, what may fail, and why.

All of it is exact: a test in FAILURES that passes, or that was not run, fails the
run, and so does a module outside NOT_OURS of which no test ran a loop of ours.
"""

import fnmatch
import os
import sys

# Modules that make no real loop: they test parts of asyncio on mocks or with virtual time.
NOT_OURS = {
    "test_futures": "futures, with virtual time",
    "test_proactor_events": "the proactor loop's transports, on mocks",
    "test_protocols": "the base classes of protocols",
    "test_selector_events": "the selector loop's transports, on mocks",
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
}

# 'module.Class.test': reason
FAILURES = {}


def modules_to_run(package):
    """Return the names of the test modules in `package`, the directory of test.test_asyncio."""
    found = [name[:-3] for name in os.listdir(package) if name.startswith("test_") and name.endswith(".py")]
    return sorted(set(found) - set(NOT_OURS))


def is_left_out(test):
    """Return whether a test, 'module.Class.test', is not to be run."""
    return any(fnmatch.fnmatchcase(test, pattern) for pattern in LEFT_OUT)


def failures(module):
    """Return the tests of a module that may and must fail, each with the reason."""
    return {test: reason for test, reason in FAILURES.items() if test.startswith(f"{module}.")}

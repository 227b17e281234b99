"""Run one module of `test.test_asyncio` in this process, on loops of ours.

Started by `run.py`, which reads what is written to --report: one JSON list a line,
[kind, test, detail], as it happens, so that a test that hangs or takes the
interpreter down is known by name. The last line is ["end", "", {...}].
"""

import argparse
import faulthandler
import importlib
import json
import signal
import unittest

import expected
import loops

# Seconds. No test of CPython's takes a fifth of this on an idle machine.
_TEST_TIMEOUT = 150


class Reporter(unittest.TestResult):
    """Writes down what each test came to, and whether it ran a loop of ours."""

    def __init__(self, stream, replacement):
        super().__init__()
        self._stream = stream
        self._replacement = replacement
        self._before = (0, 0)

    def write(self, kind, test, detail=""):
        self._stream.write(json.dumps([kind, _name(test), detail]) + "\n")
        self._stream.flush()

    def startTest(self, test):
        super().startTest(test)
        self._before = (self._replacement.runs, self._replacement.strangers)
        self.write("start", test)
        faulthandler.dump_traceback_later(_TEST_TIMEOUT, exit=True)

    def stopTest(self, test):
        # Python 3.12.1 calls this, and not startTest(), for tests that are skipped.
        faulthandler.cancel_dump_traceback_later()
        runs_before, strangers_before = self._before
        if self._replacement.strangers > strangers_before:
            self.write("stranger", test)
        self.write("stop", test, self._replacement.runs - runs_before)
        super().stopTest(test)

    def addSuccess(self, test):
        self.write("passed", test)

    def addFailure(self, test, err):
        self.write("failed", test, self._exc_info_to_string(err, test))

    def addError(self, test, err):
        self.write("failed", test, self._exc_info_to_string(err, test))

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.write("failed", test, f"{subtest}\n{self._exc_info_to_string(err, test)}")

    def addSkip(self, test, reason):
        self.write("skipped", test, reason)

    def addExpectedFailure(self, test, err):
        self.write("passed", test)

    def addUnexpectedSuccess(self, test):
        self.write("failed", test, "CPython expects this test to fail")


def _name(test):
    # 'test.test_asyncio.test_events.EPollEventLoopTests.test_close', without what all of them share
    return test.id().replace("test.test_asyncio.", "") if test else ""


def _tests(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _tests(test)
        else:
            yield test


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=loops.MODES, required=True)
    parser.add_argument("--wait", choices=loops.WAITS, required=True)
    parser.add_argument("--report", required=True)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("module")
    args = parser.parse_args()

    faulthandler.enable()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that starts something in the background has it ignore Ctrl+C, which tests send.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    application = None if args.mode == "plain" else loops.make_application()
    # Has classes that descend from asyncio's; so it comes before asyncio is changed.
    importlib.import_module("test.test_asyncio.utils")
    replacement = loops.replace(args.mode, args.wait)
    module = importlib.import_module(f"test.test_asyncio.{args.module}")
    loops.adapt(module, replacement)

    suite = unittest.TestSuite()
    left_out = 0
    for test in _tests(unittest.defaultTestLoader.loadTestsFromModule(module)):
        name = _name(test)
        if args.only and not any(text in name for text in args.only):
            continue
        if expected.is_left_out(name, args.mode):
            left_out += 1
        else:
            suite.addTest(test)
    with open(args.report, "w") as stream:
        reporter = Reporter(stream, replacement)
        suite.run(reporter)
        reporter.write("end", None, {"left_out": left_out})
    del application  # after the last loop


if __name__ == "__main__":
    main()

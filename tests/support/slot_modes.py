"""The modes in which slots run: attached, with both ways to make a slot, under AsyncSlotRunner, and nested."""

import asyncio
import contextlib

import asyncslot
from asyncslot import asyncSlot
from callers import call_as


class Mode:
    """A mode in which slots run.

    Attributes:
        wrap: makes a slot.
        run: runs a coroutine, with Qt, and returns its result.
        reports: the exceptions that were reported.
    """

    def __init__(self, wrap, run, reports):
        self.wrap, self.run, self.reports = wrap, run, reports


class Reporting:
    """A host that keeps the exceptions that are reported to it."""

    NAME = "Reporting"

    def __init__(self, qt_core, reports):
        self._qt_core = qt_core
        self._reports = reports

    def is_running(self):
        return True

    def qt_core(self):
        return self._qt_core

    def gui_parent(self):
        return None

    def on_quit(self, callback):
        return lambda: None

    def report(self, message, exc):
        self._reports.append(exc)

    def progress(self, title, cancel):
        return None


@contextlib.contextmanager
def attached(name, spin, recorder, module):
    """In a host, under a lease of that module."""
    reports = []
    with call_as(module, "attach", "slot results", host=Reporting(recorder.qt_core(), reports)) as lease:

        def run(coro):
            task = lease.create_task(coro)
            spin(task.done)
            return task.result()

        yield Mode(lease.slot if name == "Lease.slot" else asyncSlot, run, reports)


@contextlib.contextmanager
def owned(name, spin, recorder, module):
    """In a program that owns its application."""
    reports = []
    loop = asyncslot.AsyncSlotEventLoop()
    loop.set_exception_handler(lambda loop, context: reports.append(context.get("exception")))
    if name == "nested":
        with contextlib.closing(loop):
            yield Mode(asyncSlot, loop.run_until_complete, reports)
        return
    with asyncslot.AsyncSlotRunner(loop_factory=lambda: loop):

        def run(coro):
            task = loop.create_task(coro)
            spin(task.done)
            return task.result()

        yield Mode(asyncSlot, run, reports)


MODES = {"asyncSlot": attached, "Lease.slot": attached, "AsyncSlotRunner": owned, "nested": owned}


async def some_turns():
    """Wait until what is to be reported has been."""
    for _ in range(10):
        await asyncio.sleep(0)

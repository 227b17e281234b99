"""How each contender of scripts/bench.py is run: one small class each, with the same four methods.

Qt and the contender are imported in load(), so that importing can itself be measured. The package under test here and
the one of the same name on PyPI are told apart by sys.path: the worker is told which directory comes first.
"""

import asyncio
import contextlib
import contextvars
import functools
import importlib


class Contender:
    """A loop, and how a program runs it.

    Args: binding: the name of the Qt binding; "" for a loop without Qt.
    """

    uses_qt = True

    def __init__(self, binding):
        self.binding = binding
        self.app = None

    def make_app(self, has_widgets=False):
        """Load Qt and make the application that the contender runs in; a loop without Qt has none."""
        if self.uses_qt:
            self.core = importlib.import_module(self.binding + ".QtCore")
            if has_widgets:
                self.app = importlib.import_module(self.binding + ".QtWidgets").QApplication(["bench"])
            else:
                self.app = importlib.import_module(self.binding + ".QtGui").QGuiApplication(["bench"])

    def load(self):
        """Import the contender's package."""

    @contextlib.contextmanager
    def attached(self):
        """Make the loop, ready for Qt to run it, and close it in the end.

        Yields: a function that starts a coroutine function as a task.
        """
        raise NotImplementedError

    def slot(self, fn):
        """Return the coroutine function as what a signal can be connected to."""
        raise NotImplementedError

    def group(self):
        """Return a function that makes a task of a coroutine, and a coroutine function that ends all of these tasks."""
        tasks = []

        async def end():
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        return lambda coro: tasks.append(asyncio.get_running_loop().create_task(coro)), end

    def run(self, coro):
        """Run a coroutine to its end, in a Qt loop if there is one, and return its result."""
        results = []

        async def whole():
            try:
                results.append((await coro, None))
            except BaseException as exc:
                results.append((None, exc))
            # By a timer: the clean-up of some contenders does not like to be reached from inside a task.
            self.core.QTimer.singleShot(0, self.app.quit)

        with self.attached() as start:
            start(whole)
            self.run_qt()
        result, exc = results[0]
        if exc is not None:
            raise exc
        return result

    def do(self, job):
        """Do one of the jobs of jobs.py.

        Its coroutine is told how to call a function in the GUI thread, `call(fn, *args)`, and how to await what such a
        function returns, `ask(fn, *args)`: here, it is in that thread itself.
        """
        self.run(job.with_asyncio(_call, _ask))

    def run_qt(self, qt_loop=None):
        """Run the application's Qt loop, or a nested one."""
        qt_loop = qt_loop or self.app
        run = getattr(qt_loop, "exec", None) or qt_loop.exec_
        return run()


def _call(fn, *args):
    fn(*args)


async def _ask(fn, *args):
    return fn(*args)


class Plain(Contender):
    """asyncio as it is, without Qt: what the others are compared with."""

    uses_qt = False

    def new_loop(self):
        return asyncio.new_event_loop()

    @contextlib.contextmanager
    def attached(self):
        loop = self.new_loop()
        yield lambda fn: loop.create_task(fn())
        loop.close()

    def run(self, coro):
        loop = self.new_loop()
        try:
            return loop.run_until_complete(coro)
        finally:
            loop.close()


class UvLoop(Plain):
    """uvloop, without Qt: how fast a loop is that is not written in Python."""

    def load(self):
        import uvloop

        self.new_loop = uvloop.new_event_loop


class Ours(Contender):
    """This project."""

    def load(self):
        import asyncslot

        self.package = asyncslot

    @contextlib.contextmanager
    def attached(self):
        with self.package.attach("bench") as lease:
            self.lease = lease
            yield lambda fn: lease.create_task(fn())

    def slot(self, fn):
        return self.lease.slot(fn)

    def group(self):
        lease = self.package.attach("group")

        async def end():
            # From Qt, as a host unloads a plug-in.
            ended = asyncio.get_running_loop().create_future()
            self.core.QTimer.singleShot(0, lambda: ended.set_result(lease.detach()))
            abandoned = len((await ended).abandoned)
            if abandoned:
                raise RuntimeError(f"{abandoned} tasks were abandoned, which did not resist")

        # In an empty context, as in a slot that Qt calls.
        return lambda coro: contextvars.Context().run(lease.create_task, coro), end


class OursInThread(Ours):
    """This project, waiting as it does on other systems."""

    def load(self):
        super().load()
        from asyncslot import _selector, _unix

        _unix.PlatformLoop._as_make_wait = _selector.SelectorMixin._as_make_wait


class QtInter(Contender):
    """qtinter: a selector in a helper thread."""

    def load(self):
        import qtinter

        self.slot = qtinter.asyncslot
        self._attached = qtinter.using_asyncio_from_qt

    @contextlib.contextmanager
    def attached(self):
        with self._attached():
            yield self.start_in_qt

    def start_in_qt(self, fn):
        self._first = self.slot(fn)  # kept: some slots are held weakly
        self.core.QTimer.singleShot(0, self._first)


class PyPI(QtInter):
    """asyncslot 0.3.1 from PyPI, which became qtinter."""

    def load(self):
        import asyncslot

        self.slot = asyncslot.asyncSlot
        self._attached = asyncslot.AsyncSlotRunner


class QAsync(Contender):
    """qasync: a QTimer for each callback, a QSocketNotifier for each descriptor."""

    def load(self):
        import qasync

        self.package = qasync
        self.slot = lambda fn: qasync.asyncSlot()(fn)

    @contextlib.contextmanager
    def attached(self):
        with self.package.QEventLoop(self.app) as loop:
            asyncio.set_event_loop(loop)
            yield lambda fn: loop.create_task(fn())
        asyncio.set_event_loop(None)

    def run(self, coro):
        with self.package.QEventLoop(self.app) as loop:
            asyncio.set_event_loop(loop)
            return loop.run_until_complete(coro)


class QtAsyncio(Contender):
    """PySide6's own."""

    def load(self):
        from PySide6 import QtAsyncio

        self.package = QtAsyncio

    @contextlib.contextmanager
    def attached(self):
        loop = self.package.QAsyncioEventLoop(self.app, quit_qapp=False)
        yield lambda fn: loop.create_task(fn())
        loop.close()

    def slot(self, fn):
        return lambda *args: asyncio.ensure_future(fn(*args))

    def run(self, coro):
        return self.package.run(coro, keep_running=False)


class Pump(Contender):
    """What plug-ins write: a QTimer that lets a private loop turn once.

    Args: interval_ms: the timer's.
    """

    def __init__(self, binding, interval_ms):
        super().__init__(binding)
        self._interval_ms = interval_ms

    @contextlib.contextmanager
    def attached(self):
        self.loop = loop = asyncio.new_event_loop()
        timer = self.core.QTimer()
        timer.timeout.connect(self._turn)
        timer.start(self._interval_ms)
        yield lambda fn: loop.create_task(fn())
        timer.stop()
        loop.close()

    def _turn(self):
        if not self.loop.is_running():  # in a dialog that one of its own tasks has opened
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def slot(self, fn):
        return lambda *args: self.loop.create_task(fn(*args))


LOOPS = {
    "plain": Plain,
    "asyncslot": Ours,
    "asyncslot-thread": OursInThread,
    "uvloop": UvLoop,
    "qtinter": QtInter,
    "asyncslot-0.3.1": PyPI,
    "qasync": QAsync,
    "QtAsyncio": QtAsyncio,
    "pump-20ms": functools.partial(Pump, interval_ms=20),
    "pump-0ms": functools.partial(Pump, interval_ms=0),
}

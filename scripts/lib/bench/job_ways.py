"""The ways of doing a job that are not a loop of asyncio in Qt; see jobs.py for the jobs, loops.py for the loops.

Each is a contender that does no other workload. It takes the job's part that is written for it, and runs Qt's loop.
"""

import asyncio
import threading

from lib.bench.loops import Contender, Ours


class OursWithStreams(Ours):
    """This project, with the streams of the standard library instead of a client library."""

    def do(self, job):
        self.run(job.with_streams())


class Qt(Contender):
    """Qt's own network classes, without asyncio."""

    def do(self, job):
        job.with_qt(self.app.quit)
        self.run_qt()


class QtMore(Qt):
    """Qt's own, told to open more than its six connections to a server; Qt 6.5 and later."""

    def do(self, job):
        job.connections_of_qt = job.AT_ONCE
        super().do(job)


class Threads(Contender):
    """Threads that block, and a signal for what they have."""

    def do(self, job):
        relay = Relay(self.core)
        job.with_threads(relay, self.app.quit)
        self.run_qt()


class AsyncioInThread(Contender):
    """asyncio without Qt, in a thread, and a signal for what it has."""

    def do(self, job):
        relay = Relay(self.core)
        failures = []

        async def ask(fn, *args):
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            relay.call(lambda: loop.call_soon_threadsafe(future.set_result, fn(*args)))
            return await future

        coro = job.with_asyncio(relay.call, ask)

        def run():
            try:
                asyncio.run(coro)
            except BaseException as exc:
                failures.append(exc)
            relay.call(self.app.quit)

        thread = threading.Thread(target=run)
        thread.start()
        self.run_qt()
        thread.join()
        if failures:
            raise failures[0]


class Relay:
    """Calls functions in the thread in which it was made, by a queued signal.

    Args: core: the binding's QtCore.
    """

    def __init__(self, core):
        signal = getattr(core, "pyqtSignal", None) or core.Signal

        class Sender(core.QObject):
            fired = signal(object, object)

            def run(self, fn, args):
                fn(*args)

        self._sender = sender = Sender()  # whose method it is says in which thread it is called
        kinds = getattr(core.Qt, "ConnectionType", core.Qt)
        sender.fired.connect(sender.run, kinds.QueuedConnection)

    def call(self, fn, *args):
        """Have `fn(*args)` called. Thread: any."""
        self._sender.fired.emit(fn, args)


WAYS = {
    "asyncslot-streams": OursWithStreams,
    "Qt": Qt,
    "Qt-more": QtMore,
    "asyncio-in-thread": AsyncioInThread,
    "threads": Threads,
}

"""Other plug-ins with event loops of their own, as fragments of programs that run beside a plug-in of ours.

A neighbour starts something (`start()`), tells whether it works (`works()`), and ends it (`stop()`). HOST has the
application, `Ours`, which does the same with a plug-in of ours, and `stories()`, which has both in one process in the
order that it is told.
"""

HOST = """
import asyncio, gc, sys, threading
from qtpy import QtCore, QtWidgets
app = QtWidgets.QApplication([])
import asyncslot

def run(qt_loop):
    return (getattr(qt_loop, "exec", None) or qt_loop.exec_)()

def spin(until, what):
    event_loop, poll, limit = QtCore.QEventLoop(), QtCore.QTimer(), QtCore.QTimer()
    poll.timeout.connect(lambda: until() and event_loop.quit())
    poll.start(1)
    limit.setSingleShot(True)
    limit.timeout.connect(event_loop.quit)
    limit.start(60000)
    run(event_loop)
    poll.stop()
    limit.stop()
    assert until(), what

async def job(done):
    # What most libraries need: a timer, a connection, a thread, a child task.
    loop = asyncio.get_running_loop()
    async def answer(reader, writer):
        writer.write(await reader.readline())
        writer.close()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello\\n")
    assert await asyncio.ensure_future(reader.readline()) == b"hello\\n"
    writer.close()
    server.close()
    await asyncio.sleep(0.005)
    await loop.run_in_executor(None, int)
    assert asyncio.get_running_loop() is loop
    done.append(loop)

class Sender(QtCore.QObject):
    fired = QtCore.Signal(int)

class Ours:
    def start(self):
        self.lease = asyncslot.attach()

    def works(self):
        published = asyncio._get_running_loop()
        for part in (self.job, self.ours_alone, self.slots, self.blocking):
            part()
            assert asyncio._get_running_loop() is published, (part, published, asyncio._get_running_loop())

    def job(self):
        done = []
        self.lease.create_task(job(done))
        spin(lambda: done, "ours does not work")
        assert done == [self.lease.loop]

    async def all_of_ours(self):
        assert await self.lease.to_thread(threading.get_ident) != threading.get_ident()
        child = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", "")
        assert await child.wait() == 0
        sender = Sender()
        asyncio.get_running_loop().call_soon(sender.fired.emit, 7)
        assert await asyncslot.asyncSignal(sender.fired) == (7,)
        assert await asyncslot.asyncModal(lambda: 8) == 8
        return asyncio.get_running_loop()

    def ours_alone(self):
        task = asyncslot.create_task(self.all_of_ours())
        spin(task.done, "our own functions do not work")
        assert task.result() is self.lease.loop

    def slots(self):
        for make_slot in (self.lease.slot, asyncslot.asyncSlot):
            first = []
            async def slot():
                first.append(asyncio.current_task())
                await asyncio.sleep(0)
                first.append(asyncio.current_task())
            QtCore.QTimer.singleShot(0, make_slot(slot))
            spin(lambda: len(first) == 2 and first[0] is first[1], "our slot does not work")

    def blocking(self):
        done = []
        self.lease.run_until_complete(job(done), timeout=10)
        assert done == [self.lease.loop]

    def stop(self):
        published = asyncio._get_running_loop()
        lease, self.lease = self.lease, None
        task = lease.create_task(asyncio.sleep(3600))
        report = lease.detach()
        assert task.cancelled() and not report.abandoned, report
        assert asyncio._get_running_loop() is published

class Theirs:
    publishes = None      # the loop that it keeps published as the running one, while it runs
    ends_the_application = False

    def start(self):
        pass
    def stop(self):
        pass
    def live(self, story):
        next(story)
        self.start()
        next(story)
        self.stop()
        next(story, None)

def check(who):
    who.works()
    theirs = asyncio._get_running_loop()
    assert theirs is None or theirs is neighbour.publishes, theirs
    assert theirs is neighbour.publishes, "the neighbour's loop is not published any more"

def stories(order):
    "Both of them in one process; it pauses where the neighbour is to start, and to stop."
    ours, theirs = Ours(), neighbour
    for who in order[0]:
        if who == "o":
            ours.start()
        else:
            yield
    for _ in range(2):
        check(ours)
        check(theirs)
    for who, other in zip(order[1], (order[1][1], None)):
        if who == "o":
            ours.stop()
        else:
            yield
            if theirs.ends_the_application and ours.lease is not None:
                # As all leases do when the application quits; another one can be had.
                assert not ours.lease.is_attached
                ours.start()
        if other is not None:
            check(dict(o=ours, n=theirs)[other])
"""

BESIDE = """
neighbour = Neighbour()
neighbour.live(stories({order!r}))
gc.collect()
print("fine", file=sys.__stdout__)
"""

NEIGHBOURS = {
    "a 20 ms timer pump": """
class Neighbour(Theirs):
    def start(self):
        self.loop = asyncio.SelectorEventLoop()
        self.timer = QtCore.QTimer()
        self.timer.timeout.connect(self.pump)
        self.timer.start(20)
    def pump(self):
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
    def works(self):
        done = []
        self.task = self.loop.create_task(job(done))
        spin(lambda: done, "the pump does not work")
        assert done == [self.loop]
    def stop(self):
        self.timer.stop()
        self.loop.close()
""",
    "asyncio.run() in a slot": """
class Neighbour(Theirs):
    def works(self):
        done = []
        QtCore.QTimer.singleShot(0, lambda: asyncio.run(job(done)))
        spin(lambda: done, "asyncio.run() does not work")
""",
    "a loop that fails to run": """
class Neighbour(Theirs):
    # On Python 3.13, one that fails because another loop is running leaves none published.
    def works(self):
        failed = []
        async def fail():
            loop = asyncio.SelectorEventLoop()
            try:
                loop.run_forever()
            except RuntimeError as exc:
                failed.append(str(exc))
            loop.close()
        lease = asyncslot.attach("a plug-in that fails")
        lease.create_task(fail())
        spin(lambda: failed, "the loop was not run")
        assert failed == ["Cannot run the event loop while another loop is running"]
        lease.detach()
""",
    "a thread with a loop of its own": """
class Neighbour(Theirs):
    def start(self):
        self.loop = asyncio.SelectorEventLoop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
    def works(self):
        done = []
        asyncio.run_coroutine_threadsafe(job(done), self.loop)
        spin(lambda: done, "the thread does not work")
    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
""",
    "a QThread with a nested loop of ours": """
class Neighbour(Theirs):
    def start(self):
        self.loop = asyncslot.AsyncSlotEventLoop()
        owner = self
        class Worker(QtCore.QThread):
            def run(self):
                owner.loop.run_forever()
                owner.loop.close()
        self.worker = Worker()
        self.worker.start()
    def works(self):
        done = []
        asyncio.run_coroutine_threadsafe(job(done), self.loop)
        spin(lambda: done, "the QThread does not work")
    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        assert self.worker.wait(5000)
""",
    "qasync": """
import qasync
class Neighbour(Theirs):
    def start(self):
        self.publishes = qasync.QEventLoop(app, already_running=True)
        self.executor = qasync.QThreadExecutor(1)
        self.publishes.set_default_executor(self.executor)
    def works(self):
        done = []
        self.task = self.publishes.create_task(job(done))
        spin(lambda: done, "qasync does not work")
        assert done == [self.publishes]
    def stop(self):
        # Not its stop(): it is app.exit(), and leaves its loop published.
        asyncio._set_running_loop(None)
        self.executor.shutdown()
        self.publishes = None
""",
    "qtinter": """
import qtinter
class Neighbour(Theirs):
    def start(self):
        self.context = qtinter.using_asyncio_from_qt()
        self.context.__enter__()
        self.publishes = asyncio.get_running_loop()
    def works(self):
        done = []
        QtCore.QTimer.singleShot(0, lambda: asyncio.create_task(job(done)))
        spin(lambda: done, "qtinter does not work")
    def stop(self):
        self.context.__exit__(None, None, None)
        self.publishes = None
""",
    "Houdini's policy": """
class HoudiniLoop(asyncio.SelectorEventLoop):
    def get_task_factory(self):
        raise NotImplementedError
class HoudiniPolicy(asyncio.AbstractEventLoopPolicy):
    loop = HoudiniLoop()
    def get_event_loop(self):
        return self.loop
    def new_event_loop(self):
        return self.loop
    def set_event_loop(self, loop):
        pass
    def get_child_watcher(self):
        raise NotImplementedError
class Neighbour(Theirs):
    def start(self):
        asyncio.set_event_loop_policy(HoudiniPolicy())
        self.timer = QtCore.QTimer()
        self.timer.timeout.connect(self.turn)
        self.timer.start(50)
    def turn(self):
        self.loop = asyncio.get_event_loop_policy().get_event_loop()
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
    def works(self):
        done = []
        asyncio.get_event_loop_policy().get_event_loop().create_task(job(done))
        spin(lambda: done, "Houdini's loop does not work")
        assert done == [HoudiniPolicy.loop]
    def stop(self):
        self.timer.stop()
        asyncio.set_event_loop_policy(None)
""",
    "nest_asyncio": """
import nest_asyncio
class Neighbour(Theirs):
    def start(self):
        nest_asyncio.apply(asyncio.SelectorEventLoop())
    def works(self):
        done = []
        QtCore.QTimer.singleShot(0, lambda: asyncio.run(job(done)))
        spin(lambda: done, "asyncio.run() does not work after nest_asyncio.apply()")
""",
    "PySide6.QtAsyncio": """
from PySide6 import QtAsyncio
class Neighbour(Theirs):
    # It is not started in an application that runs, it runs the application.
    ends_the_application = True
    def live(self, story):
        errors = []
        def inside():
            try:
                self.publishes = asyncio.get_running_loop()
                next(story)
            except BaseException as exc:
                errors.append(exc)
            app.quit()
        next(story)
        QtCore.QTimer.singleShot(0, inside)
        QtAsyncio.run()
        self.publishes = None
        for exc in errors:
            raise exc
        next(story, None)
    def works(self):
        done = []
        async def their_job():
            # It has no sockets, servers or subprocesses.
            await asyncio.ensure_future(asyncio.sleep(0.005))
            await asyncio.get_running_loop().run_in_executor(None, int)
            done.append(asyncio.get_running_loop())
        self.task = self.publishes.create_task(their_job())
        spin(lambda: done, "QtAsyncio does not work")
        assert done == [self.publishes]
""",
    "an in-process Jupyter kernel": """
from qtconsole.inprocess import QtInProcessKernelManager
class Neighbour(Theirs):
    def start(self):
        self.manager = QtInProcessKernelManager()
        self.manager.start_kernel(show_banner=False)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.iopub_channel.message_received.connect(lambda message: self.messages.append(message))
    def works(self):
        # Not `await` in a cell: ipykernel 7 cannot do that in an in-process kernel.
        self.messages, done = [], []
        self.manager.kernel.shell.push({"done": done, "asyncio": asyncio})
        QtCore.QTimer.singleShot(0, lambda: self.client.execute("done.append(asyncio.get_running_loop()); 6 * 7"))
        spin(lambda: any(m["msg_type"] == "execute_result" for m in self.messages), "no answer in the console")
        results = [m["content"]["data"]["text/plain"] for m in self.messages if m["msg_type"] == "execute_result"]
        assert results == ["42"]
        place = asyncslot._meeting.here()
        assert place is None or done != [place.loop]
        # A cell uses a plug-in of ours, if there is one.
        if place is not None:
            self.manager.kernel.shell.push({"asyncslot": asyncslot, "job": job})
            QtCore.QTimer.singleShot(0, lambda: self.client.execute("asyncslot.create_task(job(done))"))
            spin(lambda: len(done) == 2, "our functions do not work in a cell")
            assert done[1] is place.loop
    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel()
""",
}

# Those that have to be installed; the extras "guests" and "guests-pyside6" do.
NEEDS = {
    "qasync": "qasync",
    "qtinter": "qtinter",
    "nest_asyncio": "nest_asyncio",
    "PySide6.QtAsyncio": "PySide6.QtAsyncio",
    "an in-process Jupyter kernel": "qtconsole",
}

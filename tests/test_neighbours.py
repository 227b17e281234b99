"""Other plug-ins with event loops of their own, in the same GUI thread: each goes on working beside us.

A neighbour is a program fragment that starts something of its own (`start()`), tells whether it
works (`works()`), and ends it (`stop()`). Each is tried in every order of starting and stopping
beside a plug-in of ours, in a process of its own.
"""

import importlib.util

import pytest

HOST = """
import asyncio, sys, threading
from qtpy import QtCore, QtWidgets
app = QtWidgets.QApplication([])
import asyncslot

def spin(until, what):
    event_loop, poll, limit = QtCore.QEventLoop(), QtCore.QTimer(), QtCore.QTimer()
    poll.timeout.connect(lambda: until() and event_loop.quit())
    poll.start(1)
    limit.setSingleShot(True)
    limit.timeout.connect(event_loop.quit)
    limit.start(10000)
    (getattr(event_loop, "exec", None) or event_loop.exec_)()
    poll.stop()
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

class Ours:
    def start(self):
        self.lease = asyncslot.attach("ours")
    def works(self):
        done = []
        self.lease.create_task(job(done))
        spin(lambda: done, "ours does not work")
        assert done == [self.lease.loop]
        first = []
        async def slot():
            first.append(asyncio.current_task())
            await asyncio.sleep(0)
            first.append(asyncio.current_task())
        QtCore.QTimer.singleShot(0, self.lease.slot(slot))
        spin(lambda: len(first) == 2 and first[0] is first[1], "our slot does not work")
    def stop(self):
        report = self.lease.detach()
        assert not report.abandoned, report
"""

ORDERS = """
ours, theirs = Ours(), Neighbour()
order = {order!r}
for who in order[0]:
    dict(o=ours, n=theirs)[who].start()
for _ in range(2):
    ours.works()
    theirs.works()
first, second = (dict(o=ours, n=theirs)[who] for who in order[1])
first.stop()
second.works()
second.stop()
print("fine")
"""

NEIGHBOURS = {
    "a 20 ms timer pump": """
class Neighbour:
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
class Neighbour:
    def start(self):
        pass
    def works(self):
        done = []
        QtCore.QTimer.singleShot(0, lambda: asyncio.run(job(done)))
        spin(lambda: done, "asyncio.run() does not work")
    def stop(self):
        pass
""",
    "a thread with a loop of its own": """
class Neighbour:
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
class Neighbour:
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
class Neighbour:
    def start(self):
        self.loop = qasync.QEventLoop(app, already_running=True)
    def works(self):
        done = []
        async def their_job():
            # Not its sockets and threads: what its plug-ins use most, tasks and timers.
            await asyncio.ensure_future(asyncio.sleep(0.005))
            done.append(asyncio.get_running_loop())
        self.task = self.loop.create_task(their_job())
        spin(lambda: done, "qasync does not work")
        assert done == [self.loop]
    def stop(self):
        # Not its stop(): it is app.exit().
        asyncio._set_running_loop(None)
""",
    "qtinter": """
import qtinter
class Neighbour:
    def start(self):
        self.context = qtinter.using_asyncio_from_qt()
        self.context.__enter__()
    def works(self):
        done = []
        QtCore.QTimer.singleShot(0, lambda: asyncio.create_task(job(done)))
        spin(lambda: done, "qtinter does not work")
    def stop(self):
        self.context.__exit__(None, None, None)
""",
    "Houdini's policy": """
class Watcherless(asyncio.SelectorEventLoop):
    def get_task_factory(self):
        raise NotImplementedError
class HoudiniPolicy(asyncio.AbstractEventLoopPolicy):
    loop = Watcherless()
    def get_event_loop(self):
        return self.loop
    def new_event_loop(self):
        return self.loop
    def set_event_loop(self, loop):
        pass
    def get_child_watcher(self):
        raise NotImplementedError
class Neighbour:
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
        lease = asyncslot.attach("subprocess under Houdini's policy")
        async def child():
            return await (await asyncio.create_subprocess_exec(sys.executable, "-c", "")).wait()
        task = lease.create_task(child())
        spin(task.done, "no subprocess under Houdini's policy")
        assert task.result() == 0
        lease.detach()
    def stop(self):
        self.timer.stop()
        asyncio.set_event_loop_policy(None)
""",
    "nest_asyncio": """
import nest_asyncio
class Neighbour:
    def start(self):
        nest_asyncio.apply(asyncio.SelectorEventLoop())
    def works(self):
        done = []
        QtCore.QTimer.singleShot(0, lambda: asyncio.run(job(done)))
        spin(lambda: done, "asyncio.run() does not work after nest_asyncio.apply()")
    def stop(self):
        pass
""",
}

# Those that have to be installed; the extra "guests" does.
NEEDS = {"qasync": "qasync", "qtinter": "qtinter", "nest_asyncio": "nest_asyncio"}


@pytest.mark.parametrize("order", [("on", "no"), ("on", "on"), ("no", "no"), ("no", "on")], ids="-".join)
@pytest.mark.parametrize("name", NEIGHBOURS)
def test_beside(run_python, guest_missing, name, order):
    """`o` is ours, `n` the neighbour: first who starts before whom, then who stops before whom."""
    module = NEEDS.get(name)
    if module is not None and importlib.util.find_spec(module) is None:
        guest_missing(f"{module} is not installed (extra 'guests')")
    source = HOST + NEIGHBOURS[name] + ORDERS.replace("{order!r}", repr(order))
    assert run_python(source).stdout.split() == ["fine"]

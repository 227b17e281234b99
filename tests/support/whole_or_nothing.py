"""Programs that look, at the end, whether an attach() or a detach() has been done wholly or not at all.

They run in a process of their own, after PRELUDE: `left()` names what is left in the process, `works()` uses a loop
from attach() to detach(), and `Host` is an adapter that keeps what it is told to report.
"""

PRELUDE = """
import asyncio, gc, os, sys, threading
from qtpy import API_NAME, QtCore, QtWidgets
app = QtWidgets.QApplication([])
import asyncslot

log, reports = [], []

class Host:
    NAME = "Host"
    def is_running(self): return True
    def qt_core(self): return sys.modules[API_NAME + ".QtCore"]
    def gui_parent(self): return None
    def on_quit(self, callback): return lambda: None
    def report(self, message, exc): reports.append((message, exc))
    def progress(self, title, cancel): return None

def exec_(thing):
    return (getattr(thing, "exec", None) or thing.exec_)()

def spin(until):
    event_loop, poll, alarm = QtCore.QEventLoop(), QtCore.QTimer(), QtCore.QTimer()
    poll.timeout.connect(lambda: until() and event_loop.quit())
    poll.start(1)
    alarm.setSingleShot(True)
    alarm.timeout.connect(event_loop.quit)
    alarm.start(60000)
    exec_(event_loop)
    poll.stop()
    alarm.stop()
    assert until(), "nothing happened"

def descriptors():
    if sys.platform != "linux":
        return []
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink("/proc/self/fd/" + fd)
        except OSError:
            continue  # the one that listdir() has open
        if target.startswith(("socket:", "pipe:", "anon_inode:[eventpoll", "anon_inode:[pidfd")):
            found.append(target)
    return sorted(found)

def left():
    "Name what an attached plug-in would have in this process."
    for thread in threading.enumerate():
        if thread.name.startswith("asyncslot"):
            thread.join(5)
    gc.collect()
    found = [name for name in vars(asyncio) if "asyncslot" in name]
    found += ["a loop" for thing in gc.get_objects() if issubclass(type(thing), asyncslot.AsyncSlotEventLoop)
              and not thing.is_closed()]
    found += [target for target in descriptors() if target not in before]
    found += [thread.name for thread in threading.enumerate() if thread.name.startswith("asyncslot")]
    if asyncio._get_running_loop() is not None:
        found.append("a running loop")
    return found

async def use():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await asyncio.sleep(0.001)
    writer.close()
    server.close()

def works():
    "Attach, run a task with Qt's loop, detach; say what is not as it should be."
    lease = asyncslot.attach("later", host=Host())
    task = lease.create_task(use())
    spin(task.done)
    task.result()
    forever = lease.create_task(asyncio.sleep(3600))
    report = lease.detach()
    assert (report.ended, report.abandoned) == (1, []), report
    assert forever.cancelled()
    return True

class Neighbour:
    "Another plug-in, whose task must go on whatever happens, and end with it."
    def __init__(self, **options):
        self.lease, self.ticks = asyncslot.attach("neighbour", **options), 0
        self.task = self.lease.create_task(self.tick())
    async def tick(self):
        while True:
            self.ticks += 1
            await asyncio.sleep(0.001)
    def goes_on(self):
        enough = self.ticks + 3
        spin(lambda: self.ticks > enough)
        return True
    def leave(self):
        report = self.lease.detach()
        return (report.ended, report.abandoned) == (1, []) and self.lease.loop.is_closed()

async def forever():
    try:
        await asyncio.get_event_loop().create_future()
    finally:
        await asyncio.sleep(0)
        log.append("cleaned up")

async def stubborn():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            log.append("resists")

# What Qt, Python and we have once in a process is there from now on.
with asyncslot.attach("before", host=Host()) as lease:
    lease.run_until_complete(use())
    spin(lease.create_task(use()).done)
before = descriptors()
assert not left(), left()
"""

"""Frozen copies and today's, in pairs, as two plug-ins in a process of their own.

The plug-ins are called `one` and `two`, in the order in which they come, and are alike but for their copies.
"""

import re
import zipfile
from pathlib import Path

import pytest

import asyncslot
import vendored
from asyncslot import _meeting

TESTS = Path(__file__).resolve().parents[1]
FROZEN = TESTS / "frozen"


class Frozen:
    """A frozen copy, by its zip."""

    def __init__(self, path):
        self.path = path
        self.label = re.fullmatch(r"asyncslot-(.+)\.zip", path.name).group(1)
        with zipfile.ZipFile(str(path)) as archive:
            self.entries = archive.infolist()
            self.files = {entry.filename: archive.read(entry) for entry in self.entries}
        self.version = self.search("__init__.py", r'^__version__ = "(.+)"$')
        self.protocol = int(self.search("_meeting.py", r"^PROTOCOL = (\d+)$"))

    def search(self, name, pattern):
        return re.search(pattern, self.files[f"asyncslot/{name}"].decode(), re.MULTILINE).group(1)

    def make(self, directory):
        vendored.put(vendored.make_once(self._extract), directory)

    def _extract(self, directory):
        with zipfile.ZipFile(str(self.path)) as archive:
            archive.extractall(str(directory))


class Today:
    """A copy of the code as it is here; if `is_next`, one that says it speaks the next protocol."""

    def __init__(self, is_next=False):
        self.label = "next" if is_next else "today"
        self.version = "99.0.0" if is_next else asyncslot.__version__
        self.protocol = _meeting.PROTOCOL + is_next

    def make(self, directory):
        vendored.copy(directory, pretend=f"{self.version}:{self.protocol}")


COPIES = [Frozen(path) for path in sorted(FROZEN.glob("*.zip"))]
TODAY, NEXT = Today(), Today(is_next=True)

PAIRS = [(first, second) for first in [TODAY, *COPIES] for second in [TODAY, *COPIES]] + [(TODAY, NEXT), (NEXT, TODAY)]


def table(pairs):
    """Return a decorator that runs a test with each of these pairs, each in processes of its own."""
    labels = [f"{first.label}, {second.label}" for first, second in pairs]
    return lambda test: pytest.mark.slow(pytest.mark.parametrize("pair", pairs, ids=labels)(test))


each_pair = table(PAIRS)
each_pair_that_shares = table([(first, second) for first, second in PAIRS if first.protocol == second.protocol])
each_pair_that_cannot_share = table([(first, second) for first, second in PAIRS if first.protocol != second.protocol])
in_either_order = pytest.mark.parametrize("leaving", [("one", "two"), ("two", "one")], ids="-".join)
by_either = pytest.mark.parametrize("who", ["one", "two"])

# Each of the two plug-ins.
PLUGIN = '''
import asyncio
from ._vendor import asyncslot

class Plugin:
    """What the host makes, loads and unloads; it ticks, and hears what the sender says, in two ways."""

    def __init__(self, sender, host):
        self.sender, self.host = sender, host
        self.ticks, self.heard, self.has_cleaned_up, self.lease = 0, [], False, None

    def load(self):
        self.lease = asyncslot.attach(host=self.host)
        self.lease.create_task(self.tick())
        self.sender.said.connect(self.hear)
        self.sender.said.connect(self.lease.slot(self.listen))

    def unload(self):
        return asyncslot.detach()

    async def tick(self):
        try:
            while True:
                await asyncio.sleep(0.001)
                self.ticks += 1
        finally:
            await asyncio.sleep(0)
            self.has_cleaned_up = True

    @asyncslot.asyncSlot
    async def hear(self, text):
        await asyncio.sleep(0)
        self.heard.append(text)

    async def listen(self, text):
        await asyncio.sleep(0)
        self.heard.append(text.upper())
'''

# The host.
PRELUDE = """
import asyncio, functools, gc, importlib, os, sys
from qtpy import QtCore, QtWidgets
sys.path[:0] = [{plugins!r}, {support!r}]
app = QtWidgets.QApplication([])

class Sender(QtCore.QObject):
    said = QtCore.Signal(str)
    asked = QtCore.Signal(str)
    never = QtCore.Signal(str)

class Host:
    NAME = "Host"
    def __init__(self, plugin): self.plugin, self.reports = plugin, []
    def is_running(self): return True
    def qt_core(self): return sys.modules[app.__class__.__module__.rpartition(".")[0] + ".QtCore"]
    def gui_parent(self): return None
    def on_quit(self, callback):
        app.aboutToQuit.connect(callback)
        return functools.partial(app.aboutToQuit.disconnect, callback)
    def report(self, message, exc): self.reports.append((message, exc))
    def progress(self, title, cancel): return None

sender, plugins, hosts = Sender(), {}, {"one": Host("one"), "two": Host("two")}

# As hosts have it that live with PyQt, which ends the process where nobody hears of an exception in a slot.
unheard = []

def excepthook(kind, exc, traceback):
    unheard.append(exc)
    sys.__excepthook__(kind, exc, traceback)

sys.excepthook = excepthook

def copy(name):
    return importlib.import_module(name + "._vendor.asyncslot")

def make(name):
    plugins[name] = importlib.import_module(name).Plugin(sender, hosts[name])
    return plugins[name]

def load(name):
    make(name).load()
    return plugins[name]

def purge(name):
    "As QGIS does on reload: every module of the plug-in's package."
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[module]
    gc.collect()

def spin(until):
    qt_loop, poll = QtCore.QEventLoop(), QtCore.QTimer()
    poll.timeout.connect(lambda: until() and qt_loop.quit())
    poll.start(1)
    QtCore.QTimer.singleShot(60000, qt_loop.quit)
    (getattr(qt_loop, "exec", None) or qt_loop.exec_)()
    poll.stop()
    assert until(), "nothing happened"

def live(*names):
    "See that these plug-ins tick and hear, and that the others do not."
    before = {name: (plugin.ticks, len(plugin.heard)) for name, plugin in plugins.items()}
    sender.said.emit("hello")
    spin(lambda: all(plugins[name].ticks >= before[name][0] + 3 and len(plugins[name].heard) >= before[name][1] + 2
                     for name in names))
    for name, plugin in plugins.items():
        heard = plugin.heard[before[name][1]:]
        assert sorted(heard) == (["HELLO", "hello"] if name in names else []), (name, heard)
        assert name in names or plugin.ticks == before[name][0], name

def see_it_has_left(name, report):
    assert (report.ended, report.abandoned) == (1, []), report
    assert plugins[name].has_cleaned_up and not plugins[name].lease.is_attached

def places():
    "What hangs on asyncio, all the way down; ids where it is no dict and no list."
    def written_down(thing):
        if isinstance(thing, dict):
            return {key: written_down(value) for key, value in thing.items()}
        return list(map(written_down, thing)) if isinstance(thing, list) else id(thing)
    return {name: written_down(thing) for name, thing in vars(asyncio).items() if "asyncslot" in name}

def see_nothing_is_left(loop):
    assert loop.is_closed() and not places(), (loop, places())
    assert not unheard, unheard
    assert not [host.reports for host in hosts.values() if host.reports], [host.reports for host in hosts.values()]
    print("done")
"""


QUIT = """
def quit_and_run():
    "Run the application until all who are attached have ticked a little, and quit."
    begun = {name: plugin.ticks for name, plugin in plugins.items() if plugin.lease and plugin.lease.is_attached}
    timer = QtCore.QTimer()
    timer.timeout.connect(
        lambda: all(plugins[name].ticks >= ticks + 3 for name, ticks in begun.items()) and app.quit())
    timer.start(1)
    QtCore.QTimer.singleShot(20000, lambda: app.exit(1))
    code = (getattr(app, "exec", None) or app.exec_)()
    assert code == 0, "the plug-ins do not tick"
"""


# What a plug-in does besides ticking: of each kind something that ends, and something that is left to detach().
WORK = """
async def everything(plugin, asyncslot):
    lease, seen = plugin.lease, []
    seen.append(await lease.to_thread(lambda: "to_thread"))
    seen.append(await lease.loop.run_in_executor(None, lambda: "executor"))
    seen.append(await asyncio.gather(*(asyncio.sleep(0.001, n) for n in range(3))))
    soon = asyncslot.asyncSignal(sender.asked)
    QtCore.QTimer.singleShot(0, lambda: sender.asked.emit("signal"))
    seen.append(await asyncio.wait_for(soon, 20))
    seen.append(await asyncslot.asyncModal(lambda: "modal"))

    async def serve(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    writer.write(b"line\\n")
    seen.append(await reader.read())
    writer.close()
    server.close()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print('child')", stdout=-1)
    seen.append((await process.communicate())[0].strip())
    async with lease.progress("Working") as progress:
        progress.advance()

    async def rows():
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            plugin.rows_are_closed = True
    plugin.rows = rows()
    await plugin.rows.__anext__()
    plugin.server = await asyncio.start_server(serve, "127.0.0.1", 0)
    plugin.soon = asyncslot.asyncSignal(sender.never)
    return seen

def do_everything(name):
    plugin = plugins[name]
    task = plugin.lease.create_task(everything(plugin, copy(name)))
    spin(task.done)
    seen = task.result()
    assert seen == ["to_thread", "executor", [0, 1, 2], ("signal",), "modal", b"line\\n", b"child"], seen
    assert plugin.lease.run_until_complete(asyncio.sleep(0.001, "waited")) == "waited"

def fail_in_a_slot(name):
    async def fail():
        raise KeyError(name)
    plugins[name].lease.slot(fail)()
    spin(lambda: hosts[name].reports)
    ((message, exc),) = hosts[name].reports
    assert message.startswith(name + ":") and isinstance(exc, KeyError), (message, exc)
    hosts[name].reports.clear()

def leave(name):
    plugin = plugins[name]
    report = plugin.unload()
    see_it_has_left(name, report)
    assert plugin.rows_are_closed and not plugin.server.is_serving() and plugin.soon.cancelled(), report
    assert len(report.closed) == 3, report
"""


# --- Those that cannot

REFUSED = """
import census

def load_in_vain(name):
    "As a host loads a plug-in: what goes wrong is told to the user, and that is all."
    plugin = make(name)
    try:
        plugin.load()
    except Exception as exc:
        return exc.with_traceback(None)
    raise AssertionError(name + " was attached")

def state_of(plugin):
    "What the copy of the plug-in that is there knows of itself: its loop, its lease, its place."
    lease = plugin.lease
    return [places(), *({key: id(value) for key, value in vars(thing).items()} for thing in (lease, lease.loop))]
"""

"""Today's copy, and those of the releases that meet others (tests/frozen), in one process: in pairs, in either order.

Two that speak the same protocol share a loop, and everything works for both. Else the second one's attach() says so,
and nobody else notices. Which it is follows from the numbers: this file knows of no release in particular.

The plug-ins are called `one` and `two`, in the order in which they come, and are alike but for their copies.
test_copies.py has what holds among copies of the same code.
"""

import hashlib
import re
import sys
import zipfile
from pathlib import Path

import pytest

import asyncslot
from asyncslot import _meeting

TESTS = Path(__file__).resolve().parents[1]
FROZEN = TESTS / "frozen"
SCRIPTS = TESTS.parent / "scripts"

# The protocol of 0.4.0, which was the first release that met others.
FIRST_PROTOCOL = 2


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
        with zipfile.ZipFile(str(self.path)) as archive:
            archive.extractall(str(directory))


class Today:
    """A copy of the code as it is here; if `is_next`, one that says it speaks the next protocol."""

    def __init__(self, is_next=False):
        self.label = "next" if is_next else "today"
        self.version = "99.0.0" if is_next else asyncslot.__version__
        self.protocol = _meeting.PROTOCOL + is_next

    def make(self, directory):
        vendor.copy(directory, pretend=f"{self.version}:{self.protocol}")


sys.path.insert(0, str(SCRIPTS))
try:
    import freeze
    import vendor
finally:
    sys.path.remove(str(SCRIPTS))

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
    QtCore.QTimer.singleShot(20000, qt_loop.quit)
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


@pytest.fixture(scope="session")
def make_plugins(tmp_path_factory):
    """Return a function that makes plug-ins with a pair of copies, and returns the directory. Nobody writes there."""
    made = {}

    def make_plugins(pair):
        key = tuple(copy.label for copy in pair)
        if key not in made:
            made[key] = directory = tmp_path_factory.mktemp("plugins")
            for name, copy in zip(("one", "two"), pair):
                dest = directory / name / "_vendor"
                dest.mkdir(parents=True)
                copy.make(dest)
                (dest / "__init__.py").write_text("")
                (directory / name / "__init__.py").write_text(PLUGIN)
        return made[key]

    return make_plugins


@pytest.fixture
def play(run_python, make_plugins):
    """Return a function that runs a program with plug-ins that have these copies, and returns what it printed."""

    def play(pair, source, **kwargs):
        places = {"{plugins!r}": repr(str(make_plugins(pair))), "{support!r}": repr(str(TESTS / "support"))}
        prelude = PRELUDE
        for name, path in places.items():
            prelude = prelude.replace(name, path)
        return run_python(prelude + source, **kwargs).stdout.splitlines()

    return play


# --- What is frozen


@pytest.mark.once
def test_every_protocol_of_the_past_has_a_frozen_copy():
    """When the number is raised, the last release that spoke the old one is there."""
    assert set(range(FIRST_PROTOCOL, _meeting.PROTOCOL)) <= {copy.protocol for copy in COPIES}


@pytest.mark.once
def test_every_release_of_the_past_has_a_frozen_copy():
    """From 0.4.0 on; not yet the one that this tree is."""
    changelog = (TESTS.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    released = set(re.findall(r"^## \[(\d.*)\] - ", changelog, re.MULTILINE)) - {asyncslot.__version__}
    assert released <= {copy.label for copy in COPIES}


@pytest.mark.once
def test_no_frozen_copy_was_changed():
    """README.md beside them has the sha256 of each."""
    readme = (FROZEN / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (\S+) \| (\d+) \| `([0-9a-f]{64})` \|$", readme, re.MULTILINE)
    found = [(copy.label, str(copy.protocol), hashlib.sha256(copy.path.read_bytes()).hexdigest()) for copy in COPIES]
    assert sorted(told) == sorted(found)


@pytest.mark.once
@pytest.mark.parametrize("copy", COPIES, ids=[copy.label for copy in COPIES])
def test_a_frozen_copy_is_the_release_that_its_name_says(copy, tmp_path):
    """Whole, as scripts/vendor.py made it from a commit of that release."""
    copy.make(tmp_path)
    record = vendor.read_record(tmp_path / "asyncslot")
    assert copy.version == copy.label == record.origin.version
    assert re.fullmatch("[0-9a-f]{40}", record.origin.commit)
    assert record.adapters is None
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in copy.files.items()}
    del hashes["asyncslot/VENDORED.md"]
    assert {f"asyncslot/{name}": digest for name, digest in record.manifest.items()} == hashes


def source_of_a_release(version="1.2.3", commit="0" * 40):
    source = vendor.Source()
    source.origin = source.origin._replace(version=version, commit=commit)
    return source


@pytest.mark.once
def test_freezing_gives_the_same_bytes_each_time(tmp_path):
    """Sorted, not compressed, without times; and one that is there is left alone."""
    path, line = freeze.freeze(tmp_path, source_of_a_release())
    first = path.read_bytes()
    assert line == f"| 1.2.3 | {_meeting.PROTOCOL} | `{hashlib.sha256(first).hexdigest()}` |"
    entries = Frozen(path).entries
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {(entry.date_time, entry.compress_type, entry.create_system) for entry in entries} == {(freeze.DATE, 0, 3)}
    assert freeze.freeze(tmp_path, source_of_a_release())[0].read_bytes() == first
    path.unlink()
    assert freeze.freeze(tmp_path, source_of_a_release())[0].read_bytes() == first


@pytest.mark.once
def test_only_a_release_can_be_frozen_and_only_once(tmp_path):
    """Not what is on the way to one, nor with edits that no commit has, nor another one of the same number."""
    for source in (
        source_of_a_release(version="1.2.3.dev0"),
        source_of_a_release(commit="0" * 40 + ", with changes that were not committed"),
    ):
        with pytest.raises(vendor.VendorError, match="only a release"):
            freeze.freeze(tmp_path, source)
    assert list(tmp_path.iterdir()) == []
    freeze.freeze(tmp_path, source_of_a_release())
    with pytest.raises(vendor.VendorError, match="never changed"):
        freeze.freeze(tmp_path, source_of_a_release(commit="1" * 40))


# --- Those that share


@each_pair_that_shares
@in_either_order
def test_they_share_a_loop_and_either_leaves_first(play, pair, leaving):
    """Tasks and slots of both run; who stays goes on, and the last one closes the loop."""
    out = play(
        pair,
        f"""
leaving = {leaving!r}
one, two = load("one"), load("two")
loop = one.lease.loop
assert two.lease.loop is loop
live("one", "two")
see_it_has_left(leaving[0], plugins[leaving[0]].unload())
live(leaving[1])
assert not loop.is_closed()
see_it_has_left(leaving[1], plugins[leaving[1]].unload())
live()
see_nothing_is_left(loop)
""",
    )
    assert out == ["done"]


@each_pair_that_shares
@by_either
def test_either_is_purged_and_loaded_again_at_any_time(play, pair, who):
    """While it is attached and when it has left, made it the loop or not: the other one goes on, and it comes back."""
    out = play(
        pair,
        f"""
who = {who!r}
other = {{"one": "two", "two": "one"}}[who]
loop = load("one").lease.loop
if who == "one":
    purge("one")
load("two")
purge(who)
live("one", "two")
see_it_has_left(who, plugins[who].unload())
live(other)
del plugins[who]
gc.collect()
for _ in range(3):
    assert load(who).lease.loop is loop
    live("one", "two")
    see_it_has_left(who, plugins[who].unload())
    purge(who)
    live(other)
    del plugins[who]
    gc.collect()
    live(other)
load(who)
live("one", "two")
see_it_has_left(other, plugins[other].unload())
purge(other)
live(who)
see_it_has_left(who, plugins[who].unload())
see_nothing_is_left(loop)
""",
    )
    assert out == ["done"]


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


@each_pair_that_shares
@pytest.mark.parametrize("quits", [("one", "two"), ("one",), ("two",)], ids="-".join)
def test_the_application_quits_with_both(play, pair, quits):
    """Or with one, when the other has left: clean-up has run then, the loop is closed, and unload() has the report."""
    out = play(
        pair,
        QUIT
        + f"""
loop = load("one").lease.loop
load("two")
live("one", "two")
for name in plugins:
    if name not in {quits!r}:
        see_it_has_left(name, plugins[name].unload())
quit_and_run()
see_nothing_is_left(loop)
for name in {quits!r}:
    see_it_has_left(name, plugins[name].unload())
""",
    )
    assert out == ["done"]


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


@each_pair_that_shares
@in_either_order
def test_everything_works_for_both_and_is_ended_for_each_alone(play, pair, leaving):
    """On the other copy's loop as on its own: threads, signals, sockets, children, progress, errors; then detach."""
    out = play(
        pair,
        WORK
        + f"""
first, second = {leaving!r}
loop = load("one").lease.loop
load("two")
for name in ("one", "two"):
    do_everything(name)
    fail_in_a_slot(name)
leave(first)
live(second)
assert plugins[second].server.is_serving() and not plugins[second].soon.done()
plugins[second].server.close()
plugins[second].soon.cancel()
do_everything(second)
leave(second)
see_nothing_is_left(loop)
""",
    )
    assert out == ["done"]


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


def told_of(copy, directory, name):
    """Return what an error has to say of a copy."""
    told = [f"version {copy.version} in", f"(protocol {copy.protocol})"]
    # Windows has several names for a directory.
    return told if sys.platform == "win32" else [*told, repr(str(directory / name / "_vendor" / "asyncslot"))]


@each_pair_that_cannot_share
def test_the_second_is_refused_and_nothing_of_it_is_left(play, make_plugins, pair):
    """An ImportError that names versions, protocols and paths of both; the process is as it was, however often."""
    out = play(
        pair,
        REFUSED
        + """
one = load("one")
live("one")
two = make("two")
def attach_in_vain():
    try:
        two.load()
    except ImportError as exc:
        assert isinstance(exc, copy("two").IncompatibleCopyError) and isinstance(exc, copy("two").AsyncSlotError)
        return str(exc)
before, counted = state_of(one), census.take(("one", "two"))
texts = {attach_in_vain() for _ in range(3)}
assert census.differences(counted, census.take(("one", "two"))) == []
assert state_of(one) == before
assert two.lease is None
live("one")
see_it_has_left("one", one.unload())
see_nothing_is_left(one.lease.loop)
print(*texts, sep="\\n")
""",
    )
    assert out[0] == "done"
    (text,) = out[1:]
    for copy, name in zip(pair, ("one", "two")):
        for words in told_of(copy, make_plugins(pair), name):
            assert words in text


@each_pair_that_cannot_share
def test_the_first_lives_on_before_meanwhile_and_after(play, pair):
    """It works in every way while the other fails to load, is purged, fails again; and leaves as it would alone."""
    out = play(
        pair,
        REFUSED
        + WORK
        + """
one = load("one")
live("one")
waits = one.lease.create_task(asyncio.sleep(3600))
for _ in range(3):
    assert "cannot share the loop" in str(load_in_vain("two"))
    del plugins["two"]
    purge("two")
    live("one")
    assert not waits.done()
load_in_vain("two")
waits.cancel()
spin(waits.done)
do_everything("one")
fail_in_a_slot("one")
del plugins["two"]
live("one")
leave("one")
see_nothing_is_left(one.lease.loop)
""",
    )
    assert out == ["done"]


@each_pair_that_cannot_share
def test_what_else_the_second_may_call_does_no_harm(play, pair):
    """detach() does nothing, create_task() and monitor() say what is wrong, and no coroutine is left that never ran."""
    out = play(
        pair,
        REFUSED
        + """
import warnings
warnings.simplefilter("error")
one = load("one")
load_in_vain("two")
two = copy("two")
before = state_of(one)
report = plugins["two"].unload()
assert (report.ended, report.abandoned, report.closed) == (0, [], []), report
coro = asyncio.sleep(0)
for call in (lambda: two.create_task(coro), two.monitor):
    try:
        call()
    except (two.NoLoopError, two.IncompatibleCopyError) as exc:
        print(type(exc).__name__, file=sys.stderr)
    else:
        raise AssertionError("it was done")
assert coro.cr_frame is None  # it was closed
try:
    two.asyncSignal(sender.asked)
except two.OutsideCoroutineError:
    pass
else:
    raise AssertionError("it waits")
assert state_of(one) == before
two.detach()
two.detach("two")
two.detach("one")
assert state_of(one) == before
del plugins["two"]
live("one")
see_it_has_left("one", one.unload())
see_nothing_is_left(one.lease.loop)
""",
    )
    assert out == ["done"]


SLOT = """
one = load("one")
load_in_vain("two")
two = plugins["two"]
sender.said.connect(two.hear)
ticks = one.ticks
for _ in range(3):
    sender.said.emit("hello")
spin(lambda: one.ticks >= ticks + 3 and len(one.heard) == 6)
assert two.heard == []
assert all("two" in message for message, _ in hosts["two"].reports), hosts["two"].reports
hosts["two"].reports.clear()
print([type(exc).__name__ for exc in unheard])
unheard.clear()
sender.said.disconnect(two.hear)
del plugins["two"]
live("one")
see_it_has_left("one", one.unload())
see_nothing_is_left(one.lease.loop)
"""


@each_pair_that_cannot_share
def test_a_slot_of_the_second_that_is_called_harms_nobody(play, pair):
    """What it raises, if anything, is told by the host's excepthook, and is about the loop that it has not."""
    out = play(pair, REFUSED + SLOT)
    assert re.fullmatch(r"\[('(IncompatibleCopyError|NoLoopError)'(, )?)*\]", out[0])
    assert out[1:] == ["done"]


@table([(first, second) for first, second in PAIRS if first.protocol != second.protocol and second not in COPIES])
def test_a_slot_of_the_second_raises_nothing_into_qt(play, pair):
    """A host on PyQt that has no excepthook would end there. 0.4.0 does raise: nothing can be done about that now."""
    assert play(pair, REFUSED + SLOT) == ["[]", "done"]


@each_pair_that_cannot_share
def test_the_application_quits_with_both_loaded(play, pair):
    """The first one's clean-up runs, and the refused one has none; the host ends as ever."""
    out = play(
        pair,
        REFUSED
        + QUIT
        + """
one = load("one")
load_in_vain("two")
quit_and_run()
see_nothing_is_left(one.lease.loop)
assert plugins["two"].unload().ended == 0
see_it_has_left("one", one.unload())
""",
    )
    assert out == ["done"]


@each_pair_that_cannot_share
def test_whoever_is_alone_works(play, pair):
    """When the first has left, the second's attach() works, and it is the first that is refused; and so on."""
    out = play(
        pair,
        REFUSED
        + """
there, refused = "one", "two"
load(there)
for _ in range(4):
    assert "cannot share the loop" in str(load_in_vain(refused))
    live(there)
    loop = plugins[there].lease.loop
    see_it_has_left(there, plugins[there].unload())
    assert loop.is_closed() and not places()
    plugins[refused].load()
    del plugins[there]
    there, refused = refused, there
    gc.collect()
    live(there)
see_it_has_left(there, plugins[there].unload())
see_nothing_is_left(plugins[there].lease.loop)
""",
    )
    assert out == ["done"]


@each_pair_that_cannot_share
def test_a_first_one_that_was_purged_while_it_is_attached_is_told_of_all_the_same(play, make_plugins, pair):
    """Its code is not in sys.modules any more; its loop and its place are there until it leaves."""
    out = play(
        pair,
        REFUSED
        + """
one = load("one")
purge("one")
text = str(load_in_vain("two"))
live("one")
purge("two")
live("one")
del plugins["two"]
see_it_has_left("one", one.unload())
see_nothing_is_left(one.lease.loop)
print(text)
""",
    )
    assert out[0] == "done"
    for copy, name in zip(pair, ("one", "two")):
        for words in told_of(copy, make_plugins(pair), name):
            assert words in out[1]


# --- Both


@each_pair
def test_the_report_of_either_names_both_copies(play, pair):
    """By version and protocol; with who made the loop and for whom; nothing that a copy understands is unreadable."""
    out = play(
        pair,
        """
one, two = load("one"), make("two")
try:
    two.load()
except ImportError:
    pass
live(*(name for name in plugins if plugins[name].lease is not None))
for name in ("one", "two"):
    print("REPORT")
    print(copy(name).report())
for name in plugins:
    plugins[name].unload()
see_nothing_is_left(one.lease.loop)
""",
    )
    assert out[-1] == "done"
    _, *reports = "\n".join(out[:-1]).split("REPORT\n")
    assert len(reports) == 2
    for reader, report in zip(pair, reports):
        for copy, name in zip(pair, ("one", "two")):
            said = (
                rf"  {name}\._vendor\.asyncslot(, which writes this)?: version {copy.version}, protocol {copy.protocol}"
            )
            assert re.search(rf"^{said}, in ", report, re.MULTILINE), report
        assert f"  made by: version {pair[0].version}, protocol {pair[0].protocol}, in " in report
        if reader.protocol == pair[0].protocol:
            assert "Owner 'one'" in report
        else:
            assert re.search(r"^  owners: 1\n    one\b", report, re.MULTILINE), report
        # 0.4.0 asks loops of whatever protocol, and names each thing that it does not find there.
        if reader.protocol == pair[0].protocol or reader not in COPIES:
            assert "cannot be read" not in report

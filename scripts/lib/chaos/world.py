"""The world of one seed of the chaos program: plug-ins that come and go, dialogs, a neighbour, the end of the host.

A seed decides everything beforehand, as far as it can be decided: the *plan*, a list of actions with a seed of its own
for each. So an action that is left out does not change the others, and a plan can be made smaller until what fails is
small. What remains to chance is when Qt and the system let things happen.

The actions come from timers, whichever Qt loop runs: the host's, a dialog's, a task's processEvents(). When the stack
is empty but for the host (`_is_plain()`), every lease that has ended is closed, and judged by `checks.py`.
"""

import asyncio
import gc
import importlib
import itertools
import random
import sys
import threading
import time
import traceback
from collections import deque

from qtpy import QtCore, QtWidgets

from lib.chaos import checks
from lib.chaos.actions import ACTIONS
from lib.chaos.host import Adapter, QtThread, Sender, event_type, run
from lib.chaos.layout import PLUGINS
from lib.chaos.record import PLANNED, Planned, Record, queued_for_processor

# Seconds for everybody to get on. Far more than it takes, for the machine may be busy; and fewer when something has
# been found already.
PATIENCE = 5
LESS_PATIENCE = 0.5

# How deep dialogs are opened in each other.
DEPTH = 3

# Functions under which the loop runs alone: no progress is asked for in a dialog that is opened there.
BLOCKING = ("run_until_complete", "detach", "_on_host_quit", "clean_up")

# Findings after which a seed has said enough.
MOST_FINDINGS = 30


class Plan:
    """What happens under a seed.

    Attributes:
        actions: (number, delay in ms, name, seed).
        without: actions, kinds of tasks, what plain slots do, "named" leases, "twins", "ends" from inside,
            "process_events" in detach(), that do not happen: to look for what is behind what is found most.
        rounds: how often the application runs; the actions are dealt out to them.
    """

    def __init__(self, seed, without=()):
        rng = random.Random(seed)
        self.seed = seed
        self.without = without
        pool = ["alpha", "beta", "gamma", "delta", rng.choice(("foo", "bar"))]
        # Two plug-ins whose default names are the same.
        if rng.random() < 0.2 and "twins" not in without:
            pool = ["foo", "bar", rng.choice(("alpha", "beta")), "gamma"]
        self.plugins = sorted(rng.sample(pool, rng.randint(3, len(pool))))
        self.named = {name: f"{name.title()} Tools" for name in self.plugins if rng.random() < 0.25}
        if "named" in without:
            self.named = {}
        self.with_adapter = {name for name in self.plugins if rng.random() < 0.5}
        self.rate_of_ends = rng.choice((0, 0.3, 1))
        self.allows_stubborn = rng.random() < 0.15
        self.timeouts = [0.5, 2.0] if self.allows_stubborn else [2.0]
        self.timeouts += rng.choice(([], [0.5], [0, 0.05, 0.5]))
        self.threads_emit = rng.random() < 0.4
        self.factory = rng.random() < 0.1
        self.pump = rng.random() < 0.4
        self.ticks_to_collect = rng.choice((17, 50, 200))
        self.unloads_inside = rng.random() < 0.5
        self.rounds = rng.choice((1, 1, 2, 3))
        if "ends" in without:
            self.rate_of_ends = 0
        count = rng.randint(30, 110)
        names, weights = zip(*((name, weight) for name, (weight, _) in ACTIONS.items() if name not in without))
        chosen = rng.choices(names, weights, k=count)
        delays = rng.choices((0, 0, 1, 2, 5), k=count)
        # Each plug-in is loaded at first.
        actions = ["load"] * len(self.plugins) + list(chosen)
        delays = [0] * len(self.plugins) + delays
        self.actions = [
            (number, delay, name, f"{seed}/{number}") for number, (delay, name) in enumerate(zip(delays, actions))
        ]


class World:
    """One seed's.

    Attributes:
        findings: (kind, text), in the order in which they were found.
        counts: how often each action was done.
        depth: how many dialogs are open.
        records: of all leases that there have been.
        has_stepped: whether the loop has taken a step in the innermost dialog, if one is open.
        stuck: an event for which jobs wait that are stuck.
        sender: the host's; thread_sender: one that threads emit from, which lives until they have ended.
    """

    Planned, PLANNED = Planned, PLANNED

    def __init__(self, host, plan, log):
        self.host = host
        self.plan = plan
        self.findings = []
        self.counts = {}
        self.depth = 0
        self.dialogs = 0
        self.has_stepped = True
        self.records = []
        self.plugins = {}
        self.threads = []
        self.qt_threads = []
        self.suspects = []
        self.stuck = threading.Event()
        self.sender = Sender()
        self.thread_sender = Sender()
        self.timeouts = plan.timeouts
        self.rate_of_ends = plan.rate_of_ends
        self.allows_stubborn = plan.allows_stubborn
        # Not on PySide: see burst().
        self.threads_may_emit = plan.threads_emit and not host.is_pyside
        self.is_over = False
        self.is_running = False
        self._round = 0
        self._unloading = set()
        self._log = log
        self._start = time.monotonic()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._ticks = 0
        self._graves = []
        self.is_muted = False
        self._queue = deque()
        self._neighbour = None
        self.neighbour_turns = 0
        host.listener = self

    @property
    def patience(self):
        """Seconds for everybody to get on."""
        return LESS_PATIENCE if self.findings else PATIENCE

    # -- what is said --------------------------------------------------------

    def now(self):
        """Return the seconds since the seed began."""
        return time.monotonic() - self._start

    def log(self, text):
        """Note what is done."""
        self._log(f"{self.now():8.4f} {'  ' * self.depth}{text}")

    def find(self, kind, text):
        """Note that something is wrong."""
        with self._lock:
            if (kind, text) in self.findings or len(self.findings) >= MOST_FINDINGS:
                return
            self.findings.append((kind, text))
        self.log(f"FOUND: {kind}: {text}")

    def suspect(self, code):
        """Take up that code of a plug-in's was called after its end."""
        if code.is_from_thread:
            self.suspects.append(code)  # whether it was handed over after the end, its thread may not have said yet
        else:
            self.find("called after detach()", f"{code.kind} of {code.record.label}")

    def on_report(self, message, exc, adapter):
        """Take a report or a log record."""
        checks.judge_report(self, message, exc, adapter)

    def planned(self, rng, record):
        """Return something that a plug-in may raise."""
        kind = rng.choice((Planned, Planned, ValueError, SystemExit, KeyboardInterrupt))
        return kind(PLANNED + record.label)

    def is_planned(self, exc):
        """Tell whether an exception, or all of a group, was raised on purpose."""
        return checks.is_planned(exc)

    # -- plug-ins ------------------------------------------------------------

    def enlist(self, plugin):
        """Return a record for a lease that is about to be taken."""
        label = f"{plugin.name}{next(self._numbers)}"
        record = Record(self, label, plugin.lease_name)
        self.records.append(record)
        return record

    def check_lease(self, record):
        """See that a lease which was just given is nobody else's."""
        self.log(f"{record.label} attached as {record.lease.owner!r}")
        for other in self.records:
            if other is record or not other.is_attached:
                continue
            if other.lease is record.lease:
                self.find("two plug-ins have one lease", f"{other.label}, {record.label}")
            elif other.lease.owner == record.lease.owner and other.plugin_name != record.plugin_name:
                self.find("two leases have one name", f"{other.label}, {record.label}: {record.lease.owner!r}")

    def load(self, name):
        """Import a plug-in, and have it attach. Not while it is being unloaded."""
        if name in self.plugins or name in self._unloading:
            return
        package = PLUGINS[name][0]
        adapter = Adapter(self, name) if name in self.plan.with_adapter else None
        module = importlib.import_module(package + ".plugin")
        seed = f"{self.plan.seed}/{name}/{next(self._numbers)}"
        plugin = module.Plugin(self, name, self.plan.named.get(name), adapter, seed)
        self.plugins[name] = plugin
        plugin.attach()

    def unload(self, name, rng, timeout=None):
        """Unload a plug-in, and forget its modules."""
        plugin = self.plugins.pop(name, None)
        if plugin is None:
            return
        self.log(f"unload {name}")
        self._unloading.add(name)  # events may come meanwhile
        try:
            self.join_threads()
            plugin.unload(rng, timeout)
        finally:
            self._unloading.remove(name)
        if plugin.record is not None and plugin.record.is_attached:
            self.find("unload() left the lease attached", plugin.record.label)
        del plugin
        package = PLUGINS[name][0]
        for module in [module for module in sys.modules if module == package or module.startswith(package + ".")]:
            del sys.modules[module]
        if rng.random() < 0.7:
            gc.collect()

    def reload(self, name, rng):
        """Unload and load."""
        if name in self.plugins:
            self.unload(name, rng)
            if not self.is_over:
                self.load(name)

    def detach(self, record, end, timeout, process_events):
        """Call detach() for a plug-in, and see what it does."""
        was_attached = record.is_attached
        if was_attached and not record.detaching:
            record.timeout = timeout
            record.queued_at_end = queued_for_processor()
            record.live_at_end = sum(life.state == "runs" and life.is_task for life in record.lives)
        self.log(f"detach {record.label}, {timeout} s{', events' if process_events else ''}")
        record.detaching += 1
        before, start = (self.dialogs, sum(self.counts.values())), time.monotonic()
        try:
            report = end(timeout=timeout, process_events=process_events)
        except Exception as exc:
            self.find("detach() raised", f"{record.label}: {exc!r}: {checks.where(exc)}")
            report = None
        finally:
            record.detaching -= 1
        seconds = time.monotonic() - start
        if seconds > timeout + PATIENCE and before == (self.dialogs, sum(self.counts.values())):
            self.find("detach() took too long", f"{record.label}: {seconds:.1f} s of {timeout}")
        if record.is_attached:
            self.find("detach() left the lease attached", record.label)
            report = record.lease.detach(timeout=timeout)
        if was_attached and record.report is None:
            record.report = report
        if not record.detaching and not self._is_on_stack(record):
            self.close(record)

    def bury(self, thing, must_delete=False):
        """Let go of a sender or receiver.

        PyQt5 and PyQt6 crash when a slot that was entered again from within itself returns after its sender or receiver
        is gone, without us (5.15.11 and 6.11.0, seen 2026-11: the inner return marks the proxy as idle, and
        so it is deleted under the outer one). There, it waits until no slot is on the stack.
        """
        self._graves.append((thing, must_delete))
        if self.host.is_pyside:
            self._empty_graves()

    def may_delete(self, receiver):
        """Tell whether a slot of this receiver may delete it, if nothing is emitted until it returns: see bury()."""
        return not receiver.is_deleted and (self.host.is_pyside or not (receiver.dialogs or self.plan.threads_emit))

    def mute(self, fn):
        """Call a function while nothing is emitted: see bury()."""
        was_muted = self.is_muted
        self.is_muted = not self.host.is_pyside
        try:
            fn()
        finally:
            self.is_muted = was_muted

    def _empty_graves(self):
        graves, self._graves = self._graves, []
        for thing, must_delete in graves:
            try:
                if must_delete:
                    thing.deleteLater()
            except RuntimeError:
                pass  # a slot of its own has deleted it meanwhile

    def close(self, record):
        """From now on, nothing of the record's may be called."""
        if record.is_closed:
            return
        record.is_closed = True
        self.log(f"{record.label} is closed")
        self.judge(record)
        record.release()

    def judge(self, record):
        """Judge a lease that has ended."""
        checks.judge(self, record)

    def sweep(self, frame=None):
        """Close the records of all leases that have ended, if the stack is empty but for the host."""
        if frame is not None and not _is_plain(frame):
            return
        self._empty_graves()
        for record in self.records:
            if record.lease is not None and not record.is_attached:
                self.close(record)

    def _is_on_stack(self, record):
        """Tell whether code of the record's plug-in is on the stack, apart from what the host calls; or its end is.

        What was put off until a stack has unwound runs everybody's code, also that of who opens a dialog, in which a
        second detach() cannot finish it.
        """
        package = PLUGINS[record.plugin_name][0]
        names = (package + ".plugin", package + ".work")
        frame = sys._getframe(1)
        while frame is not None:
            module, function = frame.f_globals.get("__name__"), frame.f_code.co_name
            if module in names and function not in ("detach", "unload", "reload"):
                return True
            if function == "_finish" and getattr(frame.f_locals.get("self"), "_owner", None) is record.lease._owner:
                return True
            frame = frame.f_back
        return False

    # -- what plug-ins and actions do ------------------------------------------

    def dialog(self, rng):
        """Open a dialog, and sit in it until it is closed."""
        if self.depth >= DEPTH or not self.is_running or "dialogs" in self.plan.without:
            return
        self.depth += 1
        self.dialogs += 1
        has_stepped, self.has_stepped = self.has_stepped, False
        try:
            if rng.random() < 0.2:
                dialog = QtWidgets.QDialog()
                close = dialog.reject
            else:
                dialog = QtCore.QEventLoop()
                close = dialog.quit
            delay = rng.choice((0, 2, 5, 10, 30))
            must_wait = rng.random() < 0.4
            self.log(f"opens a dialog for {delay} ms{', until all have got on' if must_wait else ''}")
            self._close_later(close, delay, must_wait)
            run(dialog)
        finally:
            self.depth -= 1
            self.has_stepped |= has_stepped
        self.log("the dialog is closed")

    def _close_later(self, close, delay, must_wait):
        beats = {record: record.beats for record in self.records if record.is_attached}
        start = [self.now()]
        number = self._round

        def look():
            if number != self._round:
                return
            late = [record for record, beat in beats.items() if record.is_attached and record.beats < beat + 2]
            if not must_wait or not late:
                close()
                return
            if _is_blocked():
                close()
                return
            if self.now() > start[0] + self.patience:
                for record in late:
                    self.find("no progress in a dialog", record.label)
                close()
                return
            self.host.after(3, look)

        self.host.after(delay, look)

    def process_events(self):
        """Let Qt's events through, as a progress dialog does."""
        if self.depth >= DEPTH or not self.is_running:
            return
        self.depth += 1
        has_stepped, self.has_stepped = self.has_stepped, False
        try:
            self.host.app.processEvents()
        finally:
            self.depth -= 1
            self.has_stepped |= has_stepped

    def quit(self):
        """End the application."""
        if self.is_running:
            self.log("quit")
            self.host.app.quit()

    def collect_sometimes(self):
        """Collect the garbage of the youngest, or all of it, once in many calls.

        Python's own collections are off: they come in any thread, and a QObject that is deleted in another thread than
        its own ends the process, which is not our fault. Here they come in the GUI thread, and are counted.
        """
        self._ticks += 1
        if self._ticks % self.plan.ticks_to_collect == 0 and threading.current_thread() is threading.main_thread():
            gc.collect(0 if self._ticks % 3 else 2)

    def burst(self, rng):
        """Have a thread emit while nothing else happens, and deliver what it has emitted.

        PySide2 and PySide6 crash when a thread emits while receivers and senders are made or collected, and when what
        was emitted finds a receiver that has been collected, which is not our fault (reports).
        """

        def emit():
            for _ in range(rng.randint(1, 10)):
                self.sender.number.emit(1)

        thread = threading.Thread(target=emit, name="chaos burst", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(0.001)
        self.host.app.sendPostedEvents(None, event_type("MetaCall"))

    def start_qt_thread(self, fn):
        """Start a QThread, which is kept until it has ended."""
        thread = QtThread(fn)
        self.qt_threads.append(thread)
        thread.start()
        return thread

    def join_threads(self):
        """Wait for the threads of plug-ins, which end when their lease does."""
        for thread in self.threads:
            thread.join(10)
            if thread.is_alive():
                raise RuntimeError("a thread of the chaos program does not end")
        self.threads.clear()

    def turn_neighbour(self):
        """Turn a private loop, as krita-ai-diffusion does: from a timer, whatever is on the stack."""
        if self._neighbour is None:
            self._neighbour = asyncio.new_event_loop()
            self._neighbour_task = self._neighbour.create_task(self._tick_neighbour())
        loop = self._neighbour
        if loop.is_running():
            return
        loop.call_soon(loop.stop)
        try:
            loop.run_forever()
        except RuntimeError as exc:
            if "another loop is running" not in str(exc):
                raise

    async def _tick_neighbour(self):
        while True:
            self.neighbour_turns += 1
            await asyncio.sleep(0)

    def _pump(self, number):
        if number != self._round or not self.is_running:
            return
        self.host.after(4, lambda: self._pump(number))
        self._guard("the neighbour's pump", self.turn_neighbour)

    # -- running -------------------------------------------------------------

    def run(self, keep=None):
        """Live through the plan; `keep`: the numbers of the actions that are done, if not all are."""
        actions = self.plan.actions
        share = -(-len(actions) // self.plan.rounds)
        for start in range(0, len(actions), share):
            wanted = [action for action in actions[start : start + share] if keep is None or action[0] in keep]
            if wanted:
                self._run_round(wanted)
        self._end()

    def _run_round(self, actions):
        self._round += 1
        number = self._round
        self.log(f"round {number}")
        self.is_running = True
        self._queue = deque(actions)
        self.host.after(0, lambda: self._begin(number))
        self.host.exec_app()
        self.is_running = False
        self._round += 1
        self.log("the application has quit")
        self.sweep()
        rng = random.Random(f"{self.plan.seed}/end of round {number}")
        for name in list(self.plugins):
            self._guard(f"unload {name}", lambda name=name: self.unload(name, rng))
        self.sweep()

    def _begin(self, number):
        if self.plan.pump:
            self._pump(number)
        self._next(number)

    def _next(self, number):
        if number != self._round:
            return
        if self._queue:
            action = self._queue.popleft()
            self.host.after(action[1], lambda: self._act(number, action))
        else:
            self.host.after(0, lambda: self._finish(number, self.now()))

    def _act(self, number, action):
        if number != self._round:
            return
        self.sweep(sys._getframe(0))
        _, _, name, seed = action
        rng = random.Random(seed)
        self.counts[name] = self.counts.get(name, 0) + 1
        self.log(f"{action[0]}: {name}")
        if name == "check":
            self._checkpoint(number, lambda: self._next(number))
            return
        self._next(number)  # before it acts: it may open a dialog, in which others happen
        self._guard(name, lambda: ACTIONS[name][1](self, rng))

    def _guard(self, name, act):
        try:
            act()
        except Exception as exc:
            self.find("an action raised", f"{name}: {exc!r}: {checks.where(exc)}")

    def _finish(self, number, since):
        """End the round when the stack has unwound: by unloading all, or by quitting with all attached."""
        if number != self._round:
            return
        if not _is_plain(sys._getframe(0)):
            if self.now() > since + 6 * PATIENCE:
                self.find("the stack does not unwind", "".join(traceback.format_stack(limit=20)))
                self.quit()
            else:
                self.host.after(2, lambda: self._finish(number, since))
            return
        self.sweep()
        self._checkpoint(number, lambda: self._unload_and_quit(number))

    def _unload_and_quit(self, number):
        if self.plan.unloads_inside:
            rng = random.Random(f"{self.plan.seed}/unload inside {number}")
            for name in list(self.plugins):
                self._guard(f"unload {name}", lambda: self.unload(name, rng))  # noqa: B023 - called at once
        self.quit()

    def _checkpoint(self, number, then):
        """Wait until all who are attached have got on, and have been called for what was promised; call `then`."""
        beats = {record: record.beats for record in self.records if record.is_attached}
        before = self.now()
        start = [before]

        def look():
            if number != self._round:
                return
            self.sweep(sys._getframe(0))
            if _is_blocked():
                start[0] = self.now()
            late = [record for record, beat in beats.items() if record.is_attached and record.beats < beat + 2]
            owed = [what for record in beats for what in record.overdue(before)]
            if (late or owed) and self.now() < start[0] + self.patience:
                self.host.after(2, look)
                return
            for record in late:
                self.find("no progress", record.label)
            for what in owed:
                self.find("not called", what)
            for record in beats:
                record.promises.clear()
            then()

        look()

    def _end(self):
        """Let everything go, and see what is left."""
        self.is_over = True
        self.stuck.set()
        self.join_threads()
        for thread in self.qt_threads:
            thread.wait()
        self.qt_threads.clear()
        for code in self.suspects:
            if not code.is_late:
                self.find("called after detach()", f"{code.kind} of {code.record.label}")
        if self._neighbour is not None:
            self._end_neighbour()
        for record in self.records:
            record.release()
        self._empty_graves()
        self.host.settle()
        self.sender.deleteLater()
        self.thread_sender.deleteLater()
        self.sender = self.thread_sender = None
        self.host.settle()
        checks.check_end(self)

    def _end_neighbour(self):
        loop = self._neighbour
        if self._neighbour_task.done():
            self.find("the neighbour's task has ended", repr(self._neighbour_task))
        self._neighbour_task.cancel()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        self._neighbour = None

    def check_anew(self):
        """Attach, run a task and detach, as if nothing had been before."""
        name = self.plan.plugins[0]
        self.is_over = False
        self.sender, self.thread_sender = Sender(), Sender()
        self.threads_may_emit = False
        self._round += 1
        number = self._round
        self.is_running = True
        rng = random.Random(0)

        def begin():
            self._guard("load anew", lambda: self.load(name))
            self._checkpoint(number, end)

        def end():
            self._guard("unload anew", lambda: self.unload(name, rng, 2.0))
            self.host.app.quit()

        self.host.after(0, begin)
        self.host.exec_app()
        self.is_running = False
        self._round += 1
        self.sweep()
        self.plugins.clear()
        self.is_over = True
        self.sender = self.thread_sender = None
        self.host.settle()


def _is_plain(frame):
    """Tell whether a function that a timer has called was called by the application's loop itself."""
    while frame is not None:
        name, function = frame.f_globals.get("__name__"), frame.f_code.co_name
        if (name, function) == ("lib.chaos.host", "exec_app"):
            return True
        # QtPy has functions of its own around exec_().
        if name not in ("lib.chaos.world", "lib.chaos.host", "qtpy.QtCore", "qtpy._utils"):
            return False
        if function in ("dialog", "process_events"):
            return False
        frame = frame.f_back
    return True


def _is_blocked():
    """Tell whether the loop runs alone, further out on the stack."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name in BLOCKING:
            return True
        frame = frame.f_back
    return False

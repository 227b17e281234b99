"""What the lifecycle machine's plug-ins are made of: a host, leases, tasks of every kind, slots.

A *run* is one run of a coroutine of some kind (`KINDS`). It tells the machine of each of its steps, by `tick()`, and
asks it for what it does to leases and to the host. What may still run and what may not, the machine knows; this file
only behaves, well and badly.
"""

import asyncio
import socket
import sys
import time

from asyncslot._hosts import PlainQt

CLINGING = ("is stubborn", "clings in finally")


class Fault(Exception):
    """What a task of a plug-in raises. Attributes: run: the run that did."""

    def __init__(self, run):
        super().__init__(f"raised by {run}")
        self.run = run


class Host(PlainQt):
    """An adapter that quits when it is told to, and keeps what it is told to report."""

    def __init__(self, owner, reports):
        self._owner = owner
        self._reports = reports
        self.callbacks = []

    def on_quit(self, callback):
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback) if callback in self.callbacks else None

    def report(self, message, exc):
        self._reports.append((self._owner, message, exc))


class Held:
    """What the model knows of one lease."""

    def __init__(self, owner, lease):
        self.owner = owner
        self.lease = lease
        self.is_attached = True  # detach() was not called
        self.is_over = False  # it was, and nothing of its may run any more
        self.runs = []
        self.slots = []
        self.gates = []  # of jobs that are stuck in their thread

    def living(self):
        return [run for run in self.runs if not run.is_over]


class Run:
    """One run of a coroutine, and what it has done so far."""

    def __init__(self, held, kind):
        self.held = held
        self.kind = kind
        self.task = None
        self.coro = None  # where it may not begin at once
        self.steps = 0
        self.is_finished = False  # closed by freezing included
        self.is_on_stack = False
        self.is_cancelled = False  # and sits in its clean-up
        self.reports = 0
        held.runs.append(self)

    def __repr__(self):
        return f"<run of {self.held.owner}: {self.kind}, {self.steps} steps>"

    @property
    def is_over(self):
        """Whether it has ended, or was closed before it had begun: a short timeout may be over by then."""
        return self.is_finished or (self.coro is not None and self.coro.cr_frame is None)

    @property
    def clings(self):
        """Whether it will not end by being cancelled."""
        return self.kind in CLINGING


class Slot:
    """A slot, what emits to it, and which emissions it has answered."""

    def __init__(self, machine, held, policy, kind):
        self.policy = policy
        self.held = held
        self.running = 0
        self.answered = []
        self.emitted = 0
        self._machine = machine
        self._kind = kind
        self._clings = kind in CLINGING
        self._sender = machine.sender_class()
        self._sender.one.connect(held.lease.slot(self._answer, on_repeat=policy))

    async def _answer(self, number):
        self.answered.append(number)
        self.running += 1
        try:
            if self.policy != "concurrent" and self.running > 1:
                self._machine.complain(f"{self.policy!r}: {self.running} tasks of one slot run at once")
            await drive(self._machine, Run(self.held, self._kind))
        finally:
            self.running -= 1

    def is_up_to_date(self):
        """Whether the newest emission has been answered, if it is to be and can be."""
        if self.policy == "drop" or not self.held.is_attached or self.answered[-1:] == [self.emitted]:
            return True
        return self.emitted == 0 or (self.running > 0 and (self.policy == "queue" or self._clings))

    def emit(self):
        self.emitted += 1
        self._sender.one.emit(self.emitted)


# -- what tasks do ------------------------------------------------------------------------


async def drive(machine, run):
    """Run a coroutine of the kind, and note its end."""
    run.task = asyncio.current_task() if hasattr(asyncio, "current_task") else None
    try:
        await KINDS[run.kind](machine, run)
    finally:
        run.is_finished = True


async def work(machine, run):
    while True:
        machine.tick(run)
        await asyncio.sleep(0.001)


async def end_soon(machine, run):
    for _ in range(3):
        machine.tick(run)
        await asyncio.sleep(0)


async def be_stubborn(machine, run):
    while True:
        machine.tick(run)
        try:
            await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            machine.tick(run)


async def clean_up(machine, run):
    try:
        await work(machine, run)
    finally:
        machine.tick(run)
        if sys.exc_info()[0] is asyncio.CancelledError:
            await asyncio.sleep(0.001)
            machine.tick(run)


async def cling(machine, run):
    try:
        await work(machine, run)
    finally:
        if sys.exc_info()[0] is asyncio.CancelledError:
            run.is_cancelled = True
            await asyncio.get_event_loop().create_future()


async def have_children(machine, run):
    children = [asyncio.ensure_future(drive(machine, Run(run.held, "works"))) for _ in range(2)]
    await work(machine, run)
    del children


async def open_dialogs(machine, run):
    while True:
        machine.tick(run)
        await asyncio.sleep(0.002)
        run.is_on_stack = True
        try:
            machine.run_qt(0.003)
        finally:
            run.is_on_stack = False


async def call_later(machine, run):
    loop = asyncio.get_event_loop()

    def again():
        machine.tick(run)
        loop.call_later(0.001, again)

    loop.call_soon(again)
    await loop.create_future()


async def serve(machine, run):
    async def echo(reader, writer):
        try:
            while True:
                writer.write(await reader.readexactly(1))
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass  # up to Python 3.11 asyncio.streams reports a cancelled handler as an error of its own
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        while True:
            machine.tick(run)
            writer.write(b"x")
            await reader.readexactly(1)
            await asyncio.sleep(0.001)
    finally:
        writer.close()  # or its __del__ complains, from Python 3.13 on


async def watch(machine, run):
    loop = asyncio.get_event_loop()
    left, right = socket.socketpair()
    with left, right:
        loop.add_reader(left, lambda: (machine.tick(run), left.recv(1)))
        try:
            while True:
                right.send(b"x")
                await asyncio.sleep(0.001)
        finally:
            loop.remove_reader(left)


async def iterate(machine, run):
    async def numbers():
        try:
            while True:
                await asyncio.sleep(0.001)
                yield 1
        finally:
            machine.tick(run)

    abandoned = numbers()
    await abandoned.__anext__()
    async for _ in numbers():
        machine.tick(run)


async def use_threads(machine, run):
    while True:
        machine.tick(run)
        await run.held.lease.to_thread(time.sleep, 0.0005)


async def fail(machine, run):
    machine.tick(run)
    await asyncio.sleep(0.001)
    raise Fault(run)


async def leave(machine, run):
    machine.tick(run)
    await asyncio.sleep(0.001)
    raise SystemExit(run)


async def detach_itself(machine, run):
    machine.tick(run)
    await asyncio.sleep(0.001)
    machine.detach_on_stack(run, run.held)
    await asyncio.sleep(0.001)
    machine.complain(f"{run} went on after its own detach()")


async def detach_others(machine, run):
    machine.tick(run)
    await asyncio.sleep(0.001)
    for held in list(machine.held.values()):
        if held is not run.held:
            machine.detach_on_stack(run, held)
    await work(machine, run)


async def attach_anew(machine, run):
    """Be reloaded by oneself: detach and attach again, in one step."""
    machine.tick(run)
    await asyncio.sleep(0.001)
    if run.held.is_attached:
        machine.detach_on_stack(run, run.held)
        machine.attach_now(run.held.owner)
    await asyncio.get_event_loop().create_future()


async def quit_host(machine, run):
    machine.tick(run)
    await asyncio.sleep(0.001)
    machine.quit_on_stack(run)
    await asyncio.sleep(0.001)
    machine.complain(f"{run} went on after its host had quit")


async def quit_host_in_a_dialog(machine, run):
    machine.tick(run)
    await asyncio.sleep(0.001)
    run.is_on_stack = True
    machine.run_qt(0.003, lambda: machine.quit_on_stack(run))
    run.is_on_stack = False
    await asyncio.sleep(0.001)


class OwnTask(asyncio.Task):
    """A task class of a plug-in's own, which does not tell all that asyncio's does."""

    def __repr__(self):
        raise RuntimeError("broken")

    def get_coro(self):
        raise RuntimeError("broken")


async def bring_a_task_class(machine, run):
    loop = asyncio.get_event_loop()
    loop.set_task_factory(lambda loop, coro, **options: OwnTask(coro, loop=loop, **options))
    await have_children(machine, run)


KINDS = {
    "works": work,
    "ends soon": end_soon,
    "is stubborn": be_stubborn,
    "cleans up": clean_up,
    "clings in finally": cling,
    "has children": have_children,
    "opens dialogs": open_dialogs,
    "calls later": call_later,
    "serves": serve,
    "watches": watch,
    "iterates": iterate,
    "uses threads": use_threads,
    "fails": fail,
    "leaves": leave,
    "detaches itself": detach_itself,
    "detaches others": detach_others,
    "attaches anew": attach_anew,
    "quits the host": quit_host,
    "quits in a dialog": quit_host_in_a_dialog,
    "brings a task class": bring_a_task_class,
}

# Those that tick for as long as their lease holds.
TICKING = {"works", "is stubborn", "cleans up", "clings in finally", "has children", "opens dialogs", "calls later"}
TICKING |= {"serves", "watches", "iterates", "uses threads"}

# What slots do: more of what ends, or there would be nothing to queue for.
SLOT_KINDS = ["ends soon", "works", "fails", "ends soon", "cleans up", "is stubborn", "clings in finally", "leaves"]
SLOT_KINDS += ["has children", "opens dialogs", "detaches itself", "detaches others"]

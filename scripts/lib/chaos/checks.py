"""What must hold in the chaos program's world: after each lease, for each report, and when all is over.

Each finding is of a *kind*, a few words that are the same for the same fault, and has a text that says where. The rules
are those of the design: nothing of a plug-in's outlives its lease, whatever had the time has cleaned up, reports are
true, and at the end nothing is left. What a check cannot know for certain it does not ask for.
"""

import asyncio
import contextlib
import os
import re
import threading
import time
import traceback

from lib.chaos.record import PLANNED, Planned

# What detach() reports when tasks did not end in time.
DETACHED = re.compile(r"^[^\n]*: detached in ")

# What closing a coroutine brings that awaits in its `finally`: it had no time for that, or _judge_clean_up() finds it.
# The second also comes where a neighbour's loop has failed to run in a dialog and has unpublished ours on its way out
# (Python 3.13), if the dialog is closed before our next step.
CLOSED = ("ignored GeneratorExit", "no running event loop")


# -- reports -------------------------------------------------------------------


def judge_report(world, message, exc, adapter):
    """Judge what was reported to a host's user, or logged."""
    first = message.strip().splitlines()[0] if message.strip() else ""
    if is_planned(exc):
        _judge_name(world, first, exc, adapter)
        return
    if DETACHED.match(message) or _is_closed(exc):
        return
    place = "" if exc is None else f" in {where(exc)}"
    world.find("reported: " + _kind_of(first), f"{message[:600]} {exc!r}{place}")


def is_planned(exc):
    """Tell whether an exception, or everything in a group of them, was raised on purpose."""
    if exc is None:
        return False
    inner = getattr(exc, "exceptions", None)
    if inner is not None:
        return all(map(is_planned, inner))
    return isinstance(exc, (Planned, ValueError, SystemExit, KeyboardInterrupt)) and str(exc).startswith(PLANNED)


def _is_closed(exc):
    inner = getattr(exc, "exceptions", None)
    if inner is not None:
        return all(_is_closed(each) or is_planned(each) for each in inner)
    return any(text in str(exc) for text in CLOSED)


def _judge_name(world, message, exc, adapter):
    """See that an error is reported in the name of the plug-in whose it is, through its adapter."""
    labels = {label.split(":")[0] for label in _labels(exc)}
    own = [record for record in world.records if record.label in labels and record.lease is not None]
    # One of an earlier seed's may come to light in this one. And a name is only one's own as long as the lease holds.
    if not own or any(message.startswith(f"{record.lease.owner}: ") for record in own):
        return
    names = {record.plugin_name for record in own}
    for record in world.records:
        if not record.is_attached or record.plugin_name in names:
            continue
        if message.startswith(f"{record.lease.owner}: "):
            world.find("reported in another's name", f"{message!r} is of {sorted(labels)}, not {record.label}")


def _labels(exc):
    inner = getattr(exc, "exceptions", None)
    if inner is not None:
        return {label for each in inner for label in _labels(each)}
    return {str(exc)[len(PLANNED) :]}


def _kind_of(line):
    """Return a report's first line without what is different each time."""
    line = line.partition(": ")[2] or line
    line = re.sub(r"/[^ :']+", "*", line)
    line = re.sub(r"<[^>]*>+|'[^']*'|\([^)]*\)|0x[0-9a-f]+|\d+", "*", line)
    return line[:70]


def where(exc):
    """Describe in a line where an exception was raised."""
    frames = traceback.extract_tb(exc.__traceback__)
    return " > ".join(f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames[-6:])


# -- leases --------------------------------------------------------------------


def judge(world, record):
    """Judge a lease that has ended, of which nothing is on the stack any more."""
    try:
        report = record.lease.detach()
    except Exception as exc:
        world.find("detach() raised when called again", f"{record.label}: {exc!r}")
        return
    if record.report is not None and report is not record.report:
        world.find("a second detach() gives another report", record.label)
    world.log(f"report: {str(report).splitlines()[0]}")
    for life in record.lives:
        if life.state == "runs":
            world.find("a task has neither ended nor been closed", f"{life.name}, {record.timeout} s")
    frozen = [life for life in record.lives if life.outcome == "closed" and life.is_task]
    if len(frozen) > len(report.abandoned):
        names = ", ".join(life.name for life in frozen)
        world.find("closed where it stood and not reported", f"{names}; {record.timeout} s")
    _judge_counts(world, record, report)
    _judge_generators(world, record, report)
    if record.has_time:
        _judge_clean_up(world, record, report)


def _judge_clean_up(world, record, report):
    """See that what is willing has ended by itself, and cleaned up."""
    for life in record.lives:
        if life.is_willing and life.clean_up_state in ("wanted", "begun") and life.outcome != "raised":
            world.find("a task's clean-up was cut off", f"{life.name}: {life.clean_up_state}; {record.timeout} s")
        elif life.is_willing and life.outcome == "closed":
            world.find("a task that is willing was closed where it stood", f"{life.name}; {record.timeout} s")
    for flow in record.flows:
        if flow.state in ("runs", "closing"):
            text = f"{flow.kind} of {record.label}: {flow.state}; {record.timeout} s"
            world.find("an async generator's clean-up was cut off", text)
    for task in report.abandoned:
        if "stubborn" not in task.name and "stubborn" not in task.stack:
            names = [name for name in re.findall(r", in (\w+)", task.stack) if name != "run"]
            text = f"{record.label}: {task.name}, in {' > '.join(names) or '?'}; {record.timeout} s"
            world.find("a task that is willing was abandoned", text)


def _judge_counts(world, record, report):
    """See that the report tells of at least the tasks that ended because of it."""
    ended = [life for life in record.lives if life.is_task and life.began_attached and life.outcome == "cancelled"]
    ended = [life for life in ended if life.ended_after_lease]
    told = report.ended + len(report.abandoned)
    if told < len(ended):
        names = ", ".join(life.name for life in ended)
        world.find("a report tells of too few tasks", f"{told} and not {len(ended)}: {names}")


def _judge_generators(world, record, report):
    """See that generators that are said to be closed have at least begun to clean up."""
    told = sum("async generator" in what for what in report.closed)
    closing = sum(flow.state in ("closing", "closed", "interrupted") for flow in record.flows)
    if told > closing:
        world.find("a generator is reported as closed and is not", f"{record.label}: {told} told, {closing} closed")


# -- the end -------------------------------------------------------------------


class Census:
    """What of a process's there is: descriptors, threads, children, attributes of asyncio."""

    def __init__(self):
        self.descriptors = {}
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # the one that listdir() had open
                self.descriptors[int(fd)] = os.readlink(f"/proc/self/fd/{fd}")
        self.threads = {thread.name for thread in threading.enumerate()}
        self.children = []
        for task in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError):
                with open(f"/proc/self/task/{task}/children") as file:
                    self.children += file.read().split()
        self.attributes = [name for name in vars(asyncio) if "asyncslot" in name]

    def left_since(self, before):
        """Return what there is more than before, as (kind, text)."""
        left = []
        for fd, target in sorted(self.descriptors.items()):
            # Qt has an eventfd for each thread that has met it, and takes its time with that.
            if fd not in before.descriptors and "eventfd" not in target:
                left.append(("a descriptor is left", f"{fd}: {target}"))
        left += [("a thread is left", name) for name in sorted(self.threads - before.threads)]
        left += [("a child is left", child) for child in self.children if child not in before.children]
        left += [("the meeting place is left", name) for name in self.attributes]
        return left


def check_end(world):
    """See what is left when everything has ended, and whether it can begin anew."""
    for record in world.records:
        if record.lease is None:
            continue
        if record.is_attached:
            world.find("a lease is left", record.label)
        elif not record.lease.loop.is_closed():
            world.find("a loop is left open", record.label)
    check_left(world)
    if not world.findings:
        world.log("anew")
        world.check_anew()
        check_left(world)
    for record in world.records:
        record.lease = None
    world.host.settle()
    lines = world.host.read_stderr()
    if lines:
        world.find("on stderr: " + _kind_of(lines[-1]), "\n".join(lines[:30]))


def check_left(world):
    """Compare with what was there before the seed; what is about to go has a moment for it."""
    deadline = time.monotonic() + (0.2 if world.findings else 3)
    while True:
        left = Census().left_since(world.census)
        if not left or time.monotonic() > deadline:
            break
        world.host.settle()
        time.sleep(0.01)
    for kind, text in left:
        world.find(kind, text)

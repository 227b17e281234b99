"""Run examples/mini_host in a process of its own, with plug-ins that a test writes and one that plays the user.

The user is a plug-in, too, without asyncslot: its `steps` run one after the other, each as soon as Qt's loop is idle;
what a step yields is waited for until it comes true. What they print comes back as lines.

conftest.py makes a fixture of this: `mini_host(steps, plugin_name=source, ...)`.
"""

import shutil
import subprocess
import textwrap
from pathlib import Path

import patience
import vendored

ROOT = Path(__file__).resolve().parents[2]
MINI_HOST = ROOT / "examples" / "mini_host"

USER = """
import faulthandler, os, sys, threading, time, traceback
from qtpy.QtCore import QTimer

def say(*words):
    print(">", *words, flush=True)

def footprint():
    "What a plug-in could leave behind. Qt's own pool of threads comes and goes; each has an eventfd."
    tasks, fds = [], []
    if sys.platform == "linux":
        for task in os.listdir("/proc/self/task"):
            with open("/proc/self/task/" + task + "/comm") as comm:
                tasks.append(comm.read())
            with open("/proc/self/task/" + task + "/children") as children:
                tasks.append(children.read())
        for fd in os.listdir("/proc/self/fd"):
            if os.path.lexists("/proc/self/fd/" + fd):  # not: the one that listdir() had open
                fds.append(os.readlink("/proc/self/fd/" + fd).rstrip("0123456789]"))
    tasks = [task for task in tasks if task.strip() and "pooled" not in task]
    fds = [fd for fd in fds if "eventfd" not in fd]
    return sorted(fds), sorted(tasks), sorted(thread.name for thread in threading.enumerate())

def steps(host):
    wait = lambda seconds: (lambda end: lambda: time.monotonic() > end)(time.monotonic() + seconds)
    lives = lambda plugin: (lambda enough: lambda: plugin.ticks > enough)(plugin.ticks + 3)
    running = host.plugins.running
{steps}
    yield wait(0)
    host.quit()

class User:
    def __init__(self, host):
        self.host = host

    def initGui(self):
        self.steps = steps(self.host)
        self.is_true = lambda: True
        self.deadline = time.monotonic() + 30
        faulthandler.dump_traceback_later(40, exit=True)  # a host that hangs shows where
        self.timer = QTimer(self.host.window)
        self.timer.timeout.connect(self.go_on)
        self.timer.start(10)

    def go_on(self):
        if time.monotonic() > self.deadline:
            self.give_up("because it waits in vain: " + repr(self.is_true))
        elif self.is_true():
            self.timer.stop()  # a step may open a dialog, and must not be entered from there
            try:
                self.is_true = next(self.steps)
            except StopIteration:
                return
            except BaseException:
                self.give_up(traceback.format_exc())
            self.timer.start()

    def give_up(self, why):
        print("THE USER GAVE UP", why, flush=True)
        os._exit(3)

    def unload(self):
        self.timer.stop()

def classFactory(host):
    return User(host)
"""


# A plug-in with a copy: it attaches, ticks for as long as the loop lives, and detaches.
PLUGIN = """
import asyncio, atexit, gc, os, sys, threading, time
from qtpy import QtCore, QtGui, QtWidgets
from ._vendor import {copy} as asyncslot

def say(*words):
    print(">", *words, flush=True)

class Plugin:
    def __init__(self, host):
        self.host = host
        self.ticks = 0

    def initGui(self):
        self.lease = asyncslot.attach()
        self.lease.create_task(self.tick(), name="ticking")

    async def tick(self):
        while True:
            await asyncio.sleep(0.001)
            self.ticks += 1

    def unload(self):
        asyncslot.detach()

{body}

def classFactory(host):
    return Plugin(host)
"""


def plugin(body="", name="asyncslot", pretend=None):
    """Return a plug-in that ticks, with more methods, or others, in the body of its class; see `WithCopy`."""
    return WithCopy(PLUGIN.format(body=textwrap.indent(textwrap.dedent(body), "    "), copy=name), name, pretend)


class WithCopy:
    """A plug-in's source, and the vendored copy that it gets.

    Args:
        name: what the copy is called.
        pretend: VERSION or VERSION:PROTOCOL; the copy says that it is of that version.
    """

    def __init__(self, source, name="asyncslot", pretend=None):
        self.source = source
        self.name = name
        self.pretend = pretend

    def write(self, directory):
        """Make the plug-in, in a directory that is there."""
        (directory / "__init__.py").write_text(self.source, encoding="utf-8")
        (directory / "_vendor").mkdir()
        (directory / "_vendor" / "__init__.py").write_text("")
        vendored.copy(directory / "_vendor", self.name, self.pretend)


class Lines(list):
    """What a run has printed, line by line.

    Attributes:
        errors: what it wrote to stderr, but for what Qt's offscreen platform has to say about itself.
        said: the lines that were printed by `say()`.
    """

    def __init__(self, done):
        super().__init__(done.stdout.splitlines())
        self.errors = done.stderr.replace("This plugin does not support propagateSizeHints()\n", "")
        self.said = [line[2:] for line in self if line.startswith("> ")]


class MiniHost:
    """A directory of plug-ins to run mini_host with."""

    def __init__(self, directory, programs):
        self.directory = directory
        self._programs = programs

    def run(self, steps, **plugins):
        """Run mini_host, which must end by itself and with 0; return its `Lines`.

        A plug-in is given as source; as a `WithCopy`; or as a path, from where it is copied, and gets a copy.
        """
        plugins["a_user"] = USER.format(steps=textwrap.indent(textwrap.dedent(steps), "    "))
        compile(plugins["a_user"], "<the user>", "exec")  # mini_host without its user would never end
        for name, source in plugins.items():
            self._write(self.directory / name, source)
        runtime = self.directory.parent / "runtime"  # or Qt says that there is none
        runtime.mkdir(mode=0o700, exist_ok=True)
        script, arguments = MINI_HOST / "mini_host.py", ["--plugins", str(self.directory)]
        variables = {"QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(runtime)}
        try:
            done = self._programs.run(
                script.read_text(encoding="utf-8"),
                script=script,
                arguments=arguments,
                env=variables,
                timeout=patience.FOR_A_PROGRAM,
                forks=True,
            )
        except subprocess.TimeoutExpired as exc:
            raise AssertionError(f"mini_host was still there after 60 s\n{exc.stdout!r}\n{exc.stderr!r}") from None
        output = f"rc {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, output
        return Lines(done)

    def _write(self, directory, source):
        if isinstance(source, Path):
            shutil.copytree(str(source), str(directory), ignore=shutil.ignore_patterns("asyncslot"))
            vendored.copy(directory / "_vendor")
            return
        directory.mkdir(parents=True)
        if isinstance(source, WithCopy):
            source.write(directory)
        else:
            (directory / "__init__.py").write_text(textwrap.dedent(source), encoding="utf-8")

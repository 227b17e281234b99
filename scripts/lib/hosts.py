"""Run real host applications with the guest plug-in of tests/hosts/real in them, for hosts.py and test_hosts.py.

One directory of tests/hosts/real describes one host, in two small files:

    outside.py  class Host(Application): its packages, how the guest is put into a fresh profile, how it is started
    inside.py   copied into the guest as its module `host`: the host's log, its progress display, how to quit it

What is played inside is the same for all: tests/hosts/real/guest/story.py, which says what `inside.py` must have. Each
host is started twice: first *bare*, when the guest touches nothing of asyncslot and only asks the host to quit, which
shows how this host ends by itself (and makes what it makes in a new profile); then with a vendored copy, to play
everything.

It refuses to know any host. Standard library only. Linux only.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import vendor
from lib.host_run import HostRun
from lib.machine import ROOT, XVFB, display, need_packages

HOSTS = ROOT / "tests" / "hosts" / "real"
GUEST = "asyncslot_guest"

# What clicks and presses keys as a user does.
TOOLS = [*XVFB, "xdotool"]

# From the start of a host to the end of the story, on a machine that does other things as well.
STORY_TIMEOUT = 240.0
# The longest that a host may take from being asked to quit to being gone; calibre needs 3 s by itself.
QUIT_TIMEOUT = 20.0

# What is run in a host without its GUI.
_BATCH = """\
import sys

sys.path.insert(0, {copies!r})
import asyncslot

try:
    text = repr(asyncslot.attach())
except Exception as exc:
    text = f"{{type(exc).__name__}}: {{exc}}"
with open({answer!r}, "w", encoding="utf-8") as answer:
    answer.write(text)
"""


def names():
    """Return the names of the hosts that are described, sorted."""
    return sorted(path.parent.name for path in HOSTS.glob("*/outside.py"))


def find(name):
    """Return the class `Host` of one description."""
    path = HOSTS / name / "outside.py"
    # By its path: a host's name is often that of a module, too.
    spec = importlib.util.spec_from_file_location(f"outside_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.Host.place = path.parent
    return module.Host


@contextlib.contextmanager
def lasting_display():
    """Give a screen as `machine.display()` does, with a client on it that stays.

    Xvfb starts anew when its last client leaves, and refuses the next one for a moment. Krita opens a connection,
    and closes it, before the one that it keeps (seen with 5.1, 2026-11).

    Yields: the environment variables that lead to it.
    """
    with display() as (variables, _), socket.socket(socket.AF_UNIX) as client:
        if "DISPLAY" in variables:
            client.settimeout(10)
            client.connect("/tmp/.X11-unix/X" + variables["DISPLAY"].lstrip(":"))
            # X11's first words: little-endian, version 11.0, no authorization.
            client.sendall(b"l\0" + struct.pack("<5H", 11, 0, 0, 0, 0))
            client.recv(8)
        yield variables


class Application(HostRun):
    """One run of a host: make one, `play`, and always `close`. A description is a subclass.

    Attributes, for the subclass to set:
        NAME: the host's name.
        ADAPTER: the NAME of the adapter that is at home in it.
        PROGRAM: what is looked for on PATH to tell whether it is installed.
        PACKAGES: Debian's packages; the first is the host itself.
        CAN_RELOAD: whether the host can unload a plug-in and load it again while it runs.
        HAS_BATCH_APPLICATION: whether there is a Qt application, with no GUI, in the host's batch mode.

    Attributes:
        place: the directory of the description.
    """

    NAME = "the host"
    ADAPTER = "Qt"
    PROGRAM = ""
    PACKAGES = ()
    CAN_RELOAD = False
    HAS_BATCH_APPLICATION = False
    place = None

    def __init__(self, directory):
        super().__init__(directory)
        self.screenshot_file = self.directory / "progress.png"
        self._guest = None

    # -- what a description gives --------------------------------------------

    @classmethod
    def packages(cls, suite=None):
        """Return Debian's packages in this suite; None: on this machine. Empty if the host is not Debian's."""
        return cls.PACKAGES

    @classmethod
    def version(cls):
        """Return the installed package's version as numbers, (3, 22) of 3.22.16; empty if Debian has installed none.

        It decides where it has to be known before the host runs.
        """
        query = ["dpkg-query", "--show", "--showformat=${Version}", cls.PACKAGES[0]]
        shown = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        found = re.match(r"(?:\d+:)?(\d+)\.(\d+)", shown)
        return tuple(int(number) for number in found.groups()) if found else ()

    @classmethod
    def set_up(cls):
        """Install the host. Raises: SetupError."""
        need_packages([*cls.packages(), *TOOLS], cls.NAME)

    @classmethod
    def missing(cls):
        """Return what is missing on this machine to run the host, as a sentence, or None when all is there."""
        if shutil.which(cls.PROGRAM, path="/usr/local/bin:/usr/bin:/bin") is None:
            packages = " ".join(cls.PACKAGES)
            return f"{cls.PROGRAM} is not installed (Debian: apt-get install --no-install-recommends {packages})"
        if not os.environ.get("DISPLAY") and shutil.which("Xvfb") is None:
            return f"there is no display and no Xvfb for {cls.NAME} (Debian: apt-get install xvfb xauth)"
        return None

    def install(self):
        """Put the guest into the fresh profile, with `put_guest`, and whatever makes the host load and start() it."""
        raise NotImplementedError

    def command(self):
        """Return the command line that starts the host."""
        return [self.PROGRAM]

    def variables(self):
        """Return more environment variables for the host."""
        return {}

    def batch_command(self, script):
        """Return the command line that runs a Python file in the host without its GUI; None if it cannot."""
        return None

    # -- what a description and the tests use --------------------------------

    def put_guest(self, directory, name=GUEST):
        """Make the guest's package in `directory`, with a vendored copy and this host's inside.py; return its path."""
        target = Path(directory) / name
        shutil.copytree(HOSTS / "guest", target, ignore=shutil.ignore_patterns("__pycache__", "asyncslot"))
        shutil.copy(self.place / "inside.py", target / "host.py")
        vendor.copy(target / "_vendor")
        self._guest = target
        return target

    def play(self, display, story, variables=None):
        """Start the host, wait until the guest has played its story and the host is gone.

        Args:
            display: the environment variables that lead to the display, as `lasting_display()` yields them.
            story: "bare" or "all", see guest/story.py.
            variables: more environment variables, for the guest.

        Returns: (the host's exit code, the seconds from being asked to quit to being gone, what it wrote meanwhile).
        """
        if not self.home.exists():
            self._make_profile()
        if self.record_file.exists():
            self.record_file.unlink()
        story_variables = {"ASYNCSLOT_STORY": story, "ASYNCSLOT_RECORD": str(self.record_file)}
        self._launch(
            self.command(), {**self._environment(display), **self.variables(), **story_variables, **(variables or {})}
        )
        asked = self.wait_for(lambda record: record["step"] == "quitting", STORY_TIMEOUT)
        code, gone_at = self.wait_exit(QUIT_TIMEOUT)
        last_words = self.output_file.read_bytes()[asked["output_size"] :].decode("utf-8", "replace")
        return code, gone_at - asked["at"], last_words

    def try_batch(self, display):
        """Return what attach() does in the host without its GUI, and what was written; None if it cannot be tried."""
        script = self.directory / "batch.py"
        command = self.batch_command(script)
        if command is None:
            return None
        answer = self.directory / "batch.txt"
        copies = self._guest / "_vendor"
        script.write_text(_BATCH.format(copies=str(copies), answer=str(answer)))
        self._launch(command, {**self._environment(display), **self.variables()})
        self.wait_exit(STORY_TIMEOUT)  # kritarunner makes a database first, as Krita does
        return answer.read_text(encoding="utf-8") + "\n" + self.output()

    def _make_profile(self):
        self._make_home()
        self.install()

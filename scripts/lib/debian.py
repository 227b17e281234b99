"""A newer Debian under .work/, for a Python or for hosts that this machine has not got.

Made by debootstrap from the mirror that apt has here, in a minute and without compiling anything. Programs run in it
by chroot, as root, with the project at the same path as outside, and with what pip is set up with. The mounts that this
needs are those of the programs only, and gone with them: removing .work/ removes nothing else. When whoever has started
a program in there is killed, the program is, too.

It refuses to know what is run in there.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from lib.machine import (
    QT6_LIBRARIES,
    QT_LIBRARIES,
    ROOT,
    WORK,
    SetupError,
    missing_packages,
    need_packages,
    run_quietly,
    say,
)

# Which suite of Debian has which Python. forky is to be Debian 14, and moves until then (2026-11: Python 3.14.8).
PYTHONS = {"3.14": "forky"}

# The suites that can be made, and which one each is made on. trixie is Debian 13, and stays as it is; all others move.
SUITES = {"trixie": "trixie", "trixie-backports": "trixie", "forky": "forky", "sid": "sid", "experimental": "sid"}

# A mirror may lag behind a suite that is not released yet; what it has is signed all the same.
APT_SETTINGS = """\
Acquire::Check-Valid-Until "false";
APT::Install-Recommends "0";
Dpkg::Options {"--force-unsafe-io";};
"""

PIP_SETTINGS = ["/etc/pip.conf", "/etc/xdg/pip/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf"]
# Begins a command whose mounts are its own. It is gone when the process (to be exact: the thread) is that started it.
PRIVATELY = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def can_have(version):
    """Return whether a Debian with this Python can be made here: there is one, this is a Debian, and we are root."""
    return version in PYTHONS and _is_possible()


def need_python(version):
    """See that the Debian with this Python is there; return the words that begin a command to run in it.

    Raises: SetupError when it cannot be made.
    """
    debian = need_suite(PYTHONS[version], f"Python {version}")
    debian.need_packages([f"python{version}-venv", f"libpython{version}-testsuite"])
    return debian.enter()


def need_suite(suite, purpose):
    """See that a Debian of this suite is there; return it.

    Raises: SetupError when it cannot be made.
    """
    if not _is_possible():
        raise SetupError(f"A Debian {suite} for {purpose} can only be made on a Debian, as root.")
    need_packages(["debootstrap", "iproute2"], f"a Debian {suite}")
    debian = Debian(suite)
    if not debian.is_made():
        say(f"set-up: making a Debian {suite} for {purpose}, {debian.root.relative_to(ROOT)}")
        debian.make()
    return debian


def _is_possible():
    return sys.platform == "linux" and shutil.which("apt-get") is not None and os.geteuid() == 0


class Debian:
    """One Debian under .work/.

    Attributes:
        suite: its name. Packages come from this suite first, then from the one that it is made on.
        root: its root directory, as seen from outside.
    """

    def __init__(self, suite):
        self.suite = suite
        self.root = WORK / "debian" / suite
        self._note = self.root / "made.txt"

    def is_made(self):
        return self._note.exists()

    def enter(self, *, is_alone=False):
        """Return the words that begin a command to run in it.

        Args:
            is_alone: whether the command sees no process but its own, no network but a loopback of its own, and an
                empty /tmp. Whatever it has started ends with it, and no X server outside can be mixed up with its own.
        """
        words = [*PRIVATELY, *(["--pid", "--kill-child", "--net"] if is_alone else [])]
        words += ["sh", "-euc", _mounts(self.root, is_alone), str(self.root)]
        return [*words, "env", f"--chdir={ROOT}"]

    def make(self):
        """Make it anew, with what Qt needs. Raises: SetupError."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        base, mirror = SUITES[self.suite], _mirror()
        # debootstrap of Debian 12 does not know the names of all suites to come; its recipe for them is sid's.
        # It mounts /proc in there, and would leave it mounted if it were killed.
        bootstrap = [*PRIVATELY, "--pid", "--kill-child", "--mount-proc"]
        bootstrap += ["debootstrap", "--variant=minbase", "--include=ca-certificates", base, str(self.root), mirror]
        run_quietly([*bootstrap, "/usr/share/debootstrap/scripts/sid"], timeout=1200)
        if base != self.suite:
            self._write("etc/apt/sources.list.d/asyncslot.list", f"deb {mirror} {self.suite} main\n")
        self._write("etc/apt/apt.conf.d/90asyncslot", f'{APT_SETTINGS}APT::Default-Release "{self.suite}";\n')
        settings = subprocess.run(["apt-config", "dump"], stdout=subprocess.PIPE, check=True, text=True).stdout
        proxies = [line for line in settings.splitlines() if re.match(r"Acquire::https?::Proxy ", line)]
        self._write("etc/apt/apt.conf.d/91proxy", "".join(f"{line}\n" for line in proxies))
        for path in ("/etc/resolv.conf", "/etc/hosts", CERTIFICATES):
            if os.path.exists(path):
                shutil.copy(path, f"{self.root}{path}")
        self._write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")  # no package starts a service in there
        (self.root / "usr/sbin/policy-rc.d").chmod(0o755)
        self.need_packages(["procps", *QT_LIBRARIES, *QT6_LIBRARIES])
        self._note.write_text("")

    def need_packages(self, packages):
        """See that these packages are installed in it.

        Raises: SetupError when apt-get fails.
        """
        missing = missing_packages(packages, f"--root={self.root}")
        if missing:
            apt = [*self.enter(), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
            run_quietly([*apt, "update"], timeout=600)
            run_quietly([*apt, "install", "-y", "--no-install-recommends", *missing], timeout=3600)

    def _write(self, path, text):
        (self.root / path).write_text(text, encoding="utf-8")


def _mirror():
    """Return the address of the mirror from which this Debian comes."""
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(ORIGIN)"]
    lines = subprocess.run(targets, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    found = [line.split()[0] for line in lines if re.fullmatch(r"\S+ [a-z]+ Debian", line)]
    if not found:
        raise SetupError("apt knows no mirror of Debian here: run apt-get update, or look at /etc/apt/sources.list.")
    return found[0]


def _mounts(root, is_alone):
    """Return a shell program that makes in $0 what programs need, and runs its arguments there."""
    binds = ["/sys", str(ROOT), *_pip_paths(), *([] if is_alone else ["/proc", "/tmp"])]
    lines = ["mount --rbind /dev $0/dev"]
    if is_alone:
        lines += ["mount -t proc proc $0/proc", "mount -t tmpfs tmp $0/tmp", "ip link set lo up"]
    for path in binds:
        there = shlex.quote(f"{root}{path}")
        make = f"mkdir -p {there}" if os.path.isdir(path) else f"mkdir -p $(dirname {there}); touch {there}"
        lines.append(f"{make}; mount --bind {shlex.quote(path)} {there}")
    # The first process among those of its own takes care of the orphans, which a shell does, and never ends by Ctrl+C.
    lines.append('chroot "$0" "$@"; exit' if is_alone else 'exec chroot "$0" "$@"')
    return "\n".join(lines)


def _pip_paths():
    """Return pip's settings here, and the files and folders that they name."""
    files = [Path(each).expanduser() for each in [*PIP_SETTINGS, os.environ.get("PIP_CONFIG_FILE", os.devnull)]]
    found = [str(path) for path in files if path.is_file()]
    texts = [Path(path).read_text(encoding="utf-8") for path in found]
    texts += [value for name, value in os.environ.items() if name.startswith("PIP_")]
    named = [path for text in texts for path in re.findall(r"(?:file://|(?<![\w:/]))(/[^\s'\",]+)", text)]
    # The pages of an index refer to files beside them.
    named = [path[: -len("/simple")] if path.endswith("/simple") else path for path in named]
    named = [path for path in named if os.path.exists(path) and not path.startswith(("/etc/ssl/", os.devnull))]
    return sorted({*found, *named})

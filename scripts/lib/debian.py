"""A newer Debian under .work/, for a Python that this machine has not got.

Made by debootstrap from the mirror that apt has here, in a minute and without compiling anything. Programs run in it
by chroot, as root, with the project at the same path as outside, and with what pip is set up with. The mounts that this
needs are those of the programs only, and gone with them: removing .work/ removes nothing else.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from lib.machine import QT6_LIBRARIES, QT_LIBRARIES, ROOT, WORK, SetupError, need_packages, run_quietly, say

# Which suite of Debian has which Python. forky is to be Debian 14, and moves until then (2026-11: Python 3.14.8).
SUITES = {"3.14": "forky"}

# A mirror may lag behind a suite that is not released yet; what it has is signed all the same.
APT_SETTINGS = """\
Acquire::Check-Valid-Until "false";
APT::Install-Recommends "0";
Dpkg::Options {"--force-unsafe-io";};
"""

PIP_SETTINGS = ["/etc/pip.conf", "/etc/xdg/pip/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf"]
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def can_have(version):
    """Return whether a Debian with this Python can be made here: there is one, this is a Debian, and we are root."""
    return version in SUITES and sys.platform == "linux" and shutil.which("apt-get") is not None and os.geteuid() == 0


def need_python(version):
    """See that the Debian with this Python is there; return the words that begin a command to run in it.

    Raises: SetupError when it cannot be made.
    """
    need_packages(["debootstrap"], f"Python {version}")
    root = WORK / "debian" / SUITES[version]
    enter = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _mounts(root), str(root)]
    note = root / "made.txt"
    if not note.exists():
        say(f"set-up: making a Debian {SUITES[version]} for Python {version}, {root.relative_to(ROOT)}")
        _make(root, SUITES[version], enter, [f"python{version}-venv", f"libpython{version}-testsuite"])
        note.write_text("")
    return [*enter, "env", f"--chdir={ROOT}"]


def _make(root, suite, enter, packages):
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    # debootstrap of Debian 12 does not know the names of all suites to come; its recipe for them is sid's.
    bootstrap = ["debootstrap", "--variant=minbase", "--include=ca-certificates", suite, str(root), _mirror()]
    run_quietly([*bootstrap, "/usr/share/debootstrap/scripts/sid"], timeout=1200)
    (root / "etc/apt/apt.conf.d/90asyncslot").write_text(APT_SETTINGS, encoding="utf-8")
    proxies = subprocess.run(["apt-config", "dump"], stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    kept = [line for line in proxies if re.match(r"Acquire::https?::Proxy ", line)]
    (root / "etc/apt/apt.conf.d/91proxy").write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    for path in ("/etc/resolv.conf", "/etc/hosts", CERTIFICATES):
        if os.path.exists(path):
            shutil.copy(path, f"{root}{path}")
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")  # no package starts a service in there
    policy.chmod(0o755)
    apt = [*enter, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    run_quietly([*apt, "update"], timeout=600)
    run_quietly([*apt, "install", "-y", "procps", *QT_LIBRARIES, *QT6_LIBRARIES, *packages], timeout=3600)


def _mirror():
    """Return the address of the mirror from which this Debian comes."""
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(ORIGIN)"]
    lines = subprocess.run(targets, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    found = [line.split()[0] for line in lines if re.fullmatch(r"\S+ [a-z]+ Debian", line)]
    if not found:
        raise SetupError("apt knows no mirror of Debian here: run apt-get update, or look at /etc/apt/sources.list.")
    return found[0]


def _mounts(root):
    """Return a shell program that makes in $0 what programs need, and runs its arguments there."""
    binds = ["/proc", "/sys", "/tmp", str(ROOT), *_pip_paths()]
    lines = ["mount --rbind /dev $0/dev"]
    for path in binds:
        there = shlex.quote(f"{root}{path}")
        make = f"mkdir -p {there}" if os.path.isdir(path) else f"mkdir -p $(dirname {there}); touch {there}"
        lines.append(f"{make}; mount --bind {shlex.quote(path)} {there}")
    return "\n".join([*lines, 'exec chroot "$0" "$@"'])


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

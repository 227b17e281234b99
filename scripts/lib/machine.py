"""Bring a bare machine to where demo.py and test.py can run.

Both are started with whatever `python3` the user has, perhaps a fresh Debian's, which has neither pip nor a single
library that Qt needs. So this file uses the standard library only, and everything it makes lies under `.work/`, which
git ignores: remove that directory and nothing is left.

Three things are set up, each skipped when it is there already: Debian's packages (as root; anybody else is shown the
exact line to run), a virtual environment, and a display. It refuses to know what is tested or shown.
"""

import contextlib
import hashlib
import importlib.util
import os
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".work"

# What PyQt5's wheel does not bring, found by running it on Debian 12 with nothing but python3 (2026-11). Offscreen
# needs the first three; Qt's xcb plug-in, for a real display or Xvfb, needs the others.
QT_LIBRARIES = [
    *("libglib2.0-0", "libgl1", "libfontconfig1"),
    *("libdbus-1-3", "libxkbcommon-x11-0", "libx11-xcb1", "libxcb-icccm4", "libxcb-image0", "libxcb-keysyms1"),
    *("libxcb-randr0", "libxcb-render-util0", "libxcb-shape0", "libxcb-xinerama0"),
]
# What Qt 6 links to besides the libraries of Qt 5.
QT6_LIBRARIES = ["libegl1", "libxkbcommon0"]
XVFB = ["xvfb", "xauth"]
# What follows a Python's name. Of all that a package holds the tests import little, and compile that when they do.
PIP_INSTALL = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile"]
# QGIS, and what clicks in it as a user does.
QGIS = ["qgis", "python3-qgis", "xdotool"]


class SetupError(Exception):
    """The machine cannot be set up from here; the text says what the user can do about it."""


def say(text):
    """Print a line now, also where the output is a file or a CI log."""
    print(text, flush=True)


def need_packages(packages, purpose):
    """See that these Debian packages are installed: install what is missing as root, else say which line does it.

    On another system nothing is done: if a library is missing there, Qt's own message names it.

    Raises: SetupError when something is missing and we are not root, or when apt-get fails.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-query") is None:
        return
    missing = missing_packages(packages)
    if not missing:
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        raise SetupError(f"Packages are missing for {purpose}. As root, run\n\n    {_line(install)}\n")
    say(f"set-up: installing for {purpose}: {', '.join(missing)}")
    # Somebody else's apt-get (unattended upgrades on a fresh machine) is waited for instead of failing at once.
    install[1:1] = ["-o", "DPkg::Lock::Timeout=600"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run_quietly(["apt-get", "-o", "DPkg::Lock::Timeout=600", "update"], timeout=600, env=env)
    run_quietly(install, timeout=3600, env=env)


def missing_packages(packages, *options):
    """Return which of these packages are not installed.

    Args: options: for dpkg-query, which may be told to look elsewhere.
    """
    query = ["dpkg-query", *options, "--show", "--showformat=${db:Status-Status} ${Package}\n"]
    listing = subprocess.run(query, stdout=subprocess.PIPE, check=True, text=True).stdout
    installed = {line.split(" ", 1)[1] for line in listing.splitlines() if line.startswith("installed ")}
    # Ubuntu 24.04 and Debian 13 renamed some libraries to <name>t64; apt-get still finds them under the old name.
    return [name for name in packages if name not in installed and name + "t64" not in installed]


def need_venv(*requirements, venv=None, interpreter=(sys.executable,)):
    """Return the Python of this project's virtual environment, with the requirements installed.

    There is one environment for each Python version. What was installed is noted in it, so that a second run starts
    at once.

    Args:
        requirements: each as on pip's command line. One that starts with "-e " is this project, installed editable:
            it is installed again when pyproject.toml has changed.
        venv: the environment's directory, if it is not that of this Python.
        interpreter: the words that begin a command with the Python that makes it. All but the last begin pip's, too.
    Raises: SetupError when the environment cannot be made, or when pip fails.
    """
    *enter, _ = interpreter
    venv = venv or WORK / f"venv-{sys.implementation.cache_tag}"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    note = venv / "installed.txt"
    # Another Debian's environment is a link that may lead nowhere here.
    is_there = python.is_symlink() if enter else python.exists()
    if not is_there or not note.exists():
        _make_venv(venv, interpreter)
        note.write_text("")
    noted = note.read_text().splitlines()
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()[:16]
    lines = {each: f"{each} as of pyproject.toml {digest}" if each.startswith("-e ") else each for each in requirements}
    missing = [each for each in requirements if lines[each] not in noted]
    if missing:
        say(f"set-up: installing {', '.join(missing)} into {venv.relative_to(ROOT)}")
        arguments = [word for each in missing for word in each.split(" ", 1)]
        run_quietly([*enter, str(python), *PIP_INSTALL, *arguments], timeout=1800, cwd=ROOT)
        note.write_text("\n".join([*noted, *(lines[each] for each in missing)]) + "\n")
    return str(python)


def find_interpreter(version):
    """Return the path of a Python of this minor version that can make virtual environments, or None."""
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(pyenv.glob(f"{version}.*/bin/{name}"), key=_patch_version, reverse=True)
    # PATH comes second: there, pyenv has a shim of this name even for what it would refuse to run.
    candidates = [str(path) for path in found] + [path for path in [shutil.which(name)] if path is not None]
    check = f"import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    for candidate in candidates:
        if subprocess.run([candidate, "-c", check], stderr=subprocess.DEVNULL).returncode == 0:
            return candidate
    return None


def _patch_version(path):
    return [int(number) for number in re.findall(r"\d+", path.parts[-3])]


def venv_packages():
    """Return the Debian packages that need_venv() needs: Debian splits a part off its standard library."""
    return ["python3-venv"] if importlib.util.find_spec("ensurepip") is None else []


def _make_venv(venv, interpreter):
    say(f"set-up: making a virtual environment, {venv.relative_to(ROOT)}")
    # In a process of its own, because what apt-get has just installed is seen by a new one for certain.
    run_quietly([*interpreter, "-m", "venv", "--clear", str(venv)], timeout=300)


def run_quietly(command, *, timeout, **options):
    """Run a set-up command whose output is of interest only when it fails.

    Args: timeout: seconds; options: as subprocess.run takes them.
    Raises: SetupError with the end of the output.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            errors="replace",
            **options,
        )
    except subprocess.TimeoutExpired:
        raise SetupError(f"{_line(command)}\nwas still running after {timeout} s and was ended.") from None
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise SetupError(f"{tail}\n\n{_line(command)}\nended with exit code {done.returncode}, see above.")


def _line(command):
    return " ".join(shlex.quote(word) for word in command)


def has_display():
    """Return whether windows of this session are seen by somebody."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextlib.contextmanager
def display():
    """Give a screen to child processes: the user's own, else a virtual one, else none that anybody can look at.

    Yields: (the environment variables to add, what to call it in a report).
    """
    if has_display():
        yield {}, "the display of this session"
    elif shutil.which("Xvfb") is None:
        yield {"QT_QPA_PLATFORM": "offscreen"}, "Qt's offscreen platform (there is no display, and no Xvfb)"
    else:
        with _xvfb() as name:
            yield {"DISPLAY": name, "QT_QPA_PLATFORM": "xcb"}, f"Xvfb {name}"


@contextlib.contextmanager
def _xvfb():
    # -displayfd makes the server choose a free number itself and tell it once it accepts clients: nothing to guess,
    # and two runs at the same time do not meet.
    readable, writable = os.pipe()
    command = ["Xvfb", "-displayfd", str(writable), "-screen", "0", "1280x960x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writable], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writable)
    try:
        yield ":" + _read_line(readable, timeout=30)
    finally:
        os.close(readable)
        server.terminate()
        server.wait(10)


def _read_line(fd, *, timeout):
    deadline = time.monotonic() + timeout
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(fd, 64) if ready else b""
        if not chunk:
            raise SetupError(f"Xvfb did not come up within {timeout} s")
        text += chunk
    return text.decode().strip()

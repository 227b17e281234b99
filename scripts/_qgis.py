"""Run a real QGIS with given plug-ins, for demo.py and for the tests.

A run has a profile of its own, made from nothing and thrown away, and an environment of its own: an interpreter
embedded in QGIS must see none of the PYTHON* variables and virtual environments of whoever starts it. Each plug-in is
copied into that profile and enabled there; those that want asyncslot get a vendored copy in their `_vendor` directory,
as a user would make it.

What happens inside is told by a *driver*: an ordinary plug-in, brought by the caller, that appends one JSON object per
line to the file named in the environment variable RECORD_VARIABLE. It says by itself when QGIS is to quit.

It refuses to know what a driver does. Standard library only. Linux only: it reads no other system's paths.

Traps that shaped it (QGIS 3.22 on Debian 12, 2026-11): it needs an X server, for Qt's offscreen platform crashes it;
when it crashes, its own handler spends seconds in a debugger, so the whole process group is ended; output that Python
has buffered is lost at the end, for Python is never finalized.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import vendor

RECORD_VARIABLE = "ASYNCSLOT_RECORD"

_PROFILE = "test"

# First-run questions and tips would cover the window, and the version check would ask the network.
_SETTINGS = """\
[qgis]
checkVersion=false
showTips322=false

[PythonPlugins]
"""

# How long QGIS may take to be gone once it is killed.
_KILL_TIMEOUT = 10.0

# Between two looks at the record. There is nothing to wait on: the file belongs to another process.
_POLL_INTERVAL = 0.02


class QgisError(Exception):
    """QGIS did not do what was expected of it; the text has the end of its output."""


def missing():
    """Return what is missing on this machine to run QGIS, as a sentence, or None when all is there."""
    if shutil.which("qgis") is None:
        return "qgis is not installed (Debian: apt-get install --no-install-recommends qgis python3-qgis)"
    if not os.environ.get("DISPLAY") and shutil.which("Xvfb") is None:
        return "there is no display and no Xvfb for QGIS (Debian: apt-get install xvfb xauth)"
    return None


class QgisRun:
    """One QGIS: prepare it with `add_plugin`, then `start`, `wait_for`, `wait_exit`, and always `close`.

    A context manager, which closes it.

    Args:
        directory: an empty directory for its profile and files; whoever made it removes it.
    """

    def __init__(self, directory):
        self.directory = Path(directory).resolve()
        self.record_file = self.directory / "record.jsonl"
        self.output_file = self.directory / "output.txt"
        self._profile = self.directory / "profiles" / "profiles" / _PROFILE
        self._plugins = []
        self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *_exc_info):
        self.close()

    def add_plugin(self, source, name, *, needs_copy=True):
        """Copy a plug-in into the profile, under the package name `name`, and enable it.

        Args:
            source: the plug-in's directory.
            needs_copy: whether to put a vendored copy of asyncslot into its `_vendor` directory.

        Returns: the directory of the installed plug-in.
        """
        target = self._profile / "python" / "plugins" / name
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "asyncslot"))
        if needs_copy:
            vendor.copy(target / "_vendor")
        self._plugins.append(name)
        return target

    def start(self, display, variables=None):
        """Start QGIS and return at once.

        Args:
            display: the environment variables that lead to the display, as `_machine.display()` yields them.
            variables: more environment variables, for the driver.
        """
        settings = self._profile / "QGIS" / "QGIS3.ini"
        settings.parent.mkdir(parents=True)
        settings.write_text(_SETTINGS + "".join(name + "=true\n" for name in self._plugins))
        command = ["qgis", "--profiles-path", str(self.directory / "profiles"), "--profile", _PROFILE]
        with open(self.output_file, "wb") as output:
            self._process = subprocess.Popen(
                [*command, "--nologo", "--noversioncheck"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**self._environment(display), **(variables or {})},
                cwd=self.directory,
                start_new_session=True,
            )

    def records(self):
        """Return what the driver has written so far, oldest first."""
        if not self.record_file.exists():
            return []
        # The last piece is empty, or a line that is still being written.
        lines = self.record_file.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def wait_for(self, is_wanted, timeout):
        """Wait until the driver has written a record for which `is_wanted(record)` is true; return that record.

        Raises: QgisError when `timeout` seconds have passed or QGIS has ended before.
        """
        deadline = time.monotonic() + timeout
        while True:
            has_ended = self._process.poll() is not None  # asked before reading: its last words must not be missed
            for record in self.records():
                if is_wanted(record):
                    return record
            if has_ended:
                raise QgisError(self._story(f"ended with exit code {self._process.returncode}"))
            if time.monotonic() > deadline:
                raise QgisError(self._story(f"did not get there within {timeout:g} s"))
            time.sleep(_POLL_INTERVAL)

    def wait_exit(self, timeout):
        """Wait until QGIS has ended by itself.

        Returns: (its exit code, the `time.monotonic()` at which it was gone: the same clock as in the driver's process)

        Raises: QgisError when it was still running after `timeout` seconds; it is killed then.
        """
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.close()
            raise QgisError(self._story(f"was still running after {timeout:g} s and was killed")) from None
        return code, time.monotonic()

    def output(self):
        """Return what QGIS has written to stdout and stderr."""
        return self.output_file.read_text(encoding="utf-8", errors="replace") if self.output_file.exists() else ""

    def close(self):
        """Kill whatever is left of QGIS. May be called at any time, any number of times."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_KILL_TIMEOUT)

    def _environment(self, display):
        home = self.directory / "home"
        runtime = self.directory / "runtime"
        home.mkdir()
        runtime.mkdir(mode=0o700)
        inherited = {name: os.environ[name] for name in ("DISPLAY", "XAUTHORITY") if name in os.environ}
        return {
            **inherited,
            **display,
            "QT_QPA_PLATFORM": "xcb",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_RUNTIME_DIR": str(runtime),
            # Lost otherwise: QGIS ends without Python flushing its streams.
            "PYTHONUNBUFFERED": "1",
            RECORD_VARIABLE: str(self.record_file),
        }

    def _story(self, what):
        records = "\n".join(json.dumps(record) for record in self.records()[-5:])
        output = "\n".join(self.output().splitlines()[-40:])
        return f"QGIS {what}.\nThe last records of its driver:\n{records}\nThe end of its output:\n{output}"

"""Run a host application in a process of its own, and read what a driver inside it tells.

A *driver* is a plug-in that plays the user. It appends one JSON object per line to a record file, which is read here
while the host runs. Every wait has a limit, and at the end the host is gone, whatever it was doing.

It refuses to know how a host is started, and what a driver does. Standard library only.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

# How long a host may take to be gone once it is killed.
_KILL_TIMEOUT = 10.0

# Between two looks at the record. There is nothing to wait on: the file belongs to another process.
_POLL_INTERVAL = 0.02


class HostError(Exception):
    """The host did not do what was expected of it; the text has the end of its output."""


class HostRun:
    """One run of a host: a subclass starts it; then `wait_for`, `wait_exit`, and always `close`.

    A context manager, which closes it.

    Args:
        directory: an empty directory for the host's files, the record among them; whoever made it removes it.

    Attributes:
        home, config, data, cache: the host's directories for its user, empty at first.
    """

    NAME = "the host"

    def __init__(self, directory):
        self.directory = Path(directory).resolve()
        self.record_file = self.directory / "record.jsonl"
        self.output_file = self.directory / "output.txt"
        self.home = self.directory / "home"
        self.config = self.home / "config"
        self.data = self.home / "data"
        self.cache = self.home / "cache"
        self._runtime = self.directory / "runtime"
        self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *_exc_info):
        self.close()

    def _make_home(self):
        for directory in (self.config, self.data, self.cache):
            directory.mkdir(parents=True)
        self._runtime.mkdir(mode=0o700)

    def _environment(self, display):
        """Return an environment with nothing in it of whoever starts us: an embedded interpreter would see it.

        Args:
            display: the environment variables that lead to the display, as `machine.display()` yields them.
        """
        inherited = {name: os.environ[name] for name in ("DISPLAY", "XAUTHORITY") if name in os.environ}
        return {
            **inherited,
            **display,
            "QT_QPA_PLATFORM": "xcb",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.config),
            "XDG_DATA_HOME": str(self.data),
            "XDG_CACHE_HOME": str(self.cache),
            "XDG_RUNTIME_DIR": str(self._runtime),
            # Lost otherwise where a host ends without Python's finalization.
            "PYTHONUNBUFFERED": "1",
        }

    def _launch(self, command, env):
        with open(self.output_file, "wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=self.directory,
                start_new_session=True,  # so that close() reaches what the host has started, too
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

        Raises: HostError when `timeout` seconds have passed or the host has ended before.
        """
        deadline = time.monotonic() + timeout
        while True:
            has_ended = self._process.poll() is not None  # asked before reading: its last words must not be missed
            for record in self.records():
                if is_wanted(record):
                    return record
            if has_ended:
                raise HostError(self._story(f"ended with exit code {self._process.returncode}"))
            if time.monotonic() > deadline:
                raise HostError(self._story(f"did not get there within {timeout:g} s"))
            time.sleep(_POLL_INTERVAL)

    def wait_exit(self, timeout=None):
        """Wait until the host has ended by itself; for ever if `timeout` is None.

        Returns: (its exit code, the `time.monotonic()` at which it was gone: the same clock as in the driver's process)

        Raises: HostError when it was still running after `timeout` seconds; it is killed then.
        """
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.close()
            raise HostError(self._story(f"was still running after {timeout:g} s and was killed")) from None
        return code, time.monotonic()

    def output(self):
        """Return what the host has written to stdout and stderr."""
        return self.output_file.read_text(encoding="utf-8", errors="replace") if self.output_file.exists() else ""

    def close(self):
        """Kill whatever is left of the host. May be called at any time, any number of times."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if os.name == "nt":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_KILL_TIMEOUT)

    def _story(self, what):
        records = "\n".join(json.dumps(record) for record in self.records()[-5:])
        output = "\n".join(self.output().splitlines()[-40:])
        return f"{self.NAME} {what}.\nThe last records of its driver:\n{records}\nThe end of its output:\n{output}"

"""Run a real QGIS with given plug-ins, for demo.py and for the tests.

A run has a profile of its own, made from nothing and thrown away, and an environment of its own: an interpreter
embedded in QGIS must see none of the PYTHON* variables and virtual environments of whoever starts it. Each plug-in is
copied into that profile and enabled there; those that want asyncslot get a vendored copy in their `_vendor` directory,
as a user would make it.

What happens inside is told by a *driver*: an ordinary plug-in, brought by the caller, that appends one JSON object per
line to the file named in the environment variable RECORD_VARIABLE. host_run.py reads it. The driver says by itself
when QGIS is to quit.

It refuses to know what a driver does. Standard library only. Linux only: it reads no other system's paths.

Traps that shaped it (QGIS 3.22 on Debian 12, 2026-11): it needs an X server, for Qt's offscreen platform crashes it;
when it crashes, its own handler spends seconds in a debugger, so the whole process group is ended; output that Python
has buffered is lost at the end, for Python is never finalized.
"""

import os
import shutil

import vendor
from lib.host_run import HostError as QgisError  # noqa: F401 - what callers have to catch
from lib.host_run import HostRun

RECORD_VARIABLE = "ASYNCSLOT_RECORD"

_PROFILE = "test"

# First-run questions and tips would cover the window, and the version check would ask the network.
_SETTINGS = """\
[qgis]
checkVersion=false
showTips322=false

[PythonPlugins]
"""


def missing():
    """Return what is missing on this machine to run QGIS, as a sentence, or None when all is there."""
    if shutil.which("qgis") is None:
        return "qgis is not installed (Debian: apt-get install --no-install-recommends qgis python3-qgis)"
    if not os.environ.get("DISPLAY") and shutil.which("Xvfb") is None:
        return "there is no display and no Xvfb for QGIS (Debian: apt-get install xvfb xauth)"
    return None


class QgisRun(HostRun):
    """One QGIS: prepare it with `add_plugin`, then `start`, `wait_for`, `wait_exit`, and always `close`.

    A context manager, which closes it.

    Args:
        directory: an empty directory for its profile and files; whoever made it removes it.
    """

    NAME = "QGIS"

    def __init__(self, directory):
        super().__init__(directory)
        self._profile = self.directory / "profiles" / "profiles" / _PROFILE
        self._plugins = []

    def add_plugin(self, source, name, *, needs_copy=True):
        """Copy a plug-in into the profile, under the package name `name`, and enable it.

        Args:
            source: the plug-in's directory.
            needs_copy: whether to put a vendored copy of asyncslot into its `_vendor` directory.

        Returns: the directory of the installed plug-in.
        """
        target = self._profile / "python" / "plugins" / name
        # A copy that somebody has made in there by hand is left behind: this run is to have today's.
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "asyncslot"))
        if needs_copy:
            vendor.copy(target / "_vendor")
        self._plugins.append(name)
        return target

    def start(self, display, variables=None, settings=""):
        """Start QGIS and return at once.

        Args:
            display: the environment variables that lead to the display, as `machine.display()` yields them.
            variables: more environment variables, for the driver.
            settings: sections of QGIS3.ini, for the plug-ins.
        """
        file = self._profile / "QGIS" / "QGIS3.ini"
        file.parent.mkdir(parents=True)
        file.write_text(_SETTINGS + "".join(name + "=true\n" for name in self._plugins) + settings)
        command = ["qgis", "--profiles-path", str(self.directory / "profiles"), "--profile", _PROFILE]
        command += ["--nologo", "--noversioncheck"]
        self._make_home()
        record = {RECORD_VARIABLE: str(self.record_file)}
        self._launch(command, {**self._environment(display), **record, **(variables or {})})

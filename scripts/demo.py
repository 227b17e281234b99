"""Show asyncslot at work, from nothing: `python3 scripts/demo.py`.

Sets this machine up (everything that is made lies under .work/), starts a host application with two plug-ins, each
with its own vendored copy of asyncslot, and plays a user: both plug-ins download at the same time from a server on
this machine, one is reloaded in the middle of its work, and the host is closed while both are busy. Prints what
happened and where the screenshots are.

The host is mini_host (examples/mini_host); `--host qgis` takes the real QGIS instead, `--stay` leaves mini_host's
window to you.

Exit codes: 0 all went well, 1 something failed, 2 this machine could not be set up, 130 interrupted with Ctrl+C.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
from itertools import count

import vendor
from lib import demo_server, qgis
from lib.host_run import HostError, HostRun
from lib.machine import (
    QGIS,
    QT_LIBRARIES,
    ROOT,
    WORK,
    XVFB,
    SetupError,
    display,
    has_display,
    need_packages,
    need_venv,
    say,
    venv_packages,
)

EXAMPLES = ROOT / "examples"
STEP_TIMEOUT = 90.0  # seconds from one thing that the driver tells to the next; its own limits are shorter
QUIT_TIMEOUT = 3.0  # seconds from the request to quit to the end of the process


class MiniHostRun(HostRun):
    """One mini_host: prepare it with `add_plugin`, then `start`.

    Args:
        python: the interpreter, with PyQt5 and QtPy.
    """

    NAME = "mini_host"

    def __init__(self, directory, python):
        super().__init__(directory)
        self._python = python
        self._plugins = self.directory / "plugins"

    def add_plugin(self, source, name, *, needs_copy=True):
        """Copy a plug-in to where this host looks, if need be with its own asyncslot; return its directory there."""
        target = self._plugins / name
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "asyncslot"))
        if needs_copy:
            vendor.copy(target / "_vendor")
        return target

    def start(self, screen):
        """Start mini_host on a screen as display() yields it."""
        command = [self._python, str(EXAMPLES / "mini_host" / "mini_host.py"), "--plugins", str(self._plugins)]
        self._launch(command, {**os.environ, **screen, "QT_API": "pyqt5"})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", choices=("mini_host", "qgis"), default="mini_host", help="where to show it")
    parser.add_argument("--stay", action="store_true", help="leave the window to me, until I close it")
    arguments = parser.parse_args()
    if arguments.stay and arguments.host == "qgis":
        parser.error("--stay is for mini_host")
    try:
        run, plugins = prepare_qgis() if arguments.host == "qgis" else prepare_mini_host(arguments.stay)
        return show(run, plugins, arguments.host, arguments.stay)
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    except KeyboardInterrupt:
        say("\ninterrupted; the host was ended")
        return 130


def prepare_mini_host(stay):
    """Set the machine up; return a run of mini_host, and its plug-ins as {name: directory}."""
    if stay and not has_display():
        raise SetupError("--stay shows a window, and there is no display to show it on")
    need_packages(QT_LIBRARIES + ([] if has_display() else XVFB) + venv_packages(), "a Qt window")
    python = need_venv("PyQt5", "qtpy")
    plugins = {name: EXAMPLES / "mini_host" / "plugins" / name for name in ("downloader", "mosaic")}
    return MiniHostRun(fresh_directory("mini_host"), python), plugins


def prepare_qgis():
    """Set the machine up; return a run of QGIS, and its plug-ins: two copies of the same example."""
    need_packages(QGIS + ([] if has_display() else XVFB), "QGIS")
    missing = qgis.missing()
    if missing:
        raise SetupError(missing)
    plugins = dict.fromkeys(("download_a", "download_b"), EXAMPLES / "qgis_plugin")
    return qgis.QgisRun(fresh_directory("qgis")), plugins


def fresh_directory(host):
    path = WORK / "demo" / host
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def show(run, plugins, host, stay):
    """Start the host with the plug-ins and the driver that plays the user; return the exit code."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(demo_server.serving())
        screen, screen_name = stack.enter_context(display())
        stack.enter_context(run)
        for name, source in plugins.items():
            run.add_plugin(source, name)
        driver = run.add_plugin(ROOT / "scripts" / "lib" / "demo_driver", "demo_driver", needs_copy=False)
        script = {
            "host": host,
            "server": server,
            "stay": stay,
            "record": str(run.record_file),
            "directory": str(run.directory),
            "sha256": demo_server.FILE_SHA256,
            "tiles": demo_server.COLUMNS * demo_server.ROWS,
        }
        (driver / "script.json").write_text(json.dumps(script), encoding="utf-8")
        say(f"{host} on {screen_name}:")
        run.start(screen)
        try:
            all_ok = follow(run, stay)
        except HostError as exc:
            say(f"  FAILED  {exc}")
            return 1
    for screenshot in sorted(run.directory.glob("*.png")):
        say(f"screenshot: {screenshot.relative_to(ROOT)}")
    say("all went well" if all_ok else f"SOMETHING FAILED, see above; the host's output: {run.output_file}")
    return 0 if all_ok else 1


def follow(run, stay):
    """Print what the driver tells as it tells it, and judge how the host ends; return whether all is well.

    Raises: HostError when the host does not get on, or ends too early.
    """
    all_ok = True
    for number in count():
        record = run.wait_for(lambda record, number=number: record["number"] == number, STEP_TIMEOUT)
        all_ok &= tell(record["ok"], record["text"])
        if record["is_last"]:
            break
    code, gone_at = run.wait_exit(None if stay else STEP_TIMEOUT)
    # What the plug-ins logged in unload(), after the driver had said its last.
    for line in run.output().splitlines():
        if ": detached in " in line:
            say(f"          {line}")
    if stay:
        return tell(code == 0, f"the host ended with exit code {code}") and all_ok
    seconds = gone_at - record["at"]
    text = f"the host ended with exit code {code}, {seconds:.2f} s after it was asked to"
    return tell(code == 0 and seconds < QUIT_TIMEOUT, text) and all_ok


def tell(is_ok, text):
    say(f"  {'    ok' if is_ok else 'FAILED'}  {text}")
    return is_ok


if __name__ == "__main__":
    sys.exit(main())

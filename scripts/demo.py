"""Show asyncslot at work, from nothing: `python3 scripts/demo.py`.

Sets this machine up (everything that is made lies under .work/), starts a host application with two plug-ins, each
with its own vendored copy of asyncslot, and plays a user: both plug-ins download at the same time from a server on
this machine, one is reloaded in the middle of its work, and the host is closed while both are busy. Prints what
happened and where the screenshots are.

The host is mini_host (examples/mini_host); `--host qgis` takes the real QGIS instead, `--stay` leaves mini_host's
window to you.

Exit codes: 0 all went well, 1 something failed, 2 this machine could not be set up.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import _demo_server
from _machine import QT_LIBRARIES, ROOT, WORK, XVFB, SetupError, display, need_packages, need_venv, run_quietly, say

MINI_HOST = ROOT / "examples" / "mini_host"
DEMO = WORK / "demo"
TIMEOUT = 150.0  # seconds for everything that happens in the host
QUIT_TIMEOUT = 3.0  # seconds from the request to quit to the end of the process


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", choices=("mini_host", "qgis"), default="mini_host", help="where to show it")
    parser.add_argument("--stay", action="store_true", help="leave the window to me; I close it when I have seen enough")
    arguments = parser.parse_args()
    if arguments.stay and arguments.host == "qgis":
        parser.error("--stay is for mini_host")
    try:
        return show_mini_host(arguments.stay)
    except SetupError as exc:
        say(f"\n{exc}")
        return 2


def show_mini_host(stay):
    has_display = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if stay and not has_display:
        raise SetupError("--stay shows a window, and there is no display to show it on")
    need_packages(QT_LIBRARIES + ([] if has_display else XVFB), "a Qt window")
    python = need_venv("PyQt5", "qtpy")
    plugins = fresh_directory("plugins")
    for name in ("downloader", "mosaic"):
        add_plugin(MINI_HOST / "plugins" / name, plugins / name)
    with _demo_server.serving() as server, display() as (screen, screen_name):
        record = add_driver(plugins, "mini_host", server, stay)
        say(f"mini_host on {screen_name}, plug-ins from {plugins.relative_to(ROOT)}")
        command = [python, str(MINI_HOST / "mini_host.py"), "--plugins", str(plugins)]
        env = {**os.environ, **screen, "QT_API": "pyqt5"}
        with open(DEMO / "mini_host.log", "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
            return watch(process, record, DEMO / "mini_host.log", None if stay else TIMEOUT)


def fresh_directory(name):
    """Return an empty directory under .work/demo/."""
    path = DEMO / name
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def add_plugin(source, target):
    """Copy a plug-in, and give it its own copy of asyncslot."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "asyncslot"))
    run_quietly([sys.executable, str(ROOT / "scripts" / "vendor.py"), str(target / "_vendor")], timeout=60)


def add_driver(plugins, host, server, stay):
    """Add the plug-in that plays the user; return the file to which it will write what it sees."""
    driver = plugins / "demo_driver"
    shutil.copytree(ROOT / "scripts" / "_demo_driver", driver, ignore=shutil.ignore_patterns("__pycache__"))
    record = DEMO / f"{host}.jsonl"
    record.write_bytes(b"")
    script = {
        "host": host,
        "server": server,
        "stay": stay,
        "record": str(record),
        "screenshots": str(DEMO),
        "sha256": _demo_server.FILE_SHA256,
        "tiles": _demo_server.COLUMNS * _demo_server.ROWS,
    }
    (driver / "script.json").write_text(json.dumps(script), encoding="utf-8")
    return record


def watch(process, record, log, timeout):
    """Print what the driver tells while the host runs, judge how the host ends, and return the exit code.

    Args: timeout: seconds until the host is ended by force; None if the user closes it.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    told = []
    try:
        while process.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                say(f"  FAILED  the host was still running after {timeout:.0f} s, and was ended")
                return failed(log)
            told += tell_new(record, told)
            time.sleep(0.05)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    ended_at = time.time()
    told += tell_new(record, told)
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if ": detached in " in line:
            say(f"          {line}")
    if deadline is None:
        return process.returncode
    all_ok = bool(told) and all(each["ok"] for each in told)
    quit_at = told[-1].get("quit_at") if told else None
    if quit_at is None:
        say("  FAILED  the host ended before the demo was over")
        all_ok = False
    else:
        seconds = ended_at - quit_at
        is_ok = process.returncode == 0 and seconds < QUIT_TIMEOUT
        say(f"  {mark(is_ok)}  the host ended with exit code {process.returncode}, {seconds:.2f} s after it was asked to")
        all_ok = all_ok and is_ok
    for path in sorted(DEMO.glob(record.stem + "-*.png")):
        say(f"screenshot: {path.relative_to(ROOT)}")
    return 0 if all_ok else failed(log)


def tell_new(record, told):
    """Print the lines that the driver has added to its record; return them."""
    lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
    new = [json.loads(line) for line in lines[len(told) :] if line.endswith("\n")]
    for each in new:
        say(f"  {mark(each['ok'])}  {each['text']}")
    return new


def mark(is_ok):
    return "    ok" if is_ok else "FAILED"


def failed(log):
    say(f"\nThe end of {log.relative_to(ROOT)}:")
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:]:
        say(f"    {line}")
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""Make the pictures of the docs again: `python3 scripts/pictures.py [--picture NAME] [HOST ...]`.

Starts real hosts as hosts.py does, on a screen of their own, with a story in them (scripts/lib/pictures/story.py), and
writes examples/pictures/NAME-HOST.png. What is played is in scripts/lib/pictures/NAME.py: a new picture is a file like
those, and a row of PICTURES here.

Exit codes: 0; 1 if a picture could not be made; 2 if this machine could not be set up.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lib import demo_server, hosts
from lib.host_run import HostError
from lib.machine import ROOT, SetupError, need_packages, say
from lib.pictures.camera import TOOLS, join, take

# Each picture with the hosts in which it is made.
PICTURES = {"freeze": ("qgis",), "monitor": ("qgis", "krita", "freecad")}

PARTS = ROOT / "scripts" / "lib" / "pictures"
TARGET = ROOT / "examples" / "pictures"
LARGEST = {"freeze": 300_000, "monitor": 150_000}  # bytes

# The ways of lib/pictures/freeze.py, with what stands above each.
WAYS = {
    "blocked": "Frozen: the slot calls urlopen(url).read()",
    "awaited": "Live: the slot awaits the same downloads",
}
START_TIMEOUT = 60.0
CAPTION = "In both, while the files come in: another window is dragged across, and the Plugins menu is clicked."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", nargs="*", metavar="HOST", help="by default all in which the picture is made")
    parser.add_argument("--picture", choices=sorted(PICTURES), help="by default all")
    options = parser.parse_args()
    wanted = [
        (picture, host)
        for picture, hosts in PICTURES.items()
        for host in hosts
        if options.picture in (None, picture) and (not options.hosts or host in options.hosts)
    ]
    if not wanted:
        parser.error(f"there is no such picture; there are {PICTURES}")
    # A user's screen has other windows on it, and a compositor that keeps what a frozen one has painted.
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        os.environ.pop(name, None)
    try:
        need_packages(TOOLS, "pictures")
        for host in sorted({host for _, host in wanted}):
            hosts.find(host).set_up()
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    made = [_make(picture, host) for picture, host in wanted]
    return 0 if all(made) else 1


def _make(picture, host):
    """Make one picture; return whether it was made."""
    target = TARGET / f"{picture}-{host}.png"
    with tempfile.TemporaryDirectory(prefix="asyncslot-picture-") as directory:
        made = Path(directory) / "picture.png"
        try:
            (_make_freeze if picture == "freeze" else _make_grabbed)(picture, host, Path(directory), made)
        except (HostError, subprocess.SubprocessError) as exc:
            say(f"{picture} in {host}: FAILED: {exc}")
            return False
        if not made.exists() or made.stat().st_size > LARGEST[picture]:
            say(f"{picture} in {host}: FAILED: no picture, or one of more than {LARGEST[picture]} bytes")
            return False
        TARGET.mkdir(exist_ok=True)
        shutil.copy(made, target)
    say(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")
    return True


def _make_grabbed(picture, name, directory, target):
    """Make a picture that the host paints."""
    with hosts.lasting_display() as display, _prepared(picture, name, directory / "host") as host:
        host.play(display, "all", {"ASYNCSLOT_PICTURE_FILE": str(target)})


def _make_freeze(picture, name, directory, target):
    """Make the picture of the host that is frozen beside the one that is not, both taken from outside."""
    panels = []
    for way, title in WAYS.items():
        taken = directory / f"{way}.png"
        with demo_server.serving() as server, hosts.lasting_display() as display:
            with _prepared(picture, name, directory / way) as host, ThreadPoolExecutor(1) as pool:
                camera = pool.submit(_take, host, display, taken)
                host.play(display, "all", {"ASYNCSLOT_PICTURE_WAY": way, "ASYNCSLOT_SERVER": server})
                camera.result()
                [measured] = [record for record in host.records() if record["step"] == "measured"]
        gap = measured["longest_gap_ms"]
        panels.append((taken, title, f"Longest gap between ticks of a 16 ms QTimer: {gap:,.0f} ms"))
    join(panels, CAPTION, target)


def _prepared(picture, name, directory):
    """Return a host with the story of a picture in the place of its checks."""
    directory.mkdir()
    host = hosts.find(name)(directory)
    host._make_profile()
    shutil.move(host._guest / "story.py", host._guest / "story_of_checks.py")
    shutil.copy(PARTS / "story.py", host._guest / "story.py")
    shutil.copy(PARTS / f"{picture}.py", host._guest / "picture.py")
    return host


def _take(host, display, path):
    """Take the picture while the host works. Raises: HostError if the work was over before."""
    deadline = time.monotonic() + START_TIMEOUT
    while not host.record_file.exists():
        if time.monotonic() > deadline:
            raise HostError(f"{host.NAME} has told nothing within {START_TIMEOUT:g} s")
        time.sleep(0.1)
    working = host.wait_for(lambda record: record["step"] == "working", START_TIMEOUT)
    taken_at = take(display, path, working["size"], working["menu"])
    worked = host.wait_for(lambda record: record["step"] == "worked", START_TIMEOUT)
    if taken_at > worked["at"]:
        raise HostError(f"the picture was taken {taken_at - worked['at']:.1f} s after the end of the work")


if __name__ == "__main__":
    sys.exit(main())

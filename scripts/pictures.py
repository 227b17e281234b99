"""Make the pictures of the docs again: `python3 scripts/pictures.py [--picture NAME] [HOST ...]`.

Starts real hosts as hosts.py does, with a story of its own in them (scripts/_pictures_story.py), and writes
examples/pictures/NAME-HOST.png. A new picture is a generator more there, and a row of PICTURES here.

Exit codes: 0; 1 if a picture could not be made; 2 if this machine could not be set up.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import _hosts
from _host_run import HostError
from _machine import ROOT, SetupError, say

# Each picture with the hosts in which it is made.
PICTURES = {"monitor": ("qgis", "krita", "freecad")}

TARGET = ROOT / "examples" / "pictures"
STORY = ROOT / "scripts" / "_pictures_story.py"
LARGEST = 150_000  # bytes


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
    try:
        for host in sorted({host for _, host in wanted}):
            _hosts.find(host).set_up()
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    made = [_make(picture, host) for picture, host in wanted]
    return 0 if all(made) else 1


def _make(picture, name):
    """Make one picture; return whether it was made."""
    target = TARGET / f"{picture}-{name}.png"
    with tempfile.TemporaryDirectory(prefix="asyncslot-picture-") as directory:
        with _hosts.lasting_display() as display, _hosts.find(name)(directory) as host:
            grabbed = Path(directory) / "picture.png"
            host._make_profile()
            shutil.move(host._guest / "story.py", host._guest / "story_of_checks.py")
            shutil.copy(STORY, host._guest / "story.py")
            try:
                host.play(display, "all", {"ASYNCSLOT_PICTURE": picture, "ASYNCSLOT_PICTURE_FILE": str(grabbed)})
            except HostError as exc:
                say(f"{picture} in {name}: FAILED: {exc}")
                return False
            if not grabbed.exists() or grabbed.stat().st_size > LARGEST:
                say(f"{picture} in {name}: FAILED: no picture, or one of more than {LARGEST} bytes")
                return False
            TARGET.mkdir(exist_ok=True)
            shutil.copy(grabbed, target)
    say(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")
    return True


if __name__ == "__main__":
    sys.exit(main())

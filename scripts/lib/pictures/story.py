"""Plays what is to be seen in a picture, inside a host; pictures.py puts it into the guest, in the place of its story.

What is played is a module of its own, which pictures.py puts beside this one as `picture`. It has

    SIZE       of the host's window, in pixels
    play()     a generator, like the checks of tests/hosts/real/guest: it does something, yields a condition to wait
               for, and returns the widget to grab, or None if the picture is taken from outside

It knows no host; see story.py there.
"""

import os
import sys

from . import host, picture, story_of_checks
from .plain import of_host
from .qt import KEPT, pause, until
from .story_of_checks import Player, write


def start():
    """Begin as soon as the host's event loop runs."""
    vars(sys).setdefault(KEPT, []).append(Player(_play()))


def stop():
    """The leases are of other names than the guest's, and end when the host quits."""


def _play():
    yield from until(of_host("is_ready"), 60, "the host is ready")
    host.window().setGeometry(0, 0, *picture.SIZE)
    yield from pause(1.0)
    widget = yield from picture.play()
    if widget is not None:
        _save(widget.grab().toImage(), os.environ["ASYNCSLOT_PICTURE_FILE"])
    write(step="played")
    story_of_checks._quit()


def _save(image, path):
    """Write an image without its alpha channel, as small as PNG gets."""
    formats = getattr(type(image), "Format", type(image))
    image.convertToFormat(formats.Format_RGB888).save(path, "PNG", 0)

"""Looks at a host from outside, as its user does: drags a window across it, clicks, and takes what the screen shows.

For the picture of a frozen host beside a live one, neither of which must be asked to paint itself. What the X server
has on its screen is taken as it is, and put side by side with texts around it.

It refuses to know which host it is. Needs ImageMagick and xdotool (TOOLS).
"""

import os
import subprocess
import time

TOOLS = ["imagemagick", "xdotool", "fonts-dejavu-core"]

FONT = "DejaVu-Sans"
COLOURS = 96
TITLE = "dragged by pictures.py"
# In pixels: how large the window is that is dragged, and from where to where its upper left corner goes.
WINDOW = (280, 110)
TRAIL = ((210, 440), (620, 220))
MOVES = 12


def take(display, path, size, menu):
    """Drag a window across the host's, open one of its menus, and save what is on the screen.

    Args:
        display: the environment variables that lead to the display.
        path: of the PNG.
        size: of what is saved, (width, height) from the upper left corner of the screen.
        menu: where to click, (x, y) on the screen.

    Returns: the `time.monotonic()` at which the picture had been taken.
    """
    env = {**os.environ, **display}
    _drag_window(env, path.with_name("window.png"))
    time.sleep(0.5)
    _run(env, "xdotool", "mousemove", *menu, "click", "1")
    time.sleep(1.0)
    _run(env, "import", "-window", "root", "-crop", f"{size[0]}x{size[1]}+0+0", "+repage", path)
    taken = time.monotonic()
    _run(env, "xdotool", "key", "Escape")
    return taken


def _drag_window(env, content):
    paper = ["-size", f"{WINDOW[0]}x{WINDOW[1]}", "-background", "#fff2c8", "-gravity", "center"]
    _run(env, "convert", *paper, *_text("another window", 26), content)
    (left, top), (right, bottom) = TRAIL
    where = ["-geometry", f"+{left}+{top}", "-bordercolor", "#806000", "-borderwidth", "2", "-title", TITLE]
    window = subprocess.Popen(["display", *where, content], env=env)
    try:
        (number,) = _run(env, "xdotool", "search", "--sync", "--onlyvisible", "--name", TITLE).split()
        for move in range(1, MOVES + 1):
            time.sleep(0.1)
            x = left + (right - left) * move // MOVES
            y = top + (bottom - top) * move // MOVES
            _run(env, "xdotool", "windowmove", number, x, y)
        time.sleep(0.1)
    finally:
        window.terminate()
        window.wait(10)


def join(panels, caption, path):
    """Put pictures side by side, each with its texts above it, into one PNG.

    Args:
        panels: for each (path, title, line below the title).
        caption: a line below all.
        path: of the PNG.
    """
    command = ["convert", "-background", "white", "-fill", "black"]
    for source, title, line in panels:
        command += ["(", *_text(title, 32, FONT + "-Bold"), *_text(line, 28)]
        command += ["(", source, "-bordercolor", "gray", "-border", "1", ")"]
        command += ["-append", "-bordercolor", "white", "-border", "8x6", ")"]
    command += ["+append", "-gravity", "center", *_text(caption, 28), "-append"]
    command += ["+dither", "-colors", str(COLOURS), "-strip", "-define", "png:compression-level=9", f"PNG8:{path}"]
    _run(None, *command)


def _text(text, size, font=FONT):
    """Return ImageMagick's words for an image of a line of text."""
    return ["-font", font, "-pointsize", str(size), f"label:{text}"]


def _run(env, *words):
    done = subprocess.run([str(word) for word in words], env=env, stdout=subprocess.PIPE, check=True, timeout=20)
    return done.stdout.decode()

"""Moves the pointer of an X display, again and again, and writes into its output when it did: a process of its own.

    DISPLAY=:1 python pointer.py period number width

The place says which move it was: move i goes to (i % width, i // width). The time of each, of the monotonic clock that
all processes share, is eight bytes of the output. The events are the server's own (XTEST), as a mouse makes them.
"""

import ctypes
import os
import struct
import sys
import time


def main():
    period, number, width = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    x11 = ctypes.CDLL("libX11.so.6")
    xtst = ctypes.CDLL("libXtst.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    if not display:
        sys.exit("no X display")
    for i in range(number):
        # Not too regularly, or all moves would meet frames at the same moment.
        time.sleep(period * (0.75 + 0.5 * (i * 7 % 16) / 16))
        now = time.perf_counter()
        xtst.XTestFakeMotionEvent(display, -1, i % width, i // width, 0)
        x11.XFlush(display)
        os.write(1, struct.pack("d", now))


if __name__ == "__main__":
    main()

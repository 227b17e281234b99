"""The clock: seconds as float, never going back, and fine enough for frames.

On Windows, before Python 3.13, time.monotonic() goes in steps of 15.6 ms, which
is a frame. A step's budget would be eight times what it is, and timers would be as
much too early, because asyncio takes one to be due when it is nearer than the
clock's resolution. time.perf_counter() is as steady there, and far finer.
"""

from __future__ import annotations

import sys

if sys.platform == "win32" and sys.version_info < (3, 13):
    from time import perf_counter as monotonic
else:
    from time import monotonic

__all__ = ["monotonic"]

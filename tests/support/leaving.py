"""A plug-in that leaves something behind in the host.

It is tidy but for the line that a test gives it, and for what it calls in `toy_library`, a library that lies beside it
and whose functions are nobody's in particular.
"""

import re

PLUGIN = """
import asyncio, builtins, concurrent.futures, gc, logging, os, signal, socket, subprocess, sys, threading, warnings
import asyncslot
import toy_library

class Plugin:
    def initGui(self):
        self.stop = threading.Event()
        self.lease = asyncslot.attach()
        {initGui}

    def unload(self):
        {unload}
        asyncslot.detach()

    async def work_in_anyio(self, fn):
        import anyio.to_thread
        await anyio.to_thread.run_sync(fn, abandon_on_cancel=True)

    def toil(self):
        self.stop.wait()

class Finder:
    def find_spec(self, name, path=None, target=None):
        return None

class Stream:
    def write(self, text):
        pass
    def flush(self):
        pass

def hook(*args):
    pass
"""

LIBRARY = """
import concurrent.futures, logging, os, signal, sys, threading
from asyncio import get_running_loop

pool = concurrent.futures.ThreadPoolExecutor(1)

def hook(*args):
    pass

# As hypercorn does, started without a shutdown_trigger.
def serve(loop):
    def on_signal(*args):
        pass
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, on_signal)
        except NotImplementedError:
            signal.signal(number, on_signal)

class Handler(logging.Handler):
    def emit(self, record):
        pass

class Finder(object):
    def find_spec(self, name, path=None, target=None):
        return None
"""

# A child that does nothing until its input ends.
WAITS = "[sys.executable, '-S', '-c', 'input()']"


def lines_of(host, plugin, timeout=0.0):
    """Unload a plug-in; return what is said to be left of it, a line each."""
    try:
        host.assert_clean_unload(plugin, timeout=timeout)
    except AssertionError as exc:
        return [line.strip() for line in str(exc).splitlines()[1:]]
    return []


def is_matched(lines, patterns):
    """Whether there are as many lines as patterns, each matched by its own; for an assert that shows the lines."""
    matched = [any(re.fullmatch(pattern, line) for line in lines) for pattern in patterns]
    return len(lines) == len(patterns) and all(matched)

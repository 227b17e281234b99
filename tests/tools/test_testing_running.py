"""asyncslot.testing on what is left running: threads that outlive the plug-in, ports that a child keeps."""

import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from leaving import WAITS, is_matched, lines_of

pytestmark = pytest.mark.slow


# --- Threads that outlive the plug-in


def thread_lines(lines):
    return [line for line in lines if line.startswith("thread ")]


def is_busy(name):
    """Return a function that tells whether a thread of such a name waits for the plug-in's Event."""

    def waits(thread):
        frame = sys._current_frames().get(thread.ident)
        while frame is not None and frame.f_code is not threading.Event.wait.__code__:
            frame = frame.f_back
        return frame is not None

    return lambda plugin: any(name in thread.name and waits(thread) for thread in threading.enumerate())


CANNOT_EXIT = "; the host cannot exit before it ends"

THREADS = {
    "no daemon": (
        "threading.Thread(target=self.toil, name='toiler').start()",
        rf"thread toiler, which runs Plugin\.toil\(\) of toy_plugin, in .+__init__\.py:\d+{CANNOT_EXIT}",
    ),
    "daemon": (
        "threading.Thread(target=self.toil, name='toiler', daemon=True).start()",
        r"thread toiler, which runs Plugin\.toil\(\) of toy_plugin, in .+__init__\.py:\d+",
    ),
    "busy in a pool": (
        "self.pool = concurrent.futures.ThreadPoolExecutor(1, 'toiler'); self.pool.submit(self.stop.wait)",
        rf"thread toiler_0, which runs Event\.wait\(\), of a ThreadPoolExecutor, held by toy_plugin\.Plugin, in "
        rf".+threading\.py:\d+{CANNOT_EXIT}",
    ),
    "busy in a pool that is gone": (
        "concurrent.futures.ThreadPoolExecutor(1, 'toiler').submit(self.toil)",
        rf"thread toiler_0, which runs Plugin\.toil\(\) of toy_plugin, in .+__init__\.py:\d+{CANNOT_EXIT}",
    ),
    "busy in a library's pool": (
        "toy_library.pool.submit(self.toil)",
        rf"thread ThreadPoolExecutor-\d+_0, which runs Plugin\.toil\(\) of toy_plugin, in .+\.py:\d+{CANNOT_EXIT}",
    ),
}
IDLE = {
    "pool of the plug-in": (
        "self.pool = concurrent.futures.ThreadPoolExecutor(1, 'toiler'); self.pool.submit(int).result()",
        r"thread toiler_0, idle, of a ThreadPoolExecutor, held by toy_plugin\.Plugin: its shutdown\(\) ends it",
    ),
    "pool of a library": (
        "toy_library.pool.submit(int).result()",
        r"thread ThreadPoolExecutor-\d+_0, idle, of a ThreadPoolExecutor, held by the module toy_library: its "
        r"shutdown\(\) ends it",
    ),
}


@pytest.mark.parametrize("what", THREADS)
def test_a_thread_is_told_with_its_job_and_whether_it_keeps_the_host_from_exiting(left, what):
    """Python joins threads that are no daemons, and the busy ones of every pool, before it ends."""
    initGui, told = THREADS[what]
    name = "ThreadPoolExecutor" if "library" in what else "toiler"
    lines = left(initGui, until=is_busy(name))
    assert is_matched(lines, [told]), lines


@pytest.mark.parametrize("what", IDLE)
def test_an_idle_thread_of_a_pool_is_told_with_whose_the_pool_is(left, request, what):
    """It keeps nobody from exiting: Python tells it to end."""
    initGui, told = IDLE[what]
    lines = left(initGui, "toy_library.left = getattr(self, 'pool', toy_library.pool)")
    sys.modules["toy_library"].left.shutdown()
    assert is_matched(lines, [told]), lines


def test_an_idle_thread_of_the_hosts_pool_is_not_told(left, load):
    """The pool was there before; that it has grown is its own affair."""
    with ThreadPoolExecutor(2) as pool:
        load.host.pool = pool
        plugin = load("pass")
        pool.submit(int).result()
        assert lines_of(load.host, plugin) == []


@pytest.fixture
def need_anyio(guest_missing):
    try:
        import anyio.to_thread  # noqa: F401 - asked for, not used
    except ImportError as exc:
        guest_missing(f"anyio cannot be imported ({exc}); the extra 'guests' installs it")


def test_a_busy_thread_of_anyio_is_told(left, need_anyio):
    """Told to end with the task that made it, it does so when its job is done; and it is no daemon."""
    lines = left("self.lease.create_task(self.work_in_anyio(self.toil))", until=is_busy("AnyIO"))
    told = rf"thread AnyIO worker thread, which runs Plugin\.toil\(\) of toy_plugin, in .+:\d+{CANNOT_EXIT}"
    assert is_matched(lines, [told]), lines


def test_a_busy_thread_of_anyio_is_known_by_the_task_that_made_it(left, need_anyio):
    """Where the job is a function of somebody else's."""
    lines = left("self.lease.create_task(self.work_in_anyio(self.stop.wait))", until=is_busy("AnyIO"))
    told = (
        r"thread AnyIO worker thread, which runs Event\.wait\(\), for Plugin\.work_in_anyio\(\) of toy_plugin, in "
        rf".+:\d+{CANNOT_EXIT}"
    )
    assert is_matched(lines, [told]), lines


# --- Ports that a child keeps

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="told from /proc")

LISTENS = (
    "server = socket.socket(); server.bind(('127.0.0.1', 0)); server.listen(1); "
    "toy_library.port = server.getsockname()[1]; "
)


@needs_linux
def test_a_listening_socket_that_a_child_keeps_is_told(left):
    """The plug-in has closed its own, and nobody else gets the port."""
    begin = f"self.child = subprocess.Popen({WAITS}, stdin=subprocess.PIPE, pass_fds=[server.fileno()]); server.close()"
    lines = left(LISTENS + begin)
    port = sys.modules["toy_library"].port
    told = [
        r"child process \d+: \[.+'input\(\)'\], held by toy_plugin\.Plugin",
        rf"listening socket 127\.0\.0\.1:{port}, kept open by the child process \d+ \(.+ input\(\)\), held by "
        r"toy_plugin\.Plugin",
    ]
    assert is_matched([line for line in lines if line.startswith(("child", "listening"))], told), lines


@needs_linux
def test_a_listening_socket_that_a_grandchild_keeps_is_told(left):
    """A shell stands between, say."""
    command = "['sh', '-c', sys.executable + ' -S -c \"input()\"; exit 0']"
    begin = f"self.child = subprocess.Popen({command}, stdin=subprocess.PIPE, pass_fds=[server.fileno()]); "
    lines = left(LISTENS + begin + "server.close()", until=lambda plugin: children_of(plugin.child.pid))
    port = sys.modules["toy_library"].port
    told = (
        rf"listening socket 127\.0\.0\.1:{port}, kept open by the child processes \d+ \(sh .+\) and \d+ \(.+\), held "
        r"by toy_plugin\.Plugin"
    )
    assert is_matched([line for line in lines if line.startswith("listening")], [told]), lines


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return children.read().split()


@needs_linux
def test_a_child_that_was_there_before_is_not_told(load):
    """It can have nothing of the plug-in's; nor is a child told that has no such socket."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        command = [sys.executable, "-S", "-c", "input()"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[server.fileno()])
        assert lines_of(load.host, load("pass")) == []
        child.communicate()


FORKS = """
import os, socket, sys, time
sys.path.insert(0, {directory!r})
from asyncslot import testing

with testing.Host() as host:
    plugin = host.load("forking")
    try:
        host.assert_clean_unload(plugin, timeout=0.0)
    except AssertionError as exc:
        print(exc)
    os.close(plugin.alive)
    os.waitpid(plugin.child, 0)
"""

FORKING = """
import os, socket

def initGui():
    global alive, child, server
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(1)
    waits, alive = os.pipe()
    child = os.fork()
    if not child:
        os.close(alive)
        os.read(waits, 1)
        os._exit(0)
    os.close(waits)

def unload():
    server.close()
"""


@needs_linux
def test_a_listening_socket_that_a_fork_keeps_is_told(run_python, tmp_path):
    """A fork has everything that its parent had open, as multiprocessing's workers do."""
    (tmp_path / "forking.py").write_text(FORKING)
    printed = run_python(FORKS.format(directory=str(tmp_path))).stdout
    assert "listening socket 127.0.0.1:" in printed
    assert "kept open by the child process" in printed

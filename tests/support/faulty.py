"""Two plug-ins on one loop, to which faults happen: what tests/loop/test_fault*.py share.

Every such test ends with the same question: do both plug-ins work again, and is the loop as idle as before? What fails
is replaced at the point where the loop calls it; `Failing` is what stands there then.

`scene`, `pair`, `on_epoll` and `on_thread` are fixtures, once a test file has made them such.
"""

import asyncio
import functools
import socket
import threading
import time

import pytest

import asyncslot
from asyncslot._hosts import PlainQt
from asyncslot._wakeup import ThreadWait

# A loop with nothing to do takes no step at all; a fault may cost it a few.
FEW = 5

# How many steps a loop may take in 0.3 s in which something fails all the time: far from the thousands of one that
# tries again at once.
BOUNDED = 100


class Recording(PlainQt):
    """An adapter that keeps what it is told to report."""

    def __init__(self, reports):
        self._reports = reports

    def report(self, message, exc):
        self._reports.append((message, exc))


class Scene:
    """Two plug-ins on one loop.

    Attributes:
        lease: that of the plug-in to which things happen. neighbour: that of another one.
        reports: what was reported for them, in order: (message, exception).
        steps: how many steps the loop has taken.
    """

    def __init__(self, spin):
        self._spin = spin
        self.reports = []
        self.lease = asyncslot.attach("faulty", host=Recording(self.reports))
        self.neighbour = asyncslot.attach("neighbour", host=Recording(self.reports))
        self.loop = self.lease.loop
        self.wait = self.loop._as_wait
        self.selector = self.loop._selector
        self.steps = 0
        step = self.wait._step

        def counted(running):
            self.steps += 1
            step(running)

        self.wait._step = counted

    def let_pass(self, seconds):
        """Let the host run for a while; return how many steps the loop took meanwhile."""
        before, end = self.steps, time.monotonic() + seconds
        self._spin(lambda: time.monotonic() >= end)
        return self.steps - before

    def assert_works(self):
        """Both plug-ins' timers, sockets and threads work, and the loop is idle afterwards."""
        tasks = [lease.create_task(round_trip()) for lease in (self.lease, self.neighbour)]
        self._spin(lambda: all(task.done() for task in tasks))
        assert [task.result() for task in tasks] == ["done", "done"]
        self.let_pass(0.05)
        assert self.let_pass(0.2) <= FEW, "the loop has nothing to do, and takes steps"

    def errors(self):
        """The exceptions that were reported."""
        return [exc for _, exc in self.reports]


async def round_trip():
    """Use a timer, a socket, and a call from another thread."""
    loop = asyncio.get_event_loop()
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        called = loop.create_future()
        receiving = asyncio.ensure_future(loop.sock_recv(left, 1))
        await asyncio.sleep(0.001)
        right.send(b"x")
        threading.Thread(target=loop.call_soon_threadsafe, args=(called.set_result, None), daemon=True).start()
        assert await receiving == b"x"
        await called
    return "done"


def scene(app, spin):
    """Two plug-ins, which are detached at the end."""
    scene = Scene(spin)
    yield scene
    for lease in (scene.lease, scene.neighbour):
        assert lease.detach().abandoned == []
    assert scene.loop.is_closed()


def pair():
    """Two connected sockets."""
    left, right = socket.socketpair()
    left.setblocking(False)
    with left, right:
        yield left, right


def on_epoll(scene):
    """The scene, if the loop waits with Qt's notifier on an epoll."""
    if isinstance(scene.wait, ThreadWait):
        pytest.skip("the loop waits in a thread here, not with a notifier")
    return scene


def on_thread(scene):
    """The scene, if the loop waits in a thread."""
    if not isinstance(scene.wait, ThreadWait):
        pytest.skip("the loop waits with a notifier here; --wait thread makes it wait in a thread")
    return scene


class Failing:
    """In the place of a function: raise each of `failures` once, in order, then do what the function does.

    One `failure` alone is raised until `is_over` is set.
    """

    def __init__(self, function, *failures, for_ever=None):
        self._function = function
        self._failures = list(failures)
        self._for_ever = for_ever
        self.is_over = False
        self.count = 0

    def __call__(self, *args, **kwargs):
        return self.call(self._function, *args, **kwargs)

    def call(self, function, *args, **kwargs):
        if self._failures:
            self.count += 1
            raise self._failures.pop(0)
        if self._for_ever is not None and not self.is_over:
            self.count += 1
            raise self._for_ever
        return function(*args, **kwargs)


def fail_polls(selector, *failures, for_ever=None):
    """Have a selector's polls fail, those that do not wait, too; return the `Failing`."""
    failing = Failing(selector.select, *failures, for_ever=for_ever)
    selector.select = failing
    if hasattr(selector, "poll"):
        selector.poll = functools.partial(failing.call, selector.poll)
    return failing

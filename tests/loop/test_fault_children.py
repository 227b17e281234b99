"""Child processes that cannot be watched, or whose pipes cannot be connected: nothing is left of them.

Whoever starts one hears of it. What a child leaves open, the fixture that looks after every test finds.
"""

import asyncio
import errno
import os
import signal
import sys
import threading
import time

import pytest

import faulty
from faulty import FEW, Failing

pair = pytest.fixture(faulty.pair)
scene = pytest.fixture(faulty.scene)

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.skipif(
        sys.platform == "win32", reason="a child is watched in another way there, which is asyncio's own"
    ),
]

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(100)"]
EXIT_3 = [sys.executable, "-S", "-c", "raise SystemExit(3)"]


class Faults:
    """What may go wrong when a child is to be watched, each until undo()."""

    def __init__(self, monkeypatch, scene):
        self._monkeypatch = monkeypatch
        self._loop = scene.loop

    def no_descriptor(self):
        """The process has no descriptors left, or, below Python 3.9, there is none for a process."""
        fail = Failing(None, for_ever=OSError(errno.EMFILE, "no descriptors left"))
        self._monkeypatch.setattr(os, "pidfd_open", fail, raising=False)

    def no_memory(self):
        """The descriptor is there, and the kernel has no memory to watch it."""
        real = self._loop._add_reader

        def add_reader(fd, callback, *args):
            if callback == self._loop._as_child_ended:
                raise OSError(errno.ENOMEM, "no memory to watch it")
            return real(fd, callback, *args)

        self._monkeypatch.setattr(self._loop, "_add_reader", add_reader)

    def no_thread(self):
        """The process can have no more threads."""
        start = threading.Thread.start

        def start_or_not(thread):
            if thread.name.startswith("asyncslot-waitpid"):
                self.before_thread()
                raise RuntimeError("can't start new thread")
            start(thread)

        self._monkeypatch.setattr(threading.Thread, "start", start_or_not)

    @staticmethod
    def before_thread():
        """Called where a thread is not started."""

    def undo(self):
        self._monkeypatch.undo()


@pytest.fixture
def faults(monkeypatch, scene):
    return Faults(monkeypatch, scene)


@pytest.fixture(autouse=True)
def children(scene):
    """The process ids of those that were started, in order."""
    children, watch = [], scene.loop._as_watch_child

    def noted(pid, transport):
        children.append(pid)
        watch(pid, transport)

    scene.loop._as_watch_child = noted
    yield children
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # it was reaped, as it should be


def assert_is_gone(pid):
    """It neither runs, nor has ended without being waited for."""
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def assert_children_work(scene, spin):
    """One can be started, its end is noticed, and nothing else happens."""

    async def run():
        process = await asyncio.create_subprocess_exec(*EXIT_3, stdin=-1, stdout=-1)
        return await process.communicate(), process.returncode

    task = scene.lease.create_task(run())
    spin(task.done)
    assert task.result() == ((b"", None), 3)
    assert scene.let_pass(0.1) <= FEW
    scene.assert_works()
    assert scene.reports == []


@pytest.mark.parametrize("fault", ["no_descriptor", "no_memory"])
@pytest.mark.parametrize("std", [None, asyncio.subprocess.PIPE], ids=["without pipes", "with pipes"])
def test_a_child_for_which_there_is_no_watcher_is_ended(scene, spin, faults, children, fault, std):
    """Neither a descriptor for it nor a thread can be had: whoever starts it is told, and it is killed and reaped."""
    getattr(faults, fault)()
    faults.no_thread()
    task = scene.lease.create_task(asyncio.create_subprocess_exec(*SLEEP, stdin=std, stdout=std, stderr=std))
    spin(task.done)
    assert str(task.exception()) == "can't start new thread"
    assert_is_gone(children[0])
    faults.undo()
    assert_children_work(scene, spin)


def test_the_pipes_of_a_child_that_is_ended_are_closed_whoever_else_has_them(scene, spin, faults, tmp_path):
    """A child's own children may have them, and would keep them open on this side, too."""
    ready = tmp_path / "ready"
    script = f"exec 3<&0; cat <&3 & touch '{ready}'; wait"
    faults.no_descriptor()
    faults.no_thread()

    def wait_for_child():
        while not ready.exists():
            time.sleep(0.001)

    faults.before_thread = wait_for_child
    task = scene.lease.create_task(asyncio.create_subprocess_exec("sh", "-c", script, stdin=-1, stdout=-1))
    spin(task.done)
    assert str(task.exception()) == "can't start new thread"
    del task
    spin(lambda: scene.selector.get_map().keys() == {scene.loop._ssock.fileno()})
    faults.undo()
    assert_children_work(scene, spin)


def test_a_child_whose_descriptor_cannot_be_watched_is_waited_for_in_a_thread(scene, spin, faults):
    """The descriptor is closed again, and nobody notices."""
    faults.no_memory()

    async def run():
        process = await asyncio.create_subprocess_exec(*EXIT_3)
        assert not scene.loop._as_pidfds
        return await process.wait()

    task = scene.lease.create_task(run())
    spin(task.done)
    assert task.result() == 3
    faults.undo()
    assert_children_work(scene, spin)


@pytest.mark.parametrize("kind", ["connect_read_pipe", "connect_write_pipe"])
def test_a_child_whose_pipes_cannot_be_connected_is_ended(scene, spin, monkeypatch, children, kind):
    """Whoever starts it is told, and does not wait for pipes that never were."""

    async def fail(*args):
        raise OSError(errno.ENOMEM, "no memory for a pipe")

    monkeypatch.setattr(scene.loop, kind, fail)
    task = scene.lease.create_task(asyncio.create_subprocess_exec(*SLEEP, stdin=-1, stdout=-1, stderr=-1))
    spin(task.done)
    assert task.exception().errno == errno.ENOMEM
    assert_is_gone(children[0])
    monkeypatch.undo()
    del task
    assert_children_work(scene, spin)


@pytest.mark.parametrize("whom", ["the starter", "all tasks"])
@pytest.mark.parametrize("turns", range(8))
def test_a_child_whose_starter_is_cancelled_meanwhile_is_ended(scene, spin, children, whom, turns):
    """In whatever turn of the loop that is, and also when the task is cancelled that connects its pipes."""
    started = scene.loop.create_future()

    async def run():
        scene.loop.call_soon(started.set_result, None)
        process = await asyncio.create_subprocess_exec(*SLEEP, stdin=-1, stdout=-1, stderr=-1)
        try:
            await process.wait()
        finally:
            process.kill()
            await process.communicate()

    async def cancel():
        await started
        for _ in range(turns):
            await asyncio.sleep(0)
        for each in tasks if whom == "the starter" else asyncio.all_tasks() - {asyncio.current_task()}:
            each.cancel()

    tasks = [scene.lease.create_task(run())]
    canceller = scene.neighbour.create_task(cancel())
    spin(lambda: canceller.done() and tasks[0].done())
    assert tasks.pop().cancelled()
    assert_is_gone(children[0])
    assert scene.reports == []


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this Python watches no child by a descriptor")
def test_a_loop_is_closed_though_the_descriptor_of_a_child_is_closed_already(scene, spin):
    """By somebody who closes what is not his; the child is left to whoever started it."""
    task = scene.neighbour.create_task(asyncio.create_subprocess_exec(*SLEEP))
    spin(task.done)
    (fd,) = scene.loop._as_pidfds
    os.close(fd)
    for lease in (scene.lease, scene.neighbour):
        lease.detach(timeout=0)
    assert scene.loop.is_closed()
    process = task.result()._transport.get_extra_info("subprocess")
    process.kill()
    process.wait()

"""Descriptors that go wrong: closed behind the loop's back, taken by another file, refused by the kernel.

One plug-in's mistake must not be another's trouble: the next file that the process opens gets the number of the one
that was closed too early, and is another plug-in's as a rule.
"""

import asyncio
import errno
import gc
import os
import socket
import sys
import time

import pytest

import asyncslot
import faulty
from faulty import BOUNDED, FEW, Failing, Recording

pair = pytest.fixture(faulty.pair)
scene = pytest.fixture(faulty.scene)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the faults are those of descriptors and selectors")


def test_a_descriptor_closed_behind_our_back_disturbs_nobody(scene, pair):
    """A plug-in closes a socket and forgets to remove its reader: nobody hears of it, and it can still be removed."""
    left, _ = pair
    scene.loop.add_reader(left, pytest.fail)
    scene.let_pass(0.02)
    fd = left.fileno()
    left.close()
    assert scene.let_pass(0.1) <= FEW
    scene.assert_works()
    scene.loop.remove_reader(fd)
    assert scene.reports == []


@pytest.mark.parametrize("before", ["reader", "writer", "both"])
@pytest.mark.parametrize("after", ["reader", "writer"])
def test_a_new_file_with_the_number_of_a_closed_one_is_watched(scene, spin, before, after):
    """One plug-in closes a socket and leaves it registered; the next file, another plug-in's, gets its number."""
    old = socket.socketpair()
    number = old[0].fileno()
    if before != "writer":
        scene.loop.add_reader(number, int)
    if before != "reader":
        scene.loop.add_writer(number, scene.loop.remove_writer, number)
        scene.let_pass(0.02)
        if before == "writer":
            scene.loop.add_writer(number, int)
    for sock in old:
        sock.close()
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        if left.fileno() != number:
            os.dup2(left.fileno(), number)
        heard = []
        add = scene.loop.add_reader if after == "reader" else scene.loop.add_writer
        add(number, heard.append, True)
        right.send(b"x")
        spin(lambda: heard)
        scene.loop.remove_reader(number)
        scene.loop.remove_writer(number)
        if left.fileno() != number:
            os.close(number)
    scene.assert_works()
    assert scene.reports == []


def test_a_closed_descriptor_whose_file_lives_on_does_not_spin(scene, pair):
    """epoll reports a file as long as anybody has it open, under the number that was closed; epoll(7), Q6."""
    left, right = pair
    scene.loop.add_reader(left, left.recv, 1)
    scene.let_pass(0.02)
    with left.dup():
        fd = left.fileno()
        left.close()
        scene.loop.remove_reader(fd)  # too late: the kernel no longer knows that number
        right.send(b"x")
        assert scene.let_pass(0.3) <= BOUNDED
    scene.assert_works()


@pytest.mark.parametrize("removes", [True, False], ids=["removed", "left registered"])
@pytest.mark.parametrize("nests", [True, False], ids=["inside a dialog", "at once"])
def test_a_callback_may_close_the_descriptor_it_was_called_for(scene, pair, spin, removes, nests):
    """It is not called again, and nothing else comes of it, with a Qt loop between and without."""
    left, right = pair
    calls = []

    def close():
        if removes:
            scene.loop.remove_reader(left)
        left.close()

    def on_readable():
        calls.append("in")
        if nests:
            closed = []
            scene.neighbour.loop.call_later(0.01, lambda: (close(), closed.append(True)))
            spin(lambda: closed)
        else:
            close()
        calls.append("out")

    scene.loop.add_reader(left, on_readable)
    fd = left.fileno()
    right.send(b"xx")
    spin(lambda: calls[-1:] == ["out"])
    assert scene.let_pass(0.05) <= BOUNDED
    scene.assert_works()
    assert calls == ["in", "out"]
    scene.loop.remove_reader(fd)
    assert scene.reports == []


def test_a_reader_removed_by_another_ready_one_is_not_called(scene, spin):
    """Both were reported by one poll; who comes first decides."""
    pairs = [socket.socketpair() for _ in range(2)]
    calls = []

    def on_readable(mine, other):
        calls.append(mine)
        mine.recv(1)
        scene.loop.remove_reader(other)

    (one, to_one), (two, to_two) = pairs
    scene.loop.add_reader(one, on_readable, one, two)
    scene.loop.add_reader(two, on_readable, two, one)
    to_one.send(b"x")
    to_two.send(b"x")
    spin(lambda: calls)
    scene.assert_works()
    assert len(calls) == 1
    scene.loop.remove_reader(calls[0])
    for sock in (sock for pair in pairs for sock in pair):
        sock.close()


@pytest.mark.filterwarnings("ignore:unclosed")  # asyncio's transport cannot close what is closed, and complains twice
@pytest.mark.parametrize("lives_on", [False, True], ids=["closed", "closed here, open elsewhere"])
def test_a_transport_whose_socket_was_closed_under_it_ends(scene, spin, lives_on):
    """Its plug-in hears of the loss at the latest when the lease ends, and the neighbour goes on."""
    left, right = socket.socketpair()
    lost = []

    class Protocol(asyncio.Protocol):
        def connection_lost(self, exc):
            lost.append(exc)

    task = scene.lease.create_task(scene.loop.create_connection(Protocol, sock=left))
    spin(task.done)
    with right, left.dup() if lives_on else right:
        os.close(left.fileno())
        right.send(b"x") if lives_on else None
        assert scene.let_pass(0.3) <= BOUNDED
        report = scene.lease.detach()
    assert report.abandoned == []
    assert len(lost) == 1
    del task, left
    scene.reports.clear()  # tracebacks keep it alive
    lost.clear()
    gc.collect()
    scene.lease = asyncslot.attach("faulty", host=Recording(scene.reports))
    scene.assert_works()


class FailingEpoll:
    """In the place of a selector's epoll: some calls fail, a given number of times each."""

    def __init__(self, selector, **failures):
        self._epoll = selector._selector
        for name, count in failures.items():
            failing = [OSError(errno.ENOMEM, f"epoll_ctl: {name}") for _ in range(count)]
            setattr(self, name, Failing(getattr(self._epoll, name), *failing))

    def __getattr__(self, name):
        return getattr(self._epoll, name)


@pytest.mark.parametrize(("first", "second"), [("", "reader"), ("writer", "reader"), ("reader", "writer")])
def test_the_kernel_has_no_memory_for_a_descriptor(scene, pair, spin, first, second):
    """Whoever asked is told; what was watched before is watched still, and asking again helps."""
    if not hasattr(scene.selector, "_selector"):
        pytest.skip("no epoll here")
    left, right = pair
    heard = []

    def add(what):
        callback = (lambda: heard.append(left.recv(1))) if what == "reader" else (lambda: heard.append("writable"))
        getattr(scene.loop, f"add_{what}")(left, callback)

    if first:
        add(first)
    real = scene.selector._selector
    scene.selector._selector = FailingEpoll(scene.selector, register=1, modify=1)
    with pytest.raises(OSError, match="epoll_ctl"):
        add(second)
    scene.selector._selector = real
    heard.clear()
    right.send(b"x")
    if first:
        spin(lambda: {"reader": b"x", "writer": "writable"}[first] in heard)
        scene.loop.remove_writer(left)
    else:
        assert scene.let_pass(0.1) <= FEW
    heard.clear()
    add(second)
    right.send(b"y")
    spin(lambda: heard)
    scene.loop.remove_reader(left)
    scene.loop.remove_writer(left)
    scene.assert_works()
    assert scene.reports == []


@pytest.mark.parametrize("times", [1, 3], ids=["once", "three times"])
def test_the_kernel_has_no_memory_to_hear_a_muted_descriptor_again(scene, pair, spin, times):
    """A reader has opened a dialog and is muted meanwhile; afterwards it is heard, if not at once."""
    if not hasattr(scene.selector, "_selector"):
        pytest.skip("no epoll here")
    left, right = pair
    heard = []

    def on_readable():
        heard.append("in")
        if len(heard) == 1:
            # What comes now is there when the nested Qt loop polls, and mutes.
            end = time.monotonic() + 0.03
            scene.neighbour.loop.call_later(0.01, heard.append, "meanwhile")
            spin(lambda: time.monotonic() >= end)
            scene.selector._selector = FailingEpoll(scene.selector, register=times)
        else:
            left.recv(10)

    scene.loop.add_reader(left, on_readable)
    real = scene.selector._selector
    right.send(b"x")
    try:
        spin(lambda: heard.count("in") == 2)
    finally:
        scene.selector._selector = real
    scene.let_pass(0.05)
    assert heard == ["in", "meanwhile", "in"]
    assert scene.loop.remove_reader(left)
    scene.assert_works()


def test_a_detach_without_time_closes_connections_all_the_same(scene, spin):
    """With a timeout of 0 nobody is waited for, but protocols hear that their connection is lost, which takes turns."""
    lost = []

    class Protocol(asyncio.Protocol):
        def connection_lost(self, exc):
            lost.append(exc)

    left, right = socket.socketpair()
    with right:
        task = scene.lease.create_task(scene.loop.create_connection(Protocol, sock=left))
        spin(task.done)
        scene.lease.detach(timeout=0)
        assert lost == [None]
        assert left.fileno() == -1
    scene.lease = asyncslot.attach("faulty", host=Recording(scene.reports))
    scene.assert_works()

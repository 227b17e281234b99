"""What the tests of steps share: a loop on a toy host, its time, and two sockets."""

import socket

import pytest

from asyncslot import _steps
from toy_host import Clock, ToyLoop


@pytest.fixture
def clock(monkeypatch):
    """The time of steps: it stands still unless the test moves it, or a slow machine would spend budgets."""
    clock = Clock()
    monkeypatch.setattr(_steps, "monotonic", clock)
    return clock


@pytest.fixture
def loop(clock):
    """A loop on a toy host."""
    loop = ToyLoop()
    yield loop
    loop.close()


@pytest.fixture
def pair():
    """Two sockets that are connected, neither of which blocks."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right

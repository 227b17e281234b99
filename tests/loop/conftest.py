"""What tests of this directory share: a loop on a toy host, its time, and two sockets; and a loop in nested mode."""

import asyncio
import gc
import socket

import pytest

from asyncslot import AsyncSlotEventLoop, _steps
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


@pytest.fixture
def nested(app):
    """A function that runs a coroutine to its end in nested mode."""
    loop = AsyncSlotEventLoop()
    yield lambda coro: loop.run_until_complete(asyncio.wait_for(coro, 30))
    if hasattr(loop, "shutdown_default_executor"):  # Python 3.9
        loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    gc.collect()

"""examples/qgis_dask: what it hands to a cluster, without QGIS.

The cluster is one of threads, in this process. Where the library is not installed the tests are skipped, saying so;
`--require-guests` makes that a failure.
"""

import asyncio
import importlib.util
import pickle
import subprocess
import sys
import types

import pytest

from example_hosts import EXAMPLES
from example_leftovers import forget


@pytest.fixture(scope="module")
def helper_process():
    """Start the process that multiprocessing keeps beside this one for good, before descriptors are counted."""
    if importlib.util.find_spec("distributed") is not None:
        resource_tracker = importlib.import_module("multiprocessing.resource_tracker")  # not in Python 3.7
        resource_tracker.ensure_running()


@pytest.fixture
def distributed(helper_process, guest_missing):
    """The library, where it is installed."""
    try:
        return importlib.import_module("distributed")
    except ImportError as exc:
        return guest_missing(f"distributed cannot be imported ({exc}); the extra 'guests' installs it")


@pytest.fixture
def dask(monkeypatch):
    """cluster.py of the example, without QGIS."""
    package = types.ModuleType("example_dask")
    package.__path__ = [str(EXAMPLES / "qgis_dask" / "async_dask")]
    monkeypatch.setitem(sys.modules, "example_dask", package)
    yield importlib.import_module("example_dask.cluster")
    forget("example_dask")


def with_cluster(distributed, use):
    """Return a coroutine for what `await use(address)` returns, with a cluster of two threads in this process."""

    async def main():
        options = {"processes": False, "n_workers": 1, "threads_per_worker": 2, "dashboard_address": ":0"}
        async with distributed.LocalCluster(asynchronous=True, protocol="tcp", **options) as cluster:
            return await use(cluster.scheduler_address)

    return main()


def test_cluster_finds_the_farthest_pair(distributed, dask, run_coro):
    """As the plug-in asks for it, with an asynchronous client; after each part it is told how far it is."""
    points = [(x / 7 % 1, x / 11 % 1) for x in range(2500)]
    points[7], points[2300] = (-3.0, 0.0), (0.0, 4.0)
    told = []

    def ask(address):
        return dask.farthest_pair(distributed, address, points, lambda *so_far: told.append(so_far))

    assert run_coro(with_cluster(distributed, ask)) == (5.0, 7, 2300)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_work_is_sent_to_those_who_do_not_have_the_plugin(distributed, dask):
    """As code: scheduler and workers are other processes, on other machines, where nothing of ours can be imported."""
    sent = pickle.dumps(dask.ByValue(dask.work.farthest))
    done = subprocess.run(
        [sys.executable, "-c", "import pickle, sys; print(pickle.load(sys.stdin.buffer)((0, 1), [(0, 0), (3, 4)]))"],
        input=sent,
        stdout=subprocess.PIPE,
        check=True,
    )
    assert done.stdout.split() == b"(25, 0, 1)".split()


def test_cluster_that_is_not_there_is_an_oserror(distributed, dask, run_coro, monkeypatch):
    """Which the dock shows."""
    monkeypatch.setattr(dask, "CONNECT_TIMEOUT", 0.2)
    with pytest.raises(OSError, match=r"tcp://127\.0\.0\.1:1"):
        run_coro(dask.farthest_pair(distributed, "tcp://127.0.0.1:1", [(0, 0), (1, 1)], lambda *so_far: None))


def test_work_that_is_cancelled_leaves_the_cluster_idle(distributed, dask, run_coro):
    """Cancel, and unload: the client closes, and the scheduler forgets the parts."""

    async def use(address):
        is_begun = asyncio.Event()
        points = [(x, x) for x in range(3000)]
        asking = dask.farthest_pair(distributed, address, points, lambda *so_far: is_begun.set())
        task = asyncio.ensure_future(asking)
        await is_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with distributed.Client(address, asynchronous=True) as client:
            return await client.who_has()

    assert run_coro(with_cluster(distributed, use)) == {}

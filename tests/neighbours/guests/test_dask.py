"""dask.distributed: scheduler, workers and client on tornado, which wraps the running loop."""

from multiprocessing import resource_tracker

import pytest


@pytest.fixture(scope="module", autouse=True)
def helper_process():
    """Start the process that multiprocessing keeps beside this one for good, before descriptors are counted."""
    resource_tracker.ensure_running()


@pytest.fixture
def distributed(guest):
    """The library."""
    return guest("distributed")


@pytest.mark.parametrize("processes", [False, True], ids=["in this process", "in processes"])
def test_a_cluster_computes(run, distributed, processes):
    """An asynchronous cluster with two workers, and a client that awaits what they compute in their threads."""
    options = {"processes": processes, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}

    async def main():
        async with distributed.LocalCluster(asynchronous=True, **options) as cluster:
            async with distributed.Client(cluster, asynchronous=True) as client:
                futures = client.map(pow, range(20), [2] * 20)
                total = client.submit(sum, futures)
                return await client.gather(futures), await total

    squares = [number**2 for number in range(20)]
    assert run(main()) == (squares, sum(squares))

"""Between the plug-in and the cluster: asyncio and dask.distributed. Knows nothing of Qt and of QGIS.

`asynchronous=True` is what matters. It makes every method of the client a coroutine on the loop that is running, ours;
without it the client starts a thread with a loop of its own, and its methods block the GUI until the cluster answers.
"""

import importlib
import sys

from . import work

CONNECT_TIMEOUT = 5.0  # seconds


def load():
    """Import dask.distributed, which takes a second or so: call this in a thread.

    Raises: ImportError when it is not installed for the Python of this process.
    """
    return importlib.import_module("distributed")


async def farthest_pair(distributed, address, points, show):
    """Return (distance, i, j): how far the farthest pair is apart, and the indices of its points.

    Args:
        distributed: what load() returned.
        address: the scheduler's, as it prints it: tcp://host:8786
        points: a list of at least two (x, y).
        show: called as show(done, total) after each part of the work.

    Raises:
        OSError: no scheduler answers there.
    """
    parts = work.blocks(len(points))
    best = (-1.0, -1, -1)
    async with distributed.Client(address, asynchronous=True, timeout=CONNECT_TIMEOUT) as client:
        shared = await client.scatter([points], broadcast=True)  # once for each worker, not once for each part
        futures = client.map(ByValue(work.farthest), parts, points=shared[0], pure=False)
        show(0, len(parts))
        done = 0
        async for _, found in distributed.as_completed(futures, with_results=True):
            best = max(best, found)
            done += 1
            show(done, len(parts))
        # Cancelled, or one part failed? Leaving the block closes the client, and the scheduler drops what is left.
    return best[0] ** 0.5, best[1], best[2]


class ByValue:
    """A function of this plug-in that can be sent to processes which do not have the plug-in.

    A function is sent as the name of its module, to be imported there. Of this it is sent as code.
    """

    def __init__(self, function):
        cloudpickle = importlib.import_module("cloudpickle")
        module = sys.modules[function.__module__]
        cloudpickle.register_pickle_by_value(module)
        try:
            code = cloudpickle.dumps(function)
        finally:
            cloudpickle.unregister_pickle_by_value(module)
        self._as_sent = cloudpickle.loads, (code,)
        self._function = function
        self.__name__ = function.__name__  # what Dask shows

    def __reduce__(self):
        return self._as_sent

    def __call__(self, *args, **kwargs):
        return self._function(*args, **kwargs)

"""What the tests with real asyncio libraries share.

Each library runs in both modes and in asyncio's debug mode, warnings being errors,
against servers in the same process. A library that closes what it opened must
leave nothing for us to close, and nothing may reach the exception handler.
"""

import asyncio
import contextlib
import gc
import importlib
import logging
import ssl
import sys
import warnings

import pytest

import asyncslot
import guest_servers
import guest_stories


@pytest.fixture
def guest(request):
    """Return a function that imports a library by name; where it is not installed, the test is skipped.

    With --require-guests it fails instead.
    """

    def load(name):
        if name in sys.modules:
            return sys.modules[name]
        try:
            with warnings.catch_warnings():
                # What a library deprecates while it is imported is its own affair.
                warnings.simplefilter("ignore")
                module = importlib.import_module(name)
        except ImportError as exc:
            missing = request.getfixturevalue("guest_missing")
            return missing(f"{name} cannot be imported ({exc}); the extra 'guests' installs it")
        # Each look for what is left would otherwise take longer by the library's objects, which stay.
        gc.collect()
        gc.freeze()
        return module

    return load


async def let_the_rest_end():
    """Wait for tasks that a library ends in its own time, such as grpc.aio's when a deadline has passed; bounded."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    if rest:
        await asyncio.wait(rest, timeout=5)


@pytest.fixture
def nested(app):
    """A function that runs a coroutine to its end in nested mode."""
    loop = asyncslot.AsyncSlotEventLoop()
    loop.set_debug(True)
    yield lambda coro: loop.run_until_complete(asyncio.wait_for(coro, 30))
    loop.run_until_complete(let_the_rest_end())
    left = [task for task in asyncio.all_tasks(loop) if not task.done()]
    loop.run_until_complete(loop.shutdown_asyncgens())
    if hasattr(loop, "shutdown_default_executor"):  # Python 3.9
        loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert not left, f"the library left tasks running: {left}"


@pytest.fixture
def attached(app, spin):
    """A function that runs a coroutine to its end in attached mode, in a Qt loop that is not ours."""
    lease = asyncslot.attach("guest")
    lease.loop.set_debug(True)

    def run(coro):
        task = lease.create_task(coro)
        spin(task.done)
        return task.result()

    yield run
    run(let_the_rest_end())
    report = lease.detach()
    assert (report.ended, report.abandoned, report.closed) == (0, [], []), f"the library left something: {report}"


@pytest.fixture(params=["attached", "nested"])
def run(request, app):
    """Both ways of running a coroutine."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def unload(app, spin):
    """Return a function that starts a task, and detaches in the middle of it, when `until()` holds.

    That is what an unloaded plug-in does. The task must end, and sooner than the time that detach() has.
    """

    def unload(coro, until):
        lease = asyncslot.attach("guest")
        lease.loop.set_debug(True)
        task = lease.create_task(coro)
        spin(until)
        report = lease.detach(timeout=5)
        assert task.cancelled()
        assert report.abandoned == [], str(report)
        assert report.seconds < 2, str(report)

    return unload


@pytest.fixture(params=guest_stories.STORIES, ids=lambda story: story.__name__)
def live(request, app):
    """Return a function that plays one of the stories that every library goes through, with a library's work."""
    return lambda work: guest_stories.tell(request.param, work)


@pytest.fixture(scope="module")
def running_servers():
    """The servers of guest_servers that the module's tests have started, with their addresses; they end with it."""
    with contextlib.ExitStack() as stack:
        yield stack, {}


@pytest.fixture
def server(running_servers, guest_missing):
    """Return a function that starts a server of guest_servers, unless it runs already, and gives its address.

    Where it is not installed, the test is skipped; with --require-guests it fails.
    """
    stack, addresses = running_servers

    def start(serve):
        try:
            if serve not in addresses:
                addresses[serve] = stack.enter_context(serve())
        except guest_servers.NotInstalledError as exc:
            guest_missing(str(exc))
        return addresses[serve]

    return start


@pytest.fixture
def tls(certificate):
    """Two TLS contexts: the server's, and that of a client who trusts it."""
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there.load_cert_chain(certificate)
    return there, ssl.create_default_context(cafile=certificate)


@pytest.fixture(autouse=True)
def nothing_is_reported(caplog):
    """No task, callback or transport fails unseen: neither asyncio nor the host's adapter logs an error."""
    yield
    records = caplog.get_records("call") + caplog.get_records("teardown")
    errors = [
        record.getMessage()
        for record in records
        if record.levelno >= logging.ERROR and record.name.partition(".")[0] in ("asyncio", "asyncslot")
    ]
    assert not errors, "reported as errors: " + "\n".join(errors)

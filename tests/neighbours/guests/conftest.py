"""What the tests with real asyncio libraries share.

Each library runs in both modes and in asyncio's debug mode, warnings being errors,
against servers in the same process. A library that closes what it opened must
leave nothing for us to close, and nothing may reach the exception handler.
"""

import asyncio
import importlib
import logging
import ssl
import warnings

import pytest

import asyncslot


@pytest.fixture
def guest(request):
    """Return a function that imports a library by name; where it is not installed, the test is skipped.

    With --require-guests it fails instead.
    """

    def load(name):
        try:
            with warnings.catch_warnings():
                # What a library deprecates while it is imported is its own affair.
                warnings.simplefilter("ignore")
                return importlib.import_module(name)
        except ImportError as exc:
            missing = request.getfixturevalue("guest_missing")
            return missing(f"{name} cannot be imported ({exc}); the extra 'guests' installs it")

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
        spin(task.done, timeout=30)
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

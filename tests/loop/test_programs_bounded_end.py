"""A program that owns its application ends within a stated time, whatever is stuck, and says what that is."""

import sys

import pytest

pytestmark = pytest.mark.slow

STUCK = """
import logging
logging.basicConfig(stream=sys.stdout, format="%(message)s")
release = threading.Event()

def stuck_job():
    release.wait()

async def quit_soon(seconds=0.05):
    await asyncio.sleep(seconds)
    app.quit()

async def start_job():
    asyncio.get_event_loop().run_in_executor(None, stuck_job)
    await asyncio.sleep(0.05)

def in_runner(main):
    with asyncslot.AsyncSlotRunner(loop_factory=lambda: loop, timeout=0.5):
        tasks = [loop.create_task(main()), loop.create_task(quit_soon(0.2))]
        run(app)

def in_nested(main):
    # As asyncio.run() does it.
    loop.shutdown_timeout = 0.5
    try:
        loop.run_until_complete(main())
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

def in_asyncio_run(main):
    loop.shutdown_timeout = 0.5
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
"""

ENDS = ["in_runner", "in_nested"] + ["in_asyncio_run"] * (sys.version_info >= (3, 11))


@pytest.mark.parametrize("way", ENDS)
def test_a_job_stuck_in_a_thread_is_named_and_left(program, way):
    """The process exits, too: nobody joins the thread."""
    out = program(STUCK + f"{way}(start_job)\nassert loop.is_closed()").stdout
    assert out.strip() == "Still running after 0.5 s, and left alone: __main__.stuck_job()"


@pytest.mark.parametrize("way", ENDS)
def test_a_job_that_ends_in_time_is_waited_for(program, way):
    """As by asyncio: what it does is done when the program goes on."""
    out = program(
        STUCK
        + f"""
def stuck_job():
    time.sleep(0.3)
    log.append("saved")
{way}(start_job)
assert "saved" in log
""",
    ).stdout
    assert out == ""


def test_a_program_may_ask_for_less_or_more_time(program):
    """shutdown_default_executor(timeout), as from Python 3.12 on."""
    out = program(
        STUCK + "loop.run_until_complete(start_job())\nloop.run_until_complete(loop.shutdown_default_executor(0.1))"
    )
    assert "after 0.1 s" in out.stdout


NEVER_ENDS = {
    "a task": (
        """
async def refuse():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
async def main():
    tasks.append(loop.create_task(refuse()))
tasks = []
""",
        "task",
    ),
    "an async generator": (
        """
async def generate():
    try:
        yield 1
    finally:
        await asyncio.sleep(3600)
generator = generate()
async def main():
    await generator.__anext__()
""",
        "closing async generators",
    ),
}


@pytest.mark.parametrize(("source", "what"), NEVER_ENDS.values(), ids=list(NEVER_ENDS))
def test_the_runner_waits_for_nothing_for_ever(program, source, what):
    """It logs what has not ended, and where it stands."""
    out = program(STUCK + source + "in_runner(main)\nassert loop.is_closed()").stdout
    assert out.startswith(f"Not ended within 0.5 s: {what}"), out
    assert "it stands at " in out


def test_main_that_never_ends_is_told_of(program):
    """The application has quit, main was cancelled, and its clean-up hangs: the caller goes on."""
    out = program(
        """
loop.shutdown_timeout = 0.2
async def main():
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(3600)
later(app.quit)
print(raises(asyncslot.ApplicationQuitError, loop.run_until_complete, main()))
"""
    ).stdout
    assert "did not end within 0.2 s: it stands at " in out


def test_qts_events_are_handled_while_the_runner_cleans_up(program):
    """Clean-up may wait for a signal of Qt's."""
    program(
        """
async def main():
    try:
        await asyncio.sleep(3600)
    finally:
        timer = QtCore.QTimer()
        timer.start(5)
        await asyncSignal(timer.timeout)
        log.append("cleaned up")
with asyncslot.AsyncSlotRunner(loop_factory=lambda: loop):
    task = loop.create_task(main())
    later(app.quit)
    run(app)
expect("aboutToQuit", "cleaned up")
"""
    )

"""The program calls app.exec(), AsyncSlotRunner around it or a plug-in attached: what becomes of tasks when it quits.

test_runner.py has what the runner itself does. Each program here is a process of its own: an application quits once.
"""

import textwrap

import pytest

from own_programs import each_caller, each_quit, quitting

pytestmark = pytest.mark.slow


@each_caller
@each_quit
def test_the_application_quits_and_the_runner_cleans_up(program, how, code, before, caller):
    """exec() returns its exit code; tasks are cancelled when the block ends, and their clean-up runs."""
    program(
        f"""
with asyncslot.AsyncSlotRunner(loop_factory=lambda: loop):
    service = loop.create_task(serve())
{textwrap.indent(quitting(caller, how), "    ")}
    code = run(app)
    assert not service.done()
assert code == {code}, code
assert service.cancelled()
assert loop.is_closed()
expect("main begins", *{before}, "aboutToQuit", "main is over")
"""
    )


@each_caller
@each_quit
def test_the_application_quits_and_the_plugin_is_detached(program, how, code, before, caller):
    """exec() returns the host's exit code, whoever has quit it; the plug-in's work is over by then."""
    program(
        f"""
lease = asyncslot.attach("a plug-in")
loop = lease.loop
service = lease.create_task(serve())
{quitting(caller, how)}
code = run(app)
assert code == {code}, code
assert service.cancelled()
assert not lease.is_attached and loop.is_closed()
expect("main begins", *{before}, "aboutToQuit", "main is over")
"""
    )


def test_an_exception_in_a_task_is_logged_and_the_application_goes_on(program):
    """As with asyncio, when the task is forgotten."""
    out = program(
        """
import gc, logging
logging.basicConfig(stream=sys.stdout, format="%(message)s")
async def fail():
    1 / 0
def forget():
    tasks.clear()
    gc.collect()
    later(app.quit)
with asyncslot.AsyncSlotRunner(loop_factory=lambda: loop):
    tasks = [loop.create_task(fail())]
    later(forget)
    assert run(app) == 0
"""
    ).stdout
    assert out.startswith("Task exception was never retrieved"), out
    assert "ZeroDivisionError" in out, out

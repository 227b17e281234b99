"""A host without its GUI, as a stand-in: attach() finds no loop there, and says what to use instead."""

import sys

import pytest

from stand_ins import HOSTS, NoStubs, World
from stand_ins_actors import ACTORS

BATCH = """
import sys
sys.path[:] = {path!r}
from stand_ins import World
from stand_ins_actors import ACTORS
world = World({host!r})
sys.modules.update(world.modules)
actor = ACTORS[{host!r}](world, None)
actor.start(is_gui=False)
import asyncslot
try:
    asyncslot.attach("plugin")
except asyncslot.NoApplicationError as exc:
    print(exc, end="")
"""


@pytest.mark.parametrize("host", [host for host in HOSTS if ACTORS[host].has_batch])
def test_attach_without_the_gui_says_what_to_use(run_python, host):
    """Where there is no application; the advice names the mode and asyncio's own way."""
    try:
        World(host)
    except NoStubs as exc:
        pytest.skip(str(exc))
    told = run_python(BATCH.format(host=host, path=sys.path)).stdout
    assert told.startswith("attach() found no QCoreApplication in this process")
    assert "no Qt loop runs; use" in told
    assert "asyncio." in told

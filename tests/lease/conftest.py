"""Plug-ins that tests of this directory share: one whose code is on the stack, and its neighbours."""

import pytest

from stories import plugin, tell, turns


@pytest.fixture
def alpha(app):
    """The plug-in whose code is on the stack."""
    alpha = plugin("alpha")
    alpha.attach()
    yield alpha
    alpha.detach()
    tell(turns(20))  # what a test that failed has left behind


@pytest.fixture(params=[False, True], ids=["alone", "with another"])
def bravo(request, app):
    """Another plug-in that shares the loop, or None."""
    if not request.param:
        yield None
        return
    bravo = plugin("bravo")
    bravo.start()
    yield bravo
    bravo.detach()


@pytest.fixture
def clock(app):
    """Another plug-in, by whose tasks the others' time is measured."""
    clock = plugin("clock")
    clock.start()
    yield clock
    clock.detach()

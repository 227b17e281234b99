"""Plug-ins that tests of this directory share: one whose code is on the stack, its neighbours, and pairs of copies."""

import pytest

from frozen_copies import PLUGIN, PRELUDE, TESTS
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


@pytest.fixture(scope="session")
def make_plugins(tmp_path_factory):
    """Return a function that makes plug-ins with a pair of copies, and returns the directory. Nobody writes there."""
    made = {}

    def make_plugins(pair):
        key = tuple(copy.label for copy in pair)
        if key not in made:
            made[key] = directory = tmp_path_factory.mktemp("plugins")
            for name, copy in zip(("one", "two"), pair):
                dest = directory / name / "_vendor"
                dest.mkdir(parents=True)
                copy.make(dest)
                (dest / "__init__.py").write_text("")
                (directory / name / "__init__.py").write_text(PLUGIN)
        return made[key]

    return make_plugins


@pytest.fixture
def play(run_python, make_plugins):
    """Return a function that runs a program with plug-ins that have these copies, and returns what it printed."""

    def play(pair, source, **kwargs):
        places = {"{plugins!r}": repr(str(make_plugins(pair))), "{support!r}": repr(str(TESTS / "support"))}
        prelude = PRELUDE
        for name, path in places.items():
            prelude = prelude.replace(name, path)
        return run_python(prelude + source, **kwargs).stdout.splitlines()

    return play

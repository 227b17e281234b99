"""Today's copy, and those of the releases that meet others (tests/frozen), in one process, where they share one loop.

Everything works for both, in either order. Which pairs share a loop follows from their protocols: this file knows of
no release in particular. test_frozen_refusals.py has those that cannot share one, test_freezing.py what is frozen, and
test_copies.py what holds among copies of the same code.
"""

import re

import pytest

from frozen_copies import (
    COPIES,
    QUIT,
    WORK,
    by_either,
    each_pair,
    each_pair_that_shares,
    in_either_order,
)

# --- Those that share


@each_pair_that_shares
@in_either_order
def test_they_share_a_loop_and_either_leaves_first(play, pair, leaving):
    """Tasks and slots of both run; who stays goes on, and the last one closes the loop."""
    out = play(
        pair,
        f"""
leaving = {leaving!r}
one, two = load("one"), load("two")
loop = one.lease.loop
assert two.lease.loop is loop
live("one", "two")
see_it_has_left(leaving[0], plugins[leaving[0]].unload())
live(leaving[1])
assert not loop.is_closed()
see_it_has_left(leaving[1], plugins[leaving[1]].unload())
live()
see_nothing_is_left(loop)
""",
    )
    assert out == ["done"]


@each_pair_that_shares
@by_either
def test_either_is_purged_and_loaded_again_at_any_time(play, pair, who):
    """While it is attached and when it has left, made it the loop or not: the other one goes on, and it comes back."""
    out = play(
        pair,
        f"""
who = {who!r}
other = {{"one": "two", "two": "one"}}[who]
loop = load("one").lease.loop
if who == "one":
    purge("one")
load("two")
purge(who)
live("one", "two")
see_it_has_left(who, plugins[who].unload())
live(other)
del plugins[who]
gc.collect()
for _ in range(3):
    assert load(who).lease.loop is loop
    live("one", "two")
    see_it_has_left(who, plugins[who].unload())
    purge(who)
    live(other)
    del plugins[who]
    gc.collect()
    live(other)
load(who)
live("one", "two")
see_it_has_left(other, plugins[other].unload())
purge(other)
live(who)
see_it_has_left(who, plugins[who].unload())
see_nothing_is_left(loop)
""",
    )
    assert out == ["done"]


@each_pair_that_shares
@pytest.mark.parametrize("quits", [("one", "two"), ("one",), ("two",)], ids="-".join)
def test_the_application_quits_with_both(play, pair, quits):
    """Or with one, when the other has left: clean-up has run then, the loop is closed, and unload() has the report."""
    out = play(
        pair,
        QUIT
        + f"""
loop = load("one").lease.loop
load("two")
live("one", "two")
for name in plugins:
    if name not in {quits!r}:
        see_it_has_left(name, plugins[name].unload())
quit_and_run()
see_nothing_is_left(loop)
for name in {quits!r}:
    see_it_has_left(name, plugins[name].unload())
""",
    )
    assert out == ["done"]


@each_pair_that_shares
@in_either_order
def test_everything_works_for_both_and_is_ended_for_each_alone(play, pair, leaving):
    """On the other copy's loop as on its own: threads, signals, sockets, children, progress, errors; then detach."""
    out = play(
        pair,
        WORK
        + f"""
first, second = {leaving!r}
loop = load("one").lease.loop
load("two")
for name in ("one", "two"):
    do_everything(name)
    fail_in_a_slot(name)
leave(first)
live(second)
assert plugins[second].server.is_serving() and not plugins[second].soon.done()
plugins[second].server.close()
plugins[second].soon.cancel()
do_everything(second)
leave(second)
see_nothing_is_left(loop)
""",
    )
    assert out == ["done"]


# --- Both


@each_pair
def test_the_report_of_either_names_both_copies(play, pair):
    """By version and protocol; with who made the loop and for whom; nothing that a copy understands is unreadable."""
    out = play(
        pair,
        """
one, two = load("one"), make("two")
try:
    two.load()
except ImportError:
    pass
live(*(name for name in plugins if plugins[name].lease is not None))
for name in ("one", "two"):
    print("REPORT")
    print(copy(name).report())
for name in plugins:
    plugins[name].unload()
see_nothing_is_left(one.lease.loop)
""",
    )
    assert out[-1] == "done"
    _, *reports = "\n".join(out[:-1]).split("REPORT\n")
    assert len(reports) == 2
    for reader, report in zip(pair, reports):
        for copy, name in zip(pair, ("one", "two")):
            said = (
                rf"  {name}\._vendor\.asyncslot(, which writes this)?: version {copy.version}, protocol {copy.protocol}"
            )
            assert re.search(rf"^{said}, in ", report, re.MULTILINE), report
        assert f"  made by: version {pair[0].version}, protocol {pair[0].protocol}, in " in report
        if reader.protocol == pair[0].protocol:
            assert "Owner 'one'" in report
        else:
            assert re.search(r"^  owners: 1\n    one\b", report, re.MULTILINE), report
        # 0.4.0 asks loops of whatever protocol, and names each thing that it does not find there.
        if reader.protocol == pair[0].protocol or reader not in COPIES:
            assert "cannot be read" not in report

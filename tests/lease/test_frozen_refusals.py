"""Today's copy, and those of the releases that speak another protocol (tests/frozen), in one process, in either order.

The second one's attach() says that they cannot share a loop, and nobody else notices.
"""

import re
import sys

from frozen_copies import COPIES, PAIRS, QUIT, REFUSED, WORK, each_pair_that_cannot_share, table


def told_of(copy, directory, name):
    """Return what an error has to say of a copy."""
    told = [f"version {copy.version} in", f"(protocol {copy.protocol})"]
    # Windows has several names for a directory.
    return told if sys.platform == "win32" else [*told, repr(str(directory / name / "_vendor" / "asyncslot"))]


@each_pair_that_cannot_share
def test_the_second_is_refused_and_nothing_of_it_is_left(play, make_plugins, pair):
    """An ImportError that names versions, protocols and paths of both; the process is as it was, however often."""
    out = play(
        pair,
        REFUSED
        + """
one = load("one")
live("one")
two = make("two")
def attach_in_vain():
    try:
        two.load()
    except ImportError as exc:
        assert isinstance(exc, copy("two").IncompatibleCopyError) and isinstance(exc, copy("two").AsyncSlotError)
        return str(exc)
before, counted = state_of(one), census.take(("one", "two"))
texts = {attach_in_vain() for _ in range(3)}
assert census.differences(counted, census.take(("one", "two"))) == []
assert state_of(one) == before
assert two.lease is None
live("one")
see_it_has_left("one", one.unload())
see_nothing_is_left(one.lease.loop)
print(*texts, sep="\\n")
""",
    )
    assert out[0] == "done"
    (text,) = out[1:]
    for copy, name in zip(pair, ("one", "two")):
        for words in told_of(copy, make_plugins(pair), name):
            assert words in text


@each_pair_that_cannot_share
def test_the_first_lives_on_before_meanwhile_and_after(play, pair):
    """It works in every way while the other fails to load, is purged, fails again; and leaves as it would alone."""
    out = play(
        pair,
        REFUSED
        + WORK
        + """
one = load("one")
live("one")
waits = one.lease.create_task(asyncio.sleep(3600))
for _ in range(3):
    assert "cannot share the loop" in str(load_in_vain("two"))
    del plugins["two"]
    purge("two")
    live("one")
    assert not waits.done()
load_in_vain("two")
waits.cancel()
spin(waits.done)
do_everything("one")
fail_in_a_slot("one")
del plugins["two"]
live("one")
leave("one")
see_nothing_is_left(one.lease.loop)
""",
    )
    assert out == ["done"]


@each_pair_that_cannot_share
def test_what_else_the_second_may_call_does_no_harm(play, pair):
    """detach() does nothing, create_task() and monitor() say what is wrong, and no coroutine is left that never ran."""
    out = play(
        pair,
        REFUSED
        + """
import warnings
warnings.simplefilter("error")
one = load("one")
load_in_vain("two")
two = copy("two")
before = state_of(one)
report = plugins["two"].unload()
assert (report.ended, report.abandoned, report.closed) == (0, [], []), report
coro = asyncio.sleep(0)
for call in (lambda: two.create_task(coro), two.monitor):
    try:
        call()
    except (two.NoLoopError, two.IncompatibleCopyError) as exc:
        print(type(exc).__name__, file=sys.stderr)
    else:
        raise AssertionError("it was done")
assert coro.cr_frame is None  # it was closed
try:
    two.asyncSignal(sender.asked)
except two.OutsideCoroutineError:
    pass
else:
    raise AssertionError("it waits")
assert state_of(one) == before
two.detach()
two.detach("two")
two.detach("one")
assert state_of(one) == before
del plugins["two"]
live("one")
see_it_has_left("one", one.unload())
see_nothing_is_left(one.lease.loop)
""",
    )
    assert out == ["done"]


SLOT = """
one = load("one")
load_in_vain("two")
two = plugins["two"]
sender.said.connect(two.hear)
ticks = one.ticks
for _ in range(3):
    sender.said.emit("hello")
spin(lambda: one.ticks >= ticks + 3 and len(one.heard) == 6)
assert two.heard == []
assert all("two" in message for message, _ in hosts["two"].reports), hosts["two"].reports
hosts["two"].reports.clear()
print([type(exc).__name__ for exc in unheard])
unheard.clear()
sender.said.disconnect(two.hear)
del plugins["two"]
live("one")
see_it_has_left("one", one.unload())
see_nothing_is_left(one.lease.loop)
"""


@each_pair_that_cannot_share
def test_a_slot_of_the_second_that_is_called_harms_nobody(play, pair):
    """What it raises, if anything, is told by the host's excepthook, and is about the loop that it has not."""
    out = play(pair, REFUSED + SLOT)
    assert re.fullmatch(r"\[('(IncompatibleCopyError|NoLoopError)'(, )?)*\]", out[0])
    assert out[1:] == ["done"]


@table([(first, second) for first, second in PAIRS if first.protocol != second.protocol and second not in COPIES])
def test_a_slot_of_the_second_raises_nothing_into_qt(play, pair):
    """A host on PyQt that has no excepthook would end there. 0.4.0 does raise: nothing can be done about that now."""
    assert play(pair, REFUSED + SLOT) == ["[]", "done"]


@each_pair_that_cannot_share
def test_the_application_quits_with_both_loaded(play, pair):
    """The first one's clean-up runs, and the refused one has none; the host ends as ever."""
    out = play(
        pair,
        REFUSED
        + QUIT
        + """
one = load("one")
load_in_vain("two")
quit_and_run()
see_nothing_is_left(one.lease.loop)
assert plugins["two"].unload().ended == 0
see_it_has_left("one", one.unload())
""",
    )
    assert out == ["done"]


@each_pair_that_cannot_share
def test_whoever_is_alone_works(play, pair):
    """When the first has left, the second's attach() works, and it is the first that is refused; and so on."""
    out = play(
        pair,
        REFUSED
        + """
there, refused = "one", "two"
load(there)
for _ in range(4):
    assert "cannot share the loop" in str(load_in_vain(refused))
    live(there)
    loop = plugins[there].lease.loop
    see_it_has_left(there, plugins[there].unload())
    assert loop.is_closed() and not places()
    plugins[refused].load()
    del plugins[there]
    there, refused = refused, there
    gc.collect()
    live(there)
see_it_has_left(there, plugins[there].unload())
see_nothing_is_left(plugins[there].lease.loop)
""",
    )
    assert out == ["done"]


@each_pair_that_cannot_share
def test_a_first_one_that_was_purged_while_it_is_attached_is_told_of_all_the_same(play, make_plugins, pair):
    """Its code is not in sys.modules any more; its loop and its place are there until it leaves."""
    out = play(
        pair,
        REFUSED
        + """
one = load("one")
purge("one")
text = str(load_in_vain("two"))
live("one")
purge("two")
live("one")
del plugins["two"]
see_it_has_left("one", one.unload())
see_nothing_is_left(one.lease.loop)
print(text)
""",
    )
    assert out[0] == "done"
    for copy, name in zip(pair, ("one", "two")):
        for words in told_of(copy, make_plugins(pair), name):
            assert words in out[1]

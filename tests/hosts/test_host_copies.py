"""Several plug-ins in one host, each with a copy of its own: in mini_host, in any order of coming and going.

test_copies.py has the same without a host, claim by claim. The other scenarios are in test_host_scenarios.py, and how
this works in mini_host_user.py.
"""

import random

import pytest

from mini_host_user import plugin

pytestmark = pytest.mark.slow

# The plug-ins, and what their copies are called and say that they are; None: what they are.
COPIES = {
    "first": ("asyncslot", None),
    "second": ("aio", "0.9.0"),
    "third": ("asyncslot", "1.0.0rc1"),
    "fourth": ("qt_aio", "17.3"),
    "fifth": ("aio", None),
}

# What each order is played with: all that is loaded lives, and all of it on one loop.
CHECK = """
        def alive():
            plugins = [running[name] for name in running if name != "a_user"]
            enough = {plugin: plugin.ticks + 3 for plugin in plugins}
            if len({id(plugin.lease.loop) for plugin in plugins}) > 1:
                say("several loops:", [(plugin.lease.owner, plugin.lease.loop) for plugin in plugins])
            return lambda: all(plugin.ticks >= enough[plugin] for plugin in plugins)
        def places():
            return [name for name in vars(sys.modules["asyncio"]) if "asyncslot" in name]
"""

OWN_REPORT = """
    def unload(self):
        report = asyncslot.detach()
        if (report.owner, report.ended, report.abandoned) != (__name__, 1, []):
            say(report)
"""


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_copies_come_and_go_in_any_order(mini_host, number):
    """Each starts and stops in ten orders; what is there lives, on one loop, which is gone when the last one is."""
    orders = random.Random(number)
    names = list(COPIES)[:number]
    sequence = [(orders.sample(names, number), orders.sample(names, number)) for _ in range(10)]
    lines = mini_host(
        CHECK + f"""
        names, sequence = {names}, {sequence}
        """
        """
        yield alive()
        for name in names:
            host.plugins.unload(name)
        for coming, going in sequence:
            for name in coming:
                host.plugins.load(name)
            yield alive()
            for name in going:
                host.plugins.unload(name)
                yield alive()
            if places():
                say("after", coming, going, "there is still", places())
        say("played")
        """,
        **{name: plugin(OWN_REPORT, *COPIES[name]) for name in names},
    )
    assert lines.said == ["played"]
    assert not [line for line in lines if "Traceback" in line], lines
    assert lines.errors == ""


@pytest.mark.parametrize("reloaded", ["first", "third", "fifth"])
def test_a_plugin_is_reloaded_amid_the_others(mini_host, reloaded):
    """Its modules are purged, those of the copy that made the loop, too; the loop and the others' tasks go on."""
    lines = mini_host(
        CHECK + f"""
        reloaded = {reloaded!r}
        """
        """
        yield alive()
        import gc
        loop = running["second"].lease.loop
        others = [running[name] for name in running if name not in ("a_user", reloaded)]
        for _ in range(5):
            say("reloaded:", host.plugins.reload(reloaded))
            gc.collect()
            yield alive()
        say("the same loop:", all(plugin.lease.loop is loop for plugin in [*others, running[reloaded]]))
        """,
        **{name: plugin(OWN_REPORT, *copy) for name, copy in COPIES.items()},
    )
    assert lines.said == ["reloaded: True"] * 5 + ["the same loop: True"]
    assert lines.errors == ""


def test_a_busy_copy_leaves_the_others_in_peace(mini_host):
    """One is unloaded with a task that will not end: only that one is frozen, and named; the others live on."""
    lines = mini_host(
        CHECK
        + """
        yield alive()
        say(running["stubborn"].leave())
        yield alive()
        """,
        stubborn=plugin(
            """
            def leave(self):
                self.lease.run_task(self.never_end())
                report = asyncslot.detach(timeout=0.2)
                self.host.plugins.unload("stubborn")
                return [task.owner for task in report.abandoned]
            async def never_end(self):
                while True:
                    try:
                        await asyncio.sleep(3600)
                    except asyncio.CancelledError:
                        pass
            """
        ),
        **{name: plugin(OWN_REPORT, *copy) for name, copy in COPIES.items()},
    )
    assert lines.said == ["['stubborn']"]
    assert lines.errors == ""


@pytest.mark.parametrize("pretend", ["0.1.0:1", "9.0.0:999"], ids=["too old", "too new"])
def test_a_copy_that_cannot_share_is_not_loaded_and_says_why(mini_host, tmp_path, pretend):
    """The host's log has both versions and both paths, and nobody is disturbed; alone, that copy works."""
    lines = mini_host(
        CHECK
        + """
        names = [name for name in running if name != "a_user"]
        say("running:", names)
        yield alive()
        for name in names:
            host.plugins.unload(name)
        say("loaded alone:", host.plugins.load("stranger"))
        yield lives(running["stranger"])
        """,
        stranger=plugin(pretend=pretend),
        first=plugin(OWN_REPORT),
        second=plugin(OWN_REPORT, *COPIES["second"]),
    )
    assert lines.said == ["running: ['first', 'second']", "loaded alone: True"]
    [text] = [line for line in lines if "IncompatibleCopyError:" in line]
    version, protocol = pretend.split(":")
    assert f"version {version} in" in text
    assert f"(protocol {protocol})" in text
    for name in ("stranger", "first"):
        assert repr(str(tmp_path / "plugins" / name / "_vendor" / "asyncslot")) in text
    assert lines.errors == ""

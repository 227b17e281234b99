"""What every library must go through in a plug-in: loaded, cancelled, unloaded in mid-work, reloaded.

A library gives its *work*, a coroutine function. `work(opened, tick)` opens what the library has, by
`opened.enter_async_context(...)` (an AsyncExitStack), works without end, and calls `tick()` for each piece of work that
came back as it should. The stories are the same for all. What is left behind is looked for by asyncslot.testing.
"""

import asyncslot.testing
from callers import call_as
from guest_plugin import TIMEOUT
from guest_work import Work

# Pieces of work after which a library counts as working. Some libraries do something else the first time.
ENOUGH = 3

# Seconds to wait for work that comes, or for things that are about to end.
PATIENCE = 20


class Stage:
    """A toy host, and what the plug-ins in it work at."""

    def __init__(self, host, work):
        self.host = host
        self.work = work

    def load(self, closes=True):
        """Load the plug-in, and run Qt's loop until it is in the midst of its work."""
        # The class as the toy host has imported it, which makes it anew for each load.
        plugin = self.host.load("guest_plugin", lambda package: package.Plugin(self.work, closes))
        self.see(plugin.at_work)
        return plugin

    def reload(self, plugin):
        plugin = self.host.reload(plugin)
        self.see(plugin.at_work)
        return plugin

    def see(self, at_work):
        """Run Qt's loop until more work is done."""
        enough = at_work.ticks + ENOUGH
        self.host.run_until(lambda: at_work.ticks >= enough or at_work.task.done(), PATIENCE)
        assert not at_work.task.done(), f"the work has ended: {at_work.task!r}"

    def cancel(self, at_work):
        at_work.task.cancel()
        self.host.run_until(at_work.task.done, PATIENCE)
        assert at_work.task.cancelled()

    def unload(self, plugin):
        self.host.assert_clean_unload(plugin, PATIENCE)


def assert_closed_itself(report):
    """Fail if detach() had to close something, but for servers, which it closes before the tasks may."""
    closed = [what for what in report.closed if not what.startswith("server on ")]
    assert (report.abandoned, closed, report.kept, report.jobs) == ([], [], [], []), str(report)


def cancelled(stage):
    """The user cancels, begins again and cancels; then there is nothing left for detach() to end."""
    plugin = stage.load()
    stage.cancel(plugin.at_work)
    plugin.begin()
    stage.see(plugin.at_work)
    stage.cancel(plugin.at_work)
    stage.unload(plugin)
    assert_closed_itself(plugin.report)


def reloaded(stage):
    """The plug-in is reloaded in mid-work, works again, and is unloaded in mid-work. It closes what it has opened."""
    first = stage.load()
    second = stage.reload(first)
    stage.unload(second)
    for plugin in (first, second):
        assert plugin.at_work.task.cancelled()
        assert_closed_itself(plugin.report)


def forgotten(stage):
    """The plug-in is unloaded in mid-work, and closes nothing; detach() does."""
    plugin = stage.load(closes=False)
    stage.unload(plugin)
    assert plugin.at_work.task.cancelled()
    assert plugin.report.abandoned == [], str(plugin.report)


def shared(stage):
    """Another plug-in uses the library as well, and leaves in mid-work; ours goes on, and leaves later."""
    plugin = stage.load()
    lease = call_as("guest_neighbour", "attach")
    neighbour = Work(lease, stage.work, closes=True)
    stage.see(neighbour)
    assert_closed_itself(lease.detach(timeout=TIMEOUT))
    stage.see(plugin.at_work)
    stage.unload(plugin)
    assert_closed_itself(plugin.report)


STORIES = [cancelled, reloaded, forgotten, shared]

# For what only its user can close.
CLOSING = [cancelled, reloaded, shared]


def tell(story, work):
    """Play one of STORIES with a library's work."""
    with asyncslot.testing.Host() as host:
        story(Stage(host, work))

"""What can happen in the chaos program's world: the actions of a plan, with how often each is wanted.

Each is called by a timer, in whichever Qt loop runs, with the world and a random.Random of its own. What a plug-in does
is told by `plugin.py`, what its tasks do by `work.py`.
"""

import gc


def _choose(world, rng):
    """Return a plug-in that is attached, if there is one."""
    attached = [plugin for _, plugin in sorted(world.plugins.items()) if plugin.record and plugin.record.is_attached]
    return rng.choice(attached) if attached else None


def load(world, rng):
    """Load a plug-in that is not there, or attach one that has detached."""
    if world.is_over:
        return
    for name in world.plan.plugins:
        plugin = world.plugins.get(name)
        if plugin is None:
            world.load(name)
            break
        if not plugin.record.is_attached and rng.random() < 0.5:
            plugin.attach()
            break


def unload(world, rng):
    """Unload a plug-in."""
    if world.plugins:
        world.unload(rng.choice(sorted(world.plugins)), rng)


def reload(world, rng):
    """Reload a plug-in."""
    if world.plugins:
        world.reload(rng.choice(sorted(world.plugins)), rng)


def detach(world, rng):
    """Have a plug-in detach, and stay loaded."""
    plugin = _choose(world, rng)
    if plugin is not None:
        plugin.detach(rng)


def spawn(world, rng):
    """Start tasks."""
    for _ in range(rng.randint(1, 3)):
        plugin = _choose(world, rng)
        if plugin is not None:
            plugin.spawn(rng)


def plain(world, rng):
    """Call a plain slot of a plug-in's."""
    plugin = _choose(world, rng)
    if plugin is not None:
        plugin.plain(rng)


def emit(world, rng):
    """Emit a signal of the host's."""
    if world.is_muted:
        return
    if rng.random() < 0.2:
        world.burst(rng)
    else:
        world.sender.number.emit(1)


def dialog(world, rng):
    """Open a dialog of the host's."""
    world.dialog(rng)


def events(world, _):
    """Let Qt's events through."""
    world.process_events()


def collect(*_):
    """Collect garbage."""
    gc.collect()


def neighbour(world, _):
    """Turn the neighbour's loop."""
    world.turn_neighbour()


def end(world, rng):
    """Quit, at last."""
    if rng.random() < 0.2 * world.rate_of_ends:
        world.quit()


def factory(world, rng):
    """Have the tasks of a loop made by asyncio's eager factory."""
    import asyncio

    plugin = _choose(world, rng) if world.plan.factory else None
    if plugin is not None and hasattr(asyncio, "eager_task_factory"):
        plugin.work.set_factory(asyncio.eager_task_factory)


# Of each: how often it is wanted, and what it does. "check" is done by the world itself.
ACTIONS = {
    "spawn": (30, spawn),
    "plain": (24, plain),
    "emit": (6, emit),
    "dialog": (6, dialog),
    "load": (8, load),
    "unload": (2, unload),
    "reload": (4, reload),
    "detach": (3, detach),
    "events": (2, events),
    "collect": (3, collect),
    "neighbour": (3, neighbour),
    "factory": (1, factory),
    "end": (1, end),
    "check": (4, None),
}

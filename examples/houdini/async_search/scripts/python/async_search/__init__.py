"""Async search for Houdini: a pane whose work is asyncio code on the event loop that Houdini's GUI runs.

Houdini has an asyncio loop of its own (`haio`). We neither use nor change it, nor its event-loop policy: coroutines
that are started through our lease run on ours, beside it.
"""

from ._vendor import asyncslot


def start():
    """Attach. `uiready.py` calls this; a second call changes nothing."""
    return asyncslot.attach()


def make_panel():
    """Return a new panel. The pane calls this whenever it is opened, and deletes the panel when it is closed."""
    lease = start()
    from .panel import SearchPanel

    return SearchPanel(lease)


def stop():
    """Detach: searches that are under way are cancelled. For the Python Shell, before you reload the package."""
    return asyncslot.detach()

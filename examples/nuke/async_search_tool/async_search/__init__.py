"""Async search for Nuke: a panel whose work is asyncio code on the event loop that Nuke's GUI runs."""

from ._vendor import asyncslot


def start():
    """Attach. `menu.py` calls this; a second call changes nothing."""
    return asyncslot.attach()


def make_panel():
    """Return a new panel. Nuke calls this whenever the panel is opened, and deletes it when it is closed or moved."""
    lease = start()
    from .panel import SearchPanel

    return SearchPanel(lease)


def stop():
    """Detach: searches that are under way are cancelled. For the Script Editor, before you reload the package."""
    return asyncslot.detach()

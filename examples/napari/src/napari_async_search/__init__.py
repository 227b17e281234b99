"""Async search for napari: a widget whose work is asyncio code on the event loop that napari itself runs."""

from ._vendor import asyncslot


def make_panel():
    """Return a new panel. napari calls this when the user opens it, and puts it into a dock of its own.

    Its dock can be closed, which only hides the panel; napari does not unload plug-ins.
    """
    # The lease is our hold on asyncio: what we start belongs to it, and ends with it. A second panel gets the same.
    lease = asyncslot.attach()
    from .panel import SearchPanel

    return SearchPanel(lease)

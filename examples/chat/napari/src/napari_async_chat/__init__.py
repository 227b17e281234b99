"""Async chat for napari: a widget that chats with a language model on the event loop that napari itself runs."""

from ._vendor import asyncslot


def make_panel():
    """Return a new panel. napari calls this when the user opens it, and puts it into a dock of its own."""
    # The lease is our hold on asyncio: what we start belongs to it, and ends with it. A second panel gets the same.
    lease = asyncslot.attach()
    from .panel import ChatPanel, QtCore

    # napari keeps no settings for its plug-ins.
    return ChatPanel(lease, QtCore.QSettings("async-chat", "napari"))

"""Async search for Maya: a window whose work is asyncio code on the event loop that Maya itself runs.

import async_search; async_search.show()        on a shelf button, once the plug-in is loaded
"""

from ._vendor import asyncslot

_panel = None


def start():
    """Attach, and show the panel. The plug-in calls this when it is loaded.

    Raises: asyncslot.NoApplicationError in mayapy and `maya -batch`, so that the plug-in is not loaded there.
    """
    global _panel
    # The lease is our hold on asyncio: what we start belongs to it, and ends with it.
    lease = asyncslot.attach()
    from .panel import QtCore, SearchPanel

    _panel = SearchPanel(lease, lease.host.gui_parent())
    _panel.setWindowFlags(QtCore.Qt.WindowType.Window)  # a window of its own, above Maya's
    _panel.resize(420, 480)
    show()


def show():
    """Bring the panel back after it was closed, which only hides it."""
    _panel.show()
    _panel.raise_()


def stop():
    """Detach, and take the panel away. The plug-in calls this when it is unloaded."""
    global _panel
    # First of all: a search that is under way is cancelled, and its last lines still find the panel.
    asyncslot.detach()
    if _panel is not None:
        _panel.close()
        _panel.deleteLater()
        _panel = None

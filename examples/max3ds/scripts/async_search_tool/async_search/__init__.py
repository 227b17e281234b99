"""Async search for 3ds Max: a dock whose work is asyncio code on the event loop that 3ds Max itself runs.

import async_search; async_search.stop()        in the Python listener; async_search.start() brings it back
"""

from ._vendor import asyncslot

_dock = None


def start():
    """Attach, and show the dock; once it is there, only show it."""
    global _dock
    # The lease is our hold on asyncio: what we start belongs to it, and ends with it.
    lease = asyncslot.attach()
    from .panel import TITLE, QtCore, QtWidgets, SearchPanel

    if _dock is None:
        window = lease.host.gui_parent()
        _dock = QtWidgets.QDockWidget(TITLE, window)
        _dock.setObjectName("AsyncSearchDock")  # under this name 3ds Max remembers where the user has put it
        _dock.setWidget(SearchPanel(lease, _dock))
        if window is not None:
            window.addDockWidget(QtCore.Qt.DockWidgetArea.RightDockWidgetArea, _dock)
    _dock.show()


def stop():
    """Detach, and take the dock away."""
    global _dock
    # First of all: a search that is under way is cancelled, and its last lines still find the panel.
    asyncslot.detach()
    if _dock is not None:
        _dock.close()
        _dock.deleteLater()
        _dock = None

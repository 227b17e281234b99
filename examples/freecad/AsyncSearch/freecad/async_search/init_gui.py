"""Async search for FreeCAD: a dock whose work is asyncio code on the event loop that FreeCAD itself runs.

FreeCAD imports this while it starts. It unloads no add-on, so nothing is to be undone here: whatever is still running
when FreeCAD quits is ended by the lease.
"""

import FreeCADGui

from ._vendor import asyncslot


def start():
    # Named, because the owner would be "freecad" otherwise: our top-level package, which all add-ons share.
    lease = asyncslot.attach("async_search")
    from .panel import TITLE, QtCore, QtWidgets, SearchPanel

    window = FreeCADGui.getMainWindow()
    dock = QtWidgets.QDockWidget(TITLE, window)
    dock.setObjectName("AsyncSearchDock")  # under this name FreeCAD remembers it, and lists it in View > Panels
    dock.setWidget(SearchPanel(lease, dock))
    window.addDockWidget(QtCore.Qt.DockWidgetArea.RightDockWidgetArea, dock)


start()

"""The plug-in as QGIS sees it: what happens when it is loaded, and when it is unloaded.

Two lines of it make asyncio work: `attach()` when the plug-in is loaded, `detach()` when it goes. In between, any
coroutine of this plug-in runs on the event loop that QGIS runs anyway: no thread, no second loop, and every line of
it may touch the user interface.
"""

from qgis.PyQt.QtCore import Qt

from ._vendor import asyncslot
from .dock import DownloadDock

MENU = "Async download"


class Plugin:
    def __init__(self, iface):
        self._iface = iface
        self._dock = None

    def initGui(self):
        # The lease is our hold on asyncio: what we start belongs to it, and ends with it. QGIS calls initGui() while
        # it is still starting up. That is no reason to wait: whatever we start now runs as soon as QGIS does.
        lease = asyncslot.attach()
        self._dock = DownloadDock(lease, self._iface.mainWindow())
        self._iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self._dock)
        self._iface.addPluginToMenu(MENU, self._dock.toggleViewAction())

    def unload(self):
        # First of all: this cancels a download that is still going on and waits for it to end, for two seconds at
        # most. Its last lines (`except`, `finally`) run in here, and still find the dock that they write to.
        asyncslot.detach()
        self._iface.removePluginMenu(MENU, self._dock.toggleViewAction())
        self._iface.removeDockWidget(self._dock)
        self._dock.deleteLater()
        self._dock = None

"""Async Dask: an example of a QGIS plug-in that hands heavy work to a cluster."""

from ._vendor import asyncslot


def classFactory(iface):  # QGIS looks for exactly this name
    return Plugin(iface)


class Plugin:
    def __init__(self, iface):
        self._iface = iface
        self._dock = None

    def initGui(self):
        from qgis.PyQt.QtCore import Qt

        from .dock import FarthestDock

        # The lease is our hold on asyncio: what we start belongs to it, and ends with it.
        self._dock = FarthestDock(asyncslot.attach(), self._iface)
        self._iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self._dock)
        self._iface.addPluginToMenu("Async Dask", self._dock.toggleViewAction())

    def unload(self):
        # First of all: this takes back what the cluster has not begun, and closes the connection to it.
        asyncslot.detach()
        self._iface.removePluginMenu("Async Dask", self._dock.toggleViewAction())
        self._iface.removeDockWidget(self._dock)
        self._dock.deleteLater()
        self._dock = None

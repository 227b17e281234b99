"""Async chat for QGIS: a dock that chats with a language model on the event loop that QGIS itself runs."""

from ._vendor import asyncslot


def classFactory(iface):  # QGIS looks for exactly this name
    return Plugin(iface)


class Plugin:
    def __init__(self, iface):
        self._iface = iface
        self._dock = None

    def initGui(self):
        from qgis.core import QgsSettings

        # The lease is our hold on asyncio: what we start belongs to it, and ends with it.
        lease = asyncslot.attach()
        from .panel import TITLE, ChatPanel, QtCore, QtWidgets

        self._dock = QtWidgets.QDockWidget(TITLE, self._iface.mainWindow())
        self._dock.setObjectName("AsyncChatDock")  # under this name QGIS remembers where the user has put it
        self._dock.setWidget(ChatPanel(lease, QgsSettings(), self._dock))
        self._iface.addDockWidget(QtCore.Qt.DockWidgetArea.RightDockWidgetArea, self._dock)
        self._iface.addPluginToMenu(TITLE, self._dock.toggleViewAction())

    def unload(self):
        # First of all: answers that are under way are cancelled, and their last lines still find the panel.
        asyncslot.detach()
        self._iface.removePluginMenu(self._dock.windowTitle(), self._dock.toggleViewAction())
        self._iface.removeDockWidget(self._dock)
        self._dock.deleteLater()
        self._dock = None

"""The plug-in as QGIS sees it: the server from initGui() to unload(), its menu, and its settings.

    port     where the server listens, on this machine only
    token    what clients have to send; made at the first start
    ask      whether the user is asked before a tool may touch files

They are QGIS's own settings, in a group with the name of this directory: a copy of it is another plug-in, with others.
"""

import asyncio
import html
import json
import secrets

from qgis.core import Qgis, QgsSettings
from qgis.PyQt.QtWidgets import QAction, QApplication, QInputDialog, QPushButton

from ._vendor import asyncslot
from .server import McpServer
from .tools import Tools, open_dialog
from .web import HOST, listen

MENU = "QGIS MCP"
DEFAULT_PORT = 8642
VERSION = "1.0.0"

INSTRUCTIONS = (
    "The tools work in the QGIS that the user sees. Layers are named by their id, from list_layers. "
    "What may touch files asks the user first, who may refuse."
)


class Plugin:
    def __init__(self, iface):
        self._iface = iface
        self._lease = None
        self._serving = None
        self._notice = None
        self._actions = []

    def initGui(self):
        # The lease is our hold on asyncio: the server, its connections and the tools that they call belong to it, and
        # end with it.
        self._lease = asyncslot.attach()
        self._add_action("Copy settings for clients", self._copy_settings)
        self._add_action("Port...", self._lease.slot(self._choose_port, on_repeat="drop"))
        self._serve()

    def unload(self):
        # First of all: calls are cancelled and their clients told, dialogs are closed, and the port is free after it.
        asyncslot.detach()
        self._take_notice_away()
        for action in self._actions:
            self._iface.removePluginMenu(MENU, action)
            action.deleteLater()
        self._actions.clear()

    def _add_action(self, text, slot):
        action = QAction(text, self._iface.mainWindow())
        action.triggered.connect(slot)
        self._iface.addPluginToMenu(MENU, action)
        self._actions.append(action)

    # -- the server --------------------------------------------------------------

    def _serve(self):
        """Start the server, or say why there is none."""
        self._take_notice_away()
        port = _setting("port", DEFAULT_PORT, int)
        try:
            sock = listen(port)
        except OSError as exc:
            self._show_notice(port, exc)
            return
        tools = Tools(self._lease, self._iface, lambda: _setting("ask", True, bool))
        name = __package__.rpartition(".")[2]
        server = McpServer(name, VERSION, tools, _token(), application="QGIS", instructions=INSTRUCTIONS)
        # run_task(): by the time that initGui() returns, the server answers.
        self._serving = self._lease.run_task(server.serve(sock), name="MCP server")

    async def _choose_port(self):
        dialog = QInputDialog(self._iface.mainWindow())
        dialog.setWindowTitle(MENU)
        dialog.setLabelText("Port on which clients find this QGIS:")
        dialog.setInputMode(QInputDialog.InputMode.IntInput)
        dialog.setIntRange(1024, 65535)
        dialog.setIntValue(_setting("port", DEFAULT_PORT, int))
        if not await open_dialog(dialog):
            return
        QgsSettings().setValue(_key("port"), dialog.intValue())
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait({self._serving})  # the old port may be the new one
        self._serve()

    # -- what the user sees ------------------------------------------------------

    def _show_notice(self, port, exc):
        """Say that there is no server, with a button for what to do."""
        bar = self._iface.messageBar()
        text = (
            f"No MCP client can reach this QGIS: port {port} cannot be had ({exc.strerror}). Another QGIS may have it. "
            "Close that one and choose the same port again, or choose another, and tell it to your clients."
        )
        button = QPushButton("Port...")
        button.clicked.connect(self._lease.slot(self._choose_port, on_repeat="drop"))
        self._notice = bar.createMessage(MENU, html.escape(text))
        self._notice.layout().addWidget(button)
        bar.pushWidget(self._notice, Qgis.MessageLevel.Warning, 0)

    def _take_notice_away(self):
        notice, self._notice = self._notice, None
        try:
            if notice is not None:
                self._iface.messageBar().popWidget(notice)
        except RuntimeError:
            pass  # the user has dismissed it, which deleted it

    def _copy_settings(self):
        """Put into the clipboard what most clients take as their settings. The token is in it: it is a password."""
        url = f"http://{HOST}:{_setting('port', DEFAULT_PORT, int)}/mcp"
        server = {"type": "http", "url": url, "headers": {"Authorization": f"Bearer {_token()}"}}
        QApplication.clipboard().setText(json.dumps({"mcpServers": {"qgis": server}}, indent=2))
        text = "Address and token are in the clipboard. Whoever has the token can work in this QGIS."
        self._iface.messageBar().pushMessage(MENU, text, Qgis.MessageLevel.Info, 10)


def _key(name):
    return f"{__package__.rpartition('.')[2]}/{name}"


def _setting(name, default, kind):
    return QgsSettings().value(_key(name), default, type=kind)


def _token():
    """Return the token, which is made when it is asked for first."""
    token = _setting("token", "", str)
    if not token:
        token = secrets.token_urlsafe(32)
        QgsSettings().setValue(_key("token"), token)
    return token

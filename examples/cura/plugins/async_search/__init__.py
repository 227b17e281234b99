"""Async search for Cura: a window whose work is asyncio code on the event loop that Cura itself runs.

Cura imports this while it starts, and calls register(). It unloads no plug-in, so nothing is to be undone here:
whatever is still running when Cura quits is ended by the lease.
"""

from UM.Extension import Extension

from ._vendor import asyncslot


class AsyncSearch(Extension):
    def __init__(self):
        super().__init__()
        # The lease is our hold on asyncio.
        self._lease = asyncslot.attach()
        self._panel = None
        self.setMenuName("Async search")
        self.addMenuItem("Open", self.show)

    def show(self):
        if self._panel is None:
            from .panel import SearchPanel

            self._panel = SearchPanel(self._lease)
            self._panel.resize(420, 480)
        self._panel.show()
        self._panel.raise_()


def getMetaData():
    return {}


def register(app):
    return {"extension": AsyncSearch()}

"""Async search for Krita: a docker whose work is asyncio code on the event loop that Krita itself runs.

Krita imports this while it starts, and makes one docker for each of its windows. It unloads no plug-in, and tells
none that it quits; so nothing is to be undone here: whatever is still running then is ended by the lease.
"""

from krita import DockWidget, DockWidgetFactory, DockWidgetFactoryBase, Krita

from ._vendor import asyncslot


class SearchDocker(DockWidget):
    def __init__(self):
        super().__init__()
        # The lease is our hold on asyncio. The docker of a second window gets the same one.
        lease = asyncslot.attach()
        from .panel import TITLE, SearchPanel  # only now is the Qt that Krita uses sure to be loaded

        self.setWindowTitle(TITLE)
        self.setWidget(SearchPanel(lease, self))

    def canvasChanged(self, canvas):  # Krita insists on it
        pass


Krita.instance().addDockWidgetFactory(DockWidgetFactory("async_search", DockWidgetFactoryBase.DockRight, SearchDocker))

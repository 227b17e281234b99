"""Async search for Substance 3D Painter: a dock whose work is asyncio code on Painter's own event loop."""

import substance_painter.ui

from ._vendor import asyncslot

_widgets = []


def start_plugin():  # Painter looks for exactly these two names
    # The lease is our hold on asyncio: what we start belongs to it, and ends with it.
    lease = asyncslot.attach()
    from .panel import SearchPanel

    panel = SearchPanel(lease)
    _widgets.append(panel)
    substance_painter.ui.add_dock_widget(panel)


def close_plugin():
    # First of all: a search that is under way is cancelled, and its last lines still find the panel.
    asyncslot.detach()
    while _widgets:  # a widget that is left over keeps Painter from quitting
        substance_painter.ui.delete_ui_element(_widgets.pop())

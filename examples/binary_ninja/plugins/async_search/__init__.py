"""Async search for Binary Ninja: a window whose work is asyncio code on the event loop that its GUI runs.

Binary Ninja imports this while it starts, in a thread that need not be the GUI's. So we attach when the user chooses
the command, and in the GUI thread. No plug-in is unloaded; the lease ends with Binary Ninja.
"""

from binaryninja import PluginCommand
from binaryninja.mainthread import execute_on_main_thread

from ._vendor import asyncslot

_panel = None


def show():
    """Attach, which is harmless the second time, and show the window. In the GUI thread."""
    global _panel
    lease = asyncslot.attach()
    if _panel is None:
        from .panel import SearchPanel

        _panel = SearchPanel(lease)
        _panel.resize(420, 480)
    _panel.show()
    _panel.raise_()
    return _panel


PluginCommand.register(
    "Async search",
    "Searches a service for pictures with asyncio while Binary Ninja stays usable",
    lambda view: execute_on_main_thread(show),
)

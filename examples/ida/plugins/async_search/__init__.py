"""Async search for IDA Pro: a window whose work is asyncio code on the event loop that IDA's GUI runs.

IDA puts its directory of plug-ins on sys.path, so the plug-in's file beside this package imports it by its name.
"""

from ._vendor import asyncslot

_panel = None


def start():
    """Attach. A second call changes nothing."""
    return asyncslot.attach()


def show():
    """Show the window, from Edit > Plugins."""
    global _panel
    lease = start()
    if _panel is None:
        from .panel import SearchPanel

        _panel = SearchPanel(lease)
        _panel.resize(420, 480)
    _panel.show()
    _panel.raise_()
    return _panel


def stop():
    """Detach: a search that is under way is cancelled."""
    global _panel
    asyncslot.detach()
    if _panel is not None:
        _panel.close()
        _panel.deleteLater()
        _panel = None

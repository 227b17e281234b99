"""Async search for Anki: a window whose work is asyncio code on the event loop that Anki itself runs.

Anki imports this while it starts, and calls the two hooks below each time a profile, and with it a collection, is
opened and closed. It unloads no add-on.
"""

from aqt import gui_hooks, mw
from aqt.qt import QAction

from ._vendor import asyncslot

_panel = None


def _show_panel():
    _panel.show()
    _panel.raise_()


def _open():
    """Attach, as there is a collection from now on. The lease is our hold on asyncio."""
    global _panel
    lease = asyncslot.attach()
    from .panel import SearchPanel

    _panel = SearchPanel(lease)
    _panel.resize(420, 480)


def _close():
    """Detach: the collection is about to be closed, and what works on it must have ended. Anki may quit after that."""
    global _panel
    asyncslot.detach()
    _panel.close()
    _panel.deleteLater()
    _panel = None


gui_hooks.profile_did_open.append(_open)
gui_hooks.profile_will_close.append(_close)

_action = QAction("Async search", mw)
_action.triggered.connect(lambda *_checked: _show_panel())
mw.form.menuTools.addAction(_action)

"""The panel of examples/chat, and its user: what tests/house/test_example_chat.py and test_example_chat_panel.py share.

`parts`, `settings` and `server` are fixtures, once a test file has made them such.
"""

import sys
import types

from chat_service import EXAMPLE, serving
from example_leftovers import forget

# The plug-ins' packages.
PACKAGES = {
    "qgis": EXAMPLE / "qgis" / "async_chat",
    "napari": EXAMPLE / "napari" / "src" / "napari_async_chat",
}


def parts(monkeypatch):
    """The package of the shared files, without an entry file: import_module() finds panel and client in it."""
    package = types.ModuleType("example_chat")
    package.__path__ = [str(PACKAGES["qgis"])]
    monkeypatch.setitem(sys.modules, "example_chat", package)
    yield "example_chat"
    forget("example_chat")


def settings(app, tmp_path):
    from qtpy.QtCore import QSettings

    return QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)


def server():
    with serving() as server:
        yield server


def send(panel, chat, question="Hello", model=None):
    if model is not None:
        panel.model.setText(model)
    chat.question.setPlainText(question)
    chat.send_button.click()


def is_idle(chat):
    return chat.send_button.isEnabled()


def said(chat):
    return chat.view.toPlainText()

"""Anki, as seen from inside. What story.py needs of it."""

import aqt
from PyQt6 import QtCore, QtWidgets

__all__ = ["QtCore", "QtWidgets"]


def version():
    return aqt.appVersion


def window():
    return aqt.mw


def is_ready():
    is_shown = window() is not None and window().isVisible() and window().col is not None
    return QtCore.QThread.currentThread().loopLevel() > 0 and is_shown


def begin():
    """Be active, which nobody can make a window where there is no window manager."""
    QtWidgets.QApplication.setActiveWindow(window())


def log_text():
    """The add-on's log, and the tooltip."""
    add_on = __name__.partition(".")[0]
    path = window().addonManager.logs_folder(add_on) / f"{add_on}.log"
    labels = [label.text() for label in window().findChildren(QtWidgets.QLabel) if label.isVisible()]
    return "\n".join([path.read_text(encoding="utf-8") if path.exists() else "", *labels])


def quit():
    window().close()

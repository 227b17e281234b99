"""Cura, as seen from inside. What story.py needs of it.

Cura's window is QML's, no widget that a dialog could have as its parent. So the guest has a small window of its own, as
a plug-in with widgets would.
"""

from PyQt5 import QtCore, QtWidgets
from UM.Application import Application

__all__ = ["QtCore", "QtWidgets"]

_kept = []


def version():
    return Application.getInstance().getVersion()


def is_ready():
    cura = Application.getInstance()
    main_window = cura.getMainWindow()
    is_shown = main_window is not None and main_window.isVisible()
    return QtCore.QThread.currentThread().loopLevel() > 0 and is_shown and cura.started


def window():
    return _kept[0] if _kept else None


def begin():
    """Open the guest's window, and be active, which nobody can make a window where there is no window manager."""
    label = QtWidgets.QLabel("The guest is here.")
    _kept.append(label)
    label.show()
    QtWidgets.QApplication.setActiveWindow(label)


def quit():
    Application.getInstance().closeApplication()

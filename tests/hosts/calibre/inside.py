"""calibre, as seen from inside. What story.py needs of it."""

from calibre.constants import __version__
from calibre.gui2.ui import get_gui
from PyQt6 import QtCore, QtWidgets

__all__ = ["QtCore", "QtWidgets"]


def version():
    return __version__


def is_ready():
    return QtCore.QThread.currentThread().loopLevel() > 0 and window() is not None and window().isVisible()


def window():
    return get_gui()


def begin():
    """Be active, which nobody can make a window where there is no window manager: plain Qt takes the active one."""
    QtWidgets.QApplication.setActiveWindow(window())


def log_text():
    """What calibre and Python's logging write to stderr; calibre has no other log."""
    with open("/proc/self/fd/2", encoding="utf-8", errors="replace") as output:
        return output.read()


def progress_display():
    windows = QtWidgets.QApplication.topLevelWidgets()
    dialogs = [each for each in windows if isinstance(each, QtWidgets.QProgressDialog) and each.isVisible()]
    return dialogs[0] if dialogs else None


def grab(path):
    """The screen, because the dialog is a window of its own."""
    window().screen().grabWindow(0).save(path)


def quit():
    QtCore.QTimer.singleShot(0, get_gui().quit)

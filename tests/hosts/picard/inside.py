"""Picard, as seen from inside. What story.py needs of it."""

from picard import PICARD_FANCY_VERSION_STR
from PyQt5 import QtCore, QtWidgets

__all__ = ["QtCore", "QtWidgets"]


def version():
    return PICARD_FANCY_VERSION_STR


def is_ready():
    return QtCore.QThread.currentThread().loopLevel() > 0 and window() is not None and window().isVisible()


def window():
    return getattr(QtCore.QCoreApplication.instance(), "window", None)


def begin():
    """Be active, which nobody can make a window where there is no window manager: plain Qt takes the active one."""
    QtWidgets.QApplication.setActiveWindow(window())


def log_text():
    """What Python's logging writes to stderr; Picard's own log is for its own logger only."""
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
    window().close()

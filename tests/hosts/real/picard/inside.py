"""Picard, as seen from inside. What story.py needs of it."""

from picard import PICARD_FANCY_VERSION_STR

from .binding import QtCore, QtWidgets

__all__ = ["QtCore", "QtWidgets"]


def version():
    return PICARD_FANCY_VERSION_STR


def window():
    return getattr(QtCore.QCoreApplication.instance(), "window", None)


def begin():
    """Be active, which nobody can make a window where there is no window manager: plain Qt takes the active one."""
    QtWidgets.QApplication.setActiveWindow(window())


def quit():
    window().close()

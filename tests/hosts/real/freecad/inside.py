"""FreeCAD, as seen from inside. What story.py needs of it."""

import FreeCAD
import FreeCADGui

from .binding import QtCore, QtWidgets

__all__ = ["QtCore", "QtWidgets"]


def version():
    return ".".join(FreeCAD.Version()[:3]).partition("R")[0]


def is_ready():
    return window() is not None and window().property("eventLoop") is True


def window():
    return FreeCADGui.getMainWindow()


def log_text():
    """The report view."""
    [view] = window().findChildren(QtWidgets.QTextEdit, "Report view") or [None]
    return view.toPlainText()


def progress_display():
    """Not FreeCAD's own bar, which stands in the status bar by itself, and is hidden."""
    bar = window().statusBar()
    meters = [meter for meter in bar.findChildren(QtWidgets.QProgressBar) if meter.isVisible()]
    return meters[0].parentWidget() if meters and meters[0].parentWidget() is not bar else None


def quit():
    FreeCADGui.runCommand("Std_Quit")

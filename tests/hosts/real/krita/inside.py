"""Krita, as seen from inside. What story.py needs of it."""

from krita import Krita

from .binding import QtCore, QtWidgets

__all__ = ["QtCore", "QtWidgets"]


def version():
    return Krita.instance().version()


def window():
    windows = Krita.instance().windows()
    return windows[0].qwindow() if windows else None


def begin():
    """Show the Log Viewer, and switch it on."""
    docker = _log_docker()
    docker.setFloating(True)  # docked below the others, it makes the window higher than the screen
    docker.setGeometry(20, 100, 560, 300)
    docker.show()
    window().setGeometry(0, 0, 1200, 900)
    docker.raise_()
    switch = docker.findChild(QtWidgets.QToolButton, "bnToggle")
    if not switch.isChecked():
        switch.click()


def log_text():
    """The Log Viewer, and the status bar, which has what a user sees without it."""
    return _log_docker().findChild(QtWidgets.QTextEdit).toPlainText() + "\n" + window().statusBar().currentMessage()


def _log_docker():
    return window().findChild(QtWidgets.QDockWidget, "LogDocker")


def progress_display():
    """In the status bar, or in a window of its own. Krita's own bar, that of an image, has no such button beside it."""
    meters = [meter for meter in window().findChildren(QtWidgets.QProgressBar) if meter.isVisible()]
    places = [meter.parentWidget() for meter in meters]
    return next((place for place in places if place.findChildren(QtWidgets.QPushButton)), None)


def grab(path):
    QtWidgets.QApplication.primaryScreen().grabWindow(0).save(path)


def quit():
    Krita.instance().action("file_quit").trigger()

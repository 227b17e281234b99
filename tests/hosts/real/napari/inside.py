"""napari, as seen from inside. What story.py needs of it."""

import napari
from napari.utils._logging import LOG_STREAM
from qtpy import QtCore, QtWidgets

__all__ = ["QtCore", "QtWidgets"]


def version():
    return napari.__version__


def window():
    viewer = napari.current_viewer()
    return None if viewer is None else viewer.window._qt_window


def begin():
    """Show the activities."""
    window().findChild(QtWidgets.QToolButton, "QtActivityButton").click()


def log_text():
    """What the window under Help, Show logs, is filled from, and the notifications.

    The window itself takes a message for HTML, and is not to be opened: at the end it would be called when it has been
    deleted.
    """
    notifications = [label.text() for label in window().findChildren(QtWidgets.QLabel) if label.isVisible()]
    return "\n".join(message for *_, message in LOG_STREAM.logs) + "\n" + "\n".join(notifications)


def progress_display():
    bars = [bar for bar in window().findChildren(QtWidgets.QProgressBar) if bar.isVisible()]
    return bars[0].parentWidget() if bars else None


def quit():
    napari.current_viewer().close()


def grab(path):
    """Without the notification, which napari puts in front of its activities."""
    for button in window().findChildren(QtWidgets.QPushButton, "close_button"):
        button.click()
    window().grab().save(path)

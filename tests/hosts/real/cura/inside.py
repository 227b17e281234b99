"""Cura, as seen from inside. What story.py needs of it.

Cura's window is QML's, no widget that a dialog could have as its parent. So the guest has a small window of its own, as
a plug-in with widgets would.
"""

from UM.Application import Application
from UM.Resources import Resources

from .binding import QtCore, QtWidgets

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
    """Open the guest's window, and be active, which nobody can make a window where there is no window manager.

    Debian's Cura greets with messages of its own about plug-ins that it lacks, behind an assistant for the first start.
    """
    Application.getInstance().getWelcomePagesModel().allFinished.emit()
    for message in list(Application.getInstance().getVisibleMessages()):
        message.hide()
    label = QtWidgets.QLabel("The guest is here.")
    _kept.append(label)
    label.show()
    QtWidgets.QApplication.setActiveWindow(label)


def when_quitting(callback):
    """As Cura 5 ends its process before aboutToQuit."""
    Application.getInstance().applicationShuttingDown.connect(callback)


def log_text():
    """The log, and the messages in the window."""
    with open(Resources.getStoragePath(Resources.Resources, "cura.log"), encoding="utf-8") as log:
        return log.read() + "\n".join(message.getText() for message in Application.getInstance().getVisibleMessages())


class _Shown:
    """A message with progress, as far as the checks ask for widgets."""

    def __init__(self, message):
        self._message = message

    def findChildren(self, kind):
        if kind is QtWidgets.QProgressBar:
            return [self]
        is_label = kind is QtWidgets.QLabel
        return [QtWidgets.QLabel(text) for text in (self._message.getTitle(), self._message.getText()) if is_label]

    def isVisible(self):
        return self._message.visible

    def value(self):
        return self._message.getProgress()

    def maximum(self):
        return self._message.getMaxProgress()


def _message():
    for message in Application.getInstance().getVisibleMessages():
        if message.getTitle() == "Downloading tiles":
            return message
    return None


def progress_display():
    return None if _message() is None else _Shown(_message())


def press_cancel():
    """As its QML does."""
    _message().actionTriggered.emit(_message(), "cancel")


def grab(path):
    QtWidgets.QApplication.primaryScreen().grabWindow(0).save(path)


def quit():
    """As its window does when it is closed, and its menu. Cura 5 is told of no end by closeApplication() itself."""
    Application.getInstance().checkAndExitApplication()

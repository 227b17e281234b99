"""QGIS, as seen from inside. What story.py needs of it."""

import qgis.utils
from qgis.core import Qgis, QgsApplication, QgsProject
from qgis.PyQt import QtCore, QtWidgets

__all__ = ["QtCore", "QtWidgets"]

_log = []


def version():
    return Qgis.QGIS_VERSION


def is_ready():
    return QtCore.QThread.currentThread().loopLevel() > 0 and window().isVisible()


def window():
    return qgis.utils.iface.mainWindow()


def begin():
    # Without a window manager no window is active, and QGIS then shows errors in a modal dialog.
    QtWidgets.QApplication.setActiveWindow(window())
    received = QgsApplication.messageLog().messageReceived[str, str, Qgis.MessageLevel]
    received.connect(lambda message, tag, level: _log.append(message))


def log_text():
    """The message log, as what it shows when it is opened."""
    return "\n".join(_log)


def progress_display():
    """The item that the message bar shows."""
    item = qgis.utils.iface.messageBar().currentItem()
    return item if item is not None and item.findChildren(QtWidgets.QProgressBar) else None


def press_cancel():
    [button] = progress_display().findChildren(QtWidgets.QPushButton)
    button.click()


def reload():
    assert qgis.utils.reloadPlugin(__name__.partition(".")[0])


def quit():
    QgsProject.instance().setDirty(False)  # or QGIS asks whether to save
    qgis.utils.iface.actionExit().trigger()

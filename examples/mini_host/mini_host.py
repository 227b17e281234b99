"""A small host application: a window, plug-ins, a log, and a heartbeat that shows whether the GUI thread is free.

    python mini_host.py [--plugins DIRECTORY]

For those who have no QGIS at hand. Like QGIS, it runs Qt's event loop and knows nothing of asyncio: everything about
asyncio that you see here is done by plug-ins, each with its own copy of asyncslot. Like QGIS, it starts its plug-ins
before that loop runs, and unloads them after the loop has ended.

Any Qt binding that QtPy supports will do.
"""

import argparse
import logging
import sys
import time
import traceback
from pathlib import Path

from heartbeat import Heartbeat
from plugin_manager import PluginManager
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QMainWindow,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)


class Host:
    """What a plug-in gets to see of this application (in QGIS: `iface`).

    Attributes: window, the main window; heartbeat; plugins, the plug-in manager.
    """

    def __init__(self, plugin_directory):
        self.plugins = PluginManager(self, plugin_directory)
        self.heartbeat = Heartbeat()
        self.window = MainWindow(self)

    def add_dock(self, dock):
        """Show a plug-in's QDockWidget at the window's right side."""
        self.window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)

    def remove_dock(self, dock):
        """Take a plug-in's QDockWidget away and delete it."""
        self.window.removeDockWidget(dock)
        dock.deleteLater()

    def log(self, text):
        """Add a message to the log panel, and print it for whoever started us from a terminal."""
        self.window.log_panel.add(text)
        self.show_status(text.partition("\n")[0])
        print(text, flush=True)

    def show_status(self, text):
        """Show a short text in the status line."""
        self.window.statusBar().showMessage(text)

    def mainWindow(self):
        """Return the main window, as QGIS's `iface` does."""
        return self.window

    def messageBar(self):
        """Return where plug-ins push messages, as QGIS's `iface` does: here too, into the log."""
        return self

    def pushMessage(self, text):
        """Take a message that was pushed."""
        self.log(text)

    def quit(self):
        """Close the window, which ends the program as the user would."""
        self.window.close()

    def log_exception(self, kind, exc, trace):
        """Show an exception that a slot let out (without an excepthook of its own, PyQt ends the program)."""
        self.log("".join(traceback.format_exception(kind, exc, trace)))


class MainWindow(QMainWindow):
    def __init__(self, host):
        super().__init__()
        self._host = host
        self.setWindowTitle("Mini host")
        self.resize(1080, 680)
        self.setDockOptions(QMainWindow.DockOption.AnimatedDocks)
        self.log_panel = LogPanel()
        self._plugin_list = QListWidget()
        self._plugin_list.setMaximumHeight(110)
        self._plugin_list.itemSelectionChanged.connect(self.show_plugins)
        self._load = self._button("Load", host.plugins.load)
        self._unload = self._button("Unload", host.plugins.unload)
        self._reload = self._button("Reload", host.plugins.reload)
        host.plugins.changed.connect(self.show_plugins)

        buttons = QHBoxLayout()
        for button in (self._load, self._unload, self._reload):
            buttons.addWidget(button)
        column = QVBoxLayout()
        column.addWidget(_heading("The GUI thread's heartbeat"))
        column.addWidget(host.heartbeat)
        column.addWidget(_heading("Plug-ins"))
        column.addWidget(self._plugin_list)
        column.addLayout(buttons)
        column.addWidget(_heading("Log"))
        column.addWidget(self.log_panel)
        centre = QWidget()
        centre.setLayout(column)
        self.setCentralWidget(centre)

    def show_plugins(self):
        """Bring the list of plug-ins and its buttons up to date."""
        names = self._host.plugins.available()
        self._plugin_list.blockSignals(True)
        if [self._name_in_row(row) for row in range(self._plugin_list.count())] != names:
            self._plugin_list.clear()
            self._plugin_list.addItems(names)
            self._plugin_list.setCurrentRow(0)
        for row, name in enumerate(names):
            mark = "\u25cf" if name in self._host.plugins.running else "\u25cb"
            self._plugin_list.item(row).setText(f"{mark} {name}")
        self._plugin_list.blockSignals(False)
        is_running = self._selected() in self._host.plugins.running
        self._load.setEnabled(self._selected() is not None and not is_running)
        self._unload.setEnabled(is_running)
        self._reload.setEnabled(is_running)

    def _button(self, label, action):
        button = QPushButton(label)
        button.clicked.connect(lambda checked=False: action(self._selected()))
        return button

    def _selected(self):
        row = self._plugin_list.currentRow()
        return self._name_in_row(row) if row >= 0 else None

    def _name_in_row(self, row):
        return self._plugin_list.item(row).text().split(" ", 1)[-1]


class LogPanel(QPlainTextEdit):
    """The log that users look at. Shows our own messages, and what Python's `logging` reports from any thread."""

    def __init__(self):
        super().__init__()
        self.setReadOnly(True)
        self.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._handler = _LogHandler()
        self._handler.bridge.message.connect(self.add)
        logging.getLogger().addHandler(self._handler)

    def add(self, text):
        self.appendPlainText(f"{time.strftime('%H:%M:%S')}  {text}")


class _LogHandler(logging.Handler):
    """Carries log records into the GUI thread: a signal emitted in another thread is delivered in the receiver's."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.bridge = _Bridge()

    def emit(self, record):
        self.bridge.message.emit(self.format(record))


class _Bridge(QObject):
    message = Signal(str)


def _heading(text):
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold; margin-top: 6px;")
    return label


def main():
    parser = argparse.ArgumentParser(description="A small Qt application with plug-ins.")
    parser.add_argument("--plugins", type=Path, default=Path(__file__).parent / "plugins", help="their directory")
    arguments = parser.parse_args()

    app = QApplication(sys.argv[:1])
    app.setStyle("Fusion")
    host = Host(arguments.plugins.resolve())
    sys.excepthook = host.log_exception
    host.window.show()
    host.window.show_plugins()
    host.plugins.load_all()
    exit_code = app.exec()
    # As in QGIS: Qt's loop has ended and aboutToQuit was emitted before the plug-ins are told.
    host.plugins.unload_all()
    return exit_code


if __name__ == "__main__":
    sys.exit(main())

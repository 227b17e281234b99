"""The search panel: words, a list of what was found, and two buttons. It runs in every host with a Qt of its own.

Import it after attach(): by then the host's Qt binding is loaded, whichever it is. A plug-in for one host would just
write `from PySide6.QtWidgets import ...`.
"""

import asyncio
import importlib
import sys

from .search import SERVICE, SearchError, fetch_page


def _binding():
    """Return the name of the loaded Qt binding: the one whose application runs, should somebody have loaded two."""
    loaded = [name for name in ("PySide6", "PyQt6", "PySide2", "PyQt5") if name + ".QtCore" in sys.modules]
    running = [name for name in loaded if sys.modules[name + ".QtCore"].QCoreApplication.instance() is not None]
    if not running:
        raise ImportError("panel.py was imported before there was a Qt application; call attach() first")
    return running[0]


_name = _binding()
QtCore = importlib.import_module(_name + ".QtCore")
QtGui = importlib.import_module(_name + ".QtGui")
QtWidgets = importlib.import_module(_name + ".QtWidgets")

TITLE = "Async search"
COLUMNS = ["Title", "By", "Licence"]
LINK = QtCore.Qt.ItemDataRole.UserRole


class SearchPanel(QtWidgets.QWidget):
    """Searches for one thing at a time.

    Args:
        lease: what `asyncslot.attach()` returned; the searches run under it.
        parent: a QWidget, or None.
    """

    def __init__(self, lease, parent=None):
        super().__init__(parent)
        self._lease = lease
        self._task = None
        self._build()

        # A slot that is a coroutine function: each emission starts it as a task. Pressed again while one is under
        # way, it cancels that and starts anew; and a host that deletes this panel cancels it, too.
        search = lease.slot(self._search, on_repeat="restart", cancel_with_receiver=True)
        self.words.returnPressed.connect(search)
        self.search_button.clicked.connect(search)
        self.cancel_button.clicked.connect(self._cancel)
        self.results.itemActivated.connect(self._open)

    def _build(self):
        self.setObjectName("AsyncSearchPanel")
        self.setWindowTitle(TITLE)
        self.words = QtWidgets.QLineEdit()
        self.words.setPlaceholderText("Search for pictures")
        self.words.setClearButtonEnabled(True)
        self.search_button = QtWidgets.QPushButton("Search")
        self.cancel_button = QtWidgets.QPushButton("Cancel")
        self.cancel_button.setEnabled(False)
        self.results = QtWidgets.QTreeWidget()
        self.results.setHeaderLabels(COLUMNS)
        self.results.setRootIsDecorated(False)
        self.results.setUniformRowHeights(True)
        self.results.setToolTip("Activate a line to open its page in the browser")
        self.results.header().setStretchLastSection(False)
        for column, mode in enumerate(("Stretch", "Interactive", "ResizeToContents")):
            self.results.header().setSectionResizeMode(column, getattr(QtWidgets.QHeaderView.ResizeMode, mode))
        self.results.setColumnWidth(1, 80)
        self.status = QtWidgets.QLabel("Nothing searched for yet")
        self.status.setWordWrap(True)
        self.service = QtWidgets.QLineEdit(SERVICE)
        self.service.setCursorPosition(0)
        self.service.setToolTip("The address of the search service; {words} and {page} are filled in")

        buttons = QtWidgets.QHBoxLayout()
        buttons.addWidget(self.search_button)
        buttons.addWidget(self.cancel_button)
        form = QtWidgets.QFormLayout()
        form.addRow("Service", self.service)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.words)
        layout.addLayout(buttons)
        layout.addWidget(self.results, 1)
        layout.addWidget(self.status)
        layout.addLayout(form)

    async def _search(self):
        words = self.words.text().strip()
        if not words:
            self.status.setText("Type what to search for.")
            return
        self._task = asyncio.current_task()
        self._show_busy(True)
        self.results.clear()
        self.status.setText("Asking ...")
        try:
            # The host shows how far we are in its own way; its own Cancel button cancels this task.
            async with self._lease.progress(f"Searching for {words}") as progress:
                page, pages = 0, 1
                while page < pages:
                    page += 1
                    found, pages = await fetch_page(self.service.text().strip(), words, page)
                    self._show(found)
                    progress.update(page / max(pages, 1), f"page {page} of {pages}")
            self.status.setText(f"{self.results.topLevelItemCount()} found")
        except asyncio.CancelledError:
            self._say_if_alive("Cancelled")
            raise  # always: whoever cancelled us must see that it worked
        except (SearchError, OSError) as exc:
            self.status.setText(f"Failed: {exc}")
        finally:
            self._task = None
            self._show_busy(False)
        # Any other exception is a mistake in this code. Nobody awaits a slot, so it goes to the host's own log.

    def _show(self, found):
        for result in found:
            item = QtWidgets.QTreeWidgetItem([result.title or "(no title)", result.creator, result.license])
            item.setData(0, LINK, result.link)
            self.results.addTopLevelItem(item)
        self.status.setText(f"{self.results.topLevelItemCount()} found so far ...")

    def _open(self, item):
        link = item.data(0, LINK)
        if link.startswith(("http://", "https://")):  # what a service sends is not to be trusted with more
            QtGui.QDesktopServices.openUrl(QtCore.QUrl(link))

    def _cancel(self):
        if self._task is not None:
            self._task.cancel()

    def _say_if_alive(self, text):
        try:
            self.status.setText(text)
        except RuntimeError:  # we are cancelled because the host has deleted this panel
            pass

    def _show_busy(self, is_busy):
        try:
            self.cancel_button.setEnabled(is_busy)
        except RuntimeError:  # as above
            pass

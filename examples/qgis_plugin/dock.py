"""The dock: a URL, a file name, a button that downloads the one into the other, and one that cancels it."""

import asyncio
from pathlib import Path

from qgis.gui import QgsFileWidget
from qgis.PyQt.QtWidgets import (
    QDockWidget,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from .download import DownloadError, download


class DownloadDock(QDockWidget):
    """Downloads one file at a time.

    Args:
        lease: what `asyncslot.attach()` returned; the downloads run under it.
        parent: the main window.
    """

    def __init__(self, lease, parent):
        super().__init__("Async download", parent)
        self._lease = lease
        self._task = None
        self._build()

        # A slot that is a coroutine function: each click starts it as a task. Its first part, up to the first
        # `await` that has to wait, runs inside the click. So the button is disabled before a second click can come.
        self.download_button.clicked.connect(lease.slot(self._download))
        self.cancel_button.clicked.connect(self._cancel)

    def _build(self):
        self.setObjectName("AsyncDownloadDock")  # under this name QGIS remembers where the user has put it
        self.url = QLineEdit()
        self.url.setPlaceholderText("http:// or https://")
        self.file = QgsFileWidget()
        self.file.setStorageMode(QgsFileWidget.StorageMode.SaveFile)
        self.download_button = QPushButton("Download")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setEnabled(False)
        self.progress = QProgressBar()
        self.status = QLabel()
        self.status.setWordWrap(True)

        form = QFormLayout()
        form.addRow("URL", self.url)
        form.addRow("Save as", self.file)
        buttons = QHBoxLayout()
        buttons.addWidget(self.download_button)
        buttons.addWidget(self.cancel_button)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addStretch()
        self.setWidget(content)

    async def _download(self):
        url, path = self.url.text().strip(), self.file.filePath()
        if not path:
            self.status.setText("Choose a file to save to.")
            return
        self._task = asyncio.current_task()
        self._show_busy(True)
        self.status.setText("Connecting ...")
        try:
            content = await download(url, self._show_progress)
            # Writing blocks for as long as the disk takes, so a thread does it. Only what blocks goes there.
            await self._lease.to_thread(Path(path).write_bytes, content)
        except asyncio.CancelledError:
            self.status.setText("Cancelled.")
            raise  # always: whoever cancelled us must see that it worked
        except (DownloadError, OSError) as exc:
            self.status.setText(f"Failed: {exc}")
        else:
            self.status.setText(f"{len(content):,} bytes saved to {path}")
        finally:
            self._task = None
            self._show_busy(False)
        # Any other exception is a mistake in this code. Nobody awaits a slot, so it goes to the log of QGIS.

    def _cancel(self):
        if self._task is not None:
            self._task.cancel()

    def _show_busy(self, is_busy):
        self.download_button.setEnabled(not is_busy)
        self.cancel_button.setEnabled(is_busy)
        self.progress.setMaximum(100)
        self.progress.setValue(0)

    def _show_progress(self, received, total):
        if total is None:
            self.progress.setMaximum(0)  # Qt then shows that it is busy, and not how far it is
            self.status.setText(f"{received:,} bytes")
        else:
            self.progress.setValue(received * 100 // max(total, 1))
            self.status.setText(f"{received:,} of {total:,} bytes")

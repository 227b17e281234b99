"""The plug-in and its dock: everything that touches Qt.

Look at three places to see how asyncio and Qt meet: `initGui` and `unload`, one line each; the connection of a button
to a coroutine function; and that function, `download`, which reads from top to bottom although the window stays alive
all the way.
"""

import asyncio
import hashlib

from qtpy.QtWidgets import QDockWidget, QHBoxLayout, QLabel, QLineEdit, QProgressBar, QPushButton, QVBoxLayout, QWidget

from ._vendor import asyncslot
from .http_download import DownloadError, download


class DownloaderPlugin:
    def __init__(self, host):
        self._host = host
        self.dock = None

    def initGui(self):
        lease = asyncslot.attach()
        self.dock = DownloaderDock(lease)
        self._host.add_dock(self.dock)

    def unload(self):
        # First our tasks, while everything that they use is still there; then the dock.
        report = asyncslot.detach()
        self._host.log(str(report))
        self._host.remove_dock(self.dock)
        self.dock = None


class DownloaderDock(QDockWidget):
    def __init__(self, lease):
        super().__init__("Downloader")
        self._lease = lease
        self._task = None
        self.url = QLineEdit()
        self.url.setPlaceholderText("http://...")
        self.start = QPushButton("Download")
        self.stop = QPushButton("Stop")
        self.stop.setEnabled(False)
        self.progress = QProgressBar()
        self.result = QLabel("Nothing downloaded yet")
        self.result.setWordWrap(True)
        self.setWidget(self._layout())

        self.start.clicked.connect(asyncslot.asyncSlot(self._download))
        self.stop.clicked.connect(self._stop)

    async def _download(self):
        """Download the URL; runs from the click on, up to its first `await`, before the click is over."""
        self._task = asyncio.current_task()
        self._show_busy(True)
        try:
            body = await download(self.url.text(), self._show_progress)
            # Work that would keep the window waiting goes to a thread.
            digest = await self._lease.to_thread(sha256_hex, body)
        except asyncio.CancelledError:
            # The Stop button, or unload(). Whoever catches this lets it go on.
            self.result.setText("Stopped")
            raise
        except (OSError, DownloadError) as exc:
            self.result.setText(f"Failed: {exc}")
        else:
            self.result.setText(f"{len(body):,} bytes\nSHA-256 {digest[:32]} {digest[32:]}")
        finally:
            self._task = None
            self._show_busy(False)

    def _stop(self):
        if self._task is not None:
            self._task.cancel()

    def _show_busy(self, is_busy):
        self.start.setEnabled(not is_busy)
        self.stop.setEnabled(is_busy)
        if is_busy:
            self.progress.setValue(0)
            self.result.setText("Connecting ...")

    def _show_progress(self, done, total):
        self.progress.setMaximum(total)
        self.progress.setValue(done)
        self.result.setText(f"{done:,} of {total:,} bytes")

    def _layout(self):
        buttons = QHBoxLayout()
        buttons.addWidget(self.start)
        buttons.addWidget(self.stop)
        column = QVBoxLayout()
        column.addWidget(self.url)
        column.addLayout(buttons)
        column.addWidget(self.progress)
        column.addWidget(self.result)
        body = QWidget()
        body.setLayout(column)
        body.setMaximumHeight(body.sizeHint().height() + self.result.fontMetrics().lineSpacing() * 3)
        return body


def sha256_hex(data):
    return hashlib.sha256(data).hexdigest()

"""The dock: the address of a cluster, a button that starts the work there, and what came of it."""

import asyncio

from qgis.PyQt.QtWidgets import (
    QDockWidget,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from . import cluster


class FarthestDock(QDockWidget):
    """Finds the two features of the active layer that are farthest apart, and selects them.

    Args:
        lease: what `asyncslot.attach()` returned; the work is awaited under it.
        iface: QGIS.
    """

    def __init__(self, lease, iface):
        super().__init__("Async Dask", iface.mainWindow())
        self._lease = lease
        self._iface = iface
        self._task = None
        self._build()
        # "drop": one run at a time. A click during a run is ignored.
        self.start_button.clicked.connect(lease.slot(self._run, on_repeat="drop"))
        self.cancel_button.clicked.connect(self._cancel)

    def _build(self):
        self.setObjectName("AsyncDaskDock")  # under this name QGIS remembers where the user has put it
        self.address = QLineEdit("tcp://127.0.0.1:8786")
        self.start_button = QPushButton("Find farthest pair")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setEnabled(False)
        self.status = QLabel("Takes the features of the active vector layer.")
        self.status.setWordWrap(True)
        form = QFormLayout()
        form.addRow("Scheduler", self.address)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start_button)
        buttons.addWidget(self.cancel_button)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self.status)
        layout.addStretch()
        self.setWidget(content)

    async def _run(self):
        layer = self._iface.activeLayer()
        if not hasattr(layer, "getFeatures"):
            self.status.setText("Choose a vector layer first.")
            return
        # Reading a layer is for the GUI thread. What goes to the cluster are plain numbers.
        ids, points = _centres(layer)
        if len(points) < 2:
            self.status.setText("The layer has fewer than two features with a geometry.")
            return
        self._task = asyncio.current_task()
        self._show_busy(True)
        try:
            async with self._lease.progress("Farthest pair") as progress:
                self.status.setText("Loading Dask ...")
                distributed = await self._lease.to_thread(cluster.load)
                self.status.setText(f"{len(points):,} features are with the cluster ...")
                distance, one, other = await cluster.farthest_pair(
                    distributed,
                    self.address.text().strip(),
                    points,
                    lambda done, total: progress.update(done / total, f"{done} of {total} parts"),
                )
        except asyncio.CancelledError:
            self.status.setText("Cancelled.")
            raise  # always: whoever cancelled us must see that it worked
        except ImportError as exc:
            self.status.setText(f"Dask is not installed for the Python of QGIS: {exc}")
        except OSError as exc:
            self.status.setText(f"No cluster: {exc}")
        else:
            self._select(layer, [ids[one], ids[other]], distance)
        finally:
            self._task = None
            self._show_busy(False)

    def _select(self, layer, ids, distance):
        try:
            layer.selectByIds(ids)
        except RuntimeError:  # the user has removed the layer meanwhile: QGIS stayed usable, after all
            self.status.setText("The layer is gone.")
            return
        self.status.setText(f"{distance:,.3f} map units apart; the two are selected now.")

    def _cancel(self):
        if self._task is not None:
            self._task.cancel()

    def _show_busy(self, is_busy):
        self.start_button.setEnabled(not is_busy)
        self.cancel_button.setEnabled(is_busy)


def _centres(layer):
    """Return the ids of the features that have a geometry, and the centre of each as (x, y)."""
    ids, points = [], []
    for feature in layer.getFeatures():
        if feature.hasGeometry():
            centre = feature.geometry().centroid().asPoint()
            ids.append(feature.id())
            points.append((centre.x(), centre.y()))
    return ids, points

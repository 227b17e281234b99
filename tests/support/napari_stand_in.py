"""A stand-in for napari, of what its adapter uses: test_adapter_napari.py makes modules of it.

It is strict: what napari lacks is missing, and its bars process events where napari's do.
"""

import types


class Napari:
    """A napari whose window is a plain widget."""

    def __init__(self, window):
        self.window = window
        self.viewer = types.SimpleNamespace(window=types.SimpleNamespace(_qt_window=window))
        self.notifications = []
        self.bars = []

    def show_error(self, message):
        from qtpy import QtWidgets

        self.notifications.append(message)
        QtWidgets.QLabel(message, self.window).show()


def bar_class(napari):
    """Return a stand-in for napari.utils.cancelable_progress: tqdm's bookkeeping, and napari's in its window."""
    from qtpy import QtWidgets

    class Bar:
        def __init__(
            self, iterable=None, desc=None, total=None, nest_under=None, cancel_callback=None, *, file, **tqdm
        ):
            assert set(tqdm) <= {"bar_format"}
            file.write("tqdm writes a line end here")
            self.n, self.desc, self.is_canceled, self._total = 0, desc, False, total
            napari.bars.append(self)
            self._paint()

        @property
        def total(self):
            return self._total

        @total.setter
        def total(self, total):
            self._total = total

        def update(self, n=1):
            self.n += n
            self._paint()

        def set_description(self, desc):
            self.desc = desc + ": "
            self._paint()

        def close(self):
            napari.bars.remove(self)

        def cancel(self):
            self.is_canceled = True

        def _paint(self):
            QtWidgets.QApplication.processEvents()

    return Bar

"""What the tests of several adapters need of a host that is only half there, or on its way out. Knows no adapter."""

import types

import pytest


class Gone:
    """An object behind which the C++ one was deleted: whatever is asked of it raises, as PyQt and PySide do."""

    def __getattr__(self, name):
        raise RuntimeError("wrapped C/C++ object has been deleted")


class Signal:
    """A signal of an object.

    Args:
        refusal: what disconnect() raises for a slot that is not connected: PyQt a TypeError, PySide a RuntimeError.
    """

    def __init__(self, refusal=TypeError):
        self.slots = []
        self._refusal = refusal

    def connect(self, slot):
        self.slots.append(slot)

    def disconnect(self, slot):
        if slot not in self.slots:
            raise self._refusal("the slot is not connected")
        self.slots.remove(slot)

    def emit(self):
        for slot in list(self.slots):
            slot()


def core_with_application(about_to_quit, **others):
    """Return a stand-in for QtCore, whose application has the signal `aboutToQuit`, with `others` of its names."""
    application = types.SimpleNamespace(aboutToQuit=about_to_quit)
    return types.SimpleNamespace(QCoreApplication=types.SimpleNamespace(instance=lambda: application), **others)


def error():
    """Return an exception with a traceback."""
    try:
        raise ValueError("spoilt")
    except ValueError as exc:
        return exc


def use_progress_in_status_bar(adapter, window):
    """Show and cancel progress, and say what is wrong with it; the widgets are real ones of this process's binding."""
    from qtpy import QtWidgets

    window.show()
    cancelled = []
    progress = adapter.progress("<Tiles>", lambda: cancelled.append(True))
    bar = window.statusBar()
    [meter] = bar.findChildren(QtWidgets.QProgressBar)
    [label] = bar.findChildren(QtWidgets.QLabel)
    progress.update(1 / 3, "80 & more")
    assert meter.value() / meter.maximum() == pytest.approx(1 / 3, abs=0.001)
    assert label.text() == "<Tiles>: 80 & more"
    progress.update(None, "")
    assert (meter.minimum(), meter.maximum()) == (0, 0)
    assert label.text() == "<Tiles>"
    progress.update(0.5, "")
    assert meter.value() / meter.maximum() == 0.5

    [button] = bar.findChildren(QtWidgets.QPushButton)
    button.click()
    button.click()
    assert cancelled == [True]
    progress.close()
    progress.close()
    assert meter.parentWidget().isHidden()


def use_progress_that_has_gone(adapter):
    """Go on with progress whose widgets were deleted, with their window or by the user: it cancels nothing."""
    cancelled = []
    progress = adapter.progress("Tiles", lambda: cancelled.append(True))
    progress._meter = progress._bar = Gone()
    progress.update(0.5, "into the void")
    progress.close()
    assert cancelled == []

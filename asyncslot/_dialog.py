"""A progress dialog, for hosts that have no progress display of their own.

It never blocks: not modal, and shown at once or never. It knows nothing of tasks;
what its button calls, whoever makes it says.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, Optional

_STEPS = 1000


def make_dialog(host: Any, title: str, cancel: Callable[[], None]) -> Optional[ProgressDialog]:
    """Return a dialog as an adapter's `progress()` would, or None in a host without widgets.

    Thread: GUI thread only.
    """
    qt_core = host.qt_core()
    # What is not loaded by now, this application does not use; loading it is not for us.
    widgets = sys.modules.get(qt_core.__name__.rpartition(".")[0] + ".QtWidgets")
    application = qt_core.QCoreApplication.instance()
    if widgets is None or application is None or not application.inherits("QApplication"):
        return None
    return ProgressDialog(qt_core, widgets, host.gui_parent(), title, cancel)


class ProgressDialog:
    """A small window with a bar, a line of text and a Cancel button."""

    def __init__(self, qt_core: Any, widgets: Any, parent: Any, title: str, cancel: Callable[[], None]) -> None:
        # The context in which Qt's own dialogs look up this word: the user sees it in the host's language.
        button = qt_core.QCoreApplication.translate("QPlatformTheme", "Cancel")
        self._dialog = dialog = widgets.QProgressDialog(title, button, 0, _STEPS, parent)
        self._title = title
        self._cancel: Optional[Callable[[], None]] = cancel
        dialog.setWindowTitle(title)
        dialog.setAutoClose(False)
        dialog.setAutoReset(False)
        dialog.setMinimumDuration(0)
        # A host whose windows are all closed but this one is to quit all the same.
        attributes = getattr(qt_core.Qt, "WidgetAttribute", qt_core.Qt)
        dialog.setAttribute(attributes.WA_QuitOnClose, False)
        # By default a press of the button also hides the dialog, before the task has ended.
        dialog.canceled.disconnect()
        dialog.canceled.connect(self._on_canceled)
        dialog.show()

    def _on_canceled(self) -> None:
        cancel, self._cancel = self._cancel, None
        if cancel is not None:
            cancel()

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show how far it is: 0..1, or None while nobody can tell."""
        try:
            self._dialog.setMaximum(0 if fraction is None else _STEPS)
            if fraction is not None:
                self._dialog.setValue(round(fraction * _STEPS))
            self._dialog.setLabelText(f"{self._title}\n{text}" if text else self._title)
        except RuntimeError:
            pass  # it has gone with its parent

    def close(self) -> None:
        """Take the dialog away. May be called twice."""
        self._cancel = None  # closing counts as cancelling, for Qt
        try:
            self._dialog.close()
            self._dialog.deleteLater()
        except RuntimeError:
            pass  # see update()

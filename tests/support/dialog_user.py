"""Dialogs that are awaited, and their user: what tests/surface/test_dialog*.py share.

`ask` is a fixture, once a test file has made it such.
"""

from qtpy import QtCore, QtWidgets

from asyncslot import asyncDialog

Button = QtWidgets.QMessageBox.StandardButton
Code = QtWidgets.QDialog.DialogCode


def exec_of(dialog):
    """Return the method: PySide2's `exec` does not tell whose it is."""
    return getattr(dialog, "exec_", None) or dialog.exec


def when(is_so, function):
    """Have Qt call a function, as it calls a plain slot, as soon as a condition holds; inside another's exec(), too."""
    if is_so():
        QtCore.QTimer.singleShot(0, function)
    else:
        QtCore.QTimer.singleShot(1, lambda: when(is_so, function))


def ask(lease, spin):
    """Return a function that awaits a dialog, has Qt call `user` when it is open, and returns the answer."""

    def ask(dialog, *users):
        task = lease.create_task(asyncDialog(dialog))
        for user in users:
            spin(dialog.isVisible)
            user(dialog)
        spin(task.done)
        assert not dialog.isVisible()
        return task.result()

    return ask


def box(*buttons):
    made = QtWidgets.QMessageBox()
    made.setText("Stop the download?")
    for button in buttons:
        made.addButton(button)
    return made

"""Senders of signals, and two things that each binding spells in its own way."""

import sys

from qtpy import API_NAME, QtCore

from asyncslot._binding import _clear_away


class Sender(QtCore.QObject):
    none = QtCore.Signal()
    one = QtCore.Signal(int)
    two = QtCore.Signal(int, str)
    python = QtCore.Signal(object)
    pair = QtCore.Signal(QtCore.QObject, QtCore.QPoint)


def receivers(sender, signal, signature):
    """How many connections a signal has."""
    if API_NAME.startswith("PyQt"):
        return sender.receivers(signal)
    return sender.receivers(QtCore.SIGNAL(signature))


def is_disconnected(sender, signal, signature):
    """Whether a signal has no connection.

    In PyQt before 5.15 what an ended wait has left behind stays connected, to nothing, until the next one. We do what
    the next one does.
    """
    if API_NAME == "PyQt5" and QtCore.PYQT_VERSION < 0x050F00:
        _clear_away(signal, signature)
    return receivers(sender, signal, signature) == 0


def delete_at_once(qobject):
    """Delete a QObject as C++ does: at once, while Python still has its wrapper."""
    if API_NAME.startswith("PyQt"):
        sys.modules[f"{API_NAME}.sip"].delete(qobject)
    else:
        sys.modules[f"shiboken{API_NAME[-1]}"].delete(qobject)

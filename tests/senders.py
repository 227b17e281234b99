"""Senders of signals, and two things that each binding spells in its own way."""

import sys

from qtpy import API_NAME, QtCore


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


def delete_at_once(qobject):
    """Delete a QObject as C++ does: at once, while Python still has its wrapper."""
    if API_NAME.startswith("PyQt"):
        sys.modules[f"{API_NAME}.sip"].delete(qobject)
    else:
        sys.modules[f"shiboken{API_NAME[-1]}"].delete(qobject)

"""What a test of an example leaves in this process: the example's modules, and its widgets."""

import sys


def forget(name):
    """Drop a package and its modules, as if they had never been imported."""
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


def is_alive(widget):
    """Return whether Qt has not deleted it yet."""
    try:
        widget.objectName()
    except RuntimeError:
        return False
    return True

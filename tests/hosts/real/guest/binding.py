"""The Qt of a host that is there with more than one binding: that which this process has loaded."""

import importlib
import sys

[_NAME] = [name for name in ("PyQt5", "PyQt6", "PySide2", "PySide6") if f"{name}.QtCore" in sys.modules]

QtCore = importlib.import_module(f"{_NAME}.QtCore")
QtWidgets = importlib.import_module(f"{_NAME}.QtWidgets")

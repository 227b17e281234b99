# What host_adapters/binary_ninja.py uses of Binary Ninja's UI. See binaryninja.pyi.

from typing import Any

class UIContext:
    @staticmethod
    def activeContext() -> UIContext: ...
    def mainWindow(self) -> Any: ...

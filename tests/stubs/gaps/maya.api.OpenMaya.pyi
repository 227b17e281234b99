# What types-maya 0.6.1 leaves "Incomplete". Source: Autodesk's Python API 2.0 reference.

from typing import Any, Callable

class MGlobal:
    @staticmethod
    def displayError(__text: str) -> None: ...

class MSceneMessage(MMessage):  # noqa: F821 (of the stub)
    kMayaExiting: int
    @staticmethod
    def addCallback(__message: int, __function: Callable[..., object], __client_data: Any = ...) -> int: ...

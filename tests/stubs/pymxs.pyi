# What host_adapters/max3ds.py uses of 3ds Max's pymxs, written for mypy and for the stand-in: there are no stubs of it
# to be had. Source: Autodesk's MAXScript reference, pages "General Event Callback Mechanism" and "Log System".
# MAXScript ignores case; pymxs takes any spelling, this stub only the usual one.

from typing import Callable

class _Name: ...

class _Callbacks:
    def addScript(
        self, type: _Name, script: Callable[[], object], *, id: _Name = ..., persistent: bool = ...
    ) -> bool: ...
    def removeScripts(self, type: _Name = ..., *, id: _Name = ...) -> bool: ...

class _LogSystem:
    def logEntry(
        self,
        text: str,
        *,
        debug: bool = ...,
        info: bool = ...,
        warning: bool = ...,
        error: bool = ...,
        broadcast: bool = ...,
    ) -> bool: ...

class _MaxOps:
    def isInNonInteractiveMode(self) -> bool: ...

class _Runtime:
    callbacks: _Callbacks
    logsystem: _LogSystem
    maxops: _MaxOps
    def Name(self, name: str) -> _Name: ...

runtime: _Runtime

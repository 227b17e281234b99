# What host_adapters/ida.py uses of IDAPython's ida_idaapi. Source: Hex-Rays' IDAPython reference, module ida_idaapi.

from typing import Callable

NW_TERMIDA: int
NW_REMOVE: int

def notify_when(when: int, callback: Callable[..., object]) -> bool: ...

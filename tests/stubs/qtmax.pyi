# What host_adapters/max3ds.py uses of 3ds Max's qtmax. See pymxs.pyi.

from typing import Any

def GetQMaxMainWindow() -> Any: ...

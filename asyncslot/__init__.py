"""asyncio inside a host application that already runs Qt."""

__version__ = "0.4.0.dev0"

"""Async download: an example of a QGIS plug-in whose work is asyncio code."""


def classFactory(iface):  # QGIS looks for exactly this name
    """Return the plug-in. QGIS calls this once after each import of the package."""
    from .plugin import Plugin

    return Plugin(iface)

"""QGIS MCP: an example of a QGIS plug-in that is a server, for clients of the Model Context Protocol."""


def classFactory(iface):  # QGIS looks for exactly this name
    """Return the plug-in. QGIS calls this once after each import of the package."""
    from .plugin import Plugin

    return Plugin(iface)

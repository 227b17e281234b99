"""Puts a picture together from many small files, several of which are on their way at any time."""


def classFactory(host):
    """Make the plug-in: the function that the host looks for."""
    from .plugin import MosaicPlugin

    return MosaicPlugin(host)

"""Downloads one file, shows how far it is, and can be stopped at any time."""


def classFactory(host):
    """Make the plug-in: the function that the host looks for."""
    from .plugin import DownloaderPlugin

    return DownloaderPlugin(host)

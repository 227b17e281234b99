"""A plug-in that uses asyncslot in every way that tests/test_qgis.py asks about."""


def classFactory(iface):
    from .guest import Guest

    return Guest(iface)

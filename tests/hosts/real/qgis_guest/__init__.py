"""A plug-in that uses asyncslot in every way that tests/hosts/test_qgis.py asks about."""


def classFactory(iface):
    from .guest import Guest

    return Guest(iface)

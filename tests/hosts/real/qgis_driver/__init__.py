"""Plays through the scenario of tests/hosts/test_qgis.py inside QGIS."""


def classFactory(iface):
    from .driver import Driver

    return Driver(iface)

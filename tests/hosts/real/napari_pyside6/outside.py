"""napari with PySide6; all else is as in ../napari."""

from lib import hosts


class Host(hosts.find("napari")):
    NAME = "napari with PySide6"
    API = "pyside6"
    # Not 6.12: on Python 3.11 that one loses references to None until the process dies (seen 2026-11).
    REQUIREMENTS = ("napari==0.9.2", "PySide6-Essentials==6.11.*")

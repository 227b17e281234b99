"""QGIS, as seen from outside: Debian's 3.22 to 3.44. What is particular about QGIS is tested in test_qgis.py."""

from lib.hosts import GUEST, Application
from lib.machine import QGIS

_METADATA = """\
[general]
name=asyncslot guest
qgisMinimumVersion=3.16
qgisMaximumVersion=4.99
supportsQt6=True
description=Plays the checks of asyncslot
version=1.0
author=The asyncslot authors
"""

_ENTRY = """

class _Plugin:
    def initGui(self):
        start()

    def unload(self):
        stop()


def classFactory(iface):
    return _Plugin()
"""

# First-run questions and tips would cover the window, and the version check would ask the network.
_SETTINGS = f"""\
[qgis]
checkVersion=false
showTips{{}}{{:02}}=false

[PythonPlugins]
{GUEST}=true
"""


class Host(Application):
    NAME = ADAPTER = "QGIS"
    PROGRAM = "qgis"
    PACKAGES = tuple(QGIS)
    CAN_RELOAD = True

    def install(self):
        profile = self.data / "profiles" / "test"
        plugins = profile / "python" / "plugins"
        plugins.mkdir(parents=True)
        guest = self.put_guest(plugins)
        with open(guest / "__init__.py", "a", encoding="utf-8") as source:
            source.write(_ENTRY)
        (guest / "metadata.txt").write_text(_METADATA)
        (profile / "QGIS").mkdir()
        (profile / "QGIS" / "QGIS3.ini").write_text(_SETTINGS.format(*self.version()))

    def command(self):
        profile = ["--profiles-path", str(self.data), "--profile", "test"]
        return [self.PROGRAM, *profile, "--nologo", "--noversioncheck"]

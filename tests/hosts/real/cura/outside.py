"""Cura, as seen from outside: Debian's 4.13 and 5, a plug-in that is a package in the user's directory of them."""

import json

from lib.hosts import Application

_PLUGIN = '''

def getMetaData():
    return {}


def register(app):
    """Start, once Cura asks what its plug-in has to offer: nothing."""
    start()
    return {}
'''

_METADATA = {
    "name": "asyncslot guest",
    "author": "asyncslot",
    "version": "1.0.0",
    "description": "Plays a story.",
    "api": "7.9.0",
    "supported_sdk_versions": ["7.9.0", "8.0.0"],
}


class Host(Application):
    NAME = ADAPTER = "Cura"
    PROGRAM = "cura"
    PACKAGES = ("cura",)

    def install(self):
        guest = self.put_guest(self.data / "cura" / "{}.{}".format(*self.version()) / "plugins")
        with open(guest / "__init__.py", "a", encoding="utf-8") as source:
            source.write(_PLUGIN)
        (guest / "plugin.json").write_text(json.dumps(_METADATA))

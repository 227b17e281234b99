"""Picard, as seen from outside: Debian's 2.8 to 3, a plug-in that is a package in the user's directory of them.

Picard 3 has another interface for plug-ins, and knows each by the identifier in its manifest.
"""

from lib.hosts import GUEST, Application

_PLUGIN = """

from picard.ui.mainwindow import register_ui_init

PLUGIN_NAME = "asyncslot guest"
PLUGIN_AUTHOR = "asyncslot"
PLUGIN_VERSION = "1.0"
PLUGIN_API_VERSIONS = ["2.0"]
PLUGIN_DESCRIPTION = "Plays a story."

register_ui_init(lambda window: start())
"""

_PLUGIN_3 = """

def enable(api):
    start()


def disable():
    stop()
"""

_IDENTIFIER = "0d6b8a3e-52f1-4c7e-8f43-9a1e6c2b7d54"

_MANIFEST_3 = f"""\
uuid = "{_IDENTIFIER}"
name = "asyncslot guest"
description = "Plays a story."
api = ["3.0"]
authors = ["asyncslot"]
"""

# Each name twice, for Picard takes a list of one for a text. The greeting of new users is modal.
_SETTINGS = f"""\
[setting]
enabled_plugins={GUEST}, {GUEST}
plugins3_enabled_plugins={_IDENTIFIER}, {_IDENTIFIER}
show_new_user_dialog=false
"""


class Host(Application):
    NAME = "Picard"
    PROGRAM = "picard"
    PACKAGES = ("picard",)

    def install(self):
        own = self.config / "MusicBrainz"
        is_new = self._is_new()
        guest = self.put_guest(self._plugins() if is_new else own / "Picard" / "plugins")
        with open(guest / "__init__.py", "a", encoding="utf-8") as source:
            source.write(_PLUGIN_3 if is_new else _PLUGIN)
        if is_new:
            (guest / "MANIFEST.toml").write_text(_MANIFEST_3)
        own.mkdir(exist_ok=True)
        (own / "Picard.ini").write_text(_SETTINGS)

    def command(self):
        return [self.PROGRAM, "--no-restore"]

    def variables(self):
        return {"PICARD_PLUGIN_DIR": str(self._plugins())} if self._is_new() else {}

    def _is_new(self):
        return self.version() >= (3,)

    def _plugins(self):
        """Return where Picard 3 is told to look."""
        return self.data / "plugins3"

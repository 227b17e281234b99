"""Picard, as seen from outside: Debian's 2.8, a plug-in that is a package in the user's directory of them."""

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

# Twice, for Picard takes a list of one for a text.
_SETTINGS = f"""\
[setting]
enabled_plugins={GUEST}, {GUEST}
"""


class Host(Application):
    NAME = "Picard"
    PROGRAM = "picard"
    PACKAGES = ("picard",)

    def install(self):
        own = self.config / "MusicBrainz"
        guest = self.put_guest(own / "Picard" / "plugins")
        with open(guest / "__init__.py", "a", encoding="utf-8") as source:
            source.write(_PLUGIN)
        (own / "Picard.ini").write_text(_SETTINGS)

    def command(self):
        return [self.PROGRAM, "--no-restore"]

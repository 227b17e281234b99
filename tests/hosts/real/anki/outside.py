"""Anki, as seen from outside: the one from PyPI, an add-on that is a package in addons21/ of a base directory."""

import subprocess

from lib import hosts, machine

# What QtWebEngine needs besides, on Debian 12.
_WEB_LIBRARIES = [
    *("libnss3", "libnspr4", "libgbm1", "libasound2", "libxcomposite1", "libxdamage1", "libxrandr2", "libxtst6"),
    "libxkbfile1",
]

# Makes a profile, as Anki's first start does by its questions.
_MAKE_PROFILE = """\
import sys
from pathlib import Path
import anki.lang
from aqt.profiles import ProfileManager
anki.lang.set_lang("en_US")
profiles = ProfileManager(Path(sys.argv[1]))
profiles.setupMeta()
profiles.setLang("en_US")
profiles.meta["firstRun"] = False
profiles.create("User 1")
profiles.openProfile("User 1")
profiles.save()
"""


class Host(hosts.find("napari")):
    """It comes from PyPI as napari does; all else is its own."""

    NAME = ADAPTER = "Anki"
    REQUIREMENTS = ("aqt==26.9.3",)

    @classmethod
    def venv(cls):
        return machine.WORK / "hosts" / "anki"

    @classmethod
    def program(cls):
        return cls.venv() / "bin" / "anki"

    @classmethod
    def set_up(cls):
        machine.need_packages(_WEB_LIBRARIES, cls.NAME)
        super().set_up()

    def install(self):
        base = self.data / "Anki2"
        base.mkdir()
        python = str(self.venv() / "bin" / "python")
        variables = {**self._environment({}), **self.variables(), "QT_QPA_PLATFORM": "offscreen"}
        subprocess.run([python, "-c", _MAKE_PROFILE, str(base)], env=variables, check=True, timeout=60)
        guest = self.put_guest(base / "addons21")
        with open(guest / "__init__.py", "a", encoding="utf-8") as source:
            source.write("\n\nstart()\n")

    def command(self):
        return [str(self.program()), "-b", str(self.data / "Anki2"), "-p", "User 1", "-l", "en_US"]

    def batch_command(self, script):
        as_a_library = "import runpy, sys, aqt; runpy.run_path(sys.argv[1])"
        return [str(self.venv() / "bin" / "python"), "-c", as_a_library, str(script)]

    def variables(self):
        return {"QTWEBENGINE_DISABLE_SANDBOX": "1"}  # for root

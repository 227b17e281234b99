"""napari, as seen from outside: the one from PyPI, and a package that its entry point makes a plug-in.

This one has PyQt6; napari_pyside6 is the same with PySide6.
"""

import shutil
import sys

from lib import machine
from lib.hosts import GUEST, TOOLS, Application

_PLUGIN = "asyncslot-guest"

# What Qt 6's wheels do not bring for xcb on Debian 12.
_QT_LIBRARIES = [
    *("libegl1", "libxkbcommon0", "libxkbcommon-x11-0", "libxcb-cursor0", "libxcb-icccm4", "libxcb-image0"),
    *("libxcb-keysyms1", "libxcb-randr0", "libxcb-render-util0", "libxcb-shape0"),
]

# Just enough for Python to see an installed package. napari asks for it by its entry point.
_INSTALLED = {
    "METADATA": f"Metadata-Version: 2.1\nName: {_PLUGIN}\nVersion: 1\n",
    "entry_points.txt": f"[napari.manifest]\n{_PLUGIN} = {GUEST}:napari.yaml\n",
}

_MANIFEST = f"""\
name: {_PLUGIN}
display_name: asyncslot guest
contributions:
  commands:
    - id: {_PLUGIN}.widget
      title: asyncslot guest
      python_name: {GUEST}:make_widget
  widgets:
    - command: {_PLUGIN}.widget
      display_name: asyncslot guest
"""

_MAKE_WIDGET = '''

def make_widget():
    """Return the widget that napari opens."""
    from .host import QtWidgets

    start()
    return QtWidgets.QLabel("The guest is here.")
'''


class Host(Application):
    NAME = "napari with PyQt6"
    ADAPTER = "napari"
    API = "pyqt6"
    REQUIREMENTS = ("napari==0.9.2", "PyQt6==6.11.*")

    @classmethod
    def venv(cls):
        return machine.WORK / "hosts" / f"napari-{cls.API}"

    @classmethod
    def program(cls):
        return cls.venv() / "bin" / "napari"

    @classmethod
    def set_up(cls):
        packages = [*machine.QT_LIBRARIES, *_QT_LIBRARIES, *machine.venv_packages(), *TOOLS]
        machine.need_packages(packages, cls.NAME)
        if cls.missing() is None:
            return
        machine.say(f"set-up: installing {', '.join(cls.REQUIREMENTS)} (a minute or two)")
        venv = cls.venv()
        machine.run_quietly([sys.executable, "-m", "venv", "--clear", str(venv)], timeout=300)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        try:
            machine.run_quietly([*pip, *cls.REQUIREMENTS], timeout=1800)
        except machine.SetupError:
            shutil.rmtree(venv)  # half of it would look like all of it the next time
            raise

    @classmethod
    def missing(cls):
        if not cls.program().exists():
            return f"{cls.NAME} is not installed (python3 scripts/hosts.py {cls.place.name} installs it)"
        return None if machine.has_display() or shutil.which("Xvfb") else f"there is no display for {cls.NAME}"

    def install(self):
        packages = self.home / "site-packages"
        guest = self.put_guest(packages)
        with open(guest / "__init__.py", "a", encoding="utf-8") as source:
            source.write(_MAKE_WIDGET)
        (guest / "napari.yaml").write_text(_MANIFEST)
        information = packages / f"{GUEST}-1.dist-info"
        information.mkdir()
        for name, text in _INSTALLED.items():
            (information / name).write_text(text)

    def command(self):
        return [str(self.program()), "-w", _PLUGIN]

    def batch_command(self, script):
        as_a_library = "import runpy, sys, napari; runpy.run_path(sys.argv[1])"
        return [str(self.venv() / "bin" / "python"), "-c", as_a_library, str(script)]

    def variables(self):
        return {"QT_API": self.API, "PYTHONPATH": str(self.home / "site-packages")}

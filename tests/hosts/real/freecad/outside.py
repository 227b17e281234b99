"""FreeCAD, as seen from outside: Debian's 0.20 to 1.1, a workbench in the old layout, Mod/<Name>/InitGui.py."""

from pathlib import Path

from lib.hosts import Application

# FreeCAD runs the file as text, without a module around it, with its directory on sys.path.
_INIT_GUI = "import asyncslot_guest\n\nasyncslot_guest.start()\n"

# The start page is a web page: it takes seconds, and root must not open one. The report view is FreeCAD's log.
_USER_CFG = """\
<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<FCParameters>
  <FCParamGroup Name="Root">
    <FCParamGroup Name="BaseApp">
      <FCParamGroup Name="Preferences">
        <FCParamGroup Name="General">
          <FCText Name="AutoloadModule">PartWorkbench</FCText>
        </FCParamGroup>
        <FCParamGroup Name="Mod">
          <FCParamGroup Name="Start">
            <FCBool Name="ShowOnStartup" Value="0"/>
          </FCParamGroup>
        </FCParamGroup>
        <FCParamGroup Name="DockWindows">
          <FCParamGroup Name="ReportView">
            <FCBool Name="Enabled" Value="1"/>
          </FCParamGroup>
        </FCParamGroup>
      </FCParamGroup>
      <FCParamGroup Name="MainWindow">
        <FCParamGroup Name="DockWindows">
          <FCBool Name="Std_ReportView" Value="1"/>
        </FCParamGroup>
      </FCParamGroup>
    </FCParamGroup>
  </FCParamGroup>
</FCParameters>
"""


class Host(Application):
    NAME = ADAPTER = "FreeCAD"
    PROGRAM = "freecad"
    PACKAGES = ("freecad", "freecad-python3")

    def install(self):
        # From 1.1 on, each version has directories of its own.
        version = self.version()
        own = Path("FreeCAD", "v{}-{}".format(*version)) if version >= (1, 1) else Path("FreeCAD")
        mod = self.data / own / "Mod" / "AsyncslotGuest"
        mod.mkdir(parents=True)
        self.put_guest(mod)
        (mod / "Init.py").write_text("")
        (mod / "InitGui.py").write_text(_INIT_GUI)
        settings = self.config / own
        settings.mkdir(parents=True)
        (settings / "user.cfg").write_text(_USER_CFG)

    def variables(self):
        return {"QTWEBENGINE_DISABLE_SANDBOX": "1"}

    def batch_command(self, script):
        return ["freecadcmd", str(script)]

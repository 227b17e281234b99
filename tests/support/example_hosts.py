"""The example plug-ins, and for each host as much of it as the plug-in's entry file touches.

Each stand-in does with the entry file what the host would do: loads it, has it make its panel, unloads it. They stand
in for the few calls of the entry files only. What the adapters need of a host is another matter (tests/hosts).
"""

import importlib
import runpy
import sys
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# For each host: the directory of the plug-in's package, the name under which the host imports it, and how many of
# the directory's last parts that name takes.
PACKAGES = {
    "anki": ("async_search", "async_search"),
    "binary_ninja": ("plugins/async_search", "async_search"),
    "cura": ("plugins/async_search", "async_search"),
    "freecad": ("AsyncSearch/freecad/async_search", "freecad.async_search"),
    "houdini": ("async_search/scripts/python/async_search", "async_search"),
    "ida": ("plugins/async_search", "async_search"),
    "krita": ("pykrita/async_search", "async_search"),
    "max3ds": ("scripts/async_search_tool/async_search", "async_search"),
    "maya": ("async_search/scripts/async_search", "async_search"),
    "napari": ("src/napari_async_search", "napari_async_search"),
    "nuke": ("async_search_tool/async_search", "async_search"),
    "qgis": ("async_search", "async_search"),
    "substance_painter": ("plugins/async_search", "async_search"),
}


def package_directory(host, root=EXAMPLES):
    return root / host / PACKAGES[host][0]


def import_root(host, root):
    """Return the directory that the host puts on sys.path."""
    return package_directory(host, root).parents[PACKAGES[host][1].count(".")]


class Host:
    """A stand-in: open() returns the panel as the host would come by it, close() is what the host does at the end.

    Args:
        example: the example's directory, with a copy of asyncslot in it.
        package: the plug-in's package, imported.
        add_module: called as add_module(name, **content); puts a module into sys.modules for the time of the test.
    """

    @classmethod
    def needed(cls):
        """Return the modules that are there before the plug-in's package is imported: name -> content."""
        return {}

    def __init__(self, example, package, add_module):
        from qtpy import QtWidgets

        self.example = example
        self.package = package
        self.add_module = add_module
        self.window = QtWidgets.QMainWindow()

    def close(self):
        """Nothing is unloaded in most hosts; they quit, and the adapter has the leases ended."""
        self.package._vendor.asyncslot.detach("async_search")
        self.window.close()


class Anki(Host):
    @classmethod
    def needed(cls):
        from qtpy import QtGui, QtWidgets

        cls.hooks = types.SimpleNamespace(profile_did_open=[], profile_will_close=[])
        cls.entries = []
        action = getattr(QtWidgets, "QAction", None) or QtGui.QAction  # Qt 6 has it elsewhere; qtpy passes it on
        form = types.SimpleNamespace(menuTools=types.SimpleNamespace(addAction=cls.entries.append))
        mw = QtWidgets.QMainWindow()
        mw.form = form
        return {"aqt": {"gui_hooks": cls.hooks, "mw": mw}, "aqt.qt": {"QAction": action}}

    def open(self):
        [opened] = self.hooks.profile_did_open
        opened()
        self.close()  # the user switches the profile
        opened()
        [entry] = self.entries
        entry.trigger()
        return self.package._panel

    def close(self):
        [closing] = self.hooks.profile_will_close
        closing()


class BinaryNinja(Host):
    @classmethod
    def needed(cls):
        cls.commands = []
        command = types.SimpleNamespace(register=lambda *what: cls.commands.append(what))
        return {
            "binaryninja": {"PluginCommand": command},
            "binaryninja.mainthread": {"execute_on_main_thread": lambda function: function()},
        }

    def open(self):
        [(_, _, action)] = self.commands
        action(object())
        action(object())
        return self.package._panel


class Cura(Host):
    @classmethod
    def needed(cls):
        class Extension:
            def __init__(self):
                self.entries = {}

            def setMenuName(self, name):
                pass

            def addMenuItem(self, name, function):
                self.entries[name] = function

        return {"UM": {}, "UM.Extension": {"Extension": Extension}}

    def open(self):
        assert self.package.getMetaData() == {}
        self.extension = self.package.register(object())["extension"]
        [show] = self.extension.entries.values()
        show()
        show()
        return self.extension._panel


class Freecad(Host):
    def open(self):
        self.add_module("FreeCADGui", getMainWindow=lambda: self.window)
        importlib.import_module(self.package.__name__ + ".init_gui")
        return _dock_in(self.window).widget()


class Houdini(Host):
    def open(self):
        for script in sorted(self.example.glob("async_search/python*libs/uiready.py")):
            runpy.run_path(str(script))
        document = ElementTree.parse(str(self.example / "async_search" / "python_panels" / "async_search.pypanel"))
        panel_script = {}
        exec(document.find("interface/script").text, panel_script)
        return panel_script["onCreateInterface"]()

    def close(self):
        self.package.stop()


class Ida(Host):
    def open(self):
        self.add_module("ida_idaapi", plugin_t=object, PLUGIN_KEEP=2)
        script = runpy.run_path(str(self.example / "plugins" / "async_search_plugin.py"))
        self.plugin = script["PLUGIN_ENTRY"]()
        assert self.plugin.init() == 2
        self.plugin.run(0)
        self.plugin.run(0)
        return self.package._panel

    def close(self):
        self.plugin.term()


class Krita(Host):
    @classmethod
    def needed(cls):
        from qtpy.QtWidgets import QDockWidget

        cls.factories = []
        application = types.SimpleNamespace(addDockWidgetFactory=cls.factories.append)
        return {
            "krita": {
                "DockWidget": type("DockWidget", (QDockWidget,), {}),
                "DockWidgetFactory": lambda name, area, docker: docker,
                "DockWidgetFactoryBase": types.SimpleNamespace(DockRight=2),
                "Krita": types.SimpleNamespace(instance=lambda: application),
            }
        }

    def open(self):
        self.docker = self.factories.pop()()
        self.docker.canvasChanged(None)
        return self.docker.widget()


class Max(Host):
    def open(self):
        self.package.start()
        self.package.start()  # run again by hand
        return self.package._dock.widget()

    def close(self):
        self.package.stop()


class Maya(Host):
    def open(self):
        self.plugin = runpy.run_path(str(self.example / "async_search" / "plug-ins" / "async_search_plugin.py"))
        self.plugin["maya_useNewAPI"]()
        self.plugin["initializePlugin"](object())
        return self.package._panel

    def close(self):
        self.plugin["uninitializePlugin"](object())


class Napari(Host):
    def open(self):
        manifest = (self.example / "src" / "napari_async_search" / "napari.yaml").read_text(encoding="utf-8")
        [name] = [line.split(": ")[1] for line in manifest.splitlines() if "python_name" in line]
        module, _, function = name.partition(":")
        return getattr(sys.modules[module], function)()

    def close(self):
        self.package._vendor.asyncslot.detach("napari_async_search")


class Nuke(Host):
    def open(self):
        registered = []
        panels = types.SimpleNamespace(registerWidgetAsPanel=lambda *what: registered.append(what))
        self.add_module("nukescripts", panels=panels)
        runpy.run_path(str(self.example / "async_search_tool" / "menu.py"))
        [(expression, _, _)] = registered
        return eval(expression)()

    def close(self):
        self.package.stop()


class Qgis(Host):
    def open(self):
        iface = types.SimpleNamespace(
            mainWindow=lambda: self.window,
            addDockWidget=self.window.addDockWidget,
            removeDockWidget=self.window.removeDockWidget,
            addPluginToMenu=lambda menu, action: None,
            removePluginMenu=lambda menu, action: None,
        )
        self.plugin = self.package.classFactory(iface)
        self.plugin.initGui()
        return _dock_in(self.window).widget()

    def close(self):
        self.plugin.unload()
        self.window.close()


class Painter(Host):
    @classmethod
    def needed(cls):
        cls.shown = []
        ui = types.ModuleType("substance_painter.ui")
        ui.add_dock_widget, ui.delete_ui_element = cls.shown.append, cls.shown.remove
        return {"substance_painter": {"ui": ui}, "substance_painter.ui": vars(ui)}

    def open(self):
        self.package.start_plugin()
        return self.shown[0]

    def close(self):
        self.package.close_plugin()
        assert self.shown == []


STAND_INS = {
    "anki": Anki,
    "binary_ninja": BinaryNinja,
    "cura": Cura,
    "freecad": Freecad,
    "houdini": Houdini,
    "ida": Ida,
    "krita": Krita,
    "max3ds": Max,
    "maya": Maya,
    "napari": Napari,
    "nuke": Nuke,
    "qgis": Qgis,
    "substance_painter": Painter,
}


def _dock_in(window):
    from qtpy.QtWidgets import QDockWidget

    [dock] = window.findChildren(QDockWidget)
    return dock

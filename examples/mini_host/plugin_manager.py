"""Load, unload and reload plug-ins, the way QGIS does it.

A plug-in is a package with a function `classFactory(host)`. What that returns has two methods: `initGui()`, called
once it is loaded, and `unload()`, called before it goes. Reloading forgets the plug-in's modules and imports them
again; nothing else is undone. A timer, a thread or a connection that the plug-in did not end goes on running code of
modules that nobody can see any more: that is what `asyncslot.detach()` in `unload()` is for.

The manager lets no plug-in take the host down: an exception in one of its functions goes to the log.
"""

import importlib
import sys
import traceback
from pathlib import Path

from qtpy.QtCore import QObject, Signal


class PluginManager(QObject):
    """The plug-ins of one directory. The signal `changed` says that one was loaded or unloaded.

    Args:
        host: what plug-ins get from us; its log(text) takes our messages.
        directory: each package in it is a plug-in. It is put on sys.path for as long as the program runs.
    """

    changed = Signal()

    def __init__(self, host, directory):
        super().__init__()
        self.running = {}  # name -> what classFactory() returned
        self._host = host
        self._directory = Path(directory)
        sys.path.insert(0, str(self._directory))

    def available(self):
        """Return the names of all plug-ins in the directory, running or not."""
        return sorted(path.parent.name for path in self._directory.glob("*/__init__.py"))

    def load_all(self):
        for name in self.available():
            self.load(name)

    def load(self, name):
        """Import a plug-in and start it; return whether it runs now."""
        if name in self.running:
            return True
        try:
            # The file may be younger than what the import system remembers of its directory.
            importlib.invalidate_caches()
            plugin = importlib.import_module(name).classFactory(self._host)
            plugin.initGui()
        except Exception:
            self._log_failure(name, "could not be loaded")
            self._forget_modules(name)
            return False
        self.running[name] = plugin
        self._host.log(f"{name} is loaded")
        self.changed.emit()
        return True

    def unload(self, name):
        """Stop a plug-in and forget its modules; return whether its unload() went well. It is gone in any case."""
        plugin = self.running.pop(name, None)
        if plugin is None:
            return True
        try:
            plugin.unload()
        except Exception:
            self._log_failure(name, "failed in unload()")
            return False
        else:
            self._host.log(f"{name} is unloaded")
            return True
        finally:
            self._forget_modules(name)
            self.changed.emit()

    def reload(self, name):
        """Unload a plug-in and load it afresh from its files; return whether it runs now."""
        self.unload(name)
        return self.load(name)

    def unload_all(self):
        for name in reversed(list(self.running)):
            self.unload(name)

    def _forget_modules(self, name):
        for module in list(sys.modules):
            if module == name or module.startswith(name + "."):
                del sys.modules[module]

    def _log_failure(self, name, what):
        self._host.log(f"{name} {what}\n{traceback.format_exc()}")

"""Whole stand-ins for the hosts of all adapters, behind spies that note what is asked of them and spoil one answer.

A host is only half there where a plug-in's own tests load a stub of its module, while it starts, and on its way out.
What a stub lacks nobody can list; so test_half_there.py has the spies note every name that an adapter asks for, and
takes each of them away in turn.
"""

import importlib
import logging
import sys
import types

from half_there import Signal
from napari_stand_in import Napari, bar_class
from stand_ins import HOSTS
from stand_ins_actors import enter

PLAIN = (str, bytes, int, float, bool, type(None))


class Trip:
    """What the spies of one host have noted, and which answer they spoil.

    Attributes:
        asked: the paths that were asked for, such as `krita.Krita.instance().notifier`, each once, in order.
        texts: what functions were called with, as text.
        path, way: which answer is spoilt, and how: a key of WAYS.
    """

    def __init__(self):
        self.asked = []
        self.texts = []
        self.path = self.way = None


def _missing(path):
    raise AttributeError(path)


def _raising(path):
    raise RuntimeError(f"{path} is on its way out")


def _none(_path):
    return None


def _odd(_path):
    return object()


# What a name gives instead of its value, and a call instead of its result.
WAYS = {"missing": _missing, "raising": _raising, "None": _none, "something else": _odd}


class Spy:
    """Stands before an object of a host's."""

    def __init__(self, target, path, trip):
        object.__setattr__(self, "_spied", (target, path, trip))

    def __getattribute__(self, name):
        target, path, trip = object.__getattribute__(self, "_spied")
        if name == "_spied":
            return target, path, trip
        value = getattr(target, name)
        if name.startswith("__"):
            return value
        return _answer(trip, f"{path}.{name}", value)

    def __setattr__(self, name, value):
        setattr(self._spied[0], name, value)

    def __call__(self, *args, **kwargs):
        target, path, trip = self._spied
        for value in (*args, *kwargs.values()):
            trip.texts.append(value.decode("utf-8", "replace") if isinstance(value, bytes) else repr(value))
            if isinstance(value, str):
                trip.texts.append(value)
        result = target(*map(_unwrap, args), **{name: _unwrap(value) for name, value in kwargs.items()})
        return _answer(trip, f"{path}()", result)


def _unwrap(value):
    return value._spied[0] if type(value) is Spy else value


def _answer(trip, path, value):
    if path not in trip.asked:
        trip.asked.append(path)
    # A function is spoilt by its call's result, or by its absence.
    if path == trip.path:
        return WAYS[trip.way](path)
    return wrap(value, path, trip)


def wrap(value, path, trip):
    """Return a spy for an object of the host's; what is Qt's, a plain value or an exception class as it is."""
    if isinstance(value, list):
        return [wrap(each, f"{path}[]", trip) for each in value]
    kind = value if isinstance(value, type) else type(value)
    is_of_qt = kind.__module__.partition(".")[0] in ("PyQt5", "PyQt6", "PySide2", "PySide6")
    # A class of the host's may inherit one of Qt's, and is the host's.
    if isinstance(value, PLAIN) or is_of_qt or issubclass(kind, BaseException) or _is_widget(value):
        return value
    return Spy(value, path, trip)


def _is_widget(value):
    from qtpy import QtCore

    return isinstance(value, QtCore.QObject)


def spied(host, window, monkeypatch):
    """Put a host's stand-in behind spies into sys.modules; return their Trip and the adapter."""
    trip = Trip()
    if host in HOSTS:
        actor = enter(host, window, monkeypatch)
        modules = actor.world.modules
    else:
        modules = MODULES[host](window)
        if host == "krita":
            core = sys.modules[modules["krita"].Krita.__mro__[1].__module__]
            monkeypatch.setattr(core, "qWarning", Spy(lambda text: None, "qWarning", trip))
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, Spy(module, name, trip))
    return trip, importlib.import_module(f"asyncslot.host_adapters.{host}")


def _qgis(window):
    from qtpy import QtCore, QtWidgets

    class Bar:
        def currentItem(self):
            return None

        def pushMessage(self, title, text, level):
            pass

        def createMessage(self, title, text):
            item = QtWidgets.QWidget()
            QtWidgets.QHBoxLayout(item)
            item.setText = lambda text: None
            return item

        def pushWidget(self, item, level, duration):
            return item

        def popWidget(self, item):
            return True

        def isVisible(self):
            return True

    bar = Bar()
    iface = types.SimpleNamespace(messageBar=lambda: bar, mainWindow=lambda: window)
    levels = types.SimpleNamespace(Info=0, Warning=1)
    log = types.SimpleNamespace(logMessage=lambda text, tag, level: None)
    core = types.SimpleNamespace(Qgis=types.SimpleNamespace(MessageLevel=levels), QgsMessageLog=log)
    qt = types.SimpleNamespace(QObject=QtCore.QObject, QCoreApplication=QtCore.QCoreApplication)
    widgets = types.SimpleNamespace(QProgressBar=QtWidgets.QProgressBar, QPushButton=QtWidgets.QPushButton)
    return {
        "qgis": types.SimpleNamespace(),
        "qgis.utils": types.SimpleNamespace(iface=iface),
        "qgis.core": core,
        "qgis.PyQt": types.SimpleNamespace(),
        "qgis.PyQt.QtCore": qt,
        "qgis.PyQt.QtWidgets": widgets,
    }


def _krita(window):
    from qtpy import QtCore

    active = types.SimpleNamespace(qwindow=lambda: window)
    notifier = types.SimpleNamespace(
        active=lambda: False, setActive=lambda is_active: None, applicationClosing=Signal()
    )
    instance = types.SimpleNamespace(activeWindow=lambda: active, windows=lambda: [active], notifier=lambda: notifier)

    class Krita(QtCore.QObject):
        @staticmethod
        def instance():
            return instance

    return {"krita": types.SimpleNamespace(Krita=Krita)}


def _freecad(window):
    from qtpy import QtCore

    console = types.SimpleNamespace(PrintError=lambda text: None)
    shim = types.SimpleNamespace(QObject=QtCore.QObject)
    return {
        "FreeCAD": types.SimpleNamespace(GuiUp=1, Console=console),
        "FreeCADGui": types.SimpleNamespace(getMainWindow=lambda: window),
        "PySide": types.SimpleNamespace(QtCore=shim),
        "PySide.QtCore": shim,
    }


def _napari(window):
    napari = Napari(window)
    return {
        "napari": types.SimpleNamespace(),
        "napari.viewer": types.SimpleNamespace(current_viewer=lambda: napari.viewer),
        "napari._qt": types.SimpleNamespace(),
        "napari._qt.qt_main_window": types.SimpleNamespace(),
        "napari.utils": types.SimpleNamespace(cancelable_progress=bar_class(napari)),
        "napari.utils.notifications": types.SimpleNamespace(show_error=napari.show_error),
        "napari.utils._logging": types.SimpleNamespace(),
    }


def _anki(window):
    from qtpy import QtCore

    log = types.SimpleNamespace(get_logger=lambda module: logging.getLogger(f"addon.{module}"))
    window.addonManager = log
    window.taskman = types.SimpleNamespace(run_on_main=lambda call: None)
    tooltip = types.SimpleNamespace(tooltip=lambda text, period, parent: None)
    return {
        "aqt": types.SimpleNamespace(mw=window),
        "aqt.qt": types.SimpleNamespace(QObject=QtCore.QObject),
        "aqt.utils": tooltip,
    }


def _cura(window):
    from qtpy import QtCore

    class Message:
        MessageType = types.SimpleNamespace(ERROR=3)

        def __init__(self, *args, **kwargs):
            self.actionTriggered = Signal()

        addAction = setText = setProgress = show = hide = lambda self, *args: None

    # Its base is not the real class, of which there can be no second object: the adapter asks for its module only.
    base = type("QCoreApplication", (), {"__module__": QtCore.QCoreApplication.__module__})

    class CuraApplication(base):
        applicationShuttingDown = Signal()

        getInstance = staticmethod(lambda: application)
        getMainWindow = staticmethod(lambda: types.SimpleNamespace(isVisible=lambda: True))
        getVisibleMessages = staticmethod(list)
        callLater = staticmethod(lambda call: None)

    application = CuraApplication()
    return {
        "cura": types.SimpleNamespace(),
        "cura.CuraApplication": types.SimpleNamespace(CuraApplication=CuraApplication),
        "UM": types.SimpleNamespace(),
        "UM.Logger": types.SimpleNamespace(Logger=types.SimpleNamespace(log=lambda level, text: None)),
        "UM.Message": types.SimpleNamespace(Message=Message),
    }


MODULES = {"anki": _anki, "cura": _cura, "qgis": _qgis, "krita": _krita, "freecad": _freecad, "napari": _napari}

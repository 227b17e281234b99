"""The adapter contract and its check; plain Qt, the adapter for an unknown host; and the progress dialog.

An adapter is a module, or any object, that knows the facts about one host: which
QtCore the host uses, when it quits, where its users look for errors. An adapter need
not import anything of this package. host_adapters/README.md has the whole contract, and
tells how to write one.

The progress dialog is for every host whose adapter has no display for progress of its own.

This module does not know leases, loops or tasks.
"""

from __future__ import annotations

import inspect
import logging
import sys
from typing import Any, Callable, List, Optional

from ._binding import find_qt_core
from ._errors import AdapterError, NoApplicationError
from .host_adapters import find, find_batch_hint

# The functions that an adapter must have, each with the names of its arguments.
CONTRACT = {
    "is_running": (),
    "qt_core": (),
    "gui_parent": (),
    "on_quit": ("callback",),
    "report": ("message", "exc"),
    "progress": ("title", "cancel"),
}

_logger = logging.getLogger(__name__)


class PlainQt:
    """The adapter for any Qt application: reports go to logging, and the quit hook is `aboutToQuit`."""

    NAME = "Qt"

    def is_running(self) -> bool:
        """Tell whether there is a Qt application."""
        return find_qt_core().QCoreApplication.instance() is not None

    def qt_core(self) -> Any:
        """Return the loaded QtCore module, or the one that QtPy chooses."""
        return find_qt_core()

    def gui_parent(self) -> Any:
        """Return the active window, if this is a GUI application that has one."""
        package = find_qt_core().__name__.rpartition(".")[0]
        widgets = sys.modules.get(f"{package}.QtWidgets")
        return None if widgets is None else widgets.QApplication.activeWindow()

    def on_quit(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called when the application is about to quit; return a function that takes this back."""
        qt_core = find_qt_core()
        application = qt_core.QCoreApplication.instance()
        application.aboutToQuit.connect(callback)
        # We do not refer to the application, since a program may end it by dropping it; nor weakly, for PySide frees it
        # at the exit and leaves weak references to it behind, with which the process may crash (6.10 to 6.12). And we
        # do not keep its signal: PyQt5 5.15.11 crashes on that of an application that is gone (all seen 2026-11).
        probe = qt_core.QObject(application)  # goes with it
        del application

        def unhook() -> None:
            try:
                probe.deleteLater()  # raises if the application is gone; there may be another one
                qt_core.QCoreApplication.instance().aboutToQuit.disconnect(callback)
            except (AttributeError, RuntimeError, TypeError):
                pass  # it is gone, or the binding has disconnected it already

        return unhook

    def report(self, message: str, exc: Optional[BaseException]) -> None:
        """Log an error, with the traceback of `exc`."""
        _logger.error(message, exc_info=exc)

    def progress(self, title: str, cancel: Callable[[], None]) -> None:
        """Return None: an unknown host has no progress display that we know of."""


# What has been logged, once each: the names of adapters whose place plain Qt's has taken, and hints of batch modes.
_logged: List[str] = []


def find_host() -> Any:
    """Return the adapter of the host that is running, or that for plain Qt if we know none that can do its work.

    A plug-in's own tests, for example, may load a stub of the host's module that has next to nothing.
    """
    adapter = find()
    if adapter is None:
        return PlainQt()
    try:
        adapter.qt_core().QCoreApplication.instance()
    except Exception as exc:
        return replace_adapter(adapter, exc)
    return adapter


def log_batch_hint() -> None:
    """Log the advice of a host in its batch mode, once, where attach() works because there is a Qt application."""
    hint = find_batch_hint()
    if hint is not None and hint not in _logged:
        _logged.append(hint)
        _logger.warning("asyncslot is attached in a host without its GUI; it needs a Qt loop that runs. %s", hint)


def replace_adapter(adapter: Any, failure: Exception) -> PlainQt:
    """Return the adapter for plain Qt instead of one of ours, which cannot do its work here, and log that."""
    if adapter.NAME not in _logged:
        _logged.append(adapter.NAME)
        text = "%s is only half there: %s. asyncslot takes this process for any Qt application, and reports to this log"
        _logger.warning(text, adapter.NAME, repr(failure))
    return PlainQt()


def find_parent(host: Any) -> Any:
    """Return the parent for a window of ours: the widget that the adapter gives, or None if it gives anything else."""
    try:
        parent = host.gui_parent()
        widgets = sys.modules.get(host.qt_core().__name__.rpartition(".")[0] + ".QtWidgets")
        return parent if widgets is not None and isinstance(parent, widgets.QWidget) else None
    except Exception:
        return None


def explain_no_application(error: Exception) -> Exception:
    """Return the exception to raise where there is no application.

    If this process is a host in its batch mode, the exception has that host's own advice; else it is `error`.
    """
    hint = find_batch_hint()
    return error if hint is None else NoApplicationError("attach()", hint)


def check_adapter(adapter: Any) -> None:
    """Check that an adapter keeps the contract.

    Raises:
        AdapterError: something is missing or wrong. One message lists all of it.
    """
    problems: List[str] = []
    if not isinstance(getattr(adapter, "NAME", None), str):
        problems.append("NAME must be a str, the name of the host")
    for name, arguments in CONTRACT.items():
        function = getattr(adapter, name, None)
        wanted = f"{name}({', '.join(arguments)})"
        if function is None:
            problems.append(f"{wanted} is missing")
        elif not callable(function):
            problems.append(f"{wanted} must be a function, not {function!r}")
        else:
            try:
                inspect.signature(function).bind(*arguments)
            except ValueError:
                pass  # a builtin that does not tell its arguments
            except TypeError:
                problems.append(f"{wanted} is needed, found {name}{inspect.signature(function)}")
    if problems:
        raise AdapterError(getattr(adapter, "__name__", adapter), problems)


def name_of_host(host: Any) -> str:
    """Return the name that an adapter gives its host, or "the host" if the adapter fails at that."""
    try:
        return str(host.NAME)
    except BaseException:
        return "the host"


def report_safely(host: Any, message: str, exc: Optional[BaseException]) -> None:
    """Report through the adapter. If the adapter fails, log both the report and the failure. Never raises."""
    try:
        host.report(message, exc)
    except BaseException as failure:  # an adapter may even call sys.exit()
        try:
            _logger.error(message, exc_info=exc)
            _logger.error("The adapter for %s failed to report this", name_of_host(host), exc_info=failure)
        except Exception:
            pass  # stderr can take neither the message nor an error about it (Krita's is strict ASCII)


# The bar's maximum: the number of parts into which it is divided.
_STEPS = 1000


def make_dialog(host: Any, title: str, cancel: Callable[[], None]) -> Optional[ProgressDialog]:
    """Return a progress dialog for a host whose `progress()` gives none; None in a host without widgets.

    Thread: GUI thread only.
    """
    qt_core = host.qt_core()
    # If QtWidgets is not loaded by now, this application does not use it, and we must not load it.
    widgets = sys.modules.get(qt_core.__name__.rpartition(".")[0] + ".QtWidgets")
    application = qt_core.QCoreApplication.instance()
    if widgets is None or application is None or not application.inherits("QApplication"):
        return None
    return ProgressDialog(qt_core, widgets, find_parent(host), title, cancel)


class ProgressDialog:
    """A small window with a bar, a line of text and a Cancel button, for hosts that have no display of their own.

    It never blocks the user, as it is not modal. It is shown at once.
    """

    def __init__(self, qt_core: Any, widgets: Any, parent: Any, title: str, cancel: Callable[[], None]) -> None:
        # Qt's own dialogs look this word up in this context, so the user sees it in the host's language.
        button = qt_core.QCoreApplication.translate("QPlatformTheme", "Cancel")
        self._dialog = dialog = widgets.QProgressDialog(title, button, 0, _STEPS, parent)
        self._title = title
        self._cancel: Optional[Callable[[], None]] = cancel
        dialog.setWindowTitle(title)
        dialog.setAutoClose(False)
        dialog.setAutoReset(False)
        dialog.setMinimumDuration(0)
        # If all other windows of the host are closed, the host must quit although this one is still open.
        attributes = getattr(qt_core.Qt, "WidgetAttribute", qt_core.Qt)
        dialog.setAttribute(attributes.WA_QuitOnClose, False)
        # By default a press of the button also hides the dialog. It must stay until the task has ended.
        dialog.canceled.disconnect()
        dialog.canceled.connect(self._on_canceled)
        dialog.show()

    def _on_canceled(self) -> None:
        cancel, self._cancel = self._cancel, None
        if cancel is not None:
            cancel()

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show a fraction, 0..1 or None while nobody can tell, and a line of text."""
        try:
            self._dialog.setMaximum(0 if fraction is None else _STEPS)
            if fraction is not None:
                self._dialog.setValue(round(fraction * _STEPS))
            self._dialog.setLabelText(f"{self._title}\n{text}" if text else self._title)
        except RuntimeError:
            pass  # the dialog was deleted with its parent

    def close(self) -> None:
        """Take the dialog away. May be called twice."""
        self._cancel = None  # for Qt, to close the dialog is to cancel
        try:
            self._dialog.close()
            self._dialog.deleteLater()
        except RuntimeError:
            pass  # see update()

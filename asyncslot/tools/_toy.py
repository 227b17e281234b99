"""The parts of the toy host in `testing` that a plug-in deals with: an adapter that remembers, and an application.

This file knows nothing of plug-ins, nor of the things that they leave behind.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Callable, List, Optional, Tuple

from .._errors import NoApplicationError
from .._hosts import PlainQt

# The application that we have made. It must live as long as the process: to make a second one crashes some bindings.
_applications: List[Any] = []


class Error:
    """An error that a plug-in's users would have seen in the host's log.

    Attributes:
        message: the text; it begins with the owner's name.
        exc: the exception, or None.
    """

    def __init__(self, message: str, exc: Optional[BaseException]) -> None:
        self.message = message
        self.exc = exc

    def __repr__(self) -> str:
        return f"<Error {self.message!r}: {self.exc!r}>"


class Display:
    """A progress display that shows nothing, and remembers its calls.

    Attributes:
        title: the text that names the work.
        updates: (fraction, text) of each update() so far; the fraction is 0..1, or None while nobody can tell.
        is_closed: whether the display was closed.
        cancel: the function that the user's Cancel button would call.
    """

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        self.title = title
        self.cancel = cancel
        self.updates: List[Tuple[Optional[float], str]] = []
        self.is_closed = False

    def update(self, fraction: Optional[float], text: str) -> None:
        """Remember how far the work is.

        Args:
            fraction: 0..1; None while nobody can tell.
            text: the text that would stand beside the bar.
        """
        self.updates.append((fraction, text))

    def close(self) -> None:
        """Remember that the display was closed."""
        self.is_closed = True


class Adapter(PlainQt):
    """The adapter of the toy host: like the one for any Qt application, but it remembers errors and displays."""

    NAME = "asyncslot's toy host"

    def __init__(self) -> None:
        self.errors: List[Error] = []
        self.displays: List[Display] = []
        self.window: Any = None

    def gui_parent(self) -> Any:
        return self.window

    def report(self, message: str, exc: Optional[BaseException]) -> None:
        self.errors.append(Error(message, exc))
        super().report(message, exc)

    def progress(self, title: str, cancel: Callable[[], None]) -> Any:
        display = Display(title, cancel)
        self.displays.append(display)
        return display


def find_application(qt_core: Any) -> Any:
    """Return the application of the process; make one if there is none.

    Raises:
        NoApplicationError: there is none, and on Linux no display to make a QApplication for.
    """
    application = qt_core.QCoreApplication.instance()
    if application is not None:
        return application
    try:
        widgets = importlib.import_module(qt_core.__name__.rpartition(".")[0] + ".QtWidgets")
    except ImportError:
        application = qt_core.QCoreApplication(["asyncslot.testing"])
    else:
        if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"} & set(os.environ):
            raise NoApplicationError(
                "Host()",
                "It makes a QApplication, and there is no display to make it for. Set QT_QPA_PLATFORM=offscreen before "
                "the tests start, or run them under xvfb-run",
            )
        application = widgets.QApplication(["asyncslot.testing"])
    _applications.append(application)
    return application

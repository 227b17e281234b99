"""What the toy host of `testing` is to the plug-ins in it: an adapter that remembers, and an application.

This file knows nothing of plug-ins and of what they leave.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Callable, List, Optional, Tuple

from ._errors import NoApplicationError
from ._hosts import PlainQt

# The application of this process, which must not go before its process does: a second one crashes some bindings.
_applications: List[Any] = []


class Error:
    """What a plug-in's users would have seen in the host's log.

    Attributes:
        message: the text; it begins with the owner.
        exc: the exception, or None.
    """

    def __init__(self, message: str, exc: Optional[BaseException]) -> None:
        self.message = message
        self.exc = exc

    def __repr__(self) -> str:
        return f"<Error {self.message!r}: {self.exc!r}>"


class Display:
    """A progress display that shows nothing, and remembers.

    Attributes:
        title: what is going on.
        updates: (fraction, text) each time; the fraction is 0..1, or None while nobody can tell.
        is_closed: whether the display was taken away.
        cancel: what the user's Cancel button would call.
    """

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        self.title = title
        self.cancel = cancel
        self.updates: List[Tuple[Optional[float], str]] = []
        self.is_closed = False

    def update(self, fraction: Optional[float], text: str) -> None:
        """Remember how far it is.

        Args:
            fraction: 0..1; None while nobody can tell.
            text: what is shown beside the bar.
        """
        self.updates.append((fraction, text))

    def close(self) -> None:
        """Remember that it was taken away."""
        self.is_closed = True


class Adapter(PlainQt):
    """The adapter of the toy host: any Qt application, but for what it remembers."""

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
    """Return the application, made if need be."""
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

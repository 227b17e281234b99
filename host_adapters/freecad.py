"""FreeCAD: what has to be known about it, from 0.19 (PySide2) to those with PySide6.

It refuses to know how asyncio is run. It answers where FreeCAD is in its life, and shows its users what they must see.

FreeCAD embeds Python. `FreeCAD` is its core, which is there without a GUI as well, and `GuiUp` in it tells whether
there is one. `PySide` is FreeCAD's own shim, which passes on the names of the binding that it was built with.
`FreeCADCmd` has no Qt application at all (0.20, seen 2026-11).

The order in which FreeCAD 0.20 ends (seen 2026-11): `mainWindowClosed`, when nothing can stop it any more and its loop
still runs, `aboutToQuit`, the application is destroyed, `atexit`.

Its own progress display, `FreeCAD.Base.ProgressIndicator`, is made for code that keeps the GUI thread busy: while it
is shown, keyboard and mouse are dead everywhere but on its own bar. That is what asyncio is there to avoid, so
progress is shown in the status bar, with a button of ours.
"""

from __future__ import annotations

import sys
import traceback
from types import ModuleType
from typing import Any, Callable, Optional

NAME = "FreeCAD"

_PROGRESS_STEPS = 1000


def is_running() -> bool:
    """Tell whether this is FreeCAD with its GUI, which neither FreeCADCmd nor a script that imports FreeCAD has."""
    return "FreeCADGui" in sys.modules and bool(getattr(sys.modules.get("FreeCAD"), "GuiUp", False))


def batch() -> Optional[str]:
    """Say what to use in FreeCADCmd and in a script that imports FreeCAD; None in any other process."""
    if sys.modules.get("FreeCAD") is None or is_running():
        return None
    return "FreeCAD runs without its GUI here and has no Qt loop: use asyncio.run() instead of attach()"


def qt_core() -> ModuleType:
    """Return the QtCore module that FreeCAD uses, PySide2's or PySide6's.

    `PySide.QtCore` only passes on its names, so a class is asked where it really comes from.
    """
    from PySide.QtCore import QObject

    return sys.modules[QObject.__module__]


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet or is gone already."""
    try:
        return sys.modules["FreeCADGui"].getMainWindow()
    except Exception:  # FreeCAD has an exception class of its own for "no main window"
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called once when FreeCAD is about to quit; return a function that takes this back.

    `mainWindowClosed` comes first, after the user was asked about unsaved work. `aboutToQuit` is for whoever ends the
    application in another way.

    Args:
        callback: called on the GUI thread. What it raises is reported and goes no further.

    Returns:
        A function that may be called any number of times, also after FreeCAD has quit.

    Thread: GUI thread only.
    """
    was_called = False

    def quitting() -> None:
        nonlocal was_called
        if was_called:
            return
        was_called = True
        try:
            callback()
        except Exception as exc:
            report("a callback for the end of FreeCAD failed", exc)

    # The signals' own objects are not kept: a binding may crash on one whose sender is gone.
    senders = [(gui_parent(), "mainWindowClosed"), (qt_core().QCoreApplication.instance(), "aboutToQuit")]
    hooked = [(sender, signal) for sender, signal in senders if hasattr(sender, signal)]
    for sender, signal in hooked:
        getattr(sender, signal).connect(quitting)

    def unhook() -> None:
        nonlocal was_called
        was_called = True
        while hooked:
            sender, signal = hooked.pop()
            try:
                getattr(sender, signal).disconnect(quitting)
            except (AttributeError, RuntimeError, TypeError):  # not connected any more; the sender was deleted
                pass

    return unhook


def report(message: str, exc: Optional[BaseException]) -> None:
    """Show an error where users of FreeCAD look: its report view, with the traceback, and so in the status bar.

    Never raises, whatever state FreeCAD is in: where nothing of it answers, the text goes to stderr.

    Args:
        message: says what went wrong and in which plug-in.
        exc: the exception behind it, if there is one.

    Thread: any. FreeCAD's console hands over to the GUI thread by itself.
    """
    text = message
    if exc is not None:
        text += "\n\n" + "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))
    try:
        sys.modules["FreeCAD"].Console.PrintError(text.rstrip("\n") + "\n")
    except Exception:
        _write_stderr(text)


def progress(title: str, cancel: Callable[[], None]) -> Optional[_StatusBarProgress]:
    """Show a progress bar with a Cancel button in the status bar.

    Args:
        title: what is going on, in a word or two.
        cancel: called when the user presses Cancel.

    Returns:
        An object with `update(fraction, text)` and `close()`, or None when FreeCAD has no window (any more).

    Thread: GUI thread only.
    """
    window = gui_parent()
    if window is None:
        return None
    try:
        return _StatusBarProgress(window.statusBar(), title, cancel)
    except RuntimeError:  # the window was deleted
        return None


class _StatusBarProgress:
    """A widget of the status bar: what is going on, a progress bar and a button."""

    def __init__(self, bar: Any, title: str, cancel: Callable[[], None]) -> None:
        widgets = _qt_widgets()
        self._bar = bar
        self._title = title
        self._item = widgets.QWidget()
        self._label = widgets.QLabel(title)
        self._label.setTextFormat(_plain_text())
        self._meter = widgets.QProgressBar()
        self._meter.setRange(0, _PROGRESS_STEPS)
        self._meter.setMaximumWidth(200)
        # The context in which Qt's own dialogs look up this word: the user sees it in the language of FreeCAD.
        self._button = widgets.QPushButton(qt_core().QCoreApplication.translate("QPlatformTheme", "Cancel"))

        def clicked() -> None:
            self._button.setEnabled(False)
            cancel()

        self._button.clicked.connect(lambda *_checked: clicked())

        layout = widgets.QHBoxLayout(self._item)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._label, self._meter, self._button):
            layout.addWidget(widget)
        # At the right: a passing message of FreeCAD's hides what is at the left.
        bar.addPermanentWidget(self._item)

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show how far it is.

        Args:
            fraction: 0..1; None while nobody can tell.
            text: a few words more; "" for none.
        """
        try:
            self._meter.setMaximum(0 if fraction is None else _PROGRESS_STEPS)
            if fraction is not None:
                self._meter.setValue(round(fraction * _PROGRESS_STEPS))
            self._label.setText(f"{self._title}: {text}" if text else self._title)
        except RuntimeError:  # the window was closed, which deleted its widgets
            pass

    def close(self) -> None:
        """Take the display away. May be called twice."""
        try:
            self._bar.removeWidget(self._item)
            self._item.deleteLater()
        except RuntimeError:
            pass


def _qt_widgets() -> Any:
    from PySide.QtCore import QObject

    return sys.modules[QObject.__module__.replace("QtCore", "QtWidgets")]


def _plain_text() -> Any:
    """Return Qt's text format without HTML: scoped in PySide6, in `Qt` itself before."""
    qt = qt_core().Qt
    return getattr(qt, "TextFormat", qt).PlainText


def _write_stderr(text: str) -> None:
    """Write to stderr, which may be FreeCAD's own stand-in, or nothing."""
    try:
        sys.stderr.write(f"asyncslot: {text}\n")
    except Exception:
        pass

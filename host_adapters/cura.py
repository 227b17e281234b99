"""The adapter for Cura, from 4.13 (PyQt5) to 5 (PyQt6).

It knows nothing of asyncio. README.md beside this file has the contract that it keeps. Run in a real Cura 4.13 and 5.0
(2026-11).

Cura is a Python program, made with Ultimaker's framework Uranium, whose package is `UM`. Its window is QML's, so there
is no widget that could be a dialog's parent. `Message` is what it shows its users in that window. A Uranium signal
refers weakly to what is connected to it.

The order in which Cura ends: the main window is hidden, `applicationShuttingDown`, `quit()`. Cura 4.13 then emits
`aboutToQuit`; Cura 5 ends the process at once, by `os._exit()`, and nothing that comes later is called. Nobody can stop
the end when `applicationShuttingDown` comes, unlike with Cura's own callbacks for its exit, any of which may. Where
those were not asked, as when the user declines the agreement of the first start, Cura 5.0 ends with no signal at all:
its window refuses to be closed, and `closeApplication()` quits all the same.
"""

from __future__ import annotations

import html
import sys
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any, Callable, List, Optional

from ._qt import connect_about_to_quit, find_widgets, hook_once, is_gui_thread
from ._reports import add_traceback, first_line, write_stderr

NAME = "Cura"

# The title of our messages, and their time in seconds.
_MESSAGE_TITLE = "asyncslot"
_MESSAGE_LIFETIME = 30


def is_running() -> bool:
    """Tell whether this is Cura, which always has a Qt loop; without its window (`--headless`) it has its log."""
    try:
        return _application() is not None
    except Exception:  # this is no Cura, or one that is only half there
        return False


def qt_core() -> ModuleType:
    """Return the QtCore module that Cura uses, PyQt5's or PyQt6's: that of the base of its application's class."""
    [base] = [each for each in _application().__class__.__mro__ if each.__name__ == "QCoreApplication"]
    return sys.modules[base.__module__]


def gui_parent() -> Optional[Any]:
    """Return the widget window of a plug-in that is active, if there is one. Cura's own main window is no widget."""
    try:
        return find_widgets(qt_core()).QApplication.activeWindow()
    except Exception:
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called by `applicationShuttingDown` or by `aboutToQuit`, whichever comes first."""
    signal = _application().applicationShuttingDown

    def add(quitting: Callable[[], None]) -> Callable[[], None]:
        signal.connect(quitting)

        def remove() -> None:
            with suppress(Exception):  # Cura is gone
                signal.disconnect(quitting)

        return remove

    return hook_once(callback, NAME, report, add, partial(connect_about_to_quit, qt_core()))


def report(message: str, exc: Optional[BaseException]) -> None:
    """Write an error with its traceback to Cura's log, and show its first line as a message in Cura's window.

    The log is `cura.log` in the configuration folder. From another thread than the GUI thread the message is shown
    when Cura gets to it. If Cura takes no text any more, it goes to stderr.
    """
    try:
        from UM.Logger import Logger

        Logger.log("e", add_traceback(message, exc))
    except Exception:
        write_stderr(f"asyncslot: {add_traceback(message, exc)}")
    try:
        show = partial(_show_message, first_line(message, exc))
        if is_gui_thread(qt_core()):
            show()
        else:
            _application().callLater(show)
    except Exception:  # there is no window any more; the whole text is in the log
        pass


def progress(title: str, cancel: Callable[[], None]) -> Optional[_ProgressMessage]:
    """Show progress in a message with a Cancel button in Cura's window; None when that is not shown (any more)."""
    try:
        return _ProgressMessage(title, cancel) if _application().getMainWindow().isVisible() is True else None
    except Exception:
        return None


class _ProgressMessage:
    """One of Cura's messages, which users cannot dismiss, and which does not go by itself."""

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        from UM.Message import Message

        self._cancel: List[Callable[[], None]] = [cancel]
        self._message = Message(
            "", lifetime=0, dismissable=False, progress=0, title=_escape(title), use_inactivity_timer=False
        )
        # Qt's own dialogs look this word up in this context, so the user sees it in the language of the host.
        name = qt_core().QCoreApplication.translate("QPlatformTheme", "Cancel")
        self._message.addAction("cancel", name, "", "")
        self._message.actionTriggered.connect(self._pressed)
        self._message.show()

    def update(self, fraction: Optional[float], text: str) -> None:
        """Show a fraction, 0..1 or None, and a few words below the title."""
        self._message.setText(_escape(text))
        self._message.setProgress(-1 if fraction is None else fraction * 100)

    def close(self) -> None:
        """Take the message away. May be called twice."""
        with suppress(Exception):  # Cura is gone
            self._message.hide()

    def _pressed(self, _message: Any, _action: str) -> None:
        if self._cancel:
            self._cancel.pop()()  # once


def _application() -> Any:
    """Return Cura as plug-ins see it."""
    return sys.modules["cura.CuraApplication"].CuraApplication.getInstance()


def _escape(text: str) -> str:
    """Return a text for a message, which takes HTML: surely in Cura 5, and in 4.13 if there is a tag in it."""
    return f"<span>{html.escape(text)}</span>" if set(text) & set("<&") else text


def _show_message(line: str) -> None:
    from UM.Message import Message

    text = _escape(f"{line}. More in cura.log.")
    for shown in _application().getVisibleMessages():
        if shown.getText() == text:  # a task that fails ten times a second must not fill the window
            return
    kind = Message.MessageType.ERROR
    Message(text, lifetime=_MESSAGE_LIFETIME, title=_MESSAGE_TITLE, message_type=kind).show()

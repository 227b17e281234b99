"""The adapter for Anki, from 2.1.50 (PyQt5, PyQt6) to 26.9 (PyQt6).

It knows nothing of asyncio. README.md beside this file has the contract that it keeps.

`aqt` is Anki's GUI, and `aqt.mw` its main window, which is there before the first add-on is loaded. A script that uses
Anki's library loads `anki`, and may load `aqt`, but makes no window.

What is written to `sys.stderr` opens an application-modal box (26.9, seen 2026-11), so nothing here writes there.

The order in which Anki 26.9 ends (seen 2026-11): `gui_hooks.profile_will_close`, the collection is closed, the main
window is hidden and deleted, `aboutToQuit`. The first comes on each change of the profile, too, and belongs to the
add-ons: whoever works on the collection must have ended by then.
"""

from __future__ import annotations

import html
import logging
import sys
from functools import partial
from types import ModuleType
from typing import Any, Callable, Optional

from ._qt import connect_about_to_quit, hook_once, is_gui_thread
from ._reports import first_line

NAME = "Anki"

# Milliseconds.
_TOOLTIP_MS = 6000


def is_running() -> bool:
    """Tell whether this is Anki with its main window, which a script that uses its library has not."""
    try:
        return sys.modules["aqt"].mw is not None
    except Exception:  # this is no Anki, or one that is only half there
        return False


def batch() -> Optional[str]:
    """Say what to do in a script that has imported Anki's GUI and not started it; None in any other process."""
    if sys.modules.get("aqt") is None or is_running():
        return None
    return "Anki has no main window here: call attach() in an add-on, or use asyncio.run() in a script"


def qt_core() -> ModuleType:
    """Return the QtCore module that Anki uses, PyQt6's or PyQt5's.

    `aqt.qt` only passes on the names of that module, so we ask a class in which module it was defined.
    """
    from aqt.qt import QObject

    return sys.modules[QObject.__module__]


def gui_parent() -> Optional[Any]:
    """Return the main window, or None when it has not been made yet."""
    try:
        return sys.modules["aqt"].mw
    except Exception:
        return None


def on_quit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called by `aboutToQuit`: `profile_will_close` does not tell whether Anki quits."""
    return hook_once(callback, NAME, report, partial(connect_about_to_quit, qt_core()))


def report(message: str, exc: Optional[BaseException]) -> None:
    """Log an error, with its traceback, in the add-on's own log, and show its first line as one of Anki's tooltips.

    The log is in the profile folder, `logs/addons/<add-on>/<add-on>.log`; it goes to stdout, too, and only there where
    Anki has no logs for add-ons. From another thread than the GUI thread the tooltip is shown when Anki gets to it.
    """
    try:
        _logger().error("%s", message, exc_info=exc)
    except Exception:
        _print(message)
    try:
        show = partial(_show_tooltip, message, exc)
        if is_gui_thread(qt_core()):
            show()
        else:
            sys.modules["aqt"].mw.taskman.run_on_main(show)
    except Exception:  # there is no window any more; the whole text is in the log
        pass


def progress(title: str, cancel: Callable[[], None]) -> None:
    """Return None: Anki's own progress dialog, `mw.progress`, is application-modal, and stops Anki's timers."""


def _logger() -> logging.Logger:
    """Return the log of the add-on that this copy of the adapter belongs to."""
    try:
        logger: logging.Logger = sys.modules["aqt"].mw.addonManager.get_logger(__name__)
    except Exception:  # an Anki without logs for add-ons, or one that is only half there
        return logging.getLogger(__name__)
    return logger if isinstance(logger, logging.Logger) else logging.getLogger(__name__)


def _print(message: str) -> None:
    try:
        sys.stdout.write(f"{message}\n")
    except Exception:
        pass


def _show_tooltip(message: str, exc: Optional[BaseException]) -> None:
    from aqt.utils import tooltip

    # A tooltip takes HTML, and a repr is full of angle brackets.
    tooltip(html.escape(first_line(message, exc)), period=_TOOLTIP_MS, parent=gui_parent())

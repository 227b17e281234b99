"""How the loop is called back on Linux: one QSocketNotifier beside the timers, no thread.

An epoll descriptor can itself be polled: it is readable when any descriptor in
it is ready. So the host's Qt loop watches that one descriptor for all of ours.
Ten connections or five thousand cost Qt the same.

The notifier stays enabled during a step, so that a Qt loop nested in one hears
of I/O too.
"""

from __future__ import annotations

from typing import Any, Callable

from ._binding import enum_member
from ._wait import TimerWait


class NotifierWait(TimerWait):
    """Call `step` when `fd` is readable, when a deadline has come, or soon.

    Args:
        qt_core: the binding's QtCore module; its objects live in the calling thread.
        fd: a descriptor that is readable while there is something to do; to be
            closed after close() only.
        step: as in TimerWait.
    """

    def __init__(self, qt_core: Any, fd: int, step: Callable[[Any], None]) -> None:
        super().__init__(qt_core, step)
        self._notifier = qt_core.QSocketNotifier(fd, enum_member(qt_core.QSocketNotifier, "Type", "Read"))
        self._activated = _with_plain_int(self._notifier.activated)
        self._slots += (self._take_step,)
        self._activated.connect(self._slots[-1])  # what it brings (an int, an object, a type) we know
        self._is_paused = False

    def describe(self) -> str:
        """Say how the loop waits, for reports."""
        return f"a notifier ({type(self).__name__})"

    def pause(self, when: float) -> None:
        """Call `step` at `when`, whatever I/O there may be until then."""
        # It would speak again at once, for as long as nobody reads.
        self._is_paused = True
        self._notifier.setEnabled(False)
        super().pause(when)

    def _on_deadline(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._notifier.setEnabled(True)
        super()._on_deadline()

    def _delete_qt_objects(self) -> None:
        super()._delete_qt_objects()
        self._notifier.setEnabled(False)
        self._delete(self._notifier, self._activated, self._slots[-1])


def _with_plain_int(activated: Any) -> Any:
    """Return the overload that brings the descriptor as an int, where there is one.

    With the other one PySide6 makes two objects, which take a third of the time of all the rest of a bare wake-up
    (measured 2026-11).
    """
    try:
        return activated[int]
    except (LookupError, TypeError):  # PyQt6 has only the other one
        return activated

"""monitor(): a window that shows the tasks of every plug-in that shares the loop, and the times of the loop's steps.

The window lists each task under its owner, with the line at which it stands and for how long; a button cancels the
selected task. It also shows how long steps took, and which callbacks took longer than a frame.

There is one monitor for each loop, and the loop holds it in `_as_monitor`, so all copies share it. It is closed by
whichever comes first:

    the user, or a call of the window's close()
    the end of the loop
    the end of the opener's lease: to that lease the monitor is a resource like a server, and `_detach` closes it
    the end of the last lease, if the opener has no lease (say, a console that imports a copy of no plug-in)

This file connects the parts. How steps are measured is in `_watch`, and how the window looks is in `_monitor_view`.
"""

from __future__ import annotations

import re
import sys
import weakref
from asyncio import events
from time import perf_counter
from typing import Any, Dict, List, Optional, Tuple

from .. import _lease, _meeting
from .._binding import require_application
from .._errors import NoApplicationError, NoLoopError
from .._hosts import find_host, find_parent, report_safely
from .._tasks import frames_of
from ._monitor_view import Group, Row, View
from ._watch import Watch

_PERIOD_MS = 250

# What a refresh takes is at most this part of the time, however many tasks there are: then it comes less often.
_SHARE = 0.05

# So many tasks of an owner are listed, and the others counted: nobody reads more, and each row costs the host's time.
_MOST_ROWS = 100

# The group of the tasks that belong to no lease.
_NOBODY = "(nobody)"


def monitor(parent: Any = None) -> Any:
    """Open a window that shows the tasks of everybody who shares the loop; return it.

    The window is a dock if the parent is a QMainWindow, else a dialog that blocks
    nothing. A second call brings the window of the first to the front. The window
    is closed with the caller's lease at the latest; if the caller has no lease,
    with the last lease. Steps are measured only while the window is open.

    Args:
        parent: a QWidget; by default the one that the adapter gives as parent for windows, if any.

    Returns:
        The QDockWidget or QDialog; its close() closes the monitor.

    Raises:
        NoLoopError: there is no loop of ours in this thread.
        NoApplicationError: there is no QApplication, or the host has loaded no widgets.
        ThreadError: called from another thread than the GUI thread.

    Thread: GUI thread only.
    """
    try:
        caller = sys._getframe(1).f_globals.get("__name__") or "__main__"
    except ValueError:  # Qt has called us, and no Python code: action.triggered.connect(asyncslot.monitor)
        caller = __name__
    place = _meeting.here()
    leases = {} if place is None else place.leases
    lease = next(iter(_lease.find(caller)), None)
    host = find_host() if not leases else (lease or next(iter(leases.values()))).host
    qt_core = host.qt_core()
    application = require_application(qt_core, "monitor()")
    if (
        not application.inherits("QApplication")
        or qt_core.__name__.rpartition(".")[0] + ".QtWidgets" not in sys.modules
    ):
        raise NoApplicationError("monitor()", "It needs a QApplication: a QCoreApplication has no windows")
    loop: Any = events._get_running_loop() if place is None else place.loop
    if getattr(loop, "_as_wait", None) is None:
        raise NoLoopError("monitor()")
    opened = getattr(loop, "_as_monitor", None)
    if opened is None or not opened.show_again():
        # If monitor() is connected to QAction.triggered, the signal may pass its bool as `parent`.
        parent = find_parent(host) if parent is None or isinstance(parent, bool) else parent
        opened = loop._as_monitor = Monitor(loop, host, parent, None if lease is None else lease._owner)
    return opened.window


class Monitor:
    """The link between the loop, the measuring and the window.

    Args:
        opener: the Owner with whose lease the monitor ends; None: it ends with the last lease.

    Attributes:
        window: the QDockWidget or QDialog.
    """

    def __init__(self, loop: Any, host: Any, parent: Any, opener: Any) -> None:
        self._loop = loop
        self._host = host
        self._opener = opener
        self._is_closed = False
        self._is_first = True
        self._places: Dict[int, _Place] = {}
        self._watch = Watch(loop)
        self._view = View(host.qt_core(), parent, _PERIOD_MS, self._cancel, self._refresh, self._end, self._fail)
        self.window = self._view.window
        self._watch.begin()
        if opener is not None:
            opener.resources.add(self)
        self._refresh()
        self._is_first = False

    def __repr__(self) -> str:
        return "task monitor"  # the report of detach() lists it by this name

    def show_again(self) -> bool:
        """Bring the window to the front; return whether it is still there."""
        try:
            self._view.show_again()
        except RuntimeError:  # Qt has deleted the window together with its parent
            self.close()
        return not self._is_closed

    # -- what every resource of a lease has ----------------------------------

    def is_closing(self) -> bool:
        """Whether a lease that ends has nothing to close here.

        If nobody's lease opened the monitor, it stays open as long as any lease is attached.
        """
        return self._is_closed or (self._opener is None and any(lease.is_attached for lease in self._leases()))

    def close(self) -> None:
        """Close the window and stop measuring. May be called twice."""
        self._view.close()

    def _end(self) -> None:
        self._is_closed = True
        self._watch.end()
        self._places.clear()
        if vars(self._loop).get("_as_monitor") is self:
            del self._loop._as_monitor

    def _fail(self, exc: Exception) -> None:
        """Close the monitor and report the error to the host, so that a broken monitor harms nobody else."""
        self.close()
        report_safely(self._host, "asyncslot: the task monitor has failed, and was closed", exc)

    # -- the window's content ------------------------------------------------

    def _refresh(self) -> None:
        if not self._watch.is_alive:
            self.close()
            return
        self._watch.qt_is_alive()  # the timer that calls us shows that Qt runs
        start = perf_counter()
        tasks: Dict[str, List[Any]] = {}
        owners = {id(lease._owner): lease.owner for lease in self._leases()}
        for lease in self._leases():
            if self._opener is None:  # then the last lease closes us, so every lease has to know us
                lease._owner.resources.add(self)
            tasks[lease.owner] = []
        for task, owner in self._loop._as_tasks():
            tasks.setdefault(owners.get(id(owner), _NOBODY), []).append(task)
        groups = [Group(name, len(own), list(map(self._row, self._chosen(own)))) for name, own in tasks.items()]
        present = {row.key for group in groups for row in group.rows}
        self._places = {key: place for key, place in self._places.items() if key in present}
        self._view.show_tasks(groups)
        self._view.show_times(self._watch.columns(), self._watch.recently_lost(), perf_counter())
        self._view.set_period(max(_PERIOD_MS, int((perf_counter() - start) * 1000 / _SHARE)))

    def _chosen(self, tasks: List[Any]) -> List[Any]:
        """Return the tasks that are listed: those that were, before others."""
        if len(tasks) > _MOST_ROWS:
            tasks = sorted(tasks, key=lambda task: id(task) not in self._places)[:_MOST_ROWS]
        return tasks

    def _leases(self) -> List[Any]:
        place = _meeting.here()
        return [] if place is None or place.loop is not self._loop else list(place.leases.values())

    def _row(self, task: Any) -> Row:
        before, now = self._places.get(id(task)), _Place(task, not self._is_first)
        place = before if before is not None and before.is_same(now) else now
        self._places[id(task)] = place
        name = task.get_name() if hasattr(task, "get_name") else type(task).__name__  # Python 3.8
        return Row(id(task), name, place.text, place.stack, int(perf_counter() - place.since), place.is_exact)

    def _cancel(self, key: int) -> None:
        place = self._places.get(key)
        task = None if place is None else place.task()
        if task is not None:
            task.cancel()


def _describe_place(task: Any) -> Tuple[str, str]:
    """Return where a task stands: its innermost line outside of asyncio in a few words, and then all its lines."""
    frames = frames_of(task)
    own = [frame for frame in frames if frame.f_globals.get("__name__", "").partition(".")[0] != "asyncio"]
    if not own:
        return repr(task), repr(task)
    code = own[-1].f_code
    file = re.split(r"[/\\]", code.co_filename)[-1]
    text = f"{code.co_name}() in {file}:{own[-1].f_lineno}"
    if own[-1] is not frames[-1]:
        text += f", awaits {frames[-1].f_code.co_name}()"
    lines = (f"{frame.f_code.co_name}() ({frame.f_code.co_filename}:{frame.f_lineno})" for frame in frames)
    return text, "\n".join(lines)


class _Place:
    """Where a task stands and since when; holds the task weakly."""

    def __init__(self, task: Any, is_exact: bool) -> None:
        self.task = weakref.ref(task)
        self.text, self.stack = _describe_place(task)
        self.since = perf_counter()
        self.is_exact = is_exact
        waiter: Optional[Any] = getattr(task, "_fut_waiter", None)
        try:
            self._waiter: Any = None if waiter is None else weakref.ref(waiter)
        except TypeError:  # a future of another kind than asyncio's may not support weak references
            self._waiter = None

    def is_same(self, other: _Place) -> bool:
        """Whether the same task stands where it stood, and has not moved meanwhile."""
        # A task in a loop comes back to the same lines, but then it awaits a new future.
        # Weak references are equal if they refer to the same living object; a dead one equals only itself.
        return self.task == other.task and self.stack == other.stack and self._waiter == other._waiter

"""The task monitor's window: two lists, a strip of bars and a button, in whichever binding the host has.

The view draws the rows and times that it is given, and calls back when the user does something. It knows nothing of
loops, tasks and leases.

We subclass no class of Qt's here. So Qt calls into this file through four signals only, and close() disconnects them.
When the plug-in that holds this copy is gone, Qt may not have deleted the window yet; none of our code runs in it then.

Colours come from the palette, and nothing is told by colour alone. A bar for a step that was too long has a mark above
it, the longest have their name beside them, and the list below says the same in words.
"""

from __future__ import annotations

import math
import re
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from .._binding import disconnect, enum_member
from ._watch import COLUMN, COLUMNS, FRAME, Column, Lost

# The strip's scale is logarithmic: it begins at _LOWEST seconds and spans this many powers of ten.
_LOWEST, _POWERS = 1e-4, 4
_NAMED = 3  # how many of the longest steps have their name beside them in the strip
_MARK = 4  # half of a mark's width, in pixels

_TASK_COLUMNS = ("Owner / task", "For (s)", "Stands in")
_LOST_COLUMNS = ("At", "Step (ms)", "Frames", "Callback")


class Row(NamedTuple):
    """A task in the list.

    Attributes:
        key: the number by which the view names the task to on_cancel.
        name: the task's name.
        place: where the task stands, in a few words.
        stack: the same in full, a line for each frame, innermost last.
        seconds: for how long the task has stood there.
        is_exact: whether `seconds` is exact; False if the task stood there already when the window was opened.
    """

    key: int
    name: str
    place: str
    stack: str
    seconds: int
    is_exact: bool


class Group(NamedTuple):
    """An owner in the list.

    Attributes:
        owner: the owner's name.
        total: how many tasks the owner has.
        rows: those that are listed.
    """

    owner: str
    total: int
    rows: List[Row]

    @property
    def summary(self) -> str:
        """How many tasks there are, in words."""
        text = f"{self.total} task" + ("" if self.total == 1 else "s")
        return text if len(self.rows) == self.total else f"{text}, {len(self.rows)} of them shown"


class View:
    """The window, shown at once.

    Args:
        qt_core: the binding's QtCore; the binding's QtWidgets must be loaded.
        parent: a widget, or None. In a QMainWindow the window is a dock.
        period_ms: milliseconds between two calls of `on_refresh`.
        on_cancel: called with the key of the selected task.
        on_refresh: called every `period_ms` while the window can be seen.
        on_closed: called once, when the user or the code has closed the window.
        on_error: called with an exception from a slot here. PyQt would end the process if it got out of the slot.

    Attributes:
        window: the QDockWidget or QDialog.
    """

    def __init__(
        self,
        qt_core: Any,
        parent: Any,
        period_ms: int,
        on_cancel: Callable[[int], None],
        on_refresh: Callable[[], None],
        on_closed: Callable[[], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        package = qt_core.__name__.rpartition(".")[0]
        self._core = qt_core
        self._gui = sys.modules[package + ".QtGui"]
        self._widgets = widgets = sys.modules[package + ".QtWidgets"]
        self._on_cancel = on_cancel
        self._on_closed: Optional[Callable[[], None]] = on_closed
        self._owners: Dict[str, Any] = {}
        self._tasks: Dict[int, Any] = {}
        self._shown: Dict[int, Row] = {}
        self._shown_lost: List[Lost] = []
        self._is_dock = isinstance(parent, widgets.QMainWindow)
        self.window = (widgets.QDockWidget if self._is_dock else widgets.QDialog)(parent)
        self.window.setWindowTitle("asyncio tasks")
        self.window.setObjectName("asyncio_tasks")  # QMainWindow.saveState() knows docks by their object name
        # A host whose other windows are all closed must quit, although this one is still open.
        self.window.setAttribute(enum_member(qt_core.Qt, "WidgetAttribute", "WA_QuitOnClose"), False)
        content = self._make_content()
        self._timer = qt_core.QTimer(self.window)
        self._timer.setTimerType(enum_member(qt_core.Qt, "TimerType", "CoarseTimer"))
        self._timer.setInterval(period_ms)
        # We keep each signal by name. In PyQt5 (5.15.11) merely to touch a bound signal crashes once Qt has deleted
        # its sender.
        self._connections = [
            (sender, signal, _guard(slot, on_error))
            for sender, signal, slot in (
                (self._timer, "timeout", on_refresh),
                (self._button, "clicked", self._cancel_selected),
                (self._task_list, "itemSelectionChanged", self._update_button),
                (self.window, "visibilityChanged" if self._is_dock else "finished", self._on_visibility),
            )
        ]
        for sender, signal, slot in self._connections:
            getattr(sender, signal).connect(slot)
        self._timer.start()
        if self._is_dock:
            self.window.setWidget(content)
            parent.addDockWidget(enum_member(qt_core.Qt, "DockWidgetArea", "BottomDockWidgetArea"), self.window)
        else:
            layout = widgets.QVBoxLayout(self.window)
            layout.setContentsMargins(0, 0, 0, 0)
            layout.addWidget(content)
            self.window.resize(620, 520)
        self.window.show()

    # -- the widgets ---------------------------------------------------------

    def _make_content(self) -> Any:
        widgets = self._widgets
        self._summary = widgets.QLabel()
        self._summary.setWordWrap(True)
        self._strip = widgets.QLabel()
        self._strip.setAccessibleName("The longest step in each tenth of a second")
        ignored = enum_member(widgets.QSizePolicy, "Policy", "Ignored")
        self._strip.setSizePolicy(ignored, ignored)  # we draw the picture to fit the label, not the other way round
        self._strip.setMinimumSize(120, 70)
        self._lost_list = self._make_list(_LOST_COLUMNS, "Steps that were longer than a frame")
        self._lost_list.setRootIsDecorated(False)
        self._lost_list.setColumnWidth(0, self._lost_list.fontMetrics().boundingRect("00:00:00MM").width())
        self._task_list = self._make_list(_TASK_COLUMNS, "Tasks by owner")
        self._task_list.setColumnWidth(0, self._task_list.columnWidth(0) * 3 // 2)
        self._task_list.setSortingEnabled(True)
        self._task_list.sortByColumn(0, enum_member(self._core.Qt, "SortOrder", "AscendingOrder"))
        self._button = widgets.QPushButton("Cancel task")
        self._button.setEnabled(False)
        self._button.setToolTip("Cancel the selected task, whichever plug-in's it is")
        tasks = self._stack(self._task_list, self._button)
        times = self._stack(self._summary, self._strip, self._lost_list)
        times.layout().setStretch(1, 3)
        times.layout().setStretch(2, 2)
        self._splitter = widgets.QSplitter()
        self._splitter.addWidget(tasks)
        self._splitter.addWidget(times)
        self._splitter.setChildrenCollapsible(False)
        return self._splitter

    def _make_list(self, columns: Sequence[str], name: str) -> Any:
        tree = self._widgets.QTreeWidget()
        tree.setHeaderLabels(list(columns))
        tree.setAccessibleName(name)
        tree.setUniformRowHeights(True)
        tree.setMinimumSize(160, 70)
        metrics = tree.fontMetrics()
        for column, title in enumerate(columns):
            tree.setColumnWidth(column, metrics.boundingRect(title + "MM").width())
        return tree

    def _stack(self, *parts: Any) -> Any:
        box = self._widgets.QWidget()
        layout = self._widgets.QVBoxLayout(box)
        layout.setContentsMargins(4, 4, 4, 4)
        for part in parts:
            layout.addWidget(part)
        return box

    # -- showing -------------------------------------------------------------

    def set_period(self, period_ms: int) -> None:
        """Have `on_refresh` called every `period_ms` milliseconds from now on."""
        if self._timer.interval() != period_ms:
            self._timer.setInterval(period_ms)

    def show_tasks(self, groups: List[Group]) -> None:
        """Show the tasks of each owner; the selection and the unfolded groups stay as they are."""
        tree = self._task_list
        tree.setSortingEnabled(False)  # otherwise each setText() would sort the list again
        for group in groups:
            parent = self._owners.get(group.owner)
            if parent is None:
                parent = self._owners[group.owner] = self._widgets.QTreeWidgetItem(tree, [group.owner, "", ""])
                parent.setExpanded(True)
            parent.setText(2, group.summary)
            for row in group.rows:
                if row.key not in self._tasks:
                    self._tasks[row.key] = self._widgets.QTreeWidgetItem(parent)
                if self._shown.get(row.key) != row:
                    self._show_task(self._tasks[row.key], row)
        self._shown = {row.key: row for group in groups for row in group.rows}
        for key in [key for key in self._tasks if key not in self._shown]:
            item = self._tasks.pop(key)
            item.parent().removeChild(item)
        present = {group.owner for group in groups}
        for owner in [owner for owner in self._owners if owner not in present]:
            tree.takeTopLevelItem(tree.indexOfTopLevelItem(self._owners.pop(owner)))
        tree.setSortingEnabled(True)
        self._update_button()

    def _show_task(self, item: Any, row: Row) -> None:
        item.setText(0, row.name)
        # As a number and not as text, so that the list sorts by it correctly.
        item.setData(1, enum_member(self._core.Qt, "ItemDataRole", "DisplayRole"), row.seconds)
        item.setText(2, row.place)
        item.setToolTip(1, "" if row.is_exact else "At least: it stood there already when this window was opened")
        item.setToolTip(2, row.stack)

    def show_times(self, columns: List[Column], lost: List[Lost], now: float) -> None:
        """Show the steps' times in words and as bars, and list the steps that were too long.

        Args:
            now: seconds, on the clock that `columns` and `lost` were measured with.
        """
        whole_second = columns[-11:-1]  # the last column is not over yet
        frames = sum(each.frames for each in lost)
        longest = max(column.longest for column in columns)
        self._summary.setText(
            f"{sum(column.steps for column in whole_second)} steps/s, busy "
            f"{sum(column.busy for column in whole_second):.0%}. In {COLUMN * COLUMNS:.0f} s: longest step "
            f"{longest * 1000:.1f} ms, {frames} frames lost to {len(lost)} callback" + ("" if len(lost) == 1 else "s")
        )
        self._strip.setAccessibleDescription(self._summary.text())
        size = self.window.size()
        orientation = "Horizontal" if size.width() > 1.6 * size.height() else "Vertical"
        self._splitter.setOrientation(enum_member(self._core.Qt, "Orientation", orientation))
        self._draw_strip(columns, lost)
        if lost != self._shown_lost:
            self._shown_lost = lost
            self._show_lost(lost, now)

    def _show_lost(self, lost: List[Lost], now: float) -> None:
        self._lost_list.clear()
        for each in reversed(lost):
            at = time.strftime("%H:%M:%S", time.localtime(time.time() - (now - each.at)))
            texts = [at, f"{each.seconds * 1000:.0f}", str(each.frames), each.what or "(not told)"]
            self._widgets.QTreeWidgetItem(self._lost_list, texts).setToolTip(3, each.what)

    def _draw_strip(self, columns: List[Column], lost: List[Lost]) -> None:
        size = self._strip.size()
        width, height = size.width(), size.height()
        if width < 2 or height < 2:
            return
        ratio = self._strip.devicePixelRatioF()
        picture = self._gui.QPixmap(math.ceil(width * ratio), math.ceil(height * ratio))
        picture.setDevicePixelRatio(ratio)
        palette = self._strip.palette()
        ink, paper, bar = palette.text().color(), palette.base().color(), palette.highlight().color()
        picture.fill(paper)
        faint = self._gui.QColor(ink)
        faint.setAlpha(110)
        painter = self._gui.QPainter(picture)
        try:
            for seconds, text in ((0.001, "1 ms"), (FRAME, "17 ms, a frame"), (0.1, "100 ms")):
                y = _height(seconds, height)
                painter.setPen(ink if seconds == FRAME else faint)
                painter.drawLine(0, y, width, y)
                painter.drawText(2, y - 2, text)
            step = width / len(columns)
            self._draw_names(painter, columns[0].number, lost, size, step, paper)
            for number, column in enumerate(columns):
                if column.longest:
                    top = _height(column.longest, height)
                    colour = ink if column.longest >= FRAME else bar
                    painter.fillRect(int(number * step), top, max(2, int(step) - 1), height - top, colour)
        finally:
            painter.end()
        self._strip.setPixmap(picture)

    def _draw_names(self, painter: Any, first: int, lost: List[Lost], size: Any, step: float, paper: Any) -> None:
        """Draw a mark above each step that was too long, and the name beside each of the longest."""
        metrics = painter.fontMetrics()
        named = sorted(lost, key=lambda each: -each.seconds)[:_NAMED]
        elide = enum_member(self._core.Qt, "TextElideMode", "ElideRight")
        painter.setPen(self._strip.palette().text().color())
        marks = [int((int(each.at / COLUMN) - first + 0.5) * step) for each in lost]
        for each, x in zip(lost, marks):
            if each in named:
                is_right = x < size.width() / 2
                room = (size.width() - x if is_right else x) - 4 * _MARK
                text = metrics.elidedText(f"{each.seconds * 1000:.0f} ms {_short(each.what)}", elide, room)
                width, top = metrics.boundingRect(text).width() + _MARK, named.index(each) * metrics.height()
                left = x + 2 * _MARK if is_right else x - 2 * _MARK - width
                painter.fillRect(left, top, width, metrics.height(), paper)
                painter.drawText(left, top + metrics.ascent(), text)
        for each, x in zip(lost, marks):
            y = max(_height(each.seconds, size.height()) - 2 * _MARK, 0)
            for line in range(2 * _MARK):  # a triangle that points at the bar
                half = (2 * _MARK - line) // 2
                painter.drawLine(x - half, y + line, x + half, y + line)

    # -- the user's actions --------------------------------------------------

    def _selected(self) -> Optional[int]:
        items = self._task_list.selectedItems()
        # We compare with == as well: PySide may return another Python object for the same item.
        return next(
            (key for key, item in self._tasks.items() if any(item is each or item == each for each in items)), None
        )

    def _update_button(self) -> None:
        self._button.setEnabled(self._selected() is not None)

    def _cancel_selected(self) -> None:
        key = self._selected()
        if key is not None:
            self._on_cancel(key)

    def _on_visibility(self) -> None:
        if self.window.isHidden():
            self.close()
        elif self.window.visibleRegion().isEmpty():
            self._timer.stop()  # hidden by another dock on top of it, or the main window is minimized
        else:
            self._timer.start()

    def show_again(self) -> None:
        """Bring the window to the front.

        Raises:
            RuntimeError: Qt has deleted it.
        """
        self.window.show()
        self.window.raise_()
        self.window.activateWindow()

    def close(self) -> None:
        """Remove the window. May be called twice, and after Qt has deleted the window."""
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is None:
            return
        try:
            self.window.hide()  # first, because it raises if Qt has deleted the window with all that is in it
            for sender, signal, slot in self._connections:
                disconnect(getattr(sender, signal), slot)
            self._timer.stop()
            self.window.deleteLater()
        except RuntimeError:
            pass  # Qt has deleted it together with its parent
        self._connections.clear()
        self._owners.clear()
        self._tasks.clear()
        on_closed()


def _guard(slot: Callable[[], None], on_error: Callable[[Exception], None]) -> Callable[..., None]:
    """Return a slot that ignores the signal's arguments and hands exceptions to `on_error` instead of raising them."""

    def guarded(*_: object) -> None:
        try:
            slot()
        except Exception as exc:
            on_error(exc)

    return guarded


def _height(seconds: float, height: int) -> int:
    """Return how many pixels below the top of the strip a time is drawn."""
    part = math.log10(max(seconds, _LOWEST) / _LOWEST) / _POWERS
    return int(height * (1 - min(part, 1.0)))


def _short(what: str) -> str:
    """Return a description without its directories and without the part after a semicolon."""
    return re.sub(r"[^\s(]*[\\/]", "", what.partition(";")[0])

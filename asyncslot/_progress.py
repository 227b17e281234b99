"""Progress: a task shows how far it is, in the host's own progress display.

    async with lease.progress("Downloading tiles", total=240) as progress:
        for tile in tiles:
            await fetch(tile)
            progress.advance()

The display comes from the adapter, or is a small dialog where the host has none. Progress
keeps count, limits how often the display is updated, and lets its Cancel button cancel the task.
"""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Optional

from ._asyncio import LoopBase
from ._hosts import make_dialog, name_of_host

# Seconds, at least, from one update of the display to the next.
_INTERVAL = 0.05


class Progress:
    """How far a task is, shown by the host; an asynchronous context manager, made by progress() or Lease.progress().

    If the user presses Cancel, the task that entered the block is cancelled. If the
    display fails, that is reported once, and the work goes on without it.

    Attributes:
        total: how many items there are to do; None while nobody can tell.
        done: how many of them are done.
        text: the text beside the bar.

    Thread: GUI thread only.
    """

    def __init__(
        self,
        loop: LoopBase,
        tell: Callable[[str, Optional[BaseException]], None],
        whose: str,
        host: Any,
        title: str,
        total: Optional[float],
    ) -> None:
        self.total = total or None  # of a total of 0 there is no fraction: treat it as unknown
        self.done: float = 0
        self.text = ""
        self._loop = loop
        self._tell = tell
        self._whose = whose
        self._host = host
        self._title = title
        self._display: Any = None
        self._task: Optional[asyncio.Task[Any]] = None
        self._fraction: Optional[float] = None if self.total is None else 0.0
        self._shown_at = 0.0
        self._later: Optional[asyncio.TimerHandle] = None

    async def __aenter__(self) -> Progress:
        self._task = asyncio.current_task()
        try:
            self._display = self._host.progress(self._title, self._cancel)
            if self._display is None:
                self._display = make_dialog(self._host, self._title, self._cancel)
        except Exception as exc:
            self._failed(exc)
        self._show()
        return self

    # There is no `await` in here, so that it runs to its end even when detach() abandons the task.
    async def __aexit__(self, *_: object) -> None:
        self._task = None
        if self._later is not None:
            self._later.cancel()
        display, self._display = self._display, None
        try:
            if display is not None:
                display.close()
        except Exception as exc:
            self._failed(exc)

    def advance(self, count: float = 1, text: Optional[str] = None) -> None:
        """Say that `count` more items are done.

        Args:
            count: how many; may be a fraction.
            text: replaces the text beside the bar; None leaves it.
        """
        self.done += count
        if self.total is not None:
            self._fraction = self.done / self.total
        self._change(text)

    def update(self, fraction: Optional[float], text: Optional[str] = None) -> None:
        """Say how far the task is, as a fraction instead of a count.

        Args:
            fraction: 0..1; None while nobody can tell.
            text: replaces the text beside the bar; None leaves it.
        """
        self._fraction = fraction
        self._change(text)

    def _change(self, text: Optional[str]) -> None:
        """Show the new state now or in a moment, at most twenty times a second."""
        if text is not None:
            self.text = text
        if self._display is None or self._later is not None:
            return
        if self._loop.time() >= self._shown_at + _INTERVAL:
            self._show()
        else:
            self._later = self._loop.call_at(self._shown_at + _INTERVAL, self._show)

    def _show(self) -> None:
        self._later = None
        self._shown_at = self._loop.time()
        fraction = self._fraction
        try:
            if self._display is not None:
                self._display.update(None if fraction is None else min(max(fraction, 0.0), 1.0), self.text)
        except Exception as exc:
            self._failed(exc)

    def _failed(self, exc: Exception) -> None:
        self._display = None
        self._tell(f"{self._whose}: the adapter for {name_of_host(self._host)} failed to show progress", exc)

    def _cancel(self) -> None:
        """Cancel the task, but only once: if the user presses again, that must not interrupt its clean-up."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

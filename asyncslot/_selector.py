"""The selector underneath the loop on Linux: epoll, with descriptors that can be muted.

A reader callback may open a modal dialog. While it is on the stack its
descriptor stays readable, epoll goes on reporting it, and a loop that must not
enter the same callback twice would spin at full speed for as long as the dialog
is open. So the descriptor is *muted*: taken out of epoll, but not out of the
books, so that whoever calls remove_reader() or add_writer() meanwhile finds
everything as it should be.

Taking it out altogether is necessary: epoll reports errors and hang-ups even
for an empty event mask (epoll_ctl(2), EPOLLHUP).

Relies on: `EpollSelector._selector` (the epoll object) and `_fd_to_key`, there in Python 3.7 to 3.14.
"""

from __future__ import annotations

import select
import selectors
from typing import Any, Set


class MutableEpollSelector(selectors.EpollSelector):
    """An EpollSelector some of whose descriptors may be silent for a while."""

    def __init__(self) -> None:
        super().__init__()
        self._muted: Set[int] = set()

    def mute(self, fd: int) -> None:
        """Stop reporting `fd` until unmute_all(), or until its events are modified."""
        if fd in self._muted:
            return
        try:
            self._selector.unregister(fd)
        except OSError:
            return  # closed behind our back: epoll has forgotten it by itself
        self._muted.add(fd)

    def unmute_all(self) -> None:
        """Report every muted descriptor again that is still registered."""
        for fd in list(self._muted):
            self._unmute(fd)

    def _unmute(self, fd: int) -> None:
        self._muted.discard(fd)
        key = self._fd_to_key.get(fd)
        if key is None:
            return
        bits = 0
        if key.events & selectors.EVENT_READ:
            bits |= select.EPOLLIN
        if key.events & selectors.EVENT_WRITE:
            bits |= select.EPOLLOUT
        try:
            self._selector.register(fd, bits)
        except OSError:
            pass  # closed, or closed and registered anew: nothing of ours to restore

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what is watched; a muted descriptor is heard again."""
        if self._muted:
            fd = self._fileobj_lookup(fileobj)
            if fd in self._muted:
                self._unmute(fd)
        return super().modify(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget a descriptor, muted or not."""
        key = super().unregister(fileobj)
        self._muted.discard(key.fd)
        return key

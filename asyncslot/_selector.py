"""The selector underneath the loop, whose descriptors can be muted.

A reader callback may open a modal dialog. While it is on the stack its
descriptor stays readable, the kernel goes on reporting it, and a loop that must
not enter the same callback twice would spin at full speed for as long as the
dialog is open. So the descriptor is *muted*: taken out of the kernel's set, but
not out of the books, so that whoever calls remove_reader() or add_writer()
meanwhile finds everything as it should be.

Taking it out altogether is necessary: epoll reports errors and hang-ups even
for an empty event mask (epoll_ctl(2), EPOLLHUP).

Relies on `_fd_to_key` and `_fileobj_lookup` of the selectors in `selectors`,
there in Python 3.7 to 3.14.
"""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Set


class MutableSelector(selectors.DefaultSelector):
    """The best selector of this system, some of whose descriptors may be silent for a while.

    Attributes:
        on_change: called after a descriptor was registered or modified, for
            whoever is waiting in select() in another thread.
    """

    if TYPE_CHECKING:  # private parts of selectors
        _fd_to_key: Dict[int, selectors.SelectorKey]

        def _fileobj_lookup(self, fileobj: Any) -> int: ...

    def __init__(self) -> None:
        super().__init__()
        self._muted: Set[int] = set()
        self.on_change: Optional[Callable[[], None]] = None

    def mute(self, fd: int) -> None:
        """Stop reporting `fd` until unmute_all(), or until its events are modified."""
        if fd not in self._muted:
            self._fd_to_key[fd] = super().unregister(fd)
            self._muted.add(fd)

    def unmute_all(self) -> None:
        """Report every muted descriptor again that is still registered."""
        for fd in list(self._muted):
            self._unmute(fd)

    def _unmute(self, fd: int) -> None:
        self._muted.discard(fd)
        key = self._fd_to_key.pop(fd)
        try:
            super().register(key.fileobj, key.events, key.data)
        except OSError:
            pass  # closed meanwhile, and never to be reported again

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a descriptor."""
        key = super().register(fileobj, events, data)
        if self.on_change is not None:
            self.on_change()
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what is watched; a muted descriptor is heard again."""
        self._unmute_if_muted(fileobj)
        key = super().modify(fileobj, events, data)
        if self.on_change is not None:
            self.on_change()
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget a descriptor, muted or not."""
        self._unmute_if_muted(fileobj)
        return super().unregister(fileobj)

    def _unmute_if_muted(self, fileobj: Any) -> None:
        if self._muted:
            fd = self._fileobj_lookup(fileobj)
            if fd in self._muted:
                self._unmute(fd)

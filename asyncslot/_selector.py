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

import errno
import os
import select
import selectors
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Set

# What the kernel says of a descriptor that is closed, or is of a file that cannot be watched: it never will be.
_GONE = (errno.EBADF, errno.ENOENT, errno.EPERM)


class MutableSelector(selectors.DefaultSelector):
    """The best selector of this system, some of whose descriptors may be silent for a while.

    It also keeps its books right where the standard library's go wrong: one
    plug-in closes a descriptor that is registered, and the next file to get that
    number is another plug-in's.

    Attributes:
        on_change: called after a descriptor was registered or modified, for
            whoever is waiting in select() in another thread.
        on_exchange: called when that has become the wrong thing to wait for.
        poll: Linux only: epoll's own, for those who do not wait and do without the books.
    """

    if TYPE_CHECKING:  # private parts of selectors
        _fd_to_key: Dict[int, selectors.SelectorKey]
        _selector: Any

        def _fileobj_lookup(self, fileobj: Any) -> int: ...

    def __init__(self) -> None:
        super().__init__()
        self._muted: Set[int] = set()
        self.on_change: Optional[Callable[[], None]] = None
        self.on_exchange: Optional[Callable[[], None]] = None
        if sys.platform == "linux":
            self.poll = self._selector.poll

    def mute(self, fd: int) -> None:
        """Stop reporting `fd` until unmute_all(), or until its events are modified."""
        if fd not in self._muted:
            self._fd_to_key[fd] = super().unregister(fd)
            self._muted.add(fd)

    def unmute_all(self) -> bool:
        """Report every muted descriptor again that is still registered; return False if that must be tried again."""
        for fd in list(self._muted):
            self._unmute(fd)
        return not self._muted

    def _unmute(self, fd: int) -> None:
        self._muted.discard(fd)
        key = self._fd_to_key.pop(fd)
        try:
            # By its number: the object may have been closed, and tell none.
            super().register(fd, key.events, key.data)
        except OSError as exc:
            if exc.errno not in _GONE:  # no memory, or no watches left for this user (ENOSPC)
                self._fd_to_key[fd] = key
                self._muted.add(fd)
        else:
            self._fd_to_key[fd] = key

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a descriptor."""
        key = super().register(fileobj, events, data)
        if self.on_change is not None:
            self.on_change()
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what is watched; a muted descriptor is heard again."""
        self._unmute_if_muted(fileobj)
        key = self._modify(fileobj, events, data)
        if self.on_change is not None:
            self.on_change()
        return key

    def _modify(self, fileobj: Any, events: int, data: Any) -> selectors.SelectorKey:
        before = self.get_key(fileobj)
        if events == before.events:
            # The standard library does not even ask the kernel, which may know nothing of this
            # number any more: it was closed, and is now that of another file.
            self.unregister(fileobj)
            return super().register(fileobj, events, data)
        try:
            return super().modify(fileobj, events, data)
        except FileNotFoundError:  # the same, noticed; super() has forgotten it
            return super().register(fileobj, events, data)
        except OSError:
            self._fd_to_key[before.fd] = before  # the kernel still has what was, and so must we
            raise

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget a descriptor, muted or not."""
        self._unmute_if_muted(fileobj)
        if sys.platform == "linux":
            key = self.get_key(fileobj)
            del self._fd_to_key[key.fd]
            try:
                if sys.version_info < (3, 9):
                    os.fstat(key.fd)  # unregister() says nothing of a closed one there
                self._selector.unregister(key.fd)
            except OSError:
                self._start_anew()
            return key
        return super().unregister(fileobj)

    if sys.platform == "linux":

        def _start_anew(self) -> None:
            """Exchange the epoll for a new one, under the same number.

            A descriptor was closed before it was unregistered. If a duplicate of it is
            open somewhere, in a child process for example, the kernel goes on reporting
            it, and there is no way to take it out (epoll(7), question 6).
            """
            try:
                epoll = select.epoll()
            except OSError:
                return  # no descriptors left, and most probably there is no duplicate
            for fd, key in self._fd_to_key.items():
                if fd not in self._muted:
                    mask = (key.events & selectors.EVENT_READ and select.EPOLLIN) | (
                        key.events & selectors.EVENT_WRITE and select.EPOLLOUT
                    )
                    try:
                        epoll.register(fd, mask)
                    except OSError:
                        pass  # as long as it is in the books, nobody has said that it is closed
            if epoll.fileno() != self._selector.fileno():  # the same, if somebody has closed ours
                os.dup2(epoll.fileno(), self._selector.fileno(), inheritable=False)
            epoll.close()
            if self.on_exchange is not None:
                self.on_exchange()

    def close(self) -> None:
        """Close what the system has lent."""
        try:
            super().close()
        except OSError:
            pass  # somebody has closed it before

    def _unmute_if_muted(self, fileobj: Any) -> None:
        if self._muted:
            fd = self._fileobj_lookup(fileobj)
            if fd in self._muted:
                self._unmute(fd)

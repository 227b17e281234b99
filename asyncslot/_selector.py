"""The selector underneath the loop, whose descriptors can be muted, and what a loop on one needs for steps.

A reader callback may open a modal dialog. While it is on the stack its
descriptor stays readable, the kernel goes on reporting it, and a loop that must
not enter the same callback twice would spin at full speed for as long as the
dialog is open. So the descriptor is *muted*: taken out of the kernel's set, but
not out of the books, so that whoever calls remove_reader() or add_writer()
meanwhile finds everything as it should be.

Taking it out altogether is necessary: epoll reports errors and hang-ups even
for an empty event mask (epoll_ctl(2), EPOLLHUP).

For Unix, and for Windows with Python 3.7. A completion port needs none of it: it
reports each event once, and has its own way of waiting (`_windows`).

Relies on `_fd_to_key` and `_fileobj_lookup` of the selectors in `selectors`, there in Python 3.7 to 3.14, and on
`max_size` of asyncio's selector transports, read in 3.7, 3.8, 3.11 and 3.13.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import selectors
import sys
from contextvars import Context
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Set

from ._asyncio import LoopBase
from ._owners import bound_to, library_of
from ._wakeup import ThreadWait, TimerWait

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


if sys.platform == "linux":
    from select import EPOLLIN, EPOLLOUT

# Bytes that a transport asks for in one read. asyncio's 256 KiB are more than glibc keeps at hand (128 KiB, mallopt(3),
# M_MMAP_THRESHOLD): each read maps memory, has it filled with zeros, and unmaps it, 26 µs instead of 5 for a short one
# (measured with the prototype of the design, 2026-11).
_READ_SIZE = 64 * 1024

# Seconds after which the kernel is asked again for what it had no memory for.
_RETRY = 0.1


class SelectorMixin(LoopBase):
    """The part of a selector loop that steps and ways of waiting ask for."""

    def _make_socket_transport(self, *args: Any, **kwargs: Any) -> Any:
        transport = super()._make_socket_transport(*args, **kwargs)
        transport.max_size = _READ_SIZE
        return transport

    if sys.platform == "linux":

        def _as_poll_now(self) -> bool:
            # As _as_poll(0), without select() and _process_events(): caches are cold in a wake-up, each line counts.
            if self._as_stack:
                return self._as_poll(0)
            selector = self._selector
            keys = selector._fd_to_key
            try:
                events = selector.poll(0, len(keys) or 1)
            except (Exception, SystemExit) as exc:
                self._as_poll_failed(exc)
                return False
            self._as_failed_polls = 0
            for fd, event in events:
                if fd in keys:
                    reader, writer = keys[fd].data
                    # An error or hang-up makes it readable and writable.
                    if reader is not None and event & ~EPOLLOUT:
                        if reader._cancelled:
                            self._remove_reader(fd)
                        else:
                            self._ready.append(reader)
                    if writer is not None and event & ~EPOLLIN:
                        if writer._cancelled:
                            self._remove_writer(fd)
                        else:
                            self._ready.append(writer)
            return bool(events)

    else:

        def _as_poll_now(self) -> bool:
            return self._as_poll(0)

    def _read_from_self(self) -> None:
        # Once, where asyncio reads until there is nothing, which raises: what is left is reported again.
        try:
            data = self._ssock.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        if data:
            self._process_self_data(data)

    def _as_without_running(self, events: List[Any]) -> List[Any]:
        """Leave out the events whose callback is on the stack, and mute their descriptors."""
        news = []
        for key, mask in events:
            if any(handle in self._as_stack for handle in key.data if handle is not None):
                self._selector.mute(key.fd)
                self._as_nested = True
            else:
                news.append((key, mask))
        return news

    def _as_unmute(self) -> None:
        """Hear all descriptors again."""
        if not self._selector.unmute_all():
            Context().run(self.call_later, _RETRY, self._as_unmute)

    def _as_forget_io(self, owner: Any, kept: Optional[List[str]]) -> List[str]:
        """Remove the readers and writers that an owner's code has added; describe them.

        What an installed library has added in a task of the owner's is removed if it leads to the owner's code.
        Else it stays, until the last lease closes the loop: the library is everybody's who imports it, and may serve
        another plug-in with it (grpc.aio adds one reader to each loop, in whose task it happens to be used first;
        1.85, 2026-11).

        Args:
            kept: to this is added what stays; None: as in _as_forget().
        """
        removed = []
        is_alone = self._as_owners == [owner]
        own_fd = self._ssock.fileno()
        for key in list(self._selector.get_map().values()):
            for handle, kind in zip(key.data, ("reader", "writer")):
                if handle is None or key.fd == own_fd or self._as_owner_of_handle(handle) is not owner:
                    continue
                if kept is None and not self._as_is_plain(handle):
                    continue
                library = library_of(handle._callback)
                if kept is not None and library and not self._as_leads_to(owner, handle._callback):
                    if not is_alone:
                        kept.append(f"{kind} of descriptor {key.fd}, registered by {library}")
                    continue
                removed.append(f"{kind} of descriptor {key.fd}")
                remove = self._remove_reader if kind == "reader" else self._remove_writer
                remove(key.fd)
        return removed

    def _as_transports_of(self, owner: Any) -> List[Any]:
        """Return the transports that read or write for an owner and that a library has made without asking the loop."""
        found: Dict[int, Any] = {}
        for key in list(self._selector.get_map().values()):
            for handle in key.data:
                transport = None if handle is None else bound_to(handle._callback)
                if isinstance(transport, asyncio.BaseTransport) and self._as_owner_of_handle(handle) is owner:
                    found[id(transport)] = transport
        return list(found.values())

    def _as_stop_accepting(self, server: Any) -> None:
        """Listen no more, but do not close the server yet."""
        for sock in server.sockets or ():
            self._remove_reader(sock.fileno())

    def _as_make_wait(self, qt_core: Any) -> TimerWait:
        """Return the way of waiting that works with every selector: a thread in select()."""
        selector = self._selector
        wait = ThreadWait(qt_core, selector.select, self._write_to_self, self._as_has_io, self._as_step)
        # Kernel objects (epoll, kqueue) notice a new descriptor while they are being
        # waited on; select() must be called again with it.
        notices_changes = hasattr(selector, "fileno")

        def on_change() -> None:
            if not notices_changes:
                self._write_to_self()
            wait.watch()

        selector.on_change = on_change
        selector.on_exchange = self._write_to_self
        return wait

    def _as_has_io(self) -> bool:
        """Whether anything but the loop's own self-pipe is registered, or the self-pipe is for signals."""
        if self._as_signals is not None and self._as_signals.writes_to_fd:
            return True
        if getattr(self, "_signal_handlers", None):  # Unix: signals that the loop handles come through it, too
            return True
        return len(self._selector.get_map()) > 1

    def _as_start_io(self) -> None:
        """Nothing to do: the self-pipe is a reader like others."""

    def _as_stop_io(self) -> None:
        """Forget whoever waited in a thread, and read the byte that interrupted the waiting."""
        self._selector.on_change = self._selector.on_exchange = None
        self._read_from_self()

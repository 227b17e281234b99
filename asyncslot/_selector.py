"""The selector underneath the loop, with descriptors that can be muted; and polling, reading and waiting with it.

A reader callback may open a modal dialog. While the callback is on the stack, its descriptor stays readable and
the kernel goes on reporting it. We must not enter the same callback twice, so the loop would spin at full speed
until the dialog closes. So we *mute* the descriptor: we take it out of the kernel's set, but not out of the
selector's books. Code that calls remove_reader() or add_writer() meanwhile finds the books in order.

For Unix, and for Windows with Python 3.7. A completion port needs none of it: it reports each event once, and
has its own way of waiting (`_windows`).

Relies on `_fd_to_key` and `_fileobj_lookup` of the selectors in `selectors`, there in Python 3.7 to 3.14.
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
from ._packages import bound_to, library_of
from ._wakeup import ThreadWait, TimerWait

# The kernel's errors for a descriptor that is closed, or whose file cannot be watched. To try again is no use.
_GONE = (errno.EBADF, errno.ENOENT, errno.EPERM)


class MutableSelector(selectors.DefaultSelector):
    """The best selector of this system, with descriptors that can be muted for a while.

    It also keeps its books in order where the standard library's go wrong: one plug-in closes a descriptor that is
    registered, and then another plug-in opens a file that gets the same number.

    Attributes:
        on_change: called after a descriptor was registered or modified, for a thread that waits in select().
        on_exchange: called when the epoll was exchanged for another one, and that thread waits for the old one.
        poll: Linux only: epoll's own poll(), for callers that do not wait and do not need the books.
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
        # An empty event mask would not do: epoll reports errors and hang-ups all the same (epoll_ctl(2), EPOLLHUP).
        if fd not in self._muted:
            self._fd_to_key[fd] = super().unregister(fd)
            self._muted.add(fd)

    def unmute_all(self) -> bool:
        """Report every muted descriptor again that is still registered; return False if some could not be, for now."""
        for fd in list(self._muted):
            self._unmute(fd)
        return not self._muted

    def _unmute(self, fd: int) -> None:
        self._muted.discard(fd)
        key = self._fd_to_key.pop(fd)
        try:
            # By number, because the file object may have been closed, and then does not tell its number.
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
        """Watch a descriptor for other events; if it is muted, report it again."""
        self._unmute_if_muted(fileobj)
        key = self._modify(fileobj, events, data)
        if self.on_change is not None:
            self.on_change()
        return key

    def _modify(self, fileobj: Any, events: int, data: Any) -> selectors.SelectorKey:
        before = self.get_key(fileobj)
        if events == before.events:
            # The standard library would leave the kernel as it is. But the descriptor may have been closed, and its
            # number be that of another file now, of which the kernel knows nothing.
            self.unregister(fileobj)
            return super().register(fileobj, events, data)
        try:
            return super().modify(fileobj, events, data)
        except FileNotFoundError:  # the same case, but the kernel has noticed; super() has removed its entry
            return super().register(fileobj, events, data)
        except OSError:
            self._fd_to_key[before.fd] = before  # the kernel still watches for the old events; the books must say so
            raise

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Stop watching a descriptor, muted or not."""
        self._unmute_if_muted(fileobj)
        if sys.platform == "linux":
            key = self.get_key(fileobj)
            del self._fd_to_key[key.fd]
            try:
                if sys.version_info < (3, 9):
                    os.fstat(key.fd)  # there, unregister() raises nothing for a closed descriptor
                self._selector.unregister(key.fd)
            except OSError:
                self._start_anew()
            return key
        return super().unregister(fileobj)

    if sys.platform == "linux":

        def _start_anew(self) -> None:
            """Exchange the epoll for a new one, under the same number.

            A descriptor was closed before it was unregistered. If a duplicate of it is open somewhere, in a child
            process for example, the kernel goes on reporting the descriptor. There is no way to take it out of the
            epoll then (epoll(7), question 6).
            """
            try:
                epoll = select.epoll()
            except OSError:
                return  # no descriptors are left; we keep the old epoll, as most probably there is no duplicate
            for fd, key in self._fd_to_key.items():
                if fd not in self._muted:
                    mask = (key.events & selectors.EVENT_READ and select.EPOLLIN) | (
                        key.events & selectors.EVENT_WRITE and select.EPOLLOUT
                    )
                    try:
                        epoll.register(fd, mask)
                    except OSError:
                        pass  # it stays in the books until its owner unregisters it
            if epoll.fileno() != self._selector.fileno():  # they are equal if somebody has closed our epoll
                os.dup2(epoll.fileno(), self._selector.fileno(), inheritable=False)
            epoll.close()
            if self.on_exchange is not None:
                self.on_exchange()

    def close(self) -> None:
        """Close the system's own selector."""
        try:
            super().close()
        except OSError:
            pass  # somebody else has closed it already

    def _unmute_if_muted(self, fileobj: Any) -> None:
        if self._muted:
            fd = self._fileobj_lookup(fileobj)
            if fd in self._muted:
                self._unmute(fd)


if sys.platform == "linux":
    from select import EPOLLIN, EPOLLOUT

# Seconds after which we try again to unmute a descriptor that the kernel had no memory for.
_RETRY = 0.1


class SelectorMixin(LoopBase):
    """The part of a loop on a selector that `_steps` and `_wakeup` need from it."""

    async def _accept_connection2(
        self, protocol_factory: Any, conn: Any, extra: Any, sslcontext: Any = None, server: Any = None, *args: Any
    ) -> None:
        # asyncio runs this in a task. The server may have been closed since it accepted the connection; asyncio then
        # fails at an assertion, and the connection stays open until the garbage collector finds it (3.7 to 3.13).
        if server is not None and not server.sockets:
            conn.close()
            return
        await super()._accept_connection2(protocol_factory, conn, extra, sslcontext, server, *args)

    def _make_socket_transport(self, *args: Any, **kwargs: Any) -> Any:
        transport = super()._make_socket_transport(*args, **kwargs)
        self._as_reads.pace_socket(transport)
        return transport

    def _make_ssl_transport(self, rawsock: Any, *args: Any, **kwargs: Any) -> Any:
        transport = super()._make_ssl_transport(rawsock, *args, **kwargs)
        self._as_reads.pace_socket(self._transports[rawsock.fileno()])
        return transport

    if sys.platform == "linux":

        def _as_poll_now(self) -> bool:
            # Fast path: _as_poll(0) with select() and _process_events() inlined. In a wake-up the processor's caches
            # are cold, and each line counts.
            if self._as_stack.outer:
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
                    # An error or hang-up counts as readable and as writable.
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
        # Fast path: we read once. asyncio reads until the socket is empty, and then recv() raises. Bytes that we leave
        # are reported again.
        try:
            data = self._ssock.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        if data:
            self._process_self_data(data)

    def _as_without_running(self, events: List[Any]) -> List[Any]:
        """Return the events without those of callbacks on the stack; mute the descriptors of the latter."""
        news = []
        for key, mask in events:
            if any(handle in self._as_stack.outer for handle in key.data if handle is not None):
                self._selector.mute(key.fd)
                self._as_stack.is_nested = True
            else:
                news.append((key, mask))
        return news

    def _as_unmute(self) -> None:
        """Report all muted descriptors again."""
        if not self._selector.unmute_all():  # the kernel had no memory
            Context().run(self.call_later, _RETRY, self._as_unmute)

    def _as_forget_io(self, owner: Any, kept: Optional[List[str]]) -> List[str]:
        """Remove the readers and writers that an owner's code has added; return descriptions of them.

        An installed library may have added one in a task of the owner's. We remove it if it leads to the owner's
        code. Else it stays until the last lease closes the loop, because the library may serve other plug-ins with
        it. (grpc.aio adds one reader to each loop, in the task that happens to use it first; 1.85, 2026-11.)

        Args:
            kept: a list, to which we add descriptions of those that stay; None: as in _as_forget().
        """
        removed = []
        is_alone = self._as_registry.owners == [owner]
        own_fd = self._ssock.fileno()
        for key in list(self._selector.get_map().values()):
            for handle, kind in zip(key.data, ("reader", "writer")):
                if handle is None or key.fd == own_fd or self._as_registry.owner_of_handle(handle) is not owner:
                    continue
                if kept is None and not self._as_registry.is_plain(handle):
                    continue
                library = library_of(handle._callback)
                if kept is not None and library and not self._as_registry.leads_to(owner, handle._callback):
                    if not is_alone:
                        kept.append(f"{kind} of descriptor {key.fd}, registered by {library}")
                    continue
                removed.append(f"{kind} of descriptor {key.fd}")
                remove = self._remove_reader if kind == "reader" else self._remove_writer
                remove(key.fd)
        return removed

    def _as_transports_of(self, owner: Any) -> List[Any]:
        """Return the transports that read or write for an owner now, also those that a library has made by itself."""
        found: Dict[int, Any] = {}
        for key in list(self._selector.get_map().values()):
            for handle in key.data:
                transport = None if handle is None else bound_to(handle._callback)
                if isinstance(transport, asyncio.BaseTransport) and self._as_registry.owner_of_handle(handle) is owner:
                    found[id(transport)] = transport
        return list(found.values())

    def _as_stop_accepting(self, server: Any) -> None:
        """Stop accepting connections, but do not close the server yet."""
        for sock in server.sockets or ():
            self._remove_reader(sock.fileno())

    def _as_make_wait(self, qt_core: Any) -> TimerWait:
        """Make a ThreadWait, which works with every selector: its thread waits in select()."""
        selector = self._selector
        wait = ThreadWait(qt_core, selector.select, self._write_to_self, self._as_has_io, self._as_step)
        # Kernel objects (epoll, kqueue) notice a new descriptor while a thread waits for them.
        # select() does not, and must be called again with it.
        notices_changes = hasattr(selector, "fileno")

        def on_change() -> None:
            if not notices_changes:
                self._write_to_self()
            wait.watch()

        selector.on_change = on_change
        selector.on_exchange = self._write_to_self
        return wait

    def _as_has_io(self) -> bool:
        """Whether there is I/O to wait for: more than the loop's own self-pipe, or signals that come through that."""
        if self._as_sigint is not None and self._as_sigint.writes_to_fd:
            return True
        if getattr(self, "_signal_handlers", None):  # Unix: the self-pipe brings the signals that the loop handles
            return True
        return len(self._selector.get_map()) > 1

    def _as_start_io(self) -> None:
        """Do nothing: the self-pipe is registered already, as a reader like others."""

    def _as_stop_io(self) -> None:
        """Tell the wait's thread of changes no more, and read the byte that has interrupted it."""
        self._selector.on_change = self._selector.on_exchange = None
        self._read_from_self()

"""The Unix part of the loop: asyncio's selector loop, a way of waiting, and subprocesses.

Up to Python 3.13 asyncio's Unix loop asks the event-loop policy for an object that watches its child processes.
In a host the policy is the host's: Houdini's raises, and the default one of Python 3.7 takes SIGCHLD away from
the host. So we watch each child ourselves. We use a process descriptor, which becomes readable when the child
ends (pidfd, Python 3.9 on Linux 5.3). Where there is none, a daemon thread waits for the child.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from asyncio import unix_events
from contextvars import Context
from typing import Any, Optional, Set

from ._reads import Pace
from ._selector import MutableSelector, SelectorMixin
from ._wakeup import NotifierWait, TimerWait

# Seconds from one check whether a killed child has ended to the next.
_REAP_INTERVAL = 0.005

# The return code of a child that somebody else has reaped; asyncio's watchers use it, too.
_UNKNOWN_RETURNCODE = 255


class _ReadPipe(unix_events._UnixReadPipeTransport):  # type: ignore[name-defined,misc]
    """asyncio's transport that reads from a pipe, with a pace (see `_reads`)."""

    def __init__(self, loop: Any, *args: Any, **kwargs: Any) -> None:
        self._as_pace = Pace()
        self._as_deliver = loop._as_reads.deliver
        super().__init__(loop, *args, **kwargs)

    def _read_ready(self) -> None:
        try:
            data = os.read(self._fileno, self._as_pace.size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._fatal_error(exc, "Fatal read error on pipe transport")
            return
        if data:
            self._as_deliver(self._as_pace, len(data), self._protocol.data_received, data)
            return
        self._closing = True
        self._loop._remove_reader(self._fileno)
        self._loop.call_soon(self._protocol.eof_received)
        self._loop.call_soon(self._call_connection_lost, None)


class _Subprocess(unix_events._UnixSubprocessTransport):  # type: ignore[name-defined,misc]
    """asyncio's transport of a subprocess, which hands on what its pipes have read in a callback of its own."""

    def _pipe_data_received(self, fd: int, data: bytes) -> None:
        self._call(self._as_hand_on, fd, data)

    def _as_hand_on(self, fd: int, data: bytes) -> None:
        pace = self._pipes[fd].pipe._as_pace
        self._loop._as_reads.follow(pace, self._protocol.pipe_data_received, fd, data)


class PlatformLoop(SelectorMixin, asyncio.SelectorEventLoop):
    """asyncio's Unix loop, which leaves policies and SIGCHLD alone."""

    def __init__(self) -> None:
        selector = MutableSelector()
        try:
            super().__init__(selector)
        except BaseException:
            # The error's traceback keeps this loop alive, and with it the selector and sockets that it has opened.
            for opened in (selector, vars(self).get("_ssock"), vars(self).get("_csock")):
                if opened is not None:
                    opened.close()
            raise
        self._as_pidfds: Set[int] = set()

    def close(self) -> None:
        """Close the loop. Children that still run are left to `subprocess`, which reaps them later."""
        if not self.is_running():
            while self._as_pidfds:
                try:
                    os.close(self._as_pidfds.pop())
                except OSError:
                    pass  # somebody else has closed it already
        super().close()

    def _as_make_wait(self, qt_core: Any) -> TimerWait:
        """Make a NotifierWait if there is an epoll, which Qt can watch; it cannot watch a kqueue."""
        if hasattr(select, "epoll"):
            return NotifierWait(qt_core, self._selector.fileno(), self._as_step)
        return super()._as_make_wait(qt_core)

    def _make_read_pipe_transport(self, *args: Any, **kwargs: Any) -> Any:
        return _ReadPipe(self, *args, **kwargs)

    async def _make_subprocess_transport(self, protocol: Any, args: Any, shell: bool, *std: Any, **kwargs: Any) -> Any:
        waiter = self.create_future()
        transport = _Subprocess(self, protocol, args, shell, *std, waiter=waiter, **kwargs)
        try:
            self._as_watch_child(transport.get_pid(), transport)
            # Not shield(): if we are cancelled, it would report an exception of the waiter later (Python 3.14).
            await asyncio.wait([waiter])
            waiter.result()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            await self._as_end_child(transport, waiter)
            raise
        return transport

    async def _as_end_child(self, transport: Any, waiter: Any) -> None:
        """Kill a child whose start was cancelled or has failed; reap it and close its pipes."""
        try:
            await asyncio.wait([waiter])  # until then its pipes are being connected, and cannot be closed
        finally:
            transport.close()
        waiter.exception()  # else asyncio would report that it was never retrieved
        process = transport.get_extra_info("subprocess")
        for fd, pipe in enumerate((process.stdin, process.stdout, process.stderr)):
            if pipe is not None and transport._pipes.get(fd) is None:
                pipe.close()
        # asyncio awaits the transport's _wait() here. From Python 3.11 on that waits for the pipes, too, which may
        # never have been connected. So we poll the child, also because it may be watched by nobody.
        while transport.get_returncode() is None:
            returncode = process.poll()
            if returncode is None:
                await asyncio.sleep(_REAP_INTERVAL)
            else:
                transport._process_exited(returncode)

    def _as_watch_child(self, pid: int, transport: Any) -> None:
        """Have the transport told when its child has ended.

        Raises:
            RuntimeError, MemoryError: neither a process descriptor nor a thread can be had.
        """
        try:
            self._as_watch_descriptor_of(pid, transport)
        except (AttributeError, OSError):  # Python < 3.9, Linux < 5.3, macOS; out of descriptors, or of memory
            name = f"asyncslot-waitpid-{pid}"
            threading.Thread(target=self._as_wait_for_child, args=(pid, transport), name=name, daemon=True).start()

    def _as_watch_descriptor_of(self, pid: int, transport: Any) -> None:
        pidfd = os.pidfd_open(pid)  # type: ignore[attr-defined,unused-ignore]
        try:
            # In an empty context: the watch is the loop's, and outlives the owner whose child it is.
            Context().run(self._add_reader, pidfd, self._as_child_ended, pid, pidfd, transport)
        except BaseException:
            os.close(pidfd)
            raise
        self._as_pidfds.add(pidfd)

    def _as_child_ended(self, pid: int, pidfd: int, transport: Any) -> None:
        self._remove_reader(pidfd)
        self._as_pidfds.remove(pidfd)
        os.close(pidfd)
        if transport.get_returncode() is None:  # else the child is reaped, and `pid` may be another process's
            transport._process_exited(_reap(pid, transport))

    def _as_wait_for_child(self, pid: int, transport: Any) -> None:
        returncode = None
        if hasattr(os, "waitid"):
            # We wait here without reaping; the loop reaps when it tells the transport. Until then kill() must not meet
            # another process that has got the same number (gh-127049, in asyncio's own since 3.14.8).
            try:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                pass  # somebody else in the process has reaped it
        else:
            returncode = _reap(pid, transport)
        try:
            self.call_soon_threadsafe(_tell_exited, pid, transport, returncode)
        except RuntimeError:
            pass  # the loop was closed meanwhile, and the child is left to `subprocess`


def _tell_exited(pid: int, transport: Any, returncode: Optional[int]) -> None:
    if transport.get_returncode() is None:
        transport._process_exited(_reap(pid, transport) if returncode is None else returncode)


def _reap(pid: int, transport: Any) -> int:
    """Wait until a child has ended, and reap it; return its `returncode`, as `subprocess` defines it."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        # Somebody else in the process has reaped it. It may be `subprocess`, which checks the child before it sends a
        # signal; where it does not know the code either, it says 0.
        return transport.get_extra_info("subprocess").returncode or _UNKNOWN_RETURNCODE
    if os.WIFSIGNALED(status):
        return -os.WTERMSIG(status)
    return os.WEXITSTATUS(status)

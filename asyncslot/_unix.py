"""What Unix gives the loop: asyncio's selector loop, a way of waiting, and subprocesses.

Up to Python 3.13 asyncio's Unix loop asks the event-loop policy for somebody to
watch its child processes. In a host that is the host's business: Houdini's policy
raises, and the default one of Python 3.7 takes SIGCHLD away from the host. Ours
goes through a process descriptor that becomes readable when the child ends (pidfd,
Python 3.9 on Linux 5.3), else through a daemon thread that waits for that child.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from asyncio import unix_events
from contextvars import Context
from typing import Any, Optional, Set

from ._selector import MutableSelector, SelectorMixin
from ._wakeup import NotifierWait, TimerWait

# Seconds between two looks at a child that was killed.
_REAP_INTERVAL = 0.005

# What a shell reports for a child that ended unseen; asyncio's watchers use it too.
_UNKNOWN_RETURNCODE = 255


class PlatformLoop(SelectorMixin, asyncio.SelectorEventLoop):
    """asyncio's Unix loop, which leaves policies and SIGCHLD alone."""

    def __init__(self) -> None:
        selector = MutableSelector()
        try:
            super().__init__(selector)
        except BaseException:
            # Whoever handles the error keeps this loop alive by its traceback, and with it what it has opened.
            for opened in (selector, vars(self).get("_ssock"), vars(self).get("_csock")):
                if opened is not None:
                    opened.close()
            raise
        self._as_pidfds: Set[int] = set()

    def close(self) -> None:
        """Close the loop. Children that still run are left to `subprocess`, which reaps them some time."""
        if not self.is_running():
            while self._as_pidfds:
                try:
                    os.close(self._as_pidfds.pop())
                except OSError:
                    pass  # somebody has closed it before
        super().close()

    def _as_make_wait(self, qt_core: Any) -> TimerWait:
        """Return the way of waiting: Qt can watch an epoll descriptor, and a kqueue it cannot."""
        if hasattr(select, "epoll"):
            return NotifierWait(qt_core, self._selector.fileno(), self._as_step)
        return super()._as_make_wait(qt_core)

    async def _make_subprocess_transport(self, protocol: Any, args: Any, shell: bool, *std: Any, **kwargs: Any) -> Any:
        waiter = self.create_future()
        transport = unix_events._UnixSubprocessTransport(  # type: ignore[attr-defined]
            self, protocol, args, shell, *std, waiter=waiter, **kwargs
        )
        try:
            self._as_watch_child(transport.get_pid(), transport)
            # Not shield(): what comes of the waiter after a cancellation would be reported (Python 3.14).
            await asyncio.wait([waiter])
            waiter.result()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            await self._as_end_child(transport, waiter)
            raise
        return transport

    async def _as_end_child(self, transport: Any, waiter: Any) -> None:
        """Kill a child of which its starter will never hear, reap it and close its pipes.

        asyncio waits here in `_wait()`, from Python 3.11 on for pipes, too, which may never have been connected.
        """
        try:
            await asyncio.wait([waiter])  # until then its pipes are being connected, and could not be closed
        finally:
            transport.close()
        waiter.exception()  # or asyncio would complain that nobody has asked
        process = transport.get_extra_info("subprocess")
        for fd, pipe in enumerate((process.stdin, process.stdout, process.stderr)):
            if pipe is not None and transport._pipes.get(fd) is None:
                pipe.close()
        while transport.get_returncode() is None:
            # Perhaps nobody watches it.
            returncode = process.poll()
            if returncode is None:
                await asyncio.sleep(_REAP_INTERVAL)
            else:
                transport._process_exited(returncode)

    def _as_watch_child(self, pid: int, transport: Any) -> None:
        """Have the transport told when its child has ended.

        Raises:
            RuntimeError, MemoryError: there is neither a descriptor nor a thread to be had for that.
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
        if transport.get_returncode() is None:  # otherwise it is reaped, and `pid` perhaps another one's
            transport._process_exited(_reap(pid, transport))

    def _as_wait_for_child(self, pid: int, transport: Any) -> None:
        returncode = None
        if hasattr(os, "waitid"):
            # It is reaped when the loop tells that it has ended: until then kill() must not meet another process that
            # has got its number (gh-127049, in asyncio's own since 3.14.8).
            try:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                pass  # somebody else in the process has reaped it
        else:
            returncode = _reap(pid, transport)
        try:
            self.call_soon_threadsafe(_tell_exited, pid, transport, returncode)
        except RuntimeError:
            pass  # the loop was closed meanwhile; nobody asks, and the child is left to `subprocess`


def _tell_exited(pid: int, transport: Any, returncode: Optional[int]) -> None:
    if transport.get_returncode() is None:
        transport._process_exited(_reap(pid, transport) if returncode is None else returncode)


def _reap(pid: int, transport: Any) -> int:
    """Wait for a child that has ended, or will; return what subprocess calls its returncode."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        # Somebody else in the process has reaped it: perhaps `subprocess`, which looks before it sends a signal, and
        # says 0 where it knows nothing either.
        return transport.get_extra_info("subprocess").returncode or _UNKNOWN_RETURNCODE
    if os.WIFSIGNALED(status):
        return -os.WTERMSIG(status)
    return os.WEXITSTATUS(status)

"""asyncSignal and asyncSignals: await a Qt signal.

    emission, in any thread -> Qt, if it must be queued -> copy the arguments -> future or queue

Each wait has a connection of its own. A wait ends with the emission, when the waiting
task is cancelled, and when the owner's lease ends. When the sender dies the wait ends
with an error, so that no task waits for an emission that cannot come.

This module works on any asyncio loop. A loop of ours it also asks for the owner, and
whether Qt runs. How each binding connects and disconnects is told in `_binding`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio import _get_running_loop
from time import perf_counter
from typing import Any, Callable, Optional

from ._binding import Arguments, connect, is_bound_signal, own_copies, signature_of
from ._errors import NotSignalError, OutsideCoroutineError, SenderDeletedError

# Seconds between two looks at a connection that does not tell when it goes.
_LOOK_INTERVAL = 0.5
# The same for a connection that does tell. Here the timer only makes the loop refer to the wait: see Wait._look().
_LONG_INTERVAL = 24 * 3600.0

# Seconds that an iteration over emissions may take without giving way, on a loop that has no budget of its own.
_BUDGET = 0.001


def asyncSignal(signal: Any) -> asyncio.Future[Arguments]:
    """Return a future for the next emission of `signal`: await it, and get the arguments as a tuple.

        (path,) = await asyncSignal(dialog.fileSelected)
        await asyncio.wait_for(asyncSignal(reply.finished), timeout=10)

    The signal is connected by the call, not by the `await`, so an emission between the
    two is not lost. It is disconnected when the emission has come, when the future is
    cancelled (a timeout does that), and on detach.

    Args:
        signal: a signal of an object, `button.clicked`. Choose an overload with
            brackets, `box.activated[str]`. Keep a reference to the object: its
            signals do not, and PyQt crashes when a signal that was fetched before
            its object died is used afterwards.

    Returns:
        A future for the arguments, always as a tuple: `()` for a signal without
        arguments. They are those that a slot with `*args` would get: PySide leaves
        out arguments that have a default, such as the `checked` of `clicked`.
        Values are copies. A pointer gives the object that it points to; if that
        does not outlive the emission (QPainter), it cannot be used.

    Raises:
        NotSignalError: `signal` is something else.
        OutsideCoroutineError: no asyncio loop is running in this thread.
        SenderDeletedError: the sender is deleted before it has emitted; raised
            where the future is awaited.

    Thread: that of the loop. The emission may come from any thread. From another one
    Qt queues it, as for any slot: then the arguments must be of types that Qt's meta
    type system knows. Those of signals defined in Python are.
    """
    loop = _running_loop("asyncSignal()")
    future: asyncio.Future[Arguments] = loop.create_future()

    def on_emission(arguments: Arguments) -> None:
        if not future.done():
            future.set_result(arguments)
        wait.close()

    def on_end(error: Optional[Exception]) -> None:
        if error is None:
            future.cancel()
        elif not future.done():
            future.set_exception(error)
            future.exception()  # marks it as seen: if nobody awaits the future, asyncio is to report nothing

    wait = Wait("asyncSignal()", signal, loop, on_emission, on_end)
    future.add_done_callback(lambda _: wait.close())
    return future


class asyncSignals:
    """Iterate over the emissions of a signal; each item is the tuple that asyncSignal() would give.

        async for (text,) in asyncSignals(line_edit.textChanged):
            ...

    Emissions that come while the body runs are kept, without limit, and none is
    lost. Where there are many, the iteration gives way to all other code, and to
    Qt, when it has used up `loop.step_budget`. The signal is connected at once. It
    is disconnected when the loop has been left and nothing refers to this object any
    more. To disconnect at a given moment, call aclose() or use it as a context
    manager:

        async with asyncSignals(process.readyRead) as emissions:
            process.start()
            async for _ in emissions:
                ...

    Args:
        signal: as in asyncSignal().

    Raises:
        NotSignalError, OutsideCoroutineError: as in asyncSignal().
        SenderDeletedError: raised by the iteration when the sender is deleted,
            after what it had emitted before.

    After aclose(), and after the lease's detach, the iteration ends. If several tasks
    iterate over one object, each emission goes to one of them.

    Thread: as in asyncSignal().
    """

    def __init__(self, signal: Any) -> None:
        loop = _running_loop("asyncSignals()")
        emissions: asyncio.Queue[Any] = asyncio.Queue()

        def on_end(error: Optional[Exception]) -> None:
            emissions.put_nowait(_End(error))

        self._is_closed = False
        self._emissions = emissions
        self._loop = loop
        self._gave_way = 0.0  # when this iteration did so last
        # The connection must refer to the queue only, and not to us: our __del__() disconnects when nobody iterates
        # any more.
        self._wait = Wait("asyncSignals()", signal, loop, emissions.put_nowait, on_end)

    def __aiter__(self) -> asyncSignals:
        return self

    async def __anext__(self) -> Arguments:
        if self._is_closed:
            raise StopAsyncIteration
        budget = getattr(self._loop, "step_budget", _BUDGET)
        if not self._emissions.empty() and perf_counter() - self._gave_way >= budget:
            # asyncio's queue suspends nobody while it has items: nothing else would run until the last one is taken.
            await asyncio.sleep(0)
            self._gave_way = perf_counter()
            if self._is_closed:
                raise StopAsyncIteration
        item = await self._emissions.get()
        if isinstance(item, _End):
            self._emissions.put_nowait(item)  # put it back, for another task and for the next call
            raise item.error or StopAsyncIteration
        arguments: Arguments = item
        return arguments

    async def aclose(self) -> None:
        """Disconnect, and end the iteration; emissions that have not been taken yet are dropped."""
        self._is_closed = True
        self._wait.close()

    async def __aenter__(self) -> asyncSignals:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        # The loop was left, by `break` for example. If __init__() has failed there is nothing to close.
        wait = getattr(self, "_wait", None)
        if wait is not None:
            wait.close_from_any_thread()


class _End:
    """The last item in the queue of an asyncSignals. It tells why there are no more emissions."""

    def __init__(self, error: Optional[Exception]) -> None:
        self.error = error


class Wait:
    """A connection on behalf of one future, queue or dialog, until close() or the sender's death.

    It calls back in the loop's thread: `on_emission(arguments)` for each emission, and
    `on_end(error)` once, with None after close().

    The current owner gets it as a resource, and closes it as it closes a transport.
    """

    def __init__(
        self,
        what: str,
        signal: Any,
        loop: asyncio.AbstractEventLoop,
        on_emission: Callable[[Arguments], None],
        on_end: Callable[[Optional[Exception]], None],
    ) -> None:
        if not is_bound_signal(signal):
            raise NotSignalError(what, signal)
        self._what = what
        self._signature = signature_of(signal)
        self._loop = loop
        self._thread = threading.get_ident()
        self._on_emission = on_emission
        self._on_end = on_end
        # Another thread holds it while it hands an emission over, by call_soon_threadsafe() and nothing else. The
        # loop's thread takes it to wait for that thread, see _deliver_from_thread().
        self._handing_over = threading.Lock()
        self._is_closed = False
        self._next_look: Optional[asyncio.TimerHandle] = None
        owner = _owner(loop)
        try:
            self._connection = connect(signal, self._receive, self._on_gone, _is_without_qt(signal, loop, owner))
        except (RuntimeError, TypeError) as exc:
            raise self._error() from exc
        if owner is not None:
            owner.resources.add(self)
        self._look()

    def __repr__(self) -> str:
        return f"{self._what} on {self._signature}"

    def is_closing(self) -> bool:
        """Whether the wait has ended."""
        return self._is_closed

    def stands(self) -> bool:
        """Whether an emission can still come, and so whether the sender lives: asked without a touch of the sender."""
        return not self._is_closed and self._connection.stands()

    def close(self) -> None:
        """Disconnect. Loop's thread only; a second call does nothing."""
        self._end(None)

    def close_from_any_thread(self) -> None:
        """Disconnect, now or soon. For __del__(), since the garbage collector runs in any thread."""
        if threading.get_ident() == self._thread:
            self.close()
        else:
            self._call_in_loop(self.close)

    def _receive(self, arguments: Arguments) -> None:
        """Take an emission from Qt; a direct connection brings it in the thread that emits. Never raises into Qt."""
        if self._is_closed:
            return
        arguments = own_copies(self._signature, arguments)
        if threading.get_ident() == self._thread:
            self._deliver(arguments)
        else:
            with self._handing_over:
                self._call_in_loop(self._deliver_from_thread, arguments)

    def _deliver_from_thread(self, arguments: Arguments) -> None:
        # The plug-in's code that we are about to wake may drop the very QThread that has emitted. The destructor of
        # a QThread waits for its thread, and in PyQt it keeps the GIL meanwhile (5.15.11 and 6.11.0 hang, seen
        # 2026-11). So we wait here until that thread has left our Python code, by taking the lock once.
        with self._handing_over:
            pass
        self._deliver(arguments)

    def _deliver(self, arguments: Arguments) -> None:
        if not self._is_closed and not self._loop.is_closed():
            self._on_emission(arguments)

    def _on_gone(self, _: object) -> None:
        """End the wait: the connection has gone by itself. Called in any thread, perhaps by the garbage collector."""
        if not self._is_closed:
            self._call_in_loop(self._end, self._error())

    def _look(self) -> None:
        """Look whether the connection still stands, and arm a timer for the next look.

        By that timer the loop refers to this wait, and so to the task that waits. Without it a task to which nothing
        else refers would be collected, together with a sender to which only the task refers (a QTimer in a local
        variable): PyQt tells the collector of connections.
        """
        if self._is_closed:
            return
        if self._connection.stands():
            interval = _LOOK_INTERVAL if self._connection.must_be_asked else _LONG_INTERVAL
            self._next_look = self._loop.call_later(interval, self._look)
        else:
            self._end(self._error())

    def _end(self, error: Optional[Exception]) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._connection.disconnect()
        if self._next_look is not None:
            self._next_look.cancel()
        if not self._loop.is_closed():
            self._on_end(error)

    def _call_in_loop(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            pass  # the loop was closed in between, so nobody waits any more

    def _error(self) -> SenderDeletedError:
        return SenderDeletedError(self._what, self._signature)


def _running_loop(what: str) -> asyncio.AbstractEventLoop:
    loop = _get_running_loop()
    if loop is None:
        raise OutsideCoroutineError(what)
    return loop


def _is_without_qt(signal: Any, loop: asyncio.AbstractEventLoop, owner: Any) -> bool:
    """Whether Qt cannot deliver queued emissions here, as no Qt loop runs in this thread.

    This is so in the thread of a plain asyncio loop. On a loop of ours it is so while somebody blocks to wait for
    *this* owner's code. While somebody blocks for another owner, we still answer False: this owner's wait may go on
    long after that.
    """
    is_alone_for: Optional[Callable[[Any], bool]] = getattr(loop, "_as_is_alone_for", None)
    if is_alone_for is not None:  # a loop of ours, of whichever copy
        return is_alone_for(owner)
    qt_core = sys.modules[type(signal).__module__]
    return bool(qt_core.QThread.currentThread().loopLevel() == 0)


def _owner(loop: asyncio.AbstractEventLoop) -> Any:
    """Return the current owner if the loop knows owners (it is ours, of whichever copy), else None."""
    variable = getattr(loop, "_as_owner", None)
    return None if variable is None else variable.get()

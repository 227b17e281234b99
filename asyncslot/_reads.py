"""How much a transport reads at a time: what its plug-in works off within a step's budget.

`async for token in stream: show(token)` does not give way while there are tokens that have been read, as asyncio
suspends a task only where it has to wait. So what one read brings is worked off in one callback, and 64 KiB may be
2,000 tokens and a second. Nobody can interrupt that loop. But we decide how much is read before it goes on.

The rule, for each transport by itself:

    it begins with               _FIRST bytes
    two reads come back full,    _GROWTH times as much, up to _MOST. What was worked off within the budget (1 ms) may
    or _PROVEN bytes in one,     then take four times that, which costs no frame
    and are worked off in time
    a read brings less than an   half as much, down to _FIRST: a stream that trickles is ready for the day when much
    eighth of that               is there at once
    working a read off takes     as much less as it took longer, down to _LEAST. Once is nothing, unless it takes a
    longer than the budget       frame: another program may have had the processor meanwhile

*Working off* is the callback that reads (a protocol with data_received() may do its work in there), or the callback
that it has queued: the wake-up of the task that waits for the data. We refer to it weakly, and the step, which measures
callbacks anyway, tells us of those that were too long (overran()). What that task hands on to another one is not
followed: a task that computes in slices must not slow down the reads of others.

Sockets. asyncio's selector transports read in two methods, for protocols with data_received() and for those with
get_buffer(). We put ours in their place, in the instance, so that the class is asyncio's own.

TLS, from Python 3.11 on. Data comes in records of up to 16 KiB, and only a whole one can be decrypted; so it is no use
to read less from the socket. For protocols with get_buffer() SSLProtocol hands data over in portions: it fills a
buffer, and goes on in the next turn if the buffer was full. We make it take that way for the others, too (_Portions),
and read nothing from the socket while there is more to hand over. Before Python 3.11 the smallest portion is a record.

Pipes and subprocesses are read by `_unix`, at the same pace. Datagrams need none of it: asyncio reads one for each
callback, and the rest stays with the system. A completion port reads as asyncio has it, 64 KiB at a time.

Relies on asyncio's private names, all listed in `_asyncio`, as they are in Python 3.7 to 3.14.
"""

from __future__ import annotations

from asyncio import sslproto
from collections import deque
from functools import partial
from typing import Any, Callable, Deque, Optional, Sequence
from weakref import ref

# Bytes. The first read of a connection: 50 tokens of an event stream, which may be half a millisecond of work each.
_FIRST = 2 * 1024
# Some lines of text. If one line takes longer than a frame, smaller reads are no help.
_LEAST = 256
# asyncio's 256 KiB are more than glibc keeps at hand (128 KiB, mallopt(3), M_MMAP_THRESHOLD). Each read would map
# memory, have it filled with zeros, and unmap it: a short one then takes 26 µs instead of 5 (measured with the
# prototype of the design, 2026-11).
_MOST = 64 * 1024
_GROWTH = 4
# Bytes, a record of TLS. Where a library decrypts by itself (anyio), reads that bring the parts of one seem to be no
# work; so they are to bring no more than one until it has come as a whole.
_PROVEN = 16 * 1024

# Seconds. The step's budget may be set to less, but what is shorter than this costs no frame.
_SHORTEST = 0.001
_FRAME = 1 / 60

# How many reads we remember that have woken somebody who has not run yet.
_REMEMBERED = 64

_Interrupt = (SystemExit, KeyboardInterrupt)


class Pace:
    """How much one transport reads at a time.

    Attributes:
        size: bytes, for the next read.
        first, most: bytes of the first read, and of the largest.
        full: what a read has brought that asked for no more than there was, if that is to be followed; else -1.
        few: a read that brings less than that is small; 0: none is.
        got: bytes, of the last read.
        proven: bytes of full reads that have been worked off in time, since the size has changed.
        late: how many full reads ago one took too long, counting from 1; 0: not lately.
        behind: weak references to the handles that work off what has been read last.
        portions: for TLS, what has SSLProtocol hand data over in portions.
    """

    __slots__ = ("behind", "few", "first", "full", "got", "late", "most", "portions", "proven", "size")

    def __init__(self) -> None:
        self.behind: Sequence[Any] = ()
        self.portions: Optional[_Portions] = None
        self.begin(_FIRST, _MOST)

    def begin(self, first: int, most: int) -> None:
        """Begin anew, between these sizes."""
        self.first = self.size = self.full = first
        self.most = most
        self.few = self.got = self.proven = self.late = 0

    def adapt(self, got: int) -> None:
        """Follow a read that was full, or small."""
        if got < self.size:
            self._set(max(self.first, self.size // 2))
            return
        self.proven += self.got  # what the read before has brought
        if self.late:
            self.late = (self.late + 1) % 3
            self._set(self.size)
        elif self.proven >= min(_PROVEN, 2 * self.size) and self.size < self.most:
            self._set(min(self.most, self.size * _GROWTH))

    def slow_down(self, seconds: float, budget: float) -> None:
        """Follow a read that it took too long to work off."""
        if self.late or seconds >= _FRAME:
            self._set(min(self.size, max(_LEAST, int(self.got * budget / seconds))))
        self.late = 1
        self.got = self.proven = 0  # it does not count as worked off
        self.full = self.size

    def _set(self, size: int) -> None:
        self.size = size
        self.proven = 0
        self.full = size if self.late or size < self.most else -1
        self.few = size // 8 if size > self.first else 0


class Reads:
    """The reads of one loop, with the buffer that its TLS connections share."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._recent: Deque[Pace] = deque(maxlen=_REMEMBERED)
        self._scratch = memoryview(b"")

    def scratch(self, size: int) -> memoryview:
        """Return a buffer, to be read out before anybody else's code runs."""
        if len(self._scratch) < size:
            self._scratch = memoryview(bytearray(size))
        return self._scratch[:size]

    def deliver(self, pace: Pace, got: int, call: Callable[[Any], Any], argument: Any) -> None:
        """Hand over what a read has brought, by calling `call(argument)`."""
        if got == pace.full or got < pace.few:
            pace.adapt(got)
        pace.got = got
        self.follow(pace, call, argument)

    def follow(self, pace: Pace, call: Callable[..., Any], *args: Any) -> None:
        """Call `call(*args)`, which works off what has been read, or queues what does so."""
        before = len(self._loop._ready)
        call(*args)
        self.note(pace, before)

    def note(self, pace: Pace, before: int) -> None:
        """Note the callbacks that have been queued, where there were `before` already; they work off what was read."""
        ready = self._loop._ready
        queued = len(ready) - before
        if queued > 0:
            pace.behind = [ref(ready[-each]) for each in range(1, queued + 1)]
            self._recent.append(pace)

    def follow_running(self, pace: Pace) -> None:
        """Note that the callback that runs now works off what has been read."""
        handle = self._loop._as_stack.handle
        if handle is not None:
            pace.behind = [ref(handle), *pace.behind[:1]]
            self._recent.append(pace)

    def overran(self, handle: Any, seconds: float, budget: float) -> None:
        """Have less read by the transport behind a callback that took longer than the budget."""
        budget = max(budget, _SHORTEST)
        if seconds <= budget:
            return
        try:
            pace = handle._callback.__self__._as_pace
        except Exception:  # a plug-in's own __getattr__() may raise anything
            pace = None
        if isinstance(pace, Pace):
            pace.slow_down(seconds, budget)
            return
        for pace in self._recent:
            if any(behind() is handle for behind in pace.behind):
                pace.slow_down(seconds, budget)
                return

    def pace_socket(self, transport: Any) -> None:
        """Pace a transport of asyncio's selector loop that reads a stream from a socket."""
        pace = transport._as_pace = Pace()
        # Partials and no inner functions: ten thousand connections have these, and each keeps half of a KiB less.
        transport._read_ready__data_received = partial(_read_data, self, transport, pace)
        transport._read_ready__get_buffer = partial(_read_into_buffer, self, transport, pace)
        transport.set_protocol(transport.get_protocol())  # which chooses one of the two


def _read_data(reads: Reads, transport: Any, pace: Pace) -> None:
    """Read for a protocol with data_received()."""
    if transport._conn_lost:
        return
    try:
        data = transport._sock.recv(pace.size)
    except (BlockingIOError, InterruptedError):
        return
    except _Interrupt:
        raise
    except BaseException as exc:
        transport._fatal_error(exc, "Fatal read error on socket transport")
        return
    # Fast path: deliver(), inlined, and for a read of a few bytes almost nothing of it.
    got = len(data)
    before = -1
    if got >= _LEAST or pace.few:
        if not got:
            transport._read_ready__on_eof()
            return
        if got == pace.full or got < pace.few:
            pace.adapt(got)
        pace.got = got
        before = len(reads._loop._ready)
    elif not got:
        transport._read_ready__on_eof()
        return
    try:
        transport._protocol.data_received(data)
    except _Interrupt:
        raise
    except BaseException as exc:
        transport._fatal_error(exc, "Fatal error: protocol.data_received() call failed.")
    if before != -1 and len(reads._loop._ready) != before:
        reads.note(pace, before)


def _read_into_buffer(reads: Reads, transport: Any, pace: Pace) -> None:
    """Read for a protocol with get_buffer()."""
    if transport._conn_lost:
        return
    protocol, portions = transport._protocol, pace.portions
    if portions is None or portions.protocol() is not protocol:
        portions = pace.portions = _Portions.of(reads, protocol, pace)
    if portions is not None and portions.must_wait():
        return
    try:
        buffer = protocol.get_buffer(-1)
        if not len(buffer):
            raise RuntimeError("get_buffer() returned an empty buffer")
    except _Interrupt:
        raise
    except BaseException as exc:
        transport._fatal_error(exc, "Fatal error: protocol.get_buffer() call failed.")
        return
    is_paced = portions is None and len(buffer) > pace.size
    try:
        got = transport._sock.recv_into(buffer, pace.size if is_paced else 0)
    except (BlockingIOError, InterruptedError):
        return
    except _Interrupt:
        raise
    except BaseException as exc:
        transport._fatal_error(exc, "Fatal read error on socket transport")
        return
    if not got:
        transport._read_ready__on_eof()
        return
    try:
        if portions is None:
            reads.deliver(pace, got, protocol.buffer_updated, got)
        else:
            protocol.buffer_updated(got)  # and that calls ours
    except _Interrupt:
        raise
    except BaseException as exc:
        transport._fatal_error(exc, "Fatal error: protocol.buffer_updated() call failed.")


class _Portions:
    """Has a SSLProtocol hand data over in portions.

    Attributes:
        protocol: a weak reference to the SSLProtocol, which refers to us.
    """

    @classmethod
    def of(cls, reads: Reads, protocol: Any, pace: Pace) -> Any:
        """Return a new one; None for another protocol, and before Python 3.11."""
        if not hasattr(sslproto.SSLProtocol, "_do_read__buffered") or not isinstance(protocol, sslproto.SSLProtocol):
            return None
        return cls(reads, protocol, pace)

    def __init__(self, reads: Reads, protocol: Any, pace: Pace) -> None:
        self.protocol = ref(protocol)
        self._reads = reads
        self._pace = pace
        self._is_behind = False  # the last portion filled the buffer, and SSLProtocol has promised to go on
        self._buffer = memoryview(b"")
        # SSLProtocol's promise comes before the wake-up of the task, which so meets two portions. The largest one is
        # all that asyncio reads at a time, so that there is no promise where nobody is slow.
        pace.begin(_FIRST // 2, protocol.max_size)
        protocol._set_app_protocol = self._set_app_protocol
        self._set_app_protocol(protocol._app_protocol)

    def must_wait(self) -> bool:
        """Whether nothing is to be read from the socket now, because a callback is queued that hands more over."""
        protocol: Any = self.protocol()
        is_wrapped = protocol._state is sslproto.SSLProtocolState.WRAPPED  # type: ignore[attr-defined,unused-ignore]
        return self._is_behind and is_wrapped and not protocol._app_reading_paused

    def _set_app_protocol(self, app_protocol: Any) -> None:
        protocol: Any = self.protocol()
        type(protocol)._set_app_protocol(protocol, app_protocol)
        self._is_behind = False
        if not protocol._app_protocol_is_buffer:  # else its buffer says how much it wants at a time
            protocol._app_protocol_is_buffer = True
            protocol._app_protocol_get_buffer = self._give_buffer
            protocol._app_protocol_buffer_updated = self._take_portion

    def _give_buffer(self, pending: int) -> memoryview:
        """Return the buffer for the next portion; `pending` bytes have come that are still encrypted."""
        protocol: Any = self.protocol()
        self._is_behind = False
        size = self._pace.size
        if protocol._state is sslproto.SSLProtocolState.FLUSHING:  # type: ignore[attr-defined,unused-ignore]
            # The last time that we are asked: SSLProtocol does not go on after that. A record may have been decrypted
            # and handed over in part.
            size = pending + protocol._sslobj.pending() + 1
        self._buffer = self._reads.scratch(size)
        return self._buffer

    def _take_portion(self, got: int) -> None:
        protocol: Any = self.protocol()
        self._is_behind = got == len(self._buffer)
        self._reads.follow_running(self._pace)
        self._reads.deliver(self._pace, got, protocol._app_protocol.data_received, bytes(self._buffer[:got]))

"""Every private name of asyncio that this package uses, for readers and for type checkers; and the clock.

Private names are asyncio's own business and may change with each version of Python. We use them where there is no
public way, or none that is fast enough. The table lists all of them, by the object of asyncio's that has them. They
were read in Python 3.7 to 3.14; where a name is not in all of these, its versions stand behind it.
tests/house/test_private_names.py reads our code and asyncio's, and fails on a name too many or too few on either side.

    asyncio.events           _get_running_loop _set_running_loop _event_loop_policy _ThreadSafeHandle[3.14]
    asyncio.tasks            _enter_task _leave_task
                             _all_tasks[3.7-3.11] _scheduled_tasks[3.12-3.14] _eager_tasks[3.12-3.14]
    asyncio.futures          _convert_future_exc[3.8-3.14]
    asyncio.base_events      _format_handle
    asyncio.format_helpers   _format_callback_source
    Handle                   _args _callback _cancelled _context _loop _repr _run _source_traceback
    TimerHandle              _scheduled _when
    Future                   _callbacks _exception _log_traceback _loop
    Task                     _context _coro _fut_waiter _log_destroy_pending _must_cancel _source_traceback
    BaseEventLoop            _asyncgen_finalizer_hook _asyncgen_firstiter_hook _asyncgens _check_callback
                             _check_closed _check_thread _clock_resolution _closed
                             _coroutine_origin_tracking_enabled _current_handle _debug _default_executor
                             _executor_shutdown_called[3.9-3.14] _make_datagram_transport
                             _make_read_pipe_transport _make_socket_transport _make_ssl_transport
                             _make_subprocess_transport _make_write_pipe_transport _process_events _ready
                             _scheduled _set_coroutine_origin_tracking _start_serving _stopping
                             _task_factory _thread_id _timer_cancelled_count _write_to_self
    BaseSelectorEventLoop    _add_reader _csock _process_self_data _read_from_self _remove_reader
                             _remove_writer _selector _ssock _transports
    selector transports      _conn_lost _fatal_error _protocol _read_ready__data_received
                             _read_ready__get_buffer _read_ready__on_eof _sock
    SSLProtocol              _app_protocol
                             _app_protocol_buffer_updated[3.11-3.14] _app_protocol_get_buffer[3.11-3.14]
                             _app_protocol_is_buffer _app_reading_paused[3.11-3.14] _do_read__buffered[3.11-3.14]
                             _set_app_protocol _sslobj _state
    unix_events              _UnixReadPipeTransport _UnixSubprocessTransport _call _call_connection_lost _closing
                             _fileno _process_exited _pipes _signal_handlers
    BaseProactorEventLoop    _loop_self_reading _proactor _self_reading_future
    IocpProactor             _cache _iocp _unregister
    the future of an I/O     _ov

Type checkers know asyncio from typeshed, which leaves private names out. Their types are in the classes below, which
exist for a type checker only. At run time `LoopBase` is `object`, tasks and handles are asyncio's, and names that
are used in annotations only are None.

The clock, monotonic(), returns seconds as a float; it never goes back.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextvars import Context
    from socket import socket
    from typing import Any, Callable, Deque, List, Optional, Sequence, TypeVar
    from typing import overload as overload  # "as": others import it from here

    from typing_extensions import ParamSpec, TypeVarTuple
    from typing_extensions import Unpack as Unpack

    # A callback's result and its positional arguments, which typeshed ties together. P: with keyword arguments, too.
    T = TypeVar("T")
    Ts = TypeVarTuple("Ts")
    P = ParamSpec("P")

    class Handle(asyncio.Handle):
        """asyncio.Handle, with its private parts."""

        _callback: Callable[..., Any]
        _cancelled: bool
        _loop: Any
        _repr: Optional[str]
        _args: Sequence[Any]
        _context: Context
        _source_traceback: Optional[List[Any]]

    class TimerHandle(asyncio.TimerHandle, Handle):
        """asyncio.TimerHandle, with its private parts."""

        _when: float
        _scheduled: bool

    class Task(asyncio.Task[T]):
        """asyncio.Task, with its private parts."""

        _source_traceback: Optional[List[Any]]

    class LoopBase(asyncio.BaseEventLoop):
        """One of asyncio's loops, with its private parts and those of our mixins that others use."""

        # asyncio.BaseEventLoop
        slow_callback_duration: float
        _asyncgens: Any
        _clock_resolution: float
        _closed: bool
        _coroutine_origin_tracking_enabled: bool
        _current_handle: Optional[asyncio.Handle]
        _debug: bool
        _default_executor: Any
        _ready: Deque[Handle]
        _scheduled: List[TimerHandle]
        _stopping: bool
        _task_factory: Any
        _thread_id: Optional[int]
        _timer_cancelled_count: int

        def __init__(self, *args: Any) -> None: ...
        def _asyncgen_finalizer_hook(self, agen: Any) -> None: ...
        def _asyncgen_firstiter_hook(self, agen: Any) -> None: ...
        def create_task(self, coro: Any, **kwargs: Any) -> Task[Any]: ...
        def _check_callback(self, callback: Any, method: str) -> None: ...
        def _check_closed(self) -> None: ...
        def _check_thread(self) -> None: ...
        def _set_coroutine_origin_tracking(self, enabled: bool) -> None: ...

        # asyncio's loops on a selector or a proactor
        _csock: socket
        _ssock: socket
        _selector: Any
        _transports: Any

        def _add_reader(self, fd: int, callback: Callable[..., Any], *args: Any) -> Any: ...
        def _read_from_self(self) -> None: ...
        def _remove_reader(self, fd: int) -> bool: ...
        def _remove_writer(self, fd: int) -> bool: ...
        def _make_datagram_transport(self, *args: Any, **kwargs: Any) -> Any: ...
        def _make_read_pipe_transport(self, *args: Any, **kwargs: Any) -> Any: ...
        async def _accept_connection2(self, *args: Any) -> None: ...
        def _make_socket_transport(self, *args: Any, **kwargs: Any) -> Any: ...
        def _make_ssl_transport(self, *args: Any, **kwargs: Any) -> Any: ...
        def _make_write_pipe_transport(self, *args: Any, **kwargs: Any) -> Any: ...
        async def _make_subprocess_transport(self, *args: Any, **kwargs: Any) -> Any: ...
        def _process_events(self, events: List[Any]) -> None: ...
        def _process_self_data(self, data: bytes) -> None: ...
        def _start_serving(self, *args: Any, **kwargs: Any) -> None: ...
        def _write_to_self(self) -> None: ...

        # Ours
        _as_alert: bool
        _as_batch: Deque[Handle]
        _as_exception: Optional[BaseException]
        _as_failed_polls: int
        _as_idle: bool
        _as_reads: Any
        _as_registry: Any
        _as_sigint: Any
        _as_stack: Any

        def _as_callback_failed(self, handle: Handle, exc: BaseException) -> None: ...
        def _as_call_inside(self, handle: Handle, fn: Callable[[], Any]) -> Any: ...
        def _as_interrupted(self, exc: BaseException) -> None: ...
        def _as_poll(self, timeout: Optional[float]) -> bool: ...
        def _as_poll_failed(self, exc: BaseException) -> None: ...
        def _as_poll_now(self) -> bool: ...
        def _as_rest(self) -> None: ...
        def _as_step(self, running: Any) -> None: ...
        def _as_stop(self) -> None: ...
        def _as_unmute(self) -> None: ...
        def _as_wake(self) -> None: ...
        def _as_wake_threadsafe(self) -> None: ...
        def _as_without_running(self, events: List[Any]) -> List[Any]: ...

else:
    Handle = asyncio.Handle
    TimerHandle = asyncio.TimerHandle
    Task = asyncio.Task
    LoopBase = object
    T = Ts = P = Unpack = None

    def overload(function: object) -> object:
        """Do nothing. typing's own keeps its functions, and so keeps a purged copy of ours alive (Python 3.11)."""
        return function


# On Windows before Python 3.13, time.monotonic() goes in steps of 15.6 ms, which is a frame. A step's budget of 1 ms
# would become 15.6 ms. Timers would be as much too early, because asyncio takes a timer to be due when it is nearer
# than the clock's resolution. time.perf_counter() is as steady there, and far finer.
if sys.platform == "win32" and sys.version_info < (3, 13):
    from time import perf_counter

    monotonic = perf_counter
else:
    from time import monotonic as monotonic

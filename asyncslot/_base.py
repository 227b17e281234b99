"""What the parts of the loop may count on, for type checkers: asyncio's private names, and each other's.

The loop is put together from mixins on top of one of asyncio's own. They use
names that asyncio keeps to itself and that typeshed, from which checkers know
asyncio, therefore leaves out. This file says what type they have, so that a
checker knows them here and nowhere else; in which Python versions they were read
stands where they are used.

At run time there is nothing of this: `LoopBase` is `object`, tasks and handles are
asyncio's, and what stands in annotations only is None.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextvars import Context
    from socket import socket
    from typing import Any, Callable, Deque, List, Optional, Sequence, Set, TypeVar
    from typing import overload as overload  # "as": others import it from here

    from typing_extensions import ParamSpec, TypeVarTuple
    from typing_extensions import Unpack as Unpack

    # A callback's result, and its arguments: typeshed ties them together. P, where they may have names.
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

        def _add_reader(self, fd: int, callback: Callable[..., Any], *args: Any) -> Any: ...
        def _read_from_self(self) -> None: ...
        def _remove_reader(self, fd: int) -> bool: ...
        def _remove_writer(self, fd: int) -> bool: ...
        def _make_datagram_transport(self, *args: Any, **kwargs: Any) -> Any: ...
        def _make_read_pipe_transport(self, *args: Any, **kwargs: Any) -> Any: ...
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
        _as_copies: Set[str]
        _as_exception: Optional[BaseException]
        _as_failed_polls: int
        _as_handle: Optional[Handle]
        _as_has_run: bool
        _as_held: List[Handle]
        _as_idle: bool
        _as_is_open: bool
        _as_nested: bool
        _as_owner: Any
        _as_owners: List[Any]
        _as_signals: Any
        _as_stack: List[Handle]

        def _as_callback_failed(self, handle: Handle, exc: BaseException) -> None: ...
        def _as_call_inside(self, handle: Handle, fn: Callable[[], Any]) -> Any: ...
        def _as_callers_context(self) -> Optional[Context]: ...
        def _as_give_owner(self, context: Context) -> None: ...
        def _as_is_plain(self, handle: Handle) -> bool: ...
        def _as_leads_to(self, owner: Any, callback: Any) -> bool: ...
        def _as_on_stack(self) -> List[Handle]: ...
        def _as_owner_of_frames(self, frame: Any) -> Any: ...
        def _as_owner_of_handle(self, handle: Handle) -> Any: ...
        def _as_unwind(self) -> None: ...
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
        """Do nothing: typing's own keeps what it is given, and with it a copy that was purged (Python 3.11)."""
        return function

"""Whose error is it, and who is told: what becomes of a call of asyncio's exception handler in a host.

We tell the handler that the owner's own code has set. If there is none, we tell the host's users, by the
owner's adapter and in the owner's name. `_owners` knows the owner of a task or a callback. Here are only
the places where we look for it: the callback that failed, the task, the transport, and the lines that the
exception came through.

This module knows nothing of leases.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import Any, Dict, Optional

from ._owners import is_in
from ._packages import is_installed, plugin_of
from ._tasks import safe_repr

_DETAILS = ("task", "future", "handle", "transport")


def report_error(loop: Any, context: Dict[str, Any]) -> None:
    """Report an error, of which asyncio's exception handler was told, in the name of its owner."""
    if _is_cancellation(context):
        return
    owner = _owner_of(loop, context)
    if owner is not None and owner.exception_handler is not None:
        try:
            owner.exception_handler(loop, context)
        except BaseException as exc:  # whatever it is, it is the handler's own error
            owner.report(f"{owner.name}: the exception handler failed to handle what is reported next", exc)
        else:
            return
    if owner is not None:
        message = f"{owner.name}: {context['message']}"
    elif loop._as_registry.owners:
        # An error without an owner. We report it through any of them: all reach the users of the same host.
        owner = loop._as_registry.owners[0]
        message = f"asyncslot: {context['message']}"
    else:
        asyncio.BaseEventLoop.default_exception_handler(loop, context)
        return
    details = (f"{key}: {safe_repr(context[key])}" for key in _DETAILS if key in context)
    owner.report("\n".join([message, *details]), context.get("exception"))


def _is_cancellation(context: Dict[str, Any]) -> bool:
    """Whether a callback has failed because its task was cancelled, which is no error.

    asyncio.streams asks a server's handler task for its exception without asking first
    whether it was cancelled (Python 3.11.7 and 3.12.1, 2026-11). detach() cancels such tasks.
    """
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        return False
    args = getattr(context.get("handle"), "_args", None) or ()
    return any(isinstance(arg, asyncio.Future) and arg.cancelled() for arg in args)


def _owner_of(loop: Any, context: Dict[str, Any]) -> Optional[Any]:
    """Return the owner of an error, which we find in the context that asyncio's handler was given; or None."""
    handle = context.get("handle")
    task = context.get("task")
    if handle is None and task is not None:
        # A callback of the task, which has the task as its argument, may be reporting the error just now.
        handle = next((each for each in loop._as_stack.handles() if any(arg is task for arg in each._args or ())), None)
    owner = None if handle is None else handle._context.get(loop._as_owner)
    if owner is not None:
        return owner
    # The callback carries no owner, but leads to things that have one. A callback that a plain slot has added to a
    # task gets the task as its argument; one that a transport calls after detach() has closed it is the transport's.
    suspects = [context.get(key) for key in ("task", "future", "transport")]
    suspects += getattr(handle, "_args", None) or ()
    suspects.append(getattr(getattr(handle, "_callback", None), "__self__", None))
    for suspect in suspects:
        if isinstance(suspect, asyncio.Task):
            owner = loop._as_registry.owner_of_task(suspect)
        else:
            owner = next((owner for owner in loop._as_registry.owners if is_in(suspect, owner.resources)), None)
        if owner is not None:
            return owner
    # Below Python 3.12 a task that has ended gives no context, but its traceback tells whose code it ran.
    exc = context.get("exception")
    is_strangers = False
    for frame, _ in traceback.walk_tb(None if exc is None else exc.__traceback__):
        module = frame.f_globals.get("__name__") or ""
        owners = loop._as_registry.owners_of_module(module)
        is_strangers = is_strangers or not (owners or is_installed(module))
        if owners:
            # Of several leases of one package we prefer the one in the current context, and the one that has its name.
            likely = [owner for owner in owners if owner is loop._as_owner.get() or owner.name == plugin_of(module)]
            return (likely or owners)[0]
    if is_strangers and handle is None and (task is not None or "future" in context):
        # The error came through the code of a plug-in that has left. asyncio tells of it when the garbage collector has
        # found the task, and that may happen while anybody's code runs.
        return None
    return loop._as_owner.get()

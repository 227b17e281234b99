"""Whose error is it, and who is told: what becomes of a call of asyncio's exception handler in a host.

Told is the users' place of the host that the owner's adapter knows, in the owner's name; or the handler
that the owner's own code has set. Whose it is, `_owners` knows; here are only the places to look
in: the callback that failed, the task, the transport, the lines that the exception came through.

This module knows nothing of leases.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import Any, Dict, Optional

from ._owners import is_in, plugin_of
from ._report import safe_repr

_DETAILS = ("task", "future", "handle", "transport")


def report_error(loop: Any, context: Dict[str, Any]) -> None:
    """Report what asyncio's exception handler was told, in the name of the owner whose it is."""
    if _is_cancellation(context):
        return
    owner = _owner_of(loop, context)
    if owner is not None and owner.exception_handler is not None:
        try:
            owner.exception_handler(loop, context)
        except BaseException as exc:  # whatever it is, it is an error of the handler's
            owner.report(f"{owner.name}: the exception handler failed to handle what is reported next", exc)
        else:
            return
    if owner is not None:
        message = f"{owner.name}: {context['message']}"
    elif loop._as_owners:
        # Nobody's in particular; the users of any host look in the same place.
        owner = loop._as_owners[0]
        message = f"asyncslot: {context['message']}"
    else:
        asyncio.BaseEventLoop.default_exception_handler(loop, context)
        return
    details = (f"{key}: {safe_repr(context[key])}" for key in _DETAILS if key in context)
    owner.report("\n".join([message, *details]), context.get("exception"))


def _is_cancellation(context: Dict[str, Any]) -> bool:
    """Whether a callback has failed because its task was cancelled, which is no error.

    asyncio.streams asks a server's handler task for its exception without asking first
    whether it was cancelled (Python 3.11.7 and 3.12.1, 2026-11), which detach() does.
    """
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        return False
    args = getattr(context.get("handle"), "_args", None) or ()
    return any(isinstance(arg, asyncio.Future) and arg.cancelled() for arg in args)


def _owner_of(loop: Any, context: Dict[str, Any]) -> Optional[Any]:
    """Tell from the context of an error whose error it is."""
    handle = context.get("handle")
    task = context.get("task")
    if handle is None and task is not None:
        # A callback of that task's may be telling of it.
        handle = next((each for each in loop._as_on_stack() if any(arg is task for arg in each._args or ())), None)
    owner = None if handle is None else handle._context.get(loop._as_owner)
    if owner is not None:
        return owner
    # A callback that a plain slot has added to a task has no owner, but is given the task; what a
    # transport calls after detach() has closed it has none, but is the transport's.
    suspects = [context.get(key) for key in ("task", "future", "transport")]
    suspects += getattr(handle, "_args", None) or ()
    suspects.append(getattr(getattr(handle, "_callback", None), "__self__", None))
    for suspect in suspects:
        if isinstance(suspect, asyncio.Task):
            owner = loop._as_owner_of_task(suspect)
        else:
            owner = next((owner for owner in loop._as_owners if is_in(suspect, owner.resources)), None)
        if owner is not None:
            return owner
    # A task that has ended tells no context below Python 3.12; its traceback tells whose code it was.
    exc = context.get("exception")
    for frame, _ in traceback.walk_tb(None if exc is None else exc.__traceback__):
        module = frame.f_globals.get("__name__") or ""
        owners = loop._as_owners_of_module(module)
        if owners:
            # Of several leases of one package it is the one in whose name this is called, if any.
            likely = [owner for owner in owners if owner is loop._as_owner.get() or owner.name == plugin_of(module)]
            return (likely or owners)[0]
    return loop._as_owner.get()

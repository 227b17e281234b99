"""Facts as lines of text, and how to look for one without ever failing.

A report looks at objects that may be of another copy and version, half torn down,
or not ours at all. So we look for each fact by itself. Where that fails, the fact
says that it cannot be read.

This module does not know what the facts are about.
"""

from __future__ import annotations

import heapq
from typing import Any, Callable, Iterable, List, NamedTuple, Union

# A list shows this many items, and only counts the others.
_MOST = 20


class Fact(NamedTuple):
    """One line, `label: text`, and lines that belong below it."""

    label: str
    text: str
    details: List[str]


class Section(NamedTuple):
    """Facts under one title."""

    title: str
    facts: List[Fact]


class First(NamedTuple):
    """The first items of a long list, described, and how many items it has."""

    lines: List[str]
    total: int


def fact(label: str, look: Callable[[], Union[str, List[str], First]]) -> Fact:
    """Return what `look` finds: a text, or a list of which each item gets a line. Never raises."""
    try:
        found = look()
    except (Exception, SystemExit) as exc:  # a plug-in's own code may raise anything
        return Fact(label, cannot_read(exc), [])
    if isinstance(found, str):
        return Fact(label, found, [])
    if not isinstance(found, First):
        found = First(found[:_MOST], len(found))
    rest = found.total - len(found.lines)
    more = [f"and {rest:,} more"] if rest > 0 else []
    return Fact(label, f"{found.total:,}" if found.total else "none", found.lines + more)


def cannot_read(exc: BaseException) -> str:
    """Say that something cannot be read. We leave out the error's own words, which may quote a plug-in's data."""
    return f"cannot be read ({type(exc).__name__})"


def first(things: Iterable[Any], order: Callable[[Any], Any], describe: Callable[[Any], str]) -> First:
    """Describe the things that a list shows, the first by their order; the others, which may be many, we only count."""
    things = list(things)
    return First(each(heapq.nsmallest(_MOST, things, order), describe), len(things))


def each(things: Iterable[Any], describe: Callable[[Any], str]) -> List[str]:
    """Describe things one by one; one that cannot be described does not hide the others."""
    lines = []
    for thing in things:
        try:
            lines.append(describe(thing))
        except (Exception, SystemExit) as exc:
            lines.append(f"{type(thing).__name__}: {cannot_read(exc)}")
    return lines

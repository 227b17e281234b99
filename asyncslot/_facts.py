"""Facts as lines of text, and how to look for one without ever failing.

A report looks at objects that may be of another copy and version, half torn down,
or not ours at all. So we look for each fact by itself. Where that fails, the fact
says that it cannot be read.

This module does not know what the facts are about.
"""

from __future__ import annotations

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


def fact(label: str, look: Callable[[], Union[str, List[str]]]) -> Fact:
    """Return what `look` finds: a text, or a list of which each item gets a line. Never raises."""
    try:
        found = look()
    except (Exception, SystemExit) as exc:  # a plug-in's own code may raise anything
        return Fact(label, cannot_read(exc), [])
    if isinstance(found, str):
        return Fact(label, found, [])
    return Fact(label, f"{len(found):,}" if found else "none", capped(found))


def cannot_read(exc: BaseException) -> str:
    """Say that something cannot be read. We leave out the error's own words, which may quote a plug-in's data."""
    return f"cannot be read ({type(exc).__name__})"


def capped(lines: List[str]) -> List[str]:
    """Return the first lines, and a line that counts the others."""
    rest = len(lines) - _MOST
    return [*lines[:_MOST], f"and {rest:,} more"] if rest > 0 else lines


def each(things: Iterable[Any], describe: Callable[[Any], str]) -> List[str]:
    """Describe things one by one; one that cannot be described does not hide the others."""
    lines = []
    for thing in things:
        try:
            lines.append(describe(thing))
        except (Exception, SystemExit) as exc:
            lines.append(f"{type(thing).__name__}: {cannot_read(exc)}")
    return lines

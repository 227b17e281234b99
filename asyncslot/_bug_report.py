"""report(): one text to paste into a bug report.

This module only writes: what there is to say `_surroundings` and `_state` know.
"""

from __future__ import annotations

from typing import List

from . import __version__, _state, _surroundings
from ._facts import Fact, Section, cannot_read


def report() -> str:
    """Describe, in one text to paste into a bug report, this process as far as it concerns asyncslot.

    Reads and changes nothing, loads no Qt, and never raises; what cannot be read says so in
    its line. No more than 20 things of a kind are listed. It has neither environment variables,
    arguments nor local variables, nor paths but those of the copies; names of tasks, functions
    and files it has, so look it through before you publish it.

    Returns:
        Several lines, without a newline at the end, in these parts.

        Process: Python, system, the thread that asks, how many threads there are.
        Copies of asyncslot: name, version, protocol and path of each in `sys.modules` (and of the one that
            writes this, wherever it is), and other projects' modules of that name.
        Qt: each binding that is loaded, with its version, the Qt it was made for and the one it
            runs with; the application; the event dispatcher, and whether it is GLib's.
        Host: the adapter that attach() would choose.
        Neighbours: the running loop of this thread, the event-loop policy if one was made, others
            that change or bring event loops, and what in asyncio is not asyncio's own.
        Loop of thread ...: for each loop that plug-ins share the copy that made it, its state, its way
            of waiting (notifier or thread), `step_budget` in milliseconds, the longest callback that
            took a step over it, polls that have failed, what is scheduled, its owners.
        Owner ...: for each of them its lease, copy and host; its tasks, with name, coroutine and the
            lines at which they stand, in the plug-in's code and innermost; what it has open; what
            it runs in threads.
        Nobody's in particular: tasks of the loop that have no owner.
        Leases of this copy that have ended: what became of each, the last first.

    Thread: any. What only the GUI thread may ask Qt is left out in others, and says so.
    """
    sections: List[Section] = []
    looks = (
        _surroundings.process,
        _surroundings.copies,
        _surroundings.qt,
        _surroundings.host,
        _surroundings.neighbours,
        _state.loops,
    )
    for look in looks:
        try:
            found = look()
        except Exception as exc:  # what holds the facts together, not one of them
            found = Section(look.__name__.capitalize(), [Fact("all of it", cannot_read(exc), [])])
        sections += found if isinstance(found, list) else [found]
    return write(f"asyncslot {__version__}: report", sections)


def write(title: str, sections: List[Section]) -> str:
    """Return the text of these sections."""
    lines = [title]
    for section in sections:
        lines += ["", section.title]
        for label, text, details in section.facts:
            lines.append(f"  {label}: {text}")
            lines += [f"    {detail}" for detail in details]
    return "\n".join(lines)

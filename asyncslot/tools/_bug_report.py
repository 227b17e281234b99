"""report(): one text to paste into a bug report.

This module only arranges and writes the text. The facts come from `_surroundings` (Python, Qt, host, neighbours) and
`_state` (loops, owners, tasks).
"""

from __future__ import annotations

from typing import List

from .. import __version__
from . import _state, _surroundings
from ._facts import Fact, Section, cannot_read


def report() -> str:
    """Describe, in one text to paste into a bug report, this process as far as it concerns asyncslot.

    It only reads: it changes nothing, loads no Qt and never raises. If a fact cannot be read,
    its line says so. No more than 20 items of a kind are listed. The text contains no environment
    variables, arguments or local variables, and no paths but those of the copies. It does
    contain names of tasks, functions and files, so look it through before you publish it.

    Returns:
        Several lines, without a newline at the end, in these parts.

        Process: Python, system, the calling thread, how many threads there are.
        Copies of asyncslot: name, version, protocol and path of each copy in `sys.modules` (and of the
            copy that writes this, wherever it is), and other projects' modules of that name.
        Qt: each binding that is loaded, with its version, the Qt it was made for and the Qt it
            runs with; the application; the event dispatcher, and whether it uses GLib.
        Host: the adapter that attach() would choose.
        Neighbours: the running loop of this thread, the event-loop policy if one was made, other
            packages that change or bring event loops, and the parts of asyncio that somebody has replaced.
        Loop of thread ...: for each loop that plug-ins share, the copy that made it, its state, its way
            of waiting (notifier or thread), `step_budget` in milliseconds, the longest callback that
            took a step over that budget, polls that have failed, scheduled callbacks, its owners.
        Owner ...: for each owner its lease, copy and host; its tasks, with name, coroutine and the
            lines at which they stand, in the plug-in's code and innermost; its open resources; its
            jobs in threads.
        Nobody's in particular: tasks of the loop that have no owner.
        Leases of this copy that have ended: the first line of each one's detach report, the last first.

    Thread: any. Facts for which only the GUI thread may ask Qt are left out in other threads, and their lines say so.
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
        except Exception as exc:  # the code around the facts has failed; each fact by itself never raises
            found = Section(look.__name__.capitalize(), [Fact("all of it", cannot_read(exc), [])])
        sections += found if isinstance(found, list) else [found]
    return write(f"asyncslot {__version__}: report", sections)


def write(title: str, sections: List[Section]) -> str:
    """Return sections as one text: a title, and below it a line for each fact."""
    lines = [title]
    for section in sections:
        lines += ["", section.title]
        for label, text, details in section.facts:
            lines.append(f"  {label}: {text}")
            lines += [f"    {detail}" for detail in details]
    return "\n".join(lines)

"""The tables of scripts/bench/README.md, from what scripts/bench.py has measured.

    cd scripts; python3 -m lib.bench.readme results.json

First the jobs, a table for each binding: a row for each way, with the medians of what was measured. Then all else: a
row shows one or more of the figures that are judged in goals.py, for each binding. tests/scripts/test_bench.py compares
what the page has with this.
"""

import json
import statistics
import sys

from lib.bench.goals import GOALS

# The ways for people, in the order of the table.
JOB_WAYS = {
    "asyncslot": "ours",
    "asyncslot-streams": "ours, tiles by streams",
    "qtinter": "qtinter",
    "qasync": "qasync",
    "pump-20ms": "a timer of 20 ms",
    "asyncio-in-thread": "asyncio in a thread, a signal",
    "threads": "threads, a signal",
    "Qt": "Qt's own, without asyncio",
    "Qt-more": "the same, 16 connections",
}
# A column for people, its workload, and the figures that it shows.
JOB_COLUMNS = [
    ("tiles, 0 ms: tiles/s; CPU; frame", "tiles-0ms", "tiles/s", "µs CPU of a tile", "frame ms p99"),
    ("tiles, 5 ms: tiles/s; CPU; frame", "tiles-5ms", "tiles/s", "µs CPU of a tile", "frame ms p99"),
    ("feed: late; CPU; frame", "feed", "ms late p50", "µs CPU of a message", "frame ms p99"),
    ("server: calls/s; CPU; frame", "server", "calls/s", "µs CPU of a call", "frame ms p99"),
]

# The row for people, and which goals it shows.
ROWS = [
    ("a chain of `call_soon()`", "call_soon chain"),
    ("switching between 1 task; 100 tasks", "switching, 1 task", "switching, 100 tasks"),
    ("100,000 callbacks at once", "burst of 100,000"),
    ("TCP echo, 1 connection; 100; streams", "echo, 1 connection", "echo, 100 connections", "streams"),
    ("the same, untrimmed", "echo, 1, untrimmed", "echo, 100, untrimmed", "streams, untrimmed"),
    ("TCP echo, 100 connections, glibc as it comes", "same, glibc's default"),
    ("waking up when there is something to do: CPU; latency", "idle wake-up: CPU", "idle wake-up: latency"),
    ("the same with 5,000 descriptors, beside the line above", "same, 5,000 descriptors"),
    ("a job for a thread, and its result", "executor round trip"),
    ("a thread that floods the loop with `call_soon_threadsafe()`", "threadsafe flood"),
    ("signal to coroutine, beside qtinter", "signal to coroutine"),
    ("idle for 5 s, in ms of CPU", "idle 5 s: CPU"),
    ("`attach()` and `detach()`, in ms", "attach + detach"),
    ("importing it after asyncio and Qt, in ms", "import after asyncio and Qt"),
    ("X, tasks that switch: frame; mouse move, in ms", "switch storm, X: frame p99", "switch storm, X: input p99"),
    ("X, 100 busy sockets: frame; mouse move, in ms", "echo storm, X: frame p99", "echo storm, X: input p99"),
    ("X, bursts of 10,000 callbacks: frame; mouse move, in ms", "bursts, X: frame p99", "bursts, X: input p99"),
]


def job_tables(result):
    """Return, for each binding, the lines of Markdown below the head of its table of jobs."""
    return {binding: list(_job_table(rounds)) for binding, rounds in result["bindings"].items()}


def _job_table(rounds):
    for loop, words in JOB_WAYS.items():
        cells = [
            "; ".join(_short(_median(rounds, workload, loop, figure)) for figure in figures)
            for _, workload, *figures in JOB_COLUMNS
        ]
        if any(cell.strip("-; ") for cell in cells):
            cells = [cell if cell.strip("-; ") else "" for cell in cells]
            yield f"| {' | '.join([words, *cells])} |"


def _median(rounds, workload, loop, figure):
    found = [samples.get(workload, {}).get(loop, {}).get("figures", {}).get(figure) for samples in rounds]
    found = [value for value in found if value is not None]
    return statistics.median(found) if found else None


def _short(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(result):
    """Return the lines of Markdown below the table's head."""
    goals = {goal.row: goal for goal in GOALS}
    lines = []
    for row, *names in ROWS:
        cells = [
            "; ".join(_show(goals[name].measure(rounds)) for name in names) for rounds in result["bindings"].values()
        ]
        lines.append(f"| {' | '.join([row, *cells])} |")
    return lines


def _show(value):
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 2 else f"{value:.1f}"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        measured = json.load(file)
    for name, rows in job_tables(measured).items():
        print(f"| {' | '.join([name, *(column[0] for column in JOB_COLUMNS)])} |", *rows, "", sep="\n")
    print(*table(measured), sep="\n")

"""The table of scripts/bench/README.md, from what scripts/bench.py has measured.

    cd scripts; python3 -m lib.bench.readme results.json

A row shows one or more of the figures that are judged in goals.py, for each binding. tests/scripts/test_bench.py
compares the two.
"""

import json
import sys

from lib.bench.goals import GOALS

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
        print("\n".join(table(json.load(file))))

"""Show what scripts/bench.py has measured: a table, and a plot.

    cd scripts; python3 -m lib.bench.report results.json [plot.svg]

Runs in the project's virtual environment, because it draws with rich and matplotlib. `summarise()` needs neither.
"""

import json
import math
import statistics
import sys

from lib.bench.goals import judge, more_is_better

# The contender that the others are compared with; where it has no figure, the next one that has.
BASELINES = ("plain", "qtinter")

# What is drawn, in a row of panels each: the words below it, and (workload, figure, the words for it). Where no figure
# is named, it is the workload's first.
PLOTTED = [
    (
        "times as bad as qtinter (left is better)",
        [
            ("tiles-0ms", "tiles/s", "tiles: time"),
            ("tiles-0ms", "µs CPU of a tile", "CPU"),
            ("tiles-5ms", "tiles/s", "tiles, 5 ms: time"),
            ("tiles-5ms", "µs CPU of a tile", "CPU"),
            ("feed", "µs CPU of a message", "feed: CPU"),
            ("feed", "frame ms p99", "frames"),
            ("server", "calls/s", "server: time"),
            ("server", "µs CPU of a call", "CPU"),
            ("server", "frame ms p99", "frames"),
        ],
    ),
    (
        "times plain asyncio's time (left is faster)",
        [
            ("chain", None, "call_soon chain"),
            ("switch100", None, "100 tasks switch"),
            ("burst100k", None, "100,000 callbacks"),
            ("echo1", None, "TCP round trip"),
            ("echo100", None, "TCP, 100 connections"),
            ("wake", None, "CPU of a wake-up"),
            ("wake-fds5000", None, "same, 5,000 sockets"),
            ("threadsafe", None, "call_soon_threadsafe"),
        ],
    ),
]
# How each contender is drawn: ours is what one looks for.
DRAWN = {
    "asyncslot": ("asyncslot", "D", "#c1121f"),
    "asyncslot-streams": ("asyncslot, streams", "d", "#e5737b"),
    "Qt": ("Qt's own", "P", "#000000"),
    "Qt-more": ("Qt's own, 16 connections", "+", "#000000"),
    "asyncio-in-thread": ("asyncio in a thread", "*", "#d4a017"),
    "threads": ("threads", "X", "#8c5e58"),
    "qtinter": ("qtinter", "o", "#0077b6"),
    "asyncslot-0.3.1": ("asyncslot 0.3.1", "s", "#48cae4"),
    "qasync": ("qasync", "^", "#588157"),
    "QtAsyncio": ("PySide6.QtAsyncio", "v", "#7b2cbf"),
    "pump-0ms": ("timer, 0 ms", "<", "#bc8a5f"),
    "pump-20ms": ("timer, 20 ms", ">", "#8d99ae"),
    "uvloop": ("uvloop, without Qt", "x", "#6c757d"),
}


def summarise(rounds):
    """Return {workload: {figure: {loop: (median, median of the ratios or None)}}} of the rounds of one binding.

    A ratio says how many times worse than the baseline of the same round; of a baseline of zero there is none.
    """
    table = {}
    for workload in rounds[0]:
        names = {}  # in the order in which they come
        for samples in rounds:
            for sample in samples[workload].values():
                names.update(dict.fromkeys(sample.get("figures", ())))
        table[workload] = {name: _compare([samples[workload] for samples in rounds], name) for name in names}
    return table


def _compare(rounds, figure):
    """Return {loop: (median, ratio)} of one figure."""
    values, ratios = {}, {}
    for samples in rounds:
        found = {loop: s["figures"][figure] for loop, s in samples.items() if figure in s.get("figures", ())}
        baseline = next((found[loop] for loop in BASELINES if loop in found), None)
        for loop, value in found.items():
            values.setdefault(loop, []).append(value)
            top, bottom = (baseline, value) if more_is_better(figure) else (value, baseline)
            if top is not None and bottom:
                ratios.setdefault(loop, []).append(top / bottom)
    medians = {loop: statistics.median(found) for loop, found in values.items()}
    return {loop: (medians[loop], statistics.median(ratios[loop]) if loop in ratios else None) for loop in medians}


def show(result):
    """Print one table for each binding."""
    from rich.console import Console
    from rich.table import Table

    # A file or a CI log has no width of its own.
    console = Console(width=None if sys.stdout.isatty() else 180)
    for binding, rounds in result["bindings"].items():
        loops = list(dict.fromkeys(loop for samples in rounds for each in samples.values() for loop in each))
        loops.sort(key=_place)
        comparison = "times worse than plain asyncio, or else qtinter"
        title = f"{binding}, {len(rounds)} rounds, malloc {result['malloc']}: median ({comparison})"
        table = Table("workload", "figure", title=title)
        for loop in loops:
            table.add_column(loop, justify="right")
        for workload, figures in summarise(rounds).items():
            for index, (figure, cells) in enumerate(figures.items()):
                row = [_cell(*cells.get(loop, (None, None))) for loop in loops]
                table.add_row("" if index else workload, figure, *row)
        console.print(table)
        for line in sorted(_errors(rounds)):
            console.print(f"{binding}: {line}", markup=False, highlight=False)
    few = result.get("first rounds only")
    if few:
        who = f"{', '.join(few['loops'])}; and all peers in {', '.join(few['peers in'])}"
        console.print(f"In the first {few['rounds']} rounds only: {who}", markup=False, highlight=False)
    console.print(_goals(result))


def _goals(result):
    """Return a table of the goals: what each binding has reached."""
    from rich.table import Table

    table = Table("goals", "", "floor", "goal", *result["bindings"], title="asyncslot, median over rounds")
    found = {binding: {each[0]: each[1:] for each in judge(rounds)} for binding, rounds in result["bindings"].items()}
    for goal in dict.fromkeys(goal for each in found.values() for goal in each):
        cells = ["{:.3g} {}".format(*each[goal]) if goal in each else "-" for each in found.values()]
        table.add_row(goal.row, goal.unit(), f"{goal.floor:.3g}", f"{goal.goal:.3g}", *cells)
    return table


_ORDER = [
    *(
        "plain",
        "asyncslot",
        "asyncslot-streams",
        "asyncslot-thread",
        "qtinter",
        "asyncslot-0.3.1",
        "qasync",
        "QtAsyncio",
    ),
    *("pump-0ms", "pump-20ms", "asyncio-in-thread", "threads", "Qt", "Qt-more", "uvloop"),
]


def _place(loop):
    return _ORDER.index(loop)


def _cell(value, ratio):
    if value is None:
        return "-"
    return _number(value) + (f" (x{ratio:.2f})" if ratio is not None else "")


def _number(value):
    """Return a number with three digits that say something."""
    if abs(value) >= 10_000:
        return f"{value / 1000:.0f}k"
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.3g}"


def _errors(rounds):
    """Return what failed, once for each kind."""
    return {
        f"{workload}, {loop}: {sample['error']}"
        for samples in rounds
        for workload, each in samples.items()
        for loop, sample in each.items()
        if "error" in sample
    }


def plot(result, file):
    """Draw the ratios of the jobs and of the main workloads, one panel for each binding; logarithmic."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    # The same figures make the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "bench", "font.size": 10})
    panels = [(binding, summarise(rounds)) for binding, rounds in result["bindings"].items()]
    kinds = [(words, [row for row in rows if any(table.get(row[0]) for _, table in panels)]) for words, rows in PLOTTED]
    kinds = [(words, rows) for words, rows in kinds if rows]
    size = (1.5 + 4.5 * len(panels), 5 * len(kinds))
    figure, axes = pyplot.subplots(len(kinds), len(panels), figsize=size, squeeze=False, sharey="row")
    names = {}
    for (words, rows), line in zip(kinds, axes):
        for (binding, table), axis in zip(panels, line):
            _draw(axis, table, rows)
            axis.set_title(binding)
            axis.set_xlabel(words)
            names.update({text: marker for marker, text in zip(*axis.get_legend_handles_labels())})
    columns = 3 if len(panels) == 1 else 4
    figure.tight_layout(rect=(0, 0.06 * math.ceil(len(names) / columns) / len(kinds), 1, 1))
    figure.legend(names.values(), names.keys(), loc="lower center", ncol=columns, frameon=False)
    figure.savefig(file, metadata={"Date": None}, facecolor="white")


def _draw(axis, table, rows):
    cells = [_row(table.get(workload, {}), figure) for workload, figure, _ in rows]
    for loop, (text, marker, colour) in DRAWN.items():
        points = [(cell[loop][1], place) for place, cell in enumerate(cells) if loop in cell]
        points = [(ratio, place) for ratio, place in points if ratio]
        if points:
            is_ours = loop == "asyncslot"
            size, layer = (90, 4) if is_ours else (45, 3)
            axis.scatter(*zip(*points), s=size, marker=marker, color=colour, label=text, zorder=layer)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.axvline(1, color="black", linewidth=1)
    axis.grid(axis="both", color="#dddddd")
    axis.set_yticks(range(len(rows)), [words for _, _, words in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)


def _row(figures, name):
    """Return the cells of a workload's figure, or of its first."""
    return figures.get(name, {}) if name else next(iter(figures.values()), {})


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        result = json.load(file)
    show(result)
    if len(sys.argv) > 2:
        plot(result, sys.argv[2])


if __name__ == "__main__":
    main()

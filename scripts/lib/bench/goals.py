"""What scripts/bench.py shall find: each row of the table of goals, and what a run says of it.

A figure is the median over the rounds, of a ratio or difference within each round. "floor" is what a first prototype
of our loop reached, "goal" what shall be reached. Here is the only place where they are written down.
"""

import statistics

OURS = "asyncslot"


def more_is_better(figure):
    """Whether more of this figure is better, by the unit in its name."""
    return figure.endswith("/s") or figure.startswith("%")


class Goal:
    """One line of the table.

    Args:
        row: what is measured, for people.
        workload, figure: which figure of ours, as in the results.
        floor, goal: what it may be at most; at least, where more of the plain value is better.
        to: what it is divided by (a loop, or a workload of our own), for `how` "ratio" and "own"; what is taken off
            it for "difference".
        how: "value", "ratio", "difference" or "own".
        loop: whose figure, if it is not "asyncslot".
    """

    def __init__(self, row, workload, figure, floor, goal, *, how="ratio", to="plain", loop=OURS):
        self.row = row
        self.workload = workload
        self.figure = figure
        self.floor = floor
        self.goal = goal
        self.how = how
        self.to = to
        self.loop = loop

    def measure(self, rounds):
        """Return the figure of the rounds of one binding, or None where there is none."""
        found = [self._of_round(samples) for samples in rounds]
        found = [value for value in found if value is not None]
        return statistics.median(found) if found else None

    def _of_round(self, samples):
        ours = _find(samples, self.workload, self.loop, self.figure)
        if self.how == "value" or ours is None:
            return ours
        if self.how == "own":
            other = _find(samples, self.to, self.loop, self.figure)
        else:
            other = _find(samples, self.workload, self.to, self.figure)
        if other is None:
            return None
        if self.how == "difference":
            return ours - other
        top, bottom = (other, ours) if more_is_better(self.figure) else (ours, other)
        return top / bottom if bottom else None

    def verdict(self, value):
        """Return "goal", "floor" or "missed"."""
        sign = -1 if self.how == "value" and more_is_better(self.figure) else 1
        if sign * value <= sign * self.goal:
            return "goal"
        return "floor" if sign * value <= sign * self.floor else "missed"

    def unit(self):
        """Return what stands behind the numbers."""
        if self.how in ("ratio", "own"):
            return f"x {self.to}"
        words = [word for word in self.figure.split() if word in ("ms", "µs", "%")]
        return " ".join([*words, *(["more than " + self.to] if self.how == "difference" else [])])


def _find(samples, workload, loop, figure):
    return samples.get(workload, {}).get(loop, {}).get("figures", {}).get(figure)


def _gui(where, suffix):
    for work in ("switch", "echo"):
        row, workload = f"{work} storm, {where}", f"gui-{work}{suffix}"
        yield Goal(f"{row}: throughput", workload, "/s", 1.10, 0.95)
        yield Goal(f"{row}: frame p99", workload, "frame ms p99", 18, 18, how="value")
        yield Goal(f"{row}: input p99", workload, "input ms p99", 4, 4, how="value")
    yield Goal(f"bursts, {where}: frame p99", f"gui-burst{suffix}", "frame ms p99", 28, 20, how="value")
    yield Goal(f"bursts, {where}: input p99", f"gui-burst{suffix}", "input ms p99", 12, 5, how="value")


def _jobs():
    for delay in ("0ms", "5ms"):
        workload = f"tiles-{delay}"
        figures = {"tiles/s": "tiles", "µs CPU of a tile": "CPU"}
        for loop in ("qtinter", "qasync", "pump-20ms", "asyncio-in-thread", "threads"):
            for figure, words in figures.items():
                yield Goal(f"tiles, {delay}: {words}, {loop}", workload, figure, 1.0, 1.0, to=loop)
        for figure, words in figures.items():
            if delay != "0ms" or figure != "tiles/s":
                yield Goal(f"tiles, {delay}: {words}, Qt", workload, figure, 1.0, 1.0, to="Qt")
        yield Goal(f"tiles, {delay}: frame p99", workload, "frame ms p99", 18, 18, how="value")


def _reads():
    for client in ("streams", "httpx", "aiohttp", "websockets"):
        for suffix, words in (("", "at once"), ("-tls", "at once, TLS")):
            gap = "ms longest gap after the first token's"
            yield Goal(f"tokens {words}: {client}", f"tokens-{client}{suffix}", gap, 60, 40, how="value")
    for suffix, words in (("", ""), ("-tls", ", TLS")):
        for count in (1, 100):
            yield Goal(f"bulk{words}, {count} connections", f"bulk{count}{suffix}", "MB/s", 1.10, 1.0)


GOALS = [
    *_jobs(),
    Goal("call_soon chain", "chain", "callbacks/s", 0.75, 0.60),
    Goal("switching, 1 task", "switch1", "switches/s", 0.75, 0.60),
    Goal("switching, 100 tasks", "switch100", "switches/s", 1.0, 0.80),
    Goal("switching, 1,000 tasks", "switch1000", "switches/s", 1.0, 0.80),
    Goal("burst of 100,000", "burst100k", "ms", 1.2, 0.95),
    Goal("detach() of 20,000 tasks", "pending20000", "ms to end", 2.0, 1.5),
    Goal("detach() of 100,000 tasks", "pending100k", "ms to end", 2.0, 1.5),
    Goal("memory of a pending task", "pending100k", "B each", 1.6, 1.2),
    Goal("echo, 1 connection", "echo1", "round trips/s", 0.85, 0.70),
    Goal("streams", "streams", "round trips/s", 0.85, 0.70),
    Goal("echo, 100 connections", "echo100", "round trips/s", 1.10, 0.90),
    Goal("same, glibc's default", "echo100-malloc", "round trips/s", 1.0, 0.50),
    Goal("echo, 1, untrimmed", "echo1-untrimmed", "round trips/s", 0.85, 0.70),
    Goal("streams, untrimmed", "streams-untrimmed", "round trips/s", 0.85, 0.70),
    Goal("echo, 100, untrimmed", "echo100-untrimmed", "round trips/s", 1.10, 0.90),
    Goal("idle wake-up: CPU", "wake", "µs CPU", 1.6, 1.25),
    Goal("idle wake-up: latency", "wake", "µs latency p50", 1.4, 1.15),
    Goal("same, 5,000 descriptors", "wake-fds5000", "µs CPU", 1.3, 1.05, how="own", to="wake"),
    Goal("same, 100,000 timers", "wake-timers100k", "µs CPU", 1.3, 1.05, how="own", to="wake"),
    Goal("timers: never early", "timers10k", "ms too early", 0, 0, how="value"),
    Goal("sleep(1 ms): never early", "sleep-1ms", "fired early", 0, 0, how="value"),
    Goal("timers: lateness p50", "timers10k", "ms late p50", 0.1, 0.02, how="difference"),
    Goal("executor round trip", "executor", "µs round trip p50", 1.05, 0.90),
    Goal("threadsafe flood", "threadsafe", "calls/s", 0.25, 0.15),
    Goal("signal to coroutine", "signal", "µs to the end", 1 / 3, 1 / 5, to="qtinter"),
    *_reads(),
    *_gui("offscreen", ""),
    *_gui("X", "-x"),
    Goal("idle 5 s: CPU", "idle", "ms CPU", 0.5, 0.25, how="value"),
    Goal("idle 5 s: threads", "idle", "threads", 0, 0, how="difference"),
    Goal("attach + detach", "attach", "ms", 0.4, 0.15, how="value"),
    Goal("import after asyncio and Qt", "import", "ms", 10, 4, how="value"),
    Goal("nested Qt loop, GLib: ticks", "nested", "% ticks in it", 90, 99, how="value"),
    Goal("nested Qt loop, Qt's own: ticks", "nested-unix", "% ticks in it", 90, 99, how="value"),
    Goal("waiting in a thread: CPU", "wake", "µs CPU", 4.0, 2.0, loop="asyncslot-thread"),
]


def judge(rounds):
    """Return [(goal, figure, verdict)] of the rounds of one binding; without what it has not measured."""
    found = [(goal, goal.measure(rounds)) for goal in GOALS]
    return [(goal, value, goal.verdict(value)) for goal, value in found if value is not None]

"""What the demo's user does, told once for every host.

The scenario is a generator: it does something, yields what it waits for, and is resumed when that has come true. A
stage, one for each host, knows how to press the plug-ins' buttons there.
"""

import json
import time

LATE_MS = 25.0  # 99 of 100 frames must not be further apart than this
CHECK_MS = 20


class ScenarioFailed(Exception):
    """Something that was waited for did not happen; the text says what."""


class Driver:
    """The plug-in.

    Args:
        stage: the host's plug-ins and buttons.
        script: what demo.py wrote: "record", the file to write to; "directory", the place for screenshots; "stay",
            true if the user takes over once the addresses are filled in.
    """

    def __init__(self, stage, script):
        self._stage = stage
        self._script = script
        self._scenario = self._stay() if script["stay"] else self._play()
        self._waiting_for = None
        self._timer = None
        self._told = 0

    def initGui(self):
        self._timer = self._stage.start_timer(CHECK_MS, self._check)

    def unload(self):
        self._timer.stop()

    def _check(self):
        try:
            if self._waiting_for is not None:
                is_true, what, deadline = self._waiting_for
                if not is_true():
                    if time.monotonic() > deadline:
                        raise ScenarioFailed(f"waited in vain: {what}")
                    return
            is_true, what, timeout = next(self._scenario)
            self._waiting_for = (is_true, what, time.monotonic() + timeout)
        except StopIteration:
            self._timer.stop()
        except Exception as exc:
            self._timer.stop()
            self._tell(False, f"{type(exc).__name__}: {exc}", is_last=True)
            self._stage.quit()

    def _tell(self, is_ok, text, is_last=False):
        facts = {"number": self._told, "ok": is_ok, "text": text, "at": time.monotonic(), "is_last": is_last}
        self._told += 1
        with open(self._script["record"], "a", encoding="utf-8") as record:
            record.write(json.dumps(facts) + "\n")

    def _stay(self):
        stage = self._stage
        yield stage.both_run, "both plug-ins are loaded", 30
        for name in stage.names:
            stage.fill_in(name)
        self._tell(True, "the addresses are filled in; the window is yours until you close it", is_last=True)

    def _play(self):
        stage = self._stage
        stays, reloaded = stage.names
        yield stage.both_run, "both plug-ins are loaded", 30
        self._tell(True, f"{stays} and {reloaded} run, each with its own copy of asyncslot")
        stage.prepare()
        yield self._has_settled, "the host has started and is at rest", 60

        at_rest, _ = _summary(stage.heartbeat.gaps[-60:])
        stage.heartbeat.reset()
        for name in stage.names:
            stage.fill_in(name)
            stage.start(name)
        yield lambda: all(stage.progress(name) > 0.3 for name in stage.names), "both downloads are under way", 30
        yield from self._screenshot("busy")
        self._tell(True, "both download at the same time: " + self._progress_of_all())

        before = stage.progress(stays)
        start = time.monotonic()
        is_loaded = stage.reload(reloaded)
        milliseconds = (time.monotonic() - start) * 1000
        self._tell(is_loaded, f"{reloaded} was reloaded in the middle of its work, in {milliseconds:.0f} ms")
        yield lambda: stage.progress(stays) > before, f"{stays} goes on", 5
        self._tell(True, f"{stays} went on: " + self._progress_of_all())

        stage.fill_in(reloaded)
        stage.start(reloaded)
        yield lambda: not any(stage.is_busy(name) for name in stage.names), "both downloads end", 60
        for name in stage.names:
            self._tell(*stage.verdict(name))
        yield from self._screenshot("done")
        yield from self._judge_heartbeat(at_rest)

        stage.start(stays)
        yield lambda: stage.is_busy(stays) and 0.05 < stage.progress(stays) < 1, f"{stays} starts once more", 10
        stage.stop(stays)
        yield lambda: not stage.is_busy(stays), f"{stays} stops", 5
        self._tell(*stage.verdict_stopped(stays))

        for name in stage.names:
            stage.start(name)
        yield lambda: all(0.05 < stage.progress(name) < 1 for name in stage.names), "both work again", 20
        self._tell(True, "asked to quit while both are at work: " + self._progress_of_all(), is_last=True)
        stage.quit()

    def _has_settled(self):
        recent = self._stage.heartbeat.gaps[-60:]
        return len(recent) == 60 and max(recent) * 1000 < LATE_MS

    def _progress_of_all(self):
        return ", ".join(f"{name} {self._stage.progress(name):.0%}" for name in self._stage.names)

    def _screenshot(self, moment):
        path = f"{self._script['directory']}/{moment}.png"
        if not self._stage.window().grab().save(path):
            self._tell(False, f"the screenshot {path} could not be written")
        # How long our own camera takes is nothing that the plug-ins did. What follows is, and begins a tick later.
        heartbeat = self._stage.heartbeat
        heartbeat.skip()
        ticks = len(heartbeat.gaps)
        yield lambda: len(heartbeat.gaps) > ticks, "the heartbeat goes on", 5

    def _judge_heartbeat(self, at_rest):
        stage = self._stage
        p99, text = _summary(stage.heartbeat.gaps)
        attempt = 1
        # A machine that is busy with something else makes any host stutter, also at rest: the best of three
        # counts, and beside what it was just before.
        while p99 >= _limit(at_rest) and attempt < 3:
            attempt += 1
            stage.heartbeat.reset()
            yield lambda: len(stage.heartbeat.gaps) >= 60, "the heartbeat goes on", 20
            at_rest, _ = _summary(stage.heartbeat.gaps)
            stage.heartbeat.reset()
            for name in stage.names:
                stage.start(name)
            yield lambda: not any(stage.is_busy(name) for name in stage.names), "both downloads end", 60
            p99, text = _summary(stage.heartbeat.gaps)
        text = f"{text}; at rest {at_rest:.1f} ms, so it must be below {_limit(at_rest):.1f} ms"
        self._tell(p99 < _limit(at_rest), f"a 16 ms timer of the host: {text}, in attempt {attempt} of 3 at most")


def _limit(at_rest):
    return max(LATE_MS, 1.5 * at_rest)


def _summary(gaps):
    ordered = sorted(gap * 1000 for gap in gaps)
    p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    text = f"{len(ordered)} ticks, gaps {p50:.1f} ms in the median, {ordered[-1]:.1f} ms at worst, {p99:.1f} ms p99"
    return p99, text

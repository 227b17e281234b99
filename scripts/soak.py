"""Attach, work and detach ten thousand times, and see that nothing is left: `python3 scripts/soak.py`.

Sets this machine up as scripts/test.py does, and runs three parts, each in a process of its own (scripts/lib/soak):

    a    10,000 cycles of attach, work, detach                                    (cycles.py)
    b    1,000 reloads of plug-ins with vendored copies, beside one that works    (reloads.py)
    c    an hour of mixed traffic, by a clock that is sped up                     (traffic.py, clock.py)

It prints what is leaked per cycle (reload, minute), which must be 0: descriptors, threads, child processes, QObjects,
leases, modules and complaints (what asyncio or a destructor logs, what is reported and was not to be) exactly; objects
and memory as exactly as the allocators' noise permits. The column "+-" is that resolution, in the unit of its row:
measure.py tells how it is computed and judged.

    python3 scripts/soak.py                               all of it, a quarter of an hour at most
    python3 scripts/soak.py --quick                       all three parts, a minute; what is too short to tell is said
    python3 scripts/soak.py --binding PySide6 --part a    one part, with another binding
    python3.13 scripts/soak.py                            by another Python
    VENV/bin/python scripts/soak.py --here                by this Python, in which everything is installed already

Linux only. Exit codes: 0 nothing leaks; 1 something does, a part failed, or (not with --quick) a part could not tell; 2
this machine could not be set up.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from lib.machine import QT6_LIBRARIES, QT_LIBRARIES, ROOT, SetupError, need_packages, need_venv, say, venv_packages

BINDINGS = ("PyQt5", "PyQt6", "PySide2", "PySide6")

# For each part: its option, how many cycles there are, how many in a quick run, what one is called, what it is, and the
# seconds that one may take at the most.
PARTS = {
    "a": ("cycles", 10_000, 400, "cycle", "attach, work, detach", 0.3),
    "b": ("reloads", 1_000, 160, "reload", "plug-ins with copies reloaded", 2.0),
    "c": ("minutes", 60, 8, "minute", "mixed traffic by a fast clock", 20.0),
}

# Seconds that a part may take besides its cycles.
START = 120


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, count, quick, *_ in PARTS.values():
        parser.add_argument(f"--{option}", type=int, metavar="N", help=f"{count:,} by default; {quick} with --quick")
    parser.add_argument("--part", choices=sorted(PARTS), action="append", help="this part only; may be repeated")
    parser.add_argument("--binding", choices=BINDINGS, default="PyQt5", help="PyQt5 by default")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument("--here", action="store_true", help="use this Python as it is; set nothing up")
    parser.add_argument("--leak", help="leak one of these in each cycle, on purpose: the soak must find it")
    options = parser.parse_args()
    if sys.platform != "linux":
        say("The soak reads /proc, which only Linux has.")
        return 2
    try:
        python = sys.executable if options.here else _set_up(options.binding)
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    results = []
    for part in options.part or PARTS:
        option, count, quick, *_ = PARTS[part]
        cycles = getattr(options, option) or (quick if options.quick else count)
        results.append(_run(python, part, cycles, options))
        say(_table(results[-1]))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    bad = [result["part"] for result in results if not _is_good(result, options.quick)]
    say(f"\nFAILED: part {', '.join(bad)}" if bad else "\nNothing leaks.")
    return 1 if bad else 0


def _set_up(binding):
    libraries = QT_LIBRARIES + (QT6_LIBRARIES if binding.endswith("6") else [])
    need_packages(libraries + venv_packages(), "the soak")
    return need_venv(f"-e .[{binding}]")


def _run(python, part, cycles, options):
    """Run a part in a process of its own and return its result; with "error", if it did not come to an end."""
    *_, unit, title, seconds = PARTS[part]
    say(f"part {part}: {cycles:,} {unit}s, {title} ...")
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory) / "result.json"
        command = [python, "-X", "faulthandler", "-m", "lib.soak.run", part, str(cycles), str(result)]
        if options.leak:
            command += ["--leak", options.leak]
        environment = {
            **os.environ,
            "QT_API": options.binding.lower(),
            "QT_QPA_PLATFORM": "offscreen",
            "XDG_RUNTIME_DIR": directory,  # or Qt complains
            # One arena for all threads, which mallinfo2() then knows all about.
            "MALLOC_ARENA_MAX": "1",
            # What a thread has freed and keeps at hand counts as in use there.
            "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
            # A plug-in that is imported for the hundredth time is not compiled any more.
            "PYTHONDONTWRITEBYTECODE": "",
        }
        error = None
        try:
            done = subprocess.run(
                command,
                cwd=str(ROOT / "scripts"),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=START + seconds * cycles,
                errors="replace",
            )
            output = done.stdout
            if done.returncode:
                error = f"exit code {done.returncode}"
        except subprocess.TimeoutExpired as exc:
            output, error = (exc.stdout or b"").decode("utf-8", "replace"), f"not finished after {exc.timeout:.0f} s"
        if error is not None:
            return {"part": part, "cycles": cycles, "error": error, "output": output[-20000:]}
        return {**json.loads(result.read_text(encoding="utf-8")), "output": output[-20000:]}


def _is_good(result, is_quick):
    if "error" in result:
        return False
    return all(
        counter["verdict"] == "ok" or (is_quick and counter["verdict"] == "UNCLEAR") for counter in result["counters"]
    )


def _table(result):
    """Return the result of a part as text."""
    part = result["part"]
    *_, unit, title, _ = PARTS[part]
    if "error" in result:
        return f"{result['output']}\npart {part}: {result['error']}"
    lines = [
        f"\npart {part}: {result['cycles']:,} {unit}s, {title}; {result['binding']}, Python {result['python']}; "
        f"{result['seconds']} s",
        f"{'leaked per ' + unit:<20}{'':>12} {'+-':>8} {'':<6}{'at first':>14}{'at last':>14}",
    ]
    for counter in result["counters"]:
        first, last = counter["lows"][0], counter["lows"][-1]
        # Where the verdict is good, what is below the resolution is nothing that was measured.
        leak = 0 if counter["verdict"] == "ok" else counter["leak"]
        tail = "" if counter["verdict"] == "ok" else f"  {counter['verdict']}"
        lines.append(
            f"{counter['name']:<20}{leak:>12.5g} {counter['resolution']:>8.3g} {counter['unit']:<6}"
            f"{first:>14,.0f}{last:>14,.0f}{tail}"
        )
    if result["done"]:
        lines.append("done: " + ", ".join(f"{count:,} x {what}" for what, count in sorted(result["done"].items())))
    if any(counter["verdict"] == "LEAK" for counter in result["counters"]):
        lines.append("more than at first: " + (", ".join(result["grown"]) or "no objects that Python knows"))
    if any(counter["verdict"] == "UNCLEAR" for counter in result["counters"]):
        lines.append("UNCLEAR: the noise is larger than the leak that is looked for; more cycles tell")
    lines += result["complaints"]
    if result["output"]:
        lines.append(result["output"])
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

"""Seeds of the chaos program, in this process: what scripts/chaos.py starts. Prints a line of JSON for each seed.

It needs the project and a binding to be installed here, stderr to be a file, and the plug-ins to have been made. The
lines go to the descriptor that stdout was; the log of what is done goes to a file, for the case that the process ends.
After a seed with a finding it ends: what comes after would be no news.
"""

import argparse
import faulthandler
import gc
import json
import os
import random
import sys
import time
from pathlib import Path

from qtpy import QtCore, QtWidgets

from lib.chaos.checks import Census
from lib.chaos.host import Host, run
from lib.chaos.world import Plan, World

# How many lines of the log before the first finding and after it are shown.
BEFORE, AFTER = 60, 20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where the plug-ins are")
    parser.add_argument("log", type=Path, help="where the log goes")
    parser.add_argument("seeds", help="FIRST:END, or numbers with commas")
    parser.add_argument("--limit", type=float, default=60, help="seconds that one seed may take")
    parser.add_argument("--keep", help="numbers of actions; all others are left out")
    parser.add_argument("--without", default="", help="what does not happen, with commas; see world.Plan")
    parser.add_argument("--inject", help="a fault on purpose, for the test of the chaos program")
    options = parser.parse_args()
    first, colon, end = options.seeds.partition(":")
    seeds = range(int(first), int(end)) if colon else map(int, options.seeds.split(","))
    keep = None if options.keep is None else {int(number) for number in options.keep.split(",")}

    sys.path.insert(0, str(options.directory))
    gc.disable()  # see World.collect_sometimes()
    host = Host()
    lines = os.dup(1)
    os.dup2(2, 1)
    faulthandler.dump_traceback_later(options.limit, exit=True)
    warm_up(host)
    for seed in seeds:
        faulthandler.dump_traceback_later(options.limit, exit=True)
        result = live(host, seed, keep, options)
        faulthandler.cancel_dump_traceback_later()
        os.write(lines, (json.dumps(result) + "\n").encode())
        if result["findings"]:
            break
    # At once: what a finding has left behind may not survive the end of the interpreter.
    os._exit(0)


def live(host, seed, keep, options):
    """Live through a seed; return what was found."""
    lines = []
    with open(options.log, "w") as file:
        file.write(f"seed {seed}\n")
        file.flush()

        def log(text):
            lines.append(text)
            file.write(text + "\n")
            file.flush()

        start = time.monotonic()
        plan = Plan(seed, set(options.without.split(",")))
        random.seed(seed)
        world = World(host, plan, log)
        world.census = Census()
        if options.inject:
            from lib.chaos import faults

            faults.inject(options.inject, world)
        world.run(keep)
    result = {
        "seed": seed,
        "seconds": round(time.monotonic() - start, 3),
        "plugins": plan.plugins,
        "actions": sum(world.counts.values()),
        "planned": len(plan.actions),
        "counts": world.counts,
        "findings": world.findings,
    }
    if world.findings:
        first = next(number for number, line in enumerate(lines) if "FOUND: " in line)
        result["log"] = lines[max(0, first - BEFORE) : first + AFTER]
        result["states"] = [record.state() for record in world.records]
    return result


def warm_up(host):
    """Have Qt and Python open what they open once in a process, so that a seed is not taken to have left it."""
    world = World(host, Plan(0), lambda text: None)
    dialog = QtWidgets.QDialog()
    host.after(0, dialog.reject)
    run(dialog)
    world.start_qt_thread(lambda: None).wait()
    loop = QtCore.QEventLoop()
    host.after(0, loop.quit)
    run(loop)
    world.census = Census()
    world.check_anew()
    host.settle()
    host.read_stderr()


if __name__ == "__main__":
    main()

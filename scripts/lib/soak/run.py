"""One part of the soak, in this process: what scripts/soak.py starts for each. Writes what was found as JSON.

It needs the project and a binding to be installed here, and the environment that soak.py gives it.
"""

import argparse
import importlib
import json
import platform
import tempfile
import time

from qtpy import API_NAME, PYQT_VERSION, PYSIDE_VERSION, QtCore

from lib.soak import reloads, traffic
from lib.soak.clock import FastClock, speed_up
from lib.soak.cycles import run as run_cycles
from lib.soak.host import LEAKS, Host
from lib.soak.measure import Samples


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("cycles", type=int)
    parser.add_argument("json", type=argparse.FileType("w"))
    parser.add_argument("--leak", choices=sorted(LEAKS), help="make a leak on purpose, one of these after each cycle")
    options = parser.parse_args()
    host = Host(options.leak)
    with tempfile.TemporaryDirectory() as directory:
        samples, program = PARTS[options.part](host, options.cycles, directory)
        start = time.monotonic()
        host.run(program)
    result = {
        "part": options.part,
        "cycles": options.cycles,
        "seconds": round(time.monotonic() - start, 1),
        "binding": f"{API_NAME} {PYQT_VERSION or PYSIDE_VERSION}, Qt {QtCore.qVersion()}",
        "python": platform.python_version(),
        "warm_up": samples.warm_up,
        "every": samples.every,
        "counters": samples.judge(),
        "grown": samples.grown_types(),
        "complaints": host.complaints,
        "done": samples.done,
    }
    json.dump(result, options.json, indent=1)
    options.json.close()


def _cycles(host, cycles, _):
    aio = importlib.import_module("asyncslot")
    samples = Samples(host, cycles, ["asyncslot"])
    return samples, run_cycles(host, samples, aio)


def _reloads(host, cycles, directory):
    reloads.make_plugins(directory)
    samples = Samples(host, cycles, reloads.PLUGINS, reloads.PERIOD, weight=40)
    return samples, reloads.run(host, samples)


def _traffic(host, cycles, directory):
    reloads.make_plugins(directory, traffic.PLUGINS)
    clock = FastClock(traffic.FACTOR)
    copies = {name: importlib.import_module(name).aio for name in traffic.PLUGINS}
    for copy in copies.values():
        speed_up(copy, clock)
    host.speed_up(clock.factor)
    samples = Samples(host, cycles, traffic.PLUGINS, weight=100)
    return samples, traffic.run(host, samples, copies, clock)


PARTS = {"a": _cycles, "b": _reloads, "c": _traffic}

if __name__ == "__main__":
    main()

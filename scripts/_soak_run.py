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

import _soak_clock
import _soak_cycles
import _soak_reloads
import _soak_traffic
from _soak_host import LEAKS, Host
from _soak_measure import Samples


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
    return samples, _soak_cycles.run(host, samples, aio)


def _reloads(host, cycles, directory):
    _soak_reloads.make_plugins(directory)
    samples = Samples(host, cycles, _soak_reloads.PLUGINS, _soak_reloads.PERIOD, weight=40)
    return samples, _soak_reloads.run(host, samples)


def _traffic(host, cycles, directory):
    _soak_reloads.make_plugins(directory, _soak_traffic.PLUGINS)
    clock = _soak_clock.FastClock(_soak_traffic.FACTOR)
    copies = {name: importlib.import_module(name).aio for name in _soak_traffic.PLUGINS}
    for copy in copies.values():
        _soak_clock.speed_up(copy, clock)
    host.speed_up(clock.factor)
    samples = Samples(host, cycles, _soak_traffic.PLUGINS, weight=100)
    return samples, _soak_traffic.run(host, samples, copies, clock)


PARTS = {"a": _cycles, "b": _reloads, "c": _traffic}

if __name__ == "__main__":
    main()

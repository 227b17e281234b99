"""Print one table of several runs: `python3 scripts/summary.py RESULTS.json ...`.

The files are what `scripts/matrix.py --json` and `scripts/wine.py --json` write. `--markdown` prints the table as
tests/results/README.md has it. Exit codes: 0; 1 if a cell of them failed or is missing.
"""

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace

from lib.machine import say
from matrix import skips, table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="RESULTS.json")
    parser.add_argument("--markdown", action="store_true", help="print the table as tests/results/README.md has it")
    options = parser.parse_args()
    results = [result for file in options.files for result in json.loads(file.read_text(encoding="utf-8"))]
    cells = [SimpleNamespace(result=result) for result in results]
    if options.markdown:
        say(_markdown(results))
    else:
        say(f"\n{table(cells)}\n\n{skips(cells)}")
    bad = [result["cell"] for result in results if result["status"] != "passed"]
    for result in results:
        for line in [*result.get("problems", ()), *result.get("failures", ())]:
            say(f"{result['cell']}: {line}")
    if bad:
        say(f"FAILED or missing: {', '.join(bad)}")
    return 1 if bad else 0


def _markdown(results):
    """Return what was run where, a row for each system and binding."""
    pythons = {}
    for result in results:
        if result["status"] == "passed":
            versions = pythons.setdefault((result["system"], result["cell"].partition("-")[0], result["binding"]), [])
            versions.append(".".join(result["python"].split(".")[:2]))
    lines = ["| system | binding | Python |", "|---|---|---|"]
    for (system, binding, version), versions in sorted(pythons.items()):
        unique = sorted(set(versions), key=lambda text: [int(part) for part in text.split(".")])
        lines.append(f"| {system} | {binding.partition('==')[0]} {version} | {', '.join(unique)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

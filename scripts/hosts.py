"""Run asyncslot in real host applications: `python3 scripts/hosts.py [HOST ...]`, by default in all that are described.

Sets this machine up (hosts from Debian, as root; everything else that is made lies under .work/), runs
tests/hosts/test_hosts.py and test_chat.py for these hosts, and prints a table of host and check. What each check claims
is written there; how a host is described, in scripts/lib/hosts.py. Screenshots of progress, and of the chat, go to
.work/screenshots.

Exit codes: 0; 1 if a check failed or did not run; 2 if this machine could not be set up.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from lib import hosts
from lib.machine import QT_LIBRARIES, ROOT, WORK, XVFB, SetupError, need_packages, need_venv, say, venv_packages

TIMEOUT = 1800  # seconds; each single wait has a far shorter limit of its own

# How an outcome is shown.
MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "-", "missing": "missing"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # No `choices`: argparse up to 3.11 would check the empty list against it, too.
    parser.add_argument("hosts", nargs="*", metavar="HOST", help=", ".join(hosts.names()))
    parser.add_argument("--setup-only", action="store_true", help="install the hosts and run nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE, too")
    options = parser.parse_args()
    unknown = sorted(set(options.hosts) - set(hosts.names()))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(hosts.names())}")
    names = options.hosts or hosts.names()
    start = time.monotonic()
    try:
        need_packages([*QT_LIBRARIES, *XVFB, *venv_packages()], "the tests")
        python = need_venv("-e .[PyQt5,test]")
        for name in names:
            hosts.find(name).set_up()
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    say(f"set-up: {time.monotonic() - start:.0f} s")
    if options.setup_only:
        return 0
    start = time.monotonic()
    report = WORK / "hosts-report.xml"
    is_good = _run_pytest(python, names, report)
    results = _read_report(report, names)
    say(f"\n{_table(results)}\n{_notes(results)}\ntests: {time.monotonic() - start:.0f} s")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0 if is_good and all(result["status"] == "passed" for result in results) else 1


def _run_pytest(python, names, report):
    """Run the tests in these hosts; return whether all is well."""
    if report.exists():
        report.unlink()
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "--no-xvfb",
        f"--junitxml={report}",
        "--require-hosts",
        "tests/hosts/test_hosts.py",
        "tests/hosts/test_chat.py",
    ]
    # A screen for each host comes from hosts.lasting_display(), and not from pytest-xvfb.
    env = {**os.environ, "QT_API": "pyqt5", "ASYNCSLOT_HOSTS": " ".join(names)}
    try:
        return subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, timeout=TIMEOUT).returncode == 0
    except subprocess.TimeoutExpired:
        say(f"The tests were still running after {TIMEOUT} s, and were ended.")
        return False


def _read_report(report, names):
    """Return what happened in each host, from pytest's JUnit file.

    Returns: for each host {"host", "status": passed, failed or missing, "checks": outcomes by name, "facts": what was
        measured, by the check that did it, "failures": the first line of each}.
    """
    results = {name: {"host": name, "status": "missing", "checks": {}, "facts": {}, "failures": []} for name in names}
    cases = ET.parse(report).iter("testcase") if report.exists() else []
    for case in cases:
        properties = {each.get("name"): each.get("value") for each in case.iter("property")}
        result = results.get(properties.get("host"))
        if result is None:
            continue
        check = _check_of(case.get("name"), result["host"])
        bad = [each for each in case if each.tag in ("failure", "error")]
        outcome = "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"
        # One that failed in the test and in its teardown is told twice.
        result["checks"][check] = "failed" if result["checks"].get(check) == "failed" else outcome
        result["failures"] += [f"{check}: {each.get('message', '').splitlines()[0]}" for each in bad]
        if "facts" in properties:
            result["facts"][check] = json.loads(properties["facts"])
    for result in results.values():
        outcomes = set(result["checks"].values())
        if "passed" in outcomes or "failed" in outcomes:
            result["status"] = "failed" if "failed" in outcomes else "passed"
    return list(results.values())


def _check_of(name, host):
    """Return a check's name: `test_modal_dialog[asyncModal-krita]` is `modal_dialog asyncModal`."""
    function, _, rest = name.partition("[")
    words = [word for word in rest.rstrip("]").split("-") if word and word != host]
    return " ".join([function.replace("test_", "", 1), *words])


def _table(results):
    """Return a table of check and host, as text."""
    checks = list(dict.fromkeys(check for result in results for check in result["checks"]))
    rows = [["", *(result["host"] for result in results)]]
    rows += [[check, *(MARKS[result["checks"].get(check, "missing")] for result in results)] for check in checks]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def _notes(results):
    """Return what was found in each host, a few lines each."""
    lines = []
    for result in results:
        lines.append(f"\n{result['host']}: {result['status']}")
        lines += [f"    {check}: {_words(facts)}" for check, facts in result["facts"].items()]
        lines += [f"    FAILED {failure}" for failure in result["failures"]]
    return "\n".join(lines)


def _words(facts):
    return ", ".join(
        f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}" for name, value in facts.items()
    )


if __name__ == "__main__":
    sys.exit(main())

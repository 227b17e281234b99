"""Run asyncslot in real host applications: `python3 scripts/hosts.py [HOST ...]`, by default in all that are described.

Sets this machine up (hosts from Debian, as root; everything else that is made lies under .work/), runs
tests/hosts/test_hosts.py and test_chat.py for these hosts, and prints a table of host and check. What each check claims
is written there; how a host is described, in scripts/lib/hosts.py. Screenshots of progress, and of the chat, go to
.work/screenshots.

`--suite` runs the same in a newer Debian, with the hosts as they are there, by default in all that this suite has: as
root on a Debian, which makes the other one under .work/ (scripts/lib/debian.py). trixie is stable, and has backports of
some hosts; what is newer moves, and a host that cannot be had there today is a column that says why. Once all is
installed there is no network in it.

    python3 scripts/hosts.py --suite trixie                   Debian 13
    python3 scripts/hosts.py --suite trixie-backports qgis    its newer QGIS
    python3 scripts/hosts.py --suite experimental krita       on sid, with what is newer in experimental

Exit codes: 0; 1 if a check failed or did not run, or if one of several hosts could not be installed; 2 if this machine
could not be set up.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from lib import debian, hosts
from lib.machine import QT_LIBRARIES, ROOT, WORK, XVFB, SetupError, need_packages, need_venv, say, venv_packages

TIMEOUT = 3600  # seconds; each single wait has a far shorter limit of its own

# How an outcome is shown.
MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "-", "missing": "missing"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # No `choices`: argparse up to 3.11 would check the empty list against it, too.
    parser.add_argument("hosts", nargs="*", metavar="HOST", help=", ".join(hosts.names()))
    parser.add_argument("--suite", choices=debian.SUITES, help="run in this Debian, not on this machine")
    parser.add_argument("--setup-only", action="store_true", help="install the hosts and run nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE, too")
    options = parser.parse_args()
    unknown = sorted(set(options.hosts) - set(hosts.names()))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(hosts.names())}")
    start = time.monotonic()
    try:
        place = _Suite(options.suite) if options.suite else _Here()
        names = options.hosts or place.names()
        place.set_up()
        missing = _set_up_hosts(place, names)
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    say(f"set-up: {time.monotonic() - start:.0f} s")
    if options.setup_only:
        return 1 if missing else 0
    start = time.monotonic()
    report = WORK / f"hosts-report-{options.suite or 'here'}.xml"
    is_good = _run_pytest(place.python, [name for name in names if name not in missing], report)
    results = _read_report(report, names, options.suite, missing)
    say(f"\n{_table(results)}\n{_notes(results)}\ntests: {time.monotonic() - start:.0f} s")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0 if is_good and all(result["status"] == "passed" for result in results) else 1


class _Here:
    """This machine.

    Attributes:
        python: the words that begin a command with the Python of the tests' environment.
    """

    python = ()

    def names(self):
        """Return the hosts that are run if nobody names one."""
        return hosts.names()

    def set_up(self):
        """Install what the tests need. Raises: SetupError."""
        need_packages([*QT_LIBRARIES, *XVFB, *venv_packages()], "the tests")
        self.python = [need_venv("-e .[PyQt5,test]")]

    def set_up_host(self, host):
        """Install a host. Raises: SetupError."""
        host.set_up()


class _Suite:
    """A newer Debian. The attribute and the methods are those of _Here."""

    python = ()

    def __init__(self, suite):
        self._debian = debian.need_suite(suite, "its hosts")

    def names(self):
        return [name for name in hosts.names() if hosts.find(name).packages(self._debian.suite)]

    def set_up(self):
        self._debian.need_packages([*hosts.TOOLS, "python3-venv"])
        venv = WORK / "debian" / f"{self._debian.suite}-venv"
        # The binding is for conftest.py alone; PyQt6's wheels are for every Python to come.
        python = need_venv("-e .[PyQt6,test]", venv=venv, interpreter=[*self._debian.enter(), "/usr/bin/python3"])
        self.python = [*self._debian.enter(is_alone=True), python]

    def set_up_host(self, host):
        packages = host.packages(self._debian.suite)
        if not packages:
            raise SetupError(f"{host.NAME} is no package of Debian's: it is the same on this machine, without --suite")
        self._debian.need_packages(packages)


def _set_up_hosts(place, names):
    """Install the hosts; return why one could not be, by its name.

    Raises: SetupError when that is so for all of them.
    """
    missing = {}
    for name in names:
        try:
            place.set_up_host(hosts.find(name))
        except SetupError as exc:
            missing[name] = str(exc)
    if len(missing) == len(names):
        raise SetupError("\n".join(missing.values()))
    return missing


def _run_pytest(python, names, report):
    """Run the tests in these hosts; return whether all is well."""
    if report.exists():
        report.unlink()
    command = [
        *python,
        "-m",
        "pytest",
        "-q",
        "--no-xvfb",
        f"--junitxml={report}",
        "--require-hosts",
        # The first test of a host plays all that the others judge. Each of its waits has a limit of its own.
        f"--timeout={3 * (hosts.STORY_TIMEOUT + hosts.QUIT_TIMEOUT)}",
        f"--override-ini=faulthandler_timeout={3 * hosts.STORY_TIMEOUT}",
        "tests/hosts/test_hosts.py",
        "tests/hosts/test_chat.py",
    ]
    # A screen for each host comes from hosts.lasting_display(), and not from pytest-xvfb.
    env = {name: value for name, value in os.environ.items() if name != "QT_API"}
    env["ASYNCSLOT_HOSTS"] = " ".join(names)
    try:
        return subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, timeout=TIMEOUT).returncode == 0
    except subprocess.TimeoutExpired:
        say(f"The tests were still running after {TIMEOUT} s, and were ended.")
        return False


def _read_report(report, names, suite, missing):
    """Return what happened in each host, from pytest's JUnit file.

    Args: missing: why a host could not be installed, by its name.
    Returns: for each host {"host", "suite": of the Debian that it was run in, or None for this machine, "status":
        passed, failed or missing, "checks": outcomes by name, "facts": what was measured, by the check that did it,
        "failures": the first line of each}.
    """
    results = {
        name: {"host": name, "suite": suite, "status": "missing", "checks": {}, "facts": {}, "failures": []}
        for name in names
    }
    for name, reason in missing.items():
        results[name]["failures"].append(_first_error(reason))
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


def _first_error(text):
    """Return the line of a set-up's failure that says why: apt-get's first `E:`, or else the first of all."""
    lines = text.strip().splitlines()
    return next((line for line in lines if re.match("E: ", line)), lines[0])


def _title(result):
    return f"{result['host']} ({result['suite']})" if result["suite"] else result["host"]


def _check_of(name, host):
    """Return a check's name: `test_modal_dialog[asyncModal-krita]` is `modal_dialog asyncModal`."""
    function, _, rest = name.partition("[")
    words = [word for word in rest.rstrip("]").split("-") if word and word != host]
    return " ".join([function.replace("test_", "", 1), *words])


def _table(results):
    """Return a table of check and host, as text."""
    checks = list(dict.fromkeys(check for result in results for check in result["checks"]))
    rows = [["", *(_title(result) for result in results)]]
    rows += [[check, *(MARKS[result["checks"].get(check, "missing")] for result in results)] for check in checks]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def _notes(results):
    """Return what was found in each host, a few lines each."""
    lines = []
    for result in results:
        lines.append(f"\n{_title(result)}: {result['status']}")
        lines += [f"    {check}: {_words(facts)}" for check, facts in result["facts"].items()]
        lines += [f"    FAILED {failure}" for failure in result["failures"]]
    return "\n".join(lines)


def _words(facts):
    return ", ".join(
        f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}" for name, value in facts.items()
    )


if __name__ == "__main__":
    sys.exit(main())

"""Run the tests, from nothing: `python3 scripts/test.py`.

Sets this machine up (everything that is made lies under .work/) and runs pytest, with the tests in the real QGIS
where QGIS is installed. `--hosts` installs it from Debian first, and then it is an error if those tests did not run.
All other arguments go to pytest: `python3 scripts/test.py -k detach -x`.

CPython's own asyncio tests take minutes, and Debian's Python comes without them: `scripts/matrix.py` runs those. The
checks in other hosts than QGIS are for `scripts/hosts.py`, which installs those.

Exit codes: pytest's own; 1 also when the tests in the real QGIS were to run and did not; 2 also when this machine
could not be set up.
"""

import argparse
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

from lib.machine import QGIS, QT_LIBRARIES, ROOT, WORK, XVFB, SetupError, need_packages, need_venv, say, venv_packages

TIMEOUT = 3600  # seconds; each single test has a far shorter limit of its own in pyproject.toml


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--hosts", action="store_true", help="install QGIS, and fail if the tests in it did not run")
    parser.add_argument("--setup-only", action="store_true", help="set the machine up and run nothing")
    arguments, for_pytest = parser.parse_known_args()
    try:
        need_packages(QT_LIBRARIES + XVFB + venv_packages() + (QGIS if arguments.hosts else []), "the tests")
        python = need_venv("-e .[PyQt5,stubs,test,packaging]")
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    if arguments.setup_only:
        return 0
    report = WORK / "test-report.xml"
    report.unlink(missing_ok=True)
    # All of it takes long enough for both cores of a small machine, and waits for half of its time. A file's tests stay
    # together, and share their host.
    workers = [] if for_pytest else ["-n", "3", "--dist", "loadfile"]
    command = [python, "-m", "pytest", f"--junitxml={report}", "-m", "not (cpython or hosts)", *workers, *for_pytest]
    if arguments.hosts:
        command.append("--require-hosts")
    # Which binding is under test is decided here and not by a variable that happens to be set.
    env = {**os.environ, "QT_API": "pyqt5"}
    try:
        exit_code = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, timeout=TIMEOUT).returncode
    except subprocess.TimeoutExpired:
        say(f"The tests were still running after {TIMEOUT} s, and were ended.")
        return 1
    if arguments.hosts:
        count = _count_run(report, "test_qgis")
        say(f"tests that ran in the real QGIS: {count}")
        if count == 0:
            say("FAILED: --hosts was given, so the tests in the real QGIS had to run.")
            return exit_code or 1
    return exit_code


def _count_run(report, module):
    """Return how many tests of a module ran and were not skipped."""
    if not report.exists():
        return 0
    cases = ET.parse(report).iter("testcase")
    return sum(module in case.get("classname", "").split(".") and case.find("skipped") is None for case in cases)


if __name__ == "__main__":
    sys.exit(main())

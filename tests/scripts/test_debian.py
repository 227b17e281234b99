"""A newer Debian under .work/: what runs in there is by itself, and is gone with whoever has started it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import hosts as command  # noqa: E402 - scripts/hosts.py
from lib import debian, hosts, machine  # noqa: E402 - scripts/ is no package

# Runs a command as scripts/ do, and is what is killed.
STARTER = "import subprocess, sys; subprocess.run(sys.argv[1:])"


@pytest.fixture
def here(monkeypatch):
    """This system, as if it were the other one: all is there but debootstrap's work."""
    if sys.platform != "linux" or os.geteuid() != 0 or not all(map(shutil.which, ("setpriv", "unshare", "ip"))):
        pytest.skip("what mounts something must be root, and needs util-linux and iproute2")
    found = debian.Debian("trixie")
    monkeypatch.setattr(found, "root", Path("/"))
    return found


def test_programs_are_alone_and_see_the_project(here):
    """Their processes, their /tmp and their network are their own; the project is where it is outside."""
    script = "echo $$; ls -A /tmp; pwd; grep -c : /proc/net/dev; ls /proc | grep -c '^[0-9]'"
    done = subprocess.run([*here.enter(is_alone=True), "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    number, directory, interfaces, processes = done.stdout.split()
    assert int(number) < 100
    assert directory == str(ROOT)
    assert interfaces == "1"
    assert int(processes) <= 5


def test_their_exit_code_comes_back(here):
    """With processes of their own and without."""
    for is_alone in (False, True):
        assert subprocess.run([*here.enter(is_alone=is_alone), "sh", "-c", "exit 7"]).returncode == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGKILL", None)])
@pytest.mark.parametrize("is_alone", [True, False], ids=["alone", "together"])
def test_nothing_is_left_when_the_starter_is_killed(here, number, is_alone):
    """Neither a process, nor its child if they are alone, nor a mount: this system's were never touched."""
    mounts = Path("/proc/self/mounts").read_text()
    readable, writable = os.pipe()
    script = "sleep 3600 & sleep 3600" if is_alone else "exec sleep 3600"
    starter = [sys.executable, "-c", STARTER, *here.enter(is_alone=is_alone), "sh", "-c", f"echo ready; {script}"]
    process = subprocess.Popen(starter, stdout=writable, stderr=subprocess.DEVNULL, start_new_session=True)
    os.close(writable)
    try:
        with open(readable, encoding="ascii") as output:
            assert output.readline() == "ready\n"
            assert Path("/proc/self/mounts").read_text() == mounts
            process.send_signal(number)
            assert output.read() == ""  # which returns when the last of them is gone
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert Path("/proc/self/mounts").read_text() == mounts


def test_what_makes_one_mounts_nothing_here(here, monkeypatch, tmp_path):
    """debootstrap has /proc mounted in what it makes, while it works, and has it still when it is killed."""
    seen = tmp_path / "mounts"
    fake = tmp_path / "debootstrap"
    lines = [
        "#!/bin/sh -e",
        "mkdir $4/proc",
        "mount -t proc proc $4/proc",
        f"grep $4/proc /proc/mounts >{seen}",
        "exit 3",
    ]
    fake.write_text("\n".join(lines))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(debian, "_mirror", lambda: "a mirror")
    monkeypatch.setattr(here, "root", tmp_path / "made")
    mounts = Path("/proc/self/mounts").read_text()
    with pytest.raises(machine.SetupError, match="ended with exit code 3"):
        here.make()
    assert str(tmp_path) in seen.read_text()
    assert Path("/proc/self/mounts").read_text() == mounts


def test_who_cannot_make_one_is_told_what_it_takes(monkeypatch):
    """Nothing has been installed or made by then."""
    monkeypatch.setattr(debian, "_is_possible", lambda: False)
    with pytest.raises(machine.SetupError, match="A Debian trixie for its hosts can only be made on a Debian, as root"):
        debian.need_suite("trixie", "its hosts")


# -- scripts/hosts.py --suite ------------------------------------------------


class Place:
    """A place for hosts that has Krita, and whose apt-get knows no Cura."""

    def set_up_host(self, host):
        if host.NAME != "Krita":
            raise machine.SetupError("Reading package lists...\nE: Unable to locate package cura\n\napt-get ended")


def test_a_host_that_cannot_be_had_is_a_column_that_says_why():
    """The others are run, and the suite's name is in the heads of all."""
    missing = command._set_up_hosts(Place(), ["krita", "cura"])
    assert list(missing) == ["cura"]
    results = command._read_report(Path("no such report"), ["krita", "cura"], "sid", missing)
    assert command._table(results).split() == ["krita", "(sid)", "cura", "(sid)"]
    assert "cura (sid): missing\n    FAILED E: Unable to locate package cura" in command._notes(results)


def test_nothing_is_run_when_no_host_can_be_had():
    """The set-up has failed, then."""
    with pytest.raises(machine.SetupError, match="Unable to locate package cura"):
        command._set_up_hosts(Place(), ["cura"])


def test_a_host_of_this_machine_has_no_suite_in_its_head():
    """The table of a run here is as it was."""
    results = command._read_report(Path("no such report"), ["krita"], None, {})
    assert command._table(results).split() == ["krita"]


@pytest.mark.parametrize("name", hosts.names())
def test_each_description_of_a_host_can_be_read(name):
    """Also where none of its packages is installed: it says which they are, for every suite."""
    host = hosts.find(name)
    assert issubclass(host, hosts.Application)
    assert [suite for suite in [None, *debian.SUITES] if not isinstance(host.packages(suite), tuple)] == []


class Krita(hosts.Application):
    PACKAGES = ("krita",)


@pytest.mark.parametrize(
    ("shown", "version"),
    [("1:5.2.9+dfsg-1+deb13u1", (5, 2)), ("3.44.15+dfsg-1~bpo13+1", (3, 44)), ("2.13.3-1", (2, 13)), ("", ())],
)
def test_the_version_of_an_installed_host_is_read(monkeypatch, shown, version):
    """Epoch and revision are Debian's, and not the host's."""
    done = subprocess.CompletedProcess((), 0, stdout=shown)
    monkeypatch.setattr(hosts.subprocess, "run", lambda *_args, **_options: done)
    assert Krita.version() == version

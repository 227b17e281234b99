"""What scripts/ use to set a machine up and to run a host: what they say when something is missing or goes wrong."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from lib import host_run, machine  # noqa: E402 - scripts/ is no package


@pytest.fixture
def debian(monkeypatch):
    """Pretend to be on a Debian with the packages that the test puts into the set it gets, and not to be root."""
    installed = set()

    class Listing:
        @property
        def stdout(self):
            return "".join(f"installed {name}\n" for name in installed) + "config-files libgl1\n"

    monkeypatch.setattr(machine.shutil, "which", lambda name: "/usr/bin/" + name)
    monkeypatch.setattr(machine.subprocess, "run", lambda *args, **kwargs: Listing())
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000, raising=False)
    return installed


def test_who_is_not_root_is_told_the_line_with_all_missing_packages(debian):
    """Packages that are there, also under their new name, are not in it; removed ones of which files are left are."""
    debian.update({"libfontconfig1", "libglib2.0-0t64"})
    with pytest.raises(machine.SetupError) as caught:
        machine.need_packages(["libglib2.0-0", "libgl1", "libfontconfig1", "xvfb"], "a test")
    assert "apt-get install -y --no-install-recommends libgl1 xvfb\n" in str(caught.value)
    assert "a test" in str(caught.value)


def test_nothing_is_said_when_all_packages_are_there(debian):
    """Not being root is no error by itself."""
    debian.add("xvfb")
    machine.need_packages(["xvfb"], "a test")


def test_another_system_than_debian_is_left_alone(monkeypatch):
    """Without apt-get there is nothing that we could do, or advise."""
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    machine.need_packages(["xvfb"], "a test")


def test_a_setup_command_that_fails_shows_the_end_of_its_output():
    """The user sees why, which command it was, and its exit code."""
    with pytest.raises(machine.SetupError) as caught:
        machine.run_quietly([sys.executable, "-c", "print('no such mirror'); raise SystemExit(7)"], timeout=60)
    assert "no such mirror" in str(caught.value)
    assert "exit code 7" in str(caught.value)


class Host(host_run.HostRun):
    """A host that is a line of Python; its record file is `sys.argv[1]`."""

    NAME = "the toy host"

    def start(self, source):
        self._launch([sys.executable, "-c", "import sys, time\n" + source, str(self.record_file)], None)


@pytest.fixture
def host(tmp_path):
    with Host(tmp_path) as host:
        yield host


TELL = "open(sys.argv[1], 'a').write('{}\\n')\n"


def test_records_are_read_while_the_host_writes_them(host):
    """A line that is not finished is not read."""
    host.start(TELL.format('{"n": 1}') + "open(sys.argv[1], 'a').write('{\"n\"')\ntime.sleep(60)")
    assert host.wait_for(lambda record: record["n"] == 1, 30) == {"n": 1}
    assert host.records() == [{"n": 1}]


def test_last_words_of_a_host_that_has_ended_are_read(host):
    """What it wrote before it ended counts, and so does its exit code."""
    host.start(TELL.format('{"n": 1}') + "sys.exit(3)")
    code, _ = host.wait_exit(30)
    assert code == 3
    assert host.wait_for(lambda record: True, 0) == {"n": 1}


def test_a_host_that_ends_too_early_is_shown_with_its_output(host):
    """The text has its name, its exit code and what it printed."""
    host.start("print('no plug-in found')\nsys.exit(3)")
    with pytest.raises(host_run.HostError) as caught:
        host.wait_for(lambda record: True, 30)
    assert "the toy host ended with exit code 3" in str(caught.value)
    assert "no plug-in found" in str(caught.value)


def test_a_host_that_tells_nothing_is_waited_for_until_the_limit(host):
    """Then the text says how long it was."""
    host.start("time.sleep(60)")
    with pytest.raises(host_run.HostError, match=r"did not get there within 0\.2 s"):
        host.wait_for(lambda record: True, 0.2)


def test_a_host_that_does_not_end_is_killed(host):
    """No host is left behind, and closing once more is no error."""
    host.start("time.sleep(60)")
    with pytest.raises(host_run.HostError, match=r"was still running after 0\.2 s and was killed"):
        host.wait_exit(0.2)
    assert host._process.poll() is not None
    host.close()

"""scripts/vendor.py: what a copy is, where it comes from, what --check tells, and what must not happen to a copy.

Everything runs against a source tree of its own, made from this one for each test, so that a test may change it. What
a copy can do is in test_vendored_copies.py.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from source_tree import grow, snapshot


def command(source, *arguments):
    """Run vendor.py as a person would, in a process of its own."""
    line = [sys.executable, str(source / "scripts" / "vendor.py"), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True)


# --- What a copy is


def test_a_copy_holds_the_modules_the_adapters_the_licence_and_its_record(vendor, source, dest):
    """Nothing more than that, and nothing is rewritten."""
    copy = vendor.copy(dest)
    package = source / "asyncslot"
    expected = {path.relative_to(package).as_posix(): path.read_bytes() for path in package.rglob("*.py")}
    expected.update({"host_adapters/" + p.name: p.read_bytes() for p in (source / "host_adapters").glob("*.py")})
    expected["py.typed"] = b""
    expected["LICENSE"] = (source / "LICENSE").read_bytes()
    found = snapshot(copy)
    record = found.pop("VENDORED.md").decode()
    assert copy == dest / "asyncslot"
    assert found == expected
    assert "python3 scripts/vendor.py DEST" in record


def test_a_copy_names_no_path_of_the_machine_it_was_made_on(vendor, tmp_path, dest):
    """A copy is published with the plug-in."""
    for path, content in snapshot(vendor.copy(dest)).items():
        assert str(tmp_path).encode() not in content, path


def test_the_same_source_gives_the_same_bytes(vendor, source, tmp_path):
    """Neither place nor time nor line ends of the checkout get into a copy."""
    first = snapshot(vendor.copy(tmp_path / "first"))
    for path in source.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert snapshot(vendor.copy(tmp_path / "second")) == first


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum on this system")
def test_the_record_can_be_given_to_sha256sum(vendor, dest):
    """As VENDORED.md says, for those who have no checkout."""
    copy = vendor.copy(dest)
    line = ["sha256sum", "--check", "--quiet", "VENDORED.md"]
    assert subprocess.call(line, cwd=str(copy), stderr=subprocess.DEVNULL) == 0
    (copy / "LICENSE").write_bytes(b"")
    assert subprocess.call(line, cwd=str(copy), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) != 0


# --- Where a copy comes from


def git(tree, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=str(tree), stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().strip()


def commit(tree, message):
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", message, "--date", "2020-02-02T12:00:00Z")
    return git(tree, "rev-parse", "HEAD")


needs_git = pytest.mark.skipif(not shutil.which("git"), reason="no git on this system")


@needs_git
def test_the_record_names_the_last_commit_that_changed_a_shipped_file(vendor, source, dest, monkeypatch):
    """Other commits, and the day on which the copy is made, leave the bytes as they are."""
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2020-02-02T23:30:00-05:00")
    git(source, "init", "--quiet")
    shipped = commit(source, "Ship")
    first = snapshot(vendor.copy(dest))
    (source / "README.md").write_text("# Other words\n")
    commit(source, "Reword")
    assert snapshot(vendor.copy(dest)) == first
    assert f"| commit | {shipped} |\n| date | 2020-02-03 |" in first["VENDORED.md"].decode()


@needs_git
def test_the_record_says_when_changes_were_not_committed(vendor, source, dest):
    """Such a copy cannot be had again from its commit."""
    git(source, "init", "--quiet")
    shipped = commit(source, "Ship")
    grow(source)
    record = (vendor.copy(dest) / "VENDORED.md").read_text()
    assert f"| commit | {shipped}, with changes that were not committed |" in record


@needs_git
def test_the_record_ignores_a_repository_around_the_source(vendor, source, dest):
    """A source tree unpacked inside a plug-in's repository has no commit of its own."""
    git(source.parent, "init", "--quiet")
    commit(source.parent, "Unpack asyncslot")
    assert "| commit | unknown: not made from a git checkout |" in (vendor.copy(dest) / "VENDORED.md").read_text()


def test_a_copy_is_made_where_there_is_no_git(vendor, dest, monkeypatch):
    """On a graphics workstation, say."""
    monkeypatch.setenv("PATH", "")
    assert "| commit | unknown: not made from a git checkout |" in (vendor.copy(dest) / "VENDORED.md").read_text()


NAMES = pytest.mark.parametrize("name", ["asyncslot", "mylib_aio"])


# --- What --check tells


def leave(source, copy):
    pass


def run_it(source, copy):
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "_errors.cpython-37.pyc").write_bytes(b"\x00")


def turn_line_ends(source, copy):
    for path in [copy / "VENDORED.md", *copy.rglob("*.py")]:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def edit(source, copy):
    (copy / "_errors.py").write_text("# mine\n")
    (copy / "mine.py").write_text("")
    (copy / "host_adapters" / "__init__.py").unlink()


def outgrow(source, copy):
    grow(source)
    (source / "asyncslot" / "_errors.py").unlink()


def edit_and_outgrow(source, copy):
    edit(source, copy)
    grow(source)


EDITS = ["  added: mine.py", "  missing: host_adapters/__init__.py", "  changed: _errors.py"]
NEWS = ["  added: _brand_new.py", "  changed: host_adapters/__init__.py"]

CHECKS = [
    # what happened since the copy was made, exit code, the files that are named, in this order
    (leave, 0, []),
    (run_it, 0, []),
    (turn_line_ends, 0, []),
    (edit, 1, EDITS),
    (outgrow, 3, [NEWS[0], "  missing: _errors.py", NEWS[1]]),
    (edit_and_outgrow, 1, EDITS + NEWS),
]


@NAMES
@pytest.mark.parametrize(("happening", "code", "named"), CHECKS, ids=[row[0].__name__ for row in CHECKS])
def test_check_tells_edits_from_age(vendor, source, dest, capsys, name, happening, code, named):
    """Each file that was added, is missing or was changed is named; Python's own droppings and line ends are not."""
    copy = vendor.copy(dest, name)
    happening(source, copy)
    before = snapshot(copy)
    assert vendor.main([str(dest), "--name", name, "--check"]) == code
    output = capsys.readouterr().out.splitlines()
    assert [line for line in output if line.startswith("  ")] == named
    assert str(copy) in output[0]
    assert snapshot(copy) == before


def test_check_names_the_version_that_an_old_copy_is_of(vendor, source, dest, capsys):
    """So that one knows which changelog to read."""
    vendor.copy(dest)
    (source / "asyncslot" / "__init__.py").write_text('__version__ = "99.1"\n')
    assert vendor.main(["--check", str(dest)]) == 3
    version = vendor.read_record(dest / "asyncslot").origin.version
    assert version != "99.1"
    assert f"made from version {version}" in capsys.readouterr().out


# --- What is never overwritten


def someones_directory(source, dest):
    (dest / "asyncslot").mkdir(parents=True)
    (dest / "asyncslot" / "thesis.txt").write_text("unique")
    return "it has no VENDORED.md"


def someones_record(source, dest):
    someones_directory(source, dest)
    (dest / "asyncslot" / "VENDORED.md").write_text("taken from elsewhere\n")
    return "lists no files"


def someones_file(source, dest):
    dest.mkdir(parents=True)
    (dest / "asyncslot").write_text("unique")
    return "is a file"


def link_to_source(source, dest):
    dest.mkdir(parents=True)
    try:
        (dest / "asyncslot").symlink_to(source / "asyncslot", target_is_directory=True)
    except OSError:
        pytest.skip("this system lets not everybody make symbolic links")
    return "is a symbolic link"


def source_itself(source, dest):
    dest.parent.mkdir()
    source.rename(dest)
    return "it has no VENDORED.md"


def incomplete_source(source, dest):
    (source / "asyncslot" / "__init__.py").unlink()
    return "a copy is made from the whole of asyncslot"


def source_without_version(source, dest):
    (source / "asyncslot" / "__init__.py").write_text("")
    return "no literal to __version__"


REFUSALS = [
    someones_directory,
    someones_record,
    someones_file,
    link_to_source,
    source_itself,
    incomplete_source,
    source_without_version,
]


@pytest.mark.parametrize("force", [[], ["--force"]], ids=["plain", "force"])
@pytest.mark.parametrize("prepare", REFUSALS, ids=[prepare.__name__ for prepare in REFUSALS])
def test_refuses_and_touches_nothing(vendor, source, dest, tmp_path, monkeypatch, capsys, prepare, force):
    """--force is for edited copies only: what is not a copy is never removed."""
    reason = prepare(source, dest)
    before = snapshot(tmp_path)
    assert vendor.main([str(dest), *force], "vendor.py") == 2
    message = capsys.readouterr().err
    assert message.startswith("vendor.py: ")
    assert reason in message
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["my-lib", "a.b", "../up", "", "class", "3d"])
def test_refuses_a_name_that_cannot_be_imported(vendor, dest, capsys, name):
    """The directory's name is the import name."""
    assert vendor.main([str(dest), "--name", name]) == 2
    assert f"--name is {name!r}" in capsys.readouterr().err
    assert not dest.exists()


def test_an_edited_copy_is_replaced_only_by_force(vendor, source, dest, capsys):
    """The refusal names every file that would be lost."""
    copy = vendor.copy(dest)
    fresh = snapshot(copy)
    edit(source, copy)
    edited = snapshot(copy)
    assert vendor.main([str(dest)]) == 2
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("  ")] == EDITS
    assert snapshot(copy) == edited
    assert vendor.main([str(dest), "--force"]) == 0
    assert snapshot(copy) == fresh


def test_an_untouched_copy_is_updated(vendor, source, dest):
    """Files that the new version no longer has go too, and so does what Python left there."""
    copy = vendor.copy(dest)
    run_it(source, copy)
    outgrow(source, copy)
    vendor.copy(dest)
    assert set(snapshot(copy)) == {*vendor.Source().files, "VENDORED.md"}
    assert [bool(differences) for differences in vendor.check(dest)] == [False, False]


def test_an_interrupted_update_is_still_known_as_a_copy(vendor, dest, monkeypatch):
    """It can be told what is missing, and be mended."""
    copy = vendor.copy(dest)
    whole = snapshot(copy)
    write, left = Path.write_bytes, [3]

    def write_three(path, data):
        if not left[0]:
            raise OSError("No space left on device")
        left[0] -= 1
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_three)
        assert vendor.main([str(dest)]) == 2
    edits, _ = vendor.check(dest)
    assert (edits.added, edits.changed, len(edits.missing)) == ([], [], len(whole) - 3)
    vendor.copy(dest, force=True)
    assert snapshot(copy) == whole


# --- The command itself


def test_the_command_makes_checks_and_refuses(source, dest):
    """From a terminal: results on stdout, refusals on stderr, and the code tells them apart."""
    made = command(source, dest, "--name", "mine")
    checked = command(source, "--check", dest, "--name", "mine")
    refused = command(source, "--check", dest)
    torn = command(source, dest, "--check", "--force")
    assert (made.returncode, checked.returncode, refused.returncode, torn.returncode) == (0, 0, 2, 2)
    assert made.stdout == f"{dest / 'mine'} is ready.\n"
    assert checked.stdout == f"{dest / 'mine'} is what would be made now.\n"
    assert refused.stderr.startswith(f"vendor.py: {dest / 'asyncslot'} is not a vendored copy")
    assert (made.stderr, checked.stderr, refused.stdout) == ("", "", "")


def test_help_shows_the_three_uses(source):
    """The examples are what most people read."""
    text = command(source, "--help").stdout
    for use in ("my_plugin/_vendor  ", "--name mine_aio", "my_plugin/_vendor --check", "Exit codes:"):
        assert use in text

"""scripts/matrix.py: which cells there are, what they need, and what is told of them. No cell is run here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins for Pythons are shell scripts"),
]


@pytest.fixture
def matrix(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import matrix

    return matrix


def write_python(path, script=f'exec "{sys.executable}" "$@"'):
    """Put something there that can be run like a Python; by default, it is the one that runs this test."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def names(cells):
    return [cell.name for cell in cells]


def test_every_binding_is_tested_on_the_pythons_of_its_hosts(matrix):
    """The table that the project promises."""
    assert names(matrix.TABLE) == [
        "PyQt5-3.7",
        "PyQt5-3.8",
        "PyQt5-3.11",
        "PyQt5-3.11 --wait thread",
        "PySide2-3.7",
        "PySide2-3.10",
        "PyQt6-3.9",
        "PyQt6-3.12",
        "PyQt6-3.13",
        "PySide6-3.9",
        "PySide6-3.11",
        "PySide6-3.12",
        "PySide6-3.13",
        "PyQt6-3.14",
        "PySide6-3.14",
        "PyQt5==5.12-3.7",
        "PySide2==5.12-3.7",
    ]


@pytest.mark.parametrize(
    ("words", "quick", "selected"),
    [
        pytest.param(["PyQt5-3.8"], False, ["PyQt5-3.8"], id="a cell"),
        pytest.param(["pyside6-3.9", "PyQt6-3.9"], False, ["PyQt6-3.9", "PySide6-3.9"], id="two, in the table's order"),
        pytest.param(["PySide2"], False, ["PySide2-3.7", "PySide2-3.10", "PySide2==5.12-3.7"], id="a binding"),
        pytest.param(["PyQt6"], False, ["PyQt6-3.9", "PyQt6-3.12", "PyQt6-3.13"], id="without what must be named"),
        pytest.param(["PyQt6-3.14"], False, ["PyQt6-3.14"], id="what must be named"),
        pytest.param(None, True, ["PyQt5-3.7", "PySide2-3.10", "PyQt6-3.13", "PySide6-3.12"], id="quick"),
        pytest.param(["PyQt6"], True, ["PyQt6-3.13"], id="a binding, quick"),
    ],
)
def test_cells_are_chosen_by_name_or_binding(matrix, words, quick, selected):
    """--cells and --quick."""
    assert names(matrix._select(words, quick)) == selected


def test_a_cell_that_does_not_exist_is_refused_with_those_that_do(matrix):
    """A typing error must not look like a run without failures."""
    with pytest.raises(SystemExit, match=r"No such cell: PyQt4. There are: PyQt5-3.7, PyQt5-3.8,"):
        matrix._select(["PyQt4", "PyQt5"], False)


@pytest.mark.parametrize(
    ("name", "has_guests", "binding", "python_version", "requirements"),
    [
        ("PyQt6-3.12", False, "PyQt6", "3.12", ["-e", ".[test,PyQt6]"]),
        ("PyQt6-3.12", True, "PyQt6", "3.12", ["-e", ".[test,guests,stubs,PyQt6]"]),
        ("PySide6-3.13", True, "PySide6", "3.13", ["-e", ".[test,guests,stubs,guests-pyside6,PySide6]"]),
        ("PySide2==5.12-3.7", False, "PySide2", "3.7", ["-e", ".[test]", "PySide2==5.12.*"]),
    ],
)
def test_a_cell_knows_what_to_install(matrix, name, has_guests, binding, python_version, requirements):
    """The newest binding comes from pyproject.toml's extra, an old one by its version."""
    cell = matrix.Cell(name, has_guests=has_guests)
    assert (cell.binding, cell.python_version, cell.requirements) == (binding, python_version, requirements)


def test_the_newest_interpreter_of_pyenvs_is_found(matrix, tmp_path, monkeypatch):
    """By number, and only one that runs and is what its name says."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    name = f"python{version}"

    paths = [tmp_path / "versions" / f"{version}.{patch}" / "bin" / name for patch in (9, 10, 11)]
    for path in paths:
        path.parent.mkdir(parents=True)
        write_python(path)
    write_python(paths[2], "exit 127")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert matrix.find_interpreter(version) == str(paths[1])


def test_a_missing_interpreter_is_said_and_not_passed_over(matrix, tmp_path, monkeypatch, capsys):
    """The cell's result has the reason."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    cell = matrix.Cell("PyQt5-3.7")
    assert not matrix.prepare(cell)
    assert cell.result["status"] == "missing"
    assert "no Python 3.7" in cell.result["reason"]
    assert "PyQt5-3.7: not available: no Python 3.7" in capsys.readouterr().out
    assert matrix.table([cell]).splitlines()[-1] == "PyQt5-3.7  not available"


OUTCOMES = """
import pytest

def test_passes(): pass
def test_fails(): assert False
@pytest.mark.skip(reason="not here")
def test_is_skipped(): pass
@pytest.fixture
def broken():
    yield
    raise ValueError
def test_passes_and_leaves_a_mess(broken): pass
def test_fails_and_leaves_a_mess(broken): assert False
"""


def test_a_report_of_pytest_is_counted(matrix, tmp_path):
    """Failures and errors by name and message, skips by reason."""
    (tmp_path / "test_it.py").write_text(OUTCOMES)
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--no-xvfb", f"--junitxml={report}"]
    subprocess.run(command, cwd=str(tmp_path), stdout=subprocess.DEVNULL)
    assert matrix.read_report(report) == {
        "passed": 1,
        "failed": 3,
        "failures": [
            "test_it::test_fails: assert False",
            'test_it::test_passes_and_leaves_a_mess: failed on teardown with "ValueError"',
            "test_it::test_fails_and_leaves_a_mess: assert False",
        ],
        "skipped": {"not here": 1},
    }


@pytest.fixture
def cell(matrix, tmp_path):
    """A cell whose Python is the one that runs this test, and whose tests lie in a directory of their own."""
    cell = matrix.Cell("PyQt5-3.7", runs_cpythons=True, tests=[str(tmp_path)])
    cell.place = tmp_path / "place"
    (cell.place / "venv" / "bin").mkdir(parents=True)
    write_python(cell.python)
    return cell


def run(matrix, monkeypatch, cell, source):
    """Run the cell with one test file, and return its line of the table, without system and versions."""
    (cell.place.parent / "test_it.py").write_text(source)
    monkeypatch.setattr(matrix, "ROOT", cell.place.parent)
    matrix._run(cell, ["-p", "no:cacheprovider"], with_cpythons=False)
    line = re.split("  +", matrix.table([cell]).splitlines()[-1])
    return [line[0], *line[5:-1]]


def test_a_cell_that_failed_says_what(matrix, monkeypatch, cell, capsys):
    """In the table, and by name while the others still run."""
    assert run(matrix, monkeypatch, cell, OUTCOMES) == ["PyQt5-3.7", "1", "3", "1", "-", "-"]
    assert cell.result["status"] == "failed"
    assert "test_it::test_fails: assert False\n" in capsys.readouterr().out


def test_a_cell_that_crashed_is_not_taken_for_one_without_failures(matrix, monkeypatch, cell, capsys):
    """Nothing was counted, and the table says why."""
    assert run(matrix, monkeypatch, cell, "import os; os.abort()") == ["PyQt5-3.7", "0", "crashed", "0", "-", "-"]
    assert cell.result["status"] == "failed"
    assert "pytest.log: exit code" in capsys.readouterr().out


def test_cpythons_tests_are_counted_in_columns_of_their_own(matrix, monkeypatch, cell, tmp_path):
    """Both modes, from the last line of tests/cpython/run.py."""
    program = tmp_path / "tests" / "cpython" / "run.py"
    program.parent.mkdir(parents=True)
    program.write_text("print('together                        2001       3      46      212      821     48.4')")
    monkeypatch.setattr(matrix, "ROOT", tmp_path)
    assert matrix._run_cpythons(cell, None, "nested") == []
    program.write_text("raise SystemExit(2)")
    assert matrix._run_cpythons(cell, None, "attached") == ["place/cpython-attached.log: exit code 2"]
    assert (cell.result["nested"], cell.result["attached"]) == ("2001/3/46", "crashed")

"""scripts/matrix.py: which cells there are, what they need, and what is told of them. No cell is run here."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def matrix(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import matrix

    return matrix


def names(cells):
    return [cell.name for cell in cells]


def test_every_binding_is_tested_on_the_pythons_of_its_hosts(matrix):
    """The table that the project promises."""
    assert names(matrix.TABLE) == [
        "PyQt5-3.7",
        "PyQt5-3.8",
        "PyQt5-3.11",
        "PySide2-3.7",
        "PySide2-3.10",
        "PyQt6-3.9",
        "PyQt6-3.12",
        "PyQt6-3.13",
        "PySide6-3.9",
        "PySide6-3.11",
        "PySide6-3.12",
        "PySide6-3.13",
        "PyQt5==5.12-3.7",
        "PySide2==5.12-3.7",
    ]


@pytest.mark.parametrize(
    ("words", "quick", "selected"),
    [
        pytest.param(["PyQt5-3.8"], False, ["PyQt5-3.8"], id="a cell"),
        pytest.param(["pyside6-3.9", "PyQt6-3.9"], False, ["PyQt6-3.9", "PySide6-3.9"], id="two, in the table's order"),
        pytest.param(["PySide2"], False, ["PySide2-3.7", "PySide2-3.10", "PySide2==5.12-3.7"], id="a binding"),
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
    ("name", "binding", "python_version", "requirements"),
    [
        ("PyQt6-3.12", "PyQt6", "3.12", ["-e", ".[PyQt6,test]"]),
        ("PySide2==5.12-3.7", "PySide2", "3.7", ["-e", ".[test]", "PySide2==5.12.*"]),
    ],
)
def test_a_cell_knows_from_its_name_what_to_install(matrix, name, binding, python_version, requirements):
    """The newest binding comes from pyproject.toml's extra, an old one by its version."""
    cell = matrix.Cell(name)
    assert (cell.binding, cell.python_version, cell.requirements) == (binding, python_version, requirements)


def test_the_newest_interpreter_of_pyenvs_is_found(matrix, tmp_path, monkeypatch):
    """By number, and only one that runs and is what its name says."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    name = f"python{version}"

    def make(patch, content):
        path = tmp_path / "versions" / f"{version}.{patch}" / "bin" / name
        path.parent.mkdir(parents=True)
        path.write_text(content)
        path.chmod(0o755)
        return str(path)

    works = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
    make(9, works)
    newest = make(10, works)
    make(11, "#!/bin/sh\nexit 127\n")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert matrix._find_interpreter(version) == newest


def test_a_missing_interpreter_is_said_and_not_passed_over(matrix, tmp_path, monkeypatch, capsys):
    """The cell's result has the reason."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    cell = matrix.Cell("PyQt5-3.7")
    assert not matrix._prepare(cell)
    assert cell.result["status"] == "missing"
    assert "no Python 3.7" in cell.result["reason"]
    assert "PyQt5-3.7: not available: no Python 3.7" in capsys.readouterr().out
    assert matrix._table([cell]).splitlines()[-1] == "PyQt5-3.7  not available"


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
    """Failures and errors by name, skips by reason."""
    (tmp_path / "test_it.py").write_text(OUTCOMES)
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", "test_it.py"]
    subprocess.run(command, cwd=str(tmp_path), stdout=subprocess.DEVNULL)
    assert matrix._read_report(report) == {
        "passed": 1,
        "failed": 3,
        "failures": [
            "test_it::test_fails",
            "test_it::test_passes_and_leaves_a_mess",
            "test_it::test_fails_and_leaves_a_mess",
        ],
        "skipped": {"not here": 1},
    }


def test_a_cell_that_crashed_is_not_taken_for_one_without_failures(matrix, tmp_path):
    """No report: no counts, and the table says so."""
    cell = matrix.Cell("PyQt5-3.7")
    cell.result.update(status="failed", seconds=1.0, **matrix._read_report(tmp_path / "report.xml"))
    assert matrix._table([cell]).splitlines()[-1].split() == ["PyQt5-3.7", "?", "?", "?", "0", "crashed", "0", "1"]

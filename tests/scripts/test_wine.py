"""scripts/wine.py: what it runs and what not. wine itself is not started here."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LISTING = """\
[Ordinal/Name Pointer] Table -- Ordinal Base 1
\t[   0] +base[   1]  0000 PyAIter_Check
\t[   1] +base[   2]  0001 PyType_Type

The Function Table (interpreted .pdata section contents)
"""


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


def test_every_test_that_is_left_out_exists(scripts):
    """A test that was renamed would be run again, or its reason stay behind."""
    import wine

    for cell in wine.TABLE.values():
        for name in cell.not_run:
            path, _, function = name.partition("::")
            source = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {function.partition('[')[0]}\(", source, re.MULTILINE), name


def test_ci_runs_an_old_and_a_new_python(scripts):
    """On both families of bindings."""
    import wine

    assert [name for name in wine.IN_CI if name in wine.TABLE] == ["PyQt5-3.11", "PySide6-3.14"]


def test_files_have_a_windows_name(scripts):
    """wine's drive Z: is all of this system."""
    from lib import wine

    assert wine.windows_path("/home/me/a b.xml") == r"Z:\home\me\a b.xml"


def test_a_dll_is_forwarded_name_by_name(scripts, monkeypatch):
    """Old binutils print a line without '+base'."""
    from lib import wine

    listings = [LISTING, re.sub(r"\+base\[ +\d+\] +\d{4} ", "", LISTING)]
    for listing in listings:
        done = subprocess.CompletedProcess([], 0, stdout=listing.encode())
        monkeypatch.setattr(wine.subprocess, "run", lambda *_, done=done, **__: done)
        assert wine._exports(Path("/somewhere/python311.dll")) == [
            "PyAIter_Check = python311.PyAIter_Check",
            "PyType_Type = python311.PyType_Type",
        ]

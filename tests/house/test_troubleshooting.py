"""Each error text in SUPPORT.md is provoked here, and what is advised there works.

SUPPORT.md is the one place where the texts are listed: the first column of its table, in backticks. The programs that
provoke them are in error_texts.py, one for each text, which a process of its own runs.
"""

import re

import pytest

import asyncslot
import error_texts
from error_texts import CASES
from readme_reader import section

# A process for each text.
pytestmark = pytest.mark.slow

TOLD = section("When something goes wrong")


def documented():
    """Return the texts in the first column of its table."""
    rows = re.findall(r"^\|([^|]*)\|", TOLD, re.MULTILINE)
    return [text for row in rows for text in re.findall("`([^`]*)`", row)]


def test_support_tells_of_the_cases_and_of_no_others():
    """Each text once, and each is provoked."""
    assert sorted(documented()) == sorted(CASES)


def test_every_error_of_ours_has_its_row():
    """By the name of its class, which stands in a traceback before the text."""
    ours = {name for name in asyncslot.__all__ if name.endswith("Error")} - {"AsyncSlotError"}
    assert ours - set(re.findall(r"\w+Error\b", TOLD)) == set()


@pytest.mark.parametrize("text", sorted(CASES))
def test_text_is_provoked_and_the_advice_works(run_python, text):
    """The wrong way prints the text; the right way works, and prints no text of the table."""
    printed = run_python(error_texts.program(text), env=error_texts.TO_STDERR).stdout
    before, _, after = printed.partition(error_texts.BOUNDARY + "\n")
    assert any(found in before for found in error_texts.said_here(text)), before
    assert "fine" in after
    assert [found for found in CASES if found in after] == [], after

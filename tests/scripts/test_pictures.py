"""The docs' pictures are those that scripts/pictures.py makes. It needs real hosts, so it is not run here."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import pictures  # noqa: E402 (from scripts/, see above)

pytestmark = pytest.mark.once

MADE = {f"{picture}-{host}.png": picture for picture, hosts in pictures.PICTURES.items() for host in hosts}


def test_each_picture_is_one_that_the_script_makes():
    """None is there that cannot be made again, and none that it makes is missing."""
    assert sorted(path.name for path in pictures.TARGET.iterdir()) == sorted(MADE)


@pytest.mark.parametrize("name", sorted(MADE))
def test_a_picture_is_small_and_readme_leads_to_it(name):
    """README shows it with a text for those who do not see it, or links to it; and it costs a reader little."""
    path = pictures.TARGET / name
    assert path.stat().st_size <= pictures.LARGEST[MADE[name]]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\[([^\]]*)\]\(" + re.escape(path.relative_to(ROOT).as_posix()) + r"\)", readme)
    assert len(links) == 1
    assert links[0]


@pytest.mark.parametrize("picture", sorted(pictures.PICTURES))
def test_a_picture_has_what_the_story_plays(picture):
    """Its file has what lib/pictures/story.py asks for: it is only run in a host, where a slip would be found late."""
    tree = ast.parse((pictures.PARTS / f"{picture}.py").read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    names |= {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}
    assert {"SIZE", "play"} <= names

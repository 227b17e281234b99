"""README's section on putting it into a plug-in: each way to a copy works, and the places are the examples'."""

import re
import sys

import pytest

from readme_reader import ADDRESS, ROOT, blocks, follow_first_steps, section, shell

pytestmark = pytest.mark.once


def imports_itself(package, directory):
    """Return whether the copy in a plug-in can be imported, with an adapter."""
    (directory / package / "__init__.py").touch()
    return shell(
        f"{sys.executable} -c 'import {package}._vendor.asyncslot.host_adapters.qgis as q; print(q.NAME)'", directory
    )


def test_every_way_to_a_copy_works(tmp_path):
    """From a checkout, from what is installed, and from a copy, which also checks itself."""
    reader = follow_first_steps(tmp_path)
    checkout, installed, copy, _, _, _ = blocks("Put it into your plug-in")
    for commands, directory in ((checkout, reader / "asyncslot"), (installed, reader / "elsewhere"), (copy, reader)):
        directory.mkdir(exist_ok=True)
        shell(re.sub(r"^python3?\b", sys.executable, commands, flags=re.MULTILINE), directory)
        assert "QGIS" in imports_itself("other_plugin" if commands == copy else "my_plugin", directory)


def test_a_submodule_beside_the_plugin(tmp_path):
    """It pins the version; the copy that it makes is committed, and CI sees when the two have gone apart."""
    reader = follow_first_steps(tmp_path)
    project = reader / "project"
    (project / "my_plugin").mkdir(parents=True)
    add, check = blocks("Put it into your plug-in")[3:5]
    shell("git init -q\n" + add.replace(ADDRESS, str(reader / "asyncslot")), project)
    assert "my_plugin/_vendor/asyncslot/__init__.py" in shell("git diff --cached --name-only", project)
    assert "third_party/asyncslot\n" in shell("git diff --cached --name-only", project)
    assert "QGIS" in imports_itself("my_plugin", project)
    shell(check, project)
    with (project / "third_party" / "asyncslot" / "asyncslot" / "_clock.py").open("a") as file:
        file.write("\n")
    shell(f"! {check}", project)


def test_a_copy_made_by_hand_works(tmp_path):
    """The three directories and files that README names are all that is needed."""
    reader = follow_first_steps(tmp_path)
    (commands,) = [block for block in blocks("Put it into your plug-in") if block.startswith("cp -r asyncslot")]
    package = reader / "asyncslot" / "my_plugin"
    (package / "_vendor").mkdir(parents=True)
    for directory in (package, package / "_vendor"):
        (directory / "__init__.py").touch()
    shell(commands, reader / "asyncslot")
    shell(f"{sys.executable} -c 'import my_plugin._vendor.asyncslot.host_adapters.qgis'", reader / "asyncslot")
    shell("test -f my_plugin/_vendor/asyncslot/LICENSE", reader / "asyncslot")


def test_where_it_goes_is_where_the_examples_go():
    """Each directory of each host is told in its example's README, and the copy's place is there in the example."""
    names = {"my_plugin": "async_search", "my_tool": "async_search_tool", "MyPlugin": "AsyncSearch"}
    table = section("Put it into your plug-in").split("| the copy into |\n")[1]
    rows = re.findall(r"^\| (\w[^|]*) \| ([^|]*) \| `([^`]*)` \|$", table, re.MULTILINE)
    assert len(rows) == 9
    for host, places, copy in rows:
        example = ROOT / "examples" / {"3ds Max": "max3ds"}.get(host, host.lower().replace(" 3d ", "_"))
        told = (example / "README.md").read_text(encoding="utf-8")
        for place in re.findall("`([^`]*)`", places):
            assert place.replace("MyPlugin", names["MyPlugin"]) in told
        parts = [names.get(part, part) for part in copy.split("/")]
        if host == "napari":
            parts = [part.replace("async_search", "napari_async_search") for part in parts]
        assert list(example.rglob("/".join(parts))), (host, parts)

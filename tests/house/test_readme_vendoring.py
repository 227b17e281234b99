"""examples/README.md on putting it into a plug-in: each way to a copy works, and the places are the examples'."""

import re
import sys

import pytest

from readme_reader import ROOT, blocks, follow_first_steps, section, shell

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
    checkout, installed, copy, _ = blocks("Put it into your plug-in")
    for commands, directory in ((checkout, reader / "asyncslot"), (installed, reader / "elsewhere"), (copy, reader)):
        directory.mkdir(exist_ok=True)
        shell(re.sub(r"^python3?\b", sys.executable, commands, flags=re.MULTILINE), directory)
        assert "QGIS" in imports_itself("other_plugin" if commands == copy else "my_plugin", directory)


def test_a_clone_imports_as_it_is(tmp_path):
    """With nothing installed, and wherever one stands; the adapters lie beside the package there."""
    checkout = follow_first_steps(tmp_path) / "asyncslot"
    program = "import asyncslot, asyncslot.host_adapters.qgis as qgis; print(asyncslot.__version__, qgis.NAME)"
    assert "QGIS" in shell(f"{sys.executable} -S -c '{program}'", checkout)
    assert "QGIS" in shell(f"PYTHONPATH={checkout} {sys.executable} -S -c '{program}'", tmp_path)


def test_a_submodule_in_the_plugin(tmp_path):
    """It imports as it is; the copy that it makes is committed, and CI sees when the two have gone apart."""
    checkout = follow_first_steps(tmp_path) / "asyncslot"
    plugin, submodule = tmp_path / "project" / "my_plugin", "third_party/asyncslot"
    plugin.mkdir(parents=True)
    (line,) = re.findall(r"`(from \.third_party\S* import asyncslot)`", section("Put it into your plug-in"))
    adapters = line.replace(" import asyncslot", ".asyncslot.host_adapters import qgis")
    (plugin / "__init__.py").write_text(f"{line}\n{adapters}\n")
    shell(f"git init -q\ngit submodule add {checkout} {submodule}", plugin)
    program = "import my_plugin; print(my_plugin.asyncslot.__name__, my_plugin.qgis.NAME)"
    printed = shell(f"{sys.executable} -S -c '{program}'", plugin.parent)
    assert printed.split() == ["my_plugin.third_party.asyncslot.asyncslot", "QGIS"]
    copy = f"{sys.executable} {submodule}/scripts/vendor.py _vendor"
    shell(f"{copy} --adapters qgis\ngit add _vendor\n{copy} --check", plugin)
    assert "_vendor/asyncslot/__init__.py" in shell("git diff --cached --name-only", plugin)
    assert "QGIS" in imports_itself("my_plugin", plugin.parent)
    with (plugin / submodule / "asyncslot" / "tools" / "_facts.py").open("a") as file:
        file.write("\n")
    shell(f"! {copy} --check", plugin)


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
    table = section("Where it goes").split("| the copy into |\n")[1]
    rows = re.findall(r"^\| (\w[^|]*) \| ([^|]*) \| `([^`]*)` \|$", table, re.MULTILINE)
    assert len(rows) == 13
    for host, places, copy in rows:
        example = (
            ROOT / "examples" / {"3ds Max": "max3ds"}.get(host, host.lower().replace(" 3d ", "_").replace(" ", "_"))
        )
        told = (example / "README.md").read_text(encoding="utf-8")
        for place in re.findall("`([^`]*)`", places):
            assert place.replace("MyPlugin", names["MyPlugin"]) in told
        parts = [names.get(part, part) for part in copy.split("/")]
        if host == "napari":
            parts = [part.replace("async_search", "napari_async_search") for part in parts]
        assert list(example.rglob("/".join(parts))), (host, parts)

"""The packages of the chaos program's plug-ins: written once in a run, and the same for all seeds."""

import shutil
from pathlib import Path

import vendor
from lib.chaos.layout import PLUGINS, SHARED

HERE = Path(__file__).resolve().parent


def make(directory):
    """Write all plug-ins below a directory."""
    directory = Path(directory)
    first = vendor.copy(directory, SHARED)
    for package, folder, name in PLUGINS.values():
        place = directory.joinpath(*package.split("."))
        place.mkdir(parents=True)
        for parent in place.relative_to(directory).parents:
            (directory / parent / "__init__.py").touch()
        (directory / "__init__.py").unlink()
        if folder is None:
            (place / "__init__.py").write_text(f"import {name} as aio\n")
        else:
            (place / folder).mkdir()
            (place / folder / "__init__.py").write_text("")
            shutil.copytree(str(first), str(place / folder / name))
            (place / "__init__.py").write_text(f"from .{folder} import {name} as aio\n")
        shutil.copy(str(HERE / "plugin.py"), str(place / "plugin.py"))
        shutil.copy(str(HERE / "work.py"), str(place / "work.py"))

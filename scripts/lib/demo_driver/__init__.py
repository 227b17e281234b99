"""The plug-in that plays the demo's user. demo.py puts a copy of it beside the two plug-ins that are shown.

It is plain Qt: whether asyncio works here is not judged by asyncio. It writes what it saw, line by line, to a file
that demo.py reads. What to do is in `script.json`, which demo.py writes into the copy.
"""

import json
from pathlib import Path


def classFactory(host):
    """Make the plug-in, with the stage for the host we are in."""
    script = json.loads((Path(__file__).parent / "script.json").read_text(encoding="utf-8"))
    if script["host"] == "qgis":
        from .qgis_stage import QgisStage as Stage
    else:
        from .mini_host_stage import MiniHostStage as Stage
    from .driver import Driver

    return Driver(Stage(host, script), script)

"""Nuke runs this for each directory on its plug-in path, and only with its GUI (`init.py` would run in all modes)."""

import async_search
import nukescripts

async_search.start()
# Nuke evaluates this text whenever the panel is opened: from Windows > Custom, or with a saved workspace.
nukescripts.panels.registerWidgetAsPanel(
    "__import__('async_search').make_panel", "Async search", "com.example.async_search"
)

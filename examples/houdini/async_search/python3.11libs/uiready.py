"""Houdini runs this once its window is there, and only in the GUI; from the directory that is named for its Python."""

import async_search

async_search.start()

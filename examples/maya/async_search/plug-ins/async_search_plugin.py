"""Async search for Maya: the plug-in as Maya's Plug-in Manager sees it, to be loaded and unloaded there.

Maya runs this file outside any package, so it can import nothing relatively. All that it does is call the package
`async_search` in the module's scripts directory, which has its own copy of asyncslot.
"""

import async_search


def maya_useNewAPI():  # Maya looks for exactly these three names
    pass


def initializePlugin(plugin):
    async_search.start()


def uninitializePlugin(plugin):
    async_search.stop()

"""Async search for IDA Pro: IDA runs this file when it starts, or when a database is opened."""

import async_search
import ida_idaapi


class AsyncSearch(ida_idaapi.plugin_t):
    flags = ida_idaapi.PLUGIN_KEEP
    wanted_name = "Async search"
    wanted_hotkey = ""
    comment = "Searches a service for pictures with asyncio while IDA stays usable"
    help = ""

    def init(self):
        async_search.start()
        return ida_idaapi.PLUGIN_KEEP

    def run(self, argument):
        async_search.show()

    def term(self):
        async_search.stop()


def PLUGIN_ENTRY():
    return AsyncSearch()

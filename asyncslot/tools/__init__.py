"""What no plug-in needs in its daily work: the monitor, the report, the commands at a terminal, what tests ask.

The front door, `testing` and `__main__` import from here; nothing that runs in the loop does.
"""

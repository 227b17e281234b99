"""What the commands in scripts/ share, and, in a directory for each, the parts of one command.

A command finds it as `lib` because its own directory is the first on sys.path. What a command starts as a process of
its own is started as `python -m lib.<command>.<part>` in that directory, so that it finds the same. The parts have no
directories beside the commands because a package `scripts/bench/` would be what `import bench` finds, and not bench.py.
"""

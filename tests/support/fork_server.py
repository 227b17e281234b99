"""Programs in processes of their own, none of which has to import Qt.

Most of what a test's program does is `import asyncio` and `from qtpy import QtWidgets`: three quarters of its time. So
one process imports them, once, and each program goes on from there in a fork of that process: its own memory, its own
descriptors, no application yet, and nothing of ours imported. Where a program must find less than that it is started
as usual; see `can_fork()`.
"""

import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

PYTHON = [sys.executable, "-X", "faulthandler"]

# What the server's process is started with. The program takes this one's place, so it is all in one line.
SERVER = "import sys; sys.path.insert(0, {here!r}); exec(__import__('fork_server').serve({fd}))"

# A number; all are of one length, or two of them could be read as one.
REPLY = b"%20d"

# Elsewhere a fork is not safe, or not to be had.
CAN_FORK = sys.platform == "linux"


def can_fork(source):
    """Whether a program finds in a fork what it would find by itself: it imports Qt before anything of ours."""
    first = re.search(r"\b(qtpy|asyncslot|host_adapters|_vendor)\b", source)
    return first is not None and first.group() == "qtpy"


class Programs:
    """Runs programs for one process of tests, and has them forked from a process that has imported Qt, where it can."""

    def __init__(self):
        self._server = None
        if CAN_FORK:
            self._connection, theirs = socket.socketpair()
            with theirs:
                server = SERVER.format(here=str(Path(__file__).parent), fd=theirs.fileno())
                command = [*PYTHON, "-c", server]
                self._server = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])

    def run(self, source, *, timeout, forks, script=None, arguments=(), env=None):
        """Run a program to its end, and return what subprocess.run() does, with its output as text.

        Args:
            timeout: seconds, after which it is killed and subprocess.TimeoutExpired is raised.
            forks: whether it may be forked.
            script: the path of the file that the source is from, for a program that has one.
            arguments: what follows that in sys.argv, as texts.
            env: variables to set.
        """
        command = [*PYTHON, *(["-c", source] if script is None else [str(script)]), *arguments]
        env = dict(os.environ, **(env or {}))
        if forks and CAN_FORK:
            return self._run_in_fork(command, timeout, source, script and str(script), arguments, env)
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, env=env
        )

    def _run_in_fork(self, command, timeout, source, script, arguments, env):
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            request = {
                "source": source,
                "script": script,
                "arguments": arguments,
                "env": env,
                "files": [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in (out, err)],
                "directory": os.getcwd(),
            }
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            child = int(self._reply(None))
            try:
                status, is_late = int(self._reply(timeout)), False
            except socket.timeout:
                os.kill(child, signal.SIGKILL)
                status, is_late = int(self._reply(None)), True
            for file in (out, err):
                file.seek(0)
            output = out.read(), err.read()
        if is_late:
            raise subprocess.TimeoutExpired(command, timeout, *output)
        returncode = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return subprocess.CompletedProcess(command, returncode, *output)

    def close(self):
        if self._server is not None:
            self._connection.close()
            self._server.wait(10)

    def _reply(self, timeout):
        self._connection.settimeout(timeout)
        reply = self._connection.recv(len(REPLY % 0))
        assert reply, f"the process that forks has ended: {self._server.wait(10)}"
        return reply


def serve(fd):
    """Answer requests until there are no more; in a fork, return the program's code, to be run in place of this."""
    import asyncio  # noqa: F401 - for the programs

    import pytest  # noqa: F401 - for those that import a test file
    from qtpy import QtCore, QtGui, QtWidgets  # noqa: F401

    gc.collect()
    gc.freeze()  # what is here now is shared by all forks, and no garbage
    with socket.socket(fileno=fd) as connection, connection.makefile("r") as requests:
        for line in requests:
            child = os.fork()
            if child == 0:
                request = json.loads(line)
                break
            connection.sendall(REPLY % child)
            connection.sendall(REPLY % os.waitpid(child, 0)[1])
        else:
            os._exit(0)
    return _become(**request)


def _become(source, script, arguments, env, files, directory):
    """Leave nothing of the server in this fork, and return the program's code."""
    for fd, file in enumerate(files, 1):
        opened = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, fd)
        os.close(opened)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(directory)
    sys.argv[:] = ["-c" if script is None else script, *arguments]
    sys.path[0] = "" if script is None else os.path.dirname(script)
    del sys.modules[__name__]
    main = sys.modules["__main__"]
    del main.sys
    if script is not None:
        main.__file__ = script
    return compile(source, script or "<string>", "exec")

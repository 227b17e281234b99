"""What Linux tells of descriptors and processes, in /proc: for `_leftovers`, nothing on other systems.

This file knows nothing of plug-ins. Source: proc(5), read 2026-11.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Dict, List


def descriptors() -> Dict[int, str]:
    """Return sockets, pipes and the like, by number; nothing but on Linux.

    Not eventfds: Qt 6 starts and ends threads of its own as it likes, each with one.
    """
    if sys.platform != "linux":  # not: if there is no such directory; wine shows Linux's
        return {}
    return {
        number: target
        for number, target in links_of(os.getpid()).items()
        if target.startswith(("socket:", "pipe:", "anon_inode:[")) and "eventfd]" not in target
    }


def links_of(pid: int) -> Dict[int, str]:
    """Return what each descriptor of a process links to, by number; none if it has ended, or is another user's."""
    found: Dict[int, str] = {}
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
            except FileNotFoundError:
                pass  # closed meanwhile, as the one that listdir() itself had open
    except OSError:
        pass
    return found


def descendants() -> Dict[int, List[int]]:
    """Return the living child processes, and theirs: each with the processes from itself up to the child."""
    if sys.platform != "linux":
        return {}
    parents: Dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                parents[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
        except OSError:
            pass  # it has ended meanwhile
    found = {}
    for pid in parents:
        chain = [pid]
        # Read one after the other, of processes that come and go: they may contradict each other.
        while parents.get(chain[-1], 0) not in (0, os.getpid(), *chain):
            chain.append(parents[chain[-1]])
        if parents.get(chain[-1]) == os.getpid():
            found[pid] = chain
    return found


def listening() -> Dict[str, str]:
    """Return the addresses of all TCP sockets that listen, by what a descriptor of theirs links to."""
    found = {}
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        try:
            with open(f"/proc/self/net/{name}", encoding="ascii") as table:
                rows = [line.split() for line in table][1:]
        except OSError:
            continue  # a kernel without IPv6
        for row in rows:
            if row[3] == "0A":  # TCP_LISTEN
                digits, _, port = row[1].partition(":")
                # Words of 32 bits, each in the machine's own order.
                words = [int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8)]
                address = socket.inet_ntop(family, b"".join(words))
                found[f"socket:[{row[9]}]"] = f"{address if name == 'tcp' else f'[{address}]'}:{int(port, 16)}"
    return found


def command_of(pid: int) -> str:
    """Return the command line of a process."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as command:
            return command.read().rstrip("\0").replace("\0", " ")
    except OSError:
        return "which has ended"

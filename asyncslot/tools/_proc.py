"""Descriptors, child processes and listening sockets, as Linux lists them in /proc: for `_leftovers`.

On other systems descriptors() and descendants() return nothing. This file knows nothing of plug-ins.
Source: proc(5), read 2026-11.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Dict, List


def descriptors() -> Dict[int, str]:
    """Return the link targets of this process's sockets, pipes and the like, by number; empty if this is not Linux.

    We leave out eventfds: Qt 6 starts and ends threads of its own as it likes, and each of them has one.
    """
    # We ask for the platform and not for the directory: wine shows Linux's /proc.
    if sys.platform != "linux":
        return {}
    return {
        number: target
        for number, target in links_of(os.getpid()).items()
        if target.startswith(("socket:", "pipe:", "anon_inode:[")) and "eventfd]" not in target
    }


def links_of(pid: int) -> Dict[int, str]:
    """Return the link target of each descriptor of a process, by number; empty if it has ended or is another user's."""
    found: Dict[int, str] = {}
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
            except FileNotFoundError:
                pass  # closed meanwhile, like the descriptor that listdir() itself had open
    except OSError:
        pass
    return found


def descendants() -> Dict[int, List[int]]:
    """Return our living child processes and their descendants.

    Each process comes with its chain: the process itself, its parent and so on, up to our own child.
    """
    if sys.platform != "linux":
        return {}
    parents: Dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                # The command's name stands in parentheses and may contain some; after it come state and parent.
                parents[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
        except OSError:
            pass  # it has ended meanwhile
    found = {}
    for pid in parents:
        chain = [pid]
        # We read these entries one after the other while processes come and go, so they may contradict each other and
        # even form a circle.
        while parents.get(chain[-1], 0) not in (0, os.getpid(), *chain):
            chain.append(parents[chain[-1]])
        if parents.get(chain[-1]) == os.getpid():
            found[pid] = chain
    return found


def listening() -> Dict[str, str]:
    """Return the address of each TCP socket that listens, by the link target that its descriptors have."""
    found = {}
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        try:
            with open(f"/proc/self/net/{name}", encoding="ascii") as table:
                rows = [line.split() for line in table][1:]
        except OSError:
            continue  # the kernel has no IPv6
        for row in rows:
            if row[3] == "0A":  # TCP_LISTEN
                digits, _, port = row[1].partition(":")
                # The address is words of 32 bits, each in the machine's own byte order.
                words = [int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8)]
                address = socket.inet_ntop(family, b"".join(words))
                found[f"socket:[{row[9]}]"] = f"{address if name == 'tcp' else f'[{address}]'}:{int(port, 16)}"
    return found


def command_of(pid: int) -> str:
    """Return the command line of a process, or words that say that it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as command:
            return command.read().rstrip("\0").replace("\0", " ")
    except OSError:
        return "which has ended"
